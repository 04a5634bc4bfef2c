//! How bytes get to disk and back, and what survives a crash.
//!
//! This crate knows files, frames, logs and the hand-overs between the one thread that appends and those that read. It has no
//! async, no HTTP, no JSON and no clock: instants are passed in. `docs/format.md` describes every byte it writes.

pub mod catalog;
pub mod chain;
pub mod checksum;
pub mod column;
pub mod directory;
pub mod error;
mod fault;
pub mod findings;
pub mod frame;
pub mod fs;
pub mod inspect;
pub mod lock;
pub mod log;
pub mod manifest;
pub mod map;
pub mod paired;
pub mod record;
pub mod sealed;
mod sync;
pub mod terms;
pub mod units;
pub mod verify;
pub mod watermark;

pub use catalog::CatalogFile;
pub use directory::{DataDirectory, Opened};
pub use error::{Corruption, Damage, Error};
pub use log::{LogFile, LogHeader, LogOptions, LogReader, LogWriter};
pub use manifest::{Closed, Identity, LiveLog, LiveSegment, Manifest};
pub use record::{Kind, Record, RecordError, RecordHead, Source};
pub use sealed::{Level, Segment, SegmentWriter};
pub use units::{ByteOffset, LogId, Ordinal, PageHash, SegmentId, Sequence, SessionId, SiteId, TokenId, UnixMicros};
pub use watermark::Watermark;
