//! What is wrong with a file, and where.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::error::Error;
use crate::units::{ByteOffset, Sequence};

/// How many problems of one file are told; the others are counted. Who has read a hundred knows that the file is lost.
pub const MAX_PROBLEMS: usize = 100;

/// Where something is wrong, as far as that can be said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The first byte.
    pub from: Option<ByteOffset>,
    /// The byte behind the last one.
    pub end: Option<ByteOffset>,
    /// The sequences that may be lost: first, and one past the last.
    pub sequences: Option<(Sequence, Sequence)>,
    /// The number of a run of a segment.
    pub run: Option<u32>,
    /// The first row of a segment that is wrong.
    pub row: Option<u32>,
}

impl Place {
    /// The whole file, or nowhere in particular.
    pub fn file() -> Place {
        Place::default()
    }

    /// These bytes.
    pub fn bytes(from: u64, end: u64) -> Place {
        Place { from: Some(ByteOffset::new(from)), end: Some(ByteOffset::new(end)), ..Place::default() }
    }

    /// A run of a segment.
    pub fn run(run: u32) -> Place {
        Place { run: Some(run), ..Place::default() }
    }

    /// A row of a segment.
    pub fn row(row: u32) -> Place {
        Place { row: Some(row), ..Place::default() }
    }

    /// The same with a row.
    pub fn at_row(self, row: u32) -> Place {
        Place { row: Some(row), ..self }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Of what: a part of the file, or an index of a segment, by its name.
    pub part: String,
    /// Where.
    pub place: Place,
    /// What, as a sentence without a capital and a full stop.
    pub what: String,
}

/// The problems of one file: [`MAX_PROBLEMS`] of them, and the number of those that were met besides.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    problems: Vec<Problem>,
    further: u64,
    /// Where blocks begin that cannot be read: told once, not again by everybody who wanted to read them.
    unreadable: BTreeSet<u64>,
}

impl Findings {
    /// Something is wrong.
    pub fn add(&mut self, part: &str, place: Place, what: impl Display) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { part: part.to_owned(), place, what: what.to_string() });
        } else {
            self.further += 1;
        }
    }

    /// `part` cannot be read; said once for each place in the file.
    pub fn unreadable(&mut self, part: &str, place: Place, error: &Error) {
        match error {
            Error::Corrupt { offset, source, .. } if self.unreadable.insert(offset.value()) => {
                self.add(part, Place { from: Some(place.from.unwrap_or(*offset)), ..place }, source);
            }
            Error::Corrupt { .. } => {}
            error => self.add(part, place, with_cause(error)),
        }
    }

    /// What is wrong, in the order it was found.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many problems were found besides.
    pub fn further(&self) -> u64 {
        self.further
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }
}

fn with_cause(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::error::Corruption;

    #[test]
    fn a_hundred_problems_are_told_and_the_others_counted() {
        let mut findings = Findings::default();
        for row in 0..250 {
            findings.add("times", Place::row(row), "they fall");
        }
        assert_eq!((findings.problems().len(), findings.further()), (MAX_PROBLEMS, 150));
    }

    #[test]
    fn a_block_that_cannot_be_read_is_told_once() {
        let mut findings = Findings::default();
        let error = |offset| Error::Corrupt { path: "x".into(), offset: ByteOffset::new(offset), source: Corruption::Footer };
        for offset in [64, 64, 128] {
            findings.unreadable("links", Place::file(), &error(offset));
        }
        assert_eq!(findings.problems().len(), 2);
    }
}
