//! What is sent, and what answers mean, with a server of the test's own.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use super::*;

const ID: SchemaId = SchemaId(7);

/// Answers so many calls with a status and a body; returns what was asked.
fn server(calls: usize, status: u16, body: &'static str) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = thread::spawn(move || {
        let mut asked = Vec::new();
        for _ in 0..calls {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                let mut bytes = [0; 1024];
                let count = stream.read(&mut bytes).unwrap();
                assert!(count > 0, "the request is cut");
                request.extend_from_slice(&bytes[..count]);
            }
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).unwrap();
            asked.push(String::from_utf8(request).unwrap());
        }
        asked
    });
    (url, asked)
}

fn settings(url: &str) -> Registry {
    Registry { url: Some(url.to_owned()), ..Registry::default() }
}

#[test]
fn every_call_carries_the_login_and_no_error_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    let secret_file = folder.path().join("secret");
    std::fs::write(&secret_file, "pass\n").unwrap();
    let secret_file = Some(secret_file.display().to_string());
    for (user, expected) in
        [(Some("me".to_owned()), "authorization: Basic bWU6cGFzcw=="), (None, "authorization: Bearer pass")]
    {
        let (url, asked) = server(2, 401, r#"{"error_code":40101,"message":"Unauthorized"}"#);
        let settings = Registry { user, secret_file: secret_file.clone(), ..settings(&url) };
        let client = Client::of(&settings).unwrap().unwrap();
        for error in [client.schema(ID).unwrap_err(), client.level("moments-value").unwrap_err()] {
            assert!(matches!(&error, RegistryError::Refused { .. }), "{error}");
            let told = format!("{error} {error:?}");
            assert!(told.contains("Unauthorized") && !told.contains("pass"), "{told}");
        }
        for request in asked.join().unwrap() {
            assert!(request.to_lowercase().contains(&expected.to_lowercase()), "{request}");
        }
    }
    let settings = Registry { secret_file: Some("/no/such/file".to_owned()), ..settings("http://x") };
    assert!(matches!(Client::of(&settings), Err(RegistryError::Secret(_))));
}

#[test]
fn what_is_not_there_is_told_from_what_cannot_be_asked() {
    enum Meaning {
        NotThere,
        Unavailable,
        Refused,
    }
    use Meaning::{NotThere, Refused, Unavailable};
    for (status, body, meaning) in [
        (404, r#"{"error_code":40403,"message":"Schema not found"}"#, NotThere),
        (404, r#"{"error_code":40401,"message":"Subject not found"}"#, NotThere),
        (404, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#, Unavailable),
        (404, "<html>nothing here</html>", Unavailable),
        (200, "<html>welcome</html>", Unavailable),
        (500, r#"{"error_code":50001,"message":"Error in the backend"}"#, Unavailable),
        (503, "overloaded", Unavailable),
        (409, r#"{"error_code":409,"message":"incompatible"}"#, Refused),
        (422, r#"{"error_code":42201,"message":"Invalid schema"}"#, Refused),
    ] {
        let (url, asked) = server(2, status, body);
        let client = Client::of(&settings(&format!("{url}/"))).unwrap().unwrap();
        let answers = [client.schema(ID), client.level("moments-value")];
        let requests = asked.join().unwrap();
        assert!(requests[0].starts_with("GET /schemas/ids/7"), "{}", requests[0]);
        assert!(requests[1].starts_with("GET /config/moments-value "), "{}", requests[1]);
        for answer in answers {
            let expected = match meaning {
                NotThere => matches!(answer, Ok(None)),
                Unavailable => matches!(answer, Err(RegistryError::Unavailable { .. })),
                Refused => matches!(answer, Err(RegistryError::Refused { .. })),
            };
            assert!(expected, "{status} {body}: {answer:?}");
        }
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::of(&settings(&format!("http://{closed}"))).unwrap().unwrap();
    let refused = client.schema(ID).unwrap_err().to_string();
    assert!(refused.contains("Connection refused"), "{refused}");
}
