//! Logs that begin and end: their files, their names in the manifest, and the threads that grow them.

use std::path::Path;
use std::thread;
use std::time::Duration;

use format::directory::DataDirectory;
use format::log::LogFile;
use format::log::recovery::{ClosedEnd, Recovered};
use format::manifest::{Closed, Manifest};
use format::{Error, LogHeader, LogId, LogOptions, LogWriter, Sequence};

use crate::appender::Logs;
use crate::instant;

/// How long growth rests between steps that nobody waits for, so that its syncs do not delay those of batches.
const GROWTH_PAUSE: Duration = Duration::from_millis(10);

/// Where logs come from and are noted. One thread owns it: first the start, then the committer.
pub(crate) struct Rotation {
    directory: DataDirectory,
    manifest: Manifest,
    options: LogOptions,
    /// A log that has ended and that the manifest had no space to say so of.
    unnoted: Option<(LogId, Closed)>,
}

impl Rotation {
    /// Over a directory that was just opened.
    pub(crate) fn new(directory: DataDirectory, manifest: Manifest, options: LogOptions) -> Rotation {
        Rotation { directory, manifest, options, unnoted: None }
    }

    /// Creates the next log, grown ahead on a thread of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] with nothing left behind; anything else is final.
    pub(crate) fn create(&mut self, base_sequence: Sequence) -> Result<LogWriter, Error> {
        let logs_path = self.directory.logs_path();
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| Error::io("make a salt for a log in", &logs_path)(std::io::Error::other(error)))?;
        let header = LogHeader {
            id: self.manifest.next_log(),
            salt,
            epoch: self.manifest.identity().epoch,
            base_sequence,
            created: instant::now(),
            durable_len: self.options.step_bytes,
        };
        let log = LogWriter::create(&**self.directory.fs(), &logs_path, header.clone(), self.options)?;
        if let Err(error) = self.manifest.log_created(&header) {
            self.remove_unnamed(&logs_path.join(header.id.file_name()), &error)?;
            return Err(error);
        }
        self.grow_ahead(&log)?;
        Ok(log)
    }

    /// Goes on with a log that was recovered.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub(crate) fn resume(&self, file: LogFile, recovered: &Recovered) -> Result<LogWriter, Error> {
        let log = file.writer(&**self.directory.fs(), recovered, self.options)?;
        self.grow_ahead(&log)?;
        Ok(log)
    }

    /// Notes that a log has ended.
    ///
    /// # Errors
    ///
    /// As [`Manifest::log_closed`].
    pub(crate) fn close(&mut self, id: LogId, closed: Closed) -> Result<(), Error> {
        self.manifest.log_closed(id, closed)
    }

    /// The key of hashes that mean nothing outside this directory.
    pub(crate) fn secret(&self) -> [u8; 16] {
        self.manifest.identity().secret
    }

    /// A log that the manifest has no space to name is taken away again: its identity is used by the next try.
    fn remove_unnamed(&self, path: &Path, refusal: &Error) -> Result<(), Error> {
        if matches!(refusal, Error::Full { .. }) {
            self.directory.fs().remove(path).map_err(Error::io("remove", path))?;
        }
        Ok(())
    }

    fn grow_ahead(&self, log: &LogWriter) -> Result<(), Error> {
        let grow = log.helper(|| thread::sleep(GROWTH_PAUSE));
        let spawned = thread::Builder::new().name("growth".to_owned()).spawn(grow);
        // Without the thread the log would grow within appends: slower, and still right; but a system without a thread to give has
        // worse to come.
        spawned.map(drop).map_err(Error::io("start a thread to grow", &self.directory.logs_path()))
    }

    /// Tells the manifest what it had no space for before.
    fn note(&mut self) -> Result<(), Error> {
        if let Some((id, closed)) = self.unnoted {
            self.manifest.log_closed(id, closed)?;
            self.unnoted = None;
        }
        Ok(())
    }
}

impl Logs for Rotation {
    fn next(&mut self, ended: &LogWriter) -> Result<LogWriter, Error> {
        self.note()?;
        // First the new log: without space for one, the old one stays open and nothing has changed.
        let log = self.create(ended.next_sequence())?;
        let end = ClosedEnd { end: ended.end(), sequence_end: ended.next_sequence() };
        self.unnoted = Some((ended.id(), Closed { end, is_damaged: false }));
        match self.note() {
            Err(Error::Full { .. }) => Ok(log),
            other => other.map(|()| log),
        }
    }
}
