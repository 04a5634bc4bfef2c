//! A committer for tests of the handlers: it keeps records in memory and answers as it is told.

use std::iter;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use format::Sequence;

use super::queue::{Work, queue};
use super::{Appender, Outcome};
use crate::sealer::NotSealed;

/// What a double has been given, and how it answers.
#[derive(Clone, Default)]
pub(crate) struct Double {
    records: Arc<Mutex<Vec<Vec<u8>>>>,
    mood: Arc<AtomicU8>,
}

/// How a double answers, if not by storing what it is given.
#[repr(u8)]
pub(crate) enum Mood {
    /// Has no space.
    Full = 1,
    /// Fails to sync.
    Fails = 2,
    /// Stores and does not sync.
    Lazy = 3,
    /// Has stored it before.
    Knows = 4,
    /// Does not answer at all.
    Hangs = 5,
}

impl Double {
    /// A double and the way to it; its thread ends with the test.
    pub(crate) fn start() -> (Appender, Double) {
        let (appender, queue) = queue();
        let double = Double::default();
        let committer = double.clone();
        std::thread::spawn(move || {
            while let Ok(work) = queue.work.recv() {
                let request = match work {
                    Work::Store(request) => request,
                    Work::Seal(reply) => {
                        // Whoever asked may be gone.
                        let _ = reply.send(if committer.mood.load(Ordering::Relaxed) == 1 { Err(NotSealed::DiskFull) } else { Ok(()) });
                        continue;
                    }
                    Work::Exchange(_) | Work::Keep(_) | Work::Stop => break,
                };
                while committer.mood.load(Ordering::Relaxed) == Mood::Hangs as u8 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let outcomes: Vec<Outcome> = request.submission.iter().map(|bytes| committer.commit(bytes)).collect();
                queue.done(iter::once(&request.submission));
                request.reply.send(&outcomes);
            }
        });
        (appender, double)
    }

    /// Answers like this from now on.
    pub(crate) fn set(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::Relaxed);
    }

    /// The records it has stored, encoded, the oldest first.
    pub(crate) fn records(&self) -> Vec<Vec<u8>> {
        self.records.lock().expect("no test panics in here").clone()
    }

    fn commit(&self, bytes: &[u8]) -> Outcome {
        let mut records = self.records.lock().expect("no test panics in here");
        let sequence = |len: usize| Sequence::new(u64::try_from(len).expect("few"));
        match self.mood.load(Ordering::Relaxed) {
            1 => Outcome::DiskFull,
            2 => Outcome::Unknown,
            4 => Outcome::Duplicate { sequence: sequence(records.len()), durable: true },
            mood => {
                records.push(bytes.to_vec());
                Outcome::Stored { sequence: sequence(records.len()), durable: mood == 0 }
            }
        }
    }
}
