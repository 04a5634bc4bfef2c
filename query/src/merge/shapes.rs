//! The shapes of the output: those of inputs that stay as they are, and those that are cut anew where columns differ.

use format::Segment;
use format::sealed::{Field, Run};

use super::columns::{Columns, PartColumns, RunColumns};
use super::recut::Recut;
use super::runs::MergedRuns;
use super::survey::Survey;
use super::tally::Tally;
use super::texts::WANTED;
use super::{Inputs, of};
use crate::block::{Block, PropertyBlock, Wanted};
use crate::error::Error;
use crate::rows::{Slots, nonsense};
use crate::seal::Dictionary;
use crate::shape::ShapeEntries;

/// Marks the shapes that stay as they are in the tables of `survey`, and gives all others.
///
/// # Errors
///
/// If an input cannot be read; [`Error::Stopped`].
pub(super) fn plan(inputs: &Inputs<'_>, survey: &mut Survey) -> Result<Dictionary, Error> {
    let mut made = Dictionary::default();
    let is_recut = differing(inputs, &survey.columns)?;
    let shapes = Wanted { fields: vec![Field::Shape], ..Wanted::default() };
    let mut blocks_of: Vec<Block<'_>> = inputs.segments.iter().map(|segment| Block::new(segment, shapes.clone())).collect();
    let is_read: Vec<bool> = is_recut.iter().zip(&inputs.is_cut).map(|(is_recut, is_cut)| *is_recut || *is_cut).collect();
    for (tables, _) in survey.tables.iter_mut().zip(&is_read).filter(|(_, is_read)| !**is_read) {
        tables[Field::Shape as usize].fill(WANTED);
    }
    if is_read.contains(&true) {
        let (mut runs, mut number, mut tally, mut shape) = (MergedRuns::new(inputs)?, 0, Tally::default(), Vec::new());
        while let Some(run) = runs.next()? {
            let columns = survey.columns.of(number);
            number += 1;
            for part in run.parts.iter().filter(|part| is_read[part.input]) {
                let (segment, block) = (&*inputs.segments[part.input], &mut blocks_of[part.input]);
                if segment.entries(Field::Shape) == 0 {
                    continue;
                }
                let of_part = PartColumns::read(segment, part, columns)?;
                let mut properties = PropertyBlock::new(of_part.len());
                let are_same = of_part.are_same;
                let mut recutter = Recutter::new(segment, &part.run, of_part, columns);
                let marks = &mut survey.tables[part.input][Field::Shape as usize];
                tally.clear();
                for rows in part.kept.blocks() {
                    inputs.go_on()?;
                    of(segment, block.reach(rows.start))?;
                    let at = block.places(rows.clone());
                    for (row, code) in rows.zip(&block.codes[Field::Shape as usize][at]) {
                        let is_first = tally.add(*code);
                        if *code == 0 || !is_first && are_same {
                            continue;
                        }
                        if are_same {
                            marks[*code as usize] = WANTED;
                            continue;
                        }
                        let recut = recutter.recut(*code)?;
                        if recut.is_same() {
                            marks[*code as usize] = WANTED;
                        } else if is_first || recut.fills().len() > 0 {
                            if recut.fills().len() > 0 {
                                of(segment, properties.reach(segment, &part.run, row))?;
                            }
                            recutter.write(*code, row, &properties, &mut shape)?;
                            made.add(&shape);
                        }
                    }
                }
            }
        }
    }
    made.number();
    Ok(made)
}

/// The inputs with a run whose columns are others in the output.
fn differing(inputs: &Inputs<'_>, columns: &Columns) -> Result<Vec<bool>, Error> {
    let mut differing = vec![false; inputs.segments.len()];
    let (mut runs, mut number) = (MergedRuns::new(inputs)?, 0);
    while let Some(run) = runs.next()? {
        for part in &run.parts {
            let of_part = PartColumns::read(&inputs.segments[part.input], part, columns.of(number))?;
            differing[part.input] |= !of_part.are_same;
        }
        number += 1;
    }
    Ok(differing)
}

/// Cuts the shapes of a part anew.
pub(super) struct Recutter<'a> {
    segment: &'a Segment,
    run: &'a Run,
    from: PartColumns,
    to: RunColumns<'a>,
    recuts: Slots<Recut>,
    /// By column: values that shapes were filled with.
    values: Vec<Slots<Vec<u8>>>,
}

impl<'a> Recutter<'a> {
    /// For a run that has the columns `from` and will have `to`.
    pub(super) fn new(segment: &'a Segment, run: &'a Run, from: PartColumns, to: RunColumns<'a>) -> Recutter<'a> {
        let values = (0..from.len()).map(|_| Slots::default()).collect();
        Recutter { segment, run, from, to, recuts: Slots::default(), values }
    }

    /// A shape under the new columns.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(super) fn recut(&mut self, code: u32) -> Result<&Recut, Error> {
        let Recutter { segment, from, to, recuts, .. } = self;
        recuts.get_or_read(code, |slot| {
            let read = || {
                let shape = ShapeEntries::of(segment, code)?;
                Recut::new(&shape, |key| from.find(key), |key| to.find(key)).ok_or_else(|| nonsense(segment, "shape"))
            };
            *slot = of(segment, read())?;
            Ok(())
        })
    }

    /// Puts the new shape of a row with this one to `out`. `properties` has the row if a hole of its shape is filled.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(super) fn write(&mut self, code: u32, row: u32, properties: &PropertyBlock, out: &mut Vec<u8>) -> Result<(), Error> {
        self.recut(code)?;
        let Recutter { segment, run, recuts, values, .. } = self;
        let Some(recut) = recuts.get(code) else { return Ok(()) };
        let code_in = |column: usize| properties.code(row, column);
        for column in recut.fills() {
            let code = code_in(column);
            let read = values[column].get_or_read(code, |value| {
                value.clear();
                segment.property_value(run, column, code, value)
            });
            of(segment, read)?;
        }
        out.clear();
        recut.write(recut.fills().map(|column| values[column].get(code_in(column)).map_or(&[][..], Vec::as_slice)), out);
        Ok(())
    }
}
