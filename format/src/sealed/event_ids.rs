//! Event ids of a segment, with the sites and sequences of their rows.

use std::ops::Range;

use crate::error::Error;
use crate::findings::Findings;
use crate::units::{Sequence, SiteId};

use super::Segment;
use super::blocks::Input;
use super::ids::{FoundId, IdBatch, IdKey, Ids, Rows};
use super::sequences::MINI_ROWS;

impl Segment {
    /// The row with this id on this site, and its sequence. Exact: filter, then index, then the id itself. Should several rows have
    /// it, the first committed is meant.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`], [`Error::Io`]; an id that cannot be looked for is never said to be absent. So for all methods here.
    pub fn find_event_id(&self, site: SiteId, event_id: &str) -> Result<Option<(u32, Sequence)>, Error> {
        self.unless_poisoned(self.ids().find(site, event_id, &mut RowReader::new(self)))
    }

    /// The ids of `batch` that are here, in the order of their numbers. Costs less an id than one by one: filter and index are read
    /// front to back, and texts and sequences that stand together are decoded once.
    pub fn find_event_ids(&self, batch: &IdBatch<'_>) -> Result<Vec<FoundId>, Error> {
        self.unless_poisoned(self.ids().find_batch(batch, &mut RowReader::new(self)))
    }

    /// The event id of a row, copied to `out`; whether it has one.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn event_id(&self, row: u32, out: &mut String) -> Result<bool, Error> {
        self.unless_poisoned(self.ids().read(row, out))
    }

    /// Visits the rows among `rows` that have an event id, in order, with the id.
    ///
    /// What was visited counts only if this ends well.
    ///
    /// # Errors
    ///
    /// Those of `visit` as well, and at once.
    ///
    /// # Panics
    ///
    /// If there are no such rows.
    pub fn event_ids(&self, rows: Range<u32>, visit: impl FnMut(u32, &str) -> Result<(), Error>) -> Result<(), Error> {
        self.unless_poisoned(self.ids().each(rows, visit))
    }

    /// [`Segment::event_ids`], with the hash of site and id under `key` in place of the id.
    pub fn event_id_hashes(&self, key: IdKey, rows: Range<u32>, visit: impl FnMut(u32, u64) -> Result<(), Error>) -> Result<(), Error> {
        self.unless_poisoned(self.ids().hashes(key, rows, &mut RowReader::new(self), visit))
    }

    /// Compares the index and the filter of ids with the ids.
    pub(super) fn verify_event_ids(&self, findings: &mut Findings) {
        self.ids().verify(&mut RowReader::new(self), findings);
    }

    fn ids(&self) -> Ids<'_, Input> {
        Ids::new(self.input(), self.rows())
    }

    /// A filter of zeros holds no id at all: here a page that could not be read must not pass for an answer.
    fn unless_poisoned<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if self.is_poisoned() {
            return Err(Error::io("read", self.path())(std::io::Error::other("a page of its mapping cannot be read")));
        }
        answer
    }
}

/// Sites and sequences of rows that grow: a run is searched and a mini-block of sequences decoded only when a row is in another one.
struct RowReader<'s> {
    segment: &'s Segment,
    site: SiteId,
    run: Range<u32>,
    mini: Range<u32>,
    sequences: Vec<Sequence>,
}

impl<'s> RowReader<'s> {
    fn new(segment: &'s Segment) -> RowReader<'s> {
        RowReader { segment, site: SiteId::new([0; 16]), run: 0..0, mini: 0..0, sequences: Vec::new() }
    }
}

impl Rows for RowReader<'_> {
    fn site(&mut self, row: u32) -> Result<SiteId, Error> {
        if !self.run.contains(&row) {
            (self.site, self.run) = self.segment.directory().around(row)?;
        }
        Ok(self.site)
    }

    fn sequence(&mut self, row: u32) -> Result<Sequence, Error> {
        if !self.mini.contains(&row) {
            // Blocks start where mini-blocks do.
            let start = row - row % MINI_ROWS as u32;
            self.mini = start..self.segment.rows().min(start.saturating_add(MINI_ROWS as u32));
            self.sequences.clear();
            // Not half read, should it fail.
            let read = self.segment.sequences(self.mini.clone(), &mut self.sequences);
            if let Err(error) = read {
                self.mini = 0..0;
                return Err(error);
            }
        }
        Ok(self.sequences[(row - self.mini.start) as usize])
    }
}
