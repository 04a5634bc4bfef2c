//! Reading a data directory again, as a start does, and changing nothing.
//!
//! Invariants:
//!
//! * Nothing is written: all is read through [`FileSystem::open`](crate::fs::FileSystem::open) and `list`, which
//!   [`ReadOnlyFs`](crate::fs::ReadOnlyFs) has alone. The caller keeps others from writing with
//!   [`DirectoryLock::acquire_to_read`](crate::lock::DirectoryLock::acquire_to_read).
//! * What a start puts right by itself is no problem: a torn tail, a change without proof, a file that was not finished. Everything else
//!   that is not as it was written is one, also if nothing is lost by it.
//! * What is wrong with one file keeps no other from being read.
//!
//! Parts, in reading order: [`Survey`] (which files there are, by the manifest and by the folders), `paired` (manifest and catalog),
//! `logs`; segments are [`crate::sealed::verify()`]'s.

mod logs;
mod paired;
mod survey;
#[cfg(all(test, not(loom)))]
mod tests;

pub use survey::{Survey, Task};

use crate::findings::Findings;

/// What a file of a data directory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Which logs are live.
    Manifest,
    /// Sites, goals, tokens.
    Catalog,
    /// Events as they came.
    Log,
    /// Events by columns.
    Segment,
    /// What an earlier start could not explain.
    LostAndFound,
    /// What was not finished: the next start removes it.
    Unfinished,
    /// Nothing explains it.
    Unknown,
}

impl Role {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Manifest => "manifest",
            Role::Catalog => "catalog",
            Role::Log => "log",
            Role::Segment => "segment",
            Role::LostAndFound => "lost+found",
            Role::Unfinished => "unfinished",
            Role::Unknown => "unknown",
        }
    }
}

/// What was found in one file.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// The file, relative to the data directory.
    pub file: String,
    /// What it is for.
    pub role: Role,
    /// The events of a log or a segment, the changes of manifest or catalog, as far as they can be read.
    pub count: Option<u64>,
    /// Its length.
    pub len_bytes: u64,
    /// What else is to be known of it, though nothing is wrong.
    pub notes: Vec<String>,
    /// What is wrong.
    pub findings: Findings,
}

impl FileReport {
    fn new(file: String, role: Role, len_bytes: u64) -> FileReport {
        FileReport { file, role, count: None, len_bytes, notes: Vec::new(), findings: Findings::default() }
    }
}
