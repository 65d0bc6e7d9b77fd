//! Secrets: from a file or the environment, never printed.

/// A secret text. It cannot be printed.
#[derive(Clone)]
pub struct Secret(String);

/// A secret cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// From a file.
    #[error("cannot read the secret in {file}")]
    File {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// From the environment.
    #[error("the environment variable {name}, which should hold a secret, is not set")]
    Variable {
        /// The variable.
        name: String,
    },
}

impl Secret {
    /// Reads the secret of a file, without the line's end, or of an environment variable; none if neither is named.
    ///
    /// # Errors
    /// When the one that is named cannot be read.
    pub fn read(file: Option<&str>, variable: Option<&str>) -> Result<Option<Secret>, SecretError> {
        match (file, variable) {
            (Some(file), _) => {
                let read = std::fs::read_to_string(file);
                let text = read.map_err(|source| SecretError::File { file: file.to_owned(), source })?;
                Ok(Some(Secret(text.trim_end_matches(['\r', '\n']).to_owned())))
            }
            (None, Some(name)) => {
                let value =
                    std::env::var(name).map_err(|_| SecretError::Variable { name: name.to_owned() })?;
                Ok(Some(Secret(value)))
            }
            (None, None) => Ok(None),
        }
    }

    /// The text, for whoever has to send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}
