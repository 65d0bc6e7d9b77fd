//! The schema registry as `run` begins with it.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::Failure;
use super::start::patiently;
use crate::config::sections::Registry;
use crate::driver::assembly::Assembly;
use crate::driver::stages::encoder::Encoder;
use crate::registry::{
    Client, Folder, Limits, OutputIdsError, RegistryError, Schemas, keep_output_ids, output_ids,
};
use crate::telemetry::occurrence::SchemasNotKept;

/// The longest wait between two calls to a registry that is down.
const ASK_EVERY_MAX: Duration = Duration::from_secs(5);

/// How long a schema that the registry does not know stays missing before it is asked for again.
const MISSING_FOR: Duration = Duration::from_secs(60);

/// Lets the stages write and read Avro, if a registry is configured. Waits for one that is down, unless what was
/// kept of it is enough. Returns whether to go on: `false` if told to stop meanwhile.
/// Each cause of a delay is `delayed` once.
pub(super) fn connect(
    assembly: &mut Assembly,
    stop: &AtomicBool,
    delayed: impl FnMut(&str),
) -> Result<bool, Failure> {
    let settings = assembly.config().settings.registry.clone();
    let Some(client) = Client::of(&settings).map_err(Failure::usage)? else { return Ok(true) };
    let folder = Folder::of(Path::new(&settings.schemas_folder), client.url());
    let prefix = assembly.config().settings.own_topics.topic_prefix.clone();
    let is_passing =
        |error: &OutputIdsError| matches!(error, OutputIdsError::Registry(RegistryError::Unavailable { .. }));
    let ask = || output_ids(&client, &folder, &prefix);
    let ids = patiently(stop, ASK_EVERY_MAX, is_passing, ask, delayed).map_err(|error| match error {
        OutputIdsError::Missing(_) => Failure::usage(error),
        OutputIdsError::Registry(_) => Failure::running(error),
    })?;
    let Some(ids) = ids else { return Ok(false) };
    if let Err(error) = keep_output_ids(&ids, &folder, &prefix) {
        SchemasNotKept { folder: &folder.path().display(), cause: &error }.note();
    }
    assembly.encoder = Encoder::avro(ids);
    assembly.schemas = Some(schemas(client, folder, &settings));
    Ok(true)
}

/// The schemas of source records, if a registry is configured.
pub(super) fn source_schemas(settings: &Registry) -> Result<Option<Schemas>, Failure> {
    let Some(client) = Client::of(settings).map_err(Failure::usage)? else { return Ok(None) };
    let folder = Folder::of(Path::new(&settings.schemas_folder), client.url());
    Ok(Some(schemas(client, folder, settings)))
}

fn schemas(client: Client, folder: Folder, settings: &Registry) -> Schemas {
    let fetch = move |id| client.schema(id);
    Schemas::new(fetch, folder, limits(settings))
}

fn limits(settings: &Registry) -> Limits {
    let missing_after_ms = u64::try_from(settings.unknown_schema_after_ms).unwrap_or(0);
    Limits {
        missing_after: Duration::from_millis(missing_after_ms),
        ask_every_max: ASK_EVERY_MAX,
        missing_for: MISSING_FOR,
    }
}
