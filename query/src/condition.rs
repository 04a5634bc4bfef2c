//! Conditions: which of a term's rows count.

use format::Record;

use crate::dimension::{Dimension, Wanted};
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
    /// The row's session has a pageview or an event on the site, in the span that is asked for, with this value. Of two such
    /// conditions each may be met by another row. A row without a session is one of its own.
    Session {
        /// What is compared.
        dimension: Dimension,
        /// Its text as the contract writes it.
        value: String,
    },
}

/// A property, and the text it has to have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'c> {
    pub(crate) key: &'c PropertyKey,
    pub(crate) text: &'c str,
}

/// Conditions by what they are asked of: properties of the row, values of its session.
pub(crate) fn sort(conditions: &[Condition]) -> (Vec<Expected<'_>>, Vec<Wanted<'_>>) {
    let (mut properties, mut sessions) = (Vec::new(), Vec::new());
    for condition in conditions {
        match condition {
            Condition::Property { key, value } => properties.push(Expected { key, text: value }),
            Condition::Session { dimension, value } => sessions.push(Wanted { dimension: *dimension, value }),
        }
    }
    (properties, sessions)
}

/// Whether a record has all of these properties.
///
/// # Errors
///
/// If properties are asked for, and those of the record are no JSON object.
pub(crate) fn all_met(properties: &[Expected<'_>], record: &Record<'_>) -> Result<bool, serde_json::Error> {
    for Expected { key, text } in properties {
        if key.value_text(record.properties)?.as_deref() != Some(*text) {
            return Ok(false);
        }
    }
    Ok(true)
}
