//! What a property says of the rows of a run, worked out once per distinct value.
//!
//! No record is put together: rows that share the value in the key's column, or, where the key has no column or the row no value in
//! it, the shape, have the same property. So a question costs a look-up a row, and its work only once for each value and shape.

use std::ops::Range;

use format::sealed::{Field, Run};
use format::{Error, Segment};

use crate::error;
use crate::property::PropertyKey;
use crate::rows::nonsense;
use crate::shape::Shape;

/// What `T` each row of a run gets, by its text at a key.
pub(crate) struct ByValue<'s, T> {
    segment: &'s Segment,
    key: &'s PropertyKey,
    column: Option<ValueColumn<T>>,
    /// By shape code, as far as known; row without properties is code 0.
    shapes: Vec<Option<T>>,
    codes: Vec<u32>,
    shape_codes: Vec<u32>,
    scratch: Vec<u8>,
}

/// The column of the key.
struct ValueColumn<T> {
    run: Run,
    number: usize,
    /// By code.
    values: Vec<Option<T>>,
}

impl<'s, T: Copy + Default> ByValue<'s, T> {
    /// Nothing worked out yet.
    pub(crate) fn new(segment: &'s Segment, run: &Run, key: &'s PropertyKey) -> Result<ByValue<'s, T>, Error> {
        let number = segment.property_keys(run)?.iter().position(|column| column == key.top());
        let column = number.map(|number| ValueColumn { run: run.clone(), number, values: Vec::new() });
        Ok(ByValue { segment, key, column, shapes: Vec::new(), codes: Vec::new(), shape_codes: Vec::new(), scratch: Vec::new() })
    }

    /// Appends the `T` of each of `rows` to `out`; `make` makes it of a text, or of none if the property is missing or null.
    ///
    /// # Errors
    ///
    /// [`error::Error::Record`] if the segment cannot be read; [`error::Error::BadShape`].
    pub(crate) fn read(
        &mut self,
        rows: Range<u32>,
        make: &mut impl FnMut(Option<&str>) -> T,
        out: &mut Vec<T>,
    ) -> Result<(), error::Error> {
        self.codes.clear();
        self.shape_codes.clear();
        if let Some(column) = &self.column {
            self.segment.property_codes(&column.run, column.number, rows.clone(), &mut self.codes)?;
        }
        if self.column.is_none() || self.codes.contains(&0) {
            self.segment.codes(Field::Shape, rows.clone(), &mut self.shape_codes)?;
        }
        // Out of the way of what is worked out.
        let (codes, shape_codes) = (std::mem::take(&mut self.codes), std::mem::take(&mut self.shape_codes));
        let at = out.len();
        out.resize(at + rows.len(), T::default());
        let out = &mut out[at..];
        if codes.is_empty() {
            for (out, shape) in out.iter_mut().zip(&shape_codes) {
                *out = self.known_or_shape(*shape, make)?;
            }
        } else if shape_codes.is_empty() {
            // Every row has a value in the column.
            for (out, code) in out.iter_mut().zip(&codes) {
                *out = self.known_or_value(*code, make)?;
            }
        } else {
            for ((out, code), shape) in out.iter_mut().zip(&codes).zip(&shape_codes) {
                *out = if *code == 0 { self.known_or_shape(*shape, make)? } else { self.known_or_value(*code, make)? };
            }
        }
        (self.codes, self.shape_codes) = (codes, shape_codes);
        Ok(())
    }

    #[inline(always)]
    fn known_or_value(&mut self, code: u32, make: &mut impl FnMut(Option<&str>) -> T) -> Result<T, error::Error> {
        let column = self.column.as_ref().expect("codes come from a column");
        match column.values.get(code as usize) {
            Some(Some(known)) => Ok(*known),
            _ => self.of_value(code, make),
        }
    }

    #[inline(always)]
    fn known_or_shape(&mut self, code: u32, make: &mut impl FnMut(Option<&str>) -> T) -> Result<T, error::Error> {
        match self.shapes.get(code as usize) {
            Some(Some(known)) => Ok(*known),
            _ => self.of_shape(code, make),
        }
    }

    /// Works out a value that was not seen before.
    #[cold]
    fn of_value(&mut self, code: u32, make: &mut impl FnMut(Option<&str>) -> T) -> Result<T, error::Error> {
        let column = self.column.as_mut().expect("codes come from a column");
        self.scratch.clear();
        self.segment.property_value(&column.run, column.number, code, &mut self.scratch)?;
        let value = std::str::from_utf8(&self.scratch).map_err(|_| nonsense(self.segment, "property value"))?;
        let text = self.key.text_below(value).map_err(|source| error::Error::BadShape { segment: self.segment.header().id, source })?;
        Ok(note(&mut column.values, code, make(text.as_deref())))
    }

    /// Works out a shape that was not seen before.
    #[cold]
    fn of_shape(&mut self, code: u32, make: &mut impl FnMut(Option<&str>) -> T) -> Result<T, error::Error> {
        if code == 0 {
            return Ok(note(&mut self.shapes, code, make(None)));
        }
        let shape = Shape::of(self.segment, code)?;
        let text = shape.value_text(self.key).map_err(|source| error::Error::BadShape { segment: self.segment.header().id, source })?;
        Ok(note(&mut self.shapes, code, make(text.as_deref())))
    }
}

fn note<T: Copy>(known: &mut Vec<Option<T>>, code: u32, made: T) -> T {
    let at = code as usize;
    if known.len() <= at {
        known.resize(at + 1, None);
    }
    known[at] = Some(made);
    made
}
