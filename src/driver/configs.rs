//! The topic of configurations: what published records name by its hash. Keys are hashes, values the settings as a
//! TOML file, without secrets: those stand in files and the environment.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{Config, ConfigHash, Input, effective};
use crate::driver::stages::Names;
use crate::log::{Outgoing, Record};

/// The own topic.
pub const TOPIC: &str = "config";

/// Configurations by their hashes.
pub type Configs = BTreeMap<ConfigHash, Arc<Config>>;

/// A configuration as a record of the topic.
///
/// # Errors
/// When it cannot be written as TOML.
pub fn record(config: &Config) -> Result<Outgoing, toml::ser::Error> {
    Ok(Outgoing {
        topic: Names::of(config).own(TOPIC),
        partition: None,
        key: Some(config.hash().to_string().into_bytes()),
        value: effective(&config.settings)?.into_bytes(),
        headers: Vec::new(),
    })
}

/// Takes a record of the topic. One whose settings this build reads otherwise than its key says is passed over.
pub fn take(configs: &mut Configs, record: &Record) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let hash = record.key.as_deref().map(text).and_then(|key| ConfigHash::parse(&key));
    if let Some(config) = hash.and_then(|hash| under(hash, &text(&record.value))) {
        configs.insert(config.hash(), Arc::new(config));
    }
}

/// The configuration of a text that was kept under a hash, if this build reads the same in it.
pub fn under(hash: ConfigHash, text: &str) -> Option<Config> {
    Config::load(&Input::text(text)).ok().filter(|config| config.hash() == hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::TopicPartition;

    #[test]
    fn a_configuration_is_found_under_its_hash() {
        let config = Config::load(&Input::text("[windows]\nlengths = ['1h']")).unwrap();
        let Outgoing { topic, key, value, headers, .. } = record(&config).unwrap();
        assert_eq!(&*topic, "trustline.config");
        let from = TopicPartition { topic, partition: 0 };
        let record = Record { from, offset: 0, timestamp_ms: None, key, value, headers };
        let mut configs = Configs::new();
        take(&mut configs, &record);
        assert_eq!(configs.get(&config.hash()).map(|found| found.hash()), Some(config.hash()));
        let other = Record { value: b"[windows]\nlengths = ['1d']".to_vec(), ..record };
        take(&mut configs, &other);
        assert_eq!(configs.len(), 1, "what does not go with its key is passed over");
        assert_eq!(configs[&config.hash()].windows(), config.windows());
    }
}
