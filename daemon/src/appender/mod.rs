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
//! Parts, in reading order: [`submission`] (what comes in and goes out), [`queue`] (the bounded way in), [`taken`] (what is
//! not answered yet), [`names`] (how many of them), [`sealed_ids`] (which ids segments hold), [`unsealed`] (the closed logs that no segment has
//! the place of), [`logs`] (the files below), [`committer`] (the thread).

mod committer;
mod exchange;
mod logs;
mod names;
mod queue;
mod sealed_ids;
mod submission;
mod taken;
mod unsealed;

#[cfg(test)]
pub(crate) mod double;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use self::committer::Committer;
pub(crate) use self::committer::{Policy, Recovered};
pub(crate) use self::exchange::Exchange;
pub(crate) use self::logs::Logs;
pub(crate) use self::names::{MAX_NAMES, Names};
pub(crate) use self::queue::{Appender, Queue, queue};
pub(crate) use self::submission::{Outcome, Submission};
pub(crate) use self::unsealed::Unsealed;
use crate::health::Health;
use crate::sealer::Sealer;
use crate::store::Store;

/// Starts the committer on a thread of its own. The thread ends after [`Appender::stop`], and after a failure, which is then in
/// `health`; `sealer` learns it by losing its way to here.
///
/// # Errors
///
/// If the system refuses a thread.
pub(crate) fn start(
    queue: Queue,
    recovered: Recovered,
    logs: Box<dyn Logs>,
    sealer: Sealer,
    store: Arc<Store>,
    health: Arc<Health>,
    policy: Policy,
) -> std::io::Result<JoinHandle<()>> {
    let committer = Committer::new(queue, logs, recovered, sealer, store, health, policy);
    let thread = thread::Builder::new().name("appender".to_owned()).spawn(move || {
        let _abort = AbortOnPanic;
        committer.run();
    })?;
    Ok(thread)
}

/// A committer that panicked halfway would leave clients waiting and nobody appending: the next start recovers, so the process ends.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}
