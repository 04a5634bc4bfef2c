//! `hitkeepd serve`: the daemon.

use std::process::ExitCode;

use super::args::ServeArguments;
use super::error::Error;
use crate::app;
use crate::config::{Config, Environment};

/// Runs the daemon until it is told to stop, and says what the process ends with.
pub(crate) fn run(arguments: &ServeArguments, environment: &Environment) -> Result<ExitCode, Error> {
    Ok(app::serve(Config::load(&arguments.settings.0, environment)?)?)
}
