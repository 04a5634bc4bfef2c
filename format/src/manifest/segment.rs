//! What the manifest says of a segment: who it is, what it was made of, and how much is in it.
//!
//! Its footer says the same, so that a manifest that is damaged can be made anew.

use crate::error::Damage;
use crate::sealed::{Level, Provenance, SegmentHeader};
use crate::units::{ByteOffset, LogId, SegmentId, Sequence};

/// A segment that the manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSegment {
    /// What its header says, or said before it was damaged.
    pub header: SegmentHeader,
    /// The log that it replaces, if it was sealed from one.
    pub log: Option<LogId>,
    /// The segments that it replaces.
    pub segments: Vec<SegmentId>,
    /// The segments that replace them together with it.
    pub siblings: Vec<SegmentId>,
    /// What it is to compaction.
    pub level: Level,
    /// The lowest sequence in it, and one past the highest.
    pub sequences: (Sequence, Sequence),
    /// The number of rows.
    pub rows: u32,
    /// The file's length, with its trailer.
    pub len_bytes: u64,
}

impl LiveSegment {
    /// What is to be said of a segment with this header and these rows.
    pub fn new(header: &SegmentHeader, provenance: &Provenance, rows: u32, len_bytes: u64) -> LiveSegment {
        LiveSegment {
            header: header.clone(),
            log: provenance.log,
            segments: provenance.segments.clone(),
            siblings: provenance.siblings.clone(),
            level: provenance.level,
            sequences: provenance.sequences,
            rows,
            len_bytes,
        }
    }

    /// All of it, as what is lost.
    pub fn damage(&self) -> Damage {
        let file = format!("segments/{}", self.header.id.file_name());
        let end = ByteOffset::new(self.len_bytes);
        Damage { file, from: ByteOffset::new(0), end, sequences: self.sequences, times: (None, None) }
    }

    /// The identity.
    pub fn id(&self) -> SegmentId {
        self.header.id
    }
}
