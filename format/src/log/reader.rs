//! Reading records of a log, below its watermark.

use std::io;
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
    /// [`Error::Corrupt`] if the frame does not verify, or does not lie below the watermark; [`Error::Io`] if it cannot be read, or
    /// if any page of the log could not be: something else cut the file, or the disk lost a sector.
    pub fn record<'b>(&'b self, offset: ByteOffset, scratch: &'b mut Vec<u8>) -> Result<Record<'b>, Error> {
        let record = self.read_record(offset, scratch);
        // After reading: what could not be read are zeros, and then whatever was made of them does not count.
        if self.map.is_poisoned() {
            return Err(Error::io("read", &self.path)(io::Error::other("a page of its mapping cannot be read")));
        }
        record
    }

    fn read_record<'b>(&'b self, offset: ByteOffset, scratch: &'b mut Vec<u8>) -> Result<Record<'b>, Error> {
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

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::fs::RealFs;
    use crate::log::{LogOptions, LogWriter};
    use crate::record::{Kind, Source};
    use crate::units::{Sequence, SiteId, UnixMicros};

    use super::*;

    #[test]
    fn a_log_that_something_else_cut_is_an_error_and_no_signal() {
        let dir = tempfile::tempdir().unwrap();
        let (id, base_sequence, created) = (LogId::FIRST, Sequence::FIRST, UnixMicros::EPOCH);
        let header = LogHeader { id, salt: [1; 16], epoch: [2; 16], base_sequence, created, durable_len: 0, answers_before_sync: false };
        let options = LogOptions { capacity_bytes: 1 << 20, step_bytes: 16 * 1024 };
        let mut log = LogWriter::create(&RealFs::default(), dir.path(), header, options).unwrap();
        let mut payload = Vec::new();
        let record = Record { name: "signup", ..Record::new(Kind::Event, Source::Server, SiteId::new([3; 16]), created, created) };
        record.encode(&mut payload).unwrap();
        log.push(&payload);
        let end = log.append(created).unwrap().end;
        let reader = Arc::clone(log.reader());
        reader.watermark().publish(1, end);

        let first = ByteOffset::new(crate::log::HEADER_LEN_BYTES as u64);
        assert_eq!(reader.record(first, &mut Vec::new()).unwrap().name, "signup");
        std::fs::OpenOptions::new().write(true).open(reader.path()).unwrap().set_len(0).unwrap();
        for _ in 0..2 {
            assert!(matches!(reader.record(first, &mut Vec::new()).unwrap_err(), Error::Io { operation: "read", .. }));
        }
    }
}
