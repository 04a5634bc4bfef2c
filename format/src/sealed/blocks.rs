//! The blocks of a segment as they are read: verified when they are first touched, then read through the mapping.
//!
//! Invariants:
//!
//! * No byte is given out of a block whose checksum was not compared before, on bytes that came through `read_at`: a bad sector is an
//!   error there and would be a signal in the mapping.
//! * Blocks lie between the header and the footer, which was checked when the segment was opened.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::checksum::FileChecksum;
use crate::error::{Corruption, Error};
use crate::fs::{File, read_exact_at};
use crate::map::Map;
use crate::units::ByteOffset;

use super::section::{STREAM_BLOCK_BYTES, Section};

/// Where a block stands, and its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) offset: u64,
    pub(super) len_bytes: u32,
    pub(super) crc: u32,
}

impl Block {
    /// A block without bytes, which stands nowhere.
    pub(super) const EMPTY: Block = Block { offset: 0, len_bytes: 0, crc: 0 };
}

#[derive(Debug, Default)]
struct Blocks {
    blocks: Vec<Block>,
    /// The number of the first one among all.
    first: usize,
    /// Bytes in all of them.
    len_bytes: u64,
}

/// The file of a segment, by sections.
#[derive(Debug)]
pub(super) struct Input {
    path: PathBuf,
    file: Arc<dyn File>,
    map: Map,
    checksum: FileChecksum,
    sections: Vec<Blocks>,
    /// A bit for each block that was verified. Relaxed: the bit hands nothing over, the bytes were in the file before it was opened.
    verified: Vec<AtomicU64>,
}

impl Input {
    /// The blocks of an open file: `sections` were checked against its length, and streams for the lengths of their blocks.
    pub(super) fn new(path: PathBuf, file: Arc<dyn File>, map: Map, checksum: FileChecksum, sections: Vec<(Section, Vec<Block>)>) -> Input {
        let mut by_number: Vec<Blocks> = (0..256).map(|_| Blocks::default()).collect();
        let mut first = 0;
        for (section, blocks) in sections {
            let len_bytes = blocks.iter().map(|block| u64::from(block.len_bytes)).sum();
            let count = blocks.len();
            by_number[usize::from(section.number())] = Blocks { blocks, first, len_bytes };
            first += count;
        }
        let verified = (0..first.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Input { path, file, map, checksum, sections: by_number, verified }
    }

    /// The file.
    pub(super) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Whether a page of the mapping could not be read: see [`Map::is_poisoned`].
    pub(super) fn is_poisoned(&self) -> bool {
        self.map.is_poisoned()
    }

    /// The length of a section, in bytes.
    pub(super) fn len(&self, section: Section) -> u64 {
        self.sections[usize::from(section.number())].len_bytes
    }

    /// How many blocks a section has.
    pub(super) fn blocks(&self, section: Section) -> usize {
        self.sections[usize::from(section.number())].blocks.len()
    }

    /// The length of a block of a list, in bytes.
    pub(super) fn block_len(&self, section: Section, number: usize) -> u64 {
        self.sections[usize::from(section.number())].blocks.get(number).map_or(0, |block| block.len_bytes.into())
    }

    /// All blocks with bytes, by section.
    pub(super) fn all_blocks(&self) -> impl Iterator<Item = (Section, &Block)> {
        let of_section = |(number, blocks)| (Section::with_number(number), blocks);
        let sections = (0..=u8::MAX).zip(&self.sections).map(of_section);
        sections.flat_map(|(section, blocks)| blocks.blocks.iter().filter(|block| block.len_bytes > 0).map(move |block| (section, block)))
    }

    /// Compares the checksum of a block, whether that was done before or not.
    ///
    /// # Errors
    ///
    /// As [`Input::block`].
    pub(super) fn verify_again(&self, section: Section, block: &Block) -> Result<(), Error> {
        let mut bytes = vec![0; block.len_bytes as usize];
        read_exact_at(&*self.file, &mut bytes, block.offset).map_err(Error::io("read", &self.path))?;
        if self.checksum.at(block.offset, [&bytes, &[]]) == block.crc {
            return Ok(());
        }
        Err(self.corrupt(block.offset, Corruption::Block { what: section.name() }))
    }

    /// A block of a list, verified; out of the mapping or copied to `scratch`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] with the block's offset; [`Error::Io`].
    pub(super) fn block<'b>(&'b self, section: Section, number: usize, scratch: &'b mut Vec<u8>) -> Result<&'b [u8], Error> {
        let blocks = &self.sections[usize::from(section.number())];
        let Some(block) = blocks.blocks.get(number).filter(|block| block.len_bytes > 0) else { return Ok(&[]) };
        self.verify(section, block, blocks.first + number, scratch)?;
        self.read_map(block.offset, block.len_bytes as usize, scratch)
    }

    /// A range of a stream, verified; out of the mapping or, if it does not lie in one block, copied to `scratch`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] with the offset of the block that is damaged or, if the range passes the end of the stream, of its first
    /// block; [`Error::Io`].
    pub(super) fn read<'b>(&'b self, section: Section, range: Range<u64>, scratch: &'b mut Vec<u8>) -> Result<&'b [u8], Error> {
        let blocks = &self.sections[usize::from(section.number())];
        if range.start > range.end || range.end > blocks.len_bytes {
            return Err(self.undecodable(section, 0));
        }
        if range.is_empty() {
            return Ok(&[]);
        }
        let block_bytes = STREAM_BLOCK_BYTES as u64;
        let (first, last) = ((range.start / block_bytes) as usize, ((range.end - 1) / block_bytes) as usize);
        if first == last {
            let block = &blocks.blocks[first];
            self.verify(section, block, blocks.first + first, scratch)?;
            let offset = block.offset + range.start % block_bytes;
            return self.read_map(offset, (range.end - range.start) as usize, scratch);
        }
        let mut copied = Vec::with_capacity((range.end - range.start) as usize);
        for number in first..=last {
            let block = &blocks.blocks[number];
            self.verify(section, block, blocks.first + number, scratch)?;
            let start = number as u64 * block_bytes;
            let part = range.start.max(start) - start..range.end.min(start + block_bytes) - start;
            copied.extend_from_slice(self.read_map(block.offset + part.start, (part.end - part.start) as usize, scratch)?);
        }
        *scratch = copied;
        Ok(scratch)
    }

    /// The `N` bytes at `at` of a stream.
    ///
    /// # Errors
    ///
    /// As [`Input::read`].
    pub(super) fn array<const N: usize>(&self, section: Section, at: u64, scratch: &mut Vec<u8>) -> Result<[u8; N], Error> {
        let end = at.checked_add(N as u64).ok_or_else(|| self.undecodable(section, 0))?;
        let bytes = self.read(section, at..end, scratch)?;
        Ok(bytes.try_into().expect("a range of N bytes"))
    }

    /// What to say of bytes that verify and make no sense: a file made by hand, or a bug. `block` is where they were met.
    pub(super) fn undecodable(&self, section: Section, block: usize) -> Error {
        let blocks = &self.sections[usize::from(section.number())].blocks;
        let offset = blocks.get(block).or(blocks.first()).map_or(0, |block| block.offset);
        self.corrupt(offset, Corruption::Undecodable { what: section.name() })
    }

    /// The same for a stream, by the place in it.
    pub(super) fn undecodable_at(&self, section: Section, at: u64) -> Error {
        self.undecodable(section, (at / STREAM_BLOCK_BYTES as u64) as usize)
    }

    fn corrupt(&self, offset: u64, source: Corruption) -> Error {
        Error::Corrupt { path: self.path.clone(), offset: ByteOffset::new(offset), source }
    }

    #[inline]
    fn verify(&self, section: Section, block: &Block, number: usize, scratch: &mut Vec<u8>) -> Result<(), Error> {
        if self.verified[number / 64].load(Ordering::Relaxed) & (1 << (number % 64)) != 0 {
            return Ok(());
        }
        self.verify_first(section, block, number, scratch)
    }

    #[cold]
    fn verify_first(&self, section: Section, block: &Block, number: usize, scratch: &mut Vec<u8>) -> Result<(), Error> {
        scratch.clear();
        scratch.resize(block.len_bytes as usize, 0);
        read_exact_at(&*self.file, scratch, block.offset).map_err(Error::io("read", &self.path))?;
        if self.checksum.at(block.offset, [scratch, &[]]) != block.crc {
            return Err(self.corrupt(block.offset, Corruption::Block { what: section.name() }));
        }
        self.verified[number / 64].fetch_or(1 << (number % 64), Ordering::Relaxed);
        Ok(())
    }

    #[inline]
    fn read_map<'b>(&'b self, offset: u64, len: usize, scratch: &'b mut Vec<u8>) -> Result<&'b [u8], Error> {
        self.map.read(offset, len, scratch).map_err(|source| Error::Io { operation: "read", path: self.path.clone(), source })
    }
}
