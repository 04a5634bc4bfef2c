//! What a segment's indexes are made of, put aside while it is written: so their memory does not grow with rows.
//!
//! The bytes stand in a file of their own beside the segment, `<id>.seg.tmp`, whose name is removed as soon as there is one: the file is
//! gone with its writer. A name that a crash leaves is removed by the next start, as every temporary name in that folder. Nothing is
//! synced, and each piece is read back under its checksum.

use std::path::PathBuf;
use std::sync::Arc;

use crate::checksum::FileChecksum;
use crate::error::{Corruption, Error};
use crate::fs::{File, FileSystem, read_exact_at};
use crate::log::growth::is_full;
use crate::units::ByteOffset;

use super::blocks::Block;
use super::output::write_all;

/// Entries that an index holds in memory: 12 bytes each. A log has fewer ids, so its segment is written without such a file.
const HELD_ENTRIES: usize = 1 << 19;

/// Entries of indexes, as they are put aside: three numbers of 32 bits.
pub(super) type Entry = [u32; 3];

const ENTRY_BYTES: usize = size_of::<Entry>();

/// What a row puts aside at most: an entry for its id, and one for its path.
pub(super) const ASIDE_BYTES: u64 = 2 * ENTRY_BYTES as u64;

/// Entries that are read back at once, at most.
pub(super) const PIECE_ENTRIES: usize = 4096;

/// How long the file of a segment with so many rows may become, in bytes: each row is in two indexes at most, of ids and of paths.
pub fn aside_bytes(rows: u64) -> u64 {
    if rows < HELD_ENTRIES as u64 { 0 } else { rows.saturating_mul(ASIDE_BYTES) }
}

/// The file that is made when it is needed.
#[derive(Debug)]
pub(super) struct Spill<'f> {
    fs: &'f dyn FileSystem,
    path: PathBuf,
    checksum: FileChecksum,
    held_entries: usize,
    file: Option<Arc<dyn File>>,
    end: u64,
    bytes: Vec<u8>,
}

impl<'f> Spill<'f> {
    /// For a segment that is written to `path`.
    pub(super) fn new(fs: &'f dyn FileSystem, path: &std::path::Path, checksum: FileChecksum) -> Spill<'f> {
        let path = path.with_added_extension("tmp");
        Spill { fs, path, checksum, held_entries: HELD_ENTRIES, file: None, end: 0, bytes: Vec::new() }
    }

    /// Sets another bound on what an index holds.
    #[cfg(all(test, not(loom)))]
    pub(super) fn hold(&mut self, held_entries: usize) {
        self.held_entries = held_entries;
    }

    /// Whether an index that holds so many entries has to put them aside.
    pub(super) fn is_due(&self, entries: usize) -> bool {
        entries >= self.held_entries
    }

    /// Puts entries aside as one piece, to be read back by [`Spill::read`].
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`].
    pub(super) fn push(&mut self, entries: &[Entry]) -> Result<Block, Error> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::clone(self.file.insert(create(self.fs, &self.path)?)),
        };
        self.bytes.clear();
        self.bytes.extend(entries.iter().flatten().flat_map(|number| number.to_le_bytes()));
        write_all(&*file, &self.path, &self.bytes, self.end)?;
        let len_bytes = u32::try_from(self.bytes.len()).expect("what is held is far below 4 GiB");
        let piece = Block { offset: self.end, len_bytes, crc: self.checksum.at(self.end, [&self.bytes, &[]]) };
        self.end += u64::from(len_bytes);
        Ok(piece)
    }

    /// How long the file has become.
    pub(super) fn len_bytes(&self) -> u64 {
        self.end
    }

    /// Appends the entries of a piece to `out`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if they are not those that were put aside; [`Error::Io`].
    pub(super) fn read(&mut self, piece: &Block, out: &mut Vec<Entry>) -> Result<(), Error> {
        let Some(file) = &self.file else { return Ok(()) };
        self.bytes.clear();
        self.bytes.resize(piece.len_bytes as usize, 0);
        read_exact_at(&**file, &mut self.bytes, piece.offset).map_err(Error::io("read", &self.path))?;
        if self.checksum.at(piece.offset, [&self.bytes, &[]]) != piece.crc {
            let source = Corruption::Block { what: "what was put aside" };
            return Err(Error::Corrupt { path: self.path.clone(), offset: ByteOffset::new(piece.offset), source });
        }
        let (entries, _) = self.bytes.as_chunks::<ENTRY_BYTES>();
        out.extend(entries.iter().map(|entry| {
            let (numbers, _) = entry.as_chunks();
            std::array::from_fn(|place| u32::from_le_bytes(numbers[place]))
        }));
        Ok(())
    }
}

/// A file whose name is gone again.
fn create(fs: &dyn FileSystem, path: &std::path::Path) -> Result<Arc<dyn File>, Error> {
    let file = fs.create(path).map_err(|source| match is_full(&source) {
        true => Error::Full { path: path.to_owned(), source },
        false => Error::io("create", path)(source),
    })?;
    fs.remove(path).map_err(Error::io("remove", path))?;
    Ok(file)
}

#[cfg(all(test, not(loom)))]
#[path = "spill_tests.rs"]
mod tests;
