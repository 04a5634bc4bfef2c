//! The properties of a run's rows, as its columns in the output have them.

use format::Segment;
use format::sealed::{Field, Run, SegmentWriter};

use super::columns::{PartColumns, RunColumns};
use super::runs::{MergedRun, Part};
use super::shapes::Recutter;
use super::tally::Tally;
use super::texts::{self, Texts, WANTED, table};
use super::{Inputs, of};
use crate::block::{Block, PropertyBlock};
use crate::error::Error;
use crate::rows::{Held, Slots, nonsense};
use crate::seal::Dictionary;

/// The shapes of the output.
pub(super) struct ShapeCodes<'a> {
    /// By input and code: the new code of those that stay as they are.
    pub(super) stored: Vec<&'a [u32]>,
    /// Those that were cut anew.
    pub(super) made: &'a Dictionary,
    /// By code of those.
    pub(super) made_codes: &'a [u32],
}

/// The properties of a part's rows.
pub(super) struct PartProperties<'a> {
    segment: &'a Segment,
    run: &'a Run,
    block: PropertyBlock,
    columns: PartColumns,
    /// By column of the part, and code: the new code.
    tables: Vec<Vec<u32>>,
    /// Unless shapes stay as they are.
    recutter: Option<Recutter<'a>>,
    known: Slots<Known>,
    scratch: Vec<u8>,
}

/// What all rows of a shape have.
#[derive(Default)]
struct Known {
    /// Their new shape, unless that has to be worked out by row.
    shape: Option<u32>,
    /// Columns and codes of values that were in the shape.
    cuts: Vec<(usize, u32)>,
}

impl Held for Known {
    fn held_bytes(&self) -> usize {
        size_of_val(&self.cuts[..])
    }
}

/// Values that were in shapes and are in columns now, by column.
pub(super) struct CutValues {
    values: Vec<Dictionary>,
    tables: Vec<Vec<u32>>,
}

/// Names the columns of a run, and gives what is needed to write the properties of its rows, by part. `shape_blocks` are decoded on
/// the way.
///
/// # Errors
///
/// If an input cannot be read, or the output not written; [`Error::Stopped`].
pub(super) fn write_columns<'a>(
    inputs: &Inputs<'a>,
    run: &'a MergedRun,
    columns: RunColumns<'a>,
    shape_blocks: &mut [Block<'_>],
    writer: &mut SegmentWriter,
) -> Result<(Vec<PartProperties<'a>>, CutValues), Error> {
    let mut cut: Vec<Dictionary> = columns.keys().map(|_| Dictionary::default()).collect();
    let mut parts = Vec::with_capacity(run.parts.len());
    for part in &run.parts {
        let mut properties = PartProperties::new(&inputs.segments[part.input], part, columns)?;
        properties.note_cuts(inputs, part, &mut shape_blocks[part.input], &mut cut)?;
        properties.note_values(inputs, part)?;
        parts.push(properties);
    }
    cut.iter_mut().for_each(Dictionary::number);
    let mut tables: Vec<Vec<u32>> = cut.iter().map(|values| table(values.len(), true)).collect();
    for (column, key) in columns.keys().enumerate() {
        let mut sources = vec![Texts::made(cut[column].entries(), &mut tables[column])];
        for (part, properties) in run.parts.iter().zip(&mut parts) {
            let PartProperties { segment, columns, tables, .. } = properties;
            let Some(from) = columns.to.iter().position(|to| *to == Some(column)) else { continue };
            let values = of(segment, segment.read_property_values(&part.run, from))?;
            sources.push(Texts::stored(segment, values, &mut tables[from]));
        }
        texts::merge(inputs, sources, |values| writer.property(key, values))?;
    }
    Ok((parts, CutValues { values: cut, tables }))
}

impl<'a> PartProperties<'a> {
    fn new(segment: &'a Segment, part: &'a Part, columns: RunColumns<'a>) -> Result<PartProperties<'a>, Error> {
        let of_part = PartColumns::read(segment, part, columns)?;
        let recutter = (!of_part.are_same).then(|| Recutter::new(segment, &part.run, of_part.clone(), columns));
        Ok(PartProperties {
            segment,
            run: &part.run,
            block: PropertyBlock::new(of_part.len()),
            columns: of_part,
            tables: Vec::new(),
            recutter,
            known: Slots::default(),
            scratch: Vec::new(),
        })
    }

    /// Adds the values that are cut out of the part's shapes.
    fn note_cuts(&mut self, inputs: &Inputs<'_>, part: &Part, block: &mut Block<'_>, cut: &mut [Dictionary]) -> Result<(), Error> {
        let Some(recutter) = self.recutter.as_mut().filter(|_| self.segment.entries(Field::Shape) > 0 && !cut.is_empty()) else {
            return Ok(());
        };
        let mut tally = Tally::default();
        for rows in part.kept.blocks() {
            inputs.go_on()?;
            of(self.segment, block.reach(rows.start))?;
            for code in &block.codes[Field::Shape as usize][block.places(rows)] {
                if *code != 0 && tally.add(*code) {
                    recutter.recut(*code)?.cuts.iter().for_each(|(column, value)| cut[*column].add(value.as_bytes()));
                }
            }
        }
        Ok(())
    }

    /// Marks the values that rows that stay have, in columns that the output has too.
    fn note_values(&mut self, inputs: &Inputs<'_>, part: &Part) -> Result<(), Error> {
        for (column, to) in self.columns.to.iter().enumerate() {
            let values = of(self.segment, self.segment.property_entries(&part.run, column))?;
            self.tables.push(if to.is_some() { table(values, !part.is_cut()) } else { Vec::new() });
        }
        if part.is_cut() && self.columns.len() > 0 {
            for rows in part.kept.ranges() {
                let mut row = rows.start;
                while row < rows.end {
                    inputs.go_on()?;
                    of(self.segment, self.block.reach(self.segment, self.run, row))?;
                    let end = rows.end.min(self.block.rows.end);
                    let at = (row - self.block.rows.start) as usize..(end - self.block.rows.start) as usize;
                    for (codes, table) in self.block.codes.iter().zip(&mut self.tables).filter(|(_, table)| !table.is_empty()) {
                        codes[at.clone()].iter().for_each(|code| table[*code as usize] = WANTED);
                    }
                    row = end;
                }
            }
        }
        Ok(())
    }

    /// The new shape of a row that had `shape`; the codes of its properties go to `out`.
    ///
    /// # Errors
    ///
    /// If the input cannot be read, or says what nobody wrote.
    pub(super) fn of_row(
        &mut self,
        row: u32,
        shape: u32,
        input: usize,
        shapes: &ShapeCodes<'_>,
        cut: &CutValues,
        out: &mut [u32],
    ) -> Result<u32, Error> {
        out.fill(0);
        if shape == 0 {
            return Ok(0);
        }
        if self.columns.len() > 0 {
            of(self.segment, self.block.reach(self.segment, self.run, row))?;
            for ((to, column), table) in self.columns.to.iter().zip(0..).zip(&self.tables) {
                if let Some(to) = to {
                    out[*to] = table[self.block.code(row, column) as usize];
                }
            }
        }
        let Some(recutter) = &mut self.recutter else { return Ok(shapes.stored[input][shape as usize]) };
        let (segment, scratch) = (self.segment, &mut self.scratch);
        let made = |shape: &[u8]| {
            let code = of(segment, shapes.made.find(shape).ok_or_else(|| nonsense(segment, "shape")))?;
            Ok::<u32, Error>(shapes.made_codes[code as usize])
        };
        let known = self.known.get_or_read(shape, |known| {
            let recut = recutter.recut(shape)?;
            let cuts = recut.cuts.iter().map(|(column, value)| {
                let code = cut.values[*column].find(value.as_bytes()).ok_or_else(|| nonsense(segment, "shape"))?;
                Ok::<_, format::Error>((*column, cut.tables[*column][code as usize]))
            });
            known.cuts = of(segment, cuts.collect())?;
            known.shape = if recut.is_same() {
                Some(shapes.stored[input][shape as usize])
            } else if recut.fills().len() == 0 {
                recutter.write(shape, row, &self.block, scratch)?;
                Some(made(scratch)?)
            } else {
                None
            };
            Ok::<(), Error>(())
        })?;
        for (column, code) in &known.cuts {
            out[*column] = *code;
        }
        match known.shape {
            Some(shape) => Ok(shape),
            None => {
                recutter.write(shape, row, &self.block, scratch)?;
                made(scratch)
            }
        }
    }
}
