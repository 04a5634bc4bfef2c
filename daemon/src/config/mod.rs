//! The configuration: flags over `HITKEEP_*` variables over a TOML file, as one validated value.
//!
//! Invariants:
//!
//! * A [`Config`] holds only values its setting allows; nothing after [`Config::load`] checks them again.
//! * Every name that is no setting, and every bad value, is an error that says where it stands; none is skipped.
//! * No setting is a secret: secrets are in files that settings name. So all of them can be printed.
//!
//! Parts, in reading order: [`key`] the table of settings, [`source`] gathers their text, [`value`] reads it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::HeaderName;
use ipnet::IpNet;
use url::Url;

mod error;
mod key;
mod source;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use error::Error;
pub(crate) use key::{Description, Key, SETTINGS};
pub(crate) use source::{Environment, Flags, Origin};

use source::Given;

/// What the daemon was told, validated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// Where to listen; port 0 asks for any free port.
    pub(crate) http_addr: SocketAddr,
    /// Where clients reach the daemon: its origin and path prefix.
    pub(crate) public_url: Url,
    /// The directory that holds everything.
    pub(crate) data_path: PathBuf,
    /// File that holds the owner token, instead of `<data_path>/admin.token`.
    pub(crate) admin_token_file: Option<PathBuf>,
    /// When a batch is synced.
    pub(crate) sync: SyncMode,
    /// Size at which a log is closed, 64 KiB to 1 GiB.
    pub(crate) segment_bytes: u64,
    /// Age at which a log is closed, 1 s to 365 days.
    pub(crate) segment_age: Duration,
    /// Bytes a second that merging segments may write, 64 KiB to 64 GiB.
    pub(crate) compaction_rate: u64,
    /// For how many days new sites keep events; 0 is for ever.
    pub(crate) data_retention_days: u32,
    /// Ingest requests a second and address; 0 is no limit.
    pub(crate) ingest_rate: f64,
    /// Ingest requests at once, at least 1.
    pub(crate) ingest_burst: u32,
    /// Other requests a second and address; 0 is no limit.
    pub(crate) api_rate: f64,
    /// Other requests at once, at least 1.
    pub(crate) api_burst: u32,
    /// Peers whose forwarded headers are believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The single-value header in which a trusted proxy names the client.
    pub(crate) client_ip_header: Option<HeaderName>,
    /// The least important messages that are logged.
    pub(crate) log_level: LogLevel,
}

/// When events are synced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncMode {
    /// Before the answer, each batch.
    Always,
    /// Once in this time; answers wait for it.
    Interval(Duration),
    /// Never by the daemon.
    Os,
}

/// How important a message must be to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// One setting as the daemon would use it: its value as text, and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) value: Option<String>,
    pub(crate) origin: Origin,
}

impl Config {
    /// Reads and validates every setting.
    ///
    /// # Errors
    ///
    /// [`Error`], for the first name or value that is not right. Nothing is created or opened but the file.
    pub(crate) fn load(flags: &Flags, environment: &Environment) -> Result<Config, Error> {
        Config::from_given(&Given::gather(flags, environment)?)
    }

    /// As [`Config::load`], with the origin of every value, in the order of [`SETTINGS`].
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub(crate) fn load_with_origins(flags: &Flags, environment: &Environment) -> Result<(Config, Vec<Setting>), Error> {
        let given = Given::gather(flags, environment)?;
        let config = Config::from_given(&given)?;
        let setting = |description: &Description| Setting {
            name: description.name,
            value: config.text(description.key),
            origin: given.text(description.key).map_or(Origin::Default, |(_, origin)| origin),
        };
        let settings = SETTINGS.iter().map(setting).collect();
        Ok((config, settings))
    }

    fn from_given(given: &Given) -> Result<Config, Error> {
        let http_addr = required(given, Key::HttpAddr, value::address)?;
        Ok(Config {
            http_addr,
            public_url: optional(given, Key::PublicUrl, value::public_url)?.unwrap_or_else(|| value::url_of(http_addr)),
            data_path: required(given, Key::DataPath, value::path)?,
            admin_token_file: optional(given, Key::AdminTokenFile, value::token_path)?,
            sync: required(given, Key::Sync, value::sync)?,
            segment_bytes: required(given, Key::SegmentBytes, value::segment_bytes)?,
            segment_age: required(given, Key::SegmentAge, value::segment_age)?,
            compaction_rate: required(given, Key::CompactionRate, value::compaction_rate)?,
            data_retention_days: required(given, Key::DataRetentionDays, value::retention_days)?,
            ingest_rate: required(given, Key::IngestRateLimit, value::rate)?,
            ingest_burst: required(given, Key::IngestBurst, value::burst)?,
            api_rate: required(given, Key::ApiRateLimit, value::rate)?,
            api_burst: required(given, Key::ApiBurst, value::burst)?,
            trusted_proxies: required(given, Key::TrustedProxies, value::networks)?,
            client_ip_header: optional(given, Key::ClientIpHeader, value::header)?,
            log_level: required(given, Key::LogLevel, value::log_level)?,
        })
    }

    /// The value of `key` in its shortest form; `None` for a setting that is not set.
    fn text(&self, key: Key) -> Option<String> {
        Some(match key {
            Key::HttpAddr => self.http_addr.to_string(),
            Key::PublicUrl => self.public_url.as_str().trim_end_matches('/').to_owned(),
            Key::DataPath => self.data_path.display().to_string(),
            Key::AdminTokenFile => self.admin_token_file.as_ref()?.display().to_string(),
            Key::Sync => self.sync.to_string(),
            Key::SegmentBytes => value::size_text(self.segment_bytes),
            Key::SegmentAge => value::duration_text(self.segment_age),
            Key::CompactionRate => value::size_text(self.compaction_rate),
            Key::DataRetentionDays => self.data_retention_days.to_string(),
            Key::IngestRateLimit => self.ingest_rate.to_string(),
            Key::IngestBurst => self.ingest_burst.to_string(),
            Key::ApiRateLimit => self.api_rate.to_string(),
            Key::ApiBurst => self.api_burst.to_string(),
            Key::TrustedProxies => value::networks_text(&self.trusted_proxies),
            Key::ClientIpHeader => self.client_ip_header.as_ref()?.to_string(),
            Key::LogLevel => self.log_level.to_string(),
        })
    }
}

impl Default for Config {
    /// What `hitkeepd serve` runs with when nothing is set.
    fn default() -> Config {
        Config::load(&Flags::default(), &Environment::default()).expect("every default is allowed")
    }
}

impl fmt::Display for SyncMode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SyncMode::Always => write!(out, "always"),
            SyncMode::Interval(interval) => {
                write!(out, "interval={}", value::duration_text(*interval))
            }
            SyncMode::Os => write!(out, "os"),
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        })
    }
}

/// The value of a setting that has a default.
fn required<T>(given: &Given, key: Key, parse: fn(&str) -> Option<T>) -> Result<T, Error> {
    let (text, origin) = given.text(key).expect("the setting has a default");
    parse(text).ok_or_else(|| bad_value(key, text, origin))
}

/// The value of a setting that may be absent: given nowhere, or given as nothing.
fn optional<T>(given: &Given, key: Key, parse: fn(&str) -> Option<T>) -> Result<Option<T>, Error> {
    match given.text(key) {
        None | Some(("", _)) => Ok(None),
        Some((text, origin)) => parse(text).map(Some).ok_or_else(|| bad_value(key, text, origin)),
    }
}

fn bad_value(key: Key, text: &str, origin: Origin) -> Error {
    let Description { name, allowed, .. } = *key.description();
    // A token where a path belongs must not reach a terminal or a log.
    let value = if value::looks_like_a_token(text) { "(a token)".to_owned() } else { text.escape_debug().to_string() };
    Error::BadValue { name, origin, value, allowed }
}
