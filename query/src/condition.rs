//! Conditions on rows: which of a term's rows count.

use std::ops::Range;

use format::sealed::Run;
use format::{Record, Segment};

use crate::by_value::ByValue;
use crate::error::Error;
use crate::property::PropertyKey;

/// What a row has to meet to count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Condition {
    /// The property at `key` has this text; a missing or null one has none.
    Property {
        /// Where the value is.
        key: PropertyKey,
        /// Its text as the contract writes it: strings as they are, `49.9`, `true`, nested values as compact JSON.
        value: String,
    },
}

/// Whether a record meets all of `conditions`.
///
/// # Errors
///
/// If one asks for properties, and those of the record are no JSON object.
pub(crate) fn all_met(conditions: &[Condition], record: &Record<'_>) -> Result<bool, serde_json::Error> {
    for condition in conditions {
        let Condition::Property { key, value } = condition;
        if key.value_text(record.properties)?.as_deref() != Some(value.as_str()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Conditions on the rows of a run of a segment.
pub(crate) struct Filter<'s> {
    conditions: Vec<(ByValue<'s, bool>, &'s str)>,
    all_met: Vec<bool>,
    met: Vec<bool>,
}

impl<'s> Filter<'s> {
    pub(crate) fn new(segment: &'s Segment, run: &Run, conditions: &'s [Condition]) -> Result<Filter<'s>, format::Error> {
        let reader = |condition: &'s Condition| {
            let Condition::Property { key, value } = condition;
            Ok((ByValue::new(segment, run, key)?, value.as_str()))
        };
        let conditions = conditions.iter().map(reader).collect::<Result<_, format::Error>>()?;
        Ok(Filter { conditions, all_met: Vec::new(), met: Vec::new() })
    }

    /// Of each of `rows`, whether it meets all conditions.
    ///
    /// # Errors
    ///
    /// As [`ByValue::read`].
    pub(crate) fn read(&mut self, rows: Range<u32>) -> Result<&[bool], Error> {
        self.all_met.clear();
        self.all_met.resize(rows.len(), true);
        for (by_value, expected) in &mut self.conditions {
            self.met.clear();
            by_value.read(rows.clone(), &mut |text| text == Some(*expected), &mut self.met)?;
            for (all, met) in self.all_met.iter_mut().zip(&self.met) {
                *all &= met;
            }
        }
        Ok(&self.all_met)
    }
}
