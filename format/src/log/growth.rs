//! Growing a log ahead of its writer, in zero-filled, synced steps.
//!
//! A sparse file is a SIGBUS on a full disk, and space that is only allocated costs a metadata commit at each sync; writing zeros
//! beforehand avoids both. It is done in small steps on a thread of its own, because preparing a whole log at once delays every
//! sync beside it.
//!
//! Invariants:
//!
//! * Everything below `prepared_end` has been written as zeros and synced, before `prepared_end` passed it.
//! * `prepared_end` never moves back and never passes the limit by more than one step.
//! * A step that fails for want of space is undone; it is tried again when a writer next reserves, and reported if that fails too.
//! * A step whose sync fails is final: every later reservation fails.
//! * [`Growth::reserve`] returns only when its end is prepared or has failed, also if the helper was never started or has ended.
//!
//! All state is under one mutex. `loom_tests` checks that no wake-up is lost and that a reservation is never granted early.
//!
//! The helper writes through a descriptor of its own: a write-back error is reported once per open descriptor, and if the helper's
//! sync could take the report, the writer's sync would say that all is well.

use std::io;

use crate::fs::{File, write_all_at};
use crate::sync::{Condvar, Mutex, lock};

/// Steps that are kept prepared ahead of what was asked for.
const STEPS_AHEAD: u64 = 2;

/// How growth ended for good, or for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrowthFailure {
    /// No space: the operating system's error number. It may pass.
    Full(i32),
    /// Anything else, a failed sync above all: the system's error number, 0 if it gave none. Nothing may be appended any more.
    Final(i32),
}

#[derive(Debug)]
struct State {
    prepared_end: u64,
    wanted_end: u64,
    failure: Option<GrowthFailure>,
    helper_runs: bool,
    writer_waits: bool,
    stopped: bool,
}

/// How far a log is prepared, shared by its writer and the helper that grows it.
#[derive(Debug)]
pub struct Growth {
    state: Mutex<State>,
    changed: Condvar,
    step_bytes: u64,
    limit: u64,
}

impl Growth {
    /// A file that is prepared up to `prepared_end` and may grow to `limit`, in steps of `step_bytes`.
    pub fn new(prepared_end: u64, limit: u64, step_bytes: u64) -> Growth {
        let state = State { prepared_end, wanted_end: 0, failure: None, helper_runs: false, writer_waits: false, stopped: false };
        Growth { state: Mutex::new(state), changed: Condvar::new(), step_bytes, limit }
    }

    /// The file's synced length: commit frames name it.
    pub fn prepared_end(&self) -> u64 {
        lock(&self.state).prepared_end
    }

    /// By how many bytes the file has yet to grow for everything below `end` to be reserved: 0 mostly, for it grows ahead.
    pub fn missing_for(&self, end: u64) -> u64 {
        let state = lock(&self.state);
        self.goal(state.wanted_end.max(end)).saturating_sub(state.prepared_end).next_multiple_of(self.step_bytes)
    }

    /// Waits until everything below `end` is prepared, growing the file with `grow`, ahead as the helper would, if there is no helper.
    ///
    /// # Errors
    ///
    /// The failure of the step that was needed. After [`GrowthFailure::Full`] the next call tries again.
    pub fn reserve(&self, end: u64, mut grow: impl FnMut(u64, u64) -> Result<(), GrowthFailure>) -> Result<(), GrowthFailure> {
        let mut state = lock(&self.state);
        // Space may have come back since the step that found none: try again before refusing.
        if matches!(state.failure, Some(GrowthFailure::Full(_))) {
            state.failure = None;
        }
        state.wanted_end = state.wanted_end.max(end);
        if state.prepared_end < self.goal(state.wanted_end) {
            self.wake();
        }
        while !state.helper_runs && state.failure.is_none() && state.prepared_end < self.goal(state.wanted_end) {
            let from = state.prepared_end;
            match grow(from, from + self.step_bytes) {
                Ok(()) => state.prepared_end = from + self.step_bytes,
                Err(failure) => state.failure = Some(failure),
            }
        }
        while state.prepared_end < end && state.failure.is_none() {
            state.writer_waits = true;
            state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
            state.writer_waits = false;
        }
        match state.failure {
            Some(failure @ GrowthFailure::Final(_)) => Err(failure),
            Some(failure) if state.prepared_end < end => Err(failure),
            _ => Ok(()),
        }
    }

    /// Grows the file ahead of the writer until [`Growth::stop`]: the helper thread's whole life. `pause` is called between steps
    /// that nobody waits for.
    pub fn run(&self, mut grow: impl FnMut(u64, u64) -> Result<(), GrowthFailure>, mut pause: impl FnMut()) {
        let mut state = lock(&self.state);
        if state.stopped {
            return;
        }
        state.helper_runs = true;
        loop {
            if state.stopped || matches!(state.failure, Some(GrowthFailure::Final(_))) {
                break;
            }
            if state.prepared_end >= self.goal(state.wanted_end) || state.failure.is_some() {
                state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
                continue;
            }
            let (from, waited_for) = (state.prepared_end, state.writer_waits);
            drop(state);
            if !waited_for {
                pause();
            }
            let outcome = grow(from, from + self.step_bytes);
            state = lock(&self.state);
            match outcome {
                Ok(()) => state.prepared_end = from + self.step_bytes,
                Err(failure) => state.failure = Some(failure),
            }
            self.wake();
        }
        state.helper_runs = false;
        self.wake();
    }

    /// Where the helper rests: some steps ahead of what was asked for, within the limit.
    fn goal(&self, wanted_end: u64) -> u64 {
        (wanted_end + STEPS_AHEAD * self.step_bytes).min(self.limit).max(wanted_end)
    }

    /// Ends the helper; a step under way is finished first.
    pub fn stop(&self) {
        lock(&self.state).stopped = true;
        self.wake();
    }

    #[cfg(not(weak_wake))]
    fn wake(&self) {
        self.changed.notify_all();
    }

    /// The switch that shows that the models would notice a lost wake-up.
    #[cfg(weak_wake)]
    fn wake(&self) {}
}

/// Writes zeros from `from` to `end` and syncs them; a step that finds no space is undone.
///
/// # Errors
///
/// [`GrowthFailure::Full`] if there is no space and the file is as it was; else [`GrowthFailure::Final`].
pub fn grow_step(file: &dyn File, from: u64, end: u64) -> Result<(), GrowthFailure> {
    let len = usize::try_from(end - from).expect("a step fits into memory");
    let number = |error: &io::Error| error.raw_os_error().unwrap_or(0);
    if let Err(error) = write_all_at(file, &vec![0; len], from) {
        // Undone at once: ext4 would keep what it could allocate, and the disk would stay full for everybody.
        return match file.set_len(from) {
            Ok(()) if is_full(&error) => Err(GrowthFailure::Full(number(&error))),
            _ => Err(GrowthFailure::Final(number(&error))),
        };
    }
    file.sync_data().map_err(|error| GrowthFailure::Final(number(&error)))
}

/// Whether a refusal means that no space is left: the one kind of failure that passes by itself.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

#[cfg(all(test, loom))]
mod loom_tests;
