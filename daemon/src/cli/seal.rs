//! `hitkeepd seal`: all that is stored becomes segments.

use std::io::Write;

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
        Some(sealed) => sealed,
        None => {
            let client = Client::new(flags, environment)?;
            let answer = client.send(Method::POST, &["api", "admin", "seal"], &json!({}))?;
            lookup::read(&client, answer)?
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

/// Seals the directory that was named on the command line, unless its daemon runs.
fn in_place(flags: &ClientFlags, environment: &Environment) -> Result<Option<Sealed>, Error> {
    let Some(data_path) = flags.data_path.as_ref().filter(|_| flags.url.is_none()) else { return Ok(None) };
    let settings = Flags { file: flags.config.clone(), values: [(Key::DataPath, data_path.clone())].into() };
    let config = Config::load(&settings, environment)?;
    if !app::is_used(&config.data_path) {
        return Ok(None);
    }
    match app::seal(&config) {
        Ok(totals) => Ok(Some(Sealed { segments: totals.segments as u64, rows: totals.rows })),
        Err(app::Error::Directory(format::Error::Locked { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
