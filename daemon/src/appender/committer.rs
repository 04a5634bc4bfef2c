//! The committer's thread: what it does with a batch, and when it does something without being asked.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use format::{ByteOffset, LogWriter, RecordHead, Segment, Sequence, SiteId, UnixMicros};
use query::{ActiveIndex, ActiveWriter};
use tokio::sync::oneshot;

use super::logs::Logs;
use super::names::Names;
use super::queue::{Commit, Queue, Request, Work};
use super::sealed_ids::SealedIds;
use super::submission::{Outcome, Submission};
use super::taken::Taken;
use super::unsealed::{ROTATION_INDEX_BYTES, Unsealed, UnsealedLogs};
use crate::config::SyncMode;
use crate::health::Health;
use crate::instant;
use crate::sealer::{NotSealed, Sealer};
use crate::store::Store;

/// The most bytes of records in one batch: a sync of more would delay every answer in it, and one of less would waste syncs.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// How often the processor is offered to others before a batch is collected.
///
/// Where handlers wait for it, what they are about to submit joins this batch, and fewer syncs carry more. Where nobody waits, the call
/// returns at once and delays nothing, which a pause of any length would.
const YIELDS: u32 = 8;

/// What must wait for a sync to be worth its while, as the queue counts: some fifty single events. Collecting more would leave the
/// handlers without work during the sync.
const ENOUGH_BYTES: usize = 32 * 1024;

/// How long nothing must have come before the last batch is proven by another commit frame.
const IDLE: Duration = Duration::from_secs(1);

/// Rotation by age needs this much in the log; smaller ones wait for a day, or every quiet hour would leave a file.
const MIN_AGED_BYTES: u64 = 1024 * 1024;

/// The age at which a log of any size is rotated.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When the committer syncs and rotates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// When answers may leave.
    pub(crate) sync: SyncMode,
    /// The length at which a log is closed.
    pub(crate) segment_bytes: u64,
    /// The age at which one of some size is closed.
    pub(crate) segment_age: Duration,
}

/// The one committer and everything it owns.
pub(super) struct Committer {
    queue: Queue,
    logs: Box<dyn Logs>,
    log: LogWriter,
    /// Since when this log is open here, and how old it was then.
    opened: Instant,
    aged: Duration,
    index: ActiveWriter,
    /// Its readers' side.
    readers: Arc<ActiveIndex>,
    /// The unsealed logs before this one, oldest first.
    earlier: UnsealedLogs,
    /// For the ids in them.
    segments: SealedIds,
    sealer: Sealer,
    /// Who waits for the open log to be closed, because too many are unsealed.
    sealing: Vec<oneshot::Sender<Result<(), NotSealed>>>,
    names: Names,
    store: Arc<Store>,
    health: Arc<Health>,
    policy: Policy,
    /// Whether the operator was told that there is no space, and not yet that there is.
    is_full: bool,
    taken: Taken,
    /// What was taken and did not go with the batch before it.
    carried: Option<Work>,
    /// When the interval of the oldest answer that is held ends.
    sync_at: Option<Instant>,
    /// When the last batch is to be proven, if it is not.
    prove_at: Option<Instant>,
}

/// What the committer is given at the start.
pub(crate) struct Recovered {
    /// The log to go on with.
    pub(crate) log: LogWriter,
    /// Its index, and the readers' side of it.
    pub(crate) index: ActiveWriter,
    pub(crate) readers: Arc<ActiveIndex>,
    /// The unsealed logs before it, oldest first.
    pub(crate) earlier: Vec<Unsealed>,
    /// The segments.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The names of the events in all of them.
    pub(crate) names: Names,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Next {
    Work,
    Stop,
}

impl Committer {
    pub(super) fn new(
        queue: Queue,
        logs: Box<dyn Logs>,
        recovered: Recovered,
        sealer: Sealer,
        store: Arc<Store>,
        health: Arc<Health>,
        policy: Policy,
    ) -> Committer {
        let Recovered { log, index, readers, earlier, segments, names } = recovered;
        earlier.iter().for_each(|log| sealer.seal(log.to_seal()));
        Committer {
            queue,
            logs,
            aged: age(log.created(), instant::now()),
            log,
            opened: Instant::now(),
            index,
            readers,
            earlier: UnsealedLogs::from(earlier),
            segments: SealedIds::from(segments),
            sealer,
            sealing: Vec::new(),
            names,
            store,
            health,
            policy,
            is_full: false,
            taken: Taken::default(),
            carried: None,
            sync_at: None,
            prove_at: None,
        }
    }

    /// Commits until it is told to stop, or fails for good. A failure is on the log, in the health, and answered.
    pub(super) fn run(mut self) {
        if let Err(error) = self.serve() {
            tracing::error!(error = &error as &dyn std::error::Error, "the log takes no more events: the daemon ends");
            // Not ready before the first answer: whoever is told that the outcome is unknown finds the daemon ending.
            self.health.fail("the log cannot be written".to_owned());
            self.answer_all(|_| Outcome::Unknown);
        }
    }

    fn serve(&mut self) -> Result<(), format::Error> {
        while self.take()? == Next::Work {
            self.keep_time()?;
        }
        self.sync()?;
        self.answer_all(|outcome| outcome);
        match self.log.prove(instant::now(), true) {
            // Without space for a last frame the next start repairs what needs none.
            Err(format::Error::Full { .. }) => Ok(()),
            other => other,
        }
    }

    /// Waits for work and commits it.
    fn take(&mut self) -> Result<Next, format::Error> {
        let work = match self.carried.take() {
            Some(work) => work,
            None => match self.wait() {
                Ok(work) => work,
                Err(RecvTimeoutError::Timeout) => return Ok(Next::Work),
                Err(RecvTimeoutError::Disconnected) => return Ok(Next::Stop),
            },
        };
        let first = match work {
            Work::Store(first) => first,
            Work::Stop => return Ok(Next::Stop),
            other => return self.care(other),
        };
        for _ in 0..YIELDS {
            if self.queue.waiting_bytes() >= ENOUGH_BYTES {
                break;
            }
            thread::yield_now();
        }
        self.collect(first);
        self.commit()?;
        Ok(Next::Work)
    }

    fn wait(&self) -> Result<Work, RecvTimeoutError> {
        let due = [self.sync_at, self.prove_at, self.rotate_at()].into_iter().flatten().min();
        match due {
            Some(due) => self.queue.work.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => self.queue.work.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Takes what waits, up to the bound of a batch; at least `first`.
    fn collect(&mut self, first: Request) {
        let mut bytes = first.submission.len_bytes();
        self.taken.push(first);
        while let Ok(work) = self.queue.work.try_recv() {
            match work {
                Work::Store(request) if bytes + request.submission.len_bytes() <= BATCH_BYTES => {
                    bytes += request.submission.len_bytes();
                    self.taken.push(request);
                }
                other => {
                    self.carried = Some(other);
                    break;
                }
            }
        }
    }

    /// Does what has to do with sealing.
    fn care(&mut self, work: Work) -> Result<Next, format::Error> {
        match work {
            Work::Exchange(commit) => self.exchange(commit)?,
            Work::Keep(log) => self.earlier.keep(log),
            Work::Seal(reply) => self.sealing.push(reply),
            Work::Store(_) | Work::Stop => unreachable!("it was taken for what it is"),
        }
        if !self.sealing.is_empty() && !self.earlier.are_too_many() {
            self.close_and_tell()?;
        }
        Ok(Next::Work)
    }

    /// Puts segments in the place of what they were made of.
    fn exchange(&mut self, Commit { exchange, reply }: Commit) -> Result<(), format::Error> {
        let outcome = match self.logs.exchange(&exchange) {
            Ok(()) => {
                self.store.exchange(&exchange);
                self.segments.exchange(&exchange);
                Ok(self.earlier.take(&exchange.logs))
            }
            Err(error @ format::Error::Full { .. }) => Err(error),
            Err(error) => return Err(error),
        };
        // Whoever made them and has ended does without.
        let _ = reply.send(outcome);
        self.logs.tidy()
    }

    /// Closes the open log, if it holds anything, and lets the sealer tell those who asked when it is done.
    fn close_and_tell(&mut self) -> Result<(), format::Error> {
        self.settle()?;
        let refusal = if self.index.rows() == 0 { None } else { self.rotate()? };
        for reply in self.sealing.drain(..) {
            match refusal {
                None => self.sealer.tell(reply),
                Some(Outcome::DiskFull) => drop(reply.send(Err(NotSealed::DiskFull))),
                Some(_) => drop(reply.send(Err(NotSealed::Kept))),
            }
        }
        Ok(())
    }

    /// Appends the requests that are not held yet as one batch, and answers or holds them.
    fn commit(&mut self) -> Result<(), format::Error> {
        let refusal = if self.earlier.are_too_large(self.index.len_bytes()) {
            Some(Outcome::Behind)
        } else if !self.is_rotation_due() {
            None
        } else if self.earlier.are_too_many() {
            Some(Outcome::Behind)
        } else {
            self.rotate()?
        };
        if let Some(refusal) = refusal {
            if self.taken.refuse(refusal) {
                self.answer_all(|outcome| outcome);
            }
            return Ok(());
        }
        self.append()?;
        self.taken.hold();
        match self.policy.sync {
            SyncMode::Always => self.settle(),
            // Nothing new, or what is held was synced when a write was undone: readers may not see it yet.
            SyncMode::Interval(_) if self.log.is_synced() => self.settle(),
            SyncMode::Interval(interval) => {
                self.sync_at.get_or_insert_with(|| Instant::now() + interval);
                Ok(())
            }
            SyncMode::Os => {
                self.index.publish(self.log.end());
                self.answer_all(not_durable);
                Ok(())
            }
        }
    }

    /// Finds the outcome of each new record, appends those that are to be stored as one batch, and indexes them.
    fn append(&mut self) -> Result<(), format::Error> {
        let Committer { logs, taken, log, index, earlier, segments, names, is_full, .. } = self;
        let first = log.next_sequence();
        let (submissions, outcomes) = taken.batch();
        let mut stored: Vec<(ByteOffset, RecordHead<'_>)> = Vec::with_capacity(submissions.clone().map(Submission::len).sum());
        // Ids within this batch, which the index does not hold yet. Allocates with the first one.
        let mut ids: HashMap<(SiteId, &str), Sequence> = HashMap::new();
        let mut next = first;
        for bytes in submissions.flat_map(Submission::iter) {
            let record = RecordHead::decode(bytes).expect("a submission holds encoded records");
            let before = record.event_id.and_then(|id| {
                let in_logs = index.first_with_id(record.site, id);
                let in_logs = in_logs.or_else(|| earlier.first_with_id(record.site, id));
                let in_batch = in_logs.or_else(|| ids.get(&(record.site, id)).copied());
                in_batch.or_else(|| segments.first(record.site, id))
            });
            if let Some(sequence) = before {
                outcomes.push(Outcome::Duplicate { sequence, durable: true });
                continue;
            }
            if !names.admit(&record) {
                outcomes.push(Outcome::TooManyNames);
                continue;
            }
            if let Some(id) = record.event_id {
                ids.insert((record.site, id), next);
            }
            stored.push((log.push(bytes), record));
            outcomes.push(Outcome::Stored { sequence: next, durable: true });
            next = next.after(1);
        }
        if stored.is_empty() {
            return Ok(());
        }
        let growth = log.growth_bytes();
        // Asked again for every batch that is refused, so that events are taken again as soon as there is space.
        let appended = if growth == 0 || logs.has_room(growth, earlier.longest().max(log.end().value())) {
            log.append(instant::now())
        } else {
            log.discard();
            Err(format::Error::Full { path: log.reader().path().to_owned(), source: io::ErrorKind::StorageFull.into() })
        };
        let refusal = match appended {
            Ok(_) => {
                if mem::take(is_full) {
                    tracing::info!("there is space for events again");
                }
                names.keep();
                let mut sequence = first;
                for (offset, record) in &stored {
                    index.push(sequence, *offset, record);
                    sequence = sequence.after(1);
                }
                self.prove_at = (self.policy.sync != SyncMode::Os).then(|| Instant::now() + IDLE);
                return Ok(());
            }
            Err(error @ format::Error::Full { .. }) => {
                if !mem::replace(is_full, true) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "no space for events");
                }
                Outcome::DiskFull
            }
            Err(error @ format::Error::TooLarge { .. }) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a batch is too large");
                Outcome::TooLarge
            }
            Err(error) => return Err(error),
        };
        self.names.give_back();
        self.taken.take_back(first, refusal);
        Ok(())
    }

    /// Syncs what was appended and lets readers see it.
    fn sync(&mut self) -> Result<(), format::Error> {
        if !self.log.is_synced() {
            self.log.sync()?;
        }
        self.index.publish(self.log.end());
        Ok(())
    }

    /// Syncs what was appended, lets readers see it, and answers.
    fn settle(&mut self) -> Result<(), format::Error> {
        self.sync()?;
        self.answer_all(|outcome| outcome);
        Ok(())
    }

    fn answer_all(&mut self, tell: impl Fn(Outcome) -> Outcome) {
        self.taken.answer(&self.queue, tell);
        self.sync_at = None;
    }

    /// Does what is due by the clock.
    fn keep_time(&mut self) -> Result<(), format::Error> {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= Instant::now());
        if is_due(self.sync_at) {
            self.settle()?;
        }
        if is_due(self.prove_at) {
            self.prove()?;
        }
        if is_due(self.rotate_at()) {
            self.settle()?;
            if self.rotate()?.is_some() {
                // Try again in an hour rather than in a loop; a batch that needs space finds out by itself.
                self.opened += Duration::from_secs(60 * 60);
            }
        }
        Ok(())
    }

    fn prove(&mut self) -> Result<(), format::Error> {
        self.prove_at = None;
        match self.log.prove(instant::now(), false) {
            Err(format::Error::Full { .. }) => {}
            other => other?,
        }
        self.settle()
    }

    fn is_rotation_due(&self) -> bool {
        self.log.end().value() >= self.policy.segment_bytes || self.index.len_bytes() >= ROTATION_INDEX_BYTES
    }

    /// When the log is old enough to be closed; never while it is empty.
    fn rotate_at(&self) -> Option<Instant> {
        if self.earlier.are_too_many() {
            return None;
        }
        let is_aged = self.log.end().value() >= MIN_AGED_BYTES;
        let age = if is_aged { self.policy.segment_age } else { self.policy.segment_age.max(DAY) };
        (self.index.rows() > 0).then(|| self.opened + age.saturating_sub(self.aged))
    }

    /// Goes on in a new log. If there is no space for one, or no descriptor, what to answer events that would need it.
    fn rotate(&mut self) -> Result<Option<Outcome>, format::Error> {
        if !self.log.is_synced() {
            // What is held was appended to the log that ends here.
            self.log.sync()?;
            self.index.publish(self.log.end());
        }
        let log = match self.logs.next(&self.log) {
            Ok(log) => log,
            Err(error @ format::Error::Full { .. }) => {
                if !mem::replace(&mut self.is_full, true) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "no space for a new log");
                }
                return Ok(Some(Outcome::DiskFull));
            }
            Err(error) if error.is_out_of_descriptors() => {
                if !mem::replace(&mut self.is_full, true) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "no file descriptor for a new log");
                }
                return Ok(Some(Outcome::Behind));
            }
            Err(error) => return Err(error),
        };
        tracing::info!(log = %log.id(), first_sequence = log.next_sequence().value(), "a new log");
        let (writer, readers) = ActiveWriter::new(Arc::clone(log.reader()));
        self.store.add(Arc::clone(&readers));
        let index = mem::replace(&mut self.readers, readers);
        let closed = Unsealed { writer: mem::replace(&mut self.index, writer), index, lost: Vec::new(), is_kept: false };
        self.sealer.seal(closed.to_seal());
        self.earlier.push(closed);
        self.log = log;
        self.opened = Instant::now();
        self.aged = Duration::ZERO;
        self.prove_at = None;
        Ok(None)
    }
}

/// How old a log is; one from the future, under a clock that was set back, is new.
fn age(created: UnixMicros, now: UnixMicros) -> Duration {
    Duration::from_micros(u64::try_from(now.micros().saturating_sub(created.micros())).unwrap_or(0))
}

fn not_durable(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Stored { sequence, .. } => Outcome::Stored { sequence, durable: false },
        Outcome::Duplicate { sequence, .. } => Outcome::Duplicate { sequence, durable: false },
        other => other,
    }
}
