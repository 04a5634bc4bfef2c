//! The rows of a segment as the records they were made from.

use std::ops::Range;
use std::sync::Arc;

use format::error::Corruption;
use format::sealed::{Field, NO_SESSION, Run};
use format::{ByteOffset, Error, Record, Segment, Sequence, Source, UnixMicros};

use crate::block::{Block, PropertyBlock, Wanted};
use crate::error;
use crate::fields::{self, OF_RECORDS};
use crate::shape::Shape;

/// How many rows are decoded at once: a block of a column.
pub(crate) const BLOCK_ROWS: u32 = 16_384;

/// Entries of a dictionary that are kept at hand, by the low bits of their codes: at most.
const SLOTS: usize = 1024;

/// Cuts rows where blocks of columns begin, so that each block is decoded once.
pub(crate) fn blocks(rows: Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let mut next = rows.start;
    std::iter::from_fn(move || {
        let from = next;
        // No segment has 2^32 rows, and none of its blocks ends there.
        next = (from / BLOCK_ROWS).saturating_add(1).saturating_mul(BLOCK_ROWS).min(rows.end);
        (from < next).then_some(from..next)
    })
}

/// A segment says something that nobody wrote, although its checksums match: made by hand, or by a bug.
pub(crate) fn nonsense(segment: &Segment, what: &'static str) -> Error {
    Error::Corrupt { path: segment.path().to_owned(), offset: ByteOffset::new(0), source: Corruption::Payload { what } }
}

/// An error if the mapping of a segment lost a page: what was read there since is worth nothing, and would be the same when read again.
pub(crate) fn check_mappings(segments: &[Arc<Segment>]) -> Result<(), error::Error> {
    match segments.iter().find(|segment| segment.is_poisoned()) {
        None => Ok(()),
        Some(segment) => {
            let lost = std::io::Error::other("a page of its mapping cannot be read");
            Err(error::Error::from(Error::Io { operation: "read", path: segment.path().to_owned(), source: lost }).in_segment(segment))
        }
    }
}

/// Reads all rows of a segment in its order: by site, kind, name, time, sequence.
///
/// Memory: a block of each column, and up to 1,024 entries and 256 KiB of each dictionary, those of one run's property columns among them.
pub struct SegmentRows<'s> {
    segment: &'s Segment,
    runs: std::vec::IntoIter<Run>,
    run: Option<RunValues>,
    block: Block<'s>,
    entries: [Slots<Vec<u8>>; Field::ALL.len()],
    /// Shapes of the run, and the columns of their holes.
    shapes: Slots<(Shape, Vec<usize>)>,
    properties: String,
}

/// The run that is read, and the values of its property columns.
struct RunValues {
    run: Run,
    /// Rows that are still to come.
    left: Range<u32>,
    columns: Vec<Values>,
    codes: PropertyBlock,
}

/// A property column.
struct Values {
    key: String,
    values: Slots<String>,
}

/// The event ids of decoded rows, one behind the other.
#[derive(Default)]
pub(crate) struct EventIds {
    pub(crate) text: String,
    /// Rows that have one, and where it ends.
    ends: Vec<(u32, usize)>,
    /// Of the rows still to come, the first with one.
    next: usize,
}

impl<'s> SegmentRows<'s> {
    /// Before the first row.
    ///
    /// # Errors
    ///
    /// If the segment cannot be read.
    pub fn new(segment: &'s Segment) -> Result<SegmentRows<'s>, Error> {
        Ok(SegmentRows {
            segment,
            runs: segment.runs()?.into_iter(),
            run: None,
            block: Block::new(segment, Wanted::all()),
            entries: std::array::from_fn(|_| Slots::default()),
            shapes: Slots::default(),
            properties: String::new(),
        })
    }

    /// The next row, as it was but for the time of receipt, which is cut to its minute. `None` behind the last.
    ///
    /// # Errors
    ///
    /// If the segment cannot be read, or says what nobody wrote.
    #[allow(clippy::should_implement_trait)] // A row is lent.
    pub fn next(&mut self) -> Result<Option<(Sequence, Record<'_>)>, Error> {
        let Some(row) = self.reach_next()? else { return Ok(None) };
        let at = (row - self.block.rows.start) as usize;
        self.fetch(row, at)?;
        let event_id = self.block.event_ids.take(row);
        let Some(RunValues { run, .. }) = &self.run else { return Ok(None) };
        let sequence = self.block.sequences[at];
        let time = UnixMicros::new(self.block.times[at]).ok_or_else(|| nonsense(self.segment, "time"))?;
        let mut record = Record::new(run.kind, Source::Browser, run.site, time, self.received(sequence));
        record.name = &run.name;
        for field in OF_RECORDS {
            let code = self.code(field, at);
            if code != 0 {
                let entry = self.entries[field as usize].get(code).map_or(&[][..], Vec::as_slice);
                fields::set(&mut record, field, entry).ok_or_else(|| nonsense(self.segment, "field"))?;
            }
        }
        let session = self.block.sessions.get(at).copied().unwrap_or(NO_SESSION);
        record.session = if session == NO_SESSION { None } else { Some(self.segment.session_id(session)?) };
        record.event_id = event_id.map(|id| &self.block.event_ids.text[id]);
        record.properties = &self.properties;
        Ok(Some((sequence, record)))
    }

    /// The next row of this run or the next, decoded. `None` behind the last.
    fn reach_next(&mut self) -> Result<Option<u32>, Error> {
        if self.run.as_ref().is_none_or(|run| run.left.is_empty()) {
            let Some(run) = self.runs.next() else { return Ok(None) };
            self.run = Some(RunValues::read(self.segment, run)?);
            self.shapes.forget();
        }
        let Some(run) = &mut self.run else { return Ok(None) };
        let row = run.left.start;
        self.block.reach(row)?;
        run.codes.reach(self.segment, &run.run, row)?;
        run.left.start += 1;
        Ok(Some(row))
    }

    fn code(&self, field: Field, at: usize) -> u32 {
        self.block.codes[field as usize].get(at).copied().unwrap_or(0)
    }

    /// Brings the entries and the properties of a row to hand.
    fn fetch(&mut self, row: u32, at: usize) -> Result<(), Error> {
        for field in OF_RECORDS {
            let code = self.code(field, at);
            if code != 0 {
                let segment = self.segment;
                self.entries[field as usize].get_or_read(code, |entry| {
                    entry.clear();
                    segment.entry(field, code, entry)
                })?;
            }
        }
        self.properties.clear();
        let shape = self.code(Field::Shape, at);
        if let (true, Some(run)) = (shape != 0, &mut self.run) {
            run.assemble(self.segment, &mut self.shapes, shape, row, &mut self.properties)?;
        }
        Ok(())
    }

    /// When a row was received, to the minute.
    fn received(&self, sequence: Sequence) -> UnixMicros {
        let received = &self.segment.provenance().received;
        let behind = received.partition_point(|(first, _)| *first <= sequence);
        behind.checked_sub(1).map_or(UnixMicros::EPOCH, |at| received[at].1)
    }
}

impl RunValues {
    fn read(segment: &Segment, run: Run) -> Result<RunValues, Error> {
        let columns: Vec<Values> = segment.property_keys(&run)?.into_iter().map(|key| Values { key, values: Slots::default() }).collect();
        Ok(RunValues { left: run.rows.clone(), run, codes: PropertyBlock::new(columns.len()), columns })
    }

    /// Appends the properties of a row of this shape, which is decoded.
    fn assemble(
        &mut self,
        segment: &Segment,
        shapes: &mut Slots<(Shape, Vec<usize>)>,
        shape: u32,
        row: u32,
        out: &mut String,
    ) -> Result<(), Error> {
        let RunValues { run, columns, codes, .. } = self;
        let (shape, holes) = shapes.get_or_read(shape, |slot| {
            let read = Shape::of(segment, shape)?;
            let column = |key: &str| columns.iter().position(|column| column.key == key);
            let holes = read.holes().map(|key| column(key).ok_or_else(|| nonsense(segment, "shape"))).collect::<Result<_, _>>()?;
            *slot = (read, holes);
            Ok(())
        })?;
        for column in holes {
            let code = codes.code(row, *column);
            columns[*column].values.get_or_read(code, |value| {
                let mut bytes = std::mem::take(value).into_bytes();
                bytes.clear();
                segment.property_value(run, *column, code, &mut bytes)?;
                *value = String::from_utf8(bytes).map_err(|_| nonsense(segment, "property value"))?;
                Ok(())
            })?;
        }
        let value = |column: &usize| columns[*column].values.get(codes.code(row, *column)).map_or("", String::as_str);
        shape.assemble(holes.iter().map(value), out);
        Ok(())
    }
}

impl EventIds {
    /// Those of `rows`.
    pub(crate) fn decode(&mut self, segment: &Segment, rows: Range<u32>) -> Result<(), Error> {
        let EventIds { text, ends, next } = self;
        text.clear();
        ends.clear();
        *next = 0;
        segment.event_ids(rows, |row, id| {
            text.push_str(id);
            ends.push((row, text.len()));
            Ok(())
        })
    }

    /// Where the id of a row stands, if it has one. Rows are asked for in order, and may be left out.
    pub(crate) fn take(&mut self, row: u32) -> Option<Range<usize>> {
        while self.ends.get(self.next).is_some_and(|(of, _)| *of < row) {
            self.next += 1;
        }
        let (_, end) = *self.ends.get(self.next).filter(|(of, _)| *of == row)?;
        let start = self.next.checked_sub(1).map_or(0, |before| self.ends[before].1);
        self.next += 1;
        Some(start..end)
    }
}

/// What can be kept in [`Slots`].
pub(crate) trait Held: Default {
    /// How many bytes it holds besides itself, about.
    fn held_bytes(&self) -> usize;
}

impl Held for Vec<u8> {
    fn held_bytes(&self) -> usize {
        self.capacity()
    }
}

impl Held for String {
    fn held_bytes(&self) -> usize {
        self.capacity()
    }
}

impl Held for Vec<usize> {
    fn held_bytes(&self) -> usize {
        self.capacity() * size_of::<usize>()
    }
}

impl Held for Vec<String> {
    fn held_bytes(&self) -> usize {
        self.iter().map(|text| size_of::<String>() + text.capacity()).sum()
    }
}

impl<A: Held, B: Held> Held for (A, B) {
    fn held_bytes(&self) -> usize {
        self.0.held_bytes() + self.1.held_bytes()
    }
}

/// Things by code, each in the one slot it can be in. There are as few slots at first as a short run needs, and 1,024 at most.
///
/// Memory: the slots, and [`HELD_BYTES`] or the largest thing. Where things are larger, fewer are kept.
pub(crate) struct Slots<T> {
    /// As many as a power of two.
    slots: Vec<(u32, T)>,
    held_bytes: usize,
}

/// Bytes that the things in all slots hold. Texts of up to 256 bytes fill all slots.
const HELD_BYTES: usize = 256 * 1024;

/// Slots at first.
const FIRST_SLOTS: usize = 16;

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { slots: Vec::new(), held_bytes: 0 }
    }
}

impl<T: Held> Slots<T> {
    /// Nothing is there for any code.
    fn forget(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.0 = 0);
    }

    /// What is there for `code`, if it was the last one read into its slot.
    pub(crate) fn get(&self, code: u32) -> Option<&T> {
        self.slots.get(code as usize & self.slots.len().wrapping_sub(1)).filter(|slot| slot.0 == code).map(|slot| &slot.1)
    }

    /// What is there for `code`; `read`, which refuses code 0, puts it there if it is not.
    pub(crate) fn get_or_read<E>(&mut self, code: u32, read: impl FnOnce(&mut T) -> Result<(), E>) -> Result<&T, E> {
        if self.slots.is_empty() {
            self.slots.resize_with(FIRST_SLOTS, Default::default);
        }
        let mut at = code as usize & (self.slots.len() - 1);
        if self.slots[at].0 == code && code != 0 {
            return Ok(&self.slots[at].1);
        }
        while self.slots[at].0 != 0 && self.slots.len() < SLOTS {
            self.grow();
            at = code as usize & (self.slots.len() - 1);
        }
        let slot = &mut self.slots[at];
        // Nothing is there if it cannot be read.
        slot.0 = 0;
        self.held_bytes -= slot.1.held_bytes();
        let was_read = read(&mut slot.1);
        self.held_bytes += slot.1.held_bytes();
        was_read?;
        slot.0 = code;
        if self.held_bytes > HELD_BYTES {
            let kept = std::mem::take(&mut slot.1);
            self.held_bytes = kept.held_bytes();
            self.slots.iter_mut().for_each(|slot| *slot = Default::default());
            self.slots[at] = (code, kept);
        }
        Ok(&self.slots[at].1)
    }

    /// Twice as many slots: what had one to itself still has.
    fn grow(&mut self) {
        let few = self.slots.len();
        self.slots.resize_with(2 * few, Default::default);
        for at in 0..few {
            if self.slots[at].0 as usize & few != 0 {
                self.slots.swap(at, at + few);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Asks for codes in the order of `codes`; gives how often one was read.
    fn reads(codes: impl Iterator<Item = u32>, text: impl Fn(u32) -> String) -> (u32, Slots<String>) {
        let (mut slots, mut reads) = (Slots::<String>::default(), 0);
        for code in codes {
            let found = slots.get_or_read(code, |slot| {
                reads += 1;
                *slot = text(code);
                Ok::<_, ()>(())
            });
            assert_eq!(found, Ok(&text(code)));
            assert_eq!(slots.get(code), Some(&text(code)));
            let held: usize = slots.slots.iter().map(|(_, text)| text.held_bytes()).sum();
            assert_eq!(slots.held_bytes, held);
            assert!(held <= HELD_BYTES.max(text(code).capacity()), "{held}");
        }
        (reads, slots)
    }

    #[test]
    fn as_many_codes_as_slots_are_read_once() {
        let codes = || (0..3).flat_map(|_| 5000..5000 + SLOTS as u32);
        assert_eq!(reads(codes(), |code| code.to_string()).0, SLOTS as u32);
        let (few, slots) = reads([7, 8, 7, 8, 9].into_iter(), |code| code.to_string());
        assert_eq!((few, slots.slots.len()), (3, FIRST_SLOTS));
        assert_eq!(slots.get(7 + FIRST_SLOTS as u32), None);
    }

    #[test]
    fn long_texts_are_kept_up_to_a_bound() {
        let long = |code: u32| "x".repeat(if code.is_multiple_of(7) { 3 * HELD_BYTES } else { 5000 + code as usize });
        reads((1..200).chain((1..200).rev()), long);
        let kilobytes = |code: u32| code.to_string().repeat(300);
        let (read, _) = reads((0..4).flat_map(|_| 1000..1200), kilobytes);
        assert_eq!(read, 200);
    }

    #[test]
    fn what_cannot_be_read_is_not_there() {
        let mut slots = Slots::<String>::default();
        let three = |text: &mut String| {
            *text = "three".to_owned();
            Ok::<_, ()>(())
        };
        slots.get_or_read(3, three).unwrap();
        let failed = slots.get_or_read(3 + 1024, |text| {
            text.push('!');
            Err(())
        });
        assert_eq!(failed, Err(()));
        assert_eq!(slots.get(3 + 1024), None);
        assert!(slots.get_or_read(0, |_| Err::<(), _>(())).is_err());
        let again = slots.get_or_read(3, |text| {
            *text = "again".to_owned();
            Ok::<_, ()>(())
        });
        assert_eq!(again.map(String::as_str), Ok("again"));
    }

    #[test]
    fn blocks_are_cut_where_columns_are() {
        let cut = |rows: Range<u32>| blocks(rows).collect::<Vec<_>>();
        assert_eq!(cut(5..5), []);
        assert_eq!(cut(0..16_385), [0..16_384, 16_384..16_385]);
        assert_eq!(cut(16_383..32_769), [16_383..16_384, 16_384..32_768, 32_768..32_769]);
        assert_eq!(cut(u32::MAX - 16_385..u32::MAX), [u32::MAX - 16_385..u32::MAX - 16_383, u32::MAX - 16_383..u32::MAX]);
    }
}
