//! Whether the daemon can serve, and the first failure that ended that.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Shared by whoever may fail, the readiness answer and the main loop.
///
/// A failure is final: a failed sync is never retried, and only a new start finds out what is on the disk.
#[derive(Default)]
pub(crate) struct Health {
    serving: AtomicBool,
    failure: OnceLock<String>,
    failed: Notify,
}

impl Health {
    /// Ready from here on, until a drain or a failure.
    pub(crate) fn serve(&self) {
        self.serving.store(true, Ordering::Relaxed);
    }

    /// Not ready any more: the daemon drains.
    pub(crate) fn drain(&self) {
        self.serving.store(false, Ordering::Relaxed);
    }

    /// Notes a failure that ends the process. The first one counts.
    pub(crate) fn fail(&self, cause: String) {
        self.serving.store(false, Ordering::Relaxed);
        if self.failure.set(cause).is_ok() {
            self.failed.notify_one();
        }
    }

    /// Whether new work is taken.
    pub(crate) fn ready(&self) -> bool {
        self.serving.load(Ordering::Relaxed)
    }

    /// Why the daemon ends, if it does.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Returns when something has failed for good. For one waiter, the main loop.
    pub(crate) async fn failed(&self) {
        if self.failure.get().is_none() {
            self.failed.notified().await;
        }
    }
}
