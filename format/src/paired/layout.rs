//! The bytes of a paired file: header, change frames, proof frames. `docs/format.md` has the tables.

use crate::checksum::{self, FileChecksum, Salt};
use crate::error::Corruption;
use crate::frame::{self, FrameKind};

use super::{FileKind, MAX_CHANGE_BYTES};

/// Bytes before the first change.
pub(super) const HEADER_LEN_BYTES: usize = 64;

/// What proofs are aligned to, in bytes: a sector, the least that a disk loses at once.
///
/// So no sector holds a part of a change and its proof: one that is lost takes a proof, and leaves a whole change, or takes a part of a
/// change, and leaves the proof that tells. Side by side in one sector, the last few changes could vanish like a torn tail.
pub(super) const PROOF_ALIGNMENT: usize = 512;

const MAGIC: [u8; 8] = *b"hkeepair";
const VERSION: u32 = 1;

const MAGIC_END: usize = 8;
const VERSION_END: usize = MAGIC_END + 4;
const KIND_END: usize = VERSION_END + 4;
const SALT_END: usize = KIND_END + 16;
const DURABLE_LEN_END: usize = SALT_END + 8;
const CRC_AT: usize = HEADER_LEN_BYTES - 4;
const _: () = assert!(DURABLE_LEN_END <= CRC_AT);

/// The first bytes of a paired file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: FileKind,
    /// Random seed of the file's checksums.
    pub(super) salt: Salt,
    /// The length that the file was synced with when it was made.
    pub(super) durable_len: u64,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_LEN_BYTES] {
        let mut bytes = [0; HEADER_LEN_BYTES];
        bytes[..MAGIC_END].copy_from_slice(&MAGIC);
        bytes[MAGIC_END..VERSION_END].copy_from_slice(&VERSION.to_le_bytes());
        bytes[VERSION_END..KIND_END].copy_from_slice(&self.kind.number().to_le_bytes());
        bytes[KIND_END..SALT_END].copy_from_slice(&self.salt);
        bytes[SALT_END..DURABLE_LEN_END].copy_from_slice(&self.durable_len.to_le_bytes());
        let crc = checksum::plain(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the start of `image`, which must be one of `kind`.
    pub(super) fn decode(image: &[u8], kind: FileKind) -> Result<Header, Corruption> {
        let bytes: &[u8; HEADER_LEN_BYTES] = image.first_chunk().ok_or(Corruption::Header)?;
        // The checksum comes first: a flipped bit must not read as another kind of file or as "written by a newer program".
        if checksum::plain(&bytes[..CRC_AT]) != u32::from_le_bytes(field(bytes, CRC_AT)) {
            return Err(Corruption::Header);
        }
        if bytes[..MAGIC_END] != MAGIC || u32::from_le_bytes(field(bytes, VERSION_END)) != kind.number() {
            return Err(Corruption::Magic { expected: kind.name() });
        }
        let found = u32::from_le_bytes(field(bytes, MAGIC_END));
        if found != VERSION {
            return Err(Corruption::Version { found, known: VERSION });
        }
        Ok(Header { kind, salt: field(bytes, KIND_END), durable_len: u64::from_le_bytes(field(bytes, SALT_END)) })
    }
}

/// A change frame that verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChangeFrame<'a> {
    pub(super) payload: &'a [u8],
    /// The frame's checksum, as its proof repeats it.
    pub(super) crc: u32,
    /// The end of the frame, before padding.
    pub(super) end: u64,
}

impl ChangeFrame<'_> {
    /// Where its proof stands: in the next sector.
    pub(super) fn proof_at(&self) -> u64 {
        self.end.next_multiple_of(PROOF_ALIGNMENT as u64)
    }
}

/// The end of a pair that starts at `offset`.
pub(super) fn pair_end(offset: u64, payload: &[u8]) -> u64 {
    let change_end = offset + (frame::HEADER_LEN_BYTES + payload.len()) as u64;
    change_end.next_multiple_of(PROOF_ALIGNMENT as u64) + PROOF_LEN_BYTES as u64
}

/// Appends a change frame that will stand at `offset`, and its padding; returns its checksum.
pub(super) fn encode_change(out: &mut Vec<u8>, checksum: &FileChecksum, offset: u64, payload: &[u8]) -> u32 {
    let start = out.len();
    frame::encode(out, checksum, offset, FrameKind::Change, payload);
    let crc = frame_crc(&out[start..]);
    let end = offset + (out.len() - start) as u64;
    let padding = end.next_multiple_of(PROOF_ALIGNMENT as u64) - end;
    out.resize(out.len() + padding as usize, 0);
    crc
}

/// The change frame at `offset` of `image`.
pub(super) fn decode_change<'a>(image: &'a [u8], checksum: &FileChecksum, offset: u64) -> Result<ChangeFrame<'a>, Corruption> {
    let bytes = usize::try_from(offset).ok().and_then(|at| image.get(at..)).unwrap_or(&[]);
    let frame = frame::decode(bytes, checksum, offset, MAX_CHANGE_BYTES)?;
    if frame.kind != FrameKind::Change as u8 {
        return Err(Corruption::FrameKind(frame.kind));
    }
    Ok(ChangeFrame { payload: frame.payload, crc: frame_crc(bytes), end: offset + frame.len_bytes as u64 })
}

/// The checksum field of a frame: the four bytes behind its length.
fn frame_crc(frame: &[u8]) -> u32 {
    u32::from_le_bytes(field(frame, 4))
}

const PROOF_SALT_END: usize = 16;
const PROOF_OFFSET_END: usize = PROOF_SALT_END + 8;
const PROOF_LEN_END: usize = PROOF_OFFSET_END + 8;
const PROOF_CRC_END: usize = PROOF_LEN_END + 4;
/// Three zero bytes fill the frame up to a multiple of 8, for whoever reads a dump.
const PROOF_PAYLOAD_BYTES: usize = PROOF_CRC_END + 3;

/// Header and payload of a proof frame together, in bytes.
pub(super) const PROOF_LEN_BYTES: usize = frame::HEADER_LEN_BYTES + PROOF_PAYLOAD_BYTES;
const _: () = assert!(PROOF_LEN_BYTES <= PROOF_ALIGNMENT);

/// Says that a change was synced before this was written.
///
/// It repeats the file's salt in full: 32 bits of checksum are not enough against payloads full of imitations, and nobody outside
/// knows the salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) change_offset: u64,
    /// The file's synced length when this frame was written.
    pub(super) durable_len: u64,
    pub(super) change_crc: u32,
}

impl Proof {
    pub(super) fn encode(&self, out: &mut Vec<u8>, checksum: &FileChecksum, offset: u64) {
        let mut payload = [0; PROOF_PAYLOAD_BYTES];
        payload[..PROOF_SALT_END].copy_from_slice(checksum.salt());
        payload[PROOF_SALT_END..PROOF_OFFSET_END].copy_from_slice(&self.change_offset.to_le_bytes());
        payload[PROOF_OFFSET_END..PROOF_LEN_END].copy_from_slice(&self.durable_len.to_le_bytes());
        payload[PROOF_LEN_END..PROOF_CRC_END].copy_from_slice(&self.change_crc.to_le_bytes());
        frame::encode(out, checksum, offset, FrameKind::Proof, &payload);
    }

    /// The proof frame at the start of `bytes`, which stand at `offset`, if there is one.
    pub(super) fn decode(bytes: &[u8], checksum: &FileChecksum, offset: u64) -> Option<Proof> {
        // Scanning asks in every sector: look at the kind before computing a checksum.
        if bytes.get(frame::HEADER_LEN_BYTES - 1) != Some(&(FrameKind::Proof as u8)) {
            return None;
        }
        let payload = frame::decode(bytes, checksum, offset, PROOF_PAYLOAD_BYTES).ok()?.payload;
        let is_proof = payload.len() == PROOF_PAYLOAD_BYTES
            && payload[..PROOF_SALT_END] == *checksum.salt()
            && payload[PROOF_CRC_END..].iter().all(|byte| *byte == 0);
        is_proof.then(|| Proof {
            change_offset: u64::from_le_bytes(field(payload, PROOF_SALT_END)),
            durable_len: u64::from_le_bytes(field(payload, PROOF_OFFSET_END)),
            change_crc: u32::from_le_bytes(field(payload, PROOF_LEN_END)),
        })
    }
}

/// The `N` bytes at `at`.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes")
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SALT: Salt = *b"0123456789abcdef";

    fn header() -> Header {
        Header { kind: FileKind::Catalog, salt: SALT, durable_len: 65536 }
    }

    #[test]
    fn golden_bytes_of_a_header() {
        let mut golden = b"hkeepair\x01\0\0\0\x02\0\0\0".to_vec();
        golden.extend(SALT);
        golden.extend(b"\0\0\x01\0\0\0\0\0");
        golden.resize(60, 0);
        golden.extend([0x9f, 0x3b, 0xd7, 0x7e]);
        assert_eq!(header().encode().to_vec(), golden);
        assert_eq!(Header::decode(&golden, FileKind::Catalog).unwrap(), header());
    }

    #[test]
    fn golden_bytes_of_a_change_and_its_proof() {
        let checksum = FileChecksum::new(SALT);
        let mut bytes = Vec::new();
        let crc = encode_change(&mut bytes, &checksum, 64, b"{\"a\":1}");
        let proof = Proof { change_offset: 64, durable_len: 65536, change_crc: crc };
        proof.encode(&mut bytes, &checksum, 512);
        let mut golden = vec![7, 0, 0, 0];
        golden.extend([0xd3, 0x30, 0xba, 0x36]);
        golden.extend(b"\x03{\"a\":1}");
        golden.resize(512 - 64, 0);
        golden.extend([39, 0, 0, 0]);
        golden.extend([0x31, 0xaf, 0x49, 0x65]);
        golden.push(4);
        golden.extend(SALT);
        golden.extend(b"\x40\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0");
        golden.extend([0xd3, 0x30, 0xba, 0x36]);
        golden.extend([0; 3]);
        assert_eq!(bytes, golden);
        let mut image = vec![0; 64];
        image.extend(&golden);
        let change = decode_change(&image, &checksum, 64).unwrap();
        assert_eq!(change, ChangeFrame { payload: b"{\"a\":1}", crc, end: 80 });
        assert_eq!(Proof::decode(&image[512..], &checksum, change.proof_at()), Some(proof));
        assert_eq!(Proof::decode(&image[512..], &checksum, 1024), None);
        assert_eq!(pair_end(64, b"{\"a\":1}"), image.len() as u64);
    }

    #[test]
    fn a_proof_stands_in_the_sector_behind_its_change() {
        for (payload_len, proof_at) in [(0, 512), (439, 512), (440, 1024), (951, 1024), (952, 1536)] {
            let mut bytes = Vec::new();
            encode_change(&mut bytes, &FileChecksum::new(SALT), 64, &vec![1; payload_len]);
            assert_eq!(64 + bytes.len(), proof_at);
            assert_eq!(pair_end(64, &vec![1; payload_len]), proof_at as u64 + 48);
        }
    }

    #[test]
    fn another_kind_of_file_and_a_newer_version_are_named() {
        let bytes = header().encode();
        assert!(matches!(Header::decode(&bytes, FileKind::Manifest), Err(Corruption::Magic { expected: "manifest" })));
        assert!(matches!(Header::decode(&bytes[..63], FileKind::Catalog), Err(Corruption::Header)));
        let mut newer = bytes;
        newer[MAGIC_END] = 2;
        assert!(matches!(Header::decode(&newer, FileKind::Catalog), Err(Corruption::Header)));
        let crc = checksum::plain(&newer[..CRC_AT]);
        newer[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(Header::decode(&newer, FileKind::Catalog), Err(Corruption::Version { found: 2, known: 1 })));
    }
}
