//! What a segment will be made of, from one reading of its input.

use std::hash::RandomState;

use format::sealed::Field;
use format::{Kind, Record, Sequence, SiteId, UnixMicros};
use hashbrown::{Equivalent, HashMap};

use super::compare::Sum;
use super::dictionary::{Dictionary, Sessions};
use super::{Input, Rows};
use crate::error::Error;
use crate::fields;
use crate::shape;

const MINUTE_MICROS: i64 = 60_000_000;

/// What is known when every record was read once.
#[derive(Debug)]
pub(super) struct Survey {
    /// In the order of the segment.
    pub(super) runs: Vec<RunRows>,
    /// All rows in the order of the segment.
    pub(super) order: Vec<Place>,
    /// By number of the field; without the shapes.
    pub(super) dictionaries: [Dictionary; Field::ALL.len()],
    pub(super) sessions: Sessions,
    /// First sequence and minute of receipt, for each minute.
    pub(super) received: Vec<(Sequence, UnixMicros)>,
    /// Number and hash of the rows.
    pub(super) sum: Sum,
    /// One past the last sequence.
    sequence_end: Sequence,
}

/// A row and what it is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    run: u32,
    time: i64,
    /// Its number in the input, which grows with the sequence.
    pub(super) row: u32,
}
const _: () = assert!(size_of::<Place>() == 16);

/// The rows of one (site, kind, name).
#[derive(Debug)]
pub(super) struct RunRows {
    pub(super) run: RunName,
    /// How many.
    pub(super) rows: u32,
    /// Whether any of them has properties.
    pub(super) has_properties: bool,
    /// How many of them have a key at the top level exactly once.
    pub(super) keys: HashMap<String, u32, RandomState>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RunName {
    pub(super) site: SiteId,
    pub(super) kind: Kind,
    pub(super) name: Box<str>,
}

/// [`RunName`], borrowed. Hashes the same.
#[derive(Hash)]
struct RunNameRef<'a> {
    site: SiteId,
    kind: Kind,
    name: &'a str,
}

impl Equivalent<RunName> for RunNameRef<'_> {
    fn equivalent(&self, run: &RunName) -> bool {
        self.site == run.site && self.kind == run.kind && *self.name == *run.name
    }
}

impl Survey {
    /// The lowest sequence, and one past the highest.
    pub(super) fn sequences(&self) -> (Sequence, Sequence) {
        (self.received.first().map_or(self.sequence_end, |(first, _)| *first), self.sequence_end)
    }
}

/// Reads all rows once.
///
/// # Errors
///
/// As [`Rows::for_each`].
pub(super) fn survey(rows: &Rows<'_, impl Input>) -> Result<Survey, Error> {
    let mut survey = Survey {
        runs: Vec::new(),
        order: Vec::with_capacity(rows.input.rows() as usize),
        dictionaries: std::array::from_fn(|_| Dictionary::default()),
        sessions: Sessions::default(),
        received: Vec::new(),
        sum: Sum::default(),
        sequence_end: Sequence::FIRST,
    };
    let mut numbers: HashMap<RunName, u32, RandomState> = HashMap::default();
    rows.for_each(0..rows.input.rows(), |row, sequence, record| {
        let run = number_of(record, &mut numbers, &mut survey.runs);
        survey.order.push(Place { run, time: record.time.micros(), row });
        survey.note(run, sequence, record);
        Ok(())
    })?;
    survey.sort();
    survey.dictionaries.iter_mut().for_each(Dictionary::number);
    survey.sessions.number();
    Ok(survey)
}

/// The number of a record's run, by order of appearance.
fn number_of(record: &Record<'_>, numbers: &mut HashMap<RunName, u32, RandomState>, runs: &mut Vec<RunRows>) -> u32 {
    let &Record { site, kind, name, .. } = record;
    if let Some(number) = numbers.get(&RunNameRef { site, kind, name }) {
        return *number;
    }
    let run = RunName { site, kind, name: name.into() };
    let number = u32::try_from(runs.len()).expect("there are no more runs than rows");
    numbers.insert(run.clone(), number);
    runs.push(RunRows { run, rows: 0, has_properties: false, keys: HashMap::default() });
    number
}

impl Survey {
    fn note(&mut self, run: u32, sequence: Sequence, record: &Record<'_>) {
        let run = &mut self.runs[run as usize];
        run.rows += 1;
        run.has_properties |= !record.properties.is_empty();
        shape::for_each_single_key(record.properties, |key| *run.keys.entry_ref(key).or_insert(0) += 1);
        fields::for_each(record, |field, entry| self.dictionaries[field as usize].add(entry));
        if let Some(session) = record.session {
            self.sessions.add(session, record.time.micros());
        }
        let minute = record.received.micros().div_euclid(MINUTE_MICROS) * MINUTE_MICROS;
        if self.received.last().is_none_or(|(_, last)| last.micros() != minute) {
            self.received.push((sequence, UnixMicros::new(minute).expect("times begin with a full minute")));
        }
        self.sum.add(sequence, record);
        self.sequence_end = sequence.after(1);
    }

    /// Brings runs and rows into the order of the segment.
    fn sort(&mut self) {
        let mut by_name: Vec<u32> = (0..).take(self.runs.len()).collect();
        by_name.sort_unstable_by(|one, other| self.runs[*one as usize].run.cmp(&self.runs[*other as usize].run));
        let mut rank = vec![0; by_name.len()];
        for (at, number) in (0..).zip(&by_name) {
            rank[*number as usize] = at;
        }
        for place in &mut self.order {
            place.run = rank[place.run as usize];
        }
        self.order.sort_unstable();
        self.runs.sort_unstable_by(|one, other| one.run.cmp(&other.run));
    }
}
