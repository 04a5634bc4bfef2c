//! What the changes of a manifest add up to.

use std::collections::BTreeMap;

use crate::error::Corruption;
use crate::paired::Change;
use crate::units::{ByteOffset, LogId};

use super::change::{ManifestChange, closed_end, created_header};
use super::{Closed, Identity, LiveLog};

/// The fold of a manifest's changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) identity: Option<Identity>,
    pub(crate) logs: BTreeMap<LogId, LiveLog>,
    /// Ends of logs whose creation is lost to damage: their files may still say who they are.
    ends: BTreeMap<LogId, Closed>,
}

impl Contents {
    /// Adds up `changes`, in order.
    ///
    /// # Errors
    ///
    /// The offset of a change that this program does not understand.
    pub(crate) fn fold(changes: &[Change]) -> Result<Contents, (ByteOffset, Corruption)> {
        let mut contents = Contents::default();
        for change in changes {
            let at = |source| (change.offset, source);
            match ManifestChange::decode(&change.payload).map_err(at)? {
                ManifestChange::Directory { epoch, secret } => contents.identity = Some(Identity { epoch, secret }),
                ManifestChange::LogCreated { header } => {
                    let header = created_header(&header).map_err(at)?;
                    contents.logs.insert(header.id, LiveLog { header, closed: None });
                }
                ManifestChange::LogClosed { id, end, sequence_end, is_damaged } => {
                    let (id, closed) = closed_end(id, end, sequence_end, is_damaged);
                    match contents.logs.get_mut(&id) {
                        Some(log) => log.closed = Some(closed),
                        None => {
                            contents.ends.insert(id, closed);
                        }
                    }
                }
            }
        }
        Ok(contents)
    }

    /// Takes up a log that a damaged manifest does not name, though its file says who it is.
    pub(crate) fn adopt(&mut self, mut log: LiveLog) {
        log.closed = log.closed.or_else(|| self.ends.remove(&log.header.id));
        self.logs.entry(log.header.id).or_insert(log);
    }

    /// The payloads of the shortest manifest with these contents.
    pub(crate) fn payloads(&self) -> Vec<Vec<u8>> {
        let mut payloads = Vec::new();
        if let Some(Identity { epoch, secret }) = self.identity {
            payloads.push(ManifestChange::Directory { epoch, secret }.encode());
        }
        for (id, log) in &self.logs {
            payloads.push(ManifestChange::LogCreated { header: log.header.encode() }.encode());
            payloads.extend(log.closed.map(|closed| ManifestChange::closed(*id, closed).encode()));
        }
        payloads
    }

    /// The lowest identity above every log that is or was named.
    pub(crate) fn next_log(&self) -> LogId {
        let last = self.logs.keys().chain(self.ends.keys()).max();
        last.map_or(LogId::FIRST, |last| last.next())
    }
}
