//! What can go wrong between the bytes and the disk.

use std::io;
use std::path::{Path, PathBuf};

use crate::frame::FrameDamage;
use crate::fs::is_out_of_descriptors;
use crate::record::RecordError;
use crate::units::{ByteOffset, Sequence, UnixMicros};

/// Why a file of the data directory could not be opened, read or appended to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused `operation`. Nothing is known of what it did before it refused.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// A verb: `open`, `append to`, `sync`.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no space: the append was undone and may be tried again when there is.
    #[error("no space to append to {}", path.display())]
    Full {
        /// The file that could not grow.
        path: PathBuf,
        /// The system's reason: ENOSPC, EDQUOT or EFBIG.
        source: io::Error,
    },
    /// An earlier append or sync of this file failed; nothing more is appended until it is opened again.
    #[error("{} takes no more appends after a failed sync", path.display())]
    Poisoned {
        /// The file.
        path: PathBuf,
    },
    /// A frame below the watermark does not verify: the medium or another program changed it.
    #[error("{} is corrupt at byte {offset}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the damage begins.
        offset: ByteOffset,
        /// What was wrong with the bytes.
        source: Corruption,
    },
    /// A file that must be there is not: something else removed it. It is not made anew, because what it said would be forgotten.
    #[error("{} is missing from a data directory that is in use", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// More bytes than the format allows: of a batch, of a change, or of a whole file. Nothing was written.
    #[error("{} bytes in {} are above the limit of {max_bytes}", len_bytes, path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How many there are, or would be.
        len_bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// What should be a data directory has nothing that one has.
    #[error("{} is no data directory: there is no manifest, no catalog, no logs/ and no segments/", path.display())]
    NoDataDirectory {
        /// What was looked into.
        path: PathBuf,
    },
    /// What should be a file of a data directory begins as none of them does.
    #[error("{} is no segment, log, manifest or catalog of hitkeepd", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// Another process has the data directory open.
    #[error("data directory {} is in use by {}", path.display(), holder.map_or("another process".to_owned(), |pid| format!("process {pid}")))]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// Its process id, if it could be read.
        holder: Option<u32>,
    },
    /// The data directory is on a file system whose locks and mappings do not hold between machines.
    #[error("data directory {} is on a network file system ({kind}); use a local disk", path.display())]
    NetworkFileSystem {
        /// The data directory.
        path: PathBuf,
        /// Which one.
        kind: &'static str,
    },
    /// What is written to a file of this directory does not show in a mapping of it.
    #[error("data directory {} is on a file system where mappings do not show what is written; use another one", path.display())]
    Incoherent {
        /// The data directory.
        path: PathBuf,
    },
}

impl Error {
    /// Shapes an `io::Error` into [`Error::Io`]; made for `map_err`.
    pub fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { operation, path, source }
    }

    /// Whether something that is no file, a directory or a pipe, has the name of one.
    pub fn is_no_file(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::IsADirectory)
    }

    /// Whether a sync of a file or folder failed. What was written to it since the last one may be gone though it can be read, and no second
    /// sync would tell.
    pub fn is_failed_sync(&self) -> bool {
        matches!(self, Error::Io { operation: "sync", .. } | Error::Poisoned { .. }) && !self.is_out_of_descriptors()
    }

    /// Whether there was no descriptor to open a file or folder with. It passes by itself.
    pub fn is_out_of_descriptors(&self) -> bool {
        matches!(self, Error::Io { source, .. } if is_out_of_descriptors(source))
    }
}

/// What was wrong with bytes that were read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    /// The bytes are not a frame.
    #[error(transparent)]
    Frame(#[from] FrameDamage),
    /// The frame verifies and its payload is no record: a bug, or a file made by hand.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A frame of this kind does not belong here.
    #[error("unexpected frame kind {0}")]
    FrameKind(u8),
    /// The file does not begin with the magic bytes of its kind.
    #[error("not a {expected} file")]
    Magic {
        /// What was looked for.
        expected: &'static str,
    },
    /// A newer hitkeepd wrote this file.
    #[error("written in format version {found}; this program reads up to version {known}")]
    Version {
        /// What the header says.
        found: u32,
        /// The newest this program reads.
        known: u32,
    },
    /// The file is shorter than it says it was synced with: something else cut it.
    #[error("cut short: {len_bytes} bytes long instead of at least {durable_len}")]
    CutShort {
        /// The file's length.
        len_bytes: u64,
        /// The length that its last frame, or its header, names.
        durable_len: u64,
    },
    /// A proof frame was written for other bytes than those that stand before it.
    #[error("the change is not the one that was proven")]
    Proof,
    /// The checksum of the header does not match.
    #[error("header checksum does not match")]
    Header,
    /// A payload that verifies cannot be decoded.
    #[error("payload of a {what} frame cannot be decoded")]
    Payload {
        /// Which frame.
        what: &'static str,
    },
    /// A segment does not end in its trailer: it was never committed, or it was cut or damaged there.
    #[error("trailer is missing or damaged")]
    Trailer,
    /// The checksum of a segment's footer does not match, or it names what cannot be.
    #[error("footer is damaged")]
    Footer,
    /// The checksum of a block of a segment does not match.
    #[error("checksum of a block of {what} does not match")]
    Block {
        /// What the block holds.
        what: &'static str,
    },
    /// A block of a segment verifies and cannot be decoded: a bug, or a file made by hand.
    #[error("a block of {what} verifies and cannot be decoded")]
    Undecodable {
        /// What the block holds.
        what: &'static str,
    },
}

/// A range of a file that is lost, and what was in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file, relative to the data directory.
    pub file: String,
    /// The first byte that is not vouched for.
    pub from: ByteOffset,
    /// The byte behind the last one.
    pub end: ByteOffset,
    /// The sequences that may have been in it: first, and one past the last; equal where no record was.
    pub sequences: (Sequence, Sequence),
    /// Between which instants events are missing, both included, as far as that is known. Of a segment these are times of its events. What
    /// stood in a log cannot be asked any more: of it they are by the wall clock when it was written.
    pub times: (Option<UnixMicros>, Option<UnixMicros>),
}
