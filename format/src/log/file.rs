//! Opening a log that is there: reader first, then what it holds, then its writer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::fs::{File, FileSystem};

use super::recovery::{self, ClosedEnd, Recovered, Row};
use super::writer::Place;
use super::{LogHeader, LogOptions, LogReader, LogWriter};

/// A log's file, open and mapped, about to be recovered.
///
/// The reader comes first because an index is built over it while the records are visited; its watermark is published when they
/// all are, and only after [`LogFile::repair`] where that is needed.
#[derive(Debug)]
pub struct LogFile {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn File>,
    pub(super) header: LogHeader,
    pub(super) reader: Arc<LogReader>,
}

impl LogFile {
    /// Opens the log in `dir` that the manifest describes with `header`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; with `NotFound` inside if the file is gone, which is damage to a directory and not an error of this log.
    pub fn open(fs: &dyn FileSystem, dir: &Path, header: LogHeader, options: LogOptions) -> Result<LogFile, Error> {
        let path = dir.join(header.id.file_name());
        let file = fs.open(&path).map_err(Error::io("open", &path))?;
        LogFile::new(path, file, header, options)
    }

    pub(super) fn new(path: PathBuf, file: Arc<dyn File>, header: LogHeader, options: LogOptions) -> Result<LogFile, Error> {
        let len = file.len().map_err(Error::io("read", &path))?;
        // The last step may end past the capacity; readers never pass the watermark, which stays below it.
        let capacity = options.capacity_bytes.max(len) + options.step_bytes;
        let map = Arc::clone(&file).map(capacity).map_err(Error::io("map", &path))?;
        let reader = LogReader::new(&header, path.clone(), map);
        Ok(LogFile { path, file, header, reader })
    }

    /// The readers' side; nothing is readable until its watermark is published.
    pub fn reader(&self) -> &Arc<LogReader> {
        &self.reader
    }

    /// What the log holds; see [`recovery::recover`].
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn recover(&self, closed: Option<ClosedEnd>, visit: &mut dyn FnMut(Row<'_>)) -> Result<Recovered, Error> {
        recovery::recover(&*self.file, &self.header, closed, visit).map_err(Error::io("read", &self.path))
    }

    /// Makes durable what was recovered; see [`recovery::repair`].
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if there is no space to write even in place (copy-on-write file systems); else [`Error::Io`]. Both final.
    pub fn repair(&self, recovered: &Recovered) -> Result<(), Error> {
        recovery::repair(&*self.file, recovered).map_err(|source| match source.kind() {
            io::ErrorKind::StorageFull => Error::Full { path: self.path.clone(), source },
            _ => Error::Io { operation: "repair", path: self.path.clone(), source },
        })
    }

    /// Goes on with an undamaged log that was never closed: behind its last whole batch.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn writer(self, fs: &dyn FileSystem, recovered: &Recovered, options: LogOptions) -> Result<LogWriter, Error> {
        debug_assert!(recovered.damage.is_empty(), "a damaged log is closed");
        let end = recovered.end.value();
        let at = Place { end, durable_end: end, prepared_end: recovered.len_bytes, next_sequence: recovered.next_sequence };
        let grower = fs.open(&self.path).map_err(Error::io("open", &self.path))?;
        Ok(LogWriter::at(self, grower, at, options))
    }
}
