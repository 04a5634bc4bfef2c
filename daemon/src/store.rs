//! What queries read: the indexes of the unsealed logs, what was lost to damage, and the threads that answer.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use format::Damage;
use query::{ActiveIndex, Snapshot};

use crate::question::{Overrun, Pool, Stop};

/// A range of a file that is lost. Its text is that of the header `Hitkeep-Incomplete`: file, first byte, and the byte behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost(Damage);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}-{}", self.0.file, self.0.from, self.0.end)
    }
}

/// Everything that can be asked about, swapped in one step when a log is added.
pub(crate) struct Store {
    /// Oldest first.
    logs: RwLock<Arc<[Arc<ActiveIndex>]>>,
    lost: Box<[Lost]>,
    set_aside: Box<[String]>,
    pool: Pool,
}

impl Store {
    /// A store over what the start recovered, oldest log first, with what is lost and the names of the files that were set aside.
    pub(crate) fn new(logs: Vec<Arc<ActiveIndex>>, damage: Vec<Damage>, set_aside: Vec<String>, pool: Pool) -> Store {
        Store {
            logs: RwLock::new(logs.into()),
            lost: damage.into_iter().map(Lost).collect(),
            set_aside: set_aside.into_boxed_slice(),
            pool,
        }
    }

    /// What a query sees: everything committed so far, fixed for its whole run.
    pub(crate) fn snapshot(&self) -> Snapshot {
        // A panic while the lock is held cannot leave half a pointer, so a poisoned lock is as good as any.
        let logs = Arc::clone(&self.logs.read().unwrap_or_else(PoisonError::into_inner));
        Snapshot::new(&logs, &[])
    }

    /// Adds the index of a log that was just created. For the committer alone.
    pub(crate) fn add(&self, log: Arc<ActiveIndex>) {
        let mut logs = self.logs.write().unwrap_or_else(PoisonError::into_inner);
        *logs = logs.iter().cloned().chain([log]).collect();
    }

    /// What was lost to damage: answers may lack it and say so.
    pub(crate) fn damage(&self) -> &[Lost] {
        &self.lost
    }

    /// The files in `lost+found/`, which nothing explains.
    pub(crate) fn set_aside(&self) -> &[String] {
        &self.set_aside
    }

    /// Answers a question on one of the query threads.
    ///
    /// Dropping the future stops the question at its next step.
    ///
    /// # Errors
    ///
    /// [`Overrun`] if too many questions wait, or it took too long.
    pub(crate) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Snapshot, &Stop) -> T + Send + 'static,
    ) -> Result<T, Overrun> {
        let store = Arc::clone(self);
        let stopped_when = |stop: &Stop| {
            let stop = stop.clone();
            move || stop.is_due()
        };
        self.pool.run(move |stop| question(&store.snapshot().stopped_when(stopped_when(stop)), stop)).await
    }
}
