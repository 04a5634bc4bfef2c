//! Few segments out of many.
//!
//! Segments arrive in numbers; the compactor merges them as [`query::Compaction`] plans it, and hands the outputs over as an
//! [`Exchange`](crate::appender::Exchange). The committer never waits for it, nor does a question: what is merged stays readable for
//! those who have begun to read it.
//!
//! Invariants:
//!
//! * One merge at a time, and no other thread makes a live segment go.
//! * Outputs are handed over when all of them are complete and synced, their names too, and were read back and found equal to their inputs.
//! * Inputs are removed only after the committer has said that the outputs are live, which it says after the manifest's proof.
//! * A segment is merged only when the files that it was made of are gone, durably: so a segment that says what it was made of names
//!   all files that could bring its rows back beside a damaged manifest.
//! * It writes no faster than it is told to, behind all other threads, and begins only if the outputs fit beside the reserve, which what takes
//!   rows off the disk may have. Lack of space is waited out; a failed sync is final, as everywhere.
//! * A segment that cannot be read is named and left alone until the next start; everything else that goes wrong is tried again later.
//!
//! * What segments share is found when there is nothing to merge, and never waited for: answers are the same without.
//! * A row is left out only if the catalog says that its site was removed, or keeps nothing so old; and nothing is left out for its age
//!   while the wall clock is not believed.
//!
//! Parts, in reading order: `worker` (the thread), `rules` (what is left out), `clock` (whether the time is right), `pace` (how fast it
//! writes). When there is room for that says `crate::space`.

mod clock;
mod pace;
mod rules;
mod worker;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use format::UnixMicros;
use format::fs::Space;
use query::Compaction;

use crate::appender::Appender;
use crate::catalog::Catalog;
use crate::health::Health;
use crate::sealer::Place;
use crate::store::Store;
pub(crate) use rules::Rules;
use worker::Worker;

/// For how long nothing must have arrived before what is there is settled.
const IDLE: Duration = Duration::from_secs(10);

/// How compaction goes on.
pub(crate) struct Policy {
    /// When to merge what.
    pub(crate) measures: Compaction,
    /// For how long nothing must have arrived before what is there is settled.
    pub(crate) idle: Duration,
    /// How many bytes are written a second, at most.
    pub(crate) bytes_per_second: u64,
    /// What is to be left out, at a time.
    pub(crate) rules: Box<dyn Fn(UnixMicros) -> Rules + Send>,
    /// When something was last committed.
    pub(crate) last_commit: UnixMicros,
    /// How much space there is; an error counts as enough.
    pub(crate) space: Box<dyn Fn() -> std::io::Result<Space> + Send>,
}

impl Policy {
    /// As in life, on the disk that `place` is on, for the sites of `catalog`.
    pub(crate) fn new(place: &Place, catalog: Arc<Catalog>, last_commit: UnixMicros, bytes_per_second: u64) -> Policy {
        let (fs, path) = (Arc::clone(&place.fs), place.segments_path.clone());
        Policy {
            measures: Compaction::default(),
            idle: IDLE,
            bytes_per_second,
            rules: Box::new(move |now| Rules::of(&catalog.contents(), now)),
            last_commit,
            space: Box::new(move || fs.space(&path)),
        }
    }
}

/// The compactor's thread.
pub(crate) struct Running {
    is_stopped: Arc<AtomicBool>,
    store: Arc<Store>,
    thread: JoinHandle<()>,
}

/// Starts the thread. A failure is in `health`.
///
/// # Errors
///
/// If the system refuses a thread.
pub(crate) fn start(policy: Policy, place: Place, appender: Appender, store: Arc<Store>, health: Arc<Health>) -> std::io::Result<Running> {
    let is_stopped = Arc::<AtomicBool>::default();
    let worker = Worker::new(policy, place, appender, Arc::clone(&store), Arc::clone(&is_stopped));
    let thread = thread::Builder::new().name("compactor".to_owned()).spawn(move || {
        if let Err(error) = worker.run() {
            tracing::error!(error = &error as &dyn std::error::Error, "a segment cannot be written: the daemon ends");
            health.fail("a segment cannot be written".to_owned());
        }
    })?;
    Ok(Running { is_stopped, store, thread })
}

impl Running {
    /// Ends the thread, whatever it is at, and waits for it. What was begun is planned again after the next start.
    pub(crate) fn stop(self) {
        // Relaxed: a hint; the bell's lock hands over more than this.
        self.is_stopped.store(true, Ordering::Relaxed);
        self.store.arrivals().ring();
        // A panic in it is a bug that loses nothing.
        let _ = self.thread.join();
    }
}
