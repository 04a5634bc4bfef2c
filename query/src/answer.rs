//! Answers, and what they lack.

use std::sync::Arc;

use format::{Segment, UnixMicros};

use crate::active::ActiveIndex;
use crate::error::Error;
use crate::snapshot::LogView;

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

/// A file whose rows an answer lacks.
#[derive(Debug)]
pub struct Missing {
    /// The file.
    pub file: Unread,
    /// Times of its first and its last event, of any site; none if the directory of a segment cannot be read either.
    pub times: Option<(UnixMicros, UnixMicros)>,
    /// Why: [`Error::Segment`] or [`Error::BadShape`], [`Error::Log`] or [`Error::BadProperties`]; none if a page of a segment could not
    /// be read through its mapping.
    pub error: Option<Error>,
}

/// A file that cannot be read.
#[derive(Clone, Debug)]
pub enum Unread {
    /// A segment.
    Segment(Arc<Segment>),
    /// A log that is not sealed.
    Log(Arc<ActiveIndex>),
}

/// The files that a question is asked of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files<'s, 'f> {
    pub(crate) segments: &'f [&'s Segment],
    logs: &'f [&'s LogView],
}

impl<'s, 'f> Files<'s, 'f> {
    /// Newest first.
    pub(crate) fn logs(self) -> impl Iterator<Item = &'s LogView> + use<'s, 'f> {
        self.logs.iter().copied()
    }
}

/// Asks `question` of `logs` and `segments`, leaving out those that cannot be read.
///
/// A file either counts wholly or not at all: when one fails in the midst, all is asked anew without it. That is dear, and rare;
/// the alternative is to take back what was counted already. A log counts where none of its records is asked for.
///
/// # Errors
///
/// Those of the question that are of no single segment.
pub(crate) fn over<'s, T>(
    logs: &'s [LogView],
    segments: &'s [Arc<Segment>],
    question: impl Fn(Files<'s, '_>) -> Result<T, Error>,
) -> Result<Answer<T>, Error> {
    let mut missing: Vec<Missing> = Vec::new();
    loop {
        let is_read = |segment: &&Arc<Segment>| !missing.iter().any(|missing| missing.file.is_segment(segment));
        let read: Vec<&Arc<Segment>> = segments.iter().filter(is_read).collect();
        let asked: Vec<&Segment> = read.iter().map(|segment| &***segment).collect();
        let logs: Vec<&LogView> = logs.iter().filter(|log| !missing.iter().any(|missing| missing.file.is_log(log))).collect();
        let next = match question(Files { segments: &asked, logs: &logs }) {
            // Looked at after reading: whatever came out of a mapping before was there. Who reads a log looks at once.
            Ok(value) => match read.iter().find(|segment| segment.is_poisoned()) {
                None => return Ok(Answer { value, missing }),
                Some(segment) => Missing::new(Arc::clone(segment), None),
            },
            Err(error) => {
                let segment = read.iter().find(|segment| error.is_of(segment));
                let log = logs.iter().find(|log| error.is_of_log(log.index.log().id()));
                match (segment, log) {
                    (Some(segment), _) => Missing::new(Arc::clone(segment), Some(error)),
                    (None, Some(log)) => Missing::of_log(log, error),
                    (None, None) => return Err(error),
                }
            }
        };
        missing.push(next);
    }
}

impl Unread {
    fn is_segment(&self, asked: &Arc<Segment>) -> bool {
        matches!(self, Unread::Segment(segment) if Arc::ptr_eq(segment, asked))
    }

    fn is_log(&self, asked: &LogView) -> bool {
        matches!(self, Unread::Log(index) if Arc::ptr_eq(index, &asked.index))
    }
}

impl Missing {
    /// A segment that could not be read, with the times that its directory has.
    pub fn new(segment: Arc<Segment>, error: Option<Error>) -> Missing {
        Missing { times: times(&segment), file: Unread::Segment(segment), error }
    }

    /// A log of which a record could not be read, with the times of its rows, which are in memory.
    fn of_log(log: &LogView, error: Error) -> Missing {
        Missing { times: log.times(), file: Unread::Log(Arc::clone(&log.index)), error: Some(error) }
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
