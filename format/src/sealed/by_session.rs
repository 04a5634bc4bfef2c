//! Fields that seldom change within a session, as the browser and its country: kept once a session, and by row where a row differs.
//!
//! A list has the code of each session: that of its first row in the segment's order. The column of rows has 0 for a row with the code of
//! its session, and else its own code, one higher. Rows without a session have their own.

use std::ops::Range;

use crate::error::Error;

use super::blocks::Input;
use super::codes::{self, BLOCK_ROWS, CodeWriter, Column, Order};
use super::compress::Packer;
use super::output::Output;
use super::section::Section;
use super::{Field, NO_SESSION};

/// What stands for the code of its session.
const AS_SESSION: u32 = 0;

/// No row of the session came yet. No code is as high: a dictionary has fewer entries.
const UNKNOWN: u32 = u32::MAX;

/// Writes such a column, row by row. Memory: 1 byte a session for a field of up to 254 entries, 2 up to 65,534, else 4.
#[derive(Debug)]
pub(super) struct BySessionWriter {
    field: Field,
    of_sessions: Numbers,
    rows: CodeWriter,
}

/// Codes by session, as wide as the highest one needs; the highest number of a width stands for [`UNKNOWN`].
#[derive(Debug)]
enum Numbers {
    Narrow(Vec<u8>),
    Half(Vec<u16>),
    Wide(Vec<u32>),
}

impl Numbers {
    fn new(entries: u32) -> Numbers {
        match entries {
            0..=0xfe => Numbers::Narrow(Vec::new()),
            0xff..=0xfffe => Numbers::Half(Vec::new()),
            _ => Numbers::Wide(Vec::new()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Numbers::Narrow(codes) => codes.len(),
            Numbers::Half(codes) => codes.len(),
            Numbers::Wide(codes) => codes.len(),
        }
    }

    /// Makes room for `sessions`, all of them unknown.
    fn resize(&mut self, sessions: usize) {
        match self {
            Numbers::Narrow(codes) => codes.resize(sessions, u8::MAX),
            Numbers::Half(codes) => codes.resize(sessions, u16::MAX),
            Numbers::Wide(codes) => codes.resize(sessions, UNKNOWN),
        }
    }

    fn get(&self, session: usize) -> u32 {
        let wider = |code: u32, unknown: u32| if code == unknown { UNKNOWN } else { code };
        match self {
            Numbers::Narrow(codes) => wider(codes[session].into(), u8::MAX.into()),
            Numbers::Half(codes) => wider(codes[session].into(), u16::MAX.into()),
            Numbers::Wide(codes) => codes[session],
        }
    }

    /// Sets a code, which is one of the entries or 0.
    fn set(&mut self, session: usize, code: u32) {
        match self {
            Numbers::Narrow(codes) => codes[session] = code as u8,
            Numbers::Half(codes) => codes[session] = code as u16,
            Numbers::Wide(codes) => codes[session] = code,
        }
    }
}

impl BySessionWriter {
    /// A column without rows, of a field with so many entries.
    pub(super) fn new(field: Field, entries: u32) -> BySessionWriter {
        BySessionWriter { field, of_sessions: Numbers::new(entries), rows: CodeWriter::new(Section::codes(field), Order::Any) }
    }

    /// The next row; its session is below `sessions`, or [`NO_SESSION`].
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`].
    #[inline]
    pub(super) fn push(&mut self, code: u32, session: u32, sessions: u32, output: &mut Output, packer: &mut Packer) -> Result<(), Error> {
        if session == NO_SESSION {
            return self.rows.push(code + 1, output, packer);
        }
        if self.of_sessions.len() == 0 {
            self.of_sessions.resize(sessions as usize);
        }
        let mut of_session = self.of_sessions.get(session as usize);
        if of_session == UNKNOWN {
            self.of_sessions.set(session as usize, code);
            of_session = code;
        }
        let stored = if of_session == code { AS_SESSION } else { code + 1 };
        self.rows.push(stored, output, packer)
    }

    /// Writes what is left, and the codes of the sessions.
    ///
    /// # Errors
    ///
    /// As [`BySessionWriter::push`].
    pub(super) fn finish(&mut self, output: &mut Output, packer: &mut Packer) -> Result<(), Error> {
        self.rows.flush(output, packer)?;
        let mut list = CodeWriter::new(Section::codes_of_sessions(self.field), Order::Any);
        for session in 0..self.of_sessions.len() {
            let code = self.of_sessions.get(session);
            // A session without rows is asked for by none.
            list.push(if code == UNKNOWN { 0 } else { code }, output, packer)?;
        }
        list.flush(output, packer)
    }
}

/// The column of rows, of a field with so many entries.
pub(super) fn own_codes(field: Field, rows: u32, entries: u32) -> Column {
    Column { section: Section::codes(field), first_block: 0, stride: 1, rows, max: entries.saturating_add(1) }
}

/// The list of the codes of sessions.
pub(super) fn codes_of_sessions(field: Field, sessions: u32, entries: u32) -> Column {
    Column { section: Section::codes_of_sessions(field), first_block: 0, stride: 1, rows: sessions, max: entries }
}

/// Appends the codes of `rows`, which have these `sessions`, to `out`. `rows_of` and `sessions_of` say how many rows, sessions and
/// entries there are in all.
///
/// # Errors
///
/// [`Error::Corrupt`], [`Error::Io`]; nothing is appended then.
pub(super) fn read(
    input: &Input,
    field: Field,
    (all_rows, all_sessions, entries): (u32, u32, u32),
    rows: Range<u32>,
    sessions: &[u32],
    out: &mut Vec<u32>,
) -> Result<(), Error> {
    let at = out.len();
    codes::read(input, own_codes(field, all_rows, entries), rows, out)?;
    let list = codes_of_sessions(field, all_sessions, entries);
    let of_sessions = fill(&mut out[at..], sessions, |block| {
        let first = block * BLOCK_ROWS as u32;
        let mut codes = Vec::with_capacity(BLOCK_ROWS);
        codes::read(input, list, first..all_sessions.min(first.saturating_add(BLOCK_ROWS as u32)), &mut codes)?;
        Ok(codes)
    });
    if let Err(error) = of_sessions {
        out.truncate(at);
        return Err(error);
    }
    if out[at..].contains(&UNKNOWN) {
        out.truncate(at);
        return Err(input.undecodable(Section::codes(field), 0));
    }
    Ok(())
}

/// Puts codes in place of what stands in the column. `read` gives a block of the list, and is asked once for each that is needed:
/// rows of a run that are neighbours have sessions that are. What has no code becomes [`UNKNOWN`].
fn fill(codes: &mut [u32], sessions: &[u32], mut read: impl FnMut(u32) -> Result<Vec<u32>, Error>) -> Result<(), Error> {
    let mut blocks: Vec<Option<Vec<u32>>> = Vec::new();
    for (code, session) in codes.iter_mut().zip(sessions) {
        if *code != AS_SESSION {
            *code -= 1;
            continue;
        }
        if *session == NO_SESSION {
            *code = UNKNOWN;
            continue;
        }
        let (block, place) = (*session as usize / BLOCK_ROWS, *session as usize % BLOCK_ROWS);
        if blocks.len() <= block {
            blocks.resize(block + 1, None);
        }
        let of_block = match &mut blocks[block] {
            Some(of_block) => of_block,
            none => none.insert(read(block as u32)?),
        };
        *code = of_block.get(place).copied().unwrap_or(UNKNOWN);
    }
    Ok(())
}
