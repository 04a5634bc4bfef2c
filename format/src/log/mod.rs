//! The log: a file of event frames that grows, or has just been closed.
//!
//! Words: a *batch* is the frames of one group commit and one *commit frame*; it is *whole* if its commit frame is valid, starts
//! where the batch before it ends, and exactly as many valid frames as it counts lie between. It is *proven* if a later commit frame
//! anywhere in the file, or the manifest, says that everything up to its end was synced. `docs/format.md` has the bytes.
//!
//! Invariants, with `E` the end of the last batch that was appended:
//!
//! * `durable_end` ≤ `E` ≤ the prepared end ≤ the file's length; all but the last only grow.
//! * A commit frame's `durable_end` was reached by a sync that returned before the frame was written.
//! * The bytes between `E` and the prepared end are zeros and synced: an append changes no file size, and a full disk is met by
//!   growth, never by a store into a mapping or by half a batch.
//! * Bytes below `E` are never written with other content. (Recovery writes them again with the same.)
//! * Batches start at multiples of 8, so a scan of every 8-byte position meets every commit frame, also behind damage.
//!
//! Parts, in reading order: [`LogHeader`], [`CommitFrame`], [`LogWriter`], [`Growth`](growth::Growth), [`LogReader`], [`LogFile`],
//! [`recovery`].

mod commit;
mod file;
pub mod growth;
mod header;
mod reader;
pub mod recovery;
mod writer;

pub use commit::{COMMIT_FRAME_LEN_BYTES, CommitFrame};
pub use file::LogFile;
pub use header::{HEADER_LEN_BYTES, LogHeader};
pub use reader::LogReader;
pub use writer::{Appended, LogOptions, LogWriter};

/// The longest batch, in bytes: what recovery reads at once. The appender stays well below.
pub const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// What batches and commit frames are aligned to, in bytes.
pub const ALIGNMENT: usize = 8;

#[cfg(all(test, not(loom)))]
mod crash_tests;
#[cfg(all(test, not(loom)))]
mod damage_tests;
#[cfg(all(test, not(loom)))]
mod disk_tests;
