//! The rows of each path in a run of pageviews, with links of their own.
//!
//! Postings stand in groups of [`GROUP_POSTINGS`], by code; a second stream has the first code and the place of each group. A posting of
//! one row is that row; others are in the form of Elias and Fano, about a byte a row: half of what arrays of a bitmap take, with ranks
//! that need no decoding. Behind the rows stand the links among them (see [`super::links`]), if there are any.

use std::ops::Range;

use crate::error::Error;

use super::NO_SESSION;
use super::bits::{self, BitSet, RankedBits};
use super::blocks::Input;
use super::codes::{self, Column};
use super::elias_fano;
use super::links::{self, LONG_US, Straddling};
use super::output::Output;
use super::runs::{Entry, Run};
use super::section::Section;
use super::times::Times;
use super::varint;

/// Postings of a group; the last one of a run has fewer.
const GROUP_POSTINGS: usize = 16;

/// First code and place of a group.
const GROUP_LEN_BYTES: u64 = 4 + 8;

/// Times are kept in steps of 2^27 microseconds, some two minutes, while a run is written: 32 bits are enough for ten thousand years.
const COARSE_SHIFT: u32 = 27;

/// Gathers the rows of a run of pageviews. Memory: 16 bytes a row of the run, 24 while it is sorted; 4 a session.
#[derive(Debug, Default)]
pub(super) struct PostingWriter {
    /// Path code and row, relative to the run's first.
    rows: Vec<u64>,
    /// By row.
    sessions: Vec<u32>,
    coarse_times: Vec<u32>,
    first_time: i64,
    /// The last place of each session; places count over all postings, so one of an earlier posting is below the first of this one.
    last_places: Vec<u32>,
    places: u32,
}

impl PostingWriter {
    /// Makes room for codes below `sessions`.
    pub(super) fn sessions(&mut self, sessions: u32) {
        self.last_places = vec![u32::MAX; sessions as usize];
    }

    /// The next row of the run.
    pub(super) fn push(&mut self, path: u32, time: i64, session: u32) {
        if self.sessions.is_empty() {
            self.first_time = time;
        }
        if path > 0 {
            self.rows.push(u64::from(path) << 32 | self.sessions.len() as u64);
        }
        self.sessions.push(session);
        self.coarse_times.push(((time - self.first_time) >> COARSE_SHIFT) as u32);
    }

    /// Ends the run, writes its postings, and gives their number.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`].
    pub(super) fn end_run(&mut self, output: &mut Output) -> Result<u32, Error> {
        let mut rows = std::mem::take(&mut self.rows);
        sort_by_path(&mut rows);
        let (mut count, mut before) = (0, 0);
        let (mut head, mut body) = (Vec::new(), Vec::new());
        for posting in rows.chunk_by(|left, right| left >> 32 == right >> 32) {
            let path = (posting[0] >> 32) as u32;
            if count % GROUP_POSTINGS == 0 {
                output.append(Section::POSTING_GROUPS, &path.to_le_bytes())?;
                output.append(Section::POSTING_GROUPS, &output.len(Section::POSTINGS).to_le_bytes())?;
                before = path;
            }
            body.clear();
            self.put(posting, &mut body);
            head.clear();
            varint::put(&mut head, u64::from(path - before));
            varint::put(&mut head, body.len() as u64);
            output.append(Section::POSTINGS, &head)?;
            output.append(Section::POSTINGS, &body)?;
            before = path;
            count += 1;
        }
        rows.clear();
        self.rows = rows;
        self.sessions.clear();
        self.coarse_times.clear();
        Ok(u32::try_from(count).expect("fewer postings than rows"))
    }

    fn put(&mut self, posting: &[u64], out: &mut Vec<u8>) {
        let rows = posting.iter().map(|entry| u64::from(*entry as u32));
        varint::put(out, posting.len() as u64);
        let last = rows.clone().next_back().expect("no posting is empty");
        if posting.len() == 1 {
            return varint::put(out, last);
        }
        let width = elias_fano::width(posting.len(), last);
        let high_len = high_len_bytes(posting.len(), width, last);
        varint::put(out, u64::from(width));
        varint::put(out, last);
        let end = out.len() + bits::packed_len_bytes(posting.len(), width) + high_len;
        elias_fano::encode(rows, width, out);
        debug_assert_eq!(out.len(), end, "the last row says how long the high bits are");
        self.put_links(posting, out);
    }

    fn put_links(&mut self, posting: &[u64], out: &mut Vec<u8>) {
        let (mut prev, mut next, mut long) = (BitSet::default(), BitSet::default(), Vec::new());
        let first_place = self.places;
        let mut has_links = false;
        for (index, entry) in posting.iter().enumerate() {
            let (row, index) = (*entry as u32 as usize, index as u32);
            let place = self.places;
            self.places += 1;
            let session = self.sessions[row];
            if session == NO_SESSION {
                continue;
            }
            let last = std::mem::replace(&mut self.last_places[session as usize], place);
            if last == u32::MAX || last < first_place {
                continue;
            }
            has_links = true;
            prev.set(index);
            next.set(last - first_place);
            let last_row = posting[(last - first_place) as usize] as u32 as usize;
            // Rounded up, so that no link of an hour is left out; one that is a little shorter does no harm.
            let steps = i64::from(self.coarse_times[row]) - i64::from(self.coarse_times[last_row]) + 1;
            if steps << COARSE_SHIFT > LONG_US {
                long.push((last - first_place, index));
            }
        }
        if !has_links {
            return;
        }
        for set in [&prev, &next] {
            bits::pack((0..posting.len() as u32).map(|index| u64::from(set.get(index))), 1, out);
        }
        let mut encoded = Vec::new();
        let count = links::put_long(&mut long, &mut encoded);
        varint::put(out, u64::from(count));
        out.extend_from_slice(&encoded);
    }
}

/// Sorts entries by path; their rows grow.
fn sort_by_path(rows: &mut Vec<u64>) {
    let path = |entry: &u64| (entry >> 32) as usize;
    let end = rows.iter().map(path).max().map_or(0, |max| max + 1);
    // A run of few rows need not count all paths of the segment.
    if end > rows.len() {
        rows.sort_unstable();
        return;
    }
    let mut places = vec![0u32; end];
    rows.iter().for_each(|entry| places[path(entry)] += 1);
    let mut before = 0;
    for place in &mut places {
        before += std::mem::replace(place, before);
    }
    let mut sorted = vec![0; rows.len()];
    for entry in rows.iter() {
        let place = &mut places[path(entry)];
        sorted[*place as usize] = *entry;
        *place += 1;
    }
    *rows = sorted;
}

/// The bytes of the high bits of `count` growing numbers up to `last`.
fn high_len_bytes(count: usize, width: u32, last: u64) -> usize {
    ((last >> width) as usize + count).div_ceil(8)
}

/// The rows of one path in a run of pageviews.
#[derive(Clone, Debug)]
pub struct Posting {
    rows: Rows,
    run: Run,
    links: Option<Links>,
}

/// Growing rows, relative to the run's first.
#[derive(Clone, Debug)]
struct Rows {
    count: u32,
    width: u32,
    low: Vec<u8>,
    high: RankedBits,
}

#[derive(Clone, Debug)]
struct Links {
    prev: RankedBits,
    next: RankedBits,
    long: Vec<(u32, u32)>,
}

impl Rows {
    fn get(&self, index: u32) -> Option<u32> {
        let place = self.high.place_of_one(index)?;
        let low = bits::unpack(&self.low, index as usize, self.width);
        Some(((place - index) << self.width) | low as u32)
    }

    /// How many rows are below `row`.
    fn rank(&self, row: u32) -> u32 {
        let low = u64::from(row) & ((1 << self.width) - 1);
        // Rows with the same high bits, in which the low bits grow.
        let (mut first, mut end) = (self.rank_high(row >> self.width), self.rank_high((row >> self.width) + 1));
        while first < end {
            let middle = first.midpoint(end);
            if bits::unpack(&self.low, middle as usize, self.width) < low {
                first = middle + 1;
            } else {
                end = middle;
            }
        }
        first
    }

    /// How many rows have lower high bits.
    fn rank_high(&self, high: u32) -> u32 {
        let Some(zero) = high.checked_sub(1) else { return 0 };
        let (word, before) = self.high.word_of_zero(u64::from(zero));
        let Some(bits) = self.high.words().get(word) else { return self.count };
        let left = u64::from(zero) - before;
        if left >= u64::from(bits.count_zeros()) {
            return self.count;
        }
        let place = word as u64 * 64 + u64::from(bits::select(!bits, left as u32)) + 1;
        ((place - u64::from(high)) as u32).min(self.count)
    }
}

/// The rows of the path with this code in a run, if it has any.
///
/// # Errors
///
/// [`Error::Corrupt`], [`Error::Io`].
pub(super) fn find(input: &Input, run: &Run, entry: &Entry, next: &Entry, path: u32) -> Result<Option<Posting>, Error> {
    let mut scratch = Vec::new();
    let groups = (entry.postings as usize).div_ceil(GROUP_POSTINGS) as u64;
    let mut group_at = |number: u64| -> Result<(u32, u64), Error> {
        let at = entry.posting_groups_start.saturating_add(number * GROUP_LEN_BYTES);
        let bytes: [u8; GROUP_LEN_BYTES as usize] = input.array(Section::POSTING_GROUPS, at, &mut scratch)?;
        Ok((u32::from_le_bytes(super::header::field(&bytes, 0)), u64::from_le_bytes(super::header::field(&bytes, 4))))
    };
    let (mut low, mut high) = (0, groups);
    while low < high {
        let middle = low.midpoint(high);
        if group_at(middle)?.0 <= path {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let Some(number) = low.checked_sub(1) else { return Ok(None) };
    let (first, start) = group_at(number)?;
    let end = if low < groups { group_at(low)?.1 } else { next.postings_start };
    let damage = || input.undecodable_at(Section::POSTINGS, start);
    let mut bytes = input.read(Section::POSTINGS, start..end, &mut scratch)?;
    let mut code = first;
    while !bytes.is_empty() {
        let step = varint::take_u32(&mut bytes).ok_or_else(damage)?;
        let body = varint::take_bytes(&mut bytes).ok_or_else(damage)?;
        code = code.checked_add(step).ok_or_else(damage)?;
        if code >= path {
            return if code == path { decode(body, run).map(Some).ok_or_else(damage) } else { Ok(None) };
        }
    }
    Ok(None)
}

/// How many groups `postings` postings have.
pub(super) fn groups(postings: u32) -> u32 {
    postings.div_ceil(GROUP_POSTINGS as u32)
}

/// The bytes of the directory of their groups.
pub(super) fn groups_len_bytes(postings: u32) -> u64 {
    u64::from(groups(postings)) * GROUP_LEN_BYTES
}

/// All postings of a group of a run, with their codes. `entry` is that of the run, with the one behind it.
///
/// # Errors
///
/// [`Error::Corrupt`], [`Error::Io`].
pub(super) fn group(input: &Input, run: &Run, (entry, next): (&Entry, &Entry), number: u32) -> Result<Vec<(u32, Posting)>, Error> {
    let mut scratch = Vec::new();
    let mut group_at = |number: u32| -> Result<(u32, u64), Error> {
        let at = entry.posting_groups_start.saturating_add(u64::from(number) * GROUP_LEN_BYTES);
        let bytes: [u8; GROUP_LEN_BYTES as usize] = input.array(Section::POSTING_GROUPS, at, &mut scratch)?;
        Ok((u32::from_le_bytes(super::header::field(&bytes, 0)), u64::from_le_bytes(super::header::field(&bytes, 4))))
    };
    let (mut code, start) = group_at(number)?;
    let is_last = number + 1 == groups(entry.postings);
    let end = if is_last { next.postings_start } else { group_at(number + 1)?.1 };
    let damage = || input.undecodable_at(Section::POSTINGS, start);
    let is_behind = number > 0 || start == entry.postings_start;
    if !is_behind || start > end || end > next.postings_start {
        return Err(damage());
    }
    let mut bytes = input.read(Section::POSTINGS, start..end, &mut scratch)?;
    let mut postings = Vec::new();
    while !bytes.is_empty() {
        code = varint::take_u32(&mut bytes).and_then(|step| code.checked_add(step)).ok_or_else(damage)?;
        let posting = varint::take_bytes(&mut bytes).and_then(|body| decode(body, run));
        postings.push((code, posting.ok_or_else(damage)?));
    }
    Ok(postings)
}

/// The posting whose bytes are `bytes`; nothing if they cannot be one of the run.
fn decode(mut bytes: &[u8], run: &Run) -> Option<Posting> {
    let run_rows = run.rows.end - run.rows.start;
    let count = varint::take_u32(&mut bytes)?;
    if count == 0 || count > run_rows {
        return None;
    }
    let width = if count == 1 { None } else { Some(varint::take_u32(&mut bytes)?) };
    let last = varint::take_u32(&mut bytes).filter(|last| *last < run_rows)?;
    let Some(width) = width else {
        let low = last.to_le_bytes().to_vec();
        let width = u32::BITS - 1;
        let rows = Rows { count, width, low, high: RankedBits::new(&[1 << (last >> width)], 2) };
        return bytes.is_empty().then(|| Posting { rows, run: run.clone(), links: None });
    };
    if width >= u32::BITS {
        return None;
    }
    let (low, rest) = bytes.split_at_checked(bits::packed_len_bytes(count as usize, width))?;
    let (high, mut rest) = rest.split_at_checked(high_len_bytes(count as usize, width, u64::from(last)))?;
    let rows = Rows { count, width, low: low.to_vec(), high: RankedBits::new(high, high.len() * 8) };
    if rows.high.ones() != count || rows.get(count - 1)? != last {
        return None;
    }
    let links = if rest.is_empty() { None } else { Some(decode_links(&mut rest, count)?) };
    rest.is_empty().then(|| Posting { rows, run: run.clone(), links })
}

fn decode_links(bytes: &mut &[u8], count: u32) -> Option<Links> {
    let len = (count as usize).div_ceil(8);
    let (prev, rest) = bytes.split_at_checked(len)?;
    let (next, rest) = rest.split_at_checked(len)?;
    *bytes = rest;
    let links = varint::take_u32(bytes).filter(|links| *links < count)?;
    let (mut long, mut before) = (Vec::new(), 0);
    for _ in 0..links {
        let link = links::take_long(bytes, before)?;
        before = link.0;
        long.push(link);
    }
    Some(Links { prev: RankedBits::new(prev, count as usize), next: RankedBits::new(next, count as usize), long })
}

impl Posting {
    /// How many rows.
    pub fn len(&self) -> u32 {
        self.rows.count
    }

    /// Whether there are none, which no posting has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of its rows lie below row `row`.
    pub fn rank(&self, row: u32) -> u32 {
        if row >= self.run.rows.end {
            return self.rows.count;
        }
        row.checked_sub(self.run.rows.start).map_or(0, |row| self.rows.rank(row))
    }

    /// Its rows in `rows`, in order.
    pub fn rows(&self, rows: Range<u32>) -> impl Iterator<Item = u32> + '_ {
        let (mut index, end) = (self.rank(rows.start), self.rank(rows.end));
        let place = self.rows.high.place_of_one(index).unwrap_or(0);
        let words = self.rows.high.words();
        let mut number = place as usize / 64;
        let mut word = words.get(number).map_or(0, |word| word & (u64::MAX << (place % 64)));
        std::iter::from_fn(move || {
            if index >= end {
                return None;
            }
            while word == 0 {
                number += 1;
                word = *words.get(number)?;
            }
            let place = number as u32 * 64 + word.trailing_zeros();
            word &= word - 1;
            let low = bits::unpack(&self.rows.low, index as usize, self.rows.width) as u32;
            let row = ((place - index) << self.rows.width) | low;
            index += 1;
            Some(self.run.rows.start + row)
        })
    }

    /// The indices, among its rows, of those where a link ends: `has_prev`.
    pub(super) fn ends_of_links(&self) -> impl Iterator<Item = u32> + '_ {
        self.links.iter().flat_map(|links| (0..links.prev.ones()).filter_map(|number| links.prev.place_of_one(number)))
    }

    /// Likewise where a link begins: `has_next`.
    pub(super) fn starts_of_links(&self) -> impl Iterator<Item = u32> + '_ {
        self.links.iter().flat_map(|links| (0..links.next.ones()).filter_map(|number| links.next.place_of_one(number)))
    }

    /// The long links, by index.
    pub(super) fn long_links(&self) -> &[(u32, u32)] {
        self.links.as_ref().map_or(&[], |links| &links.long)
    }

    /// The row with this index in the posting.
    fn row(&self, index: u32) -> Option<u32> {
        self.run.rows.start.checked_add(self.rows.get(index)?).filter(|row| *row < self.run.rows.end)
    }

    /// As [`super::Segment::distinct_sessions`]; `sessions` is the column of session codes.
    pub(super) fn count_distinct(
        &self,
        column: &Times<'_>,
        sessions: Column,
        (edges, times): (&[u32], &[i64]),
        out: &mut [u64],
    ) -> Result<(), Error> {
        let ranks: Vec<u32> = edges.iter().map(|edge| self.rank(*edge)).collect();
        let damage = || column.input.undecodable(Section::POSTINGS, 0);
        let mut straddling = Straddling::new(&ranks);
        for link in self.links.iter().flat_map(|links| &links.long) {
            straddling.add(*link);
        }
        let mut scratch = Vec::new();
        for (((bucket, times), straddling), out) in ranks.windows(2).zip(times.windows(2)).zip(straddling.counts()).zip(out) {
            let (start, end) = (bucket[0], bucket[1].max(bucket[0]));
            let Some(links) = self.links.as_ref().filter(|_| end - start > 1) else {
                *out += u64::from(end - start);
                continue;
            };
            let is_long = links::is_hour(times) || start == 0 || end == self.len() || {
                let before = self.row(start - 1).ok_or_else(damage)?;
                let behind = self.row(end).ok_or_else(damage)?;
                column.time(behind, &mut scratch)? - column.time(before, &mut scratch)? >= LONG_US
            };
            *out += if is_long {
                let (prev, next) = (links.prev.rank(end), links.next.rank(start));
                links::distinct_by_ranks(end - start, prev, next, straddling).ok_or_else(damage)?
            } else {
                self.count_codes(column.input, sessions, start..end)?.ok_or_else(damage)?
            };
        }
        Ok(())
    }

    /// The distinct session codes of the rows with these indices.
    fn count_codes(&self, input: &Input, sessions: Column, indices: Range<u32>) -> Result<Option<u64>, Error> {
        let (Some(first), Some(last)) = (self.row(indices.start), self.row(indices.end - 1)) else { return Ok(None) };
        if last < first {
            return Ok(None);
        }
        let mut all = Vec::new();
        codes::read(input, sessions, first..last + 1, &mut all)?;
        let rows = self.rows(first..last + 1);
        let mut codes: Vec<u32> = rows.map(|row| all[(row - first) as usize].wrapping_sub(1)).collect();
        Ok(Some(links::distinct(&mut codes)))
    }
}
