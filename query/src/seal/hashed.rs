//! The rows of a segment as hashes, to be compared.
//!
//! Columns are decoded block by block, whatever runs have rows there. Each entry of a dictionary is hashed once, in order, and so is
//! each session; a row looks up its codes. Properties are put together as text where they have values in columns.

use std::ops::Range;

use format::sealed::{Field, NO_SESSION, Run};
use format::{Segment, Sequence};

use super::compare::{Hashes, Part, RowHash};
use crate::fields::OF_RECORDS;
use crate::rows::{BLOCK_ROWS, Slots, nonsense};
use crate::shape::{HOLE, Shape};

/// Bytes of values of a run's property columns that are held; others are looked up one by one. In unit tests one column has both.
const HELD_BYTES: usize = if cfg!(test) { 40 } else { 8 << 20 };

/// All rows of a segment, in its order.
///
/// Memory: 8 bytes for each entry of its dictionaries and each session, a block of each column, up to 8 MiB of values, and the bounded
/// slots for shapes and other values.
pub(crate) struct HashedRows<'s> {
    segment: &'s Segment,
    hashes: &'s Hashes,
    parts: Parts,
    block: Block,
    shapes: Slots<Shape>,
    /// The number of the next run.
    number: u32,
    run: Option<OpenRun>,
    row: u32,
    found: Vec<RowHash>,
}

/// Rows of one run.
pub(crate) struct Hashed<'b> {
    pub(crate) run: &'b Run,
    /// Their times.
    pub(crate) times: &'b [i64],
    pub(crate) hashes: &'b [RowHash],
}

/// The run that is read.
struct OpenRun {
    run: Run,
    of_run: u64,
    properties: Properties,
}

impl<'s> HashedRows<'s> {
    /// Before the first row.
    ///
    /// # Errors
    ///
    /// If dictionaries or sessions cannot be read.
    pub(crate) fn new(segment: &'s Segment, hashes: &'s Hashes) -> Result<HashedRows<'s>, format::Error> {
        Ok(HashedRows {
            segment,
            hashes,
            parts: Parts::read(segment, hashes)?,
            block: Block::default(),
            shapes: Slots::default(),
            number: 0,
            run: None,
            row: 0,
            found: Vec::new(),
        })
    }

    /// The next rows: of one run, and of one block. `None` behind the last.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<Hashed<'_>>, format::Error> {
        let HashedRows { segment, hashes, parts, block, shapes, number, run, row, found } = self;
        if run.as_ref().is_none_or(|open| open.run.rows.end <= *row) {
            let Some(next) = segment.run(*number)? else { return Ok(None) };
            *number += 1;
            *row = next.rows.start;
            let of_run = hashes.run(next.site, next.kind, &next.name);
            *run = Some(OpenRun { properties: Properties::of(segment, &next)?, of_run, run: next });
        }
        let Some(OpenRun { run, of_run, properties }) = run else { return Ok(None) };
        if !block.rows.contains(row) {
            block.read(segment, *row, parts, hashes)?;
        }
        let rows = *row..run.rows.end.min(block.rows.end);
        let at = (rows.start - block.rows.start) as usize..(rows.end - block.rows.start) as usize;
        let times = &block.times[at.clone()];
        found.clear();
        for ((time, sequence), sum) in times.iter().zip(&block.sequences[at.clone()]).zip(&block.sums[at.clone()]) {
            let mut hash = hashes.row(*of_run, *time, *sequence);
            hash.add(*sum);
            found.push(hash);
        }
        if !block.shapes.is_empty() {
            properties.read(segment, run, rows.clone())?;
            for ((place, hash), shape) in found.iter_mut().enumerate().zip(&block.shapes[at]).filter(|(_, shape)| **shape != 0) {
                hash.add(match parts.shapes[*shape as usize] {
                    OF_ROW => {
                        let text = properties.assemble(segment, run, shapes, *shape, place)?;
                        hashes.part(Part::Field(Field::Shape), hashes.text(text.as_bytes()))
                    }
                    part => part,
                });
            }
        }
        *row = rows.end;
        Ok(Some(Hashed { run, times, hashes: found }))
    }
}

/// What entries and sessions add to the hashes of rows.
struct Parts {
    /// By field and code; of code 0 nothing. Only fields with entries.
    fields: Vec<(Field, Vec<u64>)>,
    /// By code.
    sessions: Vec<u64>,
    /// By code; [`OF_ROW`] where a shape is not yet the text.
    shapes: Vec<u64>,
}

/// What a shape with holes adds has to be found out row by row. Should a text hash to this by chance, it is hashed again.
const OF_ROW: u64 = 0;

impl Parts {
    fn read(segment: &Segment, hashes: &Hashes) -> Result<Parts, format::Error> {
        let of_field = |field: Field| {
            let (mut parts, mut entries) = (Vec::with_capacity(segment.entries(field) as usize + 1), segment.read_entries(field));
            parts.push(0);
            while let Some(entry) = entries.next()? {
                let is_text = field != Field::Shape || !entry.contains(&HOLE);
                parts.push(if is_text { hashes.part(Part::Field(field), hashes.text(entry)) } else { OF_ROW });
            }
            Ok::<_, format::Error>(parts)
        };
        let fields = OF_RECORDS.into_iter().filter(|field| segment.entries(*field) > 0);
        let session = |code| Ok(hashes.part(Part::Session, hashes.text(&segment.session_id(code)?.bytes())));
        Ok(Parts {
            fields: fields.map(|field| Ok((field, of_field(field)?))).collect::<Result<_, format::Error>>()?,
            sessions: (0..segment.sessions()).map(session).collect::<Result<_, format::Error>>()?,
            shapes: of_field(Field::Shape)?,
        })
    }
}

/// Decoded rows.
#[derive(Default)]
struct Block {
    rows: Range<u32>,
    times: Vec<i64>,
    sequences: Vec<Sequence>,
    /// What fields, session and event id add to the hash of each row.
    sums: Vec<u64>,
    /// Empty: no row has one.
    shapes: Vec<u32>,
    sessions: Vec<u32>,
    codes: Vec<u32>,
}

impl Block {
    /// Reads the block that `row` is in.
    fn read(&mut self, segment: &Segment, row: u32, parts: &Parts, hashes: &Hashes) -> Result<(), format::Error> {
        let Block { times, sequences, sums, shapes, sessions, codes, .. } = self;
        let start = row - row % BLOCK_ROWS;
        let rows = start..segment.rows().min(start.saturating_add(BLOCK_ROWS));
        times.clear();
        segment.times(rows.clone(), times)?;
        sequences.clear();
        segment.sequences(rows.clone(), sequences)?;
        sums.clear();
        sums.resize(rows.len(), 0);
        sessions.clear();
        segment.session_codes(rows.clone(), sessions)?;
        for (sum, session) in sums.iter_mut().zip(&*sessions).filter(|(_, session)| **session != NO_SESSION) {
            *sum = sum.wrapping_add(parts.sessions[*session as usize]);
        }
        for (field, of_codes) in &parts.fields {
            codes.clear();
            segment.codes_in(*field, rows.clone(), sessions, codes)?;
            for (sum, code) in sums.iter_mut().zip(&*codes) {
                *sum = sum.wrapping_add(of_codes[*code as usize]);
            }
        }
        segment.event_ids(rows.clone(), |row, id| {
            let sum = &mut sums[(row - rows.start) as usize];
            *sum = sum.wrapping_add(hashes.part(Part::EventId, hashes.text(id.as_bytes())));
            Ok(())
        })?;
        shapes.clear();
        if segment.entries(Field::Shape) > 0 {
            segment.codes_in(Field::Shape, rows.clone(), sessions, shapes)?;
        }
        self.rows = rows;
        Ok(())
    }
}

/// The property columns of a run.
struct Properties {
    columns: Vec<Column>,
    /// By shape: the columns of its holes.
    holes: Slots<Vec<usize>>,
    text: String,
}

struct Column {
    key: String,
    values: Values,
    /// Of the rows that are read.
    codes: Vec<u32>,
}

/// The values of a column.
enum Values {
    /// One behind the other, and where each ends.
    Held(String, Vec<usize>),
    Looked(Slots<String>),
}

impl Properties {
    fn of(segment: &Segment, run: &Run) -> Result<Properties, format::Error> {
        let (mut columns, mut left_bytes) = (Vec::new(), HELD_BYTES);
        for (column, key) in segment.property_keys(run)?.into_iter().enumerate() {
            let values = Values::read(segment, run, column, &mut left_bytes)?;
            columns.push(Column { key, values, codes: Vec::new() });
        }
        Ok(Properties { columns, holes: Slots::default(), text: String::new() })
    }

    fn read(&mut self, segment: &Segment, run: &Run, rows: Range<u32>) -> Result<(), format::Error> {
        for (number, column) in self.columns.iter_mut().enumerate() {
            column.codes.clear();
            segment.property_codes(run, number, rows.clone(), &mut column.codes)?;
        }
        Ok(())
    }

    /// The text of a row of this shape, at `place` among those that are read.
    fn assemble(
        &mut self,
        segment: &Segment,
        run: &Run,
        shapes: &mut Slots<Shape>,
        code: u32,
        place: usize,
    ) -> Result<&str, format::Error> {
        let Properties { columns, holes, text } = self;
        let shape = shapes.get_or_read(code, |slot| {
            *slot = Shape::of(segment, code)?;
            Ok::<_, format::Error>(())
        })?;
        let holes = holes.get_or_read(code, |slot| {
            let column = |hole: &str| columns.iter().position(|column| column.key == hole).ok_or_else(|| nonsense(segment, "shape"));
            *slot = shape.holes().map(column).collect::<Result<_, _>>()?;
            Ok::<_, format::Error>(())
        })?;
        for number in holes {
            let Column { values, codes, .. } = &mut columns[*number];
            values.reach(segment, run, *number, codes[place])?;
        }
        text.clear();
        shape.assemble(holes.iter().map(|number| columns[*number].values.get(columns[*number].codes[place])), text);
        Ok(text)
    }
}

impl Values {
    /// Holds them if they take no more than `left_bytes`, which become fewer then.
    fn read(segment: &Segment, run: &Run, column: usize, left_bytes: &mut usize) -> Result<Values, format::Error> {
        let (mut texts, mut ends) = (String::new(), vec![0]);
        let mut values = segment.read_property_values(run, column)?;
        while let Some(value) = values.next()? {
            texts.push_str(str::from_utf8(value).map_err(|_| nonsense(segment, "property value"))?);
            ends.push(texts.len());
            if texts.len() + ends.len() * size_of::<usize>() > *left_bytes {
                return Ok(Values::Looked(Slots::default()));
            }
        }
        *left_bytes -= texts.len() + ends.len() * size_of::<usize>();
        Ok(Values::Held(texts, ends))
    }

    /// Brings a value to hand.
    fn reach(&mut self, segment: &Segment, run: &Run, column: usize, code: u32) -> Result<(), format::Error> {
        match self {
            Values::Held(_, ends) if code > 0 && (code as usize) < ends.len() => Ok(()),
            Values::Held(..) => Err(nonsense(segment, "property value")),
            Values::Looked(slots) => {
                slots.get_or_read(code, |value| {
                    let mut bytes = std::mem::take(value).into_bytes();
                    bytes.clear();
                    segment.property_value(run, column, code, &mut bytes)?;
                    *value = String::from_utf8(bytes).map_err(|_| nonsense(segment, "property value"))?;
                    Ok::<_, format::Error>(())
                })?;
                Ok(())
            }
        }
    }

    /// A value that is at hand.
    fn get(&self, code: u32) -> &str {
        match self {
            Values::Held(texts, ends) => &texts[ends[code as usize - 1]..ends[code as usize]],
            Values::Looked(slots) => slots.get(code).map_or("", String::as_str),
        }
    }
}
