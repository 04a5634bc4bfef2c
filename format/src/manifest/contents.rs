//! What the changes of a manifest add up to.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Corruption;
use crate::log::LogHeader;
use crate::paired::Change;
use crate::units::{ByteOffset, LogId, SegmentId};

use super::change::{Added, LostRange, ManifestChange, closed_end, created_header};
use super::{Closed, Identity, LiveLog, LiveSegment, Lost, Replacement};

/// The fold of a manifest's changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) identity: Option<Identity>,
    pub(crate) logs: BTreeMap<LogId, LiveLog>,
    pub(crate) segments: BTreeMap<SegmentId, LiveSegment>,
    /// What a change has said is not live any more, and whose files may still be there: they may go.
    pub(crate) gone_logs: BTreeSet<LogId>,
    pub(crate) gone_segments: BTreeSet<SegmentId>,
    /// What was lost of logs that were sealed, whose files are set aside.
    pub(crate) lost: BTreeMap<LogId, Vec<Lost>>,
    /// The highest identities that were ever named, of what is live or is not any more.
    last_log: Option<LogId>,
    last_segment: Option<SegmentId>,
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
            contents.apply(&change.payload).map_err(|source| (change.offset, source))?;
        }
        Ok(contents)
    }

    fn apply(&mut self, payload: &[u8]) -> Result<(), Corruption> {
        match ManifestChange::decode(payload)? {
            ManifestChange::Directory { epoch, secret } => self.identity = Some(Identity { epoch, secret }),
            ManifestChange::LogCreated { header } => self.create_log(LiveLog { header: created_header(&header)?, closed: None }),
            ManifestChange::LogClosed { id, end, sequence_end, is_damaged } => {
                let (id, closed) = closed_end(id, end, sequence_end, is_damaged);
                self.close_log(id, closed);
            }
            ManifestChange::SegmentsReplaced { logs, segments, added, lost } => self.replace(Replacement {
                logs: logs.into_iter().map(LogId::new).collect(),
                segments: segments.into_iter().map(SegmentId::new).collect(),
                added: added.into_iter().map(Added::segment).collect::<Result<_, _>>()?,
                lost: lost.into_iter().map(LostRange::lost).collect(),
            }),
            ManifestChange::Identities { log, segment } => {
                self.last_log = self.last_log.max((log > 0).then_some(LogId::new(log)));
                self.last_segment = self.last_segment.max((segment > 0).then_some(SegmentId::new(segment)));
            }
        }
        Ok(())
    }

    pub(super) fn create_log(&mut self, log: LiveLog) {
        self.last_log = self.last_log.max(Some(log.header.id));
        self.logs.insert(log.header.id, log);
    }

    pub(super) fn close_log(&mut self, id: LogId, closed: Closed) {
        self.last_log = self.last_log.max(Some(id));
        match self.logs.get_mut(&id) {
            Some(log) => log.closed = Some(closed),
            None => {
                self.ends.insert(id, closed);
            }
        }
    }

    pub(super) fn replace(&mut self, replacement: Replacement) {
        for log in replacement.logs {
            self.last_log = self.last_log.max(Some(log));
            self.logs.remove(&log);
            self.ends.remove(&log);
            self.gone_logs.insert(log);
        }
        for segment in replacement.segments {
            self.last_segment = self.last_segment.max(Some(segment));
            self.segments.remove(&segment);
            self.gone_segments.insert(segment);
        }
        for segment in replacement.added {
            self.add_segment(segment);
        }
        for lost in replacement.lost {
            self.lost.entry(lost.log).or_default().push(lost);
        }
    }

    /// Makes a segment live. What it was made of is not live beside it, whatever damage has hidden.
    fn add_segment(&mut self, segment: LiveSegment) {
        if let Some(log) = segment.log {
            self.last_log = self.last_log.max(Some(log));
            self.logs.remove(&log);
            self.ends.remove(&log);
        }
        for replaced in &segment.segments {
            self.last_segment = self.last_segment.max(Some(*replaced));
            self.segments.remove(replaced);
        }
        self.last_segment = self.last_segment.max(Some(segment.id()));
        self.segments.insert(segment.id(), segment);
    }

    /// Whether a segment is live, or was and may still have its file.
    pub(crate) fn was_named(&self, id: SegmentId) -> bool {
        self.segments.contains_key(&id) || self.gone_segments.contains(&id)
    }

    /// Forgets what is not live any more and has no file in these folders.
    pub(crate) fn forget_removed(&mut self, logs: &[String], segments: &[String]) {
        self.gone_logs.retain(|id| logs.contains(&id.file_name()));
        self.gone_segments.retain(|id| segments.contains(&id.file_name()));
    }

    /// The live segment that a log's rows are in, if there is one.
    pub(crate) fn replaced_by(&self, log: LogId) -> Option<&LiveSegment> {
        self.segments.values().find(|segment| segment.log == Some(log))
    }

    /// Takes up a log that a damaged manifest does not name, though its file says who it is; unless a segment has its rows.
    pub(crate) fn adopt(&mut self, mut log: LiveLog) -> bool {
        let id = log.header.id;
        if self.logs.contains_key(&id) || self.gone_logs.contains(&id) || self.replaced_by(id).is_some() {
            return false;
        }
        log.closed = log.closed.or_else(|| self.ends.remove(&id));
        self.create_log(log);
        true
    }

    /// Takes up a segment that a damaged manifest does not name, though its footer says what it is; unless it was dropped or replaced.
    /// What it replaces is not live any more.
    pub(crate) fn adopt_segment(&mut self, segment: LiveSegment) -> bool {
        let id = segment.id();
        let is_replaced = self.segments.values().any(|other| other.segments.contains(&id));
        if self.segments.contains_key(&id) || self.gone_segments.contains(&id) || is_replaced {
            return false;
        }
        self.add_segment(segment);
        true
    }

    /// Goes back from a segment that cannot be read to the log that it was sealed from, whose file is still there. Its end is found
    /// again by reading it.
    pub(crate) fn revive(&mut self, header: LogHeader) {
        if let Some(segment) = self.replaced_by(header.id).map(LiveSegment::id) {
            self.segments.remove(&segment);
        }
        self.gone_logs.remove(&header.id);
        self.lost.remove(&header.id);
        self.adopt(LiveLog { header, closed: None });
    }

    /// The payloads of the shortest manifest with these contents.
    pub(crate) fn payloads(&self) -> Vec<Vec<u8>> {
        let mut payloads = Vec::new();
        if let Some(Identity { epoch, secret }) = self.identity {
            payloads.push(ManifestChange::Directory { epoch, secret }.encode());
        }
        payloads.extend(self.identities().map(|change| change.encode()));
        // One change for each, so that damage hides one.
        for segment in self.segments.values() {
            let added = Replacement { added: vec![segment.clone()], ..Replacement::default() };
            payloads.push(ManifestChange::replaced(&added).encode());
        }
        for lost in self.lost.values() {
            let named = Replacement { lost: lost.clone(), ..Replacement::default() };
            payloads.push(ManifestChange::replaced(&named).encode());
        }
        if !self.gone_logs.is_empty() || !self.gone_segments.is_empty() {
            let (logs, segments) = (self.gone_logs.iter().copied().collect(), self.gone_segments.iter().copied().collect());
            payloads.push(ManifestChange::replaced(&Replacement { logs, segments, ..Replacement::default() }).encode());
        }
        for (id, log) in &self.logs {
            payloads.push(ManifestChange::LogCreated { header: log.header.encode() }.encode());
            payloads.extend(log.closed.map(|closed| ManifestChange::closed(*id, closed).encode()));
        }
        payloads
    }

    /// The identities that were given out, if what is live does not tell.
    fn identities(&self) -> Option<ManifestChange> {
        let of_segments = self.segments.values().filter_map(|segment| segment.log);
        let named_log = self.logs.keys().copied().chain(of_segments).max();
        let named_segment = self.segments.keys().chain(self.segments.values().flat_map(|segment| &segment.segments)).max();
        let is_told = named_log >= self.last_log && named_segment >= self.last_segment.as_ref();
        let (log, segment) = (self.last_log.map_or(0, LogId::value), self.last_segment.map_or(0, SegmentId::value));
        (!is_told).then_some(ManifestChange::Identities { log, segment })
    }

    /// The lowest identity above every log that is or was named.
    pub(crate) fn next_log(&self) -> LogId {
        self.last_log.map_or(LogId::FIRST, LogId::next)
    }

    /// The lowest identity above every segment that is or was named.
    pub(crate) fn next_segment(&self) -> SegmentId {
        self.last_segment.map_or(SegmentId::FIRST, SegmentId::next)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::log::recovery::ClosedEnd;
    use crate::sealed::{Level, SegmentHeader};
    use crate::units::{Sequence, UnixMicros};

    pub(super) fn log(id: u64) -> LiveLog {
        let header = LogHeader {
            id: LogId::new(id),
            salt: [id as u8; 16],
            epoch: [1; 16],
            base_sequence: Sequence::new(id * 10),
            created: UnixMicros::EPOCH,
            durable_len: 512,
            answers_before_sync: false,
        };
        LiveLog { header, closed: None }
    }

    fn segment(id: u64, log: Option<u64>, segments: &[u64]) -> LiveSegment {
        LiveSegment {
            header: SegmentHeader { id: SegmentId::new(id), salt: [id as u8; 16], epoch: [1; 16], created: UnixMicros::EPOCH },
            log: log.map(LogId::new),
            segments: segments.iter().copied().map(SegmentId::new).collect(),
            siblings: Vec::new(),
            level: Level::Arrived,
            sequences: (Sequence::new(id), Sequence::new(id + 1)),
            rows: 1,
            len_bytes: 640,
        }
    }

    fn sealed(id: u64, log: u64) -> Replacement {
        Replacement { logs: vec![LogId::new(log)], added: vec![segment(id, Some(log), &[])], ..Replacement::default() }
    }

    fn dropped(id: u64) -> Replacement {
        Replacement { segments: vec![SegmentId::new(id)], ..Replacement::default() }
    }

    fn closed(sequence_end: u64) -> Closed {
        Closed { end: ClosedEnd { end: ByteOffset::new(512), sequence_end: Sequence::new(sequence_end) }, is_damaged: false }
    }

    /// The fold of what the shortest manifest holds.
    fn refolded(contents: &Contents) -> Contents {
        let mut again = Contents::default();
        for payload in contents.payloads() {
            again.apply(&payload).unwrap();
        }
        again
    }

    fn live(contents: &Contents) -> (Vec<u64>, Vec<u64>, u64, u64) {
        (
            contents.logs.keys().map(|id| id.value()).collect(),
            contents.segments.keys().map(|id| id.value()).collect(),
            contents.next_log().value(),
            contents.next_segment().value(),
        )
    }

    #[test]
    fn a_segment_takes_the_place_of_what_it_was_made_of() {
        let mut contents = Contents::default();
        for id in 1..=3 {
            contents.create_log(log(id));
            contents.close_log(LogId::new(id), closed(id * 10 + 5));
        }
        contents.replace(sealed(1, 1));
        contents.replace(sealed(2, 2));
        assert_eq!(live(&contents), (vec![3], vec![1, 2], 4, 3));
        // Two for two.
        contents.replace(Replacement {
            segments: vec![SegmentId::new(1), SegmentId::new(2)],
            added: vec![segment(4, None, &[1, 2]), segment(3, None, &[1, 2])],
            ..Replacement::default()
        });
        assert_eq!(live(&contents), (vec![3], vec![3, 4], 4, 5));
        assert_eq!(refolded(&contents), contents);
        contents.replace(dropped(3));
        assert_eq!(live(&contents), (vec![3], vec![4], 4, 5));
        assert_eq!(refolded(&contents), contents, "what may go is remembered");
        let names = |ids: &[u64]| ids.iter().map(|id| SegmentId::new(*id).file_name()).collect::<Vec<_>>();
        contents.forget_removed(&[], &names(&[3, 4]));
        assert_eq!((contents.gone_logs.len(), &contents.gone_segments), (0, &[SegmentId::new(3)].into()));
        assert_eq!(refolded(&contents), contents);
    }

    #[test]
    fn what_was_lost_of_a_log_is_remembered_beside_its_segment() {
        let mut contents = Contents::default();
        contents.create_log(log(1));
        contents.close_log(LogId::new(1), closed(15));
        let lost = |from| Lost {
            log: LogId::new(1),
            from: ByteOffset::new(from),
            end: ByteOffset::new(from + 9),
            sequences: (Sequence::new(12), Sequence::new(13)),
        };
        contents.replace(Replacement { lost: vec![lost(200), lost(300)], ..sealed(1, 1) });
        assert_eq!(contents.lost[&LogId::new(1)], [lost(200), lost(300)]);
        assert_eq!(refolded(&contents), contents);
        contents.revive(log(1).header);
        assert!(contents.lost.is_empty(), "it says itself what it lacks");
    }

    #[test]
    fn a_rewritten_manifest_gives_out_no_identity_twice() {
        let mut contents = Contents::default();
        contents.create_log(log(1));
        contents.replace(sealed(1, 1));
        contents.forget_removed(&[], &[]);
        assert_eq!(contents.payloads().len(), 1, "a segment tells which log there was");
        contents.replace(dropped(1));
        contents.forget_removed(&[], &[]);
        assert_eq!(contents.payloads().len(), 1);
        assert_eq!(live(&refolded(&contents)), (vec![], vec![], 2, 2));
        contents.create_log(log(2));
        contents.replace(sealed(2, 2));
        contents.forget_removed(&[], &[]);
        assert_eq!(live(&refolded(&contents)), (vec![], vec![2], 3, 3));
        assert_eq!(contents.payloads().len(), 1, "nothing else has to be said");
    }

    #[test]
    fn what_damage_has_hidden_is_taken_up_unless_its_successor_is_there() {
        let mut contents = Contents::default();
        contents.close_log(LogId::new(4), closed(45));
        let ids = [3, 4].map(SegmentId::new).to_vec();
        contents.replace(Replacement { segments: ids, added: vec![segment(5, None, &[3, 4])], ..Replacement::default() });
        contents.replace(dropped(2));
        for replaced in [2, 3, 4, 5] {
            assert!(!contents.adopt_segment(segment(replaced, None, &[])), "{replaced}");
        }
        assert!(contents.adopt(log(1)));
        assert!(contents.adopt(log(4)));
        assert_eq!(contents.logs[&LogId::new(4)].closed, Some(closed(45)), "its end is remembered");
        assert!(contents.adopt_segment(segment(6, Some(1), &[])), "a log that was live before its seal was noted");
        assert!(!contents.adopt(log(1)), "a segment has its rows");
        assert_eq!(live(&contents), (vec![4], vec![5, 6], 5, 7));
        contents.revive(log(1).header);
        assert_eq!(live(&contents), (vec![1, 4], vec![5], 5, 7));
        // Nothing but the segment in their place tells that these are not live any more.
        let mut contents = Contents::default();
        contents.replace(Replacement { added: vec![segment(5, None, &[3, 4])], ..Replacement::default() });
        assert!(!contents.adopt_segment(segment(3, None, &[])));
        // Nothing but the change that replaced it: its segment has been merged.
        contents.replace(Replacement { logs: vec![LogId::new(2)], ..Replacement::default() });
        assert!(!contents.adopt(log(2)));
        assert_eq!(live(&contents), (vec![], vec![5], 3, 6));
    }
}
