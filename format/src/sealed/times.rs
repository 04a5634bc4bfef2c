//! The column of times: blocks of [`BLOCK_ROWS`] rows, in which any row is found without decoding the others.
//!
//! A block is cut into mini-blocks of [`MINI_ROWS`] rows. A mini-block has the lowest of its times as its base, a unit that divides all
//! differences from it, and those differences: growing ones in the form of Elias and Fano, others (where a run ends and the next one
//! begins at an earlier time) packed. The directory of mini-blocks stands at the head of the block.

use std::ops::Range;

use crate::error::Error;
use crate::units::UnixMicros;

use super::bits;
use super::block_writer::BlockWriter;
use super::blocks::Input;
use super::codes::{BLOCK_ROWS, parts};
use super::elias_fano::{self, EliasFano};
use super::header::field;
use super::section::Section;

/// Rows of a mini-block; the last one of the column has fewer.
const MINI_ROWS: usize = 128;

/// Units of times, in microseconds: what clocks count in, and what people round to.
const UNITS_US: [u64; 5] = [1, 1000, 1_000_000, 60_000_000, 3_600_000_000];

/// A directory entry: base, offset of the differences in steps of [`OFFSET_STEP`], width, form and unit.
const ENTRY_LEN_BYTES: usize = 8 + 2 + 1 + 1;
const OFFSET_AT: usize = 8;
const WIDTH_AT: usize = 10;
const FORM_AT: usize = 11;

/// So that 16 bits reach the last mini-block of a block.
const OFFSET_STEP: usize = 2;

/// Bits of the widest difference between two times.
const MAX_WIDTH: u32 = bits_of_widest();
const _: () = assert!(BLOCK_ROWS / MINI_ROWS * (MAX_WIDTH as usize * MINI_ROWS / 8) / OFFSET_STEP <= u16::MAX as usize);

const PACKED: u8 = 0;
const GROWING: u8 = 1 << 4;

const fn bits_of_widest() -> u32 {
    u64::BITS - (UnixMicros::MAX.micros() as u64).wrapping_sub(UnixMicros::MIN.micros() as u64).leading_zeros()
}

/// Writes the column of times.
pub(super) fn writer() -> BlockWriter<i64> {
    BlockWriter::new(Section::TIMES, encode)
}

fn encode(times: &[i64]) -> Vec<u8> {
    let mut directory = Vec::new();
    let mut data = Vec::new();
    for times in times.chunks(MINI_ROWS) {
        let base = *times.iter().min().expect("no chunk is empty");
        let differences: Vec<u64> = times.iter().map(|time| time.abs_diff(base)).collect();
        let unit =
            (0..UNITS_US.len()).rev().find(|unit| differences.iter().all(|difference| difference % UNITS_US[*unit] == 0)).unwrap_or(0);
        let numbers: Vec<u64> = differences.iter().map(|difference| difference / UNITS_US[unit]).collect();
        let max = numbers.iter().copied().max().expect("no chunk is empty");
        directory.extend_from_slice(&base.to_le_bytes());
        let offset = u16::try_from(data.len() / OFFSET_STEP).expect("the last mini-block is within reach");
        directory.extend_from_slice(&offset.to_le_bytes());
        let (form, width) = match numbers.is_sorted() {
            true => (GROWING, elias_fano::width(numbers.len(), max)),
            false => (PACKED, bits::width_of(max)),
        };
        directory.extend_from_slice(&[width as u8, form | unit as u8]);
        if form == GROWING {
            elias_fano::encode(numbers.iter().copied(), width, &mut data);
        } else {
            bits::pack(numbers.into_iter(), width, &mut data);
        }
        data.resize(data.len().next_multiple_of(OFFSET_STEP), 0);
    }
    directory.extend_from_slice(&data);
    directory
}

/// A block of times, read where it stands.
struct TimeBlock<'b> {
    directory: &'b [u8],
    data: &'b [u8],
    rows: usize,
}

/// A mini-block.
struct Mini<'b> {
    base: i64,
    unit_us: u64,
    numbers: Numbers<'b>,
}

enum Numbers<'b> {
    Packed(&'b [u8], u32),
    Growing(EliasFano<'b>),
}

impl<'b> TimeBlock<'b> {
    fn new(block: &'b [u8], rows: usize) -> Option<TimeBlock<'b>> {
        let (directory, data) = block.split_at_checked(rows.div_ceil(MINI_ROWS) * ENTRY_LEN_BYTES)?;
        Some(TimeBlock { directory, data, rows })
    }

    #[inline]
    fn mini(&self, number: usize) -> Option<Mini<'b>> {
        let at = number * ENTRY_LEN_BYTES;
        let entry = self.directory.get(at..at + ENTRY_LEN_BYTES)?;
        let start = usize::from(u16::from_le_bytes(field(entry, OFFSET_AT))) * OFFSET_STEP;
        let end = match self.directory.get(at + ENTRY_LEN_BYTES..at + 2 * ENTRY_LEN_BYTES) {
            Some(next) => usize::from(u16::from_le_bytes(field(next, OFFSET_AT))) * OFFSET_STEP,
            None => self.data.len(),
        };
        let data = self.data.get(start..end)?;
        let (width, form) = (u32::from(entry[WIDTH_AT]), entry[FORM_AT]);
        if width > MAX_WIDTH {
            return None;
        }
        let rows = (self.rows - number * MINI_ROWS).min(MINI_ROWS);
        let numbers = match form & 0xf0 {
            PACKED if data.len() >= bits::packed_len_bytes(rows, width) => Numbers::Packed(data, width),
            GROWING => Numbers::Growing(EliasFano::new(data, rows, width)?),
            _ => return None,
        };
        let base = i64::from_le_bytes(field(entry, 0));
        UnixMicros::new(base)?;
        Some(Mini { base, unit_us: *UNITS_US.get(usize::from(form & 0x0f))?, numbers })
    }

    /// The time of a mini-block's first row.
    #[inline]
    fn first(&self, number: usize) -> Option<i64> {
        let entry = self.directory.get(number * ENTRY_LEN_BYTES..(number + 1) * ENTRY_LEN_BYTES)?;
        match entry[FORM_AT] & 0xf0 {
            // Growing differences from the lowest begin with 0.
            GROWING => Some(i64::from_le_bytes(field(entry, 0))),
            _ => self.mini(number)?.time(0),
        }
    }

    /// The first of `rows`, which are sorted, at or after `time`; `rows.end` if none is.
    fn lower_bound(&self, rows: Range<usize>, time: i64) -> Option<usize> {
        if rows.is_empty() {
            return Some(rows.end);
        }
        let (first, last) = (rows.start / MINI_ROWS, (rows.end - 1) / MINI_ROWS);
        // The first mini-block that begins at or after the time; the row is in the one before it, or its first.
        let next = search_forward(first + 1..last + 1, |mini| self.first(mini).map(|first| first < time).ok_or(())).ok()?;
        let start = (next - 1) * MINI_ROWS;
        let mini = self.mini(next - 1)?;
        let from = rows.start.max(start) - start;
        let end = rows.end.min(start + MINI_ROWS) - start;
        Some(start + mini.lower_bound(from..end, time)?)
    }

    fn time(&self, row: usize) -> Option<i64> {
        self.mini(row / MINI_ROWS)?.time(row % MINI_ROWS)
    }
}

/// Bounds of growing times in one block. The second bound in a mini-block decodes it: where bounds stand closer than mini-blocks, each of
/// these is decoded once, and elsewhere none.
struct BoundCursor<'c, 'b> {
    block: &'c TimeBlock<'b>,
    /// Where no bound is below, and none above.
    rows: Range<usize>,
    /// The mini-block of the bound before, if there was one.
    last: Option<usize>,
    /// The times of the mini-block that `rows` starts in, or none.
    open: &'c mut Vec<i64>,
}

impl<'c, 'b> BoundCursor<'c, 'b> {
    /// For bounds in `rows`. Decodes to `open`.
    fn new(block: &'c TimeBlock<'b>, rows: Range<usize>, open: &'c mut Vec<i64>) -> BoundCursor<'c, 'b> {
        open.clear();
        BoundCursor { block, rows, last: None, open }
    }

    /// As [`TimeBlock::lower_bound`], of a time that is not below the one before.
    #[inline]
    fn lower_bound(&mut self, time: i64) -> Option<usize> {
        let from = self.rows.start % MINI_ROWS;
        // In all, each decoded time is stepped over once.
        let is_before = |other: &&i64| **other < time;
        let steps = self.open.get(from..).map_or(0, |open| open.iter().take_while(is_before).count());
        if from + steps < self.open.len() {
            self.rows.start = (self.rows.start + steps).min(self.rows.end);
            return Some(self.rows.start);
        }
        self.open.clear();
        let bound = self.block.lower_bound(self.rows.clone(), time)?;
        let mini = bound / MINI_ROWS;
        // A bound behind the last row is in no mini-block.
        if self.last == Some(mini) && bound < self.rows.end {
            let rows = (self.block.rows - mini * MINI_ROWS).min(MINI_ROWS);
            self.block.mini(mini)?.times(0..rows, self.open)?;
        }
        (self.last, self.rows.start) = (Some(mini), bound);
        Some(bound)
    }
}

impl Mini<'_> {
    fn time(&self, row: usize) -> Option<i64> {
        let number = match &self.numbers {
            Numbers::Packed(packed, width) => bits::unpack(packed, row, *width),
            Numbers::Growing(numbers) => numbers.get(row)?,
        };
        self.at(number)
    }

    fn at(&self, number: u64) -> Option<i64> {
        let difference = i64::try_from(number.checked_mul(self.unit_us)?).ok()?;
        self.base.checked_add(difference).filter(|time| *time <= UnixMicros::MAX.micros())
    }

    /// As [`TimeBlock::lower_bound`], by rows of the mini-block.
    fn lower_bound(&self, rows: Range<usize>, time: i64) -> Option<usize> {
        // All times are at or after the base, so a difference that does not fit is above all of them, or below.
        let bound = match time.checked_sub(self.base) {
            Some(difference) if difference > 0 => (difference as u64).div_ceil(self.unit_us),
            Some(_) => 0,
            None => return Some(if time > self.base { rows.end } else { rows.start }),
        };
        let row = match &self.numbers {
            Numbers::Growing(numbers) => numbers.rank(bound),
            Numbers::Packed(packed, width) => {
                let (mut low, mut high) = (rows.start, rows.end);
                while low < high {
                    let middle = low.midpoint(high);
                    if bits::unpack(packed, middle, *width) < bound {
                        low = middle + 1;
                    } else {
                        high = middle;
                    }
                }
                low
            }
        };
        Some(row.clamp(rows.start, rows.end))
    }

    /// Appends the times of `rows`.
    fn times(&self, rows: Range<usize>, out: &mut Vec<i64>) -> Option<()> {
        if let Numbers::Growing(numbers) = &self.numbers
            && rows.len() > 4
        {
            let (mut row, mut fits) = (0, true);
            numbers.each(|number| {
                if rows.contains(&row) {
                    match self.at(number) {
                        Some(time) => out.push(time),
                        None => fits = false,
                    }
                }
                row += 1;
            })?;
            return fits.then_some(());
        }
        for row in rows {
            out.push(self.time(row)?);
        }
        Some(())
    }
}

/// The first of `range` for which `is_before` is false, which is true up to there; steps double from the start on, so that what is near
/// is found soon.
fn search_forward<E>(range: Range<usize>, mut is_before: impl FnMut(usize) -> Result<bool, E>) -> Result<usize, E> {
    let (mut low, mut high, mut step) = (range.start, range.end, 1);
    while low < high {
        let probe = (low + step - 1).min(high - 1);
        if !is_before(probe)? {
            high = probe;
            break;
        }
        low = probe + 1;
        step *= 2;
    }
    while low < high {
        let middle = low.midpoint(high);
        if is_before(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// The column of times of a segment with `rows` rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times<'s> {
    pub(super) input: &'s Input,
    pub(super) rows: u32,
}

impl Times<'_> {
    /// Calls `read` with a block.
    fn with<T>(&self, number: usize, scratch: &mut Vec<u8>, read: impl FnOnce(&TimeBlock<'_>) -> Option<T>) -> Result<T, Error> {
        let rows = (self.rows as usize - number * BLOCK_ROWS).min(BLOCK_ROWS);
        let block = self.input.block(Section::TIMES, number, scratch)?;
        TimeBlock::new(block, rows).and_then(|block| read(&block)).ok_or_else(|| self.input.undecodable(Section::TIMES, number))
    }

    /// The time of a row.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`], [`Error::Io`].
    pub(super) fn time(&self, row: u32, scratch: &mut Vec<u8>) -> Result<i64, Error> {
        let row = row as usize;
        self.with(row / BLOCK_ROWS, scratch, |block| block.time(row % BLOCK_ROWS))
    }

    /// Appends the times of `rows`.
    ///
    /// # Errors
    ///
    /// As [`Times::time`].
    pub(super) fn read(&self, rows: Range<u32>, out: &mut Vec<i64>) -> Result<(), Error> {
        let (mut scratch, at) = (Vec::new(), out.len());
        for (number, part, _) in parts(rows, self.rows) {
            let read = self.with(number, &mut scratch, |block| {
                let (mut row, end) = (part.start, part.end);
                while row < end {
                    let (mini, from) = (row / MINI_ROWS, row % MINI_ROWS);
                    let until = (end - mini * MINI_ROWS).min(MINI_ROWS);
                    block.mini(mini)?.times(from..until, out)?;
                    row += until - from;
                }
                Some(())
            });
            if let Err(error) = read {
                out.truncate(at);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The first of `rows`, which lie in one run, at or after `time`; `rows.end` if none is.
    ///
    /// # Errors
    ///
    /// As [`Times::time`].
    pub(super) fn lower_bound(&self, rows: Range<u32>, time: i64, scratch: &mut Vec<u8>) -> Result<u32, Error> {
        if rows.is_empty() {
            return Ok(rows.end);
        }
        let (number, part) = self.around(&rows, time, scratch)?;
        let row = self.with(number, scratch, |block| block.lower_bound(part, time))?;
        Ok((number * BLOCK_ROWS + row) as u32)
    }

    /// [`Times::lower_bound`] of growing `times`, appended to `bounds`.
    ///
    /// # Errors
    ///
    /// As [`Times::time`].
    pub(super) fn lower_bounds(&self, rows: Range<u32>, times: impl Iterator<Item = i64>, bounds: &mut Vec<u32>) -> Result<(), Error> {
        let (mut rows, mut times) = (rows, times.peekable());
        let (mut scratch, mut open) = (Vec::new(), Vec::new());
        while let Some(time) = times.peek() {
            if rows.is_empty() {
                bounds.extend(times.map(|_| rows.end));
                break;
            }
            let (number, part) = self.around(&rows, *time, &mut scratch)?;
            let (first, end) = (number * BLOCK_ROWS, part.end);
            self.with(number, &mut scratch, |block| {
                let mut cursor = BoundCursor::new(block, part, &mut open);
                while let Some(time) = times.peek() {
                    let bound = cursor.lower_bound(*time)?;
                    if bound == end {
                        // In a later block, if there are rows.
                        break;
                    }
                    bounds.push((first + bound) as u32);
                    times.next();
                }
                Some(())
            })?;
            rows.start = (first + end) as u32;
        }
        Ok(())
    }

    /// The block that the lower bound of `time` is in or at the end of, and which of its rows are among `rows`, of which there are some.
    fn around(&self, rows: &Range<u32>, time: i64, scratch: &mut Vec<u8>) -> Result<(usize, Range<usize>), Error> {
        let (start, end) = (rows.start as usize, rows.end as usize);
        let (first, last) = (start / BLOCK_ROWS, (end - 1) / BLOCK_ROWS);
        let next = search_forward(first + 1..last + 1, |number| self.with(number, scratch, |block| Some(block.first(0)? < time)))?;
        let block_start = (next - 1) * BLOCK_ROWS;
        Ok((next - 1, start.max(block_start) - block_start..end.min(block_start + BLOCK_ROWS) - block_start))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    /// Times of a few runs, each sorted, in various units.
    fn runs() -> impl Strategy<Value = Vec<Vec<i64>>> {
        let unit = proptest::sample::select(UNITS_US.to_vec());
        let run = (unit, -1000i64..1000, proptest::collection::vec(0i64..5000, 1..400));
        proptest::collection::vec(run, 1..4).prop_map(|runs| {
            let times = |(unit, first, mut steps): (u64, i64, Vec<i64>)| {
                steps.sort_unstable();
                steps.into_iter().map(|step| (first + step) * unit as i64).collect::<Vec<i64>>()
            };
            runs.into_iter().map(times).collect()
        })
    }

    proptest! {
        #[test]
        fn times_and_bounds_are_those_of_the_list(runs in runs(), offsets in proptest::collection::vec(-2i64..2, 10)) {
            let times = runs.concat();
            let encoded = encode(&times);
            let block = TimeBlock::new(&encoded, times.len()).unwrap();
            for (row, time) in times.iter().enumerate() {
                prop_assert_eq!(block.time(row), Some(*time));
            }
            let mut all = Vec::new();
            for mini in 0..times.len().div_ceil(MINI_ROWS) {
                let rows = (times.len() - mini * MINI_ROWS).min(MINI_ROWS);
                block.mini(mini).unwrap().times(0..rows, &mut all).unwrap();
            }
            prop_assert_eq!(&all, &times);
            let mut start = 0;
            for run in &runs {
                for (at, offset) in offsets.iter().enumerate() {
                    let time = run[at * 7 % run.len()] + offset;
                    let from = at * 3 % run.len();
                    let bound = from + run[from..].partition_point(|other| *other < time);
                    prop_assert_eq!(block.lower_bound(start + from..start + run.len(), time), Some(start + bound));
                }
                // Far apart, and every time.
                for step in [64, 1] {
                    let mut open = Vec::new();
                    let mut cursor = BoundCursor::new(&block, start..start + run.len(), &mut open);
                    let mut asked: Vec<i64> = run.iter().step_by(step).flat_map(|time| [*time, time + 1]).collect();
                    asked.sort_unstable();
                    for time in asked {
                        let bound = run.partition_point(|other| *other < time);
                        prop_assert_eq!(cursor.lower_bound(time), Some(start + bound));
                    }
                }
                for time in [i64::MIN, i64::MAX] {
                    let bound = if time < 0 { start } else { start + run.len() };
                    prop_assert_eq!(block.lower_bound(start..start + run.len(), time), Some(bound));
                }
                start += run.len();
            }
        }

        #[test]
        fn whatever_the_bytes_there_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), rows in 1usize..400, time: i64) {
            if let Some(block) = TimeBlock::new(&bytes, rows) {
                let _ = (block.time(rows - 1), block.lower_bound(0..rows, time));
                let _ = block.mini(0).and_then(|mini| mini.times(0..rows.min(MINI_ROWS), &mut Vec::new()));
            }
        }
    }

    #[test]
    fn a_search_forward_finds_every_border() {
        for len in 0..40 {
            for border in 0..=len {
                assert_eq!(search_forward(3..3 + len, |at| Ok::<_, ()>(at < 3 + border)), Ok(3 + border));
            }
        }
    }
}
