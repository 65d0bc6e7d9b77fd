//! `trustline completions`: completion of commands and options for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::out::print;
use super::{Cli, Failure};

/// Options of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    pub shell: Shell,
}

/// Runs the command.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "trustline", &mut script);
    print(&String::from_utf8_lossy(&script))
}
