//! Properties while a segment is prepared: the text of a row as a shape and values, all of them numbers.
//!
//! Which keys get columns is known only when all rows were read. So at first every key that stands in an object once is cut out, and
//! when the columns are chosen, the values of all other keys go back into the shape.

use std::ops::Range;

use super::compare::Hashes;
use super::texts::{SortedTexts, Texts};
use crate::shape::{self, HOLE};

/// The room of shapes, and no column.
const NONE: u32 = u32::MAX;

/// The properties of all rows.
#[derive(Debug, Default)]
pub(super) struct Properties {
    /// By run.
    keys: Texts,
    /// Without any value of [`Properties::keys`], by run.
    cuts: Texts,
    /// By number of the cut.
    holes: Vec<Holes>,
    hole_keys: Vec<u32>,
    /// By key.
    values: Texts,
    /// By row.
    rows: Vec<Parts>,
    row_values: Vec<u32>,
    scratch: Vec<u8>,
}

/// The holes of a shape from which all was cut.
#[derive(Debug)]
struct Holes {
    /// Their keys, among [`Properties::hole_keys`].
    keys: Range<usize>,
    /// How many rows there are.
    rows: u32,
}

/// The properties of a row: its cut, [`NONE`] if it has none, and where its values begin.
#[derive(Clone, Copy, Debug)]
struct Parts {
    cut: u32,
    first_value: usize,
}

/// A key of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyRows<'a> {
    pub(super) run: u32,
    pub(super) key: &'a str,
    pub(super) number: u32,
    /// How many rows of the run have it at the top level exactly once.
    pub(super) rows: u32,
}

impl Properties {
    /// The properties of the next row, one of run `run`.
    pub(super) fn push(&mut self, run: u32, properties: &str, hashes: &Hashes) {
        let first_value = self.row_values.len();
        if properties.is_empty() {
            self.rows.push(Parts { cut: NONE, first_value });
            return;
        }
        let Properties { keys, cuts, values, scratch, .. } = self;
        let mut found = Vec::with_capacity(8);
        scratch.clear();
        let number = |key: &str| Some(keys.number(run, hashes.text(key.as_bytes()), key.as_bytes()) as usize);
        shape::split(properties, number, scratch, &mut found);
        let cut = cuts.number(run, hashes.text(scratch), scratch);
        if cut as usize == self.holes.len() {
            let start = self.hole_keys.len();
            self.hole_keys.extend(found.iter().map(|(key, _)| *key as u32));
            self.holes.push(Holes { keys: start..self.hole_keys.len(), rows: 0 });
        }
        self.holes[cut as usize].rows += 1;
        let numbers = found.iter().map(|(key, value)| values.number(*key as u32, hashes.text(value.as_bytes()), value.as_bytes()));
        self.row_values.extend(numbers);
        self.rows.push(Parts { cut, first_value });
    }

    /// How many keys there are.
    pub(super) fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// All keys with their rows.
    pub(super) fn keys(&self) -> impl Iterator<Item = KeyRows<'_>> {
        let mut rows = vec![0; self.keys.len()];
        for holes in &self.holes {
            self.hole_keys[holes.keys.clone()].iter().for_each(|key| rows[*key as usize] += holes.rows);
        }
        (0..).zip(rows).map(|(number, rows)| {
            let key = std::str::from_utf8(self.keys.get(number)).expect("keys were texts");
            KeyRows { run: self.keys.room(number), key, number, rows }
        })
    }

    /// Puts all values back that have no column: `column` tells that of a key, by number, within its run.
    pub(super) fn with_columns(mut self, column: impl Fn(u32) -> Option<u32>, hashes: &Hashes) -> CutProperties {
        let columns: Vec<u32> = self.hole_keys.iter().map(|key| column(*key).unwrap_or(NONE)).collect();
        let mut shapes = Texts::default();
        let mut shape_of = |text: &[u8]| shapes.number(0, hashes.text(text), text);
        let whole: Vec<Option<u32>> = (0..)
            .zip(&self.holes)
            .map(|(cut, holes)| {
                let is_whole = columns[holes.keys.clone()].iter().all(|column| *column != NONE);
                is_whole.then(|| shape_of(self.cuts.get(cut)))
            })
            .collect();
        let mut row_shapes = Vec::with_capacity(self.rows.len());
        let mut text = std::mem::take(&mut self.scratch);
        for parts in &self.rows {
            let shape = (parts.cut != NONE).then(|| {
                whole[parts.cut as usize].unwrap_or_else(|| {
                    let holes = &self.holes[parts.cut as usize];
                    let values = self.row_values[parts.first_value..].iter().map(|value| self.values.get(*value));
                    text.clear();
                    fill(self.cuts.get(parts.cut), columns[holes.keys.clone()].iter().zip(values), &mut text);
                    shape_of(&text)
                })
            });
            row_shapes.push(shape.unwrap_or(NONE));
        }
        let Properties { holes, values, rows, row_values, .. } = self;
        CutProperties { shapes: shapes.sort(), values: values.sort(), holes, columns, rows, row_values, row_shapes }
    }
}

/// Appends a shape in which all holes without a column are filled.
fn fill<'v>(cut: &[u8], mut holes: impl Iterator<Item = (&'v u32, &'v [u8])>, out: &mut Vec<u8>) {
    for (number, part) in cut.split(|byte| *byte == HOLE).enumerate() {
        if number > 0 {
            let (column, value) = holes.next().expect("a hole has a value");
            if *column == NONE { out.extend_from_slice(value) } else { out.push(HOLE) }
        }
        out.extend_from_slice(part);
    }
}

/// The properties of all rows, as the columns cut them.
#[derive(Debug)]
pub(super) struct CutProperties {
    /// In room 0.
    pub(super) shapes: SortedTexts,
    /// By number of the key.
    pub(super) values: SortedTexts,
    holes: Vec<Holes>,
    /// By place in [`Holes::keys`]: the column, or [`NONE`].
    columns: Vec<u32>,
    rows: Vec<Parts>,
    row_values: Vec<u32>,
    row_shapes: Vec<u32>,
}

impl CutProperties {
    /// The code of a row's shape; those of its values go to `codes`, by column, which holds zeros.
    pub(super) fn codes(&self, row: u32, codes: &mut [u32]) -> u32 {
        let shape = self.row_shapes[row as usize];
        if shape == NONE {
            return 0;
        }
        let Parts { cut, first_value } = self.rows[row as usize];
        let columns = &self.columns[self.holes[cut as usize].keys.clone()];
        for (column, value) in columns.iter().zip(&self.row_values[first_value..]).filter(|(column, _)| **column != NONE) {
            codes[*column as usize] = self.values.code(*value);
        }
        self.shapes.code(shape)
    }
}
