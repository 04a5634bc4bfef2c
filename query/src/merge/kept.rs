//! Rows of a run that stay.

use std::ops::Range;

use format::Segment;
use format::sealed::Run;

use super::of;
use crate::error::Error;
use crate::rows::blocks;

/// Rows of one run: ranges in order that do not touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept(Vec<Range<u32>>);

impl Kept {
    /// The rows of `run` with one of `times`, which are in order. A run is in the order of its times, so each range is two searches, or
    /// none where the run ends before it does.
    pub(super) fn find(segment: &Segment, run: &Run, times: impl Iterator<Item = Range<i64>>) -> Result<Kept, Error> {
        let (first, last) = (run.times.0.micros(), run.times.1.micros());
        let bound = |time: i64| match time {
            _ if time <= first => Ok(run.rows.start),
            _ if time > last => Ok(run.rows.end),
            _ => of(segment, segment.lower_bound(run.rows.clone(), time)),
        };
        let mut kept: Vec<Range<u32>> = Vec::with_capacity(1);
        for time in times {
            let rows = bound(time.start)?..bound(time.end)?;
            match kept.last_mut() {
                _ if rows.is_empty() => {}
                Some(last) if last.end == rows.start => last.end = rows.end,
                _ => kept.push(rows),
            }
        }
        Ok(Kept(kept))
    }

    /// How many.
    pub(super) fn len(&self) -> u32 {
        self.0.iter().map(|rows| rows.end - rows.start).sum()
    }

    /// The first one.
    pub(super) fn first(&self) -> Option<u32> {
        self.0.first().map(|rows| rows.start)
    }

    /// The one behind `row`, which is one of them.
    pub(super) fn after(&self, row: u32) -> Option<u32> {
        let next = self.0.iter().find(|rows| row + 1 < rows.end)?;
        Some(next.start.max(row + 1))
    }

    /// The ranges.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<u32>> {
        self.0.iter().cloned()
    }

    /// The ranges, cut where blocks of columns begin.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Range<u32>> {
        self.ranges().flat_map(blocks)
    }

    /// Whether they are all rows of a run.
    pub(super) fn are_all(&self, run: &Run) -> bool {
        *self.0 == *std::slice::from_ref(&run.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_follows_the_other() {
        let kept = Kept(vec![3..5, 9..10, 20_000..40_000]);
        assert_eq!((kept.len(), kept.first()), (20_003, Some(3)));
        assert_eq!([3, 4, 9, 20_000, 39_999].map(|row| kept.after(row)), [Some(4), Some(9), Some(20_000), Some(20_001), None]);
        assert_eq!(kept.blocks().collect::<Vec<_>>(), [3..5, 9..10, 20_000..32_768, 32_768..40_000]);
        assert_eq!(Kept(Vec::new()).first(), None);
    }
}
