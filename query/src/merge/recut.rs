//! Shapes under other property columns than they were cut for.
//!
//! Whether a key's value is cut out depends on the shape's text and the columns alone, so this is worked out once a shape: what stays a
//! hole, what becomes one (its value is the same in all rows of the shape), and which holes are filled, with the values that a row has
//! there. Only the last has to be done row by row, and no record is put together for it.

use std::ops::Range;

use crate::rows::Held;
use crate::shape::{HOLE, ShapeEntries};

/// A shape under other columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recut {
    /// The new shape, but for what is filled in.
    bytes: Vec<u8>,
    /// Where values are put in, and the columns they had.
    fills: Vec<(usize, usize)>,
    /// New columns, and the values that are cut out for them.
    pub(super) cuts: Vec<(usize, String)>,
}

impl Recut {
    /// `from` tells the column that a hole's key had, and `to` that a key has now. `None` if a hole is of no column.
    pub(super) fn new(entries: &ShapeEntries, from: impl Fn(&str) -> Option<usize>, to: impl Fn(&str) -> Option<usize>) -> Option<Recut> {
        let mut recut = Recut::default();
        let shape = &entries.shape;
        let (text, mut behind, mut holes, mut is_known) = (shape.text().as_bytes(), 0, 0, true);
        let mut copy_to = |end: Range<usize>, bytes: &mut Vec<u8>| {
            bytes.extend_from_slice(&text[behind..end.start]);
            behind = end.end;
        };
        entries.for_each_single(|key, at, is_hole| {
            holes += usize::from(is_hole);
            match (is_hole, to(key)) {
                (false, None) => {}
                (true, Some(_)) => {
                    is_known &= from(key).is_some();
                    copy_to(at, &mut recut.bytes);
                    recut.bytes.push(HOLE);
                }
                (true, None) => {
                    copy_to(at, &mut recut.bytes);
                    match from(key) {
                        Some(column) => recut.fills.push((recut.bytes.len(), column)),
                        None => is_known = false,
                    }
                }
                (false, Some(column)) => {
                    recut.cuts.push((column, shape.text()[at.clone()].to_owned()));
                    copy_to(at, &mut recut.bytes);
                    recut.bytes.push(HOLE);
                }
            }
        });
        copy_to(text.len()..text.len(), &mut recut.bytes);
        (is_known && holes == shape.holes().len()).then_some(recut)
    }

    /// Whether it is as it was.
    pub(super) fn is_same(&self) -> bool {
        self.fills.is_empty() && self.cuts.is_empty()
    }

    /// The columns whose values a row needs for its shape.
    pub(super) fn fills(&self) -> impl ExactSizeIterator<Item = usize> {
        self.fills.iter().map(|(_, column)| *column)
    }

    /// Appends the new shape; `values` are those of [`Recut::fills`].
    pub(super) fn write<'v>(&self, values: impl Iterator<Item = &'v [u8]>, out: &mut Vec<u8>) {
        let mut behind = 0;
        for ((at, _), value) in self.fills.iter().zip(values) {
            out.extend_from_slice(&self.bytes[behind..*at]);
            out.extend_from_slice(value);
            behind = *at;
        }
        out.extend_from_slice(&self.bytes[behind..]);
    }
}

impl Held for Recut {
    fn held_bytes(&self) -> usize {
        let cuts: usize = self.cuts.iter().map(|cut| size_of_val(cut) + cut.1.capacity()).sum();
        self.bytes.capacity() + size_of_val(&self.fills[..]) + cuts
    }
}
