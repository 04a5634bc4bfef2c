//! Reading records of a log, below its watermark.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checksum::FileChecksum;
use crate::error::{Corruption, Error};
use crate::frame::{self, FrameDamage, FrameKind};
use crate::map::Map;
use crate::record::{MAX_RECORD_BYTES, Record};
use crate::units::{ByteOffset, LogId};
use crate::watermark::Watermark;

use super::header::LogHeader;

/// A read-only view of one log, shared by all who query it.
#[derive(Debug)]
pub struct LogReader {
    id: LogId,
    path: PathBuf,
    checksum: FileChecksum,
    map: Map,
    watermark: Watermark,
}

impl LogReader {
    /// A reader of the log with this header, through `map`. Nothing is readable until its watermark is published.
    pub(super) fn new(header: &LogHeader, path: PathBuf, map: Map) -> Arc<LogReader> {
        let watermark = Watermark::new(ByteOffset::new(super::HEADER_LEN_BYTES as u64));
        Arc::new(LogReader { id: header.id, path, checksum: header.checksum(), map, watermark })
    }

    /// Which log this is.
    pub fn id(&self) -> LogId {
        self.id
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How far this log may be read; the appender publishes it.
    pub fn watermark(&self) -> &Watermark {
        &self.watermark
    }

    /// The record whose frame starts at `offset`, out of the mapping or copied to `scratch`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the frame does not verify, or does not lie below the watermark; [`Error::Io`] if it cannot be read.
    pub fn record<'b>(&'b self, offset: ByteOffset, scratch: &'b mut Vec<u8>) -> Result<Record<'b>, Error> {
        let corrupt = |source: Corruption| Error::Corrupt { path: self.path.clone(), offset, source };
        let end = self.watermark.committed_end().value();
        let below = |len: usize| offset.value().checked_add(len as u64).is_some_and(|frame_end| frame_end <= end);
        if !below(frame::HEADER_LEN_BYTES) {
            return Err(corrupt(FrameDamage::Short.into()));
        }
        let unreadable = || Error::io("read", &self.path);
        let head = self.map.read(offset.value(), frame::HEADER_LEN_BYTES, scratch).map_err(unreadable())?;
        let len = frame::peek_len(head).unwrap_or(usize::MAX);
        if len > MAX_RECORD_BYTES || !below(frame::HEADER_LEN_BYTES + len) {
            return Err(corrupt(FrameDamage::Short.into()));
        }
        let bytes = self.map.read(offset.value(), frame::HEADER_LEN_BYTES + len, scratch).map_err(unreadable())?;
        let frame = frame::decode(bytes, &self.checksum, offset.value(), MAX_RECORD_BYTES).map_err(|damage| corrupt(damage.into()))?;
        if frame.kind != FrameKind::Record as u8 {
            return Err(corrupt(Corruption::FrameKind(frame.kind)));
        }
        Record::decode(frame.payload).map_err(|error| corrupt(error.into()))
    }
}
