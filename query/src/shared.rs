//! The sessions that several segments have, found once for all questions.
//!
//! A session is a code in a segment, so to count distinct sessions over several segments, ids would have to be united, those of all rows.
//! Segments that lie apart in time have few sessions in common: those that went on while one segment ended and the next one began, and
//! long ones. With T the set of all sessions that two of the segments have or more, and S1, S2, … those of some rows of each, a session
//! outside of T is in one of these sets alone. So
//!
//! > |S1 ∪ S2 ∪ …| = |S1| + |S2| + … - repeated, with repeated = |S1 ∩ T| + |S2 ∩ T| + … - |(S1 ∩ T) ∪ (S2 ∩ T) ∪ …|.
//!
//! The sets of single segments are counted without a look at rows, and of T there is a list of rows in each segment: no id is read, and
//! no row but those of T.
//!
//! Invariants:
//!
//! * T has every session that two of the segments have which were looked through, and may have others. So what was found stays true when
//!   some of these segments are not asked, or gone; and it says nothing of a segment that was not looked through.
//! * All that is kept is bounded by [`MOST_ROWS`]. Where more is shared, as in segments over each other, ids are united as before.

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;

use std::ops::Range;
use std::sync::{Arc, Weak};

use format::sealed::NO_SESSION;
use format::{Segment, SessionId};
use hashbrown::HashMap;

use crate::bits::Bits;
use crate::error::Error;
use crate::kway::{KWay, Next, Sorted};
use crate::rows::{blocks, check_mappings, nonsense};

/// Rows of shared sessions that are kept in all, and so sessions: each takes 8 bytes, and each session in a segment about 10.
///
/// Where segments touch, a few hundred sessions go on: a thousand segments may.
const MOST_ROWS: usize = 1 << 20;

/// Places in the order of ids that are read at once.
const PLACES: u32 = 4096;

/// What is known of the sessions that several segments have.
#[derive(Debug, Default)]
pub struct SharedSessions {
    segments: Vec<Shared>,
    /// Whether more is shared than is kept: then nothing is said of any segment.
    is_too_much: bool,
}

/// The sessions of one segment that others have as well.
#[derive(Debug)]
pub(crate) struct Shared {
    /// It is not kept open for this.
    segment: Weak<Segment>,
    /// By code: the number of the session, the same in all segments.
    numbers: HashMap<u32, u32>,
    /// Their rows, growing, and whose they are.
    rows: Vec<(u32, u32)>,
}

impl SharedSessions {
    /// Finds the sessions that several of `segments` have.
    ///
    /// Costs a look at each session id and each row's session code of all of them, and memory as [`SharedSessions`] keeps, with a block
    /// of rows and some ids of each segment while it reads.
    ///
    /// # Errors
    ///
    /// [`Error::Segment`]; [`Error::Stopped`] soon after `is_stopped` has become true.
    pub fn find(segments: &[Arc<Segment>], is_stopped: &dyn Fn() -> bool) -> Result<SharedSessions, Error> {
        SharedSessions::find_within(segments, is_stopped, MOST_ROWS)
    }

    fn find_within(segments: &[Arc<Segment>], is_stopped: &dyn Fn() -> bool, most_rows: usize) -> Result<SharedSessions, Error> {
        let go_on = || if is_stopped() { Err(Error::Stopped) } else { Ok(()) };
        let of_segment = |segment| Shared { segment: Arc::downgrade(segment), numbers: HashMap::new(), rows: Vec::new() };
        let mut shared: Vec<Shared> = segments.iter().map(of_segment).collect();
        let mut left = find_numbers(segments, &mut shared, most_rows, &go_on)?;
        for (segment, shared) in segments.iter().zip(&mut shared) {
            left = left.and_then(|left| shared.find_rows(segment, left, &go_on).transpose()).transpose()?;
        }
        check_mappings(segments)?;
        let is_too_much = left.is_none();
        if is_too_much {
            shared.iter_mut().for_each(Shared::forget);
        }
        Ok(SharedSessions { segments: shared, is_too_much })
    }

    /// Whether it was found in these segments and no others.
    pub fn is_of(&self, segments: &[Arc<Segment>]) -> bool {
        self.segments.len() == segments.len() && segments.iter().all(|segment| self.segments.iter().any(|shared| shared.is_of(segment)))
    }

    /// What is known of a segment; none if it was not looked through.
    pub(crate) fn of(&self, segment: &Segment) -> Option<&Shared> {
        self.segments.iter().find(|shared| !self.is_too_much && shared.is_of(segment))
    }
}

/// Gives a number to each session that two of `segments` have or more. How many rows may be kept of them; none if there are too many.
fn find_numbers(
    segments: &[Arc<Segment>],
    shared: &mut [Shared],
    most_rows: usize,
    go_on: &dyn Fn() -> Result<(), Error>,
) -> Result<Option<usize>, Error> {
    if segments.len() < 2 {
        return Ok(Some(most_rows));
    }
    let mut ids = KWay::new(segments.iter().map(|segment| Ids::new(segment)).collect())?;
    let (mut same, mut read, mut next, mut left) = (Vec::new(), 0u32, 0, most_rows);
    while ids.next(&mut same)?.is_some() {
        read = read.wrapping_add(1);
        if read.is_multiple_of(PLACES) {
            go_on()?;
        }
        if same.len() > 1 {
            // Each has a row.
            let Some(rest) = left.checked_sub(same.len()) else { return Ok(None) };
            left = rest;
            for (segment, code) in &same {
                shared[*segment].numbers.insert(*code, next);
            }
            next += 1;
        }
    }
    Ok(Some(most_rows))
}

impl Shared {
    fn is_of(&self, segment: &Segment) -> bool {
        // The memory of a segment that is gone is not used again while something points to it.
        std::ptr::eq(self.segment.as_ptr(), segment)
    }

    fn forget(&mut self) {
        (self.numbers, self.rows) = (HashMap::new(), Vec::new());
    }

    /// Finds the rows of its sessions. How many rows are left of `most`; none if there are more.
    fn find_rows(&mut self, segment: &Segment, most: usize, go_on: &dyn Fn() -> Result<(), Error>) -> Result<Option<usize>, Error> {
        if self.numbers.is_empty() {
            return Ok(Some(most));
        }
        let mut is_shared = Bits::below(segment.sessions());
        self.numbers.keys().for_each(|code| is_shared.insert(*code));
        let mut codes = Vec::new();
        for block in blocks(0..segment.rows()) {
            go_on()?;
            codes.clear();
            segment.session_codes(block.clone(), &mut codes).map_err(|error| Error::from(error).in_segment(segment))?;
            let of_shared = block.zip(&codes).filter(|(_, code)| **code != NO_SESSION && is_shared.contains(**code));
            self.rows.extend(of_shared.map(|(row, code)| (row, self.numbers[code])));
            if self.rows.len() > most {
                return Ok(None);
            }
        }
        self.numbers.shrink_to_fit();
        self.rows.shrink_to_fit();
        Ok(Some(most - self.rows.len()))
    }

    /// The number of the session with this code, if others have it.
    pub(crate) fn number(&self, code: u32) -> Option<u32> {
        self.numbers.get(&code).copied()
    }

    /// Those of `rows` that are of shared sessions, and whose they are.
    pub(crate) fn rows(&self, rows: Range<u32>) -> &[(u32, u32)] {
        let below = |end: u32| self.rows.partition_point(|(row, _)| *row < end);
        &self.rows[below(rows.start)..below(rows.end).max(below(rows.start))]
    }
}

/// The ids of a segment's sessions, in order, with their codes.
struct Ids<'a> {
    segment: &'a Segment,
    /// The next place that is not read.
    place: u32,
    codes: Vec<u32>,
    ids: Vec<SessionId>,
    /// Of what was read, what is given out next.
    next: usize,
}

impl<'a> Ids<'a> {
    fn new(segment: &'a Segment) -> Ids<'a> {
        Ids { segment, place: 0, codes: Vec::new(), ids: Vec::new(), next: 0 }
    }

    fn read(&mut self) -> Result<(), format::Error> {
        let end = self.segment.sessions().min(self.place.saturating_add(PLACES));
        self.codes.clear();
        self.ids.clear();
        self.segment.sessions_by_id(self.place..end, &mut self.codes)?;
        self.segment.session_ids(&self.codes, &mut self.ids)?;
        (self.place, self.next) = (end, 0);
        Ok(())
    }
}

impl Sorted for Ids<'_> {
    type Key = u128;
    type Item = u32;

    fn next(&mut self) -> Next<Self> {
        if self.next == self.ids.len() {
            self.read().map_err(|error| Error::from(error).in_segment(self.segment))?;
        }
        let next = self.ids.get(self.next).zip(self.codes.get(self.next));
        self.next += usize::from(next.is_some());
        Ok(next.map(|(id, code)| (u128::from_be_bytes(id.bytes()), *code)))
    }

    fn out_of_order(&self) -> Error {
        Error::from(nonsense(self.segment, "order of sessions")).in_segment(self.segment)
    }
}
