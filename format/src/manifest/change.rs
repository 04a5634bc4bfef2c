//! One change of the manifest: its payload.
//!
//! The layout is bincode 2 in its standard configuration. Variants are added at the end and never given a second meaning; a program that
//! does not know one refuses to start, because it cannot know what it would delete.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};

use crate::error::Corruption;
use crate::log::recovery::ClosedEnd;
use crate::log::{HEADER_LEN_BYTES, LogHeader};
use crate::sealed::{Level, SegmentHeader};
use crate::units::{ByteOffset, LogId, SegmentId, Sequence, UnixMicros};

use super::{Closed, LiveSegment, Lost, Replacement};

/// The longest payload that is decoded, in bytes: a merge of some hundred segments, or a log with many holes.
const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_PAYLOAD_BYTES>> = bincode::config::standard().with_limit::<MAX_PAYLOAD_BYTES>();

/// What happened, in raw numbers.
#[derive(Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(super) enum ManifestChange {
    /// The directory got its random bytes, or others: a new epoch.
    Directory { epoch: [u8; 16], secret: [u8; 16] },
    /// A log may be appended to: a copy of its header, with identity, base sequence and salt.
    LogCreated { header: [u8; HEADER_LEN_BYTES] },
    /// A log will not be appended to any more.
    LogClosed { id: u64, end: u64, sequence_end: u64, is_damaged: bool },
    /// These logs and segments are not live any more, and these segments are.
    SegmentsReplaced { logs: Vec<u64>, segments: Vec<u64>, added: Vec<Added>, lost: Vec<LostRange> },
    /// Identities up to these were given out, though nothing else in the file says so any more; 0: none.
    Identities { log: u64, segment: u64 },
}

/// A [`LiveSegment`].
#[derive(Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(super) struct Added {
    id: u64,
    salt: [u8; 16],
    epoch: [u8; 16],
    created: i64,
    rows: u32,
    sequence_start: u64,
    sequence_end: u64,
    len_bytes: u64,
    log: Option<u64>,
    segments: Vec<u64>,
    siblings: Vec<u64>,
    level: u8,
}

/// A [`Lost`].
#[derive(Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(super) struct LostRange {
    log: u64,
    from: u64,
    end: u64,
    sequence_start: u64,
    sequence_end: u64,
}

const UNDECODABLE: Corruption = Corruption::Payload { what: "manifest" };

impl ManifestChange {
    pub(super) fn closed(id: LogId, closed: Closed) -> ManifestChange {
        ManifestChange::LogClosed {
            id: id.value(),
            end: closed.end.end.value(),
            sequence_end: closed.end.sequence_end.value(),
            is_damaged: closed.is_damaged,
        }
    }

    pub(super) fn replaced(replacement: &Replacement) -> ManifestChange {
        let Replacement { logs, segments, added, lost } = replacement;
        ManifestChange::SegmentsReplaced {
            logs: logs.iter().map(|id| id.value()).collect(),
            segments: segments.iter().map(|id| id.value()).collect(),
            added: added.iter().map(Added::new).collect(),
            lost: lost.iter().map(LostRange::new).collect(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let payload = bincode::encode_to_vec(self, CONFIG).expect("a change can be encoded");
        assert!(payload.len() <= MAX_PAYLOAD_BYTES, "no change is written that no start could read");
        payload
    }

    /// The change that `payload` holds.
    ///
    /// # Errors
    ///
    /// [`Corruption::Payload`] if it is none that this program knows.
    pub(super) fn decode(payload: &[u8]) -> Result<ManifestChange, Corruption> {
        let (change, read) = bincode::decode_from_slice(payload, CONFIG).map_err(|_| UNDECODABLE)?;
        if read == payload.len() { Ok(change) } else { Err(UNDECODABLE) }
    }
}

impl Added {
    fn new(segment: &LiveSegment) -> Added {
        Added {
            id: segment.header.id.value(),
            salt: segment.header.salt,
            epoch: segment.header.epoch,
            created: segment.header.created.micros(),
            rows: segment.rows,
            sequence_start: segment.sequences.0.value(),
            sequence_end: segment.sequences.1.value(),
            len_bytes: segment.len_bytes,
            log: segment.log.map(LogId::value),
            segments: segment.segments.iter().map(|id| id.value()).collect(),
            siblings: segment.siblings.iter().map(|id| id.value()).collect(),
            level: segment.level.number(),
        }
    }

    /// The segment.
    ///
    /// # Errors
    ///
    /// [`Corruption::Payload`] if it was begun at no time, or is of no level.
    pub(super) fn segment(self) -> Result<LiveSegment, Corruption> {
        let created = UnixMicros::new(self.created).ok_or(UNDECODABLE)?;
        Ok(LiveSegment {
            header: SegmentHeader { id: SegmentId::new(self.id), salt: self.salt, epoch: self.epoch, created },
            log: self.log.map(LogId::new),
            segments: self.segments.into_iter().map(SegmentId::new).collect(),
            siblings: self.siblings.into_iter().map(SegmentId::new).collect(),
            level: Level::with_number(self.level).ok_or(UNDECODABLE)?,
            sequences: (Sequence::new(self.sequence_start), Sequence::new(self.sequence_end)),
            rows: self.rows,
            len_bytes: self.len_bytes,
        })
    }
}

impl LostRange {
    fn new(lost: &Lost) -> LostRange {
        LostRange {
            log: lost.log.value(),
            from: lost.from.value(),
            end: lost.end.value(),
            sequence_start: lost.sequences.0.value(),
            sequence_end: lost.sequences.1.value(),
        }
    }

    pub(super) fn lost(self) -> Lost {
        Lost {
            log: LogId::new(self.log),
            from: ByteOffset::new(self.from),
            end: ByteOffset::new(self.end),
            sequences: (Sequence::new(self.sequence_start), Sequence::new(self.sequence_end)),
        }
    }
}

/// The identity and end that a [`ManifestChange::LogClosed`] names.
pub(super) fn closed_end(id: u64, end: u64, sequence_end: u64, is_damaged: bool) -> (LogId, Closed) {
    let end = ClosedEnd { end: ByteOffset::new(end), sequence_end: Sequence::new(sequence_end) };
    (LogId::new(id), Closed { end, is_damaged })
}

/// The header that a [`ManifestChange::LogCreated`] copies.
///
/// # Errors
///
/// As [`LogHeader::decode`].
pub(super) fn created_header(header: &[u8; HEADER_LEN_BYTES]) -> Result<LogHeader, Corruption> {
    LogHeader::decode(header)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn holds(change: &ManifestChange, golden: &[u8]) {
        assert_eq!(change.encode(), golden);
        assert!(ManifestChange::decode(golden).is_ok_and(|decoded| decoded == *change));
        for len in 0..golden.len() {
            assert!(ManifestChange::decode(&golden[..len]).is_err(), "cut to {len}");
        }
        let longer = [golden, &[0]].concat();
        assert!(ManifestChange::decode(&longer).is_err(), "a byte more");
    }

    #[test]
    fn golden_bytes_of_directory() {
        let change = ManifestChange::Directory { epoch: *b"epochepochepoch!", secret: *b"secretsecret-key" };
        holds(&change, b"\x00epochepochepoch!secretsecret-key");
    }

    #[test]
    fn golden_bytes_of_log_created() {
        let change = ManifestChange::LogCreated { header: [7; HEADER_LEN_BYTES] };
        holds(&change, &[[1].as_slice(), &[7; HEADER_LEN_BYTES]].concat());
    }

    #[test]
    fn golden_bytes_of_log_closed() {
        let end = ClosedEnd { end: ByteOffset::new(0x0123_4567), sequence_end: Sequence::new(0x0301) };
        let change = ManifestChange::closed(LogId::new(3), Closed { end, is_damaged: true });
        holds(&change, b"\x02\x03\xfc\x67\x45\x23\x01\xfb\x01\x03\x01");
    }

    fn segment() -> LiveSegment {
        LiveSegment {
            header: SegmentHeader {
                id: SegmentId::new(2),
                salt: *b"saltsaltsaltsalt",
                epoch: *b"epochepochepoch!",
                created: UnixMicros::new(-3).expect("a time"),
            },
            log: Some(LogId::new(7)),
            segments: vec![SegmentId::new(1), SegmentId::new(0x0104)],
            siblings: vec![SegmentId::new(3)],
            level: Level::Settled,
            sequences: (Sequence::new(9), Sequence::new(0x0209)),
            rows: 0x0200,
            len_bytes: 0x0001_0000,
        }
    }

    #[test]
    fn golden_bytes_of_segments_replaced() {
        let replacement = Replacement {
            logs: vec![LogId::new(7)],
            segments: vec![SegmentId::new(1), SegmentId::new(0x0104)],
            added: vec![segment()],
            lost: vec![Lost {
                log: LogId::new(7),
                from: ByteOffset::new(0x80),
                end: ByteOffset::new(0x0100),
                sequences: (Sequence::new(3), Sequence::new(4)),
            }],
        };
        let golden = [
            b"\x03\x01\x07\x02\x01\xfb\x04\x01\x01".as_slice(),
            b"\x02saltsaltsaltsaltepochepochepoch!\x05\xfb\x00\x02\x09\xfb\x09\x02\xfc\x00\x00\x01\x00\x01\x07\x02\x01\xfb\x04\x01\x01\x03\x01",
            b"\x01\x07\x80\xfb\x00\x01\x03\x04",
        ];
        holds(&ManifestChange::replaced(&replacement), &golden.concat());
        let Ok(ManifestChange::SegmentsReplaced { added, lost, .. }) = ManifestChange::decode(&golden.concat()) else {
            panic!("another change");
        };
        assert!(added.into_iter().map(|added| added.segment().ok()).eq([Some(segment())]));
        assert!(lost.into_iter().map(LostRange::lost).eq(replacement.lost));
    }

    #[test]
    fn the_longest_replacement_can_be_read() {
        let ids = |from: u64| (from..from + 300).map(|id| SegmentId::new(u64::MAX - id)).collect::<Vec<_>>();
        let lost = Lost {
            log: LogId::new(u64::MAX),
            from: ByteOffset::new(u64::MAX),
            end: ByteOffset::new(u64::MAX),
            sequences: (Sequence::new(u64::MAX), Sequence::new(u64::MAX)),
        };
        let holes =
            Replacement { logs: vec![LogId::new(u64::MAX)], added: vec![segment()], lost: vec![lost; 256], ..Replacement::default() };
        let merge = Replacement {
            segments: ids(0),
            added: (0..8).map(|_| LiveSegment { segments: ids(0), siblings: ids(0)[..7].to_vec(), ..segment() }).collect(),
            ..Replacement::default()
        };
        for replacement in [holes, merge] {
            let change = ManifestChange::replaced(&replacement);
            assert!(ManifestChange::decode(&change.encode()).is_ok_and(|decoded| decoded == change));
        }
    }

    #[test]
    fn a_segment_of_no_time_or_level_is_refused() {
        let replacement = Replacement { added: vec![segment()], ..Replacement::default() };
        let mut bytes = ManifestChange::replaced(&replacement).encode();
        // Behind the number of the change, two empty lists, one item, its identity, salt and epoch: the time, as the largest of numbers.
        bytes.splice(37..38, [[0xfd].as_slice(), &[0xff; 8]].concat());
        let Ok(ManifestChange::SegmentsReplaced { added, .. }) = ManifestChange::decode(&bytes) else { panic!("every number is one") };
        let refused = added.into_iter().map(Added::segment).next();
        assert!(matches!(refused, Some(Err(Corruption::Payload { what: "manifest" }))));
        let mut bytes = ManifestChange::replaced(&replacement).encode();
        // The level is the last field; behind it, the number of ranges that are lost.
        let at = bytes.len() - 2;
        bytes[at] = 3;
        let Ok(ManifestChange::SegmentsReplaced { added, .. }) = ManifestChange::decode(&bytes) else { panic!("every byte is one") };
        let refused = added.into_iter().map(Added::segment).next();
        assert!(matches!(refused, Some(Err(Corruption::Payload { what: "manifest" }))));
    }

    #[test]
    fn golden_bytes_of_identities() {
        holds(&ManifestChange::Identities { log: 3, segment: 0x0102 }, b"\x04\x03\xfb\x02\x01");
    }

    #[test]
    fn an_unknown_change_is_refused() {
        assert!(matches!(ManifestChange::decode(&[5, 0, 0]), Err(Corruption::Payload { what: "manifest" })));
        assert!(matches!(ManifestChange::decode(&[]), Err(Corruption::Payload { .. })));
    }
}
