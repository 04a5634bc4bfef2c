//! One frame: length, checksum, kind and payload; the unit of append and of damage.
//!
//! A frame is ignorant of what it carries. It is valid if and only if
//!
//! 1. its length is at most the caller's bound and its last byte lies before the caller's end,
//! 2. its kind is not 0 (space that was never written reads as zeros), and
//! 3. its checksum is that of length, kind and payload under the file's salt and the frame's offset.
//!
//! The length is bounded before it is used, so that damage in it cannot ask for memory.

use crate::checksum::FileChecksum;

/// Bytes before the payload: length (4), checksum (4), kind (1).
pub const HEADER_LEN_BYTES: usize = 9;

const LEN_AT: usize = 0;
const CRC_AT: usize = 4;
const KIND_AT: usize = 8;

/// What a frame carries. Numbers are part of the format and are never given a second meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// An event, a [`crate::record::Record`] of version 1.
    Record = 1,
    /// The end of a batch in a log.
    Commit = 2,
    /// A change in a paired file.
    Change = 3,
    /// The proof that a change in a paired file was synced.
    Proof = 4,
}

/// A valid frame and where the next byte after it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The kind byte as it stands in the file; a newer version may write kinds this one does not know.
    pub kind: u8,
    /// What it carries.
    pub payload: &'a [u8],
    /// Header and payload together, in bytes.
    pub len_bytes: usize,
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameDamage {
    /// Fewer bytes are left than the header or the length needs.
    #[error("frame ends behind the data")]
    Short,
    /// The length is above the bound for this file: it was never written like this.
    #[error("frame length {len_bytes} is above the bound {max_bytes}")]
    TooLong {
        /// What the length field says.
        len_bytes: u32,
        /// What this file allows.
        max_bytes: usize,
    },
    /// The kind is 0: nothing was ever written here.
    #[error("no frame")]
    Unwritten,
    /// The checksum does not match.
    #[error("frame checksum does not match")]
    Checksum,
}

/// Appends a frame that will stand at `offset` of its file.
///
/// # Panics
///
/// On a payload of 4 GiB or more; callers bound theirs far below.
pub fn encode(out: &mut Vec<u8>, checksum: &FileChecksum, offset: u64, kind: FrameKind, payload: &[u8]) {
    let len = u32::try_from(payload.len()).expect("a frame's payload is far below 4 GiB");
    let mut head = [0; 5];
    head[..4].copy_from_slice(&len.to_le_bytes());
    head[4] = kind as u8;
    let crc = checksum.at(offset, [&head, payload]);
    out.reserve(HEADER_LEN_BYTES + payload.len());
    out.extend_from_slice(&head[..4]);
    out.extend_from_slice(&crc.to_le_bytes());
    out.push(kind as u8);
    out.extend_from_slice(payload);
}

/// The length field of a frame, unchecked, or nothing where not even a header fits.
pub fn peek_len(bytes: &[u8]) -> Option<usize> {
    let field: [u8; 4] = bytes.get(LEN_AT..HEADER_LEN_BYTES)?[..4].try_into().ok()?;
    usize::try_from(u32::from_le_bytes(field)).ok()
}

/// The frame at the start of `bytes`, which stand at `offset` of their file.
///
/// # Errors
///
/// [`FrameDamage`], if the bytes are not a valid frame with a payload of at most `max_bytes`.
pub fn decode<'a>(bytes: &'a [u8], checksum: &FileChecksum, offset: u64, max_bytes: usize) -> Result<Frame<'a>, FrameDamage> {
    let Some((head, rest)) = bytes.split_at_checked(HEADER_LEN_BYTES) else { return Err(FrameDamage::Short) };
    let len_field: [u8; 4] = head[LEN_AT..CRC_AT].try_into().expect("four bytes");
    let crc = u32::from_le_bytes(head[CRC_AT..KIND_AT].try_into().expect("four bytes"));
    let kind = head[KIND_AT];
    if kind == 0 {
        return Err(FrameDamage::Unwritten);
    }
    let len_bytes = u32::from_le_bytes(len_field);
    let payload_len = usize::try_from(len_bytes).unwrap_or(usize::MAX);
    if payload_len > max_bytes {
        return Err(FrameDamage::TooLong { len_bytes, max_bytes });
    }
    let Some(payload) = rest.get(..payload_len) else { return Err(FrameDamage::Short) };
    let sealed_head = [len_field[0], len_field[1], len_field[2], len_field[3], kind];
    if checksum.at(offset, [&sealed_head, payload]) != crc {
        return Err(FrameDamage::Checksum);
    }
    Ok(Frame { kind, payload, len_bytes: HEADER_LEN_BYTES + payload_len })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out, &FileChecksum::new([7; 16]), 64, FrameKind::Record, payload);
        out
    }

    #[test]
    fn golden_bytes_of_a_frame() {
        let bytes = encoded(b"hello");
        assert_eq!(bytes[..4], [5, 0, 0, 0]);
        assert_eq!(bytes[4..8], [0x0e, 0x30, 0x25, 0xae]);
        assert_eq!(bytes[8..], *b"\x01hello");
        let frame = decode(&bytes, &FileChecksum::new([7; 16]), 64, 100).expect("what was encoded");
        assert_eq!((frame.kind, frame.payload, frame.len_bytes), (1, b"hello".as_slice(), 14));
    }

    #[test]
    fn no_flipped_bit_passes() {
        let bytes = encoded(b"some payload");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged, &FileChecksum::new([7; 16]), 64, 100).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_frame_passes_only_at_its_offset_and_under_its_salt() {
        let bytes = encoded(b"x");
        assert_eq!(decode(&bytes, &FileChecksum::new([7; 16]), 72, 100), Err(FrameDamage::Checksum));
        assert_eq!(decode(&bytes, &FileChecksum::new([8; 16]), 64, 100), Err(FrameDamage::Checksum));
    }

    #[test]
    fn zeros_are_no_frame() {
        assert_eq!(decode(&[0; 32], &FileChecksum::new([7; 16]), 0, 100), Err(FrameDamage::Unwritten));
    }

    #[test]
    fn a_length_is_bounded_before_it_is_used() {
        let mut bytes = encoded(b"x");
        bytes[3] = 0xff;
        assert!(matches!(decode(&bytes, &FileChecksum::new([7; 16]), 64, 100), Err(FrameDamage::TooLong { .. })));
    }
}
