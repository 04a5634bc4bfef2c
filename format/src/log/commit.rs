//! The commit frame: the end of a batch, and what was durable when it was written.

use crate::checksum::{FileChecksum, Salt};
use crate::frame::{self, FrameKind};
use crate::units::{Sequence, UnixMicros};

use super::header::field;

const SALT_END: usize = 16;
const START_END: usize = SALT_END + 8;
const SEQUENCE_END: usize = START_END + 8;
const FRAMES_END: usize = SEQUENCE_END + 4;
const RECORDS_END: usize = FRAMES_END + 4;
const DURABLE_END_END: usize = RECORDS_END + 8;
const DURABLE_LEN_END: usize = DURABLE_END_END + 8;
const WRITTEN_END: usize = DURABLE_LEN_END + 8;
const FLAGS_END: usize = WRITTEN_END + 1;
/// Six reserved zero bytes fill the frame up to a multiple of 8.
const PAYLOAD_LEN_BYTES: usize = FLAGS_END + 6;

/// Header and payload together, in bytes.
pub const COMMIT_FRAME_LEN_BYTES: usize = frame::HEADER_LEN_BYTES + PAYLOAD_LEN_BYTES;
const _: () = assert!(COMMIT_FRAME_LEN_BYTES.is_multiple_of(super::ALIGNMENT));

const FLAG_CLEAN: u8 = 1;

/// What a commit frame says of its batch.
///
/// It repeats the file's salt in full: 32 bits of checksum are not enough against bodies full of imitations, and no client knows
/// the salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitFrame {
    /// Where the batch starts, in bytes from the start of the file.
    pub batch_start: u64,
    /// The sequence of its first record; of a batch without records, what the next record will get.
    pub first_sequence: Sequence,
    /// Frames of every kind before this one.
    pub frames: u32,
    /// Records among them.
    pub records: u32,
    /// Every byte below was covered by a sync that returned before this frame was written.
    pub durable_end: u64,
    /// The file's synced length when this frame was written: a shorter file was cut by something else.
    pub durable_len: u64,
    /// The wall clock.
    pub written: UnixMicros,
    /// Whether the daemon drained after it: nothing was in flight.
    pub clean: bool,
}

impl CommitFrame {
    /// Appends the frame, which will stand at `offset`.
    pub fn encode(&self, out: &mut Vec<u8>, checksum: &FileChecksum, offset: u64) {
        let mut payload = [0; PAYLOAD_LEN_BYTES];
        payload[..SALT_END].copy_from_slice(checksum.salt());
        payload[SALT_END..START_END].copy_from_slice(&self.batch_start.to_le_bytes());
        payload[START_END..SEQUENCE_END].copy_from_slice(&self.first_sequence.value().to_le_bytes());
        payload[SEQUENCE_END..FRAMES_END].copy_from_slice(&self.frames.to_le_bytes());
        payload[FRAMES_END..RECORDS_END].copy_from_slice(&self.records.to_le_bytes());
        payload[RECORDS_END..DURABLE_END_END].copy_from_slice(&self.durable_end.to_le_bytes());
        payload[DURABLE_END_END..DURABLE_LEN_END].copy_from_slice(&self.durable_len.to_le_bytes());
        payload[DURABLE_LEN_END..WRITTEN_END].copy_from_slice(&self.written.micros().to_le_bytes());
        payload[WRITTEN_END] = if self.clean { FLAG_CLEAN } else { 0 };
        frame::encode(out, checksum, offset, FrameKind::Commit, &payload);
    }

    /// Whether `bytes` look like a commit frame of the file with this salt: cheap, for scanning; a checksum decides.
    pub fn is_likely(bytes: &[u8], salt: &Salt) -> bool {
        const PAYLOAD_AT: usize = frame::HEADER_LEN_BYTES;
        bytes.len() >= COMMIT_FRAME_LEN_BYTES
            && bytes[0] == PAYLOAD_LEN_BYTES as u8
            && bytes[PAYLOAD_AT - 1] == FrameKind::Commit as u8
            && bytes[PAYLOAD_AT..PAYLOAD_AT + SALT_END] == *salt
    }

    /// The commit frame at the start of `bytes`, which stand at `offset`, if there is one.
    pub fn decode(bytes: &[u8], checksum: &FileChecksum, offset: u64) -> Option<CommitFrame> {
        let frame = frame::decode(bytes, checksum, offset, PAYLOAD_LEN_BYTES).ok()?;
        let payload = frame.payload;
        let is_commit = frame.kind == FrameKind::Commit as u8
            && payload.len() == PAYLOAD_LEN_BYTES
            && payload[..SALT_END] == *checksum.salt()
            && payload[WRITTEN_END] & !FLAG_CLEAN == 0
            && payload[FLAGS_END..].iter().all(|byte| *byte == 0);
        if !is_commit {
            return None;
        }
        Some(CommitFrame {
            batch_start: u64::from_le_bytes(field(payload, SALT_END)),
            first_sequence: Sequence::new(u64::from_le_bytes(field(payload, START_END))),
            frames: u32::from_le_bytes(field(payload, SEQUENCE_END)),
            records: u32::from_le_bytes(field(payload, FRAMES_END)),
            durable_end: u64::from_le_bytes(field(payload, RECORDS_END)),
            durable_len: u64::from_le_bytes(field(payload, DURABLE_END_END)),
            written: UnixMicros::new(i64::from_le_bytes(field(payload, DURABLE_LEN_END)))?,
            clean: payload[WRITTEN_END] == FLAG_CLEAN,
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn golden_bytes_of_a_commit_frame() {
        let commit = CommitFrame {
            batch_start: 128,
            first_sequence: Sequence::new(0x0102),
            frames: 3,
            records: 2,
            durable_end: 0x80,
            durable_len: 0x10_0000,
            written: UnixMicros::new(-2).unwrap(),
            clean: true,
        };
        let checksum = FileChecksum::new(*b"0123456789abcdef");
        let mut bytes = Vec::new();
        commit.encode(&mut bytes, &checksum, 256);
        let mut golden = vec![71, 0, 0, 0, 0x0a, 0xc3, 0xcf, 0x00, 2];
        golden.extend(b"0123456789abcdef");
        golden.extend(b"\x80\0\0\0\0\0\0\0\x02\x01\0\0\0\0\0\0\x03\0\0\0\x02\0\0\0");
        golden.extend(b"\x80\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0");
        golden.extend(b"\xfe\xff\xff\xff\xff\xff\xff\xff\x01\0\0\0\0\0\0");
        assert_eq!(bytes, golden);
        assert!(CommitFrame::is_likely(&golden, b"0123456789abcdef"));
        assert_eq!(CommitFrame::decode(&golden, &checksum, 256), Some(commit));
        assert_eq!(CommitFrame::decode(&golden, &checksum, 264), None);
    }
}
