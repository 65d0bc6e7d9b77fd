//! A real broker and instances of `trustline run` on it, for tests.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::{Offset, TopicPartitionList};
use trustline::event::kinds::Topic;
use trustline::log::kafka::Connection;
use trustline::log::kafka::admin::{TopicPlan, create_topics, read_topic};
use trustline::points::KillPoint;

use super::test_key;

/// How long a test waits for anything.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// A broker that goes with the test.
pub struct Broker {
    dir: tempfile::TempDir,
    more: Vec<String>,
    /// Its port.
    pub port: u16,
}

impl Broker {
    /// Starts one.
    pub fn start() -> Broker {
        Broker::start_with(&[])
    }

    /// Starts one with more arguments of the script.
    pub fn start_with(more: &[&str]) -> Broker {
        let more = more.iter().map(|one| (*one).to_owned()).collect();
        let broker = Broker { dir: tempfile::tempdir().unwrap(), more, port: free_port() };
        broker.go();
        broker
    }

    /// Starts it, or starts it again.
    pub fn go(&self) {
        let output = self.script("start");
        assert!(
            output.status.success(),
            "the broker did not start: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Runs a command of the script.
    pub fn script(&self, command: &str) -> std::process::Output {
        let more: Vec<&str> = self.more.iter().map(String::as_str).collect();
        script("deploy/kafka/broker", command, self.port, &self.dir, &more)
    }

    /// Where clients find it.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Writes a configuration for instances on it, with the test key, into a folder: `before`, then how to reach
    /// the broker, with more settings of Kafka. Gives its file and text.
    pub fn configure(&self, folder: &Path, before: &str, kafka: &str) -> (PathBuf, String) {
        let (brokers, key) = (self.bootstrap(), test_key(folder));
        let text = format!(
            "{before}[kafka]\nbrokers = [\"{brokers}\"]\n{kafka}\n[privacy]\nkey_file = \"{}\"\n",
            key.display()
        );
        let config = folder.join("trustline.toml");
        std::fs::write(&config, &text).unwrap();
        (config, text)
    }

    /// Removes the records of a partition before an offset, as retention does in time.
    pub fn remove_before(&self, topic: &str, partition: i32, offset: i64) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", self.bootstrap()).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let removed = runtime.block_on(admin.delete_records(&list, &AdminOptions::new())).unwrap();
        removed.elements()[0].error().unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.script("kill");
    }
}

/// Three nodes that go with the test.
pub struct Cluster {
    dir: tempfile::TempDir,
    port: u16,
}

impl Cluster {
    /// Starts them.
    pub fn start() -> Cluster {
        let cluster = Cluster { dir: tempfile::tempdir().unwrap(), port: free_port() };
        cluster.go();
        cluster
    }

    /// Starts those that do not run.
    pub fn go(&self) {
        let output = self.script("start", &[]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the cluster did not start: {told}");
    }

    /// Ends a node by `kill -9`.
    pub fn kill(&self, node: usize) {
        assert!(self.script("kill", &[&node.to_string()]).status.success());
    }

    fn script(&self, command: &str, more: &[&str]) -> std::process::Output {
        script("deploy/kafka/cluster", command, self.port, &self.dir, more)
    }

    /// Where clients find it.
    pub fn bootstrap(&self) -> String {
        [0, 2, 4].map(|after| format!("127.0.0.1:{}", self.port + after)).join(",")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.script("kill", &[]);
    }
}

/// A schema registry that goes with the test.
pub struct Registry {
    dir: tempfile::TempDir,
    port: u16,
}

impl Registry {
    /// Starts one.
    pub fn start() -> Registry {
        Registry::start_with(&[])
    }

    /// Starts one with more arguments of the script.
    pub fn start_with(more: &[&str]) -> Registry {
        let registry = Registry { dir: tempfile::tempdir().unwrap(), port: free_port() };
        let output = registry.script("start", more);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the registry did not start: {told}");
        registry
    }

    fn script(&self, command: &str, more: &[&str]) -> std::process::Output {
        script("deploy/registry/registry", command, self.port, &self.dir, more)
    }

    /// Ends it in good order.
    pub fn stop(&self) {
        assert!(self.script("stop", &[]).status.success());
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let id = std::fs::read_to_string(self.dir.path().join("pid")).unwrap();
        assert!(Command::new("kill").args([&format!("-{name}"), id.trim()]).status().unwrap().success());
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.url_with("http")
    }

    /// Its address under a scheme.
    pub fn url_with(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.script("stop", &[]);
    }
}

/// Runs a command of a server's script.
fn script(
    path: &str,
    command: &str,
    port: u16,
    dir: &tempfile::TempDir,
    more: &[&str],
) -> std::process::Output {
    let mut run = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    run.arg(command).args(["--port", &port.to_string(), "--dir"]).arg(dir.path()).args(more);
    run.stdin(Stdio::null()).output().unwrap()
}

/// Makes the source topics, with one partition each, and the own ones that a configuration wants.
pub fn make_topics(connection: &Connection, config: &Path) {
    let sources: Vec<TopicPlan> = Topic::ALL.iter().map(|source| topic(source.symbol(), 1)).collect();
    create_topics(connection, &sources).unwrap();
    let mut apply = Command::new(env!("CARGO_BIN_EXE_trustline"));
    let status = apply.args(["topics", "apply", "--config"]).arg(config).output().unwrap().status;
    assert!(status.success());
}

/// A port of which the next one is free too.
pub fn free_port() -> u16 {
    for _ in 0..100 {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
    panic!("no two ports in a row are free");
}

/// An instance of `trustline run`; dropped, it is killed.
pub struct Instance(Child);

impl Instance {
    /// Starts one under a name.
    pub fn start(config: &Path, name: &str) -> Instance {
        Instance::start_with(config, name, Stdio::inherit(), &[])
    }

    /// Starts one that logs into a file.
    pub fn start_logging(config: &Path, name: &str, log: &Path) -> Instance {
        Instance::start_with(config, name, File::create(log).unwrap().into(), &[])
    }

    /// Starts one that kills itself when it comes to a point of the code for the so many-th time.
    pub fn start_doomed(config: &Path, name: &str, at: KillPoint, times: usize) -> Instance {
        let told = format!("{}:{times}", at.name());
        Instance::start_with(config, name, Stdio::inherit(), &[("TRUSTLINE_KILL_AT", &told)])
    }

    /// Whether it has ended, by SIGKILL.
    pub fn is_killed(&mut self) -> bool {
        let ended = self.0.try_wait().unwrap();
        ended.is_some_and(|status| {
            assert_eq!(status.signal(), Some(9), "ended by itself: {status}");
            true
        })
    }

    fn start_with(config: &Path, name: &str, log: Stdio, more: &[(&str, &str)]) -> Instance {
        let child = Command::new(env!("CARGO_BIN_EXE_trustline"))
            .args(["run", "--config"])
            .arg(config)
            .env("TRUSTLINE__KAFKA__INSTANCE_ID", name)
            .env("TRUSTLINE__STATE__URL", format!("file:{}", config.with_file_name("state").display()))
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        Instance(child.unwrap())
    }

    /// Ends it by `kill -9`.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Ends it by SIGTERM; returns its exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.0.wait().unwrap().code()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A plan of a topic that keeps records of times long past.
pub fn topic(name: &str, partitions: i32) -> TopicPlan {
    TopicPlan {
        name: name.to_owned(),
        partitions,
        replicas: -1,
        settings: vec![("retention.ms".to_owned(), "-1".to_owned())],
    }
}

/// Asks a running instance; none if it does not answer.
pub fn ask(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Records in a topic.
pub fn count(connection: &Connection, topic: &str) -> usize {
    read_topic(connection, topic).map_or(0, |partitions| partitions.iter().map(Vec::len).sum())
}

/// Waits until something holds.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(300));
    }
}
