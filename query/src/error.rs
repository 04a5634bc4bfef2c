//! Why a question has no answer.

use format::{ByteOffset, LogId, Segment, SegmentId};

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
    /// When sealing or merging: a record cannot be read, or a segment cannot be written or read back.
    #[error(transparent)]
    Record(#[from] format::Error),
    /// A record of a log cannot be read: the medium or another program changed it. The other files still answer.
    #[error("cannot read the record at byte {offset} of log {log}")]
    Log {
        /// Which one.
        log: LogId,
        /// The start of the record's frame.
        offset: ByteOffset,
        /// Why.
        source: format::Error,
    },
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
    /// A segment cannot be read: the medium or another program changed it. The other files still answer.
    #[error("cannot read segment {segment}")]
    Segment {
        /// Which one.
        segment: SegmentId,
        /// Where in it, and why.
        source: format::Error,
    },
    /// Properties in a segment are no JSON object. Its blocks verify, so they were written like this; whoever appends has to check.
    #[error("properties in segment {segment} are no JSON object")]
    BadShape {
        /// The segment that holds them.
        segment: SegmentId,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// What was read back from a segment is not what it was made from: it must not replace it.
    #[error("segment {segment} has {found} rows that are not the {expected} it was made from")]
    NotEqual {
        /// The segment that was made.
        segment: SegmentId,
        /// Rows of the input.
        expected: u64,
        /// Rows that were read back.
        found: u64,
    },
}

impl Error {
    /// The same error, where something of `segment` was read.
    pub(crate) fn in_segment(self, segment: &Segment) -> Error {
        match self {
            Error::Record(source) => Error::Segment { segment: segment.header().id, source },
            other => other,
        }
    }

    /// Whether it is one of this segment, and there is an answer without it.
    pub(crate) fn is_of(&self, asked: &Segment) -> bool {
        match self {
            Error::Segment { segment, .. } | Error::BadShape { segment, .. } => *segment == asked.header().id,
            _ => false,
        }
    }

    /// Whether it is one of this log, and there is an answer without it.
    pub(crate) fn is_of_log(&self, asked: LogId) -> bool {
        match self {
            Error::Log { log, .. } | Error::BadProperties { log, .. } => *log == asked,
            _ => false,
        }
    }
}
