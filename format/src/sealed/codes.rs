//! A column of codes: blocks of [`BLOCK_ROWS`] rows, each in the form that takes the fewest bytes, or in packed bits if those are about as
//! few. A block of zeros takes none.
//!
//! Forms, by the first byte: one code for all rows; packed bits; planes of bytes, each compressed; steps from the code before, or from
//! the highest before.

use std::ops::Range;

use crate::error::Error;

use super::bits;
use super::blocks::Input;
use super::compress::{self, Packer};
use super::output::Output;
use super::section::Section;
use super::steps::{self, Base};
use super::varint;

/// Rows of a block of codes, sequences or times; the last one has fewer.
pub(super) const BLOCK_ROWS: usize = 16_384;

const CONSTANT: u8 = 0;
const PACKED: u8 = 1;
const PLANES: u8 = 2;
const STEPS: u8 = 3;
const BELOW_HIGHEST: u8 = 4;

/// What is known of codes: which forms are worth a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// They come in any order.
    Any,
    /// They mostly grow.
    Growing,
}

/// Writes a column of codes, row by row.
#[derive(Debug)]
pub(super) struct CodeWriter {
    section: Section,
    order: Order,
    open: Vec<u32>,
}

impl CodeWriter {
    /// A column of `section`, without rows.
    pub(super) fn new(section: Section, order: Order) -> CodeWriter {
        CodeWriter { section, order, open: Vec::new() }
    }

    /// Appends the code of the next row.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`].
    #[inline]
    pub(super) fn push(&mut self, code: u32, output: &mut Output, packer: &mut Packer) -> Result<(), Error> {
        self.open.push(code);
        if self.open.len() == BLOCK_ROWS { self.flush(output, packer) } else { Ok(()) }
    }

    /// Writes the open block, if it has rows: the last one.
    ///
    /// # Errors
    ///
    /// As [`CodeWriter::push`].
    pub(super) fn flush(&mut self, output: &mut Output, packer: &mut Packer) -> Result<(), Error> {
        if self.open.is_empty() {
            return Ok(());
        }
        let block = encode(&self.open, self.order, packer);
        self.open.clear();
        output.push_block(self.section, &block)
    }
}

/// The shortest form of a block, of those for codes in this order; packed bits unless planes are shorter than three quarters of them.
///
/// Packed bits are read in a fifth of the time. Of a column of values, planes save a few percent; where they save much, as in columns
/// that are mostly 0, they stay.
fn encode(codes: &[u32], order: Order, packer: &mut Packer) -> Vec<u8> {
    let max = codes.iter().copied().max().unwrap_or(0);
    if max == 0 {
        return Vec::new();
    }
    if codes.iter().all(|code| *code == max) {
        return [&[CONSTANT], max.to_le_bytes().as_slice()].concat();
    }
    let width = bits::width_of(u64::from(max));
    let mut best = vec![PACKED, width as u8];
    bits::pack(codes.iter().map(|code| u64::from(*code)), width, &mut best);
    match order {
        Order::Any => {
            let planes = planes(codes, width, packer);
            if planes.len() < best.len() / 4 * 3 { planes } else { best }
        }
        Order::Growing => {
            for (form, base) in [(STEPS, Base::Last), (BELOW_HIGHEST, Base::Highest)] {
                let mut other = vec![form];
                steps::encode(codes, base, packer, &mut other);
                if other.len() < best.len() {
                    best = other;
                }
            }
            best
        }
    }
}

fn planes(codes: &[u32], width: u32, packer: &mut Packer) -> Vec<u8> {
    let mut block = vec![PLANES, width.div_ceil(8) as u8];
    for plane in 0..width.div_ceil(8) {
        let bytes: Vec<u8> = codes.iter().map(|code| (code >> (8 * plane)) as u8).collect();
        let packed = plane_of(&bytes, packer);
        varint::put(&mut block, packed.len() as u64);
        block.extend_from_slice(&packed);
    }
    block
}

/// A plane, compressed: letter by letter, unless repetitions make it shorter by an eighth.
fn plane_of(bytes: &[u8], packer: &mut Packer) -> Vec<u8> {
    let (mut letters, mut repetitions) = (Vec::new(), Vec::new());
    packer.pack_letters(bytes, &mut letters);
    packer.pack(bytes, &mut repetitions);
    if repetitions.len() < letters.len() / 8 * 7 { repetitions } else { letters }
}

/// Appends the codes of `rows` to `out`, out of a block of `count`; nothing if the block cannot be decoded.
fn decode(block: &[u8], count: usize, rows: Range<usize>, out: &mut Vec<u32>) -> Option<()> {
    let Some((form, rest)) = block.split_first() else {
        out.resize(out.len() + rows.len(), 0);
        return Some(());
    };
    match *form {
        CONSTANT => {
            let code = u32::from_le_bytes(rest.try_into().ok()?);
            out.resize(out.len() + rows.len(), code);
        }
        PACKED => {
            let (width, packed) = rest.split_first()?;
            let width = u32::from(*width);
            if width > u32::BITS || packed.len() != bits::packed_len_bytes(count, width) {
                return None;
            }
            bits::unpack_all(packed, rows, width, out);
        }
        PLANES => {
            let (planes, mut rest) = rest.split_first()?;
            if *planes > 4 {
                return None;
            }
            let at = out.len();
            out.resize(at + rows.len(), 0);
            for plane in 0..*planes {
                compress::unpacked(varint::take_bytes(&mut rest)?, count, |bytes| {
                    for (code, byte) in out[at..].iter_mut().zip(bytes.get(rows.clone())?) {
                        *code |= u32::from(*byte) << (8 * plane);
                    }
                    Some(())
                })?;
            }
            return rest.is_empty().then_some(());
        }
        STEPS => return steps::decode(rest, count, rows, Base::Last, out),
        BELOW_HIGHEST => return steps::decode(rest, count, rows, Base::Highest, out),
        _ => return None,
    }
    Some(())
}

/// Appends the codes of `rows` of a column to `out`, the blocks of which are every `stride`th from block `first` on, for
/// `column_rows` rows. No code is above `max`.
///
/// # Errors
///
/// [`Error::Corrupt`] with the offset of the block; [`Error::Io`].
pub(super) fn read(input: &Input, column: Column, rows: Range<u32>, out: &mut Vec<u32>) -> Result<(), Error> {
    let mut scratch = Vec::new();
    let at = out.len();
    for (number, part, count) in parts(rows, column.rows) {
        let number = column.first_block + number * column.stride;
        let from = out.len();
        let block = input.block(column.section, number, &mut scratch)?;
        let is_whole = decode(block, count, part, out).is_some();
        if !is_whole || out[from..].iter().copied().max().is_some_and(|highest| highest > column.max) {
            out.truncate(at);
            return Err(input.undecodable(column.section, number));
        }
    }
    Ok(())
}

/// Where the blocks of a column of codes stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) section: Section,
    /// The number of its first block in the section, and from one of its blocks to the next.
    pub(super) first_block: usize,
    pub(super) stride: usize,
    /// Its rows.
    pub(super) rows: u32,
    /// The highest code it may have.
    pub(super) max: u32,
}

/// The blocks that hold `rows` of a column with `column_rows`: number, the rows in it, and how many it has.
pub(super) fn parts(rows: Range<u32>, column_rows: u32) -> impl Iterator<Item = (usize, Range<usize>, usize)> {
    let (start, end, all) = (rows.start as usize, rows.end as usize, column_rows as usize);
    let blocks = if start < end { start / BLOCK_ROWS..(end - 1) / BLOCK_ROWS + 1 } else { 0..0 };
    blocks.map(move |number| {
        let first = number * BLOCK_ROWS;
        (number, start.max(first) - first..end.min(first + BLOCK_ROWS) - first, (all - first).min(BLOCK_ROWS))
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    /// Codes for which each of the forms is the shortest.
    fn codes() -> impl Strategy<Value = Vec<u32>> {
        prop_oneof![
            proptest::collection::vec(Just(0u32), 1..300),
            proptest::collection::vec(Just(70_000u32), 1..300),
            proptest::collection::vec(any::<u32>(), 1..300),
            proptest::collection::vec(prop_oneof![9 => Just(3u32), 1 => 0u32..1000], 1..300),
            proptest::collection::vec(0u32..3, 1..300).prop_map(|steps| {
                let mut code = 1 << 20;
                steps
                    .into_iter()
                    .map(|step| {
                        code += step;
                        code
                    })
                    .collect()
            }),
        ]
    }

    proptest! {
        #[test]
        fn any_rows_of_a_block_come_back(codes in codes(), is_growing: bool, cut in (0usize..300, 0usize..300)) {
            let order = if is_growing { Order::Growing } else { Order::Any };
            let block = encode(&codes, order, &mut Packer::new());
            let start = cut.0.min(codes.len());
            let end = cut.1.clamp(start, codes.len().max(start));
            let mut out = vec![7];
            decode(&block, codes.len(), start..end, &mut out).unwrap();
            prop_assert_eq!(&out[1..], &codes[start..end]);
        }

        #[test]
        fn whatever_the_bytes_there_is_no_panic(mut block in proptest::collection::vec(any::<u8>(), 0..100), form in 0u8..6) {
            if let Some(first) = block.first_mut() {
                *first = form;
            }
            let _ = decode(&block, 80, 10..70, &mut Vec::new());
        }
    }

    #[test]
    fn each_form_is_used() {
        let form_in = |order, codes: &[u32]| encode(codes, order, &mut Packer::new()).first().copied();
        let form = |codes: &[u32]| form_in(Order::Any, codes);
        assert_eq!(form(&[0; 100]), None);
        assert_eq!(form(&[5; 100]), Some(CONSTANT));
        assert_eq!(form(&[1, 2, 3]), Some(PACKED));
        let hash = |row: u32| row.wrapping_mul(2_654_435_761).rotate_left(13).wrapping_mul(2_246_822_519);
        let skewed: Vec<u32> = (0..5000).map(|row| hash(row) >> 23 & hash(row + 5000) >> 22 & hash(row + 10_000) >> 21 & 0x1ff).collect();
        assert_eq!(form(&skewed), Some(PLANES));
        let growing: Vec<u32> = (0..1000).map(|row| 1_000_000 + row).collect();
        assert_eq!(form_in(Order::Growing, &growing), Some(STEPS));
        let lagging: Vec<u32> = (0..1000).map(|row| 1_000_000 + row - hash(row) % 64 * u32::from(row % 2 == 0)).collect();
        assert_eq!(form_in(Order::Growing, &lagging), Some(BELOW_HIGHEST));
    }
}
