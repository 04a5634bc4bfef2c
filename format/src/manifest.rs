//! The manifest: which logs and segments are live, and who the data directory is.
//!
//! Invariants:
//!
//! * A log is named here, durably and with proof, before the first record is appended to it; a file that is not named was never
//!   acknowledged, unless the manifest itself was damaged.
//! * Segments are named here when they are complete and synced, in one change with the logs and segments that they replace: of the two
//!   copies of a row one is live, at every instant.
//! * Nothing is unlinked because it is *not* named here, but because a change says that it is replaced or dropped; that is remembered
//!   until the file is gone.
//! * What was lost of a log before it was sealed is named as long as the log's file is kept in `lost+found/`.
//! * The identities of logs and of segments only grow, and none that was named is given out twice, whatever happened to the files.
//! * A log is closed at most once, and never opened again.
//!
//! It is a paired file ([`crate::paired`]); `docs/format.md` has the bytes of its changes. Opening it belongs to
//! [`crate::directory`], which knows what else stands in the data directory.

mod change;
pub(crate) mod contents;
mod replacement;
mod segment;

use std::fmt;
use std::path::Path;

use crate::directory::{LOGS, SEGMENTS};
use crate::error::Error;
use crate::fs::FileSystem;
use crate::log::LogHeader;
use crate::log::recovery::ClosedEnd;
use crate::paired::{FileKind, PairedFile, TIDY_BYTES, TIDY_FACTOR};
use crate::units::{LogId, SegmentId};

use change::ManifestChange;
use contents::Contents;
pub use replacement::{Lost, Replacement};
pub use segment::LiveSegment;

/// A log that the manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveLog {
    /// What its header says, or said before it was damaged.
    pub header: LogHeader,
    /// Where it ends, if nothing is appended to it any more.
    pub closed: Option<Closed>,
}

/// The end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Everything below was synced.
    pub end: ClosedEnd,
    /// Whether it was closed because some of it was lost.
    pub is_damaged: bool,
}

/// Random bytes that a data directory keeps.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// Renewed when sequences may be given out again: by a restore, by a manifest that had to be made anew, or because a log that answered
    /// before its syncs did not end cleanly.
    pub epoch: [u8; 16],
    /// The key of hashes that must mean nothing outside this directory.
    pub secret: [u8; 16],
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:032x}, ..)", u128::from_be_bytes(self.epoch))
    }
}

/// The manifest, open for changes. One thread owns it.
#[derive(Debug)]
pub struct Manifest {
    file: PairedFile,
    contents: Contents,
    next_log: LogId,
    next_segment: SegmentId,
}

impl Manifest {
    /// The manifest over a file that holds `contents`; `next_log` and `next_segment` are above every identity that was ever seen.
    pub(crate) fn new(file: PairedFile, contents: Contents, next_log: LogId, next_segment: SegmentId) -> Manifest {
        Manifest { file, contents, next_log, next_segment }
    }

    /// The random bytes of this directory.
    pub fn identity(&self) -> &Identity {
        self.contents.identity.as_ref().expect("a manifest is opened with an identity")
    }

    /// What the next log gets. Only [`Manifest::log_created`] uses it up.
    pub fn next_log(&self) -> LogId {
        self.next_log
    }

    /// The live logs, oldest first.
    pub fn logs(&self) -> impl Iterator<Item = &LiveLog> {
        self.contents.logs.values()
    }

    /// Above every segment that was ever named. Whoever makes segments counts on from here: several may be in the making at a time, and
    /// be named in any order.
    pub fn next_segment(&self) -> SegmentId {
        self.next_segment
    }

    /// The live segments, in the order of their identities.
    pub fn segments(&self) -> impl Iterator<Item = &LiveSegment> {
        self.contents.segments.values()
    }

    /// Begins a new epoch: sequences given out from now on have nothing to do with those before. The secret stays.
    ///
    /// # Errors
    ///
    /// As [`PairedFile::append`].
    pub fn begin_epoch(&mut self, epoch: [u8; 16]) -> Result<(), Error> {
        let secret = self.identity().secret;
        self.append(ManifestChange::Directory { epoch, secret })?;
        self.contents.identity = Some(Identity { epoch, secret });
        Ok(())
    }

    /// Names a log whose file is complete and synced, so that it may be appended to.
    ///
    /// # Errors
    ///
    /// As [`PairedFile::append`].
    ///
    /// # Panics
    ///
    /// If the identity is not [`Manifest::next_log`] or above.
    pub fn log_created(&mut self, header: &LogHeader) -> Result<(), Error> {
        assert!(header.id >= self.next_log, "no identity is given out twice");
        self.append(ManifestChange::LogCreated { header: header.encode() })?;
        self.contents.create_log(LiveLog { header: header.clone(), closed: None });
        self.next_log = header.id.next();
        Ok(())
    }

    /// Closes a log: everything below `closed.end` was synced, and nothing is appended any more.
    ///
    /// # Errors
    ///
    /// As [`PairedFile::append`].
    ///
    /// # Panics
    ///
    /// If there is no such log, or it is closed.
    pub fn log_closed(&mut self, id: LogId, closed: Closed) -> Result<(), Error> {
        let is_open = self.contents.logs.get(&id).is_some_and(|log| log.closed.is_none());
        assert!(is_open, "only an open log is closed");
        self.append(ManifestChange::closed(id, closed))?;
        self.contents.close_log(id, closed);
        Ok(())
    }

    /// Puts segments in the place of logs and segments, in one step.
    ///
    /// # Errors
    ///
    /// As [`PairedFile::append`].
    ///
    /// # Panics
    ///
    /// If a segment was named before, or something is replaced that is not live, or a log that is open.
    pub fn replace(&mut self, replacement: &Replacement) -> Result<(), Error> {
        let Replacement { logs, segments, added, .. } = replacement;
        assert!(!added.iter().any(|segment| self.contents.was_named(segment.id())), "no identity is given out twice");
        let is_closed = |id| self.contents.logs.get(id).is_some_and(|log| log.closed.is_some());
        assert!(logs.iter().all(is_closed), "only a closed log is replaced");
        assert!(segments.iter().all(|id| self.contents.segments.contains_key(id)), "only a live segment is replaced");
        self.append(ManifestChange::replaced(replacement))?;
        self.contents.replace(replacement.clone());
        self.next_segment = self.next_segment.max(self.contents.next_segment());
        Ok(())
    }

    /// Writes the file anew if it has become several times longer than what it has to say. Returns whether it did.
    ///
    /// # Errors
    ///
    /// As [`PairedFile::replace`]: after [`Error::Full`] the old file goes on, everything else is final.
    pub fn tidy(&mut self, fs: &dyn FileSystem, dir: &Path) -> Result<bool, Error> {
        if self.file.len_bytes() < TIDY_BYTES {
            return Ok(false);
        }
        let list = |folder: &str| fs.list(&dir.join(folder));
        // What cannot be listed now can wait.
        let (Ok(logs), Ok(segments)) = (list(LOGS), list(SEGMENTS)) else { return Ok(false) };
        self.contents.forget_removed(&logs, &segments);
        let payloads = self.contents.payloads();
        if self.file.len_bytes() < TIDY_FACTOR * PairedFile::len_bytes_of(&payloads) {
            return Ok(false);
        }
        self.file = PairedFile::replace(fs, dir, FileKind::Manifest, &payloads)?;
        Ok(true)
    }

    fn append(&mut self, change: ManifestChange) -> Result<(), Error> {
        self.file.append(&change.encode()).map(|_| ())
    }
}

#[cfg(all(test, not(loom)))]
mod tidy_tests;
