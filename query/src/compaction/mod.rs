//! Compaction: which segments to merge next, so that they stay few and questions find most rows in files that lie apart in time.
//!
//! Segments *arrive*, of any times: sealed logs, chunks of a load. Compaction *settles* their rows in segments of up to 16 million rows
//! that are apart in time, so that a bucket has its rows in one file. Rows whose time is far from now, decades back or days ahead, are
//! kept in one segment of *outliers*: a single one of them would else make every segment as long as all history.
//!
//! This is a pure function of what is live (`plan`): it reads no clock, starts nothing, and remembers nothing between two calls. How
//! many rows segments have in a span of time is estimated from a sample of their times (`estimate`); what it says is only where rows
//! go, and any division keeps every row.
//!
//! Rules, the first that applies:
//!
//! 1. *Settle.* The line of time is cut into slots, one for each settled segment and those between them (`slots`). Where the rows that
//!    arrived are a tenth of those that lie among them, or half of those that they follow, a slot is due: its rows are merged. What the
//!    merged segments have in other slots stays together as one segment that arrived. While nothing arrives a thousandth is enough.
//! 2. *Gather.* Of eight segments that arrived those are merged whose rows are the fewest for each file that goes away: eight of
//!    similar size become one.
//! 3. *Fill.* Settled segments that are more than their rows need are merged with their neighbours, where that rewrites the fewest rows.
//!
//! Invariants, whenever no rule applies:
//!
//! * At most [`Compaction::live_max`] segments are live.
//! * No two settled segments overlap in time, not even in between: each merge moves all rows of a slot at once.
//!
//! What it costs: a row is settled when ten rows or fewer are rewritten for it, and was gathered a few times before. Idle moments may
//! cost a thousand for one, where few rows are spread over a long history, and no more.

mod estimate;
mod live;
mod plan;
mod slots;

#[cfg(test)]
mod tests;

use std::ops::Range;

use format::{Level, SegmentId, UnixMicros};

use crate::merge::Division;
pub use live::LiveSegment;

/// The measures of compaction; tests have smaller ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// The most rows of a settled segment, as far as the sample of times tells: what a merge can hold the sessions of.
    pub settled_rows: u64,
    /// So many segments that arrived are merged.
    pub gather: usize,
    /// How many settled segments there may be above those that would hold all rows, and at most twice these: the slack that lets a
    /// merge rewrite few of them.
    pub slack: usize,
}

impl Default for Compaction {
    fn default() -> Compaction {
        Compaction { settled_rows: 16_000_000, gather: 8, slack: 6 }
    }
}

/// Segments to be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Which.
    pub inputs: Vec<SegmentId>,
    /// Which output gets a row.
    pub division: Division,
    /// What each output is.
    pub levels: Vec<Level>,
}

impl Compaction {
    /// The most segments that are live when there is nothing left to do, with `rows` rows in settled ones.
    pub fn live_max(&self, rows: u64) -> usize {
        self.gather - 1 + self.settled_max(rows) + 1
    }

    /// The most settled segments that so many rows may be in.
    fn settled_max(&self, rows: u64) -> usize {
        let needed = usize::try_from(rows.div_ceil(self.settled_rows)).unwrap_or(usize::MAX);
        needed.saturating_add(needed.min(self.slack))
    }

    /// What to merge next, if anything. `near` are the times that are no outliers, from twenty years ago to in two days;
    /// `is_idle` says that nothing arrived for a while.
    pub fn next(&self, live: &[LiveSegment], near: Range<UnixMicros>, is_idle: bool) -> Option<Merge> {
        let plan = plan::Plan::new(self, live);
        plan.settle(&near, is_idle).or_else(|| plan.gather()).or_else(|| plan.fill())
    }
}
