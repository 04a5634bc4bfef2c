//! The sessions of all inputs as one dictionary.
//!
//! Sessions are matched by merging the inputs' orders of ids, without a map. A session's place among all ids is its number until the
//! first times are known; then those with rows get codes in the order of these times, as the writer wants them.

use format::sealed::{NO_SESSION, SegmentWriter};
use format::{Segment, SessionId};

use super::kway::{KWay, Sorted, feed};
use super::{Inputs, of};
use crate::error::Error;
use crate::rows::nonsense;

/// How many places of the order of ids are decoded at once.
const PLACES: u32 = 1024;

/// The time of a session without rows: none is as late.
const NO_TIME: i64 = i64::MAX;

/// Sessions by number.
///
/// Memory: 4 bytes for each session of each input, and until they are written 24 bytes for each that is another one.
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
    /// Numbers all sessions of the inputs.
    ///
    /// # Errors
    ///
    /// If ids cannot be read; [`Error::Stopped`].
    pub(super) fn number(inputs: &Inputs<'_>) -> Result<Sessions, Error> {
        let mut codes: Vec<Vec<u32>> = inputs.segments.iter().map(|segment| vec![NO_SESSION; segment.sessions() as usize]).collect();
        let mut homes = Vec::new();
        let mut ids = KWay::new(inputs.segments.iter().map(|segment| Ids { segment, place: 0, codes: Vec::new() }).collect())?;
        let mut same = Vec::new();
        while ids.next(&mut same)?.is_some() {
            if homes.len().is_multiple_of(PLACES as usize) {
                inputs.go_on()?;
            }
            for (input, code) in &same {
                codes[*input][*code as usize] = homes.len() as u32;
            }
            homes.extend(same.first().map(|(input, code)| (*input as u32, *code)));
        }
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

/// The ids of an input's sessions, in order.
struct Ids<'a> {
    segment: &'a Segment,
    place: u32,
    /// Of the places from the last multiple of [`PLACES`] on.
    codes: Vec<u32>,
}

impl Ids<'_> {
    fn read(&mut self) -> Result<Option<(SessionId, u32)>, format::Error> {
        if self.place == self.segment.sessions() {
            return Ok(None);
        }
        if self.place.is_multiple_of(PLACES) {
            self.codes.clear();
            self.segment.sessions_by_id(self.place..self.segment.sessions().min(self.place.saturating_add(PLACES)), &mut self.codes)?;
        }
        let code = self.codes[(self.place % PLACES) as usize];
        self.place += 1;
        Ok(Some((self.segment.session_id(code)?, code)))
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
