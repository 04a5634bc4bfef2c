//! Writes the rows of all inputs in the segment's order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use format::sealed::{Codes, Field, Finished, NO_SESSION, Provenance, Row, SegmentWriter};
use format::{Sequence, UnixMicros};

use super::properties::{CutValues, PartProperties, ShapeCodes, write_columns};
use super::runs::{MergedRun, MergedRuns};
use super::survey::Survey;
use super::texts::{self, Texts, table};
use super::{Inputs, LOOK_EVERY, Tables, of};
use crate::block::{Block, Wanted};
use crate::error::Error;
use crate::rows::nonsense;
use crate::seal::{Dictionary, Target};

/// Writes the segment, up to its trailer. `made` are the shapes that were cut anew.
///
/// # Errors
///
/// If an input cannot be read, or the output not written; [`Error::Stopped`].
pub(super) fn write(
    target: Target<'_>,
    inputs: &Inputs<'_>,
    survey: Survey,
    made: &Dictionary,
    provenance: &Provenance,
) -> Result<Finished, Error> {
    let Survey { sessions, mut tables, columns, .. } = survey;
    let mut writer = SegmentWriter::create(target.fs, target.dir, target.header, target.id_secret)?;
    let mut made_codes = table(made.len(), true);
    for field in Field::ALL {
        let stored = inputs.segments.iter().zip(&mut tables);
        let mut sources: Vec<Texts<'_>> =
            stored.map(|(segment, tables)| Texts::stored(segment, segment.read_entries(field), &mut tables[field as usize])).collect();
        if field == Field::Shape {
            sources.push(Texts::made(made.entries(), &mut made_codes));
        }
        texts::merge(inputs, sources, |entries| writer.dictionary(field, entries))?;
    }
    let sessions = sessions.write(inputs, &mut writer)?;
    let stored = tables.iter().map(|tables| &tables[Field::Shape as usize][..]).collect();
    let shapes = ShapeCodes { stored, made, made_codes: &made_codes };
    let only_shapes = Wanted { fields: vec![Field::Shape], ..Wanted::default() };
    let mut shape_blocks: Vec<Block<'_>> = inputs.segments.iter().map(|segment| Block::new(segment, only_shapes.clone())).collect();
    let mut rows = Rows { inputs, tables: &tables, sessions: &sessions, shapes, blocks: all_columns(inputs), pushed: 0 };
    let mut runs = MergedRuns::new(inputs)?;
    let mut number = 0;
    while let Some(run) = runs.next()? {
        writer.run(run.site, run.kind, &run.name)?;
        let columns = columns.of(number);
        let (mut parts, cut) = write_columns(inputs, &run, columns, &mut shape_blocks, &mut writer)?;
        rows.write(&run, &mut parts, &cut, &mut vec![0; columns.keys().len()], &mut writer)?;
        number += 1;
    }
    Ok(writer.finish(provenance)?)
}

/// Blocks of all columns, by input.
fn all_columns<'a>(inputs: &Inputs<'a>) -> Vec<Block<'a>> {
    inputs.segments.iter().map(|segment| Block::new(segment, Wanted::all())).collect()
}

/// The rows of all inputs.
struct Rows<'a> {
    inputs: &'a Inputs<'a>,
    /// By input, field and code: the new code.
    tables: &'a [Tables],
    /// By input and code: the new code.
    sessions: &'a [Vec<u32>],
    shapes: ShapeCodes<'a>,
    /// By input: with new codes, but for the shapes, which depend on the run.
    blocks: Vec<Block<'a>>,
    pushed: u32,
}

impl Rows<'_> {
    /// Writes the rows of a run.
    fn write(
        &mut self,
        run: &MergedRun,
        parts: &mut [PartProperties<'_>],
        cut: &CutValues,
        properties: &mut [u32],
        writer: &mut SegmentWriter,
    ) -> Result<(), Error> {
        let mut next = BinaryHeap::with_capacity(run.parts.len());
        for (number, part) in run.parts.iter().enumerate() {
            if let Some(row) = part.kept.first() {
                let (time, sequence) = self.place(part.input, row)?;
                next.push(Reverse((time, sequence, number, row)));
            }
        }
        let mut last = None;
        while let Some(mut head) = next.peek_mut() {
            if self.pushed.is_multiple_of(LOOK_EVERY) {
                self.inputs.go_on()?;
            }
            self.pushed = self.pushed.wrapping_add(1);
            let Reverse((time, sequence, number, row)) = *head;
            let part = &run.parts[number];
            let damage =
                |what| Error::from(nonsense(&self.inputs.segments[part.input], what)).in_segment(&self.inputs.segments[part.input]);
            if last >= Some((time, sequence)) {
                return Err(damage("order of rows"));
            }
            last = Some((time, sequence));
            let block = &mut self.blocks[part.input];
            let at = (row - block.rows.start) as usize;
            let mut codes: Codes = [0; Field::ALL.len()];
            for field in &block.wanted().fields {
                codes[*field as usize] = block.codes[*field as usize][at];
            }
            let shape = &mut codes[Field::Shape as usize];
            *shape = parts[number].of_row(row, *shape, part.input, &self.shapes, cut, properties)?;
            let event_id = block.event_ids.take(row);
            writer.push(&Row {
                time: UnixMicros::new(time).ok_or_else(|| damage("time"))?,
                sequence,
                session: block.sessions.get(at).copied().unwrap_or(NO_SESSION),
                codes,
                properties,
                event_id: event_id.map(|id| &block.event_ids.text[id]),
            })?;
            match part.kept.after(row) {
                None => drop(PeekMut::pop(head)),
                Some(row) => {
                    let (time, sequence) = self.place(part.input, row)?;
                    *head = Reverse((time, sequence, number, row));
                }
            }
        }
        Ok(())
    }

    /// What a row of an input is sorted by within its run. Its block is decoded then.
    fn place(&mut self, input: usize, row: u32) -> Result<(i64, Sequence), Error> {
        let block = &mut self.blocks[input];
        if of(&self.inputs.segments[input], block.reach(row))? {
            for field in block.wanted().fields.clone().into_iter().filter(|field| *field != Field::Shape) {
                let table = &self.tables[input][field as usize];
                block.codes[field as usize].iter_mut().for_each(|code| *code = table[*code as usize]);
            }
            let table = &self.sessions[input];
            for code in block.sessions.iter_mut().filter(|code| **code != NO_SESSION) {
                *code = table[*code as usize];
            }
        }
        let at = (row - block.rows.start) as usize;
        Ok((block.times[at], block.sequences[at]))
    }
}
