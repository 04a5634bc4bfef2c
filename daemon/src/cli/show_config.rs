//! `hitkeepd config`: every setting with its source.

use std::io::Write;

use serde_json::json;

use super::args::ConfigArguments;
use super::error::Error;
use super::table;
use crate::config::{Config, Environment, Setting};

/// Prints the settings as `serve` would see them.
pub(crate) fn run(arguments: &ConfigArguments, environment: &Environment, out: &mut impl Write) -> Result<(), Error> {
    let (_, settings) = Config::load_with_origins(&arguments.settings.0, environment)?;
    if arguments.json {
        let rows: Vec<_> = settings.iter().map(as_json).collect();
        writeln!(out, "{}", serde_json::Value::Array(rows))?;
    } else {
        let rows = settings
            .iter()
            .map(|setting| [setting.name.to_owned(), setting.value.clone().unwrap_or_else(|| "-".to_owned()), setting.origin.to_string()]);
        write!(out, "{}", table::of(["setting", "value", "source"], rows))?;
    }
    Ok(())
}

fn as_json(setting: &Setting) -> serde_json::Value {
    json!({"setting": setting.name, "value": setting.value, "source": setting.origin.to_string()})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::ffi::OsString;

    use clap::Parser;

    use super::*;
    use crate::cli::args::{Arguments, Command};

    fn printed(line: &[&str], variables: &[(&str, &str)]) -> String {
        let Command::Config(arguments) = Arguments::try_parse_from(line).unwrap().command else { panic!("config was asked for") };
        let environment = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        let mut out = Vec::new();
        run(&arguments, &environment, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_setting_is_printed_with_its_source_and_no_secret() {
        let table = printed(&["hitkeepd", "config", "--http", ":0"], &[("HITKEEP_TOKEN", "the-token"), ("HITKEEP_SYNC", "os")]);
        let line = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(line("http-addr"), "http-addr [::]:0 --http-addr");
        assert_eq!(line("sync"), "sync os HITKEEP_SYNC");
        assert_eq!(line("segment-bytes"), "segment-bytes 64MiB default");
        assert_eq!(table.lines().count(), 1 + crate::config::SETTINGS.len());
        assert!(!table.contains("the-token"));
    }

    #[test]
    fn json_has_null_for_what_is_not_set() {
        let rows: serde_json::Value = serde_json::from_str(&printed(&["hitkeepd", "config", "--json"], &[])).unwrap();
        assert_eq!(rows[0], json!({"setting": "http-addr", "value": "127.0.0.1:8080", "source": "default"}));
        assert_eq!(rows[3]["value"], serde_json::Value::Null);
    }
}
