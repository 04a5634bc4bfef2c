//! The sealer's thread: one log after the other.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use format::sealed::SegmentHeader;
use format::{Error, Level, LogId, SegmentId, directory};
use query::{ClosedLog, ColumnRule, Sealed, Target};

use super::{NotSealed, Place, Task, ToSeal};
use crate::appender::{Appender, Exchange};
use crate::store::Store;
use crate::{instant, priority};

/// What the thread owns.
pub(super) struct Worker {
    tasks: Receiver<Task>,
    /// Taken from the queue and not begun.
    waiting: VecDeque<Task>,
    /// What could not be sealed, and when it is tried again.
    kept: VecDeque<(Instant, ToSeal)>,
    place: Place,
    appender: Appender,
    store: Arc<Store>,
    is_stopped: Arc<AtomicBool>,
    /// Whether the operator was told that there is no space, and not yet that there is.
    is_full: bool,
    /// Whether the daemon ends: a log may be left that was to be sealed.
    is_ending: bool,
}

/// How an attempt to seal a log ends, when it is not final.
enum Attempt {
    /// The segment is live.
    Done,
    /// There is no space, or no descriptor, as this says.
    Full(Error),
    /// The log stays one, for now.
    Kept,
    /// The daemon ends.
    Stopped,
}

impl Worker {
    pub(super) fn new(tasks: Receiver<Task>, place: Place, appender: Appender, store: Arc<Store>, is_stopped: Arc<AtomicBool>) -> Worker {
        Worker {
            tasks,
            waiting: VecDeque::new(),
            kept: VecDeque::new(),
            place,
            appender,
            store,
            is_stopped,
            is_full: false,
            is_ending: false,
        }
    }

    /// Seals what is queued until the committer is gone.
    ///
    /// # Errors
    ///
    /// What is final.
    pub(super) fn run(mut self) -> Result<(), Error> {
        while let Some(task) = self.next() {
            match task {
                Task::Seal(log) => self.seal(log)?,
                // Whoever asked may be gone.
                Task::Tell(reply) => drop(reply.send(self.outcome())),
            }
        }
        Ok(())
    }

    /// What became of all that was queued. What is kept was tried since whoever waits has asked.
    fn outcome(&self) -> Result<(), NotSealed> {
        match (self.is_ending, self.kept.is_empty()) {
            (true, _) => Err(NotSealed::Stopping),
            (false, false) => Err(NotSealed::Kept),
            (false, true) => Ok(()),
        }
    }

    fn next(&mut self) -> Option<Task> {
        loop {
            // Takes what has come, so that it is known how much waits.
            match self.tasks.try_recv() {
                Ok(task) => self.queue(task),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => break,
            }
        }
        if self.waiting.is_empty() {
            let timeout = self.kept.front().map(|(due, _)| due.saturating_duration_since(Instant::now()));
            match timeout.map_or_else(|| self.tasks.recv().map_err(Into::into), |timeout| self.tasks.recv_timeout(timeout)) {
                Ok(task) => self.queue(task),
                Err(RecvTimeoutError::Timeout) => self.waiting.extend(self.kept.pop_front().map(|(_, log)| Task::Seal(log))),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        self.waiting.pop_front()
    }

    /// Puts a task behind the others. When somebody asks, what could not be sealed is tried again at once: its reason may be gone.
    fn queue(&mut self, task: Task) {
        if matches!(task, Task::Tell(_)) {
            self.waiting.extend(self.kept.drain(..).map(|(_, log)| Task::Seal(log)));
        }
        self.waiting.push_back(task);
    }

    /// Seals a log, as soon as there is space for it.
    fn seal(&mut self, to_seal: ToSeal) -> Result<(), Error> {
        let begun = Instant::now();
        let (log, id) = (to_seal.log.id(), self.place.ids.take());
        // A segment that was built and could not be committed is tried again as it is.
        let mut built = None;
        loop {
            match self.attempt(&to_seal, id, &mut built)? {
                Attempt::Full(error) => {
                    if !std::mem::replace(&mut self.is_full, true) {
                        tracing::warn!(%log, error = &error as &dyn std::error::Error, "no space to seal a log");
                    }
                    if !self.pause() {
                        return Ok(());
                    }
                }
                Attempt::Done => {
                    if std::mem::replace(&mut self.is_full, false) {
                        tracing::info!("there is space to seal logs again");
                    }
                    tracing::info!(%log, segment = %id, seconds = begun.elapsed().as_secs_f64(), "sealed a log");
                    if to_seal.lost.is_empty() {
                        self.remove(log)?;
                    } else {
                        self.set_aside(log);
                    }
                    self.store.arrivals().ring();
                    return Ok(());
                }
                Attempt::Kept => {
                    self.appender.keep(log);
                    self.kept.push_back((Instant::now() + self.place.patience, to_seal));
                    return Ok(());
                }
                Attempt::Stopped => {
                    self.is_ending = true;
                    return Ok(());
                }
            }
        }
    }

    fn attempt(&self, to_seal: &ToSeal, id: SegmentId, built: &mut Option<Arc<Exchange>>) -> Result<Attempt, Error> {
        let ToSeal { log, lost } = to_seal;
        let exchange = match built {
            Some(exchange) => exchange,
            None => match self.build(log, id) {
                Ok(Some(sealed)) => {
                    let exchange = Exchange { logs: vec![log.id()], added: vec![sealed], lost: lost.clone(), ..Exchange::default() };
                    built.insert(Arc::new(exchange))
                }
                Ok(None) => return Ok(Attempt::Kept),
                Err(error) => return judge(log.id(), error),
            },
        };
        Ok(match self.appender.exchange(exchange) {
            Some(Ok(())) => Attempt::Done,
            Some(Err(error)) => Attempt::Full(error),
            None => Attempt::Stopped,
        })
    }

    /// Writes the segment, its name too, syncs it, and compares it with the log. `None` if that panicked, which is a bug of one log.
    fn build(&self, log: &ClosedLog, id: SegmentId) -> Result<Option<Sealed>, query::Error> {
        let Place { fs, segments_path: dir, epoch, secret, .. } = &self.place;
        let path = dir.join(id.file_name());
        match fs.remove(&path) {
            // Of an attempt before, which could not take it away itself.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", &path)(error).into()),
            _ => {}
        }
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| Error::io("make a salt for", &path)(io::Error::other(error)))?;
        let header = SegmentHeader { id, salt, epoch: *epoch, created: instant::now() };
        let target = Target { fs: &**fs, dir, header: &header, id_secret: *secret, columns: ColumnRule::default(), level: Level::Arrived };
        let stopped = &*self.is_stopped;
        let is_stopped = || stopped.load(Ordering::Relaxed);
        // Each log on a thread of its own: a thread can only be put back, never forward again.
        let is_behind = self.waiting.iter().any(|task| matches!(task, Task::Seal(_)));
        let work = || {
            priority::as_sealing_thread(is_behind);
            query::seal(target, log, Some(log.id()), &is_stopped)
        };
        let joined = thread::scope(|scope| {
            let thread = thread::Builder::new().name("sealing".to_owned()).spawn_scoped(scope, work);
            thread.map(ScopedJoinHandle::join).map_err(Error::io("start a thread to seal", &path))
        })?;
        let Ok(sealed) = joined else {
            tracing::error!(log = %log.id(), "sealing panicked: the log stays as it is");
            return Ok(None);
        };
        sealed.map(Some)
    }

    /// Removes a log whose rows a live segment has.
    fn remove(&self, log: LogId) -> Result<(), Error> {
        let path = self.place.logs_path.join(log.file_name());
        if let Err(error) = self.place.fs.remove(&path) {
            // It takes space until the next start, and does no harm.
            tracing::warn!(%log, error = &error as &dyn std::error::Error, "cannot remove a log that is sealed");
            return Ok(());
        }
        self.place.fs.sync_dir(&self.place.logs_path).map_err(Error::io("sync", &self.place.logs_path))
    }

    /// Sets aside a log of which something is lost, and whose other rows a live segment has.
    fn set_aside(&self, log: LogId) {
        match directory::set_aside(&*self.place.fs, &self.place.data_path, log) {
            Ok(name) => {
                tracing::warn!(%log, name, "moved a log of which something is lost to lost+found");
                self.store.note_set_aside(name);
            }
            // The next start does it.
            Err(error) => {
                tracing::warn!(%log, error = &error as &dyn std::error::Error, "cannot set aside a log of which something is lost");
            }
        }
    }

    /// Rests while the disk is full. Whoever waits is told so; who asks meanwhile has it tried again at once. `false` if the daemon ends.
    fn pause(&mut self) -> bool {
        for task in std::mem::take(&mut self.waiting) {
            match task {
                Task::Tell(reply) => drop(reply.send(Err(NotSealed::DiskFull))),
                log => self.waiting.push_back(log),
            }
        }
        let until = Instant::now() + self.place.pause;
        loop {
            match self.tasks.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(task) => {
                    let is_asked = matches!(task, Task::Tell(_));
                    self.queue(task);
                    if is_asked {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }
}

/// What a failure to build a segment means.
///
/// # Errors
///
/// `error`, if it is final.
fn judge(log: LogId, error: query::Error) -> Result<Attempt, Error> {
    match error {
        query::Error::Stopped => return Ok(Attempt::Stopped),
        query::Error::Record(error) | query::Error::Segment { source: error, .. }
            if matches!(error, Error::Full { .. }) || error.is_out_of_descriptors() =>
        {
            return Ok(Attempt::Full(error));
        }
        query::Error::Record(source) | query::Error::Segment { source, .. } if source.is_failed_sync() => return Err(source),
        _ => {}
    }
    tracing::error!(%log, error = &error as &dyn std::error::Error, "a log cannot be sealed for now, and stays as it is");
    Ok(Attempt::Kept)
}
