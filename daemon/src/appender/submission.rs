//! What a handler hands to the appender, and what comes back.

use format::{Record, RecordError, Sequence};
use tokio::sync::oneshot;

/// The queue is full: nothing was done, and the client may try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full")]
pub(crate) struct Busy;

/// What became of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is stored.
    Stored {
        /// Its place in the commit order.
        sequence: Sequence,
        /// Whether it was synced.
        durable: bool,
    },
    /// Its id was stored before, or earlier in the same batch.
    Duplicate {
        /// The place of the first.
        sequence: Sequence,
        /// Whether the first was synced.
        durable: bool,
    },
    /// Its site has as many names of events as it may have, and this is another. It is not stored.
    TooManyNames,
    /// The batch it was in is longer than a log takes at once. It is not stored.
    TooLarge,
    /// There was no space. It is not stored, and may be sent again later.
    DiskFull,
    /// Too many logs wait to be sealed. It is not stored, and may be sent again soon.
    Behind,
    /// The sync failed: it may be stored or not.
    Unknown,
    /// The daemon ends. It is not stored.
    Stopping,
}

/// Encoded records that are to be stored in this order, in one batch.
#[derive(Default)]
pub(crate) struct Submission {
    bytes: Vec<u8>,
    /// Where each record after the first begins, so that a single one, which most submissions are, allocates nothing here.
    starts: Vec<usize>,
}

impl Submission {
    /// An empty one.
    pub(crate) fn new() -> Submission {
        Submission::default()
    }

    /// With one record.
    ///
    /// # Errors
    ///
    /// As [`Submission::push`].
    pub(crate) fn of(record: &Record<'_>) -> Result<Submission, RecordError> {
        let mut submission = Submission { bytes: Vec::with_capacity(256), starts: Vec::new() };
        submission.push(record)?;
        Ok(submission)
    }

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// [`RecordError::TooLong`]; the submission is as before then.
    pub(crate) fn push(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        let start = self.bytes.len();
        if let Err(error) = record.encode(&mut self.bytes) {
            self.bytes.truncate(start);
            return Err(error);
        }
        if start > 0 {
            self.starts.push(start);
        }
        Ok(())
    }

    /// How many records.
    pub(crate) fn len(&self) -> usize {
        if self.is_empty() { 0 } else { 1 + self.starts.len() }
    }

    /// Whether there is nothing to store.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes of all records together.
    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The encoded records in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.starts.iter().copied().chain((!self.is_empty()).then_some(self.bytes.len()));
        ends.scan(0, |start, end| {
            let bytes = &self.bytes[*start..end];
            *start = end;
            Some(bytes)
        })
    }
}

/// How the outcome gets back to the handler: one for a single event, one for each record of a bulk request.
pub(super) enum Reply {
    One(oneshot::Sender<Outcome>),
    Each(oneshot::Sender<Vec<Outcome>>),
}

impl Reply {
    /// Answers; a client that went away is no matter, its events are stored all the same.
    pub(super) fn send(self, outcomes: &[Outcome]) {
        match self {
            Reply::One(reply) => drop(reply.send(outcomes[0])),
            Reply::Each(reply) => drop(reply.send(outcomes.to_vec())),
        }
    }
}
