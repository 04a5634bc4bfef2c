//! The lock on a data directory: one process at a time.
//!
//! Invariants:
//!
//! * Nothing in the directory is written by who does not hold the lock.
//! * It ends with the process, however that ends; the file stays and means nothing by itself.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::Error;

/// The file's name in the data directory.
const FILE_NAME: &str = "lock";

/// Held as long as this lives.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock on `dir` and writes there who holds it. Does not wait.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if another process holds it; [`Error::Io`].
    pub fn acquire(dir: &Path) -> Result<DirectoryLock, Error> {
        let path = dir.join(FILE_NAME);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = options.map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked { path: dir.to_owned(), holder: holder(&mut file) }),
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
        }
        // Only a help for whoever is refused: a full disk does not keep the holder from starting.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(DirectoryLock { _file: file })
    }

    /// Takes the lock on `dir` to look at what is there, and changes nothing: whoever is refused meanwhile is not told by whom. None if
    /// `dir` has no such file, as a copy may not: then nobody has it open.
    ///
    /// # Errors
    ///
    /// As [`DirectoryLock::acquire`].
    pub fn acquire_to_read(dir: &Path) -> Result<Option<DirectoryLock>, Error> {
        let path = dir.join(FILE_NAME);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(Error::io("open", &path))?,
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(DirectoryLock { _file: file })),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path: dir.to_owned(), holder: holder(&mut file) }),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", &path)(source)),
        }
    }
}

/// The process that the file names, if it can be read and there is such a one: who only reads does not write its own.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    let pid = text.trim().parse().ok()?;
    Path::new("/proc").join(format!("{pid}")).exists().then_some(pid)
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_second_one_is_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let held = DirectoryLock::acquire(dir.path()).unwrap();
        let error = DirectoryLock::acquire(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Locked { holder: Some(pid), .. } if pid == std::process::id()));
        assert!(error.to_string().contains(&format!("is in use by process {}", std::process::id())), "{error}");
        drop(held);
        DirectoryLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn who_only_reads_keeps_others_out_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(DirectoryLock::acquire_to_read(dir.path()).unwrap().is_none(), "nobody ever opened it");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        // No process has this number.
        std::fs::write(dir.path().join(FILE_NAME), "4194305\n").unwrap();
        let held = DirectoryLock::acquire_to_read(dir.path()).unwrap();
        assert!(matches!(DirectoryLock::acquire(dir.path()), Err(Error::Locked { holder: None, .. })));
        drop(held);
        assert_eq!(std::fs::read_to_string(dir.path().join(FILE_NAME)).unwrap(), "4194305\n");
        let _held = DirectoryLock::acquire(dir.path()).unwrap();
        let error = DirectoryLock::acquire_to_read(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Locked { holder: Some(pid), .. } if pid == std::process::id()));
    }

    #[test]
    fn a_lock_file_left_behind_locks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_NAME), "4194304\n").unwrap();
        let _held = DirectoryLock::acquire(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join(FILE_NAME)).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }
}
