//! Makes durable what a damaged manifest does not name and is taken up, before the new manifest names it.
//!
//! A file may say in the page cache only what it is: the sync that was to bring that to the disk failed, and no later one does (see
//! [`crate::fs`]). So all that the last sync before a file was named has covered is written once more:
//!
//! * Of a segment the trailer: it is written when everything before it is durable, and so is its name.
//! * A log is appended to only when its header, its length and its name are durable. One to which nothing was appended is made anew: header,
//!   length and name. After a power cut it may also be shorter than its header says, and nothing is lost by that.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::fs::{File, FileSystem, read_exact_at, write_all_at};
use crate::log::growth::is_full;
use crate::log::{HEADER_LEN_BYTES, LogHeader};
use crate::sealed::TRAILER_LEN_BYTES;
use crate::units::SegmentId;

use super::{PIECE_BYTES, Strays};

impl Strays<'_> {
    /// Writes the end of a segment that is whole once more, and syncs it.
    pub(in crate::directory) fn settle_segment(&self, id: SegmentId) -> Result<(), Error> {
        let path = self.segments.path.join(id.file_name());
        let file = self.fs.open(&path).map_err(Error::io("open", &path))?;
        let len = file.len().map_err(Error::io("read", &path))?;
        let mut trailer = [0; TRAILER_LEN_BYTES];
        let at = len - trailer.len() as u64;
        read_exact_at(&*file, &mut trailer, at).map_err(Error::io("read", &path))?;
        write_all_at(&*file, &trailer, at).map_err(Error::io("write", &path))?;
        file.sync_data().map_err(Error::io("sync", &path))
    }

    /// Makes a log anew to which nothing was appended; its file must bear this header.
    pub(in crate::directory) fn settle_log(&mut self, header: &LogHeader) -> Result<(), Error> {
        let name = header.id.file_name();
        if !self.holds_no_batch(&name)? {
            return Ok(());
        }
        let (path, temporary_name) = (self.logs.path.join(&name), format!("{name}.tmp"));
        let temporary = self.logs.path.join(&temporary_name);
        let len = self.fs.open(&path).and_then(|file| file.len()).map_err(Error::io("read", &path))?;
        let len = len.max(header.durable_len);

        // A start that was killed may have left one.
        match self.fs.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", &temporary)(error)),
            _ => self.logs.names.retain(|name| *name != temporary_name),
        }
        let file = write_empty_log(self.fs, &temporary, header, len).map_err(|source| {
            // Given back at once, because others may need the space.
            let _ = self.fs.remove(&temporary);
            match is_full(&source) {
                true => Error::Full { path: temporary.clone(), source },
                false => Error::io("write", &temporary)(source),
            }
        })?;
        file.sync_data().map_err(Error::io("sync", &temporary))?;
        self.fs.rename(&temporary, &path).map_err(Error::io("rename", &temporary))?;
        self.fs.sync_dir(&self.logs.path).map_err(Error::io("sync", &self.logs.path))
    }
}

/// Writes a file that a log's header begins and zeros fill up.
fn write_empty_log(fs: &dyn FileSystem, path: &Path, header: &LogHeader, len: u64) -> io::Result<Arc<dyn File>> {
    let file = fs.create(path)?;
    write_all_at(&*file, &header.encode(), 0)?;
    let mut at = HEADER_LEN_BYTES as u64;
    while at < len {
        let end = len.min(at + PIECE_BYTES as u64);
        write_all_at(&*file, &[0; PIECE_BYTES][..(end - at) as usize], at)?;
        at = end;
    }
    Ok(file)
}
