//! The catalog's file: changes in pairs, whose payload this crate does not read.
//!
//! Invariants:
//!
//! * Every change that was acknowledged is there, in its order, for ever: the catalog is also the audit trail.
//! * A catalog of which anything is lost is not opened: leaving out a change could bring a revoked token back.
//!
//! Where the file has become long it is written anew with many changes in one frame, all of them as they were.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::fs::FileSystem;
use crate::paired::{self, Change, FileKind, Loaded, PairedFile, TIDY_BYTES, TIDY_FACTOR};

/// The catalog, open for changes.
#[derive(Debug)]
pub struct CatalogFile {
    file: PairedFile,
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    /// How long the file was when it was last written anew, or that was last tried.
    tidied_bytes: u64,
}

impl CatalogFile {
    fn new(file: PairedFile, fs: &Arc<dyn FileSystem>, dir: &Path) -> CatalogFile {
        CatalogFile { tidied_bytes: file.len_bytes(), file, fs: Arc::clone(fs), dir: dir.to_owned() }
    }

    /// Appends a change; it is durable and proven when this returns.
    ///
    /// # Errors
    ///
    /// As [`PairedFile::append`].
    ///
    /// # Panics
    ///
    /// If it begins as a pack of changes does, and no JSON.
    pub fn append(&mut self, payload: &[u8]) -> Result<(), Error> {
        assert!(payload.first() != Some(&paired::MARK), "a change is JSON");
        self.file.append(payload).map(|_| ())
    }

    /// Writes the file anew if it has become several times longer than it was when that was last done. Returns whether it did.
    ///
    /// # Errors
    ///
    /// As [`PairedFile::replace`]: after [`Error::Full`] the old file goes on, everything else is final.
    pub fn tidy(&mut self) -> Result<bool, Error> {
        if self.file.len_bytes() < TIDY_BYTES.max(TIDY_FACTOR * self.tidied_bytes) {
            return Ok(false);
        }
        // Whatever comes of it: not again at the next change.
        self.tidied_bytes = self.file.len_bytes();
        let changes = match Loaded::read(&*self.fs, &self.dir, FileKind::Catalog) {
            Ok(Some(loaded)) if loaded.lost.is_empty() && !loaded.is_last_unproven => loaded.changes,
            // What cannot be read is left for the next start to name.
            _ => return Ok(false),
        };
        self.file = PairedFile::replace(&*self.fs, &self.dir, FileKind::Catalog, &shortest(&changes))?;
        self.tidied_bytes = self.file.len_bytes();
        Ok(true)
    }
}

/// The payloads of a short file with these changes.
fn shortest(changes: &[Change]) -> Vec<Vec<u8>> {
    if PairedFile::len_bytes_of(changes) < TIDY_BYTES {
        return changes.iter().map(|change| change.payload.clone()).collect();
    }
    paired::pack(changes)
}

/// What stands in a catalog's file, read but not yet written anew.
pub(crate) struct CatalogRead {
    loaded: Option<Loaded>,
}

impl CatalogRead {
    /// Reads the catalog of `dir`, if there is one. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if anything is lost; as [`Loaded::read`].
    pub(crate) fn read(fs: &dyn FileSystem, dir: &Path) -> Result<CatalogRead, Error> {
        let loaded = Loaded::read(fs, dir, FileKind::Catalog)?.map(Loaded::require_undamaged).transpose()?;
        Ok(CatalogRead { loaded })
    }

    pub(crate) fn exists(&self) -> bool {
        self.loaded.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.loaded.as_ref().is_none_or(|loaded| loaded.changes.is_empty())
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.loaded.as_ref().map(Loaded::notes).unwrap_or_default()
    }

    /// Writes the catalog anew and gives back its changes with it.
    ///
    /// # Errors
    ///
    /// As [`Loaded::settle`].
    pub(crate) fn settle(self, fs: &Arc<dyn FileSystem>, dir: &Path) -> Result<(CatalogFile, Vec<Change>), Error> {
        let Some(loaded) = self.loaded else {
            let file = PairedFile::replace(&**fs, dir, FileKind::Catalog, &[] as &[&[u8]])?;
            return Ok((CatalogFile::new(file, fs, dir), Vec::new()));
        };
        let changes = loaded.changes.clone();
        let file = loaded.settle(&**fs, dir, &shortest(&changes))?;
        Ok((CatalogFile::new(file, fs, dir), changes))
    }
}

#[cfg(all(test, not(loom)))]
mod tidy_tests;
