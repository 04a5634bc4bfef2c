//! The first 128 bytes of a log: who it is, and what its checksums are seeded with.

use crate::checksum::{self, FileChecksum, Salt};
use crate::error::Corruption;
use crate::units::{LogId, Sequence, UnixMicros};

/// Bytes before the first batch.
pub const HEADER_LEN_BYTES: usize = 128;

const MAGIC: [u8; 8] = *b"hkeeplog";
const VERSION: u32 = 1;

const MAGIC_END: usize = 8;
const VERSION_END: usize = MAGIC_END + 4;
const RESERVED_END: usize = VERSION_END + 4;
const SALT_END: usize = RESERVED_END + 16;
const EPOCH_END: usize = SALT_END + 16;
const ID_END: usize = EPOCH_END + 8;
const BASE_END: usize = ID_END + 8;
const CREATED_END: usize = BASE_END + 8;
const DURABLE_LEN_END: usize = CREATED_END + 8;
const FLAGS_END: usize = DURABLE_LEN_END + 1;
const CRC_AT: usize = HEADER_LEN_BYTES - 4;
const _: () = assert!(FLAGS_END <= CRC_AT);

const FLAG_ANSWERS_BEFORE_SYNC: u8 = 1;

/// Who a log is. The manifest repeats it, so that damage in these bytes costs nothing but them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHeader {
    /// Identity, which is also the file's name.
    pub id: LogId,
    /// Random seed of the file's checksums.
    pub salt: Salt,
    /// The epoch of the data directory when the log was created.
    pub epoch: [u8; 16],
    /// What the first record in it gets.
    pub base_sequence: Sequence,
    /// When it was created.
    pub created: UnixMicros,
    /// The length that the file was synced with before anything was appended, in bytes.
    pub durable_len: u64,
    /// Whether its records are answered for before they are synced. If it does not end cleanly, sequences that it gave out may be gone.
    pub answers_before_sync: bool,
}

impl LogHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN_BYTES] {
        let mut bytes = [0; HEADER_LEN_BYTES];
        bytes[..MAGIC_END].copy_from_slice(&MAGIC);
        bytes[MAGIC_END..VERSION_END].copy_from_slice(&VERSION.to_le_bytes());
        bytes[RESERVED_END..SALT_END].copy_from_slice(&self.salt);
        bytes[SALT_END..EPOCH_END].copy_from_slice(&self.epoch);
        bytes[EPOCH_END..ID_END].copy_from_slice(&self.id.value().to_le_bytes());
        bytes[ID_END..BASE_END].copy_from_slice(&self.base_sequence.value().to_le_bytes());
        bytes[BASE_END..CREATED_END].copy_from_slice(&self.created.micros().to_le_bytes());
        bytes[CREATED_END..DURABLE_LEN_END].copy_from_slice(&self.durable_len.to_le_bytes());
        bytes[DURABLE_LEN_END] = if self.answers_before_sync { FLAG_ANSWERS_BEFORE_SYNC } else { 0 };
        let crc = checksum::plain(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header that `bytes` hold.
    ///
    /// # Errors
    ///
    /// [`Corruption::Magic`] if this is no log, [`Corruption::Version`] if a newer program wrote it, else [`Corruption::Header`].
    pub fn decode(bytes: &[u8; HEADER_LEN_BYTES]) -> Result<LogHeader, Corruption> {
        if bytes[..MAGIC_END] != MAGIC {
            return Err(Corruption::Magic { expected: "log" });
        }
        // The checksum comes before the version: a flipped bit must not read as "written by a newer program".
        if checksum::plain(&bytes[..CRC_AT]) != u32::from_le_bytes(field(bytes, CRC_AT)) {
            return Err(Corruption::Header);
        }
        let found = u32::from_le_bytes(field(bytes, MAGIC_END));
        if found != VERSION {
            return Err(Corruption::Version { found, known: VERSION });
        }
        if bytes[DURABLE_LEN_END] & !FLAG_ANSWERS_BEFORE_SYNC != 0 {
            return Err(Corruption::Header);
        }
        Ok(LogHeader {
            salt: field(bytes, RESERVED_END),
            epoch: field(bytes, SALT_END),
            id: LogId::new(u64::from_le_bytes(field(bytes, EPOCH_END))),
            base_sequence: Sequence::new(u64::from_le_bytes(field(bytes, ID_END))),
            created: UnixMicros::new(i64::from_le_bytes(field(bytes, BASE_END))).ok_or(Corruption::Header)?,
            durable_len: u64::from_le_bytes(field(bytes, CREATED_END)),
            answers_before_sync: bytes[DURABLE_LEN_END] == FLAG_ANSWERS_BEFORE_SYNC,
        })
    }

    /// The checksums of this file's frames.
    pub fn checksum(&self) -> FileChecksum {
        FileChecksum::new(self.salt)
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

    fn header() -> LogHeader {
        LogHeader {
            id: LogId::new(3),
            salt: [1; 16],
            epoch: [2; 16],
            base_sequence: Sequence::new(1001),
            created: UnixMicros::new(1_772_325_000_123_456).unwrap(),
            durable_len: 1 << 20,
            answers_before_sync: false,
        }
    }

    #[test]
    fn golden_bytes_of_a_header() {
        let mut golden = b"hkeeplog\x01\0\0\0\0\0\0\0".to_vec();
        golden.extend([1; 16]);
        golden.extend([2; 16]);
        golden.extend(b"\x03\0\0\0\0\0\0\0\xe9\x03\0\0\0\0\0\0");
        golden.extend(b"\x40\x14\x0f\x92\xeb\x4b\x06\x00");
        golden.extend(b"\0\0\x10\0\0\0\0\0");
        golden.resize(124, 0);
        golden.extend([0xe2, 0x18, 0xfd, 0xf1]);
        assert_eq!(header().encode().to_vec(), golden);
        assert_eq!(LogHeader::decode(&golden.try_into().unwrap()).unwrap(), header());
    }

    #[test]
    fn golden_bytes_of_a_header_that_answers_before_syncs() {
        let header = LogHeader { answers_before_sync: true, ..header() };
        let bytes = header.encode();
        assert_eq!(bytes[80..], [&[1][..], &[0; 43], &[0x80, 0x20, 0xd5, 0xdb]].concat());
        assert_eq!(LogHeader::decode(&bytes).unwrap(), header);
        let mut unknown = bytes;
        unknown[80] = 2;
        let crc = checksum::plain(&unknown[..CRC_AT]);
        unknown[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(LogHeader::decode(&unknown), Err(Corruption::Header)));
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let bytes = header().encode();
        for bit in 0..HEADER_LEN_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(LogHeader::decode(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = header().encode();
        bytes[MAGIC_END] = 2;
        let crc = checksum::plain(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(LogHeader::decode(&bytes), Err(Corruption::Version { found: 2, known: 1 })));
    }
}
