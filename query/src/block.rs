//! Decoded rows of a segment: a block of each column that is wanted, whatever runs it has rows of, so that it is decoded once where
//! runs are short.

use std::ops::Range;

use format::sealed::{Field, Run};
use format::{Error, Segment, Sequence};

use crate::rows::{BLOCK_ROWS, EventIds};

/// The columns that are decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) has_times: bool,
    pub(crate) has_sessions: bool,
    pub(crate) has_sequences: bool,
    pub(crate) has_event_ids: bool,
    pub(crate) fields: Vec<Field>,
}

impl Wanted {
    /// All there are.
    pub(crate) fn all() -> Wanted {
        Wanted { has_times: true, has_sessions: true, has_sequences: true, has_event_ids: true, fields: Field::ALL.to_vec() }
    }
}

/// Decoded rows, between two places where blocks of columns begin.
pub(crate) struct Block<'a> {
    segment: &'a Segment,
    wanted: Wanted,
    pub(crate) rows: Range<u32>,
    pub(crate) times: Vec<i64>,
    pub(crate) sequences: Vec<Sequence>,
    pub(crate) sessions: Vec<u32>,
    pub(crate) codes: [Vec<u32>; Field::ALL.len()],
    pub(crate) event_ids: EventIds,
}

impl<'a> Block<'a> {
    /// No rows yet. A column of a field without entries is never there.
    pub(crate) fn new(segment: &'a Segment, mut wanted: Wanted) -> Block<'a> {
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
    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Decodes the block that `row` is in, unless that was the last one; whether it was another one.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(crate) fn reach(&mut self, row: u32) -> Result<bool, Error> {
        if self.rows.contains(&row) {
            return Ok(false);
        }
        let start = row - row % BLOCK_ROWS;
        let rows = start..self.segment.rows().min(start.saturating_add(BLOCK_ROWS));
        self.decode(rows)?;
        Ok(true)
    }

    fn decode(&mut self, rows: Range<u32>) -> Result<(), Error> {
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
        if self.wanted.has_sessions || self.wanted.fields.iter().any(|field| field.is_of_session()) {
            self.sessions.clear();
            segment.session_codes(rows.clone(), &mut self.sessions)?;
        }
        for field in &self.wanted.fields {
            let codes = &mut self.codes[*field as usize];
            codes.clear();
            segment.codes_in(*field, rows.clone(), &self.sessions, codes)?;
        }
        if self.wanted.has_event_ids {
            self.event_ids.decode(segment, rows.clone())?;
        }
        self.rows = rows;
        Ok(())
    }

    /// The places of `rows`, which lie in the block, in its columns.
    pub(crate) fn places(&self, rows: Range<u32>) -> Range<usize> {
        (rows.start - self.rows.start) as usize..(rows.end - self.rows.start) as usize
    }
}

/// Decoded codes of a run's property columns.
#[derive(Default)]
pub(crate) struct PropertyBlock {
    pub(crate) rows: Range<u32>,
    /// By column.
    pub(crate) codes: Vec<Vec<u32>>,
}

impl PropertyBlock {
    /// No rows yet, of a run with so many columns.
    pub(crate) fn new(columns: usize) -> PropertyBlock {
        PropertyBlock { rows: 0..0, codes: vec![Vec::new(); columns] }
    }

    /// As [`Block::reach`], always of the same `run`; blocks of these columns are counted from its first row.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(crate) fn reach(&mut self, segment: &Segment, run: &Run, row: u32) -> Result<(), Error> {
        if self.rows.contains(&row) {
            return Ok(());
        }
        self.rows = 0..0;
        let start = row - (row - run.rows.start) % BLOCK_ROWS;
        let rows = start..run.rows.end.min(start.saturating_add(BLOCK_ROWS));
        for (column, codes) in self.codes.iter_mut().enumerate() {
            codes.clear();
            segment.property_codes(run, column, rows.clone(), codes)?;
        }
        self.rows = rows;
        Ok(())
    }

    /// The code of a row in a column. The row is in the block.
    pub(crate) fn code(&self, row: u32, column: usize) -> u32 {
        self.codes[column][(row - self.rows.start) as usize]
    }
}
