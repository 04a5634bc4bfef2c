//! The filter before the index: a split-block Bloom filter, whether a hash may be among those of a segment.
//!
//! A hash selects a block of 256 bits by its upper bits, and in each of the block's eight words one bit by its lower 32 bits. So a
//! lookup touches 32 bytes, blocks are in the order of the hashes, and the filter is written front to back from sorted hashes.
//! With 12 bits a hash about one of 180 absent ones passes.

use crate::error::Error;
use crate::sealed::section::{STREAM_BLOCK_BYTES, Section};

use super::Hashed;
use super::stream::{Sink, Source};

const BITS_PER_HASH: u64 = 12;
const WORDS: usize = 8;
const BLOCK_BITS: u64 = WORDS as u64 * 32;
const BLOCK_BYTES: u64 = BLOCK_BITS / 8;

/// Odd multipliers, one a word. Source: Apache Parquet, "Bloom Filter", the constants of its split-block filter.
const MULTIPLIERS: [u32; WORDS] = [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// How many blocks a filter for `ids` hashes has.
fn blocks(ids: u32) -> u64 {
    (u64::from(ids) * BITS_PER_HASH).div_ceil(BLOCK_BITS)
}

/// The block of a hash, in the order of the hashes.
fn block(hash: u64, blocks: u64) -> u64 {
    ((u128::from(hash) * u128::from(blocks)) >> 64) as u64
}

/// One bit in each word.
fn mask(hash: u64) -> [u32; WORDS] {
    MULTIPLIERS.map(|multiplier| 1 << ((hash as u32).wrapping_mul(multiplier) >> 27))
}

/// The length of the stream of a filter for `ids` hashes.
pub(super) fn len_bytes(ids: u32) -> u64 {
    blocks(ids) * BLOCK_BYTES
}

/// Writes a filter from sorted hashes.
#[derive(Debug)]
pub(super) struct FilterBuilder {
    blocks: u64,
    /// The number of the open block.
    number: u64,
    open: [u32; WORDS],
}

impl FilterBuilder {
    /// A filter that will get `ids` hashes.
    pub(super) fn new(ids: u32) -> FilterBuilder {
        FilterBuilder { blocks: blocks(ids), number: 0, open: [0; WORDS] }
    }

    /// The next hash, not below the one before.
    pub(super) fn push(&mut self, sink: &mut impl Sink, hash: u64) -> Result<(), Error> {
        self.close_until(sink, block(hash, self.blocks))?;
        for (word, bit) in self.open.iter_mut().zip(mask(hash)) {
            *word |= bit;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, sink: &mut impl Sink) -> Result<(), Error> {
        self.close_until(sink, self.blocks)
    }

    fn close_until(&mut self, sink: &mut impl Sink, number: u64) -> Result<(), Error> {
        while self.number < number {
            for word in std::mem::take(&mut self.open) {
                sink.append(Section::ID_FILTER, &word.to_le_bytes())?;
            }
            self.number += 1;
        }
        Ok(())
    }
}

/// A filter made again from hashes in any order, to be compared. Memory: all of it.
#[derive(Debug)]
pub(super) struct Rebuilt(Vec<[u32; WORDS]>);

impl Rebuilt {
    /// An empty filter for `ids` hashes.
    pub(super) fn new(ids: u32) -> Rebuilt {
        Rebuilt(vec![[0; WORDS]; blocks(ids) as usize])
    }

    pub(super) fn add(&mut self, hash: u64) {
        let number = block(hash, self.0.len() as u64) as usize;
        if let Some(words) = self.0.get_mut(number) {
            words.iter_mut().zip(mask(hash)).for_each(|(word, bit)| *word |= bit);
        }
    }

    /// Whether the filter in `source` is the same.
    pub(super) fn is_equal(&self, source: &impl Source) -> Result<bool, Error> {
        let mut scratch = Vec::new();
        for (number, words) in (0u64..).zip(&self.0) {
            let stored: [u8; BLOCK_BYTES as usize] = source.array(Section::ID_FILTER, number * BLOCK_BYTES, &mut scratch)?;
            let (stored, _) = stored.as_chunks();
            if !stored.iter().map(|word| u32::from_le_bytes(*word)).eq(words.iter().copied()) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Those of `hashes`, which are sorted, that may be among the `ids` hashes of the filter in `source`; those that are always pass.
///
/// A block of the stream is read once for all hashes in it: per hash, that would take longer than to look at its eight words.
pub(super) fn passing(source: &impl Source, ids: u32, hashes: &[Hashed]) -> Result<Vec<Hashed>, Error> {
    const PART_BLOCKS: u64 = STREAM_BLOCK_BYTES as u64 / BLOCK_BYTES;
    let blocks = blocks(ids);
    let (mut passing, mut scratch) = (Vec::new(), Vec::new());
    let mut rest = hashes;
    while let Some((first, _)) = rest.first() {
        let start = block(*first, blocks) / PART_BLOCKS * PART_BLOCKS;
        let end = blocks.min(start + PART_BLOCKS);
        let part = source.read(Section::ID_FILTER, start * BLOCK_BYTES..end * BLOCK_BYTES, &mut scratch)?;
        let (words, _) = part.as_chunks::<{ size_of::<u32>() }>();
        let in_part = rest.partition_point(|(hash, _)| block(*hash, blocks) < end);
        for hashed in &rest[..in_part] {
            let at = (block(hashed.0, blocks) - start) as usize * WORDS;
            let is_set = |(word, bit): (&[u8; 4], u32)| u32::from_le_bytes(*word) & bit != 0;
            if words[at..at + WORDS].iter().zip(mask(hashed.0)).all(is_set) {
                passing.push(*hashed);
            }
        }
        rest = &rest[in_part..];
    }
    Ok(passing)
}
