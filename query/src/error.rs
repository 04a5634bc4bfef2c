//! Why a question has no answer.

use format::{ByteOffset, LogId};

use crate::bucket::MAX_BUCKETS;

/// Why a question could not be asked or answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A range holds more than [`MAX_BUCKETS`] buckets of the unit asked for; ask for a longer unit or a shorter range.
    #[error("the range holds more than {MAX_BUCKETS} buckets")]
    TooManyBuckets,
    /// The time zone database, which is compiled in, has no zone of this name.
    #[error("unknown time zone {name:?}")]
    UnknownZone {
        /// What was asked for.
        name: String,
    },
    /// The text names no unit of buckets.
    #[error("unknown interval {text:?}; expected hour, day, week or month")]
    UnknownUnit {
        /// What was asked for.
        text: String,
    },
    /// The text is no path to a property.
    #[error("malformed property key at byte {at}")]
    BadPropertyKey {
        /// Bytes from the start of the key to what was not expected there.
        at: usize,
    },
    /// The snapshot's question was stopped before it had its answer.
    #[error("stopped")]
    Stopped,
    /// A record that the answer needs cannot be read: the medium or another program changed it.
    #[error("cannot read a record")]
    Record(#[from] format::Error),
    /// The properties of a record are no JSON object. Its frame verifies, so it was written like this; whoever appends has to check.
    #[error("properties of the record at byte {offset} of log {log} are no JSON object")]
    BadProperties {
        /// The log that holds the record.
        log: LogId,
        /// The start of its frame.
        offset: ByteOffset,
        /// What the parser says.
        source: serde_json::Error,
    },
}
