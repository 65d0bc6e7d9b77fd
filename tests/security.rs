//! The pipeline on a real Kafka broker that takes only TLS, asks for a log-in and allows only what ACLs allow.
//!
//! The broker is started by the script that serves users too; one that cannot be started is a failure.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use support::{EVENTS, Input};
use trustline::config::{self, Config};
use trustline::event::kinds::Topic;
use trustline::log::kafka::Connection;
use trustline::log::kafka::admin::{Feeder, TopicPlan, create_topics, read_topic};

mod support;

const DEADLINE: Duration = Duration::from_secs(90);
/// Exit code of a command that Kafka refuses.
const REFUSED: Option<i32> = Some(3);

/// A broker that goes with the test.
struct Broker {
    dir: tempfile::TempDir,
    port: u16,
}

impl Broker {
    fn start() -> Broker {
        let broker = Broker { dir: tempfile::tempdir().unwrap(), port: free_port() };
        let started = broker.script(&["start", "--secure", "--unsecured-tokens"]);
        assert!(started.status.success(), "the broker did not start: {}", text(&started.stderr));
        broker
    }

    fn script(&self, arguments: &[&str]) -> Output {
        Command::new(script())
            .args(arguments)
            .args(["--port", &self.port.to_string(), "--dir"])
            .arg(self.dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn acls(&self, arguments: &[&str]) {
        let done = self.script(&[&["acls"], arguments].concat());
        assert!(done.status.success(), "{arguments:?}: {}{}", text(&done.stdout), text(&done.stderr));
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.script(&["kill"]);
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kafka/broker")
}

/// A port of which the next two are free too.
fn free_port() -> u16 {
    for _ in 0..100 {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if port < u16::MAX - 2 && is_free(port + 1) && is_free(port + 2) {
            return port;
        }
    }
    panic!("no three ports in a row are free");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A way to connect, as settings in the environment.
struct Login(Vec<(&'static str, String)>);

impl Login {
    fn password(broker: &Broker, mechanism: &str, user: &str) -> Login {
        Login(vec![
            ("BROKERS", format!("[\"127.0.0.1:{}\"]", broker.port)),
            ("SECURITY", "sasl_ssl".to_owned()),
            ("CA_FILE", broker.path("tls/ca.pem")),
            ("MECHANISM", mechanism.to_owned()),
            ("USER", user.to_owned()),
            ("PASSWORD_FILE", broker.path(&format!("{user}.password"))),
        ])
    }

    fn scram(broker: &Broker, user: &str) -> Login {
        Login::password(broker, "SCRAM-SHA-512", user)
    }

    fn certificate(broker: &Broker) -> Login {
        Login(vec![
            ("BROKERS", format!("[\"127.0.0.1:{}\"]", broker.port + 2)),
            ("SECURITY", "ssl".to_owned()),
            ("CA_FILE", broker.path("tls/ca.pem")),
            ("CERT_FILE", broker.path("tls/client.pem")),
            ("CERT_KEY_FILE", broker.path("tls/client.key")),
        ])
    }

    fn token(broker: &Broker, url: &str) -> Login {
        Login::password(broker, "OAUTHBEARER", "trustline").with("TOKEN_URL", url)
    }

    fn with(mut self, name: &'static str, value: &str) -> Login {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value.to_owned()));
        self
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(name, value)| (format!("TRUSTLINE__KAFKA__{name}"), value.clone())).collect()
    }

    fn trustline(&self, config: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trustline"));
        command.args(arguments).arg("--config").arg(config).envs(self.environment()).stdin(Stdio::null());
        command
    }

    /// Runs a command that is to be refused; returns what it says.
    fn refused(&self, config: &Path, arguments: &[&str]) -> String {
        let output = self.trustline(config, arguments).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), REFUSED, "{arguments:?}: {said}");
        said
    }
}

/// A running stage; dropped, it is killed.
struct Instance {
    child: Child,
    said: PathBuf,
}

impl Instance {
    fn start(login: &Login, config: &Path, stage: &str) -> Instance {
        let said = config.with_extension(stage);
        let mut command = login.trustline(config, &["run", "--stages", stage]);
        let child = command.stderr(std::fs::File::create(&said).unwrap()).spawn().unwrap();
        Instance { child, said }
    }

    fn stop(&mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "SIGTERM ends it cleanly: {}", self.said());
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Gives tokens without a signature to whoever asks, as an identity provider does with signed ones.
fn token_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = Vec::new();
            while !text(&asked).contains("grant_type=client_credentials") {
                let mut part = [0; 1_024];
                let count = stream.read(&mut part).unwrap();
                assert!(count > 0, "a question for a token names its grant: {}", text(&asked));
                asked.extend(&part[..count]);
            }
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            let part = |json: String| URL_SAFE_NO_PAD.encode(json);
            let head = part(r#"{"alg":"none"}"#.to_owned());
            let claims = part(format!(r#"{{"sub":"trustline","iat":{now},"exp":{}}}"#, now + 3_600));
            let body =
                format!(r#"{{"access_token":"{head}.{claims}.","token_type":"Bearer","expires_in":3600}}"#);
            let length = body.len();
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").unwrap();
        }
    });
    url
}

#[test]
fn a_cluster_that_allows_no_more_than_it_must() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("trustline.toml");
    let key = support::test_key(folder.path());
    let settings = format!(
        "{}[privacy]\nkey_file = \"{}\"\n[kafka]\nsession_timeout_ms = 6000\n[state]\nurl = \"file:{}\"\n",
        support::text(2, 2),
        key.display(),
        folder.path().join("state").display()
    );
    std::fs::write(&config, &settings).unwrap();
    let (admin, user) = (Login::scram(&broker, "admin"), Login::scram(&broker, "trustline"));

    // With neither log-in nor trust nobody comes in, and is told why.
    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, "wrong").unwrap();
    let wrong = wrong.display().to_string();
    for mechanism in ["SCRAM-SHA-512", "PLAIN"] {
        let login = Login::password(&broker, mechanism, "trustline").with("PASSWORD_FILE", &wrong);
        let said = login.refused(&config, &["topics", "plan"]);
        assert!(said.contains("SASL") && said.contains("check kafka.mechanism, kafka.user"), "{said}");
    }
    let other_ca = broker.path("tls/client.pem");
    let said = Login::scram(&broker, "trustline").with("CA_FILE", &other_ca).refused(&config, &["run"]);
    assert!(said.contains("certificate verify failed") && said.contains("check kafka.ca_file"), "{said}");
    let plan =
        Login::password(&broker, "PLAIN", "admin").trustline(&config, &["topics", "plan"]).output().unwrap();
    assert!(plan.status.success(), "the right password with PLAIN: {}", text(&plan.stderr));

    // One partition each, since none is ever idle in this test.
    let connection = connect(&broker, &settings);
    let source = |topic: &Topic| TopicPlan {
        name: topic.symbol().to_owned(),
        partitions: 1,
        replicas: 1,
        settings: Vec::new(),
    };
    create_topics(&connection, &Topic::ALL.iter().map(source).collect::<Vec<_>>()).unwrap();
    let made = admin.trustline(&config, &["topics", "apply"]).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let told = text(&made.stdout);
    assert!(told.contains("cleanup.policy is delete where compact is wanted"), "of identity-links: {told}");
    let said = user.refused(&config, &["run"]);
    for needed in
        ["Read on topic clickstream", "Write on topic t.person-events", "Read on group trustline-route"]
    {
        assert!(said.contains(needed), "{needed}: {said}");
    }
    assert!(user.refused(&config, &["topics", "plan"]).contains("ad-deliveries"), "a topic is named");

    allow(&broker, &user, &config);
    refused_without_one(&broker, &user, &config);
    let url = token_server();
    let logins = [user, Login::certificate(&broker), Login::token(&broker, &url)];
    works(&broker, &config, &settings, &logins);
}

/// A connection of the administrator.
fn connect(broker: &Broker, settings: &str) -> Connection {
    let environment = Login::scram(broker, "admin").environment();
    let admin = config::Input { text: settings.to_owned(), environment, file: None };
    Connection::of(&Config::load(&admin).unwrap()).unwrap()
}

/// Runs the commands that `topics acls` prints, word for word; only the tool's place and log-in are the test's.
fn allow(broker: &Broker, user: &Login, config: &Path) {
    let printed = user.trustline(config, &["topics", "acls"]).output().unwrap();
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    let commands = text(&printed.stdout);
    assert!(!commands.contains("cluster"), "nothing on the cluster is needed: {commands}");
    let tool = format!(
        "kafka-acls.sh() {{ shift 4; '{}' acls --port {} --dir '{}' \"$@\"; }}\nset -e\n",
        script().display(),
        broker.port,
        broker.dir.path().display()
    );
    let done = Command::new("bash").arg("-c").arg(format!("{tool}{commands}")).output().unwrap();
    assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
}

/// Takes one permission away at a time: `run` names it.
fn refused_without_one(broker: &Broker, user: &Login, config: &Path) {
    let cases: [(&[&str], &str, &str); 4] = [
        (&["--topic", "clickstream"], "Read", "it needs Read on topic clickstream"),
        (&["--topic", "t.person-events"], "Write", "it needs Write on topic t.person-events"),
        (&["--group", "trustline-detect"], "Read", "it needs Read on group trustline-detect"),
        (
            &["--transactional-id", "trustline-score-", "--resource-pattern-type", "prefixed"],
            "Write",
            "transactional id trustline-score-",
        ),
    ];
    for (resource, operation, told) in cases {
        let binding = [resource, &["--allow-principal", "User:trustline", "--operation", operation]].concat();
        broker.acls(&[&["--remove", "--force"], &binding[..]].concat());
        let said = user.refused(config, &["run"]);
        assert!(said.contains(told) && said.contains("trustline topics acls"), "{told}: {said}");
        broker.acls(&[&["--add"], &binding[..]].concat());
    }
}

/// Each stage logs in another way, all as the same principal: the output is that of a replay.
fn works(broker: &Broker, config: &Path, settings: &str, logins: &[Login; 3]) {
    let input = Input::read("as-stream-crowd");
    let expected = input.replay_under(settings);
    let connection = connect(broker, settings);
    let feeder = Feeder::new(&connection).unwrap();
    let feed = |source: Topic| {
        for (time, line) in input.lines.get(&source).into_iter().flatten() {
            feeder.send(source.symbol(), 0, *time, line.as_bytes()).unwrap();
        }
        feeder.flush().unwrap();
    };
    let records = |name: &str| -> Vec<Vec<u8>> {
        let partitions = read_topic(&connection, &format!("t.{name}")).unwrap();
        partitions.into_iter().flatten().map(|record| record.value).collect()
    };
    for source in [Topic::IdentityLinks, Topic::BrandIncidents] {
        feed(source);
    }
    let stages = ["route", "detect", "score"].into_iter().zip(logins);
    let mut instances: Vec<Instance> =
        stages.map(|(stage, login)| Instance::start(login, config, stage)).collect();
    let incidents = expected.ledger.accounts["brand-incidents"].applied as usize;
    wait_for("the incidents in the log", || records("brand-partials").len() >= incidents);
    for source in EVENTS {
        feed(source);
    }
    let last = input.last;
    let up_to = |name: &str, time: &str| {
        let values = records(name).into_iter().map(|value| serde_json::from_slice::<Value>(&value).unwrap());
        values.filter(|value| value[time].as_i64().is_some_and(|time| time <= last)).count()
    };
    let moments = expected.moments.iter().filter(|moment| moment.event_time <= last).count();
    let windows = expected.score.brand_trust.iter().filter(|window| window.window_end <= last).count();
    wait_for("all moments", || up_to("moments", "event_time") >= moments);
    wait_for("all windows", || up_to("brand-trust", "window_end") >= windows);
    for instance in &mut instances[1..] {
        instance.stop();
    }
    support::compare(&input, &expected, "on a secured cluster", records);

    // What is taken away while it runs ends it.
    let reading = ["--topic", "messages", "--allow-principal", "User:trustline", "--operation", "Read"];
    broker.acls(&[&["--remove", "--force"], &reading[..]].concat());
    let route = &mut instances[0];
    let mut status = None;
    wait_for("route to end", || {
        status = route.child.try_wait().unwrap();
        status.is_some()
    });
    let said = route.said();
    assert_eq!(status.unwrap().code(), REFUSED, "{said}");
    assert!(said.contains("messages") && said.contains("trustline topics acls"), "{said}");
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(300));
    }
}
