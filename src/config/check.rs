//! Relations between settings, which the shape alone does not show.

use std::net::SocketAddr;

use super::problem::{Place, Problem, Problems};
use super::sections::{Format, GroupProtocol, Kafka, Mechanism};
use super::settings::Settings;
use super::tree::{Node, Value};
use super::{Config, Topic};
use crate::event::mapping::MappingProblem;

/// Of the 249 bytes that brokers take, without the number of a worker.
const INSTANCE_NAME_MAX: usize = 240;

/// Checks the relations between the settings of a configuration.
pub(super) fn check(config: &Config, tree: &Node, problems: &mut Problems) {
    let mut report = Report { tree, problems, found: Vec::new() };
    let settings = &config.settings;
    report.thresholds(&["patterns"], tree.get(&["patterns"]));
    report.overrides(settings);
    report.inputs(settings);
    report.windows(settings);
    report.folds(settings);
    report.time(config);
    report.topics(config);
    report.process(settings);
    report.kafka(settings);
    report.registry(settings);
    let Report { found, .. } = report;
    problems.list.extend(found);
}

struct Report<'a> {
    tree: &'a Node,
    /// What the shape already showed: a setting in it now has its default, which proves nothing.
    problems: &'a Problems,
    found: Vec<Problem>,
}

impl Report<'_> {
    /// Reports the first setting, unless one of those involved is already known to be wrong.
    fn broken(&mut self, involved: &[&str], message: impl Into<String>) {
        let Some(first) = involved.first() else { return };
        if involved.iter().any(|path| self.problems.concern(path)) {
            return;
        }
        // The place of the first of them that was set: the others are defaults.
        let set = involved.iter().find_map(|path| {
            let keys: Vec<&str> = path.split('.').collect();
            self.tree.get(&keys).map(|node| (*path, node))
        });
        let (path, place, value) = match set {
            Some((path, node)) => (path, node.place.clone(), Some(node.show())),
            None => (*first, Place::Default, None),
        };
        self.found.push(Problem { place, path: path.to_owned(), value, message: message.into() });
    }

    /// Counts for severity 1, 2, 3 must not fall.
    fn thresholds(&mut self, path: &[&str], node: Option<&Node>) {
        let Some(node) = node else { return };
        match &node.value {
            Value::Table(entries) => {
                for (key, entry) in entries {
                    self.thresholds(&[path, &[key.as_str()]].concat(), Some(&entry.node));
                }
            }
            Value::List(items) => {
                let counts: Vec<i64> = items
                    .iter()
                    .filter_map(|item| if let Value::Integer(n) = item.value { Some(n) } else { None })
                    .collect();
                let is_weights = path.last() == Some(&"weights");
                if !is_weights && !counts.is_sorted() {
                    self.found.push(Problem {
                        place: node.place.clone(),
                        path: path.join("."),
                        value: Some(node.show()),
                        message: "must not fall: a higher severity cannot need less".to_owned(),
                    });
                }
            }
            _ => {}
        }
    }

    fn overrides(&mut self, settings: &Settings) {
        let Some(Node { value: Value::List(items), .. }) = self.tree.get(&["override"]) else { return };
        for (at, node) in items.iter().enumerate() {
            let path = format!("override[{at}]");
            self.thresholds(&[&path, "patterns"], node.get(&["patterns"]));
            if self.problems.concern(&path) {
                continue;
            }
            let Some(one) = settings.overrides.get(at) else { continue };
            let mut report = |key: Option<&str>, message: &str| {
                let found = key.and_then(|key| node.get(&[key]));
                self.found.push(Problem {
                    place: found.unwrap_or(node).place.clone(),
                    path: key.map_or(path.clone(), |key| format!("{path}.{key}")),
                    value: found.map(Node::show),
                    message: message.to_owned(),
                });
            };
            if one.brand.is_none() && one.jurisdiction.is_none() {
                report(
                    None,
                    "needs `brand`, `jurisdiction` or both; what holds for all stands in [patterns]",
                );
            }
            if one.brand.as_ref().is_some_and(|brand| brand.len() > 256) {
                report(Some("brand"), "must have at most 256 bytes, as every brand id");
            }
            if one.jurisdiction.as_deref().is_some_and(|place| !is_jurisdiction(place)) {
                report(
                    Some("jurisdiction"),
                    "must be an ISO 3166 country such as \"DE\", or one with a region such as \"US-CA\"",
                );
            }
            let twin = settings
                .overrides
                .iter()
                .take(at)
                .any(|other| (&other.brand, &other.jurisdiction) == (&one.brand, &one.jurisdiction));
            if twin {
                report(None, "has the same brand and jurisdiction as an earlier one; put them together");
            }
        }
    }

    fn inputs(&mut self, settings: &Settings) {
        let Some(Node { value: Value::List(items), .. }) = self.tree.get(&["input"]) else { return };
        for (at, (node, one)) in items.iter().zip(&settings.inputs).enumerate() {
            let path = format!("input[{at}]");
            if self.problems.concern(&path) {
                continue;
            }
            for MappingProblem { at, problem } in one.problems() {
                let keys: Vec<&str> = at.split('.').collect();
                let found = node.get(&keys);
                self.found.push(Problem {
                    place: found.unwrap_or(node).place.clone(),
                    path: format!("{path}.{at}"),
                    value: found.map(Node::show),
                    message: problem,
                });
            }
        }
    }

    /// What the sections of the folds say of themselves.
    fn folds(&mut self, settings: &Settings) {
        for problem in settings.score.problems() {
            self.broken(&[&format!("score.{}", problem.path)], format!("must be {}", problem.allowed));
        }
        if !settings.consent.gpc_jurisdictions.iter().all(|place| is_jurisdiction(place)) {
            let message =
                "each must be an ISO 3166 country such as \"CA\", or one with a region such as \"US-CA\"";
            self.broken(&["consent.gpc_jurisdictions"], message);
        }
    }

    fn windows(&mut self, settings: &Settings) {
        let lengths = &settings.windows.lengths;
        if (1..lengths.len()).any(|at| lengths.iter().take(at).any(|other| Some(other) == lengths.get(at))) {
            self.broken(&["windows.lengths"], "must name each length once");
        }
    }

    fn time(&mut self, config: &Config) {
        let lags: Vec<i64> = config
            .topics()
            .filter(|(_, topic)| topic.holds_frontier)
            .map(|(_, topic)| topic.out_of_orderness_ms)
            .collect();
        let spread = lags.iter().max().unwrap_or(&0) - lags.iter().min().unwrap_or(&0);
        if spread >= config.settings.time.max_lead_ms {
            let message = format!(
                "must be above {spread}, the difference between the topics' out_of_orderness_ms; otherwise the topic with the least of it is always paused"
            );
            self.broken(&["time.max_lead_ms", "time.out_of_orderness_ms", "topics"], message);
        }
    }

    fn topics(&mut self, config: &Config) {
        if !config.topics().any(|(_, topic)| topic.holds_frontier) {
            self.broken(&["topics"], "at least one topic must hold the frontier, or time stands still");
        }
        let prefix = &config.settings.own_topics.topic_prefix;
        for (topic, settings) in config.topics() {
            if settings.format == Format::Avro && config.settings.registry.url.is_none() {
                let message = "needs registry.url: Avro records name their schema by its id in a registry";
                self.broken(&[&format!("topics.{}.format", topic.symbol())], message);
            }
            let path = format!("topics.{}.name", topic.symbol());
            let twin = config
                .topics()
                .take_while(|(other, _)| *other != topic)
                .any(|(_, t)| t.name == settings.name);
            if twin {
                self.broken(&[&path], "must be another topic than the others");
            }
            if settings.name.starts_with(prefix.as_str()) {
                self.broken(
                    &[&path, "own_topics.topic_prefix"],
                    "a source topic's name must not start with own_topics.topic_prefix",
                );
            }
            if !is_topic_name(&settings.name) {
                self.broken(&[&path], "must be a Kafka topic: up to 249 letters, digits, `.`, `_` and `-`");
            }
        }
        if !is_topic_name(prefix) || prefix.len() > 200 {
            self.broken(&["own_topics.topic_prefix"], "must be up to 200 letters, digits, `.`, `_` and `-`");
        }
    }

    fn process(&mut self, settings: &Settings) {
        let privacy = &settings.privacy;
        if privacy.key_file.is_some() && privacy.key_env.is_some() {
            self.broken(&["privacy.key_file"], "give the key by file or by environment variable, not both");
        }
        if settings.http.listen.parse::<SocketAddr>().is_err() {
            self.broken(&["http.listen"], "must be an IP address and a port, for example \"127.0.0.1:9464\"");
        }
        let schemes = ["file:", "s3://", "gs://", "az://"];
        if !schemes
            .iter()
            .any(|scheme| settings.state.url.strip_prefix(scheme).is_some_and(|r| !r.is_empty()))
        {
            self.broken(
                &["state.url"],
                "must be `file:` and a folder, or start with `s3://`, `gs://` or `az://`",
            );
        }
        let run = &settings.run;
        if run.stalled_exit_after_ms <= run.stalled_after_ms {
            self.broken(
                &["run.stalled_exit_after_ms", "run.stalled_after_ms"],
                "run.stalled_exit_after_ms must be above run.stalled_after_ms",
            );
        }
        if run.step_time_ms >= settings.kafka.transaction_timeout_ms {
            self.broken(
                &["run.step_time_ms", "kafka.transaction_timeout_ms"],
                "run.step_time_ms must be below kafka.transaction_timeout_ms",
            );
        }
    }

    fn kafka(&mut self, settings: &Settings) {
        let kafka = &settings.kafka;
        match kafka.group_protocol {
            GroupProtocol::Classic if kafka.session_timeout_ms > kafka.max_poll_interval_ms => self.broken(
                &["kafka.session_timeout_ms", "kafka.max_poll_interval_ms"],
                "kafka.session_timeout_ms must not be above kafka.max_poll_interval_ms",
            ),
            GroupProtocol::Consumer if kafka.session_timeout_ms != Kafka::default().session_timeout_ms => self
                .broken(
                    &["kafka.session_timeout_ms", "kafka.group_protocol"],
                    "is the brokers' with group_protocol = \"consumer\": leave it out, set their group.consumer.session.timeout.ms",
                ),
            _ => {}
        }
        let is_name = |name: &String| {
            let may_be = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            name.len() <= INSTANCE_NAME_MAX && name.bytes().all(may_be)
        };
        if kafka.static_membership && !kafka.instance_id.as_ref().is_none_or(is_name) {
            self.broken(
                &["kafka.instance_id", "kafka.static_membership"],
                "with static_membership brokers take up to 240 letters, digits, `.`, `_` and `-`",
            );
        }
        if kafka.brokers.iter().any(|broker| !is_host_and_port(broker)) {
            self.broken(&["kafka.brokers"], "each must be `host:port`");
        }
        if kafka.cert_file.is_some() != kafka.cert_key_file.is_some() {
            self.broken(
                &["kafka.cert_file", "kafka.cert_key_file"],
                "cert_file and cert_key_file belong together",
            );
        }
        if !kafka.security.has_tls() {
            for (path, value) in [("kafka.ca_file", &kafka.ca_file), ("kafka.cert_file", &kafka.cert_file)] {
                if value.is_some() {
                    self.broken(&[path, "kafka.security"], "needs security = \"ssl\" or \"sasl_ssl\"");
                }
            }
        }
        if kafka.security.has_login() {
            self.login(settings);
        } else if kafka.mechanism.is_some() {
            let message = "needs security = \"sasl_ssl\" or \"sasl_plaintext\"";
            self.broken(&["kafka.mechanism", "kafka.security"], message);
        }
    }

    fn login(&mut self, settings: &Settings) {
        let kafka = &settings.kafka;
        let Some(mechanism) = kafka.mechanism else {
            return self.broken(&["kafka.security", "kafka.mechanism"], "a log-in needs kafka.mechanism");
        };
        if kafka.user.is_none() {
            self.broken(&["kafka.mechanism", "kafka.user"], "needs kafka.user");
        }
        match (&kafka.password_file, &kafka.password_env) {
            (None, None) => self.broken(
                &["kafka.mechanism", "kafka.password_file", "kafka.password_env"],
                "needs kafka.password_file or kafka.password_env",
            ),
            (Some(_), Some(_)) => {
                self.broken(
                    &["kafka.password_file"],
                    "give the password by file or by environment variable, not both",
                );
            }
            _ => {}
        }
        let is_oauth = mechanism == Mechanism::OauthBearer;
        if is_oauth && kafka.token_url.is_none() {
            self.broken(&["kafka.mechanism", "kafka.token_url"], "needs kafka.token_url");
        }
        for (path, value) in [
            ("kafka.token_url", &kafka.token_url),
            ("kafka.token_scope", &kafka.token_scope),
            ("kafka.token_ca_file", &kafka.token_ca_file),
        ] {
            if !is_oauth && value.is_some() {
                self.broken(&[path, "kafka.mechanism"], "is for mechanism = \"OAUTHBEARER\" only");
            }
        }
    }

    fn registry(&mut self, settings: &Settings) {
        let registry = &settings.registry;
        let is_http = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if registry.url.as_ref().is_some_and(|url| !is_http(url)) {
            self.broken(&["registry.url"], "must start with `http://` or `https://`");
        }
        if registry.url.as_ref().is_some_and(|url| url.contains('@')) {
            // A password in the address would be printed with it.
            self.found.retain(|problem| problem.path != "registry.url");
            self.found.push(Problem {
                place: self.tree.get(&["registry", "url"]).map_or(Place::Default, |node| node.place.clone()),
                path: "registry.url".to_owned(),
                value: None,
                message: "must hold no user or password; see registry.user and registry.secret_file"
                    .to_owned(),
            });
        }
        let has_secret = registry.secret_file.is_some() || registry.secret_env.is_some();
        if registry.secret_file.is_some() && registry.secret_env.is_some() {
            self.broken(
                &["registry.secret_file"],
                "give the secret by file or by environment variable, not both",
            );
        }
        if registry.user.is_some() && !has_secret {
            self.broken(&["registry.user"], "needs registry.secret_file or registry.secret_env");
        }
    }
}

fn is_jurisdiction(text: &str) -> bool {
    let (country, region) = text.split_once('-').map_or((text, None), |(c, r)| (c, Some(r)));
    let country_fits = country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
    let region_fits = region.is_none_or(|region| {
        (1..=3).contains(&region.len())
            && region.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    });
    country_fits && region_fits
}

fn is_topic_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name.bytes().all(legal) && name != "." && name != ".."
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// The topics of the checks, in the order of their names.
impl Config {
    fn topics(&self) -> impl Iterator<Item = (Topic, &super::TopicSettings)> {
        Topic::ALL.iter().map(|topic| (*topic, self.topic(*topic)))
    }
}
