//! Shapes: the properties of a row without the values that have columns of their own.
//!
//! A segment keeps the JSON text of properties in two parts. The *shape* is the text with some values cut out, each replaced by a
//! *hole*, the byte 0, which no JSON text contains; the values stand in columns as they were written, by key. Rows that differ in
//! values alone share a shape, and the text comes back byte for byte.
//!
//! Invariants:
//!
//! * Only values of keys that stand in the object exactly once are cut, so a hole's key says which column its value is in. Whatever a
//!   column does not have, the shape has: a key with a column is in it as a hole, or the row has no value in that column.
//! * Keys are compared as what they say, not as they are written; the shape keeps how they were written.
//! * Text that is no JSON object is kept as it is: its shape begins with a hole and the text follows.

use std::borrow::Cow;
use std::ops::Range;

use format::Segment;
use format::sealed::Field;

use crate::property::{PropertyKey, for_each_entry};
use crate::rows::{Held, nonsense};
use crate::text::string_text;

/// Stands where a value was cut out.
pub(crate) const HOLE: u8 = 0;

/// Cuts values out of `properties`, which are not empty: `column` tells the column of a key, if it has one. Appends to `shape`,
/// and the values to `values` with their columns, in the order of their holes.
pub(crate) fn split<'p>(
    properties: &'p str,
    mut column: impl FnMut(&str) -> Option<usize>,
    shape: &mut Vec<u8>,
    values: &mut Vec<(usize, &'p str)>,
) {
    let start = values.len();
    let note = |key: &'p str, value: &'p str| {
        if let Some(column) = column(&string_text(key)) {
            values.push((column, value));
        }
    };
    if for_each_entry(properties, note).is_err() {
        values.truncate(start);
        shape.push(HOLE);
        shape.extend(properties.as_bytes());
        return;
    }
    keep_single(values, start);
    let mut behind = 0;
    for (_, value) in &values[start..] {
        let at = place(properties, value);
        shape.extend(&properties.as_bytes()[behind..at]);
        shape.push(HOLE);
        behind = at + value.len();
    }
    shape.extend(&properties.as_bytes()[behind..]);
}

/// So few columns are compared in pairs, which takes no memory.
const FEW: usize = 16;

/// Leaves out columns that come more than once behind `start`.
fn keep_single(values: &mut Vec<(usize, &str)>, start: usize) {
    let found = &values[start..];
    let comes_again = |at: usize| found[at + 1..].iter().any(|(column, _)| *column == found[at].0);
    if found.len() <= FEW && !(0..found.len()).any(comes_again) {
        return;
    }
    let mut columns: Vec<usize> = values[start..].iter().map(|(column, _)| *column).collect();
    columns.sort_unstable();
    let mut repeated: Vec<usize> = columns.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    repeated.dedup();
    if !repeated.is_empty() {
        let mut at = 0;
        values.retain(|(column, _)| {
            at += 1;
            at <= start || repeated.binary_search(column).is_err()
        });
    }
}

/// Where `part`, a slice of `text`, begins in it.
fn place(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

/// A shape that is read. Made once per distinct shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The text with a `0` in each hole, which makes it JSON again; or the text that is no object.
    text: String,
    /// Where the holes are, and their keys.
    holes: Vec<(usize, String)>,
}

impl Shape {
    /// The shape with this code in a segment.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is no shape.
    pub(crate) fn of(segment: &Segment, code: u32) -> Result<Shape, format::Error> {
        ShapeEntries::of(segment, code).map(|read| read.shape)
    }

    /// The keys of the holes, in their order.
    pub(crate) fn holes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.holes.iter().map(|(_, key)| key.as_str())
    }

    /// The text, with a `0` in each hole.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Appends the text of the properties: this shape with `values` in its holes, one for each, in their order.
    pub(crate) fn assemble<'v>(&self, values: impl Iterator<Item = &'v str>, out: &mut String) {
        let mut behind = 0;
        for ((at, _), value) in self.holes.iter().zip(values) {
            out.push_str(&self.text[behind..*at]);
            out.push_str(value);
            behind = at + 1;
        }
        out.push_str(&self.text[behind..]);
    }

    /// Calls `visit` with each key of the properties, also those of the holes, as often as it comes.
    ///
    /// # Errors
    ///
    /// If the properties are no JSON object.
    pub(crate) fn for_each_key(&self, mut visit: impl FnMut(Cow<'_, str>)) -> Result<(), serde_json::Error> {
        for_each_entry(&self.text, |key, _| visit(string_text(key)))
    }

    /// The text of the value at `key` in a row of this shape that has no value in a column of that key's own. As
    /// [`PropertyKey::value_text`].
    ///
    /// # Errors
    ///
    /// If the properties are no JSON object.
    pub(crate) fn value_text(&self, key: &PropertyKey) -> Result<Option<Cow<'_, str>>, serde_json::Error> {
        if self.holes().any(|hole| hole == key.top()) { Ok(None) } else { key.value_text(&self.text) }
    }
}

/// A shape, and its entries: read in one pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShapeEntries {
    pub(crate) shape: Shape,
    /// Where the JSON texts of keys and values stand in the text. Properties that are no object have none.
    entries: Vec<(Range<usize>, Range<usize>)>,
}

impl ShapeEntries {
    /// Reads the bytes that [`split`] made. `None` if they are none of its work.
    fn read(bytes: Vec<u8>) -> Option<ShapeEntries> {
        let mut text = String::from_utf8(bytes).ok()?;
        if text.as_bytes().first() == Some(&HOLE) {
            text.remove(0);
            return Some(ShapeEntries { shape: Shape { text, holes: Vec::new() }, entries: Vec::new() });
        }
        let places: Vec<usize> = text.bytes().enumerate().filter(|(_, byte)| *byte == HOLE).map(|(at, _)| at).collect();
        if !places.is_empty() {
            text = text.replace('\0', "0");
        }
        let (mut holes, mut entries) = (Vec::with_capacity(places.len()), Vec::new());
        let note = |key: &str, value: &str| {
            let (key_at, at) = (place(&text, key), place(&text, value));
            entries.push((key_at..key_at + key.len(), at..at + value.len()));
            if places.binary_search(&at).is_ok() {
                holes.push((at, string_text(key).into_owned()));
            }
        };
        for_each_entry(&text, note).ok()?;
        let is_whole = holes.len() == places.len();
        is_whole.then_some(ShapeEntries { shape: Shape { text, holes }, entries })
    }

    /// As [`Shape::of`].
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is no shape.
    pub(crate) fn of(segment: &Segment, code: u32) -> Result<ShapeEntries, format::Error> {
        let mut bytes = Vec::new();
        segment.entry(Field::Shape, code, &mut bytes)?;
        ShapeEntries::read(bytes).ok_or_else(|| nonsense(segment, "shape"))
    }

    /// Calls `visit` with each entry whose key stands in the properties exactly once: its key, where its value is in the text, and
    /// whether that is a hole. In the order of the text.
    pub(crate) fn for_each_single(&self, mut visit: impl FnMut(&str, Range<usize>, bool)) {
        let Shape { text, holes } = &self.shape;
        let keys: Vec<Cow<'_, str>> = self.entries.iter().map(|(key, _)| string_text(&text[key.clone()])).collect();
        let mut sorted: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
        sorted.sort_unstable();
        let is_single = |key: &str| {
            let at = sorted.partition_point(|other| *other < key);
            sorted.get(at + 1).is_none_or(|next| *next != key)
        };
        for (key, (_, at)) in keys.iter().zip(&self.entries).filter(|(key, _)| is_single(key)) {
            visit(key, at.clone(), holes.binary_search_by_key(&at.start, |(hole, _)| *hole).is_ok());
        }
    }
}

impl Held for Shape {
    fn held_bytes(&self) -> usize {
        let keys: usize = self.holes.iter().map(|(_, key)| key.capacity() + size_of_val(key)).sum();
        self.text.capacity() + keys
    }
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
