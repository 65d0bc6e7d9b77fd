//! Calls to the registry. They block, for [`CALL_WAIT`] at most.

use std::time::Duration;

use reqwest::Certificate;
use reqwest::blocking::{Client as Http, RequestBuilder};
use schema_registry_converter::blocking::schema_registry::{
    SrSettings, get_all_versions, get_schema_by_id, perform_sr_call, post_schema,
};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{
    RawError, RawRegisteredSchema, SchemaType, SrCall, SuppliedSchema,
};
use serde_json::{Value, json};

use super::Level;
use crate::codec::confluent::SchemaId;
use crate::config::sections::Registry;
use crate::config::{Secret, SecretError};

/// How long a call may take.
const CALL_WAIT: Duration = Duration::from_secs(5);

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// The registry's codes for a subject, version, schema or setting that is not there.
const NOT_THERE: std::ops::RangeInclusive<u32> = 40_401..=40_499;

/// Why the registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It cannot be reached, or does not answer as a registry does. Trying again may help.
    #[error("{doing}: the schema registry cannot be used: {cause}")]
    Unavailable {
        /// What was being done.
        doing: String,
        /// Why it failed.
        cause: String,
    },
    /// It answers, and refuses.
    #[error("{doing}: the schema registry refuses: {cause}")]
    Refused {
        /// What was being done.
        doing: String,
        /// Its code and words.
        cause: String,
    },
    /// The secret cannot be read.
    #[error("cannot log in to the schema registry")]
    Secret(#[source] SecretError),
    /// The certificates cannot be read.
    #[error("cannot read the certificates in {file}, which registry.ca_file names")]
    Certificates {
        /// The file.
        file: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A version of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its number.
    pub version: u32,
    /// The id of its schema.
    pub id: SchemaId,
    /// Its schema.
    pub schema: String,
}

/// A client of one registry. Not printable: it holds a secret.
#[derive(Clone)]
pub struct Client {
    url: String,
    login: Login,
    settings: SrSettings,
    http: Http,
}

#[derive(Clone)]
enum Login {
    None,
    Basic { user: String, password: Secret },
    Bearer(Secret),
}

impl Client {
    /// The client of the registry that a configuration names, if it names one.
    ///
    /// # Errors
    /// When a secret or certificate cannot be read.
    pub fn of(settings: &Registry) -> Result<Option<Client>, RegistryError> {
        let Some(url) = &settings.url else { return Ok(None) };
        let secret = Secret::read(settings.secret_file.as_deref(), settings.secret_env.as_deref());
        let login = match (&settings.user, secret.map_err(RegistryError::Secret)?) {
            (_, None) => Login::None,
            (Some(user), Some(password)) => Login::Basic { user: user.clone(), password },
            (None, Some(token)) => Login::Bearer(token),
        };
        let authorities = settings.ca_file.as_deref().map(authorities).transpose()?;
        let builder = || {
            let builder = Http::builder().timeout(CALL_WAIT);
            match &authorities {
                Some(authorities) => builder.tls_certs_only(authorities.iter().cloned()),
                None => builder,
            }
        };
        let doing = "making the client";
        let failed = |cause: String| RegistryError::Unavailable { doing: doing.to_owned(), cause };
        let url = url.trim_end_matches('/').to_owned();
        let mut library = SrSettings::new_builder(url.clone());
        match &login {
            Login::None => {}
            Login::Basic { user, password } => {
                library.set_basic_authorization(user, Some(password.reveal()));
            }
            Login::Bearer(token) => {
                library.set_token_authorization(token.reveal());
            }
        }
        library.set_timeout(CALL_WAIT);
        let settings = library.build_with(builder()).map_err(|error| error_of(doing, &error))?;
        let http = builder().build().map_err(|error| failed(error.to_string()))?;
        Ok(Some(Client { url, login, settings, http }))
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The schema of an id, if the registry knows it.
    ///
    /// # Errors
    /// When the registry cannot be asked or refuses.
    pub fn schema(&self, id: SchemaId) -> Result<Option<String>, RegistryError> {
        let found = get_schema_by_id(id.0, &self.settings).map(|found| found.schema);
        if_there(found, &format!("fetching schema {}", id.0))
    }

    /// The id of a schema under a subject, if it is registered there.
    ///
    /// # Errors
    /// When the registry cannot be asked or refuses.
    pub fn id(&self, subject: &str, schema: &str) -> Result<Option<SchemaId>, RegistryError> {
        let doing = format!("looking the schema of {subject} up");
        let body = json!({ "schema": schema, "schemaType": "AVRO" }).to_string();
        let found = perform_sr_call(&self.settings, SrCall::PostForVersion(subject, &body));
        match if_there(found, &doing)? {
            Some(RawRegisteredSchema { id: Some(id), .. }) => Ok(Some(SchemaId(id))),
            Some(_) => Err(RegistryError::Unavailable { doing, cause: "the answer holds no id".to_owned() }),
            None => Ok(None),
        }
    }

    /// Registers a schema under a subject, or finds it there.
    ///
    /// # Errors
    /// When the registry cannot be asked, or refuses: a schema that is not compatible with earlier ones.
    pub fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError> {
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned());
        match post_schema(&self.settings, subject.to_owned(), supplied) {
            Ok(registered) => Ok(SchemaId(registered.id)),
            Err(error) => Err(error_of(&format!("registering the schema of {subject}"), &error)),
        }
    }

    /// The versions of a subject, oldest first; none if there is no such subject.
    ///
    /// # Errors
    /// When the registry cannot be asked or refuses.
    pub fn versions(&self, subject: &str) -> Result<Vec<u32>, RegistryError> {
        let found = get_all_versions(&self.settings, subject.to_owned());
        let found = if_there(found, &format!("listing the versions of {subject}"))?;
        let mut versions = found.unwrap_or_default();
        versions.sort_unstable();
        Ok(versions)
    }

    /// A version of a subject, if it is there.
    ///
    /// # Errors
    /// When the registry cannot be asked or refuses.
    pub fn version(&self, subject: &str, version: u32) -> Result<Option<Registered>, RegistryError> {
        let found = perform_sr_call(&self.settings, SrCall::GetBySubjectAndVersion(subject, version));
        let found = if_there(found, &format!("fetching version {version} of {subject}"))?;
        Ok(found
            .and_then(|found| Some(Registered { version, id: SchemaId(found.id?), schema: found.schema? })))
    }

    /// The compatibility level that is set for a subject itself.
    ///
    /// # Errors
    /// When the registry cannot be asked or refuses.
    pub fn level(&self, subject: &str) -> Result<Option<String>, RegistryError> {
        let doing = format!("asking for the compatibility level of {subject}");
        let answer = self.config(&doing, self.http.get(self.config_url(subject)))?;
        // Registries differ in the name that they answer under.
        let level = answer.and_then(|answer| {
            let level = answer.get("compatibilityLevel").or_else(|| answer.get("compatibility"));
            level.and_then(Value::as_str).map(str::to_owned)
        });
        Ok(level)
    }

    /// Sets the compatibility level of a subject.
    ///
    /// # Errors
    /// When the registry cannot be asked or refuses.
    pub fn set_level(&self, subject: &str, level: Level) -> Result<(), RegistryError> {
        let doing = format!("setting the compatibility level of {subject}");
        let body = json!({ "compatibility": level.name() }).to_string();
        let request = self.http.put(self.config_url(subject)).header("Content-Type", CONTENT_TYPE).body(body);
        match self.config(&doing, request)? {
            Some(_) => Ok(()),
            None => Err(RegistryError::Refused { doing, cause: "there is no such setting".to_owned() }),
        }
    }

    fn config_url(&self, subject: &str) -> String {
        format!("{}/config/{subject}", self.url)
    }

    /// A call that the library has no function for; `None` if what it is about is not there.
    fn config(&self, doing: &str, request: RequestBuilder) -> Result<Option<Value>, RegistryError> {
        let request = match &self.login {
            Login::None => request,
            Login::Basic { user, password } => request.basic_auth(user, Some(password.reveal())),
            Login::Bearer(token) => request.bearer_auth(token.reveal()),
        };
        let unavailable = |cause: String| RegistryError::Unavailable { doing: doing.to_owned(), cause };
        let response = request.send().map_err(|error| unavailable(chain(&error)))?;
        let status = response.status();
        let body = response.text().map_err(|error| unavailable(chain(&error)))?;
        if !status.is_success() {
            let code =
                serde_json::from_str::<RawError>(&body).map_err(|_| unavailable(status.to_string()))?;
            return refusal(doing, &code);
        }
        serde_json::from_str(&body).map(Some).map_err(|error| unavailable(error.to_string()))
    }
}

fn authorities(file: &str) -> Result<Vec<Certificate>, RegistryError> {
    let failed = |source| RegistryError::Certificates { file: file.to_owned(), source };
    let pem = std::fs::read(file).map_err(|error| failed(Box::new(error)))?;
    Certificate::from_pem_bundle(&pem).map_err(|error| failed(Box::new(error)))
}

fn if_there<T>(found: Result<T, SRCError>, doing: &str) -> Result<Option<T>, RegistryError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) => match code_of(&error) {
            Some(code) => refusal(doing, code),
            None => Err(error_of(doing, &error)),
        },
    }
}

/// What the registry said; `None` if it does not have what was asked for.
fn refusal<T>(doing: &str, code: &RawError) -> Result<Option<T>, RegistryError> {
    let (doing, cause) = (doing.to_owned(), format!("{} (code {})", code.message, code.error_code));
    match code.error_code {
        code if NOT_THERE.contains(&code) => Ok(None),
        // What an address without a registry says, and what a registry's own troubles are.
        0 | 404 | 500..=599 | 50_000.. => Err(RegistryError::Unavailable { doing, cause }),
        _ => Err(RegistryError::Refused { doing, cause }),
    }
}

fn error_of(doing: &str, error: &SRCError) -> RegistryError {
    let code = code_of(error);
    match code.map(|code| refusal::<()>(doing, code)) {
        Some(Err(error)) => error,
        Some(Ok(_)) | None => {
            // An answer without a code is none of a registry: its status says more than its text.
            let cause = if error.retriable { chain(error) } else { error.error.clone() };
            RegistryError::Unavailable { doing: doing.to_owned(), cause }
        }
    }
}

/// The registry's own answer behind an error, if it is one.
fn code_of(error: &SRCError) -> Option<&RawError> {
    std::error::Error::source(error)?.downcast_ref::<RawError>().filter(|code| code.error_code != 0)
}

/// The deepest cause says what happened; what is above it repeats the address.
fn chain(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests;
