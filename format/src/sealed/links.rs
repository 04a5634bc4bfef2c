//! Links: which rows of a run are of one session, so that distinct sessions are counted without looking at rows.
//!
//! A link joins two rows p < r of a run that are consecutive rows of one session. Two bit vectors over all rows say which row has a link
//! before it (`has_prev`: it is some r) and which one behind it (`has_next`: it is some p). Rows without a session have none.
//!
//! The rows `[a, b)` have (b - a) - inside distinct sessions, where *inside* is the number of links with a ≤ p and r < b: every session
//! of n rows there has n - 1 such links. With rank(v, x) the number of bits below row x, links with r < b are rank(has_prev, b), and of
//! these those with p < a have to be taken out again: they are all links with p < a, which are rank(has_next, a), but for those that
//! *straddle*: p < a and r ≥ b. So
//!
//! > inside = rank(has_prev, b) - rank(has_next, a) + straddling(a, b).
//!
//! Both ranks may count from the first row of the segment: no link leaves its run, so runs before have as many bits in both vectors.
//!
//! A straddling link is at least as long as time(b) - time(a - 1), its ends lie further out than these rows. So where those are an hour
//! or more apart, only *long* links can straddle, of an hour or more, which are listed. Where a - 1 or b is not in the run, none can.
//! Other buckets, which have few rows or a crowd, count the codes of their rows.

use std::ops::Range;

use crate::error::Error;

use super::NO_SESSION;
use super::bits::{self, BitSet};
use super::blocks::Input;
use super::output::Output;
use super::section::Section;
use super::varint;

/// From when on a link is long, in microseconds.
pub(super) const LONG_US: i64 = 3_600_000_000;

/// Times are kept in steps of 2^27 microseconds, some two minutes, while a run is written: 32 bits are enough for ten thousand years.
pub(super) const COARSE_SHIFT: u32 = 27;

/// The steps from `first_time`, of a run, to a later time.
pub(super) fn coarse(time: i64, first_time: i64) -> u32 {
    (time.wrapping_sub(first_time) >> COARSE_SHIFT) as u32
}

/// Whether times with these steps from one instant may be an hour apart. Rounded up, so that no link of an hour is left out of the list
/// of long ones; one that is a little shorter does no harm there.
pub(super) fn are_far(steps: u32, later: u32) -> bool {
    (i64::from(later) - i64::from(steps) + 1) << COARSE_SHIFT > LONG_US
}

/// Bits of a group: one count for 64 bytes of bits.
pub(super) const GROUP_BITS: u32 = 512;
const COUNT_LEN_BYTES: usize = 4;
pub(super) const GROUP_LEN_BYTES: usize = COUNT_LEN_BYTES + GROUP_BITS as usize / 8;

/// Bytes of long links that are read at once, and the most that one takes.
const READ_BYTES: u64 = 64 * 1024;
const MAX_LINK_BYTES: usize = 10;

/// A bit vector with ranks, as it is written.
#[derive(Debug)]
struct RankedWriter {
    section: Section,
    /// Bits set before the open group.
    before: u32,
    open: [u8; GROUP_BITS as usize / 8],
    open_bits: u32,
}

impl RankedWriter {
    fn new(section: Section) -> RankedWriter {
        RankedWriter { section, before: 0, open: [0; GROUP_BITS as usize / 8], open_bits: 0 }
    }

    fn push(&mut self, bit: bool, output: &mut Output) -> Result<(), Error> {
        self.open[self.open_bits as usize / 8] |= u8::from(bit) << (self.open_bits % 8);
        self.open_bits += 1;
        if self.open_bits == GROUP_BITS { self.flush(output) } else { Ok(()) }
    }

    fn flush(&mut self, output: &mut Output) -> Result<(), Error> {
        if self.open_bits > 0 {
            output.append(self.section, &self.before.to_le_bytes())?;
            output.append(self.section, &self.open)?;
            self.before += self.open.iter().map(|byte| byte.count_ones()).sum::<u32>();
            self.open = [0; GROUP_BITS as usize / 8];
            self.open_bits = 0;
        }
        Ok(())
    }
}

/// Finds the links of run after run. Memory: 8 bytes a session, and a bit for each row of the run.
#[derive(Debug)]
pub(super) struct LinkWriter {
    has_prev: RankedWriter,
    has_next: RankedWriter,
    /// The last row of each session, and its time in steps from the run's first. Rows only grow, so one of an earlier run is below the
    /// run's first.
    last_rows: Vec<u32>,
    last_steps: Vec<u32>,
    first_time: i64,
    first_row: u32,
    rows: u32,
    next: BitSet,
    long: Vec<(u32, u32)>,
}

impl LinkWriter {
    pub(super) fn new() -> LinkWriter {
        LinkWriter {
            has_prev: RankedWriter::new(Section::HAS_PREV),
            has_next: RankedWriter::new(Section::HAS_NEXT),
            last_rows: Vec::new(),
            last_steps: Vec::new(),
            first_time: 0,
            first_row: 0,
            rows: 0,
            next: BitSet::default(),
            long: Vec::new(),
        }
    }

    /// Makes room for codes below `sessions`.
    pub(super) fn sessions(&mut self, sessions: u32) {
        self.last_rows = vec![u32::MAX; sessions as usize];
        self.last_steps = vec![0; sessions as usize];
    }

    /// The next row of the run, and whether it is the first of its session there.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`].
    pub(super) fn push(&mut self, time: i64, session: u32, output: &mut Output) -> Result<bool, Error> {
        let row = self.first_row + self.rows;
        if self.rows == 0 {
            self.first_time = time;
        }
        self.rows += 1;
        if session == NO_SESSION {
            self.has_prev.push(false, output)?;
            return Ok(false);
        }
        let steps = coarse(time, self.first_time);
        let last = &mut self.last_rows[session as usize];
        let has_prev = *last != u32::MAX && *last >= self.first_row;
        if has_prev {
            let prev = *last - self.first_row;
            self.next.set(prev);
            if are_far(self.last_steps[session as usize], steps) {
                self.long.push((prev, row - self.first_row));
            }
        }
        *last = row;
        self.last_steps[session as usize] = steps;
        self.has_prev.push(has_prev, output)?;
        Ok(!has_prev)
    }

    /// Ends the run, and gives the number of its long links.
    ///
    /// # Errors
    ///
    /// As [`LinkWriter::push`].
    pub(super) fn end_run(&mut self, output: &mut Output) -> Result<u32, Error> {
        for row in 0..self.rows {
            self.has_next.push(self.next.get(row), output)?;
        }
        let mut encoded = Vec::new();
        let count = put_long(&mut self.long, &mut encoded);
        output.append(Section::LONG_LINKS, &encoded)?;
        self.first_row += self.rows;
        self.rows = 0;
        self.next.clear();
        self.long.clear();
        Ok(count)
    }

    /// Writes what is left.
    ///
    /// # Errors
    ///
    /// As [`LinkWriter::push`].
    pub(super) fn finish(&mut self, output: &mut Output) -> Result<(), Error> {
        self.has_prev.flush(output)?;
        self.has_next.flush(output)
    }
}

/// Appends long links, sorted by their first rows: the distance from the one before, and their length in rows. Gives their number.
pub(super) fn put_long(long: &mut [(u32, u32)], out: &mut Vec<u8>) -> u32 {
    long.sort_unstable();
    let mut before = 0;
    for (prev, row) in long.iter() {
        varint::put(out, u64::from(prev - before));
        varint::put(out, u64::from(row - prev));
        before = *prev;
    }
    u32::try_from(long.len()).expect("fewer links than rows")
}

/// Takes the next long link, behind one that begins at `before`.
pub(super) fn take_long(bytes: &mut &[u8], before: u32) -> Option<(u32, u32)> {
    let prev = before.checked_add(varint::take_u32(bytes)?)?;
    let row = prev.checked_add(varint::take_u32(bytes)?)?;
    Some((prev, row))
}

/// Calls `each` for the `count` long links in `range` of their stream.
///
/// # Errors
///
/// [`Error::Corrupt`], [`Error::Io`].
pub(super) fn each_long(input: &Input, range: Range<u64>, count: u32, mut each: impl FnMut((u32, u32))) -> Result<(), Error> {
    let (mut at, mut left, mut before, mut scratch) = (range.start, count, 0, Vec::new());
    while left > 0 {
        let until = range.end.min(at.saturating_add(READ_BYTES));
        let mut bytes = input.read(Section::LONG_LINKS, at..until, &mut scratch)?;
        let len = bytes.len();
        while left > 0 && (until == range.end || bytes.len() >= MAX_LINK_BYTES) {
            let link = take_long(&mut bytes, before).ok_or_else(|| input.undecodable_at(Section::LONG_LINKS, at))?;
            before = link.0;
            each(link);
            left -= 1;
        }
        at += (len - bytes.len()) as u64;
    }
    if at == range.end { Ok(()) } else { Err(input.undecodable_at(Section::LONG_LINKS, at)) }
}

/// Ranks in a bit vector: [`Section::HAS_PREV`] or [`Section::HAS_NEXT`]. Keeps the group of the last one, and where in it that was:
/// of rows that grow, each word is counted once.
#[derive(Debug)]
pub(super) struct Ranks<'s> {
    input: &'s Input,
    section: Section,
    /// The number of the group, if one is here.
    group: Option<u32>,
    bits: [u64; GROUP_BITS as usize / 64],
    /// Bits set before the group.
    before: u32,
    /// Words of the group that are counted, and the bits set before their end.
    words: usize,
    count: u32,
    scratch: Vec<u8>,
}

impl<'s> Ranks<'s> {
    pub(super) fn new(input: &'s Input, section: Section) -> Ranks<'s> {
        Ranks { input, section, group: None, bits: [0; GROUP_BITS as usize / 64], before: 0, words: 0, count: 0, scratch: Vec::new() }
    }

    /// How many bits are set below `row`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`], [`Error::Io`].
    #[inline]
    pub(super) fn rank(&mut self, row: u32) -> Result<u32, Error> {
        let Some(last) = row.checked_sub(1) else { return Ok(0) };
        if self.group != Some(last / GROUP_BITS) {
            self.read(last / GROUP_BITS)?;
        }
        let bit = last % GROUP_BITS;
        let word = bit as usize / 64;
        if word < self.words {
            (self.words, self.count) = (0, self.before);
        }
        for counted in &self.bits[self.words..word] {
            self.count = self.count.wrapping_add(counted.count_ones());
        }
        self.words = word;
        let below = self.bits[word] & (u64::MAX >> (63 - bit % 64));
        Ok(self.count.wrapping_add(below.count_ones()))
    }

    fn read(&mut self, group: u32) -> Result<(), Error> {
        self.group = None;
        let at = u64::from(group) * GROUP_LEN_BYTES as u64;
        let bytes = self.input.read(self.section, at..at + GROUP_LEN_BYTES as u64, &mut self.scratch)?;
        let (count, bits) = bytes.split_at(COUNT_LEN_BYTES);
        self.before = u32::from_le_bytes(count.try_into().expect("four bytes"));
        self.bits = std::array::from_fn(|number| bits::word(bits, number));
        (self.words, self.count) = (0, self.before);
        self.group = Some(group);
        Ok(())
    }
}

/// Counts, for each bucket between two `edges`, the links that straddle it.
#[derive(Debug)]
pub(super) struct Straddling<'e> {
    edges: &'e [u32],
    /// By bucket: how many more there are than at the one before.
    steps: Vec<i64>,
}

impl<'e> Straddling<'e> {
    pub(super) fn new(edges: &'e [u32]) -> Straddling<'e> {
        Straddling { edges, steps: vec![0; edges.len() + 1] }
    }

    /// A long link.
    pub(super) fn add(&mut self, (prev, row): (u32, u32)) {
        let first = self.edges.partition_point(|edge| *edge <= prev);
        let end = self.edges.partition_point(|edge| *edge <= row).saturating_sub(1);
        if first < end {
            self.steps[first] += 1;
            self.steps[end] -= 1;
        }
    }

    /// The number of each bucket.
    pub(super) fn counts(self) -> impl Iterator<Item = i64> {
        self.steps.into_iter().scan(0, |count, step| {
            *count += step;
            Some(*count)
        })
    }
}

/// Whether a bucket between two times is so long that only long links straddle it.
pub(super) fn is_hour(times: &[i64]) -> bool {
    times[1].checked_sub(times[0]).is_none_or(|length| length >= LONG_US)
}

/// The distinct codes among `codes`; each [`NO_SESSION`] is one.
pub(super) fn distinct(codes: &mut [u32]) -> u64 {
    codes.sort_unstable();
    let mut count = 0;
    let mut before = None;
    for code in codes {
        count += u64::from(*code == NO_SESSION || before != Some(*code));
        before = Some(*code);
    }
    count
}

/// (b - a) - inside, if the ranks can be those of such a bucket.
pub(super) fn distinct_by_ranks(rows: u32, prev: u32, next: u32, straddling: i64) -> Option<u64> {
    let inside = i64::from(prev) - i64::from(next) + straddling;
    let distinct = i64::from(rows) - inside;
    (inside >= 0 && distinct >= 0).then_some(distinct as u64)
}
