//! `hitkeepd seal`: all that is stored becomes segments.

use std::io::Write;
use std::path::PathBuf;

use serde_json::json;
use ureq::http::Method;

use super::args::{ClientFlags, SealArguments};
use super::client::Client;
use super::error::Error;
use super::lookup;
use crate::app;
use crate::config::{Config, Environment, Flags, Key};

/// How much is sealed.
#[derive(serde::Deserialize)]
struct Sealed {
    segments: u64,
    rows: u64,
}

/// Asks the daemon, or does it in its place, and prints how much is sealed.
pub(crate) fn run(arguments: &SealArguments, environment: &Environment, out: &mut impl Write) -> Result<(), Error> {
    let flags = &arguments.client;
    let sealed = match in_place(flags, environment)? {
        Done::Sealed(sealed) => sealed,
        Done::Nothing(directory) => {
            let client = Client::new(flags, environment)?;
            let answer = client.send(Method::POST, &["api", "admin", "seal"], &json!({}));
            lookup::read(&client, answer.map_err(|error| explain(error, directory))?)?
        }
    };
    let Sealed { segments, rows } = sealed;
    if flags.json {
        writeln!(out, "{}", json!({ "segments": segments, "rows": rows }))?;
    } else {
        writeln!(out, "{rows} events in {segments} {}", if segments == 1 { "segment" } else { "segments" })?;
    }
    Ok(())
}

/// What came of sealing a directory.
enum Done {
    Sealed(Sealed),
    /// A daemon has to be asked.
    Nothing(Directory),
}

/// The directory on the command line.
enum Directory {
    /// There is none, or where the daemon listens is named too.
    NotAsked,
    /// No daemon has kept its data there.
    Unused(PathBuf),
    /// A process holds it.
    Locked(PathBuf),
}

/// Says what is known of the directory where no daemon answers.
fn explain(error: Error, directory: Directory) -> Error {
    match (error, directory) {
        (Error::NoAnswer { url, source }, Directory::Locked(path)) => Error::ListensElsewhere { path, url, source },
        (Error::NoAnswer { .. }, Directory::Unused(path)) if !path.exists() => Error::NoDirectory { path },
        (Error::NoAnswer { .. }, Directory::Unused(path)) => Error::NoDataDirectory { path },
        (error, _) => error,
    }
}

/// Seals the directory that was named on the command line, unless its daemon runs.
fn in_place(flags: &ClientFlags, environment: &Environment) -> Result<Done, Error> {
    let named = flags.data_path.as_ref().filter(|_| flags.url.is_none());
    let Some(data_path) = named else { return Ok(Done::Nothing(Directory::NotAsked)) };
    let settings = Flags { file: flags.config.clone(), values: [(Key::DataPath, data_path.clone())].into() };
    let config = Config::load(&settings, environment)?;
    if !app::is_used(&config.data_path) {
        return Ok(Done::Nothing(Directory::Unused(config.data_path)));
    }
    match app::seal(&config) {
        Ok(totals) => Ok(Done::Sealed(Sealed { segments: totals.segments as u64, rows: totals.rows })),
        Err(app::Error::Directory(format::Error::Locked { .. })) => Ok(Done::Nothing(Directory::Locked(config.data_path))),
        Err(error) => Err(error.into()),
    }
}
