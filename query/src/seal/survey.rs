//! What a segment will be made of, from one reading of its input: every row as numbers.

use format::sealed::Field;
use format::{Kind, Record, Sequence, SiteId, UnixMicros};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::compare::{Part, Sum};
use super::properties::Properties;
use super::sessions::Sessions;
use super::texts::Texts;
use super::{Input, Rows};
use crate::error::Error;
use crate::fields;

const MINUTE_MICROS: i64 = 60_000_000;

/// The number of a row's session if it is one of its own.
pub(super) const NO_NUMBER: u32 = u32::MAX;

/// What is known when every record was read.
#[derive(Debug)]
pub(super) struct Survey {
    /// In the order of the segment.
    pub(super) runs: Vec<RunRows>,
    run_numbers: RunNumbers,
    /// By row.
    pub(super) times: Vec<i64>,
    /// Of all fields but the shape, by number of the field.
    pub(super) texts: Texts,
    pub(super) fields: FieldRows,
    pub(super) properties: Properties,
    pub(super) sessions: Sessions,
    /// By row: the number of its session, or [`NO_NUMBER`].
    pub(super) row_sessions: Vec<u32>,
    pub(super) event_ids: EventIds,
    /// First sequence and minute of receipt, for each minute.
    pub(super) received: Vec<(Sequence, UnixMicros)>,
    /// Number and hash of the rows.
    pub(super) sum: Sum,
    sequence_end: Sequence,
}

/// The rows of one (site, kind, name).
#[derive(Debug)]
pub(super) struct RunRows {
    pub(super) run: RunName,
    /// By order of appearance.
    pub(super) number: u32,
    /// By time, then sequence.
    pub(super) rows: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RunName {
    pub(super) site: SiteId,
    pub(super) kind: Kind,
    pub(super) name: Box<str>,
}

/// The fields of rows: by field, one more than the number of the text; 0 where there is none, also behind the end.
#[derive(Debug, Default)]
pub(super) struct FieldRows([Vec<u32>; Field::ALL.len()]);

impl FieldRows {
    fn set(&mut self, field: Field, row: u32, number: u32) {
        let rows = &mut self.0[field as usize];
        rows.resize(row as usize, 0);
        rows.push(number.checked_add(1).expect("a segment has fewer than 2^32 - 1 texts"));
    }

    /// Fields that any row has, with the numbers of their rows.
    pub(super) fn used(&self) -> impl Iterator<Item = (Field, &[u32])> {
        Field::ALL.into_iter().zip(&self.0).filter(|(_, rows)| !rows.is_empty()).map(|(field, rows)| (field, rows.as_slice()))
    }
}

/// The event ids of rows, one behind the other, with a byte behind each, so that an empty one is not none.
#[derive(Debug, Default)]
pub(super) struct EventIds {
    text: String,
    /// By row; none behind the last that has one.
    ends: Vec<usize>,
}

impl EventIds {
    fn set(&mut self, row: u32, id: &str) {
        self.ends.resize(row as usize, self.text.len());
        self.text.push_str(id);
        self.text.push('\n');
        self.ends.push(self.text.len());
    }

    /// The id of a row.
    pub(super) fn of(&self, row: u32) -> Option<&str> {
        let row = row as usize;
        let end = *self.ends.get(row)?;
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        (start < end).then(|| &self.text[start..end - 1])
    }
}

impl Survey {
    /// The lowest sequence, and one past the highest.
    pub(super) fn sequences(&self) -> (Sequence, Sequence) {
        (self.received.first().map_or(self.sequence_end, |(first, _)| *first), self.sequence_end)
    }
}

/// Reads all rows.
///
/// # Errors
///
/// As [`Input::record`]; [`Error::Stopped`].
pub(super) fn survey(rows: &Rows<'_, impl Input>) -> Result<Survey, Error> {
    let mut survey = Survey {
        runs: Vec::new(),
        run_numbers: RunNumbers::default(),
        times: Vec::new(),
        texts: Texts::default(),
        fields: FieldRows::default(),
        properties: Properties::default(),
        sessions: Sessions::default(),
        row_sessions: Vec::new(),
        event_ids: EventIds::default(),
        received: Vec::new(),
        sum: Sum::default(),
        sequence_end: Sequence::FIRST,
    };
    rows.for_each(|row, sequence, record| survey.note(row, sequence, record))?;
    for run in &mut survey.runs {
        // Stable: rows of one time stay in the order of their sequences.
        run.rows.sort_by_key(|row| survey.times[*row as usize]);
    }
    survey.runs.sort_unstable_by(|one, other| one.run.cmp(&other.run));
    Ok(survey)
}

/// Runs by their names.
#[derive(Debug, Default)]
struct RunNumbers {
    table: HashTable<(u64, u32)>,
}

impl RunNumbers {
    /// The number of a record's run, whose hash is `hash`, by order of appearance.
    fn of(&mut self, record: &Record<'_>, hash: u64, runs: &mut Vec<RunRows>) -> u32 {
        let &Record { site, kind, name, .. } = record;
        let is_same = |(_, number): &(u64, u32)| {
            let run = &runs[*number as usize].run;
            run.site == site && run.kind == kind && *run.name == *name
        };
        match self.table.entry(hash, is_same, |(hash, _)| *hash) {
            Entry::Occupied(place) => place.get().1,
            Entry::Vacant(place) => {
                let number = u32::try_from(runs.len()).expect("there are no more runs than rows");
                place.insert((hash, number));
                runs.push(RunRows { run: RunName { site, kind, name: name.into() }, number, rows: Vec::new() });
                number
            }
        }
    }
}

impl Survey {
    fn note(&mut self, row: u32, sequence: Sequence, record: &Record<'_>) {
        let Survey { runs, run_numbers, times, texts, fields, properties, sessions, row_sessions, event_ids, received, sum, sequence_end } =
            self;
        let hashes = &sum.hashes;
        let time = record.time.micros();
        let of_run = hashes.run(record.site, record.kind, record.name);
        let run = run_numbers.of(record, of_run, runs);
        let mut hash = hashes.row(of_run, time, sequence);
        runs[run as usize].rows.push(row);
        times.push(time);
        fields::for_each(record, |field, entry| {
            let of_entry = hashes.text(entry);
            hash.add(hashes.part(Part::Field(field), of_entry));
            fields.set(field, row, texts.number(field as u32, of_entry, entry));
        });
        let session = record.session.map(|session| {
            let of_session = hashes.text(&session.bytes());
            hash.add(hashes.part(Part::Session, of_session));
            sessions.number(session, of_session, time)
        });
        row_sessions.push(session.unwrap_or(NO_NUMBER));
        if let Some(id) = record.event_id {
            hash.add(hashes.part(Part::EventId, hashes.text(id.as_bytes())));
            event_ids.set(row, id);
        }
        if !record.properties.is_empty() {
            hash.add(hashes.part(Part::Field(Field::Shape), hashes.text(record.properties.as_bytes())));
        }
        properties.push(run, record.properties, hashes);
        sum.add_hash(hash);
        let minute = record.received.micros().div_euclid(MINUTE_MICROS) * MINUTE_MICROS;
        if received.last().is_none_or(|(_, last)| last.micros() != minute) {
            received.push((sequence, UnixMicros::new(minute).expect("times begin with a full minute")));
        }
        *sequence_end = sequence.after(1);
    }
}
