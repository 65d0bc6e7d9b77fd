//! The `trustline` binary.

use std::process::ExitCode;

use clap::Parser;
use trustline::cli::{self, Cli};

fn main() -> ExitCode {
    cli::run(&Cli::parse()).into()
}
