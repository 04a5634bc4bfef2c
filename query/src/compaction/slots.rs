//! The line of time as settled segments cut it.

use std::ops::Range;

use format::UnixMicros;

use super::LiveSegment;
use super::estimate::rows_between;

/// Of the rows among which they arrived, so many times fewer are due.
const AMONG: u64 = 10;
/// While nothing arrives.
const AMONG_IDLE: u64 = 1024;
/// The same of the rows that they follow. These are no burden to questions, so it takes more to rewrite them.
const BEHIND: u64 = 2;
/// While nothing arrives.
const BEHIND_IDLE: u64 = 10;
/// Of the most rows of a settled segment, the part from which on rows with none beside them become one.
const NEW: u64 = 16;

/// A span of time.
#[derive(Clone, Debug)]
pub(super) struct Slot<'a> {
    pub(super) from: i64,
    pub(super) end: i64,
    /// The settled segment whose rows lie in it, at its beginning; it has rows nowhere else.
    pub(super) settled: Option<&'a LiveSegment>,
    /// Whether all that is behind it is far from now.
    is_last: bool,
}

/// The times that are no outliers, cut into slots. All rows of `settled`, which is in order, are in one.
pub(super) fn slots<'a>(settled: &[&'a LiveSegment], near: &Range<UnixMicros>, settled_rows: u64) -> Vec<Slot<'a>> {
    let from = settled.first().map_or(near.start, |first| first.times.0.min(near.start)).micros();
    let end = settled.last().map_or(near.end.micros(), |last| near.end.micros().max(last.times.1.micros() + 1));
    let mut slots = Vec::new();
    let mut next = from;
    for (at, segment) in settled.iter().enumerate() {
        let (first, behind) = (segment.times.0.micros(), segment.times.1.micros() + 1);
        slots.push(Slot { from: next, end: first, settled: None, is_last: false });
        let until = settled.get(at + 1).map_or(end, |next| next.times.0.micros());
        // Rows that follow a full segment are not added to it.
        next = if segment.rows < settled_rows - settled_rows / NEW { until } else { behind };
        slots.push(Slot { from: first, end: next, settled: Some(segment), is_last: false });
    }
    slots.push(Slot { from: next, end, settled: None, is_last: true });
    slots.retain(|slot| slot.from < slot.end);
    slots
}

impl Slot<'_> {
    /// Whether the rows that `arrived` have here are to be settled.
    pub(super) fn is_due(&self, arrived: &[&LiveSegment], settled_rows: u64, is_idle: bool) -> bool {
        let count = |end: i64| arrived.iter().map(|segment| rows_between(segment, self.from, end)).sum::<u64>();
        let all = count(self.end);
        match self.settled {
            _ if all == 0 => false,
            None => all >= settled_rows / NEW || is_idle && self.is_last,
            Some(segment) => {
                let (among, behind) = if is_idle { (AMONG_IDLE, BEHIND_IDLE) } else { (AMONG, BEHIND) };
                let inside = count(segment.times.1.micros() + 1);
                inside > 0 && inside * among >= segment.rows || all * behind >= segment.rows
            }
        }
    }
}
