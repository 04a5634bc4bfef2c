//! Times, sequences and session codes of all rows: their order, and the indexes over sessions that follow from them.

use std::ops::Range;

use roaring::{RoaringBitmap, RoaringTreemap};

use crate::findings::{Findings, Place};
use crate::sealed::codes::BLOCK_ROWS;
use crate::sealed::{NO_SESSION, Segment};
use crate::units::Sequence;

use super::directory::WholeRun;
use super::links::Links;
use super::sessions::FirstTimes;
use super::told;

/// Rows that are decoded together; none of its columns if one of them cannot be read.
#[derive(Default)]
struct Block {
    first: u32,
    times: Vec<i64>,
    sequences: Vec<Sequence>,
    sessions: Vec<u32>,
}

/// Rows from `first` to the next block of columns, or to `end`.
pub(super) fn block_at(first: u32, end: u32) -> Range<u32> {
    first..end.min((first / BLOCK_ROWS as u32 + 1).saturating_mul(BLOCK_ROWS as u32))
}

pub(super) fn check(segment: &Segment, runs: &[WholeRun], findings: &mut Findings, progress: &mut dyn FnMut(u64)) {
    let mut check = Check {
        segment,
        times: FirstTimes::new(segment),
        sequences: RoaringTreemap::new(),
        links: Links::new(segment),
        sessions: RoaringBitmap::new(),
        last: None,
        is_whole: true,
    };
    let (mut block, mut are_all_known, mut told_bytes) = (Block::default(), true, 0);
    let mut runs = runs.iter().peekable();
    let mut row = 0;
    while row < segment.rows() {
        let rows = block_at(row, segment.rows());
        let is_known = block.read(segment, rows.clone(), findings);
        are_all_known &= is_known;
        // Runs of a damaged directory may begin before the one before them.
        while let Some(run) = runs.peek().filter(|run| run.run.rows.start < rows.end) {
            let part = run.run.rows.start.max(rows.start)..run.run.rows.end.min(rows.end);
            if !part.is_empty() {
                check.part(run, is_known.then(|| block.cut(&part)), &part, findings);
            }
            if run.run.rows.end > rows.end {
                break;
            }
            runs.next();
        }
        row = rows.end;
        let read = u128::from(segment.len_bytes()) * u128::from(row) / u128::from(segment.rows());
        progress(read as u64 - told_bytes);
        told_bytes = read as u64;
    }
    check.links.check_end(findings);
    if are_all_known {
        check.times.check(findings);
    }
}

/// Columns of some rows.
#[derive(Clone, Copy)]
struct Part<'b> {
    times: &'b [i64],
    sequences: &'b [Sequence],
    sessions: &'b [u32],
}

impl Block {
    fn read(&mut self, segment: &Segment, rows: Range<u32>, findings: &mut Findings) -> bool {
        self.first = rows.start;
        self.times.clear();
        self.sequences.clear();
        self.sessions.clear();
        let place = Place::row(rows.start);
        let times = told(segment.times(rows.clone(), &mut self.times), "times", place.clone(), findings);
        let sequences = told(segment.sequences(rows.clone(), &mut self.sequences), "sequences", place.clone(), findings);
        let sessions = told(segment.session_codes(rows, &mut self.sessions), "session codes", place, findings);
        times.is_some() && sequences.is_some() && sessions.is_some()
    }

    fn cut(&self, rows: &Range<u32>) -> Part<'_> {
        let cut = (rows.start - self.first) as usize..(rows.end - self.first) as usize;
        Part { times: &self.times[cut.clone()], sequences: &self.sequences[cut.clone()], sessions: &self.sessions[cut] }
    }
}

struct Check<'s> {
    segment: &'s Segment,
    times: FirstTimes,
    sequences: RoaringTreemap,
    links: Links<'s>,
    /// The sessions of the run so far, if it has a bitmap of them.
    sessions: RoaringBitmap,
    /// The row before, in the same run.
    last: Option<(i64, Sequence)>,
    /// Whether all rows of the run so far could be read.
    is_whole: bool,
}

impl Check<'_> {
    /// The rows `rows` of a run; the last ones if they end where the run does.
    fn part(&mut self, run: &WholeRun, part: Option<Part<'_>>, rows: &Range<u32>, findings: &mut Findings) {
        if rows.start == run.run.rows.start {
            self.sessions.clear();
            self.last = None;
            self.is_whole = true;
            self.links.begin();
        }
        self.is_whole &= part.is_some();
        if let Some(part) = part {
            self.order(run, part, rows, findings);
            let relative = rows.start - run.run.rows.start;
            for (row, session) in (relative..).zip(part.sessions) {
                self.links.push(run, row, *session, findings);
            }
            if run.entry.sessions_start < run.next.sessions_start {
                let mut codes = part.sessions.to_vec();
                codes.sort_unstable();
                codes.dedup();
                self.sessions.extend(codes.into_iter().filter(|code| *code != NO_SESSION));
            }
        } else {
            self.last = None;
        }
        if rows.end == run.run.rows.end {
            self.links.end(run, self.is_whole, findings);
            self.check_bitmap(run, findings);
        }
    }

    fn order(&mut self, run: &WholeRun, part: Part<'_>, rows: &Range<u32>, findings: &mut Findings) {
        let place = |row| Place::run(run.run.number).at_row(row);
        let (first, last) = (run.run.times.0.micros(), run.run.times.1.micros());
        let (lowest, end) = self.segment.provenance().sequences;
        for (row, ((time, sequence), session)) in (rows.start..).zip(part.times.iter().zip(part.sequences).zip(part.sessions)) {
            if self.last.is_some_and(|last| last >= (*time, *sequence)) {
                findings.add("times", place(row), "the row is not behind the one before by time and sequence");
            }
            let is_edge = |at: u32, of_run: i64| row != at || *time == of_run;
            if !(first..=last).contains(time) || !is_edge(run.run.rows.start, first) || !is_edge(run.run.rows.end - 1, last) {
                findings.add("run directory", place(row), "the time of the row is not within those of its run");
            }
            if !(lowest..end).contains(sequence) {
                findings.add("sequences", place(row), format_args!("{sequence} is not one that the footer names"));
            }
            if !self.sequences.insert(sequence.value()) {
                findings.add("sequences", place(row), format_args!("{sequence} is there twice"));
            }
            self.times.note(*session, *time);
            self.last = Some((*time, *sequence));
        }
    }

    fn check_bitmap(&self, run: &WholeRun, findings: &mut Findings) {
        if run.entry.sessions_start >= run.next.sessions_start {
            return;
        }
        let place = Place::run(run.run.number);
        let Some(stored) = told(self.segment.run_sessions(&run.run), "session bitmap", place.clone(), findings) else { return };
        if self.is_whole && stored != self.sessions {
            let (more, fewer) = ((&stored - &self.sessions).len(), (&self.sessions - &stored).len());
            findings.add("session bitmap", place, format_args!("it lacks {fewer} sessions of the run and has {more} others"));
        }
    }
}
