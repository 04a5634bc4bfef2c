//! Is what was read back what was written?
//!
//! A checksum vouches for bytes from the moment it is made. What went wrong before, in memory or in this program, it vouches for as
//! well; so a segment is compared with its input before the input goes.
//!
//! Each row has a hash, which is made of those of its parts: of the input, of the texts as they stand in the record; of the segment,
//! of the entries that its codes lead to, each hashed once. Sums of these hashes are compared, since rows come in different orders.

use std::hash::BuildHasher;

use format::sealed::Field;
use format::{Kind, Segment, Sequence, SiteId};
use hashbrown::DefaultHashBuilder;

use super::hashed::HashedRows;
use crate::error::Error;

/// What a row has besides site, kind, name, time and sequence. The shape stands for all of the properties.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Field(Field),
    Session,
    EventId,
}

// Places of keys: fields come first.
const SESSION: usize = Field::ALL.len();
const EVENT_ID: usize = SESSION + 1;
const TIME: usize = SESSION + 2;
const SEQUENCE: usize = SESSION + 3;
const WHOLE_ROW: usize = SESSION + 4;
const KEYS: usize = SESSION + 5;

/// Hashes with a random key. Texts of different parts count differently.
#[derive(Clone, Debug)]
pub(crate) struct Hashes {
    builder: DefaultHashBuilder,
    /// Odd ones.
    keys: [u64; KEYS],
}

impl Default for Hashes {
    fn default() -> Hashes {
        let builder = DefaultHashBuilder::default();
        let keys = std::array::from_fn(|place| builder.hash_one(place) | 1);
        Hashes { builder, keys }
    }
}

/// The hash of a row, as far as its parts were added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowHash(u64);

impl RowHash {
    /// Adds [`Hashes::part`]; in any order.
    pub(super) fn add(&mut self, part: u64) {
        self.0 = self.0.wrapping_add(part);
    }
}

impl Hashes {
    /// The hash of a text.
    #[inline]
    pub(super) fn text(&self, text: &[u8]) -> u64 {
        self.builder.hash_one(text)
    }

    /// What a text with this hash adds to that of a row.
    #[inline]
    pub(super) fn part(&self, part: Part, text: u64) -> u64 {
        let number = match part {
            Part::Field(field) => field as usize,
            Part::Session => SESSION,
            Part::EventId => EVENT_ID,
        };
        fold(text, self.keys[number])
    }

    /// The hash of what is the same for all rows of a run.
    #[inline]
    pub(super) fn run(&self, site: SiteId, kind: Kind, name: &str) -> u64 {
        self.builder.hash_one((site, kind, name))
    }

    /// A row of a run, without parts.
    #[inline]
    pub(super) fn row(&self, run: u64, time: i64, sequence: Sequence) -> RowHash {
        let instant = fold(time as u64 ^ run, self.keys[TIME]);
        RowHash(fold(sequence.value() ^ instant, self.keys[SEQUENCE]))
    }
}

/// All bits of `value`, mixed with an odd key.
#[inline]
fn fold(value: u64, key: u64) -> u64 {
    let product = u128::from(value ^ key.rotate_left(32)) * u128::from(key);
    product as u64 ^ (product >> 64) as u64
}

/// The number of rows, and the sum of their hashes: the same in whatever order they come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    pub(super) hashes: Hashes,
    rows: u64,
    total: u64,
}

impl Sum {
    /// What rows are hashed with.
    pub(crate) fn hashes(&self) -> &Hashes {
        &self.hashes
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Nothing yet, with the same key: to be compared.
    pub(crate) fn again(&self) -> Sum {
        Sum { hashes: self.hashes.clone(), ..Sum::default() }
    }

    /// Adds a row with all its parts.
    #[inline]
    pub(crate) fn add_hash(&mut self, row: RowHash) {
        // Folded once more: else parts could change places between rows, and the sum would stay.
        self.total = self.total.wrapping_add(fold(row.0, self.hashes.keys[WHOLE_ROW]));
        self.rows += 1;
    }
}

/// Reads all rows of `segment` and compares them with what was counted of its input: every field but the time of receipt.
///
/// # Errors
///
/// [`Error::NotEqual`]; [`Error::Record`] if it cannot be read; [`Error::Stopped`].
pub(crate) fn compare(segment: &Segment, expected: &Sum, is_stopped: &dyn Fn() -> bool) -> Result<(), Error> {
    let mut found = expected.again();
    let mut rows = HashedRows::new(segment, &expected.hashes)?;
    while let Some(some) = rows.next()? {
        if is_stopped() {
            return Err(Error::Stopped);
        }
        some.hashes.iter().for_each(|hash| found.add_hash(*hash));
    }
    if (found.rows, found.total) != (expected.rows, expected.total) {
        return Err(Error::NotEqual { segment: segment.header().id, expected: expected.rows, found: found.rows });
    }
    Ok(())
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
