//! The blocks of a segment as they are written: one behind the other, from the header on.
//!
//! Sections interleave in the file. A stream keeps at most one open block; a list of blocks keeps none.
//!
//! The file is synced in steps, so that no sync of a log stands behind a whole segment in the queue of the disk. A step promises nothing:
//! what makes a segment durable is the sync at its end. But one that fails is final, for the sync at the end could not tell.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checksum::FileChecksum;
use crate::error::Error;
use crate::fs::{File, read_exact_at, write_all_at};
use crate::log::growth::is_full;

use super::blocks::Block;
use super::section::{STREAM_BLOCK_BYTES, Section};

/// Bytes that are gathered before they are written.
const WRITE_BYTES: usize = 256 * 1024;

/// Bytes that are written before they are synced. Beside a segment that is synced as a whole a log's syncs take up to 55 ms, beside these
/// steps 6 ms; a quarter of it gains little more.
const SYNC_BYTES: u64 = 1024 * 1024;

/// The file of a segment that is being written.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    file: Arc<dyn File>,
    checksum: FileChecksum,
    /// Where `pending` will stand.
    written_end: u64,
    /// Everything below was synced.
    synced_end: u64,
    pending: Vec<u8>,
    sections: Vec<Progress>,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    blocks: Vec<Block>,
    /// Bytes of the open block of a stream.
    open: Vec<u8>,
    /// Bytes of a stream so far.
    len_bytes: u64,
    is_closed: bool,
}

impl Output {
    /// Continues an empty `file` with `header`.
    pub(super) fn new(path: &Path, file: Arc<dyn File>, checksum: FileChecksum, header: &[u8]) -> Output {
        let sections = vec![Progress::default(); 256];
        Output { path: path.to_owned(), file, checksum, written_end: 0, synced_end: 0, pending: header.to_vec(), sections }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the next byte will stand.
    pub(super) fn end(&self) -> u64 {
        self.written_end + self.pending.len() as u64
    }

    /// The length of a stream so far, in bytes.
    pub(super) fn len(&self, section: Section) -> u64 {
        self.sections[usize::from(section.number())].len_bytes
    }

    /// How many blocks a list has so far.
    pub(super) fn blocks(&self, section: Section) -> u32 {
        u32::try_from(self.sections[usize::from(section.number())].blocks.len()).expect("a segment has fewer than 2^32 blocks")
    }

    /// Appends to a stream.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`].
    ///
    /// # Panics
    ///
    /// If the section is none, or was closed.
    pub(super) fn append(&mut self, section: Section, mut bytes: &[u8]) -> Result<(), Error> {
        let number = usize::from(section.number());
        assert!(section.is_stream() && !self.sections[number].is_closed, "only an open stream takes bytes");
        self.sections[number].len_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let open = &mut self.sections[number].open;
            let (taken, rest) = bytes.split_at(bytes.len().min(STREAM_BLOCK_BYTES - open.len()));
            open.extend_from_slice(taken);
            bytes = rest;
            if open.len() == STREAM_BLOCK_BYTES {
                let full = std::mem::take(open);
                self.write_block(section, &full)?;
                self.sections[number].open = full;
                self.sections[number].open.clear();
            }
        }
        Ok(())
    }

    /// Writes the open block of a stream, which takes no more bytes then, and frees it. Streams that are not closed are at the end.
    ///
    /// # Errors
    ///
    /// As [`Output::append`].
    pub(super) fn close(&mut self, section: Section) -> Result<(), Error> {
        let progress = &mut self.sections[usize::from(section.number())];
        progress.is_closed = true;
        let open = std::mem::take(&mut progress.open);
        if open.is_empty() { Ok(()) } else { self.write_block(section, &open) }
    }

    /// Appends a block to a list of blocks. An empty one takes no space.
    ///
    /// # Errors
    ///
    /// As [`Output::append`].
    ///
    /// # Panics
    ///
    /// If the section is a stream.
    pub(super) fn push_block(&mut self, section: Section, bytes: &[u8]) -> Result<(), Error> {
        assert!(!section.is_stream(), "a stream is cut into blocks here");
        self.write_block(section, bytes)
    }

    fn write_block(&mut self, section: Section, bytes: &[u8]) -> Result<(), Error> {
        let block = if bytes.is_empty() {
            Block::EMPTY
        } else {
            let offset = self.end();
            let len_bytes = u32::try_from(bytes.len()).expect("a block is far below 4 GiB");
            Block { offset, len_bytes, crc: self.checksum.at(offset, [bytes, &[]]) }
        };
        self.sections[usize::from(section.number())].blocks.push(block);
        self.write(bytes)
    }

    /// Appends bytes that belong to no section.
    ///
    /// # Errors
    ///
    /// As [`Output::append`].
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Hands everything to the operating system, and lets the disk have it when it is a step.
    ///
    /// # Errors
    ///
    /// As [`Output::append`].
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        write_all(&*self.file, &self.path, &self.pending, self.written_end)?;
        self.written_end += self.pending.len() as u64;
        self.pending.clear();
        if self.written_end - self.synced_end >= SYNC_BYTES {
            self.file.sync_data().map_err(Error::io("sync", &self.path))?;
            self.synced_end = self.written_end;
        }
        Ok(())
    }

    /// Reads the bytes of a stream back that `at` names, to fill `buf`, which must lie in one block.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub(super) fn read_back(&self, section: Section, at: u64, buf: &mut [u8]) -> Result<(), Error> {
        let progress = &self.sections[usize::from(section.number())];
        let (block, from) = (at / STREAM_BLOCK_BYTES as u64, (at % STREAM_BLOCK_BYTES as u64) as usize);
        let Some(block) = progress.blocks.get(block as usize) else {
            buf.copy_from_slice(&progress.open[from..from + buf.len()]);
            return Ok(());
        };
        let offset = block.offset + from as u64;
        if let Some(from) = offset.checked_sub(self.written_end) {
            let from = usize::try_from(from).expect("what is pending fits into memory");
            buf.copy_from_slice(&self.pending[from..from + buf.len()]);
            return Ok(());
        }
        read_exact_at(&*self.file, buf, offset).map_err(Error::io("read", &self.path))
    }

    /// Closes all streams and gives the blocks of all sections that have any, by number, and the file.
    ///
    /// # Errors
    ///
    /// As [`Output::append`].
    pub(super) fn finish(&mut self) -> Result<Vec<(Section, Vec<Block>)>, Error> {
        let mut sections = Vec::new();
        for number in 0..=u8::MAX {
            let section = Section::with_number(number);
            self.close(section)?;
            let mut blocks = std::mem::take(&mut self.sections[usize::from(number)].blocks);
            // What is missing at the end of a list is empty, so a column without any value costs nothing.
            blocks.truncate(blocks.iter().rposition(|block| *block != Block::EMPTY).map_or(0, |last| last + 1));
            if !blocks.is_empty() {
                sections.push((section, blocks));
            }
        }
        Ok(sections)
    }

    /// The file.
    pub(super) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }
}

/// Writes all of `bytes` at `offset`.
///
/// # Errors
///
/// [`Error::Full`] if there is no space, else [`Error::Io`].
pub(super) fn write_all(file: &dyn File, path: &Path, bytes: &[u8], offset: u64) -> Result<(), Error> {
    write_all_at(file, bytes, offset).map_err(|source| match is_full(&source) {
        true => Error::Full { path: path.to_owned(), source },
        false => Error::io("append to", path)(source),
    })
}
