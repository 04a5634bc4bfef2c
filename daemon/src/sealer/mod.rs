//! From closed logs to segments.
//!
//! A log is closed by the committer, which alone writes to manifest and store; the sealer builds a segment of it, hands it over as an
//! [`Exchange`](crate::appender::Exchange), and removes the log when the segment has taken its place. The committer never waits for it.
//!
//! Invariants:
//!
//! * Logs are sealed one after the other, oldest first, those that a start found among them.
//! * A segment is handed over when it is complete and synced, its name too, and was read back and found equal to its log.
//! * A log is removed only after the committer has said that the segment is live, which it says after the manifest's proof.
//! * Between two steps the process may end: the next start finds the log live and removes the segment, or the segment live and removes
//!   the log.
//! * Lack of space is waited out; a failed sync is final, as everywhere. A log that cannot be read whole, or whose segment cannot be
//!   written or is not equal to it, stays a log, which loses nothing: it is tried again later, and a start finds out what is lost.
//! * A log of which a start found something lost is sealed without that, which the manifest then names; the log itself is not removed,
//!   but set aside in `lost+found/`.
//!
//! Parts, in reading order: the committer's side (here), `worker` (the thread).

mod worker;

#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use format::SegmentId;
use format::fs::FileSystem;
use format::manifest::Lost;
use query::ClosedLog;
use tokio::sync::oneshot;

use crate::appender::Appender;
use crate::health::Health;
use crate::store::Store;
use worker::Worker;

/// Why logs are not sealed though somebody waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotSealed {
    /// There is no space for a segment, or for another log. They are sealed when there is.
    DiskFull,
    /// A log cannot be read whole, or its segment cannot be written. It stays a log, and is tried again later or when somebody asks.
    Kept,
    /// The daemon ends.
    Stopping,
}

/// A log that is to be sealed.
pub(crate) struct ToSeal {
    /// What can be read of it.
    pub(crate) log: ClosedLog,
    /// What cannot.
    pub(crate) lost: Vec<Lost>,
}

/// What the sealer is asked for.
enum Task {
    /// To seal this log.
    Seal(ToSeal),
    /// To tell when everything before is done.
    Tell(oneshot::Sender<Result<(), NotSealed>>),
}

/// The committer's side of the sealer. The thread ends soon after it is gone.
pub(crate) struct Sealer {
    tasks: Sender<Task>,
}

/// The thread's side of the sealer's queue.
pub(crate) struct Tasks(Receiver<Task>);

/// A queue for the sealer, both sides of it.
pub(crate) fn queue() -> (Sealer, Tasks) {
    let (sender, receiver) = channel();
    (Sealer { tasks: sender }, Tasks(receiver))
}

impl Sealer {
    /// Queues a log that was closed.
    pub(crate) fn seal(&self, log: ToSeal) {
        // A thread that has ended has said why.
        let _ = self.tasks.send(Task::Seal(log));
    }

    /// Tells `reply` when all logs that were queued before are sealed, or which of them cannot be for now. Those that could not be are
    /// tried again first.
    pub(crate) fn tell(&self, reply: oneshot::Sender<Result<(), NotSealed>>) {
        let _ = self.tasks.send(Task::Tell(reply));
    }
}

/// Where segments are made.
#[derive(Clone)]
pub(crate) struct Place {
    /// The file system of the data directory.
    pub(crate) fs: Arc<dyn FileSystem>,
    /// The data directory.
    pub(crate) data_path: PathBuf,
    /// The folder of logs.
    pub(crate) logs_path: PathBuf,
    /// The folder of segments.
    pub(crate) segments_path: PathBuf,
    /// The epoch of the data directory.
    pub(crate) epoch: [u8; 16],
    /// The key of the hashes of event ids.
    pub(crate) secret: [u8; 16],
    /// What segments are called, of all who make some.
    pub(crate) ids: Arc<SegmentIds>,
    /// How long a full disk is left alone.
    pub(crate) pause: Duration,
    /// How long a log that could not be sealed is left alone.
    pub(crate) patience: Duration,
}

/// Gives out the identities of segments.
#[derive(Debug)]
pub(crate) struct SegmentIds(AtomicU64);

impl From<SegmentId> for SegmentIds {
    /// Those from `first` on.
    fn from(first: SegmentId) -> SegmentIds {
        SegmentIds(AtomicU64::new(first.value()))
    }
}

impl SegmentIds {
    /// One that nobody else gets. One that is not used is left out for ever, or given out again by the next run.
    pub(crate) fn take(&self) -> SegmentId {
        // Relaxed: each caller needs a number of its own, and nothing is handed over.
        SegmentId::new(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// How long a full disk is left alone before a segment is tried again.
pub(crate) const PAUSE: Duration = Duration::from_secs(10);

/// How long a log that could not be sealed is left alone: reading a log again and again would wear a failing disk for nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// The sealer's thread.
pub(crate) struct Running {
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Starts the thread. A failure is in `health`.
///
/// # Errors
///
/// If the system refuses a thread.
pub(crate) fn start(tasks: Tasks, place: Place, appender: Appender, store: Arc<Store>, health: Arc<Health>) -> std::io::Result<Running> {
    let is_stopped = Arc::<AtomicBool>::default();
    let worker = Worker::new(tasks.0, place, appender, store, Arc::clone(&is_stopped));
    let thread = thread::Builder::new().name("sealer".to_owned()).spawn(move || {
        if let Err(error) = worker.run() {
            tracing::error!(error = &error as &dyn std::error::Error, "a segment cannot be written: the daemon ends");
            health.fail("a segment cannot be written".to_owned());
        }
    })?;
    Ok(Running { is_stopped, thread })
}

impl Running {
    /// Ends the thread, whatever it is at, and waits for it. What was begun is done again after the next start.
    pub(crate) fn stop(self) {
        // Relaxed: a hint, with nothing handed over.
        self.is_stopped.store(true, Ordering::Relaxed);
        // A panic in it is a bug that loses nothing.
        let _ = self.thread.join();
    }
}
