//! A column as it is written, row by row: a block of [`BLOCK_ROWS`] rows after the other.

use crate::error::Error;

use super::codes::BLOCK_ROWS;
use super::output::Output;
use super::section::Section;

/// Writes a column of which each block is encoded on its own.
#[derive(Debug)]
pub(super) struct BlockWriter<T> {
    section: Section,
    encode: fn(&[T]) -> Vec<u8>,
    open: Vec<T>,
}

impl<T> BlockWriter<T> {
    /// A column without rows.
    pub(super) fn new(section: Section, encode: fn(&[T]) -> Vec<u8>) -> BlockWriter<T> {
        BlockWriter { section, encode, open: Vec::new() }
    }

    /// Appends the value of the next row.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`].
    pub(super) fn push(&mut self, value: T, output: &mut Output) -> Result<(), Error> {
        self.open.push(value);
        if self.open.len() == BLOCK_ROWS { self.flush(output) } else { Ok(()) }
    }

    /// Writes the open block, if it has rows: the last one.
    ///
    /// # Errors
    ///
    /// As [`BlockWriter::push`].
    pub(super) fn flush(&mut self, output: &mut Output) -> Result<(), Error> {
        if self.open.is_empty() {
            return Ok(());
        }
        let block = (self.encode)(&self.open);
        self.open.clear();
        output.push_block(self.section, &block)
    }
}
