//! Something happened: one side rings, the other waits for it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often something has happened, and a way to wait for the next time.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    count: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    /// Says that it has happened.
    pub(crate) fn ring(&self) {
        *self.lock() += 1;
        self.rung.notify_all();
    }

    /// How often it has happened.
    pub(crate) fn count(&self) -> u64 {
        *self.lock()
    }

    /// Waits until it has happened more often than `count`, or `timeout` has passed.
    pub(crate) fn wait(&self, count: u64, timeout: Duration) {
        // Whoever looks at the count again finds out which it was.
        drop(self.rung.wait_timeout_while(self.lock(), timeout, |now| *now <= count));
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        // A number cannot be left half changed.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
