//! The catalog's file: changes in pairs, whose payload this crate does not read.
//!
//! Invariants:
//!
//! * Every change that was acknowledged is there, in its order, for ever: the catalog is also the audit trail.
//! * A catalog of which anything is lost is not opened: leaving out a change could bring a revoked token back.

use std::path::Path;

use crate::error::Error;
use crate::fs::FileSystem;
use crate::paired::{Change, FileKind, Loaded, PairedFile};

/// The catalog, open for changes.
#[derive(Debug)]
pub struct CatalogFile(PairedFile);

impl CatalogFile {
    /// Appends a change; it is durable and proven when this returns.
    ///
    /// # Errors
    ///
    /// As [`PairedFile::append`].
    pub fn append(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.0.append(payload).map(|_| ())
    }
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
    pub(crate) fn settle(self, fs: &dyn FileSystem, dir: &Path) -> Result<(CatalogFile, Vec<Change>), Error> {
        let Some(loaded) = self.loaded else {
            let file = PairedFile::replace(fs, dir, FileKind::Catalog, &[] as &[&[u8]])?;
            return Ok((CatalogFile(file), Vec::new()));
        };
        let changes = loaded.changes.clone();
        Ok((CatalogFile(loaded.settle(fs, dir, &changes)?), changes))
    }
}
