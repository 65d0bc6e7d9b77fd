//! From the address in the configuration to a store.

use std::path::{Path as Folder, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, RetryConfig};

/// How long a request may take. Snapshots are large, and links between data centres can be slow.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Nothing reads a connection between two snapshots, so it is not taken up again.
const IDLE_CONNECTION: Duration = Duration::from_secs(1);

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An opened store.
pub(super) struct Opened {
    pub(super) store: Box<dyn ObjectStore>,
    /// What the names of snapshots are appended to.
    pub(super) prefix: Path,
    /// The folder, if it is one of this machine's.
    pub(super) folder: Option<PathBuf>,
}

/// Opens a store. `variables` of the environment hold what is not in the address: credentials, region, endpoint.
pub(super) fn open(url: &str, variables: &[(String, String)]) -> Result<Opened, Cause> {
    if let Some(path) = url.strip_prefix("file:") {
        return open_folder(Folder::new(path.strip_prefix("//").unwrap_or(path)));
    }
    if url == "memory:" {
        return Ok(Opened { store: Box::new(InMemory::new()), prefix: Path::default(), folder: None });
    }
    let (scheme, rest) = url.split_once("://").ok_or("it must begin with file:, s3://, gs:// or az://")?;
    let prefix = rest.split_once('/').map_or("", |(_, prefix)| prefix);
    let client = ClientOptions::new()
        .with_timeout(REQUEST_TIMEOUT)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_pool_idle_timeout(IDLE_CONNECTION);
    // The caller tries again: it is the one to know how long.
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    macro_rules! cloud {
        ($builder:ty) => {{
            let builder = <$builder>::new().with_url(url).with_client_options(client).with_retry(retry);
            let set = |builder: $builder, (key, value)| builder.with_config(key, value);
            Box::new(settings(variables).fold(builder, set).build()?) as Box<dyn ObjectStore>
        }};
    }
    let store = match scheme {
        "s3" => cloud!(AmazonS3Builder),
        "gs" => cloud!(GoogleCloudStorageBuilder),
        "az" => cloud!(MicrosoftAzureBuilder),
        other => return Err(format!("{other}:// is not supported").into()),
    };
    Ok(Opened { store, prefix: Path::parse(prefix.trim_matches('/'))?, folder: None })
}

fn open_folder(folder: &Folder) -> Result<Opened, Cause> {
    std::fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    let store = LocalFileSystem::new_with_prefix(&folder)?.with_fsync(true);
    Ok(Opened { store: Box::new(store), prefix: Path::default(), folder: Some(folder) })
}

/// The variables that set something of a store, such as `AWS_ACCESS_KEY_ID`.
fn settings<K: FromStr>(variables: &[(String, String)]) -> impl Iterator<Item = (K, &str)> {
    const OURS: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
    variables
        .iter()
        .filter(|(name, _)| OURS.iter().any(|ours| name.starts_with(ours)))
        .filter_map(|(name, value)| Some((name.to_lowercase().parse().ok()?, value.as_str())))
}
