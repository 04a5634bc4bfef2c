//! Why a configuration was refused.

use std::io;
use std::path::PathBuf;

use super::Origin;

/// The longest file of settings that is read.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why the settings could not be taken. Nothing starts with any of them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The file is longer than any file of settings.
    #[error("the configuration file {} is longer than {MAX_FILE_BYTES} bytes", path.display())]
    FileTooLong { path: PathBuf },
    /// The file is not TOML.
    #[error("the configuration file {} is not valid TOML", path.display())]
    Toml { path: PathBuf, source: Box<toml::de::Error> },
    /// A key of the file is no setting.
    #[error("unknown key `{key}` in {}{}", path.display(), suggestion(nearest.as_deref()))]
    UnknownKey { key: String, path: PathBuf, nearest: Option<String> },
    /// A variable begins with `HITKEEP_` and is no setting.
    #[error("unknown variable {variable}{}", suggestion(nearest.as_deref()))]
    UnknownVariable { variable: String, nearest: Option<String> },
    /// The older and the present name of one setting are both given.
    #[error("{first} and {second} are two names of one setting: keep one of them")]
    TwoNames { first: String, second: String },
    /// A value is not text.
    #[error("the value of {origin} is not valid UTF-8")]
    NotText { origin: Origin },
    /// A value is not of the kind the setting wants, or out of range.
    #[error("bad value `{value}` for {name} (from {origin}): it must be {allowed}")]
    BadValue { name: &'static str, origin: Origin, value: String, allowed: &'static str },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(|| ": `hitkeepd config --help` lists the settings".to_owned(), |name| format!(": did you mean {name}?"))
}
