//! The closed logs that are not sealed yet, and how many there may be.

use std::sync::Arc;

use format::manifest::Lost;
use format::{LogId, Sequence, SiteId};
use query::{ActiveIndex, ActiveWriter, ClosedLog};

use crate::sealer::ToSeal;

/// The most logs that are not sealed, the open one among them: each is an index in memory.
const MAX_UNSEALED: usize = 4;

/// The most memory that the indexes of unsealed logs take together, as long as there is one whose sealing can be waited for.
const MAX_INDEX_BYTES: usize = 64 * 1024 * 1024;

/// The index at which a log is closed whatever its length, so that the next one has as much room.
pub(super) const ROTATION_INDEX_BYTES: usize = MAX_INDEX_BYTES / 2;

/// A log that is closed and not sealed.
pub(crate) struct Unsealed {
    /// For the ids in it.
    pub(crate) writer: ActiveWriter,
    /// To seal it.
    pub(crate) index: Arc<ActiveIndex>,
    /// What the start could not read of it.
    pub(crate) lost: Vec<Lost>,
    /// Whether sealing it has failed, so that it may stay a log for long.
    pub(crate) is_kept: bool,
}

impl Unsealed {
    fn id(&self) -> LogId {
        self.index.log().id()
    }

    /// What the sealer is given.
    pub(super) fn to_seal(&self) -> ToSeal {
        ToSeal { log: ClosedLog::new(Arc::clone(&self.index), self.writer.sequences()), lost: self.lost.clone() }
    }
}

/// All of them, oldest first.
pub(super) struct UnsealedLogs(Vec<Unsealed>);

impl From<Vec<Unsealed>> for UnsealedLogs {
    /// Those of a start, oldest first.
    fn from(logs: Vec<Unsealed>) -> UnsealedLogs {
        UnsealedLogs(logs)
    }
}

impl UnsealedLogs {
    /// Adds the one that was just closed.
    pub(super) fn push(&mut self, log: Unsealed) {
        self.0.push(log);
    }

    /// Counts a log no more among those that wait to be sealed.
    pub(super) fn keep(&mut self, log: LogId) {
        self.0.iter_mut().filter(|earlier| earlier.id() == log).for_each(|earlier| earlier.is_kept = true);
    }

    /// Takes out those that segments have taken the place of.
    pub(super) fn take(&mut self, logs: &[LogId]) -> Vec<Unsealed> {
        self.0.extract_if(.., |earlier| logs.contains(&earlier.id())).collect()
    }

    /// What the record with this id got, if it is in one of them.
    pub(super) fn first_with_id(&self, site: SiteId, event_id: &str) -> Option<Sequence> {
        self.0.iter().rev().find_map(|log| log.writer.first_with_id(site, event_id))
    }

    /// The length of the longest one, 0 if there is none.
    pub(super) fn longest(&self) -> u64 {
        self.0.iter().map(|log| log.index.log().watermark().committed_end().value()).max().unwrap_or(0)
    }

    /// Whether as many logs are unsealed as may be: no other is begun then. Logs that cannot be sealed do not count, for they may never be.
    pub(super) fn are_too_many(&self) -> bool {
        1 + self.waiting().count() >= MAX_UNSEALED
    }

    /// Whether their indexes take, with that of the open log, as much memory as they may: nothing is appended then.
    pub(super) fn are_too_large(&self, open_index_bytes: usize) -> bool {
        let waiting: usize = self.waiting().map(|log| log.writer.len_bytes()).sum();
        waiting > 0 && waiting + open_index_bytes >= MAX_INDEX_BYTES
    }

    /// Those that wait to be sealed.
    fn waiting(&self) -> impl Iterator<Item = &Unsealed> {
        self.0.iter().filter(|log| !log.is_kept)
    }
}
