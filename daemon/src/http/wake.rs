//! The waker that hyper sees: one that says nothing while a body is taken.
//!
//! hyper hands a body over in pieces, through a channel with room for one. To take a piece wakes its sender, also when that has no more to
//! send. Sender and receiver are one task, which so wakes itself and is polled once more, for nothing. The body of an event comes in one
//! piece: that would be every third poll of a connection.

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Wake, Waker};

thread_local! {
    /// What this thread does about wakes.
    static EAR: Cell<Ear> = const { Cell::new(Ear::Open) };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ear {
    Open,
    /// Nothing was said since it was shut.
    Shut,
    /// Something was.
    Missed,
}

/// Wakes a task, unless the thread that does so has its ear shut. Wakes from other threads always come through.
struct Bell(Waker);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if EAR.get() == Ear::Open {
            self.0.wake_by_ref();
        } else {
            EAR.set(Ear::Missed);
        }
    }
}

/// The waker of `task` that [`unheard`] works on.
pub(super) fn bell(task: &Waker) -> Waker {
    Arc::new(Bell(task.clone())).into()
}

/// What `act` gives, and whether it rang a [`bell`] on this thread. Nobody was woken: that is the caller's to make good where it matters.
pub(super) fn unheard<T>(act: impl FnOnce() -> T) -> (T, bool) {
    /// Opens the ear again, also when `act` panics.
    struct Opened;
    impl Drop for Opened {
        fn drop(&mut self) {
            EAR.set(Ear::Open);
        }
    }
    EAR.set(Ear::Shut);
    let _opened = Opened;
    let result = act();
    (result, EAR.get() == Ear::Missed)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_wake_is_missed_by_the_thread_that_does_not_listen_alone() {
        let count = Arc::<Count>::default();
        let bell = bell(&Arc::clone(&count).into());
        assert_eq!(unheard(|| 7), (7, false));
        assert_eq!(unheard(|| bell.wake_by_ref()), ((), true));
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        let elsewhere = unheard(|| std::thread::scope(|scope| scope.spawn(|| bell.wake_by_ref()).join().is_ok()));
        assert_eq!((elsewhere, count.0.load(Ordering::Relaxed)), ((true, false), 1));
        bell.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }
}
