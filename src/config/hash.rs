//! The name of a configuration: a hash over the settings that the folds read.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::{Config, TopicSettings};
use crate::event::kinds::Topic;

/// What the folds read as it stands in the file. `patterns` and `override` go in resolved, topics too.
const FOLDED: &[&str] = &[
    "time.max_future_skew_ms",
    "time.dup_ids_max",
    "windows",
    "score",
    "consent",
    "identity",
    "privacy.key_name",
];

/// Hash of a configuration, in lower-case hexadecimal digits when printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigHash(pub [u8; 16]);

impl ConfigHash {
    /// The hash that was printed.
    pub fn parse(text: &str) -> Option<ConfigHash> {
        let mut hash = [0; 16];
        if text.len() != 2 * hash.len() || !text.is_ascii() {
            return None;
        }
        for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
        }
        Some(ConfigHash(hash))
    }
}

impl std::fmt::Display for ConfigHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The hash covers values, not text: order, comments and defaults written out change nothing.
pub(super) fn of(config: &Config) -> Result<ConfigHash, serde_json::Error> {
    let settings = serde_json::to_value(&config.settings)?;
    let mut canonical = String::from("trustline configuration 1\n");
    for path in FOLDED {
        let value = path.split('.').try_fold(&settings, |value, key| value.get(key)).unwrap_or(&Json::Null);
        line(&mut canonical, path, value);
    }
    for topic in Topic::ALL {
        let TopicSettings { format, holds_frontier, out_of_orderness_ms, late_memory_ms, .. } =
            config.topic(*topic);
        let value = json!([format, holds_frontier, out_of_orderness_ms, late_memory_ms]);
        line(&mut canonical, topic.symbol(), &value);
    }
    for one in &config.rules {
        line(&mut canonical, "patterns", &json!([one.brand, one.jurisdiction, one.rules]));
    }
    let mut hash = [0; 16];
    hash.copy_from_slice(blake3::hash(canonical.as_bytes()).as_bytes().split_at(16).0);
    Ok(ConfigHash(hash))
}

fn line(canonical: &mut String, name: &str, value: &Json) {
    canonical.push_str(name);
    canonical.push(' ');
    write_sorted(canonical, value);
    canonical.push('\n');
}

/// Writes JSON with sorted keys, whatever order the map keeps.
fn write_sorted(out: &mut String, value: &Json) {
    match value {
        Json::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for key in keys {
                out.push_str(&Json::from(key.as_str()).to_string());
                out.push(':');
                write_sorted(out, map.get(key).unwrap_or(&Json::Null));
                out.push(',');
            }
            out.push('}');
        }
        Json::Array(items) => {
            out.push('[');
            for item in items {
                write_sorted(out, item);
                out.push(',');
            }
            out.push(']');
        }
        // Writing into a string cannot fail.
        scalar => write!(out, "{scalar}").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Input};

    fn hash(text: &str) -> ConfigHash {
        Config::load(&Input::text(text)).unwrap().hash()
    }

    #[test]
    fn every_folded_setting_exists() {
        let settings = serde_json::to_value(Config::default().settings).unwrap();
        for path in FOLDED {
            let found = path.split('.').try_fold(&settings, |value, key| value.get(key));
            assert!(found.is_some(), "{path}");
        }
    }

    #[test]
    fn only_what_folds_read_changes_it() {
        let default = hash("");
        assert_eq!(default.to_string().len(), 32);
        for same in [
            "# a comment\n[patterns]\nemail_opens = false",
            "[windows]\nlengths = ['1h', '1d']",
            "[topics.clickstream]\nlate_memory_ms = 3_600_000\nname = 'clicks'",
            "[kafka]\nbrokers = ['b:9092']\n[telemetry]\nlevel = 'debug'\n[state]\nurl = 's3://b/x'",
            "[time]\nmax_lead_ms = 60_000",
        ] {
            assert_eq!(hash(same), default, "{same}");
        }
        let others = [
            "[patterns]\nemail_opens = true",
            "[patterns.consent_nagging]\nweights = [-0.45, -0.675, -0.91]",
            "[[override]]\nbrand = 'a'\n[override.patterns]\nemail_opens = true",
            "[[override]]\nbrand = 'b'\n[override.patterns]\nemail_opens = true",
            "[[override]]\njurisdiction = 'DE'\n[override.patterns]\nemail_opens = true",
            "[windows]\nlengths = ['1h']",
            "[time]\nlate_memory_ms = 1",
            "[topics.clickstream]\nlate_memory_ms = 1",
            "[topics.clickstream]\nformat = 'json'",
            "[topics.clickstream]\nholds_frontier = false",
            "[identity]\naccepted = ['AUTHENTICATED']",
            "[privacy]\nkey_name = 'other'",
            "[score]\nmin_persons = 60",
            "[consent]\ngpc_jurisdictions = ['US']",
        ];
        let mut hashes: Vec<ConfigHash> = others.iter().map(|text| hash(text)).collect();
        hashes.push(default);
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), others.len() + 1);
    }
}
