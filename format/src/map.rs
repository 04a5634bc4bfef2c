//! Read-only views of files: with `fault.rs` the only place with `unsafe`.
//!
//! Invariants, kept by whoever asks for bytes:
//!
//! * a range that is read lies below the file's length at that time: a mapping may be longer than its file, and
//!   touching a page behind the end is a signal. It costs the mapping, not the process: see [`Map::is_poisoned`], which is asked
//!   after bytes were read and before they are used;
//! * a range that is read is never written again while its slice lives. Of a log, readers stay below the watermark, and
//!   the writer stays at or above it.
//!
//! No slice is ever made over the whole mapping, because its upper part is still to be written.

#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};

use crate::fault::Watch;
use crate::fs::{File, read_exact_at};

/// A read-only view of a file.
pub struct Map(View);

enum View {
    /// Pages of the operating system's cache. The watch stands first because it has to be dropped first.
    Mapped(Watch, MmapRaw),
    /// No mapping: every read copies. For file systems that have none, and when no more mappings can be watched.
    Copied(Arc<dyn File>),
}

impl Map {
    /// Maps the first `capacity` bytes of `file`, which may be shorter and grow later; none if too many files are mapped already.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a capacity of zero or beyond the address space; what the operating system says.
    pub fn mapped(file: &std::fs::File, capacity: u64) -> io::Result<Option<Map>> {
        let len = usize::try_from(capacity).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        if len == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let map = MmapOptions::new().len(len).map_raw_read_only(file)?;
        let watch = Watch::new(map.as_ptr(), len)?;
        Ok(watch.map(|watch| Map(View::Mapped(watch, map))))
    }

    /// A view that reads `file` anew each time.
    pub fn copied(file: Arc<dyn File>) -> Map {
        Map(View::Copied(file))
    }

    /// The `len` bytes from `offset` on, out of the mapping or copied to `scratch`.
    ///
    /// The range must lie within the file and must not be written while the slice lives: see the invariants above.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the range passes the end of the mapping, or of a file that is copied; then what
    /// [`File::read_at`] says.
    pub fn read<'b>(&'b self, offset: u64, len: usize, scratch: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        match &self.0 {
            View::Mapped(_, map) => {
                let start = usize::try_from(offset).ok().filter(|start| *start <= map.len());
                let start = start.filter(|start| len <= map.len() - start).ok_or(io::ErrorKind::UnexpectedEof)?;
                // SAFETY: `start` is at most the mapping's length, checked above, so the pointer stays inside it or one
                // past its end.
                let first = unsafe { map.as_ptr().add(start) };
                // SAFETY: `start + len` is at most the mapping's length, checked above, and the mapping lives as long
                // as `self`, which the slice borrows. That nobody writes these bytes while the slice lives is the
                // second invariant of this module: of a log, `LogReader` refuses what is not below the watermark, and
                // `LogWriter` only writes at or above it; the lock on the data directory keeps a second daemon out.
                Ok(unsafe { std::slice::from_raw_parts(first, len) })
            }
            View::Copied(file) => {
                scratch.clear();
                scratch.resize(len, 0);
                read_exact_at(&**file, scratch, offset)?;
                Ok(scratch)
            }
        }
    }

    /// Whether a page could not be read: whatever was read before this call may be zeros that are not the file's. For ever.
    pub fn is_poisoned(&self) -> bool {
        match &self.0 {
            View::Mapped(watch, _) => watch.is_poisoned(),
            View::Copied(_) => false,
        }
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            View::Mapped(_, map) => f.debug_struct("Map").field("capacity", &map.len()).finish_non_exhaustive(),
            View::Copied(file) => f.debug_struct("Map").field("file", file).finish_non_exhaustive(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_range_beyond_the_mapping_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        let map = Map::mapped(&file, 4096).unwrap().unwrap();
        let mut scratch = Vec::new();
        assert_eq!(map.read(4000, 96, &mut scratch).unwrap(), [0; 96]);
        assert_eq!(map.read(4096, 0, &mut scratch).unwrap(), [0u8; 0]);
        for (offset, len) in [(4000, 97), (4097, 0), (u64::MAX, 1), (1, usize::MAX)] {
            let error = map.read(offset, len, &mut scratch).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{offset} {len}");
        }
        assert_eq!(Map::mapped(&file, 0).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
