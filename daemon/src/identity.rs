//! The owner: whose token may do everything, and how it comes to the person who starts the daemon.
//!
//! The catalog knows the token's hash alone. The token itself stands in `<data-path>/admin.token`, which a first start writes and only
//! its owner can read, or in a file that the operator names; it reaches no log and no terminal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use format::directory::DataDirectory;

use crate::catalog::{self, By, Catalog, Journal, Refusal};
use crate::config::Config;
use crate::health::Health;
use crate::instant;
use crate::secret::{Secret, TokenHash};

/// The token's file in the data directory.
const FILE_NAME: &str = "admin.token";

/// The name it has while it is written.
const TEMPORARY_NAME: &str = "admin.token.tmp";

/// More than a token and white space take; what is longer is no token.
const MAX_FILE_BYTES: u64 = 1024;

/// Why the owner has no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file that should hold the token cannot be read or written.
    #[error("cannot {operation} the token file {}", path.display())]
    Io {
        /// A verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} does not hold a token: write one line of 64 lower-case hexadecimal digits{otherwise}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What else would help.
        otherwise: &'static str,
    },
    /// The system has no random bytes.
    #[error("cannot make a token")]
    Random(#[from] getrandom::Error),
    /// The catalog took no change.
    #[error("cannot store the owner's token")]
    Catalog(#[from] Refusal),
    /// The data directory cannot be opened.
    #[error(transparent)]
    Directory(#[from] format::Error),
    /// The catalog cannot be read.
    #[error(transparent)]
    Open(#[from] catalog::OpenError),
    /// The token comes from a file that the operator keeps.
    #[error("the owner's token is what {} holds: write another into it and start the daemon again", path.display())]
    KeptElsewhere {
        /// The file.
        path: PathBuf,
    },
}

/// Sees to it that there is an owner: the token in `token_file` if one is named, else the one the catalog knows, else a new one.
///
/// # Errors
///
/// [`Error`]; nothing was stored then but, at most, the file with a token that the next start takes up.
pub(crate) fn settle(catalog: &Catalog, data_path: &Path, token_file: Option<&Path>) -> Result<(), Error> {
    let owner = catalog.contents().owner().map(|owner| owner.hash);
    let token = match token_file {
        Some(path) => read(path, "")?.ok_or_else(|| not_found(path))?,
        None if owner.is_some() => {
            let path = data_path.join(FILE_NAME);
            if is_wrong(&path, owner) {
                tracing::warn!(
                    path = %path.display(),
                    "this file does not hold the owner's token: write it there, remove the file if the token is kept elsewhere, or stop the \
                     daemon and make a new token with `hitkeepd token reset-owner`"
                );
            }
            return Ok(());
        }
        None => first_token(data_path)?,
    };
    if owner != Some(token.hash()) {
        catalog.set_owner(token.hash(), by_daemon())?;
    }
    Ok(())
}

/// Gives the owner of a stopped daemon's data directory a new token, and returns the file that holds it. The former one is worth
/// nothing from then on.
///
/// # Errors
///
/// [`Error`]; [`Error::Directory`] with [`format::Error::Locked`] while a daemon runs.
pub(crate) fn reset_owner(config: &Config) -> Result<PathBuf, Error> {
    if let Some(path) = &config.admin_token_file {
        return Err(Error::KeptElsewhere { path: path.clone() });
    }
    let opened = DataDirectory::open(&config.data_path)?;
    let changes = opened.catalog_changes.iter().map(Vec::as_slice);
    let catalog = Catalog::open(changes, Box::new(opened.catalog), Arc::<Health>::default())?;
    let token = Secret::random()?;
    // The file is complete before the catalog changes, and gets its name after: killed in between, the former file names a token that
    // is not known any more, and the command is run again.
    let temporary = write_temporary(&config.data_path, &token)?;
    catalog.set_owner(token.hash(), by_daemon())?;
    rename(&config.data_path, &temporary)
}

/// Whether the file is there and does not hold the token of this hash. The catalog has the hash alone, so nothing can write it anew.
fn is_wrong(path: &Path, owner: Option<TokenHash>) -> bool {
    read(path, "").map_or(true, |token| token.is_some_and(|token| Some(token.hash()) != owner))
}

fn by_daemon() -> By {
    By { token: None, at: instant::now() }
}

/// The token of a first start: what the file holds, if an earlier start came no further, or a new one.
fn first_token(data_path: &Path) -> Result<Secret, Error> {
    let path = data_path.join(FILE_NAME);
    if let Some(token) = read(&path, ", or remove the file")? {
        return Ok(token);
    }
    let token = Secret::random()?;
    let temporary = write_temporary(data_path, &token)?;
    let path = rename(data_path, &temporary)?;
    tracing::info!(path = %path.display(), "the owner's token is in this file");
    Ok(token)
}

fn read(path: &Path, otherwise: &'static str) -> Result<Option<Secret>, Error> {
    let malformed = || Error::Malformed { path: path.to_owned(), otherwise };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text));
    match read {
        Ok(_) => Secret::parse_token(&text).map(Some).ok_or_else(malformed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(malformed()),
        Err(source) => Err(Error::Io { operation: "read", path: path.to_owned(), source }),
    }
}

fn not_found(path: &Path) -> Error {
    Error::Io { operation: "read", path: path.to_owned(), source: io::ErrorKind::NotFound.into() }
}

/// Writes the token under a temporary name: a file that a crash cut short must not pass for the token.
fn write_temporary(data_path: &Path, token: &Secret) -> Result<PathBuf, Error> {
    let path = data_path.join(TEMPORARY_NAME);
    let failed = |operation| {
        let path = path.clone();
        move |source| Error::Io { operation, path, source }
    };
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("replace")(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed("create"))?;
    writeln!(file, "{}", token.expose()).map_err(failed("write"))?;
    file.sync_all().map_err(failed("sync"))?;
    Ok(path)
}

/// Gives the written file its name, durably.
fn rename(data_path: &Path, temporary: &Path) -> Result<PathBuf, Error> {
    let path = data_path.join(FILE_NAME);
    let renamed = fs::rename(temporary, &path).and_then(|()| File::open(data_path)?.sync_all());
    renamed.map_err(|source| Error::Io { operation: "create", path: path.clone(), source })?;
    Ok(path)
}

impl Journal for format::catalog::CatalogFile {
    fn append(&mut self, payload: &[u8]) -> Result<(), format::Error> {
        format::catalog::CatalogFile::append(self, payload)
    }

    fn tidy(&mut self) -> Result<(), format::Error> {
        format::catalog::CatalogFile::tidy(self).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn open(path: &Path) -> (Catalog, DataDirectory) {
        let opened = DataDirectory::open(path).unwrap();
        let changes = opened.catalog_changes.iter().map(Vec::as_slice);
        (Catalog::open(changes, Box::new(opened.catalog), Arc::default()).unwrap(), opened.directory)
    }

    fn config(path: &Path) -> Config {
        Config { data_path: path.to_owned(), ..Config::default() }
    }

    #[test]
    fn a_first_start_makes_a_token_that_only_its_owner_can_read_and_later_ones_keep_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        for _ in 0..2 {
            let (catalog, _directory) = open(dir.path());
            settle(&catalog, dir.path(), None).unwrap();
            let token = fs::read_to_string(&path).unwrap();
            assert_eq!(token.len(), 65);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(catalog.token(token.trim_end()).is_some());
        }
        fs::remove_file(&path).unwrap();
        let (catalog, _directory) = open(dir.path());
        settle(&catalog, dir.path(), None).unwrap();
        assert!(!path.exists(), "an owner who took the token away is known");
    }

    #[test]
    fn a_file_without_the_token_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let (catalog, _directory) = open(dir.path());
        settle(&catalog, dir.path(), None).unwrap();
        let owner = catalog.contents().owner().map(|owner| owner.hash);
        assert!(!is_wrong(&path, owner));
        for bad in [String::new(), "secret".to_owned(), format!("{}\n", Secret::random().unwrap().expose())] {
            fs::write(&path, &bad).unwrap();
            assert!(is_wrong(&path, owner), "{bad:?}");
            settle(&catalog, dir.path(), None).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), bad, "it is left alone");
        }
        fs::remove_file(&path).unwrap();
        assert!(!is_wrong(&path, owner));
    }

    #[test]
    fn a_start_that_ended_before_the_catalog_knew_the_token_is_taken_up() {
        let dir = tempfile::tempdir().unwrap();
        let (catalog, _directory) = open(dir.path());
        let token = Secret::random().unwrap();
        fs::write(dir.path().join(FILE_NAME), token.expose()).unwrap();
        fs::write(dir.path().join(TEMPORARY_NAME), "0123").unwrap();
        settle(&catalog, dir.path(), None).unwrap();
        assert!(catalog.token(token.expose()).is_some());
    }

    #[test]
    fn a_file_of_the_operator_is_the_token_at_each_start() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("kept");
        let (catalog, _directory) = open(dir.path());
        let [first, second] = [(); 2].map(|()| Secret::random().unwrap());
        for token in [&first, &second] {
            fs::write(&kept, format!("{}\n", token.expose())).unwrap();
            settle(&catalog, dir.path(), Some(&kept)).unwrap();
            assert!(catalog.token(token.expose()).is_some());
        }
        assert!(catalog.token(first.expose()).is_none());
        assert!(!dir.path().join(FILE_NAME).exists());
        for bad in ["", "secret", "\u{fffd}", &"A".repeat(64)] {
            fs::write(&kept, bad).unwrap();
            let error = settle(&catalog, dir.path(), Some(&kept)).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{} does not hold a token", kept.display())), "{error}");
        }
        fs::write(&kept, b"\xff\xfe").unwrap();
        assert!(matches!(settle(&catalog, dir.path(), Some(&kept)), Err(Error::Malformed { .. })));
        fs::remove_file(&kept).unwrap();
        assert!(matches!(settle(&catalog, dir.path(), Some(&kept)), Err(Error::Io { .. })));
    }

    #[test]
    fn a_reset_makes_another_token_on_a_stopped_daemon_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let (catalog, directory) = open(dir.path());
        settle(&catalog, dir.path(), None).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        assert!(matches!(reset_owner(&config(dir.path())), Err(Error::Directory(format::Error::Locked { .. }))));
        drop((catalog, directory));
        assert_eq!(reset_owner(&config(dir.path())).unwrap(), path);
        let after = fs::read_to_string(&path).unwrap();
        let (catalog, _directory) = open(dir.path());
        assert!(catalog.token(before.trim_end()).is_none());
        assert!(catalog.token(after.trim_end()).is_some());
        let kept = Config { admin_token_file: Some(path.clone()), ..config(dir.path()) };
        assert!(matches!(reset_owner(&kept), Err(Error::KeptElsewhere { .. })));
    }
}
