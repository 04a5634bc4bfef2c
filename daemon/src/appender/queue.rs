//! The way in: a channel that is bounded in bytes.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use format::LogId;
use tokio::sync::oneshot;

use super::exchange::Exchange;
use super::submission::{Busy, Outcome, Reply, Submission};
use super::unsealed::Unsealed;
use crate::sealer::NotSealed;

/// The most bytes that wait for the appender: four full batches, so that a slow sync is ridden out and memory stays flat.
pub(crate) const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// What a waiting request costs beside its records: the reply, the channel's slot, the allocations' heads.
const OVERHEAD_BYTES: usize = 512;

/// The handlers' side of the one committer.
#[derive(Clone)]
pub(crate) struct Appender {
    queue: Sender<Work>,
    /// Shared with the committer alone.
    waiting: Arc<Waiting>,
}

/// What the committer is asked for.
pub(super) enum Work {
    /// To store these records and to answer.
    Store(Request),
    /// To close the open log, if it holds anything, and to have told when all logs that are closed by then are sealed.
    Seal(oneshot::Sender<Result<(), NotSealed>>),
    /// To put segments in the place of what they were made of.
    Exchange(Commit),
    /// To count a log that cannot be sealed no more among those that wait for it.
    Keep(LogId),
    /// To finish what came before, and to end.
    Stop,
}

/// Records and the way back to whoever waits for them.
pub(super) struct Request {
    pub(super) submission: Submission,
    pub(super) reply: Reply,
}

/// Segments that are to be committed.
pub(super) struct Commit {
    pub(super) exchange: Arc<Exchange>,
    /// What the committer has no use for any more. [`format::Error::Full`] if there was no space for it and it may be tried again; dropped
    /// if it failed for good.
    pub(super) reply: SyncSender<Result<Vec<Unsealed>, format::Error>>,
}

/// How many bytes wait. A count and no hand-over: what waits travels through the channel, so every access may be relaxed.
#[derive(Default)]
struct Waiting(AtomicUsize);

/// The committer's side of the queue.
pub(crate) struct Queue {
    pub(super) work: Receiver<Work>,
    waiting: Arc<Waiting>,
}

/// A queue, both sides of it.
pub(crate) fn queue() -> (Appender, Queue) {
    let (sender, work) = channel();
    let waiting = Arc::<Waiting>::default();
    (Appender { queue: sender, waiting: Arc::clone(&waiting) }, Queue { work, waiting })
}

impl Appender {
    /// Whether a request would be refused now: asked before a body is read, so that an overload costs little.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.0.load(Ordering::Relaxed) >= QUEUE_BYTES
    }

    /// Queues one record. The future is ready once its outcome is known; dropping it changes nothing for the record.
    ///
    /// # Errors
    ///
    /// [`Busy`]; the record is not stored then.
    ///
    /// # Panics
    ///
    /// If the submission does not hold exactly one record.
    pub(crate) fn submit_one(&self, submission: Submission) -> Result<impl Future<Output = Outcome> + use<>, Busy> {
        assert_eq!(submission.len(), 1, "one outcome is the outcome of one record");
        let (reply, outcome) = oneshot::channel();
        self.enqueue(submission, Reply::One(reply))?;
        // The committer drops replies it cannot give when it has ended.
        Ok(async move { outcome.await.unwrap_or(Outcome::Stopping) })
    }

    /// Queues records that become one batch. The future is ready once all outcomes are known, in the order of the records; dropping
    /// it changes nothing for them.
    ///
    /// # Errors
    ///
    /// [`Busy`]; none of the records is stored then.
    pub(crate) fn submit(&self, submission: Submission) -> Result<impl Future<Output = Vec<Outcome>> + use<>, Busy> {
        let count = submission.len();
        let (reply, outcomes) = oneshot::channel();
        if count > 0 {
            self.enqueue(submission, Reply::Each(reply))?;
        }
        Ok(async move { outcomes.await.unwrap_or_else(|_| vec![Outcome::Stopping; count]) })
    }

    /// Closes the open log, if it holds anything. The future is ready once all logs that are closed by then are sealed.
    pub(crate) fn seal(&self) -> impl Future<Output = Result<(), NotSealed>> + use<> {
        let (reply, sealed) = oneshot::channel();
        // Without a committer the reply is dropped here.
        let _ = self.queue.send(Work::Seal(reply));
        async move { sealed.await.unwrap_or(Err(NotSealed::Stopping)) }
    }

    /// Puts segments in the place of what they were made of, and waits for it. `None` if the committer has ended: whether they are live
    /// shows at the next start.
    pub(crate) fn exchange(&self, exchange: &Arc<Exchange>) -> Option<Result<(), format::Error>> {
        let (reply, committed) = sync_channel(1);
        // Without a committer the reply is dropped here.
        let _ = self.queue.send(Work::Exchange(Commit { exchange: Arc::clone(exchange), reply }));
        // To free the index of a log takes a while: it is done here, where no event waits for it.
        committed.recv().ok().map(|outcome| outcome.map(drop))
    }

    /// Tells the committer that a log cannot be sealed for now, and may not be for long.
    pub(crate) fn keep(&self, log: LogId) {
        let _ = self.queue.send(Work::Keep(log));
    }

    /// Asks the committer to finish what is queued and to end. What comes later is answered with [`Outcome::Stopping`].
    pub(crate) fn stop(&self) {
        // A committer that has ended needs no telling.
        let _ = self.queue.send(Work::Stop);
    }

    fn enqueue(&self, submission: Submission, reply: Reply) -> Result<(), Busy> {
        let cost = cost(&submission);
        // Add first, look afterwards: two requests can then both be refused at the edge, and never both be taken past it.
        let before = self.waiting.0.fetch_add(cost, Ordering::Relaxed);
        if before > 0 && before + cost > QUEUE_BYTES {
            self.waiting.0.fetch_sub(cost, Ordering::Relaxed);
            return Err(Busy);
        }
        if self.queue.send(Work::Store(Request { submission, reply })).is_err() {
            // Without a committer the request is dropped here, and its future says that the daemon ends.
            self.waiting.0.fetch_sub(cost, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Queue {
    /// How many bytes are not yet answered, with what each request costs beside its records.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.0.load(Ordering::Relaxed)
    }

    /// Takes requests out of the count; called when their outcomes are known, because until then their bytes are in memory.
    ///
    /// All at once: each change of the count takes it away from the handlers' processors.
    pub(super) fn done<'s>(&self, submissions: impl Iterator<Item = &'s Submission>) {
        self.waiting.0.fetch_sub(submissions.map(cost).sum(), Ordering::Relaxed);
    }
}

fn cost(submission: &Submission) -> usize {
    submission.len_bytes() + OVERHEAD_BYTES
}
