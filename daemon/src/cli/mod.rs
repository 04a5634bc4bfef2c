//! The command line: the daemon's start, its settings, and the client that talks to a running daemon.
//!
//! Every command prints its answer to stdout and everything else to stderr. Exit codes: 0 done, 1 failed,
//! 2 the command line or the configuration is not right.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::config::Environment;

pub(crate) mod args;
mod client;
mod error;
mod goal;
mod import;
mod inspect;
mod lookup;
mod query;
mod range;
mod seal;
mod serve;
mod settings;
mod show_config;
mod site;
#[cfg(test)]
mod stub;
mod table;
mod token;
mod verify;

use args::{Arguments, Command};
use error::Error;

/// Parses the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    let environment = Environment::of_this_process();
    match dispatch(Arguments::parse().command, &environment) {
        Ok(code) => code,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            // A closed stderr leaves nobody to tell.
            let _ = writeln!(io::stderr(), "hitkeepd: {}", with_causes(&error));
            error.exit_code()
        }
    }
}

fn dispatch(command: Command, environment: &Environment) -> Result<ExitCode, Error> {
    let out = &mut io::stdout();
    match command {
        Command::Serve(arguments) => return serve::run(&arguments, environment),
        Command::Config(arguments) => show_config::run(&arguments, environment, out)?,
        Command::Site(arguments) => site::run(arguments, environment, out)?,
        Command::Goal(arguments) => goal::run(arguments, environment, out)?,
        Command::Query(arguments) => query::run(arguments, environment, out)?,
        Command::Import(arguments) => {
            if !import::run(&arguments, environment, out)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Seal(arguments) => seal::run(&arguments, environment, out)?,
        Command::Token(arguments) => token::run(&arguments, environment, out)?,
        Command::Verify(arguments) => {
            if !verify::run(&arguments, environment, out)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Inspect(arguments) => inspect::run(&arguments, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The message of `error` and of what caused it, each once.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}
