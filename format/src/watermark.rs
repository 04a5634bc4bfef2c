//! The commit watermark: how far readers may read.
//!
//! One writer publishes, any number of readers load. Ends are exclusive.
//!
//! Invariants:
//!
//! * `committed_end` ≤ what was appended, at every instant; with `--sync always`, ≤ what was synced too.
//! * Neither `rows` nor `committed_end` ever moves back.
//! * Every byte of a record below `committed_end`, and every index entry of a row below `rows`, was written before the watermark
//!   passed it; and a reader who sees `rows` sees a `committed_end` at or past those rows.
//!
//! The last is a pair of Release stores in [`Watermark::publish`], end first, paired with the Acquire loads in
//! [`Watermark::rows`] and [`Watermark::committed_end`]; `loom_tests` checks the pairs under every interleaving.

use crate::sync::{AtomicU64, Ordering};
use crate::units::ByteOffset;

#[cfg(not(weak_publish))]
const PUBLISH: Ordering = Ordering::Release;
#[cfg(weak_publish)]
const PUBLISH: Ordering = Ordering::Relaxed;

#[cfg(not(weak_observe))]
const OBSERVE: Ordering = Ordering::Acquire;
#[cfg(weak_observe)]
const OBSERVE: Ordering = Ordering::Relaxed;

/// How far one log is committed: rows for those who count, bytes for those who read records.
#[derive(Debug)]
pub struct Watermark {
    rows: AtomicU64,
    committed_end: AtomicU64,
}

impl Watermark {
    /// A watermark at the start of a log: no row, and nothing readable below `start`.
    pub fn new(start: ByteOffset) -> Watermark {
        Watermark { rows: AtomicU64::new(0), committed_end: AtomicU64::new(start.value()) }
    }

    /// Lets readers see `rows` rows and the bytes below `end`. Called by the one writer, with neither below what it was.
    pub fn publish(&self, rows: u32, end: ByteOffset) {
        // Release: partners of the loads below. End first: who sees the rows must see an end that covers them.
        self.committed_end.store(end.value(), PUBLISH);
        self.rows.store(u64::from(rows), PUBLISH);
    }

    /// The number of rows that readers may see; everything written for them happened before.
    pub fn rows(&self) -> u32 {
        // Acquire: partner of the second store in `publish`.
        u32::try_from(self.rows.load(OBSERVE)).expect("only u32 row counts are published")
    }

    /// The end of the bytes that readers may see.
    pub fn committed_end(&self) -> ByteOffset {
        // Acquire: partner of the first store in `publish`.
        ByteOffset::new(self.committed_end.load(OBSERVE))
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
