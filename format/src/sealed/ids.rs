//! The event ids of a segment: which row has one, and which row has a given one.
//!
//! Three structures, each in streams of the segment (`docs/format.md`):
//!
//! * the column ([`column`]): the id of a row, in the shortest form that gives back its text ([`form`]);
//! * the index ([`index`]): from a keyed 64-bit hash of site and id to rows; 5.5 bytes an id, and 6.5 in a segment of more than 2^24 rows;
//! * the filter ([`filter`]): whether a hash may be in the index; 1.5 bytes an id.
//!
//! Invariants:
//!
//! * A row is found only if the id that stands in the column and the site it belongs to are those that were asked for. Hashes only
//!   say where to look: damage of index and filter hides rows and never gives a wrong one.
//! * The same (site, id) hashes the same in all segments of a data directory: a batch is hashed and sorted once for all of them. A
//!   segment holds the key it was written with, so that it can be searched where the directory has another: after its manifest was lost.
//! * Index and filter are in the order of the hashes, so a sorted batch reads both front to back, and they are written in one pass.

mod column;
mod filter;
mod form;
mod index;
mod stream;
#[cfg(all(test, not(loom)))]
mod tests;
mod verify;

use std::borrow::Cow;
use std::ops::Range;

use siphasher::sip::SipHasher13;

use crate::error::Error;
use crate::units::{Sequence, SiteId};

use super::compress::Packer;
use super::spill::Spill;
use column::{ColumnBuilder, Cursor};
use form::Form;
use index::IndexBuilder;
use stream::{Sink, Source};

/// What keys the hashes of event ids, because clients choose ids: nobody can make many that hash alike.
///
/// Derived from the data directory's secret, which cannot be had back from it: it stands in every segment with ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdKey([u8; 16]);

impl IdKey {
    const LEN_BYTES: usize = 16;

    /// The key of a data directory with this secret.
    pub fn derive(secret: [u8; 16]) -> IdKey {
        let half = |label: &[u8]| SipHasher13::new_with_key(&secret).hash(label).to_le_bytes();
        let mut key = [0; IdKey::LEN_BYTES];
        key[..8].copy_from_slice(&half(b"event ids 0"));
        key[8..].copy_from_slice(&half(b"event ids 1"));
        IdKey(key)
    }

    /// SipHash-1-3 of the site's bytes and the id's text.
    fn hash(&self, site: SiteId, id: &str) -> u64 {
        use std::hash::Hasher;
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(&site.bytes());
        hasher.write(id.as_bytes());
        hasher.finish()
    }
}

/// Event ids to look for in segments: hashed and sorted once, for all of them.
#[derive(Debug)]
pub struct IdBatch<'a> {
    key: IdKey,
    ids: Vec<(SiteId, &'a str)>,
    hashes: Vec<Hashed>,
}

/// A hash, and the number of its id in a batch.
type Hashed = (u64, u32);

impl<'a> IdBatch<'a> {
    /// A batch of `ids`, which are numbered from 0 in this order. `key` is the data directory's.
    ///
    /// # Panics
    ///
    /// If there are 2^32 ids.
    pub fn new(key: IdKey, ids: Vec<(SiteId, &'a str)>) -> IdBatch<'a> {
        let hashes = sorted_hashes(key, &ids);
        IdBatch { key, ids, hashes }
    }

    /// The hashes under a segment's key: its own ones, unless the segment was written under another secret.
    fn hashes_under(&self, key: IdKey) -> Cow<'_, [Hashed]> {
        if key == self.key { Cow::Borrowed(&self.hashes) } else { Cow::Owned(sorted_hashes(key, &self.ids)) }
    }
}

fn sorted_hashes(key: IdKey, ids: &[(SiteId, &str)]) -> Vec<Hashed> {
    let numbers = 0..u32::try_from(ids.len()).expect("a batch has fewer than 2^32 ids");
    let mut hashes: Vec<Hashed> = numbers.zip(ids).map(|(number, (site, id))| (key.hash(*site, id), number)).collect();
    hashes.sort_unstable();
    hashes
}

/// An id of a batch that a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundId {
    /// Which id of the batch.
    pub number: u32,
    /// The sequence of the first row that was committed with it.
    pub sequence: Sequence,
    /// That row.
    pub row: u32,
}

/// What else a segment knows of its rows; asked for rows in order.
pub(super) trait Rows {
    /// The site of a row.
    fn site(&mut self, row: u32) -> Result<SiteId, Error>;

    /// The sequence of a row.
    fn sequence(&mut self, row: u32) -> Result<Sequence, Error>;
}

/// Writes the event ids of a segment. Memory: about 14 bytes an id, until it is finished.
#[derive(Debug)]
pub(super) struct IdBuilder {
    key: IdKey,
    column: ColumnBuilder,
    index: IndexBuilder,
}

impl IdBuilder {
    /// A builder for the segment of a data directory with this key.
    pub(super) fn new(key: IdKey) -> IdBuilder {
        IdBuilder { key, column: ColumnBuilder::default(), index: IndexBuilder::default() }
    }

    /// The id of a row; rows grow, and those without one are left out.
    ///
    /// # Errors
    ///
    /// Those of `sink` and `spill`.
    ///
    /// # Panics
    ///
    /// If a row is not above the one before.
    pub(super) fn push(
        &mut self,
        (sink, packer, spill): (&mut impl Sink, &mut Packer, &mut Spill<'_>),
        site: SiteId,
        row: u32,
        id: &str,
    ) -> Result<(), Error> {
        self.index.push(spill, self.key.hash(site, id), row)?;
        self.column.push(sink, packer, row, Form::of(id))
    }

    /// Writes the rest, for a segment of `rows` rows. Without any id nothing is written at all.
    ///
    /// # Errors
    ///
    /// Those of `sink` and `spill`.
    pub(super) fn finish(self, sink: &mut impl Sink, packer: &mut Packer, spill: &mut Spill<'_>, rows: u32) -> Result<(), Error> {
        if self.index.is_empty() {
            return Ok(());
        }
        self.column.finish(sink, packer, rows)?;
        self.index.finish(sink, spill, self.key, rows)
    }
}

/// The event ids of a segment with `rows` rows, to be read. Cheap to make: whoever asks makes one.
#[derive(Debug)]
pub(super) struct Ids<'s, S> {
    source: &'s S,
    rows: u32,
}

impl<'s, S: Source> Ids<'s, S> {
    /// The ids in `source`.
    pub(super) fn new(source: &'s S, rows: u32) -> Ids<'s, S> {
        Ids { source, rows }
    }

    /// The row that has `id` on `site`, with the lowest sequence if several do.
    ///
    /// # Errors
    ///
    /// Those of `source`, if bytes cannot be read or do not verify, or verify and make no sense; those of `of_rows`.
    pub(super) fn find(&self, site: SiteId, id: &str, of_rows: &mut impl Rows) -> Result<Option<(u32, Sequence)>, Error> {
        let Some(key) = index::key(self.source)? else { return Ok(None) };
        let hashed = (key.hash(site, id), 0);
        let found = self.search(&[(site, id)], &[hashed], of_rows)?;
        Ok(found.first().map(|found| (found.row, found.sequence)))
    }

    /// The ids of `batch` that are here, in the order of their numbers.
    ///
    /// # Errors
    ///
    /// As [`Ids::find`].
    pub(super) fn find_batch(&self, batch: &IdBatch<'_>, of_rows: &mut impl Rows) -> Result<Vec<FoundId>, Error> {
        let Some(key) = index::key(self.source)? else { return Ok(Vec::new()) };
        self.search(&batch.ids, &batch.hashes_under(key), of_rows)
    }

    fn search(&self, ids: &[(SiteId, &str)], hashes: &[Hashed], of_rows: &mut impl Rows) -> Result<Vec<FoundId>, Error> {
        let mut candidates = index::candidates(self.source, self.rows, hashes)?;
        // By row, so that a group of texts is decompressed once.
        candidates.sort_unstable();
        let mut cursor = Cursor::new(self.source, self.rows);
        let mut found = Vec::new();
        for (row, number) in candidates {
            let (site, id) = ids[number as usize];
            if cursor.form(row)? == Some(Form::of(id)) && of_rows.site(row)? == site {
                found.push(FoundId { number, sequence: of_rows.sequence(row)?, row });
            }
        }
        // Of rows with the same id, which a segment has none of unless something failed to look for them, the first committed counts.
        found.sort_unstable();
        found.dedup_by_key(|found| found.number);
        Ok(found)
    }

    /// The id of a row, copied to `out`; whether it has one.
    ///
    /// # Errors
    ///
    /// As [`Ids::find`].
    pub(super) fn read(&self, row: u32, out: &mut String) -> Result<bool, Error> {
        out.clear();
        let mut cursor = Cursor::new(self.source, self.rows);
        let form = cursor.form(row)?;
        if let Some(form) = &form {
            form.write(out);
        }
        Ok(form.is_some())
    }

    /// Visits the rows among `rows` that have an id, in order, with the id.
    ///
    /// # Errors
    ///
    /// As [`Ids::find`]; the first one of `visit`.
    pub(super) fn each(&self, rows: Range<u32>, mut visit: impl FnMut(u32, &str) -> Result<(), Error>) -> Result<(), Error> {
        let mut cursor = Cursor::new(self.source, self.rows);
        let mut text = String::new();
        for row in rows {
            if let Some(form) = cursor.form(row)? {
                text.clear();
                form.write(&mut text);
                visit(row, &text)?;
            }
        }
        Ok(())
    }

    /// Visits the rows among `rows` that have an id, in order, with its hash under `key`: what a batch or a merge compares.
    ///
    /// # Errors
    ///
    /// As [`Ids::each`], and those of `of_rows`.
    pub(super) fn hashes(
        &self,
        key: IdKey,
        rows: Range<u32>,
        of_rows: &mut impl Rows,
        mut visit: impl FnMut(u32, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.each(rows, |row, id| visit(row, key.hash(of_rows.site(row)?, id)))
    }
}
