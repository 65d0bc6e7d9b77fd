//! A broker or registry that goes with the benchmark.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A server that a script of `deploy` starts.
pub(crate) struct Server {
    script: &'static str,
    dir: tempfile::TempDir,
    /// Its port.
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start(script: &'static str) -> Server {
        let server = Server { script, dir: tempfile::tempdir().unwrap(), port: free_port() };
        let output = server.run("start");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        server
    }

    fn run(&self, command: &str) -> Output {
        let mut run = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(self.script));
        run.arg(command).args(["--port", &self.port.to_string(), "--dir"]).arg(self.dir.path());
        run.stdin(Stdio::null()).output().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run("stop");
    }
}

/// A port of which the next one is free too.
pub(crate) fn free_port() -> u16 {
    for _ in 0..100 {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
    panic!("no two ports in a row are free");
}
