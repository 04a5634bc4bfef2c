//! Sealing: a closed log becomes a segment.
//!
//! Each record is read once: its texts become numbers, those of a field, of the keys of a run or of the values of a key apart
//! (`survey`, with `texts`, `sessions` and `properties`). When all are there, it is known which keys get columns (`columns`), numbers
//! become codes in byte order, and the rows are written in the segment's order (`build`). Then the segment is read back and compared
//! (`compare`).
//!
//! Memory: 36 bytes a row, 4 for each field and each property that it has, its event id, and every distinct text once; 36 bytes a
//! session; and what the writer takes.
//!
//! Invariant: a segment that [`seal`] returns holds each row of its input once, in every field but the exact time of receipt, of
//! which it keeps the minute.

mod build;
mod columns;
mod compare;
mod dictionary;
mod hashed;
mod properties;
mod sessions;
mod survey;
mod texts;

use std::path::Path;
use std::sync::Arc;

use format::fs::FileSystem;
use format::sealed::{Finished, Provenance, SegmentHeader};
use format::{Level, LogId, Record, Segment, Sequence};

use crate::active::{ActiveIndex, Sequences};
use crate::error::Error;
pub(crate) use columns::Candidates;
pub use columns::ColumnRule;
pub(crate) use compare::{Sum, compare};
pub(crate) use dictionary::Dictionary;
pub(crate) use hashed::HashedRows;

/// How many rows are read between two looks at whether to stop.
const ROWS_BETWEEN_LOOKS: u32 = 4096;

/// Rows to be sealed, in the order of their sequences.
pub trait Input {
    /// How many there are.
    fn rows(&self) -> u32;

    /// The sequence of a row; it grows with the rows.
    fn sequence(&self, row: u32) -> Sequence;

    /// The record of a row, which may be copied to `scratch`.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    fn record<'b>(&'b self, row: u32, scratch: &'b mut Vec<u8>) -> Result<Record<'b>, Error>;
}

/// The rows of a log that is closed, all of them published.
#[derive(Clone, Debug)]
pub struct ClosedLog {
    index: Arc<ActiveIndex>,
    sequences: Sequences,
}

impl ClosedLog {
    /// The log behind `index`; `sequences` are those of its [`ActiveWriter`](crate::ActiveWriter).
    pub fn new(index: Arc<ActiveIndex>, sequences: Sequences) -> ClosedLog {
        ClosedLog { index, sequences }
    }

    /// Which log it is.
    pub fn id(&self) -> LogId {
        self.index.log().id()
    }
}

impl Input for ClosedLog {
    fn rows(&self) -> u32 {
        self.index.rows()
    }

    fn sequence(&self, row: u32) -> Sequence {
        self.sequences.of(row)
    }

    fn record<'b>(&'b self, row: u32, scratch: &'b mut Vec<u8>) -> Result<Record<'b>, Error> {
        Ok(self.index.log().record(self.index.offset(row), scratch)?)
    }
}

/// Where a segment is written, and who it is.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The file system.
    pub fs: &'a dyn FileSystem,
    /// The folder of segments.
    pub dir: &'a Path,
    /// Identity, salt, epoch, instant.
    pub header: &'a SegmentHeader,
    /// The key of the hashes of event ids.
    pub id_secret: [u8; 16],
    /// Which properties get columns.
    pub columns: ColumnRule,
    /// What it is to compaction.
    pub level: Level,
}

/// A segment that was written, synced and compared with its input, and is not yet committed.
#[derive(Debug)]
pub struct Sealed {
    /// To commit it with.
    pub finished: Finished,
    /// To read it with, now and when it is committed.
    pub segment: Arc<Segment>,
}

/// Writes the rows of `input` as a segment, syncs it, and compares what it reads back with the input. `log` is the log that the
/// segment replaces. Ends soon after `is_stopped` has become true.
///
/// A file that was begun and not finished is removed again, as far as that is possible.
///
/// # Errors
///
/// [`Error::Record`] if the input cannot be read, the disk is full, or the segment cannot be written or read;
/// [`Error::NotEqual`] if what was read back is not what was written; [`Error::Stopped`].
pub fn seal(target: Target<'_>, input: &impl Input, log: Option<LogId>, is_stopped: &dyn Fn() -> bool) -> Result<Sealed, Error> {
    let survey = survey::survey(&Rows { input, is_stopped })?;
    let provenance = Provenance {
        log,
        segments: Vec::new(),
        siblings: Vec::new(),
        level: target.level,
        sequences: survey.sequences(),
        received: survey.received.clone(),
    };
    let sum = survey.sum.clone();
    let sealed = build::write(target, survey, input, &provenance, is_stopped).and_then(|finished| {
        let segment = finished.open(target.fs)?;
        compare(&segment, &sum, is_stopped)?;
        Ok(Sealed { finished, segment })
    });
    if sealed.is_err() {
        // What stays is a file without a trailer, which the next start removes.
        let _ = target.fs.remove(&target.dir.join(target.header.id.file_name()));
    }
    sealed
}

/// Rows of the input, and whether to go on reading them.
struct Rows<'a, I> {
    input: &'a I,
    is_stopped: &'a dyn Fn() -> bool,
}

impl<I: Input> Rows<'_, I> {
    /// Calls `visit` with each row, its sequence and its record.
    ///
    /// # Errors
    ///
    /// As [`Input::record`]; [`Error::Stopped`].
    fn for_each(&self, mut visit: impl FnMut(u32, Sequence, &Record<'_>)) -> Result<(), Error> {
        let mut scratch = Vec::new();
        for row in 0..self.input.rows() {
            if row.is_multiple_of(ROWS_BETWEEN_LOOKS) && (self.is_stopped)() {
                return Err(Error::Stopped);
            }
            visit(row, self.input.sequence(row), &self.input.record(row, &mut scratch)?);
        }
        Ok(())
    }
}
