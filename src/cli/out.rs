//! What commands write to standard output.

use std::io::{ErrorKind, Write};

use super::Failure;

/// Standard output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
struct OutputError {
    source: std::io::Error,
}

/// What was found cannot be written as JSON.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the output as JSON")]
struct JsonError {
    source: serde_json::Error,
}

/// Writes a text to standard output. A reader that has left (`| head`) is no failure.
///
/// # Errors
/// When standard output cannot be written for any other reason.
pub fn print(text: &str) -> Result<(), Failure> {
    write_to(&mut std::io::stdout().lock(), text).map_err(|source| Failure::running(OutputError { source }))
}

/// Writes a value to standard output as JSON.
///
/// # Errors
/// When it cannot be written.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text =
        serde_json::to_string_pretty(value).map_err(|source| Failure::running(JsonError { source }))?;
    print(&format!("{text}\n"))
}

fn write_to(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_a_reader_that_left_is_no_failure() {
        assert!(write_to(&mut Broken(ErrorKind::BrokenPipe), "x").is_ok());
        assert!(write_to(&mut Broken(ErrorKind::StorageFull), "x").is_err());
        let mut out = Vec::new();
        write_to(&mut out, "x\n").unwrap();
        assert_eq!(out, b"x\n");
    }
}
