//! Is what was read back what was written?
//!
//! A checksum vouches for bytes from the moment it is made. What went wrong before, in memory or in this program, it vouches for as
//! well; so a segment is compared with its input before the input goes.
//!
//! Each row has a hash, which is made of those of its parts: of the input, of the texts as they stand in the record; of the segment,
//! of the entries that its codes lead to, each hashed once. Sums of these hashes are compared, since rows come in different orders.

use std::hash::BuildHasher;
use std::ops::Range;

use format::sealed::{Field, NO_SESSION, Run};
use format::{Kind, Record, Segment, Sequence, SiteId};
use hashbrown::DefaultHashBuilder;

use crate::error::Error;
use crate::fields::{self, OF_RECORDS};
use crate::rows::{Slots, blocks, nonsense};
use crate::shape::Shape;

/// What a row has besides site, kind, name, time and sequence. The shape stands for all of the properties.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Field(Field),
    Session,
    EventId,
}

// Places of keys: fields come first.
const SESSION: usize = Field::ALL.len();
const EVENT_ID: usize = SESSION + 1;
const TIME: usize = SESSION + 2;
const SEQUENCE: usize = SESSION + 3;
const WHOLE_ROW: usize = SESSION + 4;
const KEYS: usize = SESSION + 5;

/// Hashes with a random key. Texts of different parts count differently.
#[derive(Clone, Debug)]
pub(super) struct Hashes {
    builder: DefaultHashBuilder,
    /// Odd ones.
    keys: [u64; KEYS],
}

impl Default for Hashes {
    fn default() -> Hashes {
        let builder = DefaultHashBuilder::default();
        let keys = std::array::from_fn(|place| builder.hash_one(place) | 1);
        Hashes { builder, keys }
    }
}

/// The hash of a row, as far as its parts were added.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowHash(u64);

impl RowHash {
    /// Adds [`Hashes::part`]; in any order.
    pub(super) fn add(&mut self, part: u64) {
        self.0 = self.0.wrapping_add(part);
    }
}

impl Hashes {
    /// The hash of a text.
    #[inline]
    pub(super) fn text(&self, text: &[u8]) -> u64 {
        self.builder.hash_one(text)
    }

    /// What a text with this hash adds to that of a row.
    #[inline]
    pub(super) fn part(&self, part: Part, text: u64) -> u64 {
        let number = match part {
            Part::Field(field) => field as usize,
            Part::Session => SESSION,
            Part::EventId => EVENT_ID,
        };
        fold(text, self.keys[number])
    }

    /// The hash of what is the same for all rows of a run.
    #[inline]
    pub(super) fn run(&self, site: SiteId, kind: Kind, name: &str) -> u64 {
        self.builder.hash_one((site, kind, name))
    }

    /// A row of a run, without parts.
    #[inline]
    pub(super) fn row(&self, run: u64, time: i64, sequence: Sequence) -> RowHash {
        let instant = fold(time as u64 ^ run, self.keys[TIME]);
        RowHash(fold(sequence.value() ^ instant, self.keys[SEQUENCE]))
    }
}

/// All bits of `value`, mixed with an odd key.
#[inline]
fn fold(value: u64, key: u64) -> u64 {
    let product = u128::from(value ^ key.rotate_left(32)) * u128::from(key);
    product as u64 ^ (product >> 64) as u64
}

/// The number of rows, and the sum of their hashes: the same in whatever order they come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    pub(super) hashes: Hashes,
    rows: u64,
    total: u64,
}

impl Sum {
    /// Adds a row of a record: every field but the time of receipt.
    pub(crate) fn add(&mut self, sequence: Sequence, record: &Record<'_>) {
        let hashes = &self.hashes;
        let of_run = hashes.run(record.site, record.kind, record.name);
        let mut row = hashes.row(of_run, record.time.micros(), sequence);
        fields::for_each(record, |field, entry| row.add(hashes.part(Part::Field(field), hashes.text(entry))));
        if let Some(session) = record.session {
            row.add(hashes.part(Part::Session, hashes.text(&session.bytes())));
        }
        if let Some(id) = record.event_id {
            row.add(hashes.part(Part::EventId, hashes.text(id.as_bytes())));
        }
        if !record.properties.is_empty() {
            row.add(hashes.part(Part::Field(Field::Shape), hashes.text(record.properties.as_bytes())));
        }
        self.add_hash(row);
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Nothing yet, with the same key: to be compared.
    pub(crate) fn again(&self) -> Sum {
        Sum { hashes: self.hashes.clone(), ..Sum::default() }
    }

    /// Adds a row with all its parts.
    #[inline]
    pub(super) fn add_hash(&mut self, row: RowHash) {
        // Folded once more: else parts could change places between rows, and the sum would stay.
        self.total = self.total.wrapping_add(fold(row.0, self.hashes.keys[WHOLE_ROW]));
        self.rows += 1;
    }
}

/// Reads all rows of `segment` and compares them with what was counted of its input: every field but the time of receipt.
///
/// # Errors
///
/// [`Error::NotEqual`]; [`Error::Record`] if it cannot be read; [`Error::Stopped`].
pub(crate) fn compare(segment: &Segment, expected: &Sum, is_stopped: &dyn Fn() -> bool) -> Result<(), Error> {
    let mut found = expected.again();
    let parts = Parts::read(segment, &found.hashes)?;
    let mut block = Block::default();
    for run in segment.runs()? {
        let (rows, mut values) = (run.rows.clone(), Properties::of(segment, &run)?);
        for rows in blocks(rows) {
            if is_stopped() {
                return Err(Error::Stopped);
            }
            block.read(segment, &run, &mut values, rows, &parts, &found.hashes)?;
            block.hashes.iter().for_each(|hash| found.add_hash(*hash));
        }
    }
    if (found.rows, found.total) != (expected.rows, expected.total) {
        return Err(Error::NotEqual { segment: segment.header().id, expected: expected.rows, found: found.rows });
    }
    Ok(())
}

/// What entries and sessions add to the hashes of rows.
struct Parts {
    /// By field and code; of code 0 nothing. Empty: no row has the field.
    fields: Vec<(Field, Vec<u64>)>,
    /// By code.
    sessions: Vec<u64>,
}

impl Parts {
    fn read(segment: &Segment, hashes: &Hashes) -> Result<Parts, Error> {
        let mut fields = Vec::new();
        for field in OF_RECORDS.into_iter().filter(|field| segment.entries(*field) > 0) {
            let mut parts = vec![0];
            let mut entries = segment.read_entries(field);
            while let Some(entry) = entries.next()? {
                parts.push(hashes.part(Part::Field(field), hashes.text(entry)));
            }
            fields.push((field, parts));
        }
        let session = |code| Ok(hashes.part(Part::Session, hashes.text(&segment.session_id(code)?.bytes())));
        let sessions = (0..segment.sessions()).map(session).collect::<Result<_, format::Error>>()?;
        Ok(Parts { fields, sessions })
    }
}

/// The properties of a run: its columns, with values at hand, and its shapes, with the columns of their holes.
struct Properties {
    columns: Vec<(String, Slots<String>)>,
    shapes: Slots<(Shape, Vec<usize>)>,
}

impl Properties {
    fn of(segment: &Segment, run: &Run) -> Result<Properties, format::Error> {
        let columns = segment.property_keys(run)?.into_iter().map(|key| (key, Slots::default())).collect();
        Ok(Properties { columns, shapes: Slots::default() })
    }

    /// Appends the text of a row of this shape, whose codes in the columns are `codes`.
    fn assemble(
        &mut self,
        segment: &Segment,
        run: &Run,
        shape: u32,
        codes: impl Fn(usize) -> u32,
        out: &mut String,
    ) -> Result<(), format::Error> {
        let Properties { columns, shapes } = self;
        let (shape, holes) = shapes.get_or_read(shape, |slot| {
            let read = Shape::of(segment, shape)?;
            let column = |hole: &str| columns.iter().position(|(key, _)| key == hole).ok_or_else(|| nonsense(segment, "shape"));
            let holes = read.holes().map(column).collect::<Result<_, _>>()?;
            *slot = (read, holes);
            Ok::<_, format::Error>(())
        })?;
        for column in holes {
            let code = codes(*column);
            columns[*column].1.get_or_read(code, |value| {
                let mut bytes = std::mem::take(value).into_bytes();
                bytes.clear();
                segment.property_value(run, *column, code, &mut bytes)?;
                *value = String::from_utf8(bytes).map_err(|_| nonsense(segment, "property value"))?;
                Ok::<_, format::Error>(())
            })?;
        }
        shape.assemble(holes.iter().map(|column| columns[*column].1.get(codes(*column)).map_or("", String::as_str)), out);
        Ok(())
    }
}

/// Rows of a run.
#[derive(Default)]
struct Block {
    hashes: Vec<RowHash>,
    times: Vec<i64>,
    sequences: Vec<Sequence>,
    sessions: Vec<u32>,
    codes: Vec<u32>,
    /// By property column.
    properties: Vec<Vec<u32>>,
    text: String,
}

impl Block {
    /// Hashes `rows`.
    fn read(
        &mut self,
        segment: &Segment,
        run: &Run,
        values: &mut Properties,
        rows: Range<u32>,
        parts: &Parts,
        hashes: &Hashes,
    ) -> Result<(), format::Error> {
        let Block { hashes: row_hashes, times, sequences, sessions, codes, properties, text } = self;
        times.clear();
        segment.times(rows.clone(), times)?;
        sequences.clear();
        segment.sequences(rows.clone(), sequences)?;
        let of_run = hashes.run(run.site, run.kind, &run.name);
        row_hashes.clear();
        row_hashes.extend(times.iter().zip(&*sequences).map(|(time, sequence)| hashes.row(of_run, *time, *sequence)));
        sessions.clear();
        segment.session_codes(rows.clone(), sessions)?;
        for (hash, session) in row_hashes.iter_mut().zip(&*sessions).filter(|(_, session)| **session != NO_SESSION) {
            hash.add(parts.sessions[*session as usize]);
        }
        for (field, of_codes) in &parts.fields {
            codes.clear();
            segment.codes_in(*field, rows.clone(), sessions, codes)?;
            for (hash, code) in row_hashes.iter_mut().zip(&*codes) {
                hash.add(of_codes[*code as usize]);
            }
        }
        segment.event_ids(rows.clone(), |row, id| {
            row_hashes[(row - rows.start) as usize].add(hashes.part(Part::EventId, hashes.text(id.as_bytes())));
            Ok(())
        })?;
        if segment.entries(Field::Shape) == 0 {
            return Ok(());
        }
        codes.clear();
        segment.codes_in(Field::Shape, rows.clone(), sessions, codes)?;
        properties.resize_with(values.columns.len(), Vec::new);
        for (column, codes) in properties.iter_mut().enumerate() {
            codes.clear();
            segment.property_codes(run, column, rows.clone(), codes)?;
        }
        for (at, (hash, shape)) in row_hashes.iter_mut().zip(&*codes).enumerate().filter(|(_, (_, shape))| **shape != 0) {
            text.clear();
            values.assemble(segment, run, *shape, |column| properties[column][at], text)?;
            hash.add(hashes.part(Part::Field(Field::Shape), hashes.text(text.as_bytes())));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
