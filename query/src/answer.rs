//! Answers, and what they lack.

use std::sync::Arc;

use format::{Segment, UnixMicros};

use crate::error::Error;

/// The answer to a question.
#[derive(Debug)]
pub struct Answer<T> {
    /// What was asked for, counted over everything that could be read.
    pub value: T,
    /// What could not be read, and is left out wholly. Empty if the answer is complete.
    pub missing: Vec<Missing>,
}

impl<T> Answer<T> {
    /// The same answer in another form.
    pub fn map<U>(self, form: impl FnOnce(T) -> U) -> Answer<U> {
        Answer { value: form(self.value), missing: self.missing }
    }
}

/// A segment whose rows an answer lacks.
#[derive(Debug)]
pub struct Missing {
    /// The segment.
    pub segment: Arc<Segment>,
    /// Times of its first and its last event, of any site; none if its directory cannot be read either.
    pub times: Option<(UnixMicros, UnixMicros)>,
    /// Why: [`Error::Segment`] or [`Error::BadShape`]; none if a page of the file could not be read through its mapping.
    pub error: Option<Error>,
}

/// Asks `question` of `segments`, leaving out those that cannot be read.
///
/// A segment either counts wholly or not at all: when one fails in the midst, all is asked anew without it. That is dear, and rare;
/// the alternative is to take back what was counted already.
///
/// # Errors
///
/// Those of the question that are of no single segment.
pub(crate) fn over<'s, T>(segments: &'s [Arc<Segment>], question: impl Fn(&[&'s Segment]) -> Result<T, Error>) -> Result<Answer<T>, Error> {
    let mut missing: Vec<Missing> = Vec::new();
    loop {
        let is_read = |segment: &&Arc<Segment>| missing.iter().all(|missing| !Arc::ptr_eq(&missing.segment, segment));
        let read: Vec<&Arc<Segment>> = segments.iter().filter(is_read).collect();
        let asked: Vec<&Segment> = read.iter().map(|segment| &***segment).collect();
        let (segment, error) = match question(&asked) {
            // Looked at after reading: whatever came out of a mapping before was there.
            Ok(value) => match read.iter().find(|segment| segment.is_poisoned()) {
                None => return Ok(Answer { value, missing }),
                Some(segment) => (Arc::clone(segment), None),
            },
            Err(error) => match read.iter().find(|segment| error.is_of(segment)) {
                None => return Err(error),
                Some(segment) => (Arc::clone(segment), Some(error)),
            },
        };
        missing.push(Missing::new(segment, error));
    }
}

impl Missing {
    /// A segment that could not be read, with the times that its directory has.
    pub fn new(segment: Arc<Segment>, error: Option<Error>) -> Missing {
        Missing { times: times(&segment), segment, error }
    }
}

/// Between which instants the segment has rows, as its directory says.
fn times(segment: &Segment) -> Option<(UnixMicros, UnixMicros)> {
    let runs = segment.runs().ok()?;
    let first = runs.iter().map(|run| run.times.0).min()?;
    let last = runs.iter().map(|run| run.times.1).max()?;
    // A mapping that lost a page may say anything.
    (!segment.is_poisoned()).then_some((first, last))
}
