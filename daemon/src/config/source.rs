//! Where values come from: flags over variables over the file over defaults.
//!
//! Gathers text only; what the text means is decided in [`super::value`]. Refuses every name that is no setting.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::{Error, MAX_FILE_BYTES};
use super::key::{Description, Key, SETTINGS};

/// Variables that begin with `HITKEEP_` and belong to the command line, not to the daemon.
const CLIENT_VARIABLES: [&str; 4] = ["HITKEEP_CONFIG", "HITKEEP_URL", "HITKEEP_TOKEN", "HITKEEP_TOKEN_FILE"];

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag(&'static str),
    Variable(String),
    File(PathBuf),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(name) => write!(out, "--{name}"),
            Origin::Variable(name) => write!(out, "{name}"),
            Origin::File(path) => write!(out, "{}", path.display()),
            Origin::Default => write!(out, "default"),
        }
    }
}

/// The settings given as flags, and the file named by `--config`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) file: Option<PathBuf>,
    pub(crate) values: BTreeMap<Key, String>,
}

/// The variables of this process that begin with `HITKEEP_`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// The variables this process was started with.
    pub(crate) fn of_this_process() -> Environment {
        std::env::vars_os().collect()
    }

    /// The value of `variable`; `None` when it is not set or empty.
    ///
    /// # Errors
    ///
    /// [`Error::NotText`].
    pub(crate) fn text(&self, variable: &str) -> Result<Option<&str>, Error> {
        match self.0.get(variable).map(|value| value.to_str()) {
            Some(Some(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(None) => Err(Error::NotText { origin: Origin::Variable(variable.to_owned()) }),
            None => Ok(None),
        }
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Environment {
        let ours = variables.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Environment(ours.filter(|(name, _)| name.starts_with("HITKEEP_")).collect())
    }
}

/// The text of every setting that is given somewhere, from the strongest source, and its origin.
pub(super) struct Given(BTreeMap<Key, (String, Origin)>);

impl Given {
    /// Gathers flags, variables and the file.
    pub(super) fn gather(flags: &Flags, environment: &Environment) -> Result<Given, Error> {
        let file = match &flags.file {
            Some(path) => Some(path.clone()),
            None => environment.text("HITKEEP_CONFIG")?.map(PathBuf::from),
        };
        let mut given = match file {
            Some(path) => of_file(&path)?,
            None => BTreeMap::new(),
        };
        given.extend(of_environment(environment)?);
        for (&key, text) in &flags.values {
            given.insert(key, (text.clone(), Origin::Flag(key.description().name)));
        }
        Ok(Given(given))
    }

    /// The text of `key` and where it came from: the default when it is given nowhere.
    pub(super) fn text(&self, key: Key) -> Option<(&str, Origin)> {
        match self.0.get(&key) {
            Some((text, origin)) => Some((text, origin.clone())),
            None => key.description().default.map(|text| (text, Origin::Default)),
        }
    }
}

fn of_environment(environment: &Environment) -> Result<BTreeMap<Key, (String, Origin)>, Error> {
    let mut given = BTreeMap::new();
    for (variable, value) in &environment.0 {
        if CLIENT_VARIABLES.contains(&variable.as_str()) {
            continue;
        }
        let named = |setting: &&Description| setting.variable() == *variable || setting.older_variable().as_ref() == Some(variable);
        let Some(setting) = SETTINGS.iter().find(named) else {
            let known = SETTINGS.iter().map(Description::variable).chain(CLIENT_VARIABLES.map(str::to_owned));
            return Err(Error::UnknownVariable { variable: variable.clone(), nearest: nearest(variable, known) });
        };
        let origin = Origin::Variable(variable.clone());
        let Some(text) = value.to_str() else {
            return Err(Error::NotText { origin });
        };
        if let Some((_, first)) = given.insert(setting.key, (text.to_owned(), origin)) {
            return Err(Error::TwoNames { first: first.to_string(), second: variable.clone() });
        }
    }
    Ok(given)
}

fn of_file(path: &Path) -> Result<BTreeMap<Key, (String, Origin)>, Error> {
    let unreadable = |source| Error::File { path: path.to_owned(), source };
    let mut text = String::new();
    File::open(path).map_err(unreadable)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::FileTooLong { path: path.to_owned() });
    }
    let table: toml::Table = text.parse().map_err(|source| Error::Toml { path: path.to_owned(), source: Box::new(source) })?;
    let mut given = BTreeMap::new();
    for (name, value) in &table {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
            let nearest = nearest(name, SETTINGS.iter().map(|setting| setting.name.to_owned()));
            return Err(Error::UnknownKey { key: name.clone(), path: path.to_owned(), nearest });
        };
        given.insert(setting.key, (scalar_text(setting.key, value), Origin::File(path.to_owned())));
    }
    Ok(given)
}

/// A TOML value as the text a flag would have; a value no flag could have becomes a text no setting takes.
fn scalar_text(key: Key, value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) if key == Key::TrustedProxies => {
            items.iter().map(|item| scalar_text(key, item)).collect::<Vec<_>>().join(",")
        }
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(truth) => truth.to_string(),
        toml::Value::Datetime(time) => time.to_string(),
        toml::Value::Array(_) => "[...]".to_owned(),
        toml::Value::Table(_) => "{...}".to_owned(),
    }
}

/// The known name closest to `name`, when it is close enough to be a slip.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let (distance, nearest) = known.map(|known| (distance(name.as_bytes(), known.as_bytes()), known)).min()?;
    let own_part = name.strip_prefix("HITKEEP_").unwrap_or(name);
    (distance <= 3 && distance * 2 <= own_part.len()).then_some(nearest)
}

/// Levenshtein's distance: insertions, deletions and substitutions that turn `from` into `to`.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, byte) in from.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for j in 0..to.len() {
            let substituted = diagonal + usize::from(*byte != to[j]);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_edits() {
        for (from, to, edits) in [
            ("", "", 0),
            ("sync", "", 4),
            ("sync", "sync", 0),
            ("snyc", "sync", 2),
            ("http_addr", "http-addr", 1),
            ("data-paths", "data-path", 1),
        ] {
            assert_eq!(distance(from.as_bytes(), to.as_bytes()), edits, "{from} {to}");
        }
    }
}
