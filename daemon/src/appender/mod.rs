//! The one committer: batch, append, sync, publish, acknowledge.
//!
//! Handlers hand encoded records to [`Appender`] and wait for their outcome; one thread takes whatever waits, appends it as one
//! batch, syncs, lets readers see it, and only then answers.
//!
//! Invariants:
//!
//! * `Stored` or `Duplicate` with `durable` is said only after a sync that covers the record returned;
//! * sequences are given out by this thread alone, in commit order: unique, increasing, never reused;
//! * what waits is bounded in bytes; a full queue refuses before any work is done.
//!
//! Parts, in reading order: [`submission`] (what comes in and goes out), [`queue`] (the bounded way in).

#[cfg(test)]
pub(crate) mod double;
mod queue;
mod submission;

pub(crate) use self::queue::Appender;
pub(crate) use self::submission::{Busy, Outcome, Submission};
