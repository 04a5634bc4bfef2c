//! The column of sequences: blocks of differences.

use std::ops::Range;

use crate::error::Error;
use crate::units::Sequence;

use super::blocks::Input;
use super::codes::{BLOCK_ROWS, parts};
use super::compress::Packer;
use super::deltas::{self, Base};
use super::output::Output;
use super::section::Section;

/// Writes the column of sequences, row by row.
#[derive(Debug, Default)]
pub(super) struct SequenceWriter {
    open: Vec<u64>,
}

impl SequenceWriter {
    /// Appends the sequence of the next row.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`].
    pub(super) fn push(&mut self, sequence: Sequence, output: &mut Output, packer: &mut Packer) -> Result<(), Error> {
        self.open.push(sequence.value());
        if self.open.len() == BLOCK_ROWS { self.flush(output, packer) } else { Ok(()) }
    }

    /// Writes the open block, if it has rows: the last one.
    ///
    /// # Errors
    ///
    /// As [`SequenceWriter::push`].
    pub(super) fn flush(&mut self, output: &mut Output, packer: &mut Packer) -> Result<(), Error> {
        if self.open.is_empty() {
            return Ok(());
        }
        let mut block = Vec::new();
        deltas::encode(self.open.iter().copied(), Base::Last, packer, &mut block);
        self.open.clear();
        output.push_block(Section::SEQUENCES, &block)
    }
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
        if deltas::decode(block, count, part, Base::Last, |value| out.push(Sequence::new(value))).is_none() {
            out.truncate(at);
            return Err(input.undecodable(Section::SEQUENCES, number));
        }
    }
    Ok(())
}
