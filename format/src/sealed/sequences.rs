//! The column of sequences: blocks of [`BLOCK_ROWS`] rows, in which any row is found without decoding more than [`MINI_ROWS`].
//!
//! A block is cut into mini-blocks. Along a run sequences mostly grow by little, but events that came late jump to and fro. So a mini-block
//! has its first sequence, the differences of the others packed in as many bits as most of them need, and a list of what the others have
//! above these bits. The directory of mini-blocks stands at the head of the block.

use std::ops::Range;

use crate::error::Error;
use crate::units::Sequence;

use super::bits;
use super::block_writer::BlockWriter;
use super::blocks::Input;
use super::codes::{BLOCK_ROWS, parts};
use super::header::field;
use super::section::Section;
use super::varint;

/// Rows of a mini-block; the last one of the column has fewer. A place in it is a byte.
pub(super) const MINI_ROWS: usize = 256;
const _: () = assert!(BLOCK_ROWS.is_multiple_of(MINI_ROWS));

/// A directory entry: the first sequence, and where the differences start behind the directory.
const ENTRY_LEN_BYTES: usize = 8 + 4;
const OFFSET_AT: usize = 8;

/// Writes the column of sequences.
pub(super) fn writer() -> BlockWriter<u64> {
    BlockWriter::new(Section::SEQUENCES, encode)
}

fn encode(sequences: &[u64]) -> Vec<u8> {
    let (mut directory, mut data) = (Vec::new(), Vec::new());
    for sequences in sequences.chunks(MINI_ROWS) {
        directory.extend_from_slice(&sequences[0].to_le_bytes());
        let offset = u32::try_from(data.len()).expect("a block has far less than 4 GiB");
        directory.extend_from_slice(&offset.to_le_bytes());
        let differences: Vec<u64> = sequences.windows(2).map(|pair| varint::zigzag(pair[1].wrapping_sub(pair[0]).cast_signed())).collect();
        let width = cheapest_width(&differences);
        data.push(width as u8);
        bits::pack(differences.iter().map(|difference| low(*difference, width)), width, &mut data);
        for (place, difference) in differences.iter().enumerate() {
            let high = high(*difference, width);
            if high > 0 {
                data.push(place as u8);
                varint::put(&mut data, high);
            }
        }
    }
    directory.extend_from_slice(&data);
    directory
}

/// The number of bits for which packed differences and the list of what is above them take the fewest bytes.
fn cheapest_width(differences: &[u64]) -> u32 {
    let mut by_width = [0; u64::BITS as usize + 1];
    for difference in differences {
        by_width[bits::width_of(*difference) as usize] += 1;
    }
    let cost = |width: u32| {
        let listed = (width + 1..).zip(&by_width[width as usize + 1..]);
        let listed = listed.map(|(wider, count)| count * (1 + (wider - width).div_ceil(7) as usize));
        bits::packed_len_bytes(differences.len(), width) + listed.sum::<usize>()
    };
    (0..=u64::BITS).min_by_key(|width| cost(*width)).unwrap_or(u64::BITS)
}

fn low(number: u64, width: u32) -> u64 {
    number & !u64::MAX.checked_shl(width).unwrap_or(0)
}

fn high(number: u64, width: u32) -> u64 {
    number.checked_shr(width).unwrap_or(0)
}

/// Calls `each` with the sequences of `rows`, out of a block of `count`; nothing if the block cannot be decoded.
fn decode(block: &[u8], count: usize, rows: Range<usize>, mut each: impl FnMut(Sequence)) -> Option<()> {
    let (directory, data) = block.split_at_checked(count.div_ceil(MINI_ROWS) * ENTRY_LEN_BYTES)?;
    let offset = |mini: usize| match directory.get(mini * ENTRY_LEN_BYTES..(mini + 1) * ENTRY_LEN_BYTES) {
        Some(entry) => u32::from_le_bytes(field(entry, OFFSET_AT)) as usize,
        None => data.len(),
    };
    let mut next = rows.start;
    while next < rows.end {
        let mini = next / MINI_ROWS;
        let first = mini * MINI_ROWS;
        let (from, until) = (next - first, (rows.end - first).min(MINI_ROWS));
        let base = u64::from_le_bytes(field(directory, mini * ENTRY_LEN_BYTES));
        let differences = (count - first).min(MINI_ROWS) - 1;
        decode_mini(data.get(offset(mini)..offset(mini + 1))?, base, differences, from..until, &mut each)?;
        next = first + until;
    }
    Some(())
}

fn decode_mini(data: &[u8], base: u64, count: usize, rows: Range<usize>, each: &mut impl FnMut(Sequence)) -> Option<()> {
    let (width, rest) = data.split_first()?;
    let width = u32::from(*width);
    if width > u64::BITS {
        return None;
    }
    let (packed, mut listed) = rest.split_at_checked(bits::packed_len_bytes(count, width))?;
    let mut differences = [0; MINI_ROWS - 1];
    // Those of rows up to the last one wanted.
    let differences = &mut differences[..count.min(rows.end - 1)];
    for (place, difference) in differences.iter_mut().enumerate() {
        *difference = bits::unpack(packed, place, width);
    }
    while let Some((place, behind)) = listed.split_first() {
        listed = behind;
        let above = varint::take(&mut listed)?.checked_mul(1u64.checked_shl(width)?)?;
        if let Some(difference) = differences.get_mut(usize::from(*place)) {
            *difference |= above;
        }
    }
    let mut sequence = base;
    for row in 0..rows.end {
        if row > 0 {
            sequence = sequence.wrapping_add_signed(varint::unzigzag(differences[row - 1]));
        }
        if row >= rows.start {
            each(Sequence::new(sequence));
        }
    }
    Some(())
}

/// Appends the sequences of `rows` to `out`, of a segment with `all_rows`.
///
/// # Errors
///
/// [`Error::Corrupt`], [`Error::Io`].
pub(super) fn read(input: &Input, all_rows: u32, rows: Range<u32>, out: &mut Vec<Sequence>) -> Result<(), Error> {
    let (mut scratch, at) = (Vec::new(), out.len());
    for (number, part, count) in parts(rows, all_rows) {
        let block = input.block(Section::SEQUENCES, number, &mut scratch)?;
        if decode(block, count, part, |sequence| out.push(sequence)).is_none() {
            out.truncate(at);
            return Err(input.undecodable(Section::SEQUENCES, number));
        }
    }
    Ok(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    /// Mostly small steps, some far ones, of either direction.
    fn sequences() -> impl Strategy<Value = Vec<u64>> {
        let step = prop_oneof![20 => 0i64..12, 1 => -5000i64..5000, 1 => any::<i64>()];
        (any::<u64>(), proptest::collection::vec(step, 0..700)).prop_map(|(first, steps)| {
            let next = |sequence: &mut u64, step: i64| {
                *sequence = sequence.wrapping_add_signed(step);
                Some(*sequence)
            };
            [first].into_iter().chain(steps.into_iter().scan(first, next)).collect()
        })
    }

    proptest! {
        #[test]
        fn any_rows_of_a_block_come_back(sequences in sequences(), cut in (0usize..700, 0usize..700)) {
            let block = encode(&sequences);
            let start = cut.0.min(sequences.len());
            let end = cut.1.clamp(start, sequences.len().max(start));
            let mut out = Vec::new();
            decode(&block, sequences.len(), start..end, |sequence| out.push(sequence.value())).unwrap();
            prop_assert_eq!(&out, &sequences[start..end]);
        }

        #[test]
        fn whatever_the_bytes_there_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 1usize..700, width in 0u8..70) {
            let mut block = bytes;
            if let Some(first) = block.get_mut(count.div_ceil(MINI_ROWS) * ENTRY_LEN_BYTES) {
                *first = width;
            }
            block.iter_mut().skip(OFFSET_AT).step_by(ENTRY_LEN_BYTES).take(count.div_ceil(MINI_ROWS)).for_each(|offset| *offset = 0);
            let _ = decode(&block, count, count / 2..count, |_| {});
        }
    }

    #[test]
    fn events_that_came_late_cost_only_themselves() {
        let in_order: Vec<u64> = (0..10_000).map(|row| row * 3 % 7 + row * 2).collect();
        let mut late = in_order.clone();
        late.iter_mut().step_by(50).for_each(|sequence| *sequence += 1 << 20);
        let (in_order, late) = (encode(&in_order).len(), encode(&late).len());
        assert!(late < in_order + 2 * 10_000 / 50 * 5, "{in_order} {late}");
    }
}
