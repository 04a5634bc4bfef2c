//! Is what was read back what was written?
//!
//! A checksum vouches for bytes from the moment it is made. What went wrong before, in memory or in this program, it vouches for as
//! well; so a segment is compared with its input before the input goes.

use std::hash::{BuildHasher, Hasher, RandomState};

use format::{Record, Segment, Sequence, UnixMicros};

use super::ROWS_BETWEEN_LOOKS;
use crate::error::Error;
use crate::rows::SegmentRows;

/// The number of rows, and the sum of their hashes: the same in whatever order they come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    hasher: RandomState,
    rows: u64,
    hashes: u64,
    scratch: Vec<u8>,
}

impl Sum {
    /// Adds a row: its sequence, and every field of its record but the time of receipt.
    pub(crate) fn add(&mut self, sequence: Sequence, record: &Record<'_>) {
        self.scratch.clear();
        let fields = Record { received: UnixMicros::EPOCH, ..record.clone() };
        // One that does not fit counts by its number alone. A log has none, since it was encoded once.
        let _ = fields.encode(&mut self.scratch);
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(sequence.value());
        hasher.write(&self.scratch);
        self.hashes = self.hashes.wrapping_add(hasher.finish());
        self.rows += 1;
    }

    /// Adds all rows of `segment`.
    ///
    /// # Errors
    ///
    /// [`Error::Record`] if it cannot be read; [`Error::Stopped`].
    fn add_rows(&mut self, segment: &Segment, is_stopped: &dyn Fn() -> bool) -> Result<(), Error> {
        let mut rows = SegmentRows::new(segment)?;
        let mut read = 0u32;
        while let Some((sequence, record)) = rows.next()? {
            if read.is_multiple_of(ROWS_BETWEEN_LOOKS) && is_stopped() {
                return Err(Error::Stopped);
            }
            read += 1;
            self.add(sequence, &record);
        }
        Ok(())
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Nothing yet, with the same key: to be compared.
    pub(crate) fn again(&self) -> Sum {
        Sum { hasher: self.hasher.clone(), ..Sum::default() }
    }
}

/// Reads all rows of `segment` and compares them with what was counted of its input.
///
/// # Errors
///
/// [`Error::NotEqual`]; [`Error::Record`] if it cannot be read; [`Error::Stopped`].
pub(crate) fn compare(segment: &Segment, expected: &Sum, is_stopped: &dyn Fn() -> bool) -> Result<(), Error> {
    let mut found = expected.again();
    found.add_rows(segment, is_stopped)?;
    if (found.rows, found.hashes) != (expected.rows, expected.hashes) {
        return Err(Error::NotEqual { segment: segment.header().id, expected: expected.rows, found: found.rows });
    }
    Ok(())
}
