//! The threads that answer questions: few, so that ingest keeps its share of the processors, and each question with an end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::priority;

/// How long a question may take, waiting included.
const DEADLINE: Duration = Duration::from_secs(30);

/// How many questions may wait for a thread: more would not be answered before the deadline if each took half a second.
const QUEUE_LEN: usize = 64;

/// Why a question was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    /// It took longer than [`DEADLINE`], waiting included.
    #[error("the question took too long")]
    Late,
    /// As many wait for a thread as may.
    #[error("too many questions wait")]
    Full,
    /// The daemon has a bug, and its thread panicked.
    #[error("the question panicked")]
    Panicked,
}

type Job = Box<dyn FnOnce() + Send>;

/// `max(1, processors - 1)` threads, which end when the pool is dropped.
pub(crate) struct Pool {
    queue: SyncSender<Job>,
}

/// Tells a question that nobody waits for its answer any more. Asked between steps.
#[derive(Clone)]
pub(crate) struct Stop {
    abandoned: Arc<AtomicBool>,
    at: Instant,
}

impl Stop {
    /// Whether to go on would be in vain.
    pub(crate) fn is_due(&self) -> bool {
        // Relaxed: a hint, with nothing handed over.
        self.abandoned.load(Ordering::Relaxed) || Instant::now() >= self.at
    }
}

/// Sets the flag when the asking future goes away, whether it was answered or dropped.
struct Asker(Arc<AtomicBool>);

impl Drop for Asker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// If the system refuses a thread.
    pub(crate) fn start() -> std::io::Result<Pool> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self::with(processors.saturating_sub(1).max(1))
    }

    fn with(threads: usize) -> std::io::Result<Pool> {
        let (queue, jobs) = sync_channel(QUEUE_LEN);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new().name(format!("query-{number}")).spawn(move || {
                priority::as_query_thread();
                answer(&jobs);
            })?;
        }
        Ok(Pool { queue })
    }

    /// Runs `question` on one of the threads.
    ///
    /// # Errors
    ///
    /// [`Unanswered`].
    pub(crate) async fn run<T: Send + 'static>(&self, question: impl FnOnce(&Stop) -> T + Send + 'static) -> Result<T, Unanswered> {
        self.run_within(DEADLINE, question).await
    }

    async fn run_within<T: Send + 'static>(
        &self,
        deadline: Duration,
        question: impl FnOnce(&Stop) -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let (reply, answer) = oneshot::channel();
        let asker = Asker(Arc::default());
        let due = Instant::now() + deadline;
        let stop = Stop { abandoned: Arc::clone(&asker.0), at: due };
        let job = Box::new(move || {
            if !stop.is_due() {
                let _ = reply.send(question(&stop));
            }
        });
        self.queue.try_send(job).map_err(|_| Unanswered::Full)?;
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            // It was not begun, because it was due already.
            Ok(Err(_)) if Instant::now() >= due => Err(Unanswered::Late),
            Ok(Err(_)) => Err(Unanswered::Panicked),
            Err(_) => Err(Unanswered::Late),
        }
    }
}

fn answer(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A panic is a bug of one question: its asker gets no answer, the next question does.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
            tracing::error!("a question panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_question_is_answered_on_a_query_thread() {
        let pool = Pool::with(1).unwrap();
        let name = pool.run(|_| thread::current().name().map(str::to_owned)).await;
        assert_eq!(name, Ok(Some("query-0".to_owned())));
    }

    #[tokio::test]
    async fn a_question_ends_at_the_deadline_and_the_next_is_answered() {
        let pool = Pool::with(1).unwrap();
        // On a busy machine the deadline may pass before the thread comes to the question, which is then not begun: it gets longer.
        for deadline in (0..).map(|power| Duration::from_millis(10 << power)) {
            let (tell, told) = std::sync::mpsc::channel();
            let (ended, end) = std::sync::mpsc::channel();
            let endless = pool.run_within(deadline, move |stop| {
                while !stop.is_due() {
                    thread::yield_now();
                }
                ended.send(told.recv()).unwrap();
            });
            let answer = tokio::time::timeout(DEADLINE, endless).await;
            assert_eq!(answer, Ok(Err(Unanswered::Late)), "whoever asked is told before the question has ended");
            let _ = tell.send(());
            if let Ok(told) = end.recv() {
                told.unwrap();
                break;
            }
        }
        assert_eq!(pool.run(|_| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn a_question_whose_deadline_passes_while_it_waits_is_not_begun() {
        let pool = Pool::with(1).unwrap();
        let (begun, begin) = std::sync::mpsc::channel();
        assert_eq!(pool.run_within(Duration::ZERO, move |_| begun.send(()).unwrap()).await, Err(Unanswered::Late));
        assert!(begin.recv().is_err());
        assert_eq!(pool.run(|_| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn a_question_stops_when_nobody_waits_for_it() {
        let pool = Pool::with(1).unwrap();
        let endless = pool.run(|stop| {
            while !stop.is_due() {
                thread::yield_now();
            }
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), endless).await.is_err());
        assert_eq!(pool.run(|_| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn a_question_that_panics_takes_no_thread_with_it() {
        let pool = Pool::with(1).unwrap();
        assert_eq!(pool.run(|_| panic!("provoked by a test")).await, Err::<(), _>(Unanswered::Panicked));
        assert_eq!(pool.run(|_| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let pool = Pool::with(1).unwrap();
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let blocked = pool.run(move |_| gate.recv());
        let mut blocked = Box::pin(blocked);
        assert!(futures_poll(&mut blocked).await);
        let mut waiting: Vec<_> = (0..QUEUE_LEN + 1).map(|_| Box::pin(pool.run(|_| ()))).collect();
        let mut refused = 0;
        for question in &mut waiting {
            refused += usize::from(!futures_poll(question).await);
        }
        assert!(refused >= 1, "the queue holds {QUEUE_LEN}");
        release.send(()).unwrap();
    }

    /// Polls once; whether the future still waits.
    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())).await
    }
}
