//! The manifest: which logs are live, and who the data directory is.
//!
//! Invariants:
//!
//! * A log is named here, durably and with proof, before the first record is appended to it; a file that is not named was never
//!   acknowledged, unless the manifest itself was damaged.
//! * Nothing is unlinked because it is *not* named here.
//! * The identities of logs only grow, and none is given out twice, whatever happened to the files.
//! * A log is closed at most once, and never opened again.
//!
//! It is a paired file ([`crate::paired`]); `docs/format.md` has the bytes of its changes. Opening it belongs to
//! [`crate::directory`], which knows what else stands in the data directory.

mod change;
pub(crate) mod contents;

use std::fmt;

use crate::error::Error;
use crate::log::LogHeader;
use crate::log::recovery::ClosedEnd;
use crate::paired::PairedFile;
use crate::units::LogId;

use change::ManifestChange;
use contents::Contents;

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
}

impl Manifest {
    /// The manifest over a file that holds `contents`; `next_log` is above every identity that was ever seen.
    pub(crate) fn new(file: PairedFile, contents: Contents, next_log: LogId) -> Manifest {
        Manifest { file, contents, next_log }
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
        self.contents.logs.insert(header.id, LiveLog { header: header.clone(), closed: None });
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
        if let Some(log) = self.contents.logs.get_mut(&id) {
            log.closed = Some(closed);
        }
        Ok(())
    }

    fn append(&mut self, change: ManifestChange) -> Result<(), Error> {
        self.file.append(&change.encode()).map(|_| ())
    }
}
