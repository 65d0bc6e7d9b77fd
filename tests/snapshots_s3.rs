//! Snapshots in a real S3 server, started by the test: `s3s-fs`, which `tests/run` installs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::ExponentialBuilder;
use trustline::config::ConfigHash;
use trustline::state::{Fold, Header, Name, SnapshotStore, StoreError, Writer};

const BUCKET: &str = "snapshots";
const ACCESS_KEY: &str = "someone";
const SECRET_KEY: &str = "a-secret-of-the-test";

/// The server; it ends with the test.
struct Server {
    process: Option<Child>,
    folder: tempfile::TempDir,
    port: u16,
}

impl Server {
    fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        // The port is free again as soon as the listener is dropped.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Server { process: None, folder, port };
        server.up();
        server
    }

    fn up(&mut self) {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/s3s-fs");
        let process = Command::new(&program)
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let install = "cargo install --root target/tools --locked --version 0.14.1 --features binary s3s-fs";
        self.process =
            Some(process.unwrap_or_else(|error| {
                panic!("{} does not start: {error}; run  {install}", program.display())
            }));
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "the server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn down(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn store(&self, secret: &str, prefix: &str) -> SnapshotStore {
        let variables = [
            ("AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        SnapshotStore::open(&format!("s3://{BUCKET}{prefix}"), &variables).unwrap()
    }

    fn file(&self, prefix: &str, name: &Name) -> PathBuf {
        self.folder.path().join(format!("{BUCKET}{prefix}/{name}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.down();
    }
}

fn header(partition: i32, offset: i64) -> Header {
    Header {
        fold: Fold::Score,
        fold_version: 1,
        config: ConfigHash([9; 16]),
        topic: "trustline.brand-partials".to_owned(),
        partition,
        offset,
    }
}

fn once() -> ExponentialBuilder {
    ExponentialBuilder::new().with_max_times(0)
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    noise
}

#[test]
fn snapshots_live_in_a_bucket() {
    let server = Server::start();
    for prefix in ["", "/trustline/live"] {
        let store = server.store(SECRET_KEY, prefix);
        assert!(!store.is_local());
        let state = noise(3_000_000);
        let older = store.put(&header(3, 80), b"older").unwrap();
        let newest = store.put(&header(3, 900), &state).unwrap();
        let other = store.put(&header(4, 1), b"other").unwrap();
        assert_eq!(store.get(&newest).unwrap(), (header(3, 900), state));
        let listed = store.list(Fold::Score, 3).unwrap();
        assert_eq!(listed.iter().map(|stored| stored.name).collect::<Vec<_>>(), [older, newest]);

        let file = server.file(prefix, &newest);
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        match store.get(&newest).unwrap_err() {
            StoreError::Damaged { place, .. } => assert_eq!(place, format!("s3://{BUCKET}{prefix}/{newest}")),
            other => panic!("{other}"),
        }
        let restored = store.restore(&[newest, older], once()).unwrap();
        assert_eq!(restored.found, Some((older, header(3, 80), b"older".to_vec())));
        assert_eq!(restored.lost.len(), 1);

        assert_eq!(store.collect(Fold::Score, 3, &[older], 0).unwrap(), 0);
        assert_eq!(store.collect(Fold::Score, 3, &[older], i64::MAX).unwrap(), 1);
        assert!(matches!(store.get(&newest), Err(StoreError::Missing { .. })));
        assert!(store.get(&older).is_ok() && store.get(&other).is_ok());
        store.delete(&other).unwrap();
        store.delete(&other).unwrap();
    }
}

#[test]
fn a_wrong_secret_is_refused_and_not_tried_again() {
    let server = Server::start();
    let error = server.store("another", "").put(&header(0, 0), b"state").unwrap_err();
    assert!(!error.may_pass(), "{error:?}");
    assert!(error.to_string().contains(&format!("s3://{BUCKET}/score/0/0-")), "{error}");
}

#[test]
fn an_outage_of_the_server_is_waited_out() {
    let mut server = Server::start();
    let store = Arc::new(server.store(SECRET_KEY, ""));
    let older = store.put(&header(0, 1), b"older").unwrap();
    server.down();
    match store.get(&older).unwrap_err() {
        error @ StoreError::Unavailable { .. } => assert!(error.may_pass(), "{error:?}"),
        other => panic!("{other}"),
    }
    assert!(store.restore(&[older], once()).is_err(), "a store that cannot be reached has lost nothing");
    let writer = Writer::start(Arc::clone(&store), ExponentialBuilder::new().with_max_times(4)).unwrap();
    writer.submit("during", header(0, 2), b"during".to_vec()).unwrap();
    server.up();
    let (key, written) = writer.close(Duration::from_secs(30)).pop().unwrap();
    assert_eq!(key, "during");
    assert_eq!(store.get(&written.unwrap()).unwrap().1, b"during");
    assert_eq!(store.get(&older).unwrap().1, b"older");
}
