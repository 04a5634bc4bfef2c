//! Logs that begin and end, and segments that take their place: their names in the manifest, the logs' files, and the threads that
//! grow them.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use format::directory::DataDirectory;
use format::log::LogFile;
use format::log::recovery::{ClosedEnd, Recovered};
use format::manifest::{Closed, LiveSegment, Manifest, Replacement};
use format::sealed::aside_bytes;
use format::{Error, LogHeader, LogId, LogOptions, LogWriter, Sequence};

use crate::appender::{Exchange, Logs};
use crate::config::SyncMode;
use crate::instant;
use crate::sealer::{self, Place, SegmentIds};
use crate::space::has_room_for_events;

/// How long growth rests between steps that nobody waits for, so that its syncs do not delay those of batches.
const GROWTH_PAUSE: Duration = Duration::from_millis(10);

/// Where logs come from and are noted. One thread owns it: first the start, then the committer.
pub(crate) struct Rotation {
    directory: DataDirectory,
    manifest: Manifest,
    options: LogOptions,
    /// Whether answers leave before the sync.
    answers_before_sync: bool,
    /// A log that has ended and that the manifest had no space to say so of.
    unnoted: Option<(LogId, Closed)>,
}

impl Rotation {
    /// Over a directory that was just opened.
    pub(crate) fn new(directory: DataDirectory, manifest: Manifest, options: LogOptions, sync: SyncMode) -> Rotation {
        Rotation { directory, manifest, options, answers_before_sync: sync == SyncMode::Os, unnoted: None }
    }

    /// The epoch that the next log will belong to.
    pub(crate) fn epoch(&self) -> [u8; 16] {
        self.manifest.identity().epoch
    }

    /// Begins a new epoch, before the next log is created.
    ///
    /// # Errors
    ///
    /// As [`Manifest::begin_epoch`].
    pub(crate) fn begin_epoch(&mut self) -> Result<(), Error> {
        let epoch = self.random_bytes("make an epoch for logs in")?;
        self.manifest.begin_epoch(epoch)
    }

    /// Whether a log with this header may be gone on with: it is of this epoch, and makes the same promise.
    pub(crate) fn suits(&self, header: &LogHeader) -> bool {
        header.epoch == self.epoch() && header.answers_before_sync == self.answers_before_sync
    }

    /// Creates the next log, grown ahead on a thread of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], and one that is out of descriptors, with nothing left behind; anything else is final.
    pub(crate) fn create(&mut self, base_sequence: Sequence) -> Result<LogWriter, Error> {
        let logs_path = self.directory.logs_path();
        let header = LogHeader {
            id: self.manifest.next_log(),
            salt: self.random_bytes("make a salt for a log in")?,
            epoch: self.epoch(),
            base_sequence,
            created: instant::now(),
            durable_len: self.options.step_bytes,
            answers_before_sync: self.answers_before_sync,
        };
        let log = LogWriter::create(&**self.directory.fs(), &logs_path, header.clone(), self.options)?;
        if let Err(error) = self.manifest.log_created(&header) {
            self.remove_unnamed(&logs_path.join(header.id.file_name()), &error)?;
            return Err(error);
        }
        self.grow_ahead(&log)?;
        Ok(log)
    }

    /// Goes on with a log that was recovered. If answers leave before syncs, it does not end cleanly any more from here on, durably.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Full`] if there is no space to say so.
    pub(crate) fn resume(&self, file: LogFile, recovered: &Recovered) -> Result<LogWriter, Error> {
        let mut log = file.writer(&**self.directory.fs(), recovered, self.options)?;
        if self.answers_before_sync {
            log.prove(instant::now(), false)?;
        }
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

    /// Where segments of these logs are made.
    pub(crate) fn place(&self) -> Place {
        Place {
            fs: Arc::clone(self.directory.fs()),
            data_path: self.directory.path().to_owned(),
            logs_path: self.directory.logs_path(),
            segments_path: self.directory.segments_path(),
            epoch: self.epoch(),
            secret: self.secret(),
            ids: Arc::new(SegmentIds::from(self.manifest.next_segment())),
            pause: sealer::PAUSE,
            patience: sealer::PATIENCE,
        }
    }

    fn random_bytes(&self, operation: &'static str) -> Result<[u8; 16], Error> {
        let mut bytes = [0; 16];
        let filled = getrandom::fill(&mut bytes).map_err(std::io::Error::other);
        filled.map_err(Error::io(operation, &self.directory.logs_path()))?;
        Ok(bytes)
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

    fn has_room(&self, growth: u64, longest_log: u64) -> bool {
        let longest =
            self.manifest.segments().map(|segment| segment.len_bytes + aside_bytes(segment.rows.into())).fold(longest_log, u64::max);
        // An error counts as enough space: a write finds out.
        let space = self.directory.fs().space(&self.directory.logs_path());
        space.map_or(true, |space| has_room_for_events(space, growth, longest))
    }

    fn exchange(&mut self, exchange: &Exchange) -> Result<(), Error> {
        self.note()?;
        let mut added = Vec::with_capacity(exchange.added.len());
        for sealed in &exchange.added {
            sealed.finished.commit()?;
            let segment = &sealed.segment;
            added.push(LiveSegment::new(segment.header(), segment.provenance(), segment.rows(), segment.len_bytes()));
        }
        let Exchange { logs, segments, lost, .. } = exchange;
        self.manifest.replace(&Replacement { logs: logs.clone(), segments: segments.clone(), added, lost: lost.clone() })
    }

    fn tidy(&mut self) -> Result<(), Error> {
        match self.manifest.tidy(&**self.directory.fs(), self.directory.path()) {
            // The old file goes on, and there will be space, or a descriptor.
            Ok(_) | Err(Error::Full { .. }) => Ok(()),
            Err(error) if error.is_out_of_descriptors() => Ok(()),
            Err(error) => Err(error),
        }
    }
}
