//! Links: both bit vectors with their counts, and the long links of each run.

use crate::error::Error;
use crate::findings::{Findings, Place};
use crate::sealed::bits::BitSet;
use crate::sealed::blocks::Input;
use crate::sealed::links::{GROUP_BITS, GROUP_LEN_BYTES, are_far, coarse, each_long};
use crate::sealed::section::Section;
use crate::sealed::times::Times;
use crate::sealed::{NO_SESSION, Segment};

use super::directory::WholeRun;
use super::told;

const LONG: &str = "long links";

/// The links of one run after the other, worked out from session codes. Memory: 4 bytes a session, 2 bits a row and 8 bytes a long link
/// of the run.
pub(super) struct Links<'s> {
    segment: &'s Segment,
    /// The last row of each session. Rows only grow, so one of an earlier run is below the run's first.
    last_rows: Vec<u32>,
    prev: BitSet,
    next: BitSet,
    long: Vec<(u32, u32)>,
    /// Whether the times of all links of the run could be read.
    are_times_known: bool,
    scratch: Vec<u8>,
    vectors: [Vector<'s>; 2],
}

impl<'s> Links<'s> {
    pub(super) fn new(segment: &'s Segment) -> Links<'s> {
        let input = segment.input();
        Links {
            segment,
            last_rows: vec![u32::MAX; segment.sessions() as usize],
            prev: BitSet::default(),
            next: BitSet::default(),
            long: Vec::new(),
            are_times_known: true,
            scratch: Vec::new(),
            vectors: [Vector::new(input, Section::HAS_PREV, "has_prev"), Vector::new(input, Section::HAS_NEXT, "has_next")],
        }
    }

    /// The first row of the next run follows.
    pub(super) fn begin(&mut self) {
        self.prev.clear();
        self.next.clear();
        self.long.clear();
        self.are_times_known = true;
    }

    /// The next row of the run, relative to its first.
    pub(super) fn push(&mut self, run: &WholeRun, row: u32, session: u32, findings: &mut Findings) {
        if session == NO_SESSION {
            return;
        }
        let first = run.run.rows.start;
        let last = std::mem::replace(&mut self.last_rows[session as usize], first + row);
        let Some(prev) = last.checked_sub(first).filter(|_| last != u32::MAX) else { return };
        self.prev.set(row);
        self.next.set(prev);
        let times = Times { input: self.segment.input(), rows: self.segment.rows() };
        let mut time = |row| times.time(first + row, &mut self.scratch);
        let begun = run.run.times.0.micros();
        let ends = time(prev).and_then(|start| Ok((coarse(start, begun), coarse(time(row)?, begun))));
        match told(ends, "times", Place::row(first + row), findings) {
            Some((start, end)) if are_far(start, end) => self.long.push((prev, row)),
            Some(_) => {}
            None => self.are_times_known = false,
        }
    }

    /// Compares the links of the run; without those of rows that could not be read they say nothing.
    pub(super) fn end(&mut self, run: &WholeRun, is_whole: bool, findings: &mut Findings) {
        let [prev, next] = &mut self.vectors;
        prev.compare(run, is_whole.then_some(&self.prev), findings);
        next.compare(run, is_whole.then_some(&self.next), findings);
        self.long.sort_unstable();
        let (mut expected, mut first_wrong) = (self.long.iter(), None);
        let stored = run.entry.long_links_start..run.next.long_links_start;
        let read = each_long(self.segment.input(), stored, run.entry.long_links, |link| {
            let is_wrong = expected.next() != Some(&link);
            if is_wrong && first_wrong.is_none() {
                first_wrong = Some(link.0);
            }
        });
        let place = Place::run(run.run.number);
        if told(read, LONG, place.clone(), findings).is_none() || !is_whole || !self.are_times_known {
            return;
        }
        if let Some(row) = first_wrong.or(expected.next().map(|link| link.0)) {
            let row = run.run.rows.start.saturating_add(row);
            findings.add(LONG, place.at_row(row), format_args!("they are not the {} links that may be an hour long", self.long.len()));
        }
    }

    /// Behind the last row.
    pub(super) fn check_end(&mut self, findings: &mut Findings) {
        for vector in &mut self.vectors {
            vector.check_end(self.segment.rows(), findings);
        }
    }
}

/// A bit vector as it is stored, read front to back.
struct Vector<'s> {
    input: &'s Input,
    section: Section,
    part: &'static str,
    group: Option<Group>,
    /// Bits that should be set so far; none behind rows that could not be read.
    count: Option<u32>,
}

#[derive(Clone, Copy)]
struct Group {
    number: u32,
    before: u32,
    bits: [u8; GROUP_BITS as usize / 8],
}

impl<'s> Vector<'s> {
    fn new(input: &'s Input, section: Section, part: &'static str) -> Vector<'s> {
        Vector { input, section, part, group: None, count: Some(0) }
    }

    fn group_of(&mut self, row: u32) -> Result<Group, Error> {
        let number = row / GROUP_BITS;
        if let Some(group) = self.group.filter(|group| group.number == number) {
            return Ok(group);
        }
        let bytes: [u8; GROUP_LEN_BYTES] = self.input.array(self.section, u64::from(number) * GROUP_LEN_BYTES as u64, &mut Vec::new())?;
        let (before, bits) = bytes.split_at(size_of::<u32>());
        let before = u32::from_le_bytes(before.try_into().expect("four bytes"));
        let group = Group { number, before, bits: bits.try_into().expect("the rest of a group") };
        self.group = Some(group);
        Ok(group)
    }

    fn compare(&mut self, run: &WholeRun, expected: Option<&BitSet>, findings: &mut Findings) {
        let Some(expected) = expected else {
            self.count = None;
            return;
        };
        let (mut wrong, mut first_wrong, mut is_told) = (0u32, 0, false);
        for row in run.rows() {
            let place = Place::run(run.run.number).at_row(row);
            let Some(group) = told(self.group_of(row), self.part, place.clone(), findings) else {
                self.count = None;
                return;
            };
            if row.is_multiple_of(GROUP_BITS) {
                let count = *self.count.get_or_insert(group.before);
                if count != group.before && !is_told {
                    findings.add(self.part, place, format_args!("{} bits are counted before the row instead of {count}", group.before));
                    is_told = true;
                }
            }
            let is_set = expected.get(row - run.run.rows.start);
            if group.bit(row) != is_set {
                first_wrong = if wrong == 0 { row } else { first_wrong };
                wrong += 1;
            }
            self.count = self.count.map(|count| count + u32::from(is_set));
        }
        if wrong > 0 {
            let place = Place::run(run.run.number).at_row(first_wrong);
            findings.add(self.part, place, format_args!("the bits of {wrong} rows are not what their sessions say"));
        }
    }

    fn check_end(&mut self, rows: u32, findings: &mut Findings) {
        let len = u64::from(rows.div_ceil(GROUP_BITS)) * GROUP_LEN_BYTES as u64;
        if self.input.len(self.section) != len {
            findings.add(self.part, Place::file(), format_args!("{} bytes instead of {len}", self.input.len(self.section)));
        } else if let Some(last) = rows.checked_sub(1)
            && let Some(group) = told(self.group_of(last), self.part, Place::file(), findings)
            && (last % GROUP_BITS + 1..GROUP_BITS).any(|bit| group.bit(bit))
        {
            findings.add(self.part, Place::file(), "bits are set behind the last row");
        }
    }
}

impl Group {
    fn bit(&self, row: u32) -> bool {
        let bit = row % GROUP_BITS;
        self.bits[bit as usize / 8] >> (bit % 8) & 1 != 0
    }
}
