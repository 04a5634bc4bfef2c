//! The first and the last 64 bytes of a segment: who it is, and that it is whole.

use crate::checksum::{self, FileChecksum, Salt};
use crate::error::Corruption;
use crate::units::{SegmentId, UnixMicros};

/// Bytes before the first block.
pub const HEADER_LEN_BYTES: usize = 64;

/// Bytes behind the footer.
pub const TRAILER_LEN_BYTES: usize = 64;

const MAGIC: [u8; 8] = *b"hkeepseg";
const VERSION: u32 = 1;

const MAGIC_END: usize = 8;
const VERSION_END: usize = MAGIC_END + 4;
const SALT_END: usize = VERSION_END + 16;
const EPOCH_END: usize = SALT_END + 16;
const ID_END: usize = EPOCH_END + 8;
const CREATED_END: usize = ID_END + 8;
const CRC_AT: usize = HEADER_LEN_BYTES - 4;
const _: () = assert!(CREATED_END == CRC_AT);

const TRAILER_MAGIC: [u8; 8] = *b"hkeepend";
const TRAILER_ID_END: usize = 8 + 8;
const FOOTER_OFFSET_END: usize = TRAILER_ID_END + 8;
const FOOTER_LEN_END: usize = FOOTER_OFFSET_END + 8;
const FOOTER_CRC_END: usize = FOOTER_LEN_END + 4;
const TRAILER_CRC_AT: usize = TRAILER_LEN_BYTES - 4;
const _: () = assert!(FOOTER_CRC_END <= TRAILER_CRC_AT);

/// Who a segment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Identity, which is also the file's name.
    pub id: SegmentId,
    /// Random seed of the file's checksums.
    pub salt: Salt,
    /// The epoch of the data directory.
    pub epoch: [u8; 16],
    /// When it was begun.
    pub created: UnixMicros,
}

impl SegmentHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN_BYTES] {
        let mut bytes = [0; HEADER_LEN_BYTES];
        bytes[..MAGIC_END].copy_from_slice(&MAGIC);
        bytes[MAGIC_END..VERSION_END].copy_from_slice(&VERSION.to_le_bytes());
        bytes[VERSION_END..SALT_END].copy_from_slice(&self.salt);
        bytes[SALT_END..EPOCH_END].copy_from_slice(&self.epoch);
        bytes[EPOCH_END..ID_END].copy_from_slice(&self.id.value().to_le_bytes());
        bytes[ID_END..CREATED_END].copy_from_slice(&self.created.micros().to_le_bytes());
        let crc = checksum::plain(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header that `bytes` hold.
    ///
    /// # Errors
    ///
    /// [`Corruption::Magic`] if this is no segment, [`Corruption::Version`] if a newer program wrote it, else [`Corruption::Header`].
    pub fn decode(bytes: &[u8; HEADER_LEN_BYTES]) -> Result<SegmentHeader, Corruption> {
        if bytes[..MAGIC_END] != MAGIC {
            return Err(Corruption::Magic { expected: "segment" });
        }
        // The checksum comes before the version: a flipped bit must not read as "written by a newer program".
        if checksum::plain(&bytes[..CRC_AT]) != u32::from_le_bytes(field(bytes, CRC_AT)) {
            return Err(Corruption::Header);
        }
        let found = u32::from_le_bytes(field(bytes, MAGIC_END));
        if found != VERSION {
            return Err(Corruption::Version { found, known: VERSION });
        }
        Ok(SegmentHeader {
            salt: field(bytes, VERSION_END),
            epoch: field(bytes, SALT_END),
            id: SegmentId::new(u64::from_le_bytes(field(bytes, EPOCH_END))),
            created: UnixMicros::new(i64::from_le_bytes(field(bytes, ID_END))).ok_or(Corruption::Header)?,
        })
    }

    /// The checksums of this file.
    pub(super) fn checksum(&self) -> FileChecksum {
        FileChecksum::new(self.salt)
    }
}

/// What the end of a committed segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    /// The segment's identity, as in its header.
    pub(super) id: SegmentId,
    /// Where the footer starts.
    pub(super) footer_offset: u64,
    /// Bytes of the footer.
    pub(super) footer_len_bytes: u64,
    /// The footer's checksum.
    pub(super) footer_crc: u32,
}

impl Trailer {
    /// Where it stands: behind the footer.
    pub(super) fn offset(&self) -> u64 {
        self.footer_offset + self.footer_len_bytes
    }

    /// The trailer's bytes.
    pub(super) fn encode(&self, checksum: &FileChecksum) -> [u8; TRAILER_LEN_BYTES] {
        let mut bytes = [0; TRAILER_LEN_BYTES];
        bytes[..8].copy_from_slice(&TRAILER_MAGIC);
        bytes[8..TRAILER_ID_END].copy_from_slice(&self.id.value().to_le_bytes());
        bytes[TRAILER_ID_END..FOOTER_OFFSET_END].copy_from_slice(&self.footer_offset.to_le_bytes());
        bytes[FOOTER_OFFSET_END..FOOTER_LEN_END].copy_from_slice(&self.footer_len_bytes.to_le_bytes());
        bytes[FOOTER_LEN_END..FOOTER_CRC_END].copy_from_slice(&self.footer_crc.to_le_bytes());
        let crc = checksum.at(self.offset(), [&bytes[..TRAILER_CRC_AT], &[]]);
        bytes[TRAILER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The trailer of segment `id` that `bytes`, the last of the file, hold; they stand at `offset`.
    ///
    /// # Errors
    ///
    /// [`Corruption::Trailer`] if they are no trailer, or that of another segment, or one that names a footer elsewhere than between
    /// the header and itself.
    pub(super) fn decode(
        bytes: &[u8; TRAILER_LEN_BYTES],
        checksum: &FileChecksum,
        id: SegmentId,
        offset: u64,
    ) -> Result<Trailer, Corruption> {
        let crc = u32::from_le_bytes(field(bytes, TRAILER_CRC_AT));
        if bytes[..8] != TRAILER_MAGIC || checksum.at(offset, [&bytes[..TRAILER_CRC_AT], &[]]) != crc {
            return Err(Corruption::Trailer);
        }
        let trailer = Trailer {
            id: SegmentId::new(u64::from_le_bytes(field(bytes, 8))),
            footer_offset: u64::from_le_bytes(field(bytes, TRAILER_ID_END)),
            footer_len_bytes: u64::from_le_bytes(field(bytes, FOOTER_OFFSET_END)),
            footer_crc: u32::from_le_bytes(field(bytes, FOOTER_LEN_END)),
        };
        let end = trailer.footer_offset.checked_add(trailer.footer_len_bytes);
        let fits = trailer.footer_offset >= HEADER_LEN_BYTES as u64 && end == Some(offset);
        if fits && trailer.id == id { Ok(trailer) } else { Err(Corruption::Trailer) }
    }
}

/// The `N` bytes at `at`.
pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes")
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader { id: SegmentId::new(3), salt: [1; 16], epoch: [2; 16], created: UnixMicros::new(1_772_325_000_123_456).unwrap() }
    }

    #[test]
    fn golden_bytes_of_a_header() {
        let mut golden = b"hkeepseg\x01\0\0\0".to_vec();
        golden.extend([1; 16]);
        golden.extend([2; 16]);
        golden.extend(b"\x03\0\0\0\0\0\0\0");
        golden.extend(b"\x40\x14\x0f\x92\xeb\x4b\x06\x00");
        golden.extend([0xe5, 0x24, 0xfe, 0xec]);
        assert_eq!(header().encode(), *golden);
        assert_eq!(SegmentHeader::decode(&golden.try_into().unwrap()).unwrap(), header());
    }

    #[test]
    fn golden_bytes_of_a_trailer() {
        let trailer = Trailer { id: SegmentId::new(3), footer_offset: 0x1234, footer_len_bytes: 0x56, footer_crc: 0x789a_bcde };
        let checksum = header().checksum();
        let mut golden = b"hkeepend\x03\0\0\0\0\0\0\0\x34\x12\0\0\0\0\0\0\x56\0\0\0\0\0\0\0\xde\xbc\x9a\x78".to_vec();
        golden.resize(60, 0);
        golden.extend([0xea, 0x3c, 0xe6, 0x3a]);
        assert_eq!(trailer.encode(&checksum), *golden);
        let golden = golden.try_into().unwrap();
        assert_eq!(Trailer::decode(&golden, &checksum, SegmentId::new(3), 0x128a).unwrap(), trailer);
        assert!(Trailer::decode(&golden, &checksum, SegmentId::new(4), 0x128a).is_err(), "another segment's");
        assert!(Trailer::decode(&golden, &checksum, SegmentId::new(3), 0x128b).is_err(), "at another place");
    }

    #[test]
    fn no_flipped_bit_passes() {
        let trailer = Trailer { id: SegmentId::new(3), footer_offset: 0x1234, footer_len_bytes: 0x56, footer_crc: 0x789a_bcde };
        let checksum = header().checksum();
        for bit in 0..64 * 8 {
            let mut damaged = header().encode();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&damaged).is_err(), "bit {bit}");
            let mut damaged = trailer.encode(&checksum);
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Trailer::decode(&damaged, &checksum, SegmentId::new(3), 0x128a).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut newer = header().encode();
        newer[MAGIC_END] = 2;
        let crc = checksum::plain(&newer[..CRC_AT]);
        newer[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(SegmentHeader::decode(&newer), Err(Corruption::Version { found: 2, known: 1 })));
    }
}
