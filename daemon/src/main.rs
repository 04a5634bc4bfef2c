//! hitkeepd: an event store daemon that keeps every event it acknowledges, and its command line.
#![forbid(unsafe_code)]

use std::process::ExitCode;

mod cli;
mod config;

fn main() -> ExitCode {
    cli::run()
}
