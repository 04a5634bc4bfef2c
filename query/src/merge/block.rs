//! Decoded rows of an input: a block of each column that is wanted, whatever runs it has rows of.

use std::ops::Range;

use format::sealed::{Field, Run};
use format::{Segment, Sequence};

use crate::error::Error;
use crate::rows::{BLOCK_ROWS, EventIds};

/// The columns that are decoded.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) has_times: bool,
    pub(super) has_sessions: bool,
    pub(super) has_sequences: bool,
    pub(super) has_event_ids: bool,
    pub(super) fields: Vec<Field>,
}

/// Decoded rows, between two places where blocks of columns begin.
pub(super) struct Block<'a> {
    segment: &'a Segment,
    wanted: Wanted,
    pub(super) rows: Range<u32>,
    pub(super) times: Vec<i64>,
    pub(super) sequences: Vec<Sequence>,
    pub(super) sessions: Vec<u32>,
    pub(super) codes: [Vec<u32>; Field::ALL.len()],
    pub(super) event_ids: EventIds,
}

impl<'a> Block<'a> {
    /// No rows yet. A column of a field without entries is never there.
    pub(super) fn new(segment: &'a Segment, mut wanted: Wanted) -> Block<'a> {
        wanted.fields.retain(|field| segment.entries(*field) > 0);
        wanted.has_sessions &= segment.sessions() > 0;
        Block {
            segment,
            wanted,
            rows: 0..0,
            times: Vec::new(),
            sequences: Vec::new(),
            sessions: Vec::new(),
            codes: Default::default(),
            event_ids: EventIds::default(),
        }
    }

    /// The columns that are there.
    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Decodes the block that `row` is in, unless that was the last one; whether it was another one.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(super) fn reach(&mut self, row: u32) -> Result<bool, Error> {
        if self.rows.contains(&row) {
            return Ok(false);
        }
        let start = row - row % BLOCK_ROWS;
        let rows = start..self.segment.rows().min(start.saturating_add(BLOCK_ROWS));
        self.decode(rows).map_err(|error| Error::from(error).in_segment(self.segment))?;
        Ok(true)
    }

    fn decode(&mut self, rows: Range<u32>) -> Result<(), format::Error> {
        // Until all is decoded, no row of it is there.
        self.rows = 0..0;
        let segment = self.segment;
        if self.wanted.has_times {
            self.times.clear();
            segment.times(rows.clone(), &mut self.times)?;
        }
        if self.wanted.has_sequences {
            self.sequences.clear();
            segment.sequences(rows.clone(), &mut self.sequences)?;
        }
        if self.wanted.has_sessions {
            self.sessions.clear();
            segment.session_codes(rows.clone(), &mut self.sessions)?;
        }
        for field in &self.wanted.fields {
            let codes = &mut self.codes[*field as usize];
            codes.clear();
            segment.codes(*field, rows.clone(), codes)?;
        }
        if self.wanted.has_event_ids {
            self.event_ids.decode(segment, rows.clone())?;
        }
        self.rows = rows;
        Ok(())
    }

    /// The places of `rows`, which lie in the block, in its columns.
    pub(super) fn places(&self, rows: Range<u32>) -> Range<usize> {
        (rows.start - self.rows.start) as usize..(rows.end - self.rows.start) as usize
    }
}

/// Decoded codes of a run's property columns.
pub(super) struct PropertyBlock<'a> {
    segment: &'a Segment,
    run: &'a Run,
    pub(super) rows: Range<u32>,
    /// By column.
    pub(super) codes: Vec<Vec<u32>>,
}

impl<'a> PropertyBlock<'a> {
    /// No rows yet, of a run with so many columns.
    pub(super) fn new(segment: &'a Segment, run: &'a Run, columns: usize) -> PropertyBlock<'a> {
        PropertyBlock { segment, run, rows: 0..0, codes: vec![Vec::new(); columns] }
    }

    /// As [`Block::reach`]; blocks of these columns are counted from the first row of the run.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(super) fn reach(&mut self, row: u32) -> Result<bool, Error> {
        if self.rows.contains(&row) {
            return Ok(false);
        }
        self.rows = 0..0;
        let start = row - (row - self.run.rows.start) % BLOCK_ROWS;
        let rows = start..self.run.rows.end.min(start.saturating_add(BLOCK_ROWS));
        for (column, codes) in self.codes.iter_mut().enumerate() {
            codes.clear();
            let read = self.segment.property_codes(self.run, column, rows.clone(), codes);
            read.map_err(|error| Error::from(error).in_segment(self.segment))?;
        }
        self.rows = rows;
        Ok(true)
    }
}
