//! Segments that take the place of other files: what the committer commits in one step, whoever made it.

use format::manifest::Lost;
use format::{LogId, SegmentId};
use query::Sealed;

/// Segments that are written, synced and compared with what they were made of, and what they take the place of.
///
/// Sealing exchanges one log for one segment. Nothing in the commit depends on that: any number of files may go for any number of
/// segments, or for none.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// The logs that are not live any more.
    pub(crate) logs: Vec<LogId>,
    /// The segments that are not live any more.
    pub(crate) segments: Vec<SegmentId>,
    /// The segments that are live from then on.
    pub(crate) added: Vec<Sealed>,
    /// What could not be read of the logs when the daemon started.
    pub(crate) lost: Vec<Lost>,
}
