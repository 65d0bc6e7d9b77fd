//! Inputs made to fill the memory are set aside or refused by a process that may not have much of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// What the process may reserve, KiB; the bombs are larger.
const MEMORY_KIB: u64 = 384 << 10;
const BOMB_BYTES: u64 = 1 << 29;

const GOOD: &str =
    r#"{"event_id":"good","event_time":1740960000000,"kind":"PAGE_VIEW","brand_id":"b","person_id":"p"}"#;

fn replay(input: &Path, out: &Path) -> Output {
    let command = format!("ulimit -v {MEMORY_KIB}; exec \"$0\" replay \"$1\" --out \"$2\"");
    let program = Path::new(env!("CARGO_BIN_EXE_trustline"));
    Command::new("sh").arg("-c").arg(command).args([program, input, out]).output().unwrap()
}

fn zstd_file(path: &Path) -> zstd::Encoder<'static, File> {
    zstd::Encoder::new(File::create(path).unwrap(), 1).unwrap()
}

#[test]
fn a_bomb_a_long_field_and_deep_nesting_are_dead_letters() {
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let head = GOOD.trim_end_matches('}');
    let mut file = zstd_file(&input.path().join("clickstream.jsonl.zst"));
    writeln!(file, "{GOOD}").unwrap();
    // One line that decompresses to more than there is memory.
    io::copy(&mut io::repeat(b'a').take(BOMB_BYTES), &mut file).unwrap();
    writeln!(file).unwrap();
    writeln!(file, r#"{head},"cart_id":"{}"}}"#, "x".repeat(1_000_000)).unwrap();
    writeln!(file, r#"{head},"product_ids":{}"#, "[".repeat(1_000_000)).unwrap();
    writeln!(file, r#"{head},"unknown":{}{}"#, r#"{"a":"#.repeat(150_000), "}".repeat(100_000)).unwrap();
    writeln!(file, "{}", GOOD.replace("good", "after them")).unwrap();
    file.finish().unwrap();

    let done = replay(input.path(), out.path());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let read = |name: &str| std::fs::read_to_string(out.path().join(name)).unwrap();
    let reasons: Vec<Value> = read("dead-letters.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["reason"].clone())
        .collect();
    assert_eq!(reasons, ["oversized", "oversized", "undecodable", "undecodable"]);
    let ledger: Value = serde_json::from_str(&read("ledger.json")).unwrap();
    assert_eq!(ledger["clickstream"]["applied"], 2);
}

#[test]
fn a_block_that_decompresses_to_too_much_is_refused() {
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut block = zstd::Encoder::new(Vec::new(), 1).unwrap();
    io::copy(&mut io::repeat(0).take(BOMB_BYTES), &mut block).unwrap();
    let block = block.finish().unwrap();
    let schema = trustline::codec::avro::schemas::CLICK;
    let mut file = b"Obj\x01".to_vec();
    let put = trustline::codec::canonical::put_long;
    put(&mut file, 2);
    for text in ["avro.schema", schema, "avro.codec", "zstandard"] {
        put(&mut file, text.len() as i64);
        file.extend_from_slice(text.as_bytes());
    }
    file.push(0);
    file.extend_from_slice(&[7; 16]);
    put(&mut file, 1);
    put(&mut file, block.len() as i64);
    file.extend_from_slice(&block);
    file.extend_from_slice(&[7; 16]);
    let path = input.path().join("clickstream.avro");
    std::fs::write(&path, file).unwrap();

    let done = replay(input.path(), out.path());
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.code().is_some_and(|code| code != 0), "{told}");
    assert!(told.contains("clickstream.avro") && told.contains("larger than 64 MiB"), "{told}");
}
