//! The rules, in their order.

use std::cmp::Reverse;
use std::ops::Range;

use format::{Level, UnixMicros};

use super::estimate::{cuts, rows_between};
use super::slots::{Slot, slots};
use super::{Compaction, LiveSegment, Merge};
use crate::merge::Division;

/// Of the rows of outliers, so many times fewer are added to them.
const OUTLIERS: u64 = 10;

/// What is live, by level.
pub(super) struct Plan<'a> {
    measures: &'a Compaction,
    arrived: Vec<&'a LiveSegment>,
    /// In the order of times.
    settled: Vec<&'a LiveSegment>,
    outliers: Vec<&'a LiveSegment>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(measures: &'a Compaction, live: &'a [LiveSegment]) -> Plan<'a> {
        let of = |level| live.iter().filter(move |segment| segment.level == level).collect::<Vec<_>>();
        let (arrived, mut settled, outliers) = (of(Level::Arrived), of(Level::Settled), of(Level::Outliers));
        settled.sort_unstable_by_key(|segment| segment.times);
        Plan { measures, arrived, settled, outliers }
    }

    /// Rows that arrived are settled in the slots that are due.
    pub(super) fn settle(&self, near: &Range<UnixMicros>, is_idle: bool) -> Option<Merge> {
        let slots = slots(&self.settled, near, self.measures.settled_rows);
        let (start, end) = (slots.first()?.from, slots.last()?.end);
        let due = self.due(&slots, &self.arrived, is_idle);
        let far_of = |segment: &LiveSegment| segment.rows.saturating_sub(rows_between(segment, start, end));
        // A segment with more rows elsewhere than here waits for others: what is merged and not settled is written for nothing.
        let is_taken = |segment: &&LiveSegment| {
            let here = due.iter().map(|at| rows_between(segment, slots[*at].from, slots[*at].end)).sum::<u64>();
            let are_most = 2 * (here + far_of(segment)) >= segment.rows;
            are_most || is_idle && here > 0
        };
        let taken: Vec<&LiveSegment> = self.arrived.iter().copied().filter(is_taken).collect();
        let due = self.due(&slots, &taken, is_idle);
        let far: u64 = taken.iter().map(|segment| far_of(segment)).sum();
        let has_outliers = far > 0 && far * OUTLIERS >= self.outliers.iter().map(|segment| segment.rows).sum();
        if due.is_empty() && !has_outliers {
            return None;
        }
        let mut inputs = taken;
        inputs.extend(due.iter().filter_map(|at| slots[*at].settled));
        inputs.extend(if has_outliers { &self.outliers[..] } else { &[] });
        let mut division = Builder::default();
        let outer = if has_outliers { Level::Outliers } else { Level::Arrived };
        division.piece(i64::MIN, outer);
        let mut at = 0;
        while at < slots.len() {
            if !due.contains(&at) {
                division.piece(slots[at].from, Level::Arrived);
                at += 1;
                continue;
            }
            // Slots that touch are cut as one.
            let from = slots[at].from;
            while at + 1 < slots.len() && due.contains(&(at + 1)) {
                at += 1;
            }
            self.cut(&inputs, from, slots[at].end, &mut division);
            at += 1;
        }
        division.piece(end, outer);
        Some(division.merge(&inputs))
    }

    /// The numbers of slots that are due.
    fn due(&self, slots: &[Slot<'_>], arrived: &[&LiveSegment], is_idle: bool) -> Vec<usize> {
        let is_due = |slot: &Slot<'_>| slot.is_due(arrived, self.measures.settled_rows, is_idle);
        slots.iter().enumerate().filter(|(_, slot)| is_due(slot)).map(|(at, _)| at).collect()
    }

    /// Settles the rows of `inputs` in `[from, end)`, in full segments but for the last.
    fn cut(&self, inputs: &[&LiveSegment], from: i64, end: i64, division: &mut Builder) {
        let rows: u64 = inputs.iter().map(|segment| rows_between(segment, from, end)).sum();
        division.settle(from);
        let piece_rows = self.measures.settled_rows;
        cuts(inputs, from, end, rows.div_ceil(piece_rows), piece_rows).iter().for_each(|cut| division.settle(cut.micros()));
    }

    /// Those segments that arrived are merged of which the fewest rows are rewritten for each that goes away.
    pub(super) fn gather(&self) -> Option<Merge> {
        if self.arrived.len() < self.measures.gather {
            return None;
        }
        let mut arrived = self.arrived.clone();
        arrived.sort_by_key(|segment| segment.rows);
        let cost = |count: usize| arrived[..count].iter().map(|segment| segment.rows).sum::<u64>() / (count as u64 - 1);
        let count = (2..=arrived.len()).min_by_key(|count| (cost(*count), Reverse(*count)))?;
        let mut division = Builder::default();
        division.piece(i64::MIN, Level::Arrived);
        Some(division.merge(&arrived[..count]))
    }

    /// Neighbours are merged where that rewrites the fewest rows, if there are more settled segments than there may be.
    pub(super) fn fill(&self) -> Option<Merge> {
        let rows: u64 = self.settled.iter().map(|segment| segment.rows).sum();
        if self.settled.len() <= self.measures.settled_max(rows) {
            return None;
        }
        let mut best: Option<(u64, &[&LiveSegment], u64)> = None;
        for start in 0..self.settled.len() {
            let mut rows = 0;
            for end in start + 1..=self.settled.len() {
                rows += self.settled[end - 1].rows;
                let needed = rows.div_ceil(self.measures.settled_rows);
                if needed < (end - start) as u64 {
                    if best.is_none_or(|(fewest, ..)| rows < fewest) {
                        best = Some((rows, &self.settled[start..end], needed));
                    }
                    break;
                }
            }
        }
        let (rows, inputs, pieces) = best?;
        let mut division = Builder::default();
        division.settle(i64::MIN);
        cuts(inputs, i64::MIN, i64::MAX, pieces, rows.div_ceil(pieces)).iter().for_each(|cut| division.settle(cut.micros()));
        Some(division.merge(inputs))
    }
}

/// A division that is put together from left to right.
#[derive(Default)]
struct Builder {
    pieces: Vec<(i64, usize)>,
    levels: Vec<Level>,
}

impl Builder {
    /// From here on rows are those of the one output of this level.
    fn piece(&mut self, from: i64, level: Level) {
        let output = self.levels.iter().position(|known| *known == level).unwrap_or(self.levels.len());
        if output == self.levels.len() {
            self.levels.push(level);
        }
        self.pieces.push((from, output));
    }

    /// From here on rows are those of a new output.
    fn settle(&mut self, from: i64) {
        self.pieces.push((from, self.levels.len()));
        self.levels.push(Level::Settled);
    }

    fn merge(self, inputs: &[&LiveSegment]) -> Merge {
        let first = self.pieces[0].1;
        // A piece behind the last instant there is has no rows.
        let cuts: Vec<(UnixMicros, usize)> =
            self.pieces[1..].iter().filter_map(|(from, output)| Some((UnixMicros::new(*from)?, *output))).collect();
        Merge { inputs: inputs.iter().map(|segment| segment.id).collect(), division: Division::new(first, &cuts), levels: self.levels }
    }
}
