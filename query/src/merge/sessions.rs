//! The sessions of all inputs as one dictionary.
//!
//! Sessions are matched by merging the inputs' orders of ids, without a map. A session's place among all ids is its number until the
//! first times are known; then those with rows get codes in the order of these times, as the writer wants them.

use format::sealed::{NO_SESSION, SegmentWriter};
use format::{Segment, SessionId};

use super::{Inputs, of};
use crate::block::{Block, Wanted};
use crate::error::Error;
use crate::kway::{KWay, Sorted, feed};
use crate::rows::nonsense;

/// How many places of the order of ids are decoded at once.
const PLACES: u32 = 1024;

/// The time of a session without rows: none is as late.
const NO_TIME: i64 = i64::MAX;

/// Marks, before there are numbers, a session of an input with rows that stay.
const HAS_ROWS: u32 = 0;

/// Sessions by number: those with rows that stay.
///
/// Memory: 4 bytes for each session of each input, and until they are written 24 bytes for each that the output has.
#[derive(Debug)]
pub(super) struct Sessions {
    /// By input and code: the number, then the code in the output; none for those without rows.
    codes: Vec<Vec<u32>>,
    /// An input that knows its id, and the code there.
    homes: Vec<(u32, u32)>,
    /// The time of its first row.
    first: Vec<i64>,
}

impl Sessions {
    /// Numbers the sessions of the inputs. Of an input that is cut, session codes are read once more for it: a part of a long history
    /// takes no memory for the sessions of the rest but their places in a table.
    ///
    /// # Errors
    ///
    /// If codes or ids cannot be read; [`Error::Stopped`].
    pub(super) fn number(inputs: &Inputs<'_>) -> Result<Sessions, Error> {
        let mut of_inputs = Vec::with_capacity(inputs.segments.len());
        for (segment, is_cut) in inputs.segments.iter().zip(&inputs.is_cut) {
            let numbers = if *is_cut { with_rows(inputs, segment)? } else { vec![HAS_ROWS; segment.sessions() as usize] };
            of_inputs.push(Ids { segment, numbers, place: 0, codes: Vec::new() });
        }
        let (mut ids, mut homes, mut same) = (KWay::new(of_inputs)?, Vec::new(), Vec::new());
        while ids.next(&mut same)?.is_some() {
            if homes.len().is_multiple_of(PLACES as usize) {
                inputs.go_on()?;
            }
            for (input, code) in &same {
                ids.sources()[*input].numbers[*code as usize] = homes.len() as u32;
            }
            homes.extend(same.first().map(|(input, code)| (*input as u32, *code)));
        }
        let codes = ids.sources().iter_mut().map(|ids| std::mem::take(&mut ids.numbers)).collect();
        Ok(Sessions { codes, first: vec![NO_TIME; homes.len()], homes })
    }

    /// Notes rows of an input: the session codes there, and times.
    pub(super) fn note(&mut self, input: usize, sessions: &[u32], times: &[i64]) {
        let numbers = &self.codes[input];
        for (session, time) in sessions.iter().zip(times) {
            if *session != NO_SESSION {
                let first = &mut self.first[numbers[*session as usize] as usize];
                *first = (*first).min(*time);
            }
        }
    }

    /// Writes the ids, when all rows were noted, and gives for each input the new code of each of its codes.
    ///
    /// # Errors
    ///
    /// As [`SegmentWriter::sessions`], or if an id cannot be read; [`Error::Stopped`].
    pub(super) fn write(self, inputs: &Inputs<'_>, writer: &mut SegmentWriter) -> Result<Vec<Vec<u32>>, Error> {
        let Sessions { mut codes, homes, first } = self;
        let mut order: Vec<u32> = (0..).take(first.len()).filter(|number| first[*number as usize] != NO_TIME).collect();
        order.sort_unstable_by_key(|number| (first[*number as usize], *number));
        drop(first);
        let mut rank = vec![NO_SESSION; homes.len()];
        for (code, number) in (0..).zip(&order) {
            rank[*number as usize] = code;
        }
        for code in codes.iter_mut().flatten().filter(|code| **code != NO_SESSION) {
            *code = rank[*code as usize];
        }
        drop(rank);
        let mut ordered = order.iter();
        let next = || {
            let Some(number) = ordered.next() else { return Ok(None) };
            let (input, code) = homes[*number as usize];
            let segment = &inputs.segments[input as usize];
            of(segment, segment.session_id(code)).map(Some)
        };
        feed(next, |ids| writer.sessions(ids))?;
        Ok(codes)
    }
}

/// By code: whether a session has rows that stay.
fn with_rows(inputs: &Inputs<'_>, segment: &Segment) -> Result<Vec<u32>, Error> {
    let mut marks = vec![NO_SESSION; segment.sessions() as usize];
    let mut block = Block::new(segment, Wanted { has_sessions: true, ..Wanted::default() });
    let mut number = 0;
    while let Some(run) = of(segment, segment.run(number))?.filter(|_| !marks.is_empty()) {
        number += 1;
        for rows in inputs.kept_rows(segment, &run)?.blocks() {
            inputs.go_on()?;
            of(segment, block.reach(rows.start))?;
            for code in &block.sessions[block.places(rows)] {
                if *code != NO_SESSION {
                    marks[*code as usize] = HAS_ROWS;
                }
            }
        }
    }
    Ok(marks)
}

/// The ids of an input's sessions with rows that stay, in order.
struct Ids<'a> {
    segment: &'a Segment,
    /// By code: a mark, then the number.
    numbers: Vec<u32>,
    place: u32,
    /// Of the places from the last multiple of [`PLACES`] on.
    codes: Vec<u32>,
}

impl Ids<'_> {
    fn read(&mut self) -> Result<Option<(SessionId, u32)>, format::Error> {
        while self.place < self.segment.sessions() {
            if self.place.is_multiple_of(PLACES) {
                self.codes.clear();
                self.segment.sessions_by_id(self.place..self.segment.sessions().min(self.place.saturating_add(PLACES)), &mut self.codes)?;
            }
            let code = self.codes[(self.place % PLACES) as usize];
            self.place += 1;
            if self.numbers[code as usize] != NO_SESSION {
                return Ok(Some((self.segment.session_id(code)?, code)));
            }
        }
        Ok(None)
    }
}

impl Sorted for Ids<'_> {
    type Key = SessionId;
    type Item = u32;

    fn next(&mut self) -> Result<Option<(SessionId, u32)>, Error> {
        let read = self.read();
        of(self.segment, read)
    }

    fn out_of_order(&self) -> Error {
        Error::from(nonsense(self.segment, "order of sessions")).in_segment(self.segment)
    }
}
