//! Conditions on rows: which of a term's rows count.

use format::Record;

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
