//! Appending to a log: batches, syncs, proof. One thread owns the writer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checksum::FileChecksum;
use crate::error::Error;
use crate::frame::{self, FrameKind};
use crate::fs::{File, FileSystem, write_all_at};
use crate::units::{ByteOffset, LogId, Sequence, UnixMicros};

use super::file::LogFile;
use super::growth::{self, Growth, GrowthFailure};
use super::{ALIGNMENT, COMMIT_FRAME_LEN_BYTES, CommitFrame, HEADER_LEN_BYTES, LogHeader, LogReader, MAX_BATCH_BYTES};

/// Geometry of a log; tests shrink it.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// How long the file may become, in bytes. What is appended past it is refused by growth, so callers rotate before.
    pub capacity_bytes: u64,
    /// How much the file grows at once, in bytes.
    pub step_bytes: u64,
}

impl LogOptions {
    /// The step that was measured to leave syncs beside it alone, in bytes.
    pub const STEP_BYTES: u64 = 1024 * 1024;

    /// A log that is rotated at `segment_bytes` and takes one more batch of any size. Small logs grow in small steps.
    pub fn rotated_at(segment_bytes: u64) -> LogOptions {
        let step_bytes = (segment_bytes / 16).next_multiple_of(4096).clamp(16 * 1024, Self::STEP_BYTES);
        LogOptions { capacity_bytes: segment_bytes + 2 * MAX_BATCH_BYTES as u64, step_bytes }
    }
}

/// What one append gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The sequence of the batch's first record; the others follow.
    pub first_sequence: Sequence,
    /// How many records.
    pub records: u32,
    /// The end of the batch.
    pub end: ByteOffset,
}

/// The one writer of one log.
///
/// A batch is collected with [`LogWriter::push`] and written by [`LogWriter::append`]; it is durable when [`LogWriter::sync`] has
/// returned. After an error other than [`Error::Full`] and [`Error::TooLarge`] the writer takes no more appends: what the file holds is
/// then unknown, and recovery decides.
#[derive(Debug)]
pub struct LogWriter {
    header: LogHeader,
    path: PathBuf,
    file: Arc<dyn File>,
    checksum: FileChecksum,
    reader: Arc<LogReader>,
    growth: Arc<Growth>,
    grower: Arc<dyn File>,
    /// `E`: where the open batch will stand.
    end: u64,
    durable_end: u64,
    next_sequence: Sequence,
    /// The frames of the open batch.
    batch: Vec<u8>,
    frames: u32,
    records: u32,
    poisoned: bool,
}

impl LogWriter {
    /// Creates the log's file in `dir`, with its header and first step, and syncs file and directory.
    ///
    /// `header.durable_len` is set here. The caller names the log in the manifest before anything is appended.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if there is no space, and an error that [is out of descriptors](Error::is_out_of_descriptors), with nothing left
    /// behind; else [`Error::Io`].
    pub fn create(fs: &dyn FileSystem, dir: &Path, header: LogHeader, options: LogOptions) -> Result<LogWriter, Error> {
        let path = dir.join(header.id.file_name());
        let header = LogHeader { durable_len: options.step_bytes.max(HEADER_LEN_BYTES as u64), ..header };
        let refused = |source| match growth::is_full(&source) {
            true => Error::Full { path: path.clone(), source },
            false => Error::Io { operation: "create", path: path.clone(), source },
        };
        // No inode left is no space as well.
        let file = fs.create(&path).map_err(refused)?;
        // Nothing names this file yet. If even its removal fails, the next start finds it unnamed and removes it.
        let grower = fs.open(&path).map_err(|source| {
            let _ = fs.remove(&path);
            Error::Io { operation: "open", path: path.clone(), source }
        })?;
        let mut first = vec![0; usize::try_from(header.durable_len).expect("a step fits into memory")];
        first[..HEADER_LEN_BYTES].copy_from_slice(&header.encode());
        if let Err(source) = write_all_at(&*file, &first, 0) {
            let _ = fs.remove(&path);
            return Err(refused(source));
        }
        file.sync_data().map_err(Error::io("sync", &path))?;
        fs.sync_dir(dir).map_err(Error::io("sync", dir))?;
        let start = HEADER_LEN_BYTES as u64;
        let next_sequence = header.base_sequence;
        let at = Place { end: start, durable_end: start, prepared_end: header.durable_len, next_sequence };
        let log = LogFile::new(path, file, header, options)?;
        Ok(Self::at(log, grower, at, options))
    }

    /// The writer that goes on at `at`.
    pub(super) fn at(log: LogFile, grower: Arc<dyn File>, at: Place, options: LogOptions) -> LogWriter {
        let LogFile { path, file, header, reader } = log;
        let limit = options.capacity_bytes.max(at.prepared_end);
        LogWriter {
            checksum: header.checksum(),
            reader,
            growth: Arc::new(Growth::new(at.prepared_end, limit, options.step_bytes)),
            grower,
            header,
            path,
            file,
            end: at.end,
            durable_end: at.durable_end,
            next_sequence: at.next_sequence,
            batch: Vec::new(),
            frames: 0,
            records: 0,
            poisoned: false,
        }
    }

    /// Which log this is.
    pub fn id(&self) -> LogId {
        self.header.id
    }

    /// What the file begins with; the manifest repeats it.
    pub fn header(&self) -> &LogHeader {
        &self.header
    }

    /// When the log was created.
    pub fn created(&self) -> UnixMicros {
        self.header.created
    }

    /// The readers' side.
    pub fn reader(&self) -> &Arc<LogReader> {
        &self.reader
    }

    /// The end of the last batch appended.
    pub fn end(&self) -> ByteOffset {
        ByteOffset::new(self.end)
    }

    /// What the next record gets.
    pub fn next_sequence(&self) -> Sequence {
        self.next_sequence
    }

    /// Whether everything appended was covered by a sync.
    pub fn is_synced(&self) -> bool {
        self.durable_end == self.end
    }

    /// What grows the file ahead of this writer: a function for a thread of its own, which ends when the writer is dropped.
    /// Without it the file grows within [`LogWriter::append`].
    pub fn helper(&self, pause: impl FnMut() + Send + 'static) -> impl FnOnce() + Send + 'static {
        let (growth, grower) = (Arc::clone(&self.growth), Arc::clone(&self.grower));
        move || growth.run(|from, end| growth::grow_step(&*grower, from, end), pause)
    }

    /// Adds a record's bytes to the open batch and returns where its frame will stand.
    pub fn push(&mut self, payload: &[u8]) -> ByteOffset {
        let offset = self.end + self.batch.len() as u64;
        frame::encode(&mut self.batch, &self.checksum, offset, FrameKind::Record, payload);
        self.frames += 1;
        self.records += 1;
        ByteOffset::new(offset)
    }

    /// The bytes of the open batch so far, without its commit frame.
    pub fn batch_len_bytes(&self) -> usize {
        self.batch.len()
    }

    /// By how many bytes the file has yet to grow for the open batch, and ahead of the next ones: 0 mostly. Takes a lock.
    pub fn growth_bytes(&self) -> u64 {
        self.growth.missing_for(self.batch_end())
    }

    /// Where the open batch will end.
    fn batch_end(&self) -> u64 {
        self.end + (self.batch.len().next_multiple_of(ALIGNMENT) + COMMIT_FRAME_LEN_BYTES) as u64
    }

    /// Ends the open batch with a commit frame and writes it. Not durable yet.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if there is no space, and [`Error::TooLarge`] on a batch longer than [`MAX_BATCH_BYTES`]: the batch is gone,
    /// the log as it was, and a later append may succeed. Anything else is final.
    pub fn append(&mut self, now: UnixMicros) -> Result<Appended, Error> {
        self.append_with(now, false)
    }

    /// Syncs everything appended.
    ///
    /// # Errors
    ///
    /// Final, whatever it is: what the disk holds is unknown, and asking again could get a yes that is not true.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.refuse_if_poisoned()?;
        if let Err(source) = self.file.sync_data() {
            self.poisoned = true;
            return Err(Error::Io { operation: "sync", path: self.path.clone(), source });
        }
        self.durable_end = self.end;
        Ok(())
    }

    /// Writes and syncs a batch without records: its commit frame proves everything before it. `clean` says that the daemon has
    /// drained, and the next start need not repair.
    ///
    /// # Errors
    ///
    /// As [`LogWriter::append`] and [`LogWriter::sync`].
    pub fn prove(&mut self, now: UnixMicros, clean: bool) -> Result<(), Error> {
        debug_assert!(self.batch.is_empty(), "a batch is open");
        if !self.is_synced() {
            self.sync()?;
        }
        self.append_with(now, clean)?;
        self.sync()
    }

    fn append_with(&mut self, now: UnixMicros, clean: bool) -> Result<Appended, Error> {
        self.refuse_if_poisoned()?;
        let end = self.batch_end();
        self.batch.resize(self.batch.len().next_multiple_of(ALIGNMENT), 0);
        let commit_at = self.end + self.batch.len() as u64;
        let len_bytes = end - self.end;
        if len_bytes > MAX_BATCH_BYTES as u64 {
            self.discard();
            return Err(Error::TooLarge { path: self.path.clone(), len_bytes, max_bytes: MAX_BATCH_BYTES as u64 });
        }
        let reserved = self.growth.reserve(end, |from, end| growth::grow_step(&*self.grower, from, end));
        if let Err(failure) = reserved {
            self.discard();
            return Err(self.grown_too_little(failure));
        }
        let commit = CommitFrame {
            batch_start: self.end,
            first_sequence: self.next_sequence,
            frames: self.frames,
            records: self.records,
            durable_end: self.durable_end,
            durable_len: self.growth.prepared_end(),
            written: now,
            clean,
        };
        commit.encode(&mut self.batch, &self.checksum, commit_at);
        let written = write_all_at(&*self.file, &self.batch, self.end);
        let (len, records) = (self.batch.len(), self.records);
        self.discard();
        if let Err(source) = written {
            return Err(self.undo(len, source));
        }
        self.end = end;
        self.next_sequence = self.next_sequence.after(records.into());
        Ok(Appended { first_sequence: commit.first_sequence, records, end: ByteOffset::new(end) })
    }

    /// Gives up the open batch; its records were never written.
    pub fn discard(&mut self) {
        self.batch.clear();
        self.frames = 0;
        self.records = 0;
    }

    /// After a write that failed halfway: zeros again, synced, or the writer is done.
    ///
    /// A stale piece must not be found behind a later, shorter batch, nor come back after a power cut: whoever was refused for lack
    /// of space was told that nothing is stored. After any other failure the piece stays as it is, so that the next start sees an
    /// unclean end and makes durable what it finds.
    fn undo(&mut self, len: usize, source: std::io::Error) -> Error {
        let is_undone =
            growth::is_full(&source) && write_all_at(&*self.file, &vec![0; len], self.end).is_ok() && self.file.sync_data().is_ok();
        if is_undone {
            self.durable_end = self.end;
            return Error::Full { path: self.path.clone(), source };
        }
        self.poisoned = true;
        Error::Io { operation: "append to", path: self.path.clone(), source }
    }

    fn grown_too_little(&mut self, failure: GrowthFailure) -> Error {
        let path = self.path.clone();
        match failure {
            GrowthFailure::Full(number) => Error::Full { path, source: std::io::Error::from_raw_os_error(number) },
            GrowthFailure::Final(number) => {
                self.poisoned = true;
                Error::Io { operation: "grow", path, source: std::io::Error::from_raw_os_error(number) }
            }
        }
    }

    fn refuse_if_poisoned(&self) -> Result<(), Error> {
        if self.poisoned { Err(Error::Poisoned { path: self.path.clone() }) } else { Ok(()) }
    }
}

/// Where a writer starts.
pub(super) struct Place {
    pub(super) end: u64,
    pub(super) durable_end: u64,
    pub(super) prepared_end: u64,
    pub(super) next_sequence: Sequence,
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.growth.stop();
    }
}
