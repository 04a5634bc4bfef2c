//! The rows of each path in a run of pageviews, with links of their own.
//!
//! Postings stand in groups of [`GROUP_POSTINGS`], by code; a second stream has the first code and the place of each group. A posting of
//! one row is that row; others are in the form of Elias and Fano, about a byte a row: half of what arrays of a bitmap take, with ranks
//! that need no decoding. Behind the rows stand the links among them (see [`super::links`]), if there are any.

use std::ops::Range;

use crate::error::Error;

use super::NO_SESSION;
use super::bits::{self, BitSet, RankedBits};
use super::blocks::{Block, Input};
use super::codes::{self, Column};
use super::elias_fano;
use super::links::{self, COARSE_SHIFT, LONG_US, Straddling};
use super::output::Output;
use super::runs::{Entry, Run};
use super::section::Section;
use super::spill::{self, PIECE_ENTRIES, Spill};
use super::times::Times;
use super::varint;

/// Postings of a group; the last one of a run has fewer.
const GROUP_POSTINGS: usize = 16;

/// First code and place of a group.
const GROUP_LEN_BYTES: u64 = 4 + 8;

/// Gathers the rows of a run of pageviews.
///
/// Memory: 12 bytes for each of up to half a million rows, as much again while they are sorted, 4 a row of the path with the most of
/// them, and 4 a session. What is more is put aside in sorted lists, which are read side by side at the end.
#[derive(Debug, Default)]
pub(super) struct PostingWriter {
    /// Path code, row relative to the run's first, and session: of rows with a path.
    held: Vec<spill::Entry>,
    /// Rows before those, in lists of pieces: sorted by path and row within a list; and rows grow from list to list.
    aside: Vec<Vec<Block>>,
    rows: u32,
    times: CoarseTimes,
    /// The last place of each session; places count over all postings, so one of an earlier posting is below the first of this one.
    last_places: Vec<u32>,
    places: u32,
}

/// The coarse times of a run's rows: at which row each begins.
#[derive(Debug, Default)]
struct CoarseTimes {
    first_time: i64,
    /// Row and steps since the first time; both grow.
    begins: Vec<(u32, u32)>,
}

impl CoarseTimes {
    fn push(&mut self, row: u32, time: i64) {
        if self.begins.is_empty() {
            self.first_time = time;
        }
        let steps = ((time - self.first_time) >> COARSE_SHIFT) as u32;
        if self.begins.last().is_none_or(|(_, last)| *last < steps) {
            self.begins.push((row, steps));
        }
    }

    /// The steps from the first time to that of a row.
    fn of(&self, row: u32) -> u32 {
        let behind = self.begins.partition_point(|(first, _)| *first <= row);
        self.begins[behind - 1].1
    }
}

impl PostingWriter {
    /// Makes room for codes below `sessions`.
    pub(super) fn sessions(&mut self, sessions: u32) {
        self.last_places = vec![u32::MAX; sessions as usize];
    }

    /// The next row of the run.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`].
    pub(super) fn push(&mut self, path: u32, time: i64, session: u32, spill: &mut Spill<'_>) -> Result<(), Error> {
        if spill.is_due(self.held.len()) {
            sort_by_path(&mut self.held);
            self.aside.push(self.held.chunks(PIECE_ENTRIES).map(|piece| spill.push(piece)).collect::<Result<_, _>>()?);
            self.held.clear();
        }
        self.times.push(self.rows, time);
        if path > 0 {
            self.held.push([path, self.rows, session]);
        }
        self.rows += 1;
        Ok(())
    }

    /// Ends the run, writes its postings, and gives their number.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`], [`Error::Full`], [`Error::Io`].
    pub(super) fn end_run(&mut self, output: &mut Output, spill: &mut Spill<'_>) -> Result<u32, Error> {
        let mut held = std::mem::take(&mut self.held);
        sort_by_path(&mut held);
        let mut lists: Vec<List> = self.aside.drain(..).map(List::aside).collect();
        lists.push(List { entries: held, ..List::default() });
        let (mut count, mut before) = (0, 0);
        let (mut head, mut body, mut posting) = (Vec::new(), Vec::new(), OpenPosting::default());
        while let Some(path) = lowest_path(&mut lists, spill)? {
            posting.begin(self.places);
            for list in &mut lists {
                while let Some([_, row, session]) = list.peek(spill)?.filter(|[of, ..]| *of == path) {
                    posting.push(row, session, &mut self.last_places, &self.times);
                    list.next += 1;
                }
            }
            self.places += posting.rows.len() as u32;
            if count % GROUP_POSTINGS == 0 {
                output.append(Section::POSTING_GROUPS, &path.to_le_bytes())?;
                output.append(Section::POSTING_GROUPS, &output.len(Section::POSTINGS).to_le_bytes())?;
                before = path;
            }
            body.clear();
            posting.put(&mut body);
            head.clear();
            varint::put(&mut head, u64::from(path - before));
            varint::put(&mut head, body.len() as u64);
            output.append(Section::POSTINGS, &head)?;
            output.append(Section::POSTINGS, &body)?;
            before = path;
            count += 1;
        }
        self.held = lists.pop().map(|list| list.entries).unwrap_or_default();
        self.held.clear();
        self.rows = 0;
        self.times.begins.clear();
        Ok(u32::try_from(count).expect("fewer postings than rows"))
    }
}

/// The lowest path that a list has next; none if all are at their ends.
fn lowest_path(lists: &mut [List], spill: &mut Spill<'_>) -> Result<Option<u32>, Error> {
    let mut lowest = None;
    for list in lists {
        if let Some([path, ..]) = list.peek(spill)? {
            lowest = Some(lowest.map_or(path, |lowest: u32| lowest.min(path)));
        }
    }
    Ok(lowest)
}

/// Sorted entries, some of which may be aside.
#[derive(Debug, Default)]
struct List {
    entries: Vec<spill::Entry>,
    /// The next one among these.
    next: usize,
    /// What follows them.
    aside: std::vec::IntoIter<Block>,
}

impl List {
    fn aside(pieces: Vec<Block>) -> List {
        List { aside: pieces.into_iter(), ..List::default() }
    }

    fn peek(&mut self, spill: &mut Spill<'_>) -> Result<Option<spill::Entry>, Error> {
        if self.next == self.entries.len()
            && let Some(piece) = self.aside.next()
        {
            self.entries.clear();
            self.next = 0;
            spill.read(&piece, &mut self.entries)?;
        }
        Ok(self.entries.get(self.next).copied())
    }
}

/// The rows of a path, and the links among them.
#[derive(Debug, Default)]
struct OpenPosting {
    rows: Vec<u32>,
    first_place: u32,
    has_links: bool,
    prev: BitSet,
    next: BitSet,
    long: Vec<(u32, u32)>,
}

impl OpenPosting {
    fn begin(&mut self, first_place: u32) {
        self.rows.clear();
        self.first_place = first_place;
        self.has_links = false;
        self.prev.clear();
        self.next.clear();
        self.long.clear();
    }

    /// The next row of the path.
    fn push(&mut self, row: u32, session: u32, last_places: &mut [u32], times: &CoarseTimes) {
        let index = self.rows.len() as u32;
        self.rows.push(row);
        if session == NO_SESSION {
            return;
        }
        let last = std::mem::replace(&mut last_places[session as usize], self.first_place + index);
        if last == u32::MAX || last < self.first_place {
            return;
        }
        let last = last - self.first_place;
        self.has_links = true;
        self.prev.set(index);
        self.next.set(last);
        if links::are_far(times.of(self.rows[last as usize]), times.of(row)) {
            self.long.push((last, index));
        }
    }

    fn put(&mut self, out: &mut Vec<u8>) {
        let rows = self.rows.iter().map(|row| u64::from(*row));
        varint::put(out, self.rows.len() as u64);
        let last = rows.clone().next_back().expect("no posting is empty");
        if self.rows.len() == 1 {
            return varint::put(out, last);
        }
        let width = elias_fano::width(self.rows.len(), last);
        let high_len = high_len_bytes(self.rows.len(), width, last);
        varint::put(out, u64::from(width));
        varint::put(out, last);
        let end = out.len() + bits::packed_len_bytes(self.rows.len(), width) + high_len;
        elias_fano::encode(rows, width, out);
        debug_assert_eq!(out.len(), end, "the last row says how long the high bits are");
        if !self.has_links {
            return;
        }
        for set in [&self.prev, &self.next] {
            bits::pack((0..self.rows.len() as u32).map(|index| u64::from(set.get(index))), 1, out);
        }
        let mut encoded = Vec::new();
        let count = links::put_long(&mut self.long, &mut encoded);
        varint::put(out, u64::from(count));
        out.extend_from_slice(&encoded);
    }
}

/// Sorts entries by path; their rows grow.
fn sort_by_path(entries: &mut Vec<spill::Entry>) {
    let path = |entry: &spill::Entry| entry[0] as usize;
    let end = entries.iter().map(path).max().map_or(0, |max| max + 1);
    // A run of few rows need not count all paths of the segment.
    if end > entries.len() {
        entries.sort_unstable();
        return;
    }
    let mut places = vec![0u32; end];
    entries.iter().for_each(|entry| places[path(entry)] += 1);
    let mut before = 0;
    for place in &mut places {
        before += std::mem::replace(place, before);
    }
    let mut sorted = vec![spill::Entry::default(); entries.len()];
    for entry in entries.iter() {
        let place = &mut places[path(entry)];
        sorted[*place as usize] = *entry;
        *place += 1;
    }
    *entries = sorted;
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
