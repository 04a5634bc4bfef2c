//! One change of the manifest: its payload.
//!
//! The layout is bincode 2 in its standard configuration. Variants are added at the end and never given a second meaning; a program that
//! does not know one refuses to start, because it cannot know what it would delete.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};

use crate::error::Corruption;
use crate::log::recovery::ClosedEnd;
use crate::log::{HEADER_LEN_BYTES, LogHeader};
use crate::units::{ByteOffset, LogId, Sequence};

use super::Closed;

/// The longest payload that is decoded, in bytes.
const MAX_PAYLOAD_BYTES: usize = 4096;

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

    pub(super) fn encode(&self) -> Vec<u8> {
        bincode::encode_to_vec(self, CONFIG).expect("a change has a fixed, small size")
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

    #[test]
    fn an_unknown_change_is_refused() {
        assert!(matches!(ManifestChange::decode(&[3, 0, 0]), Err(Corruption::Payload { what: "manifest" })));
        assert!(matches!(ManifestChange::decode(&[]), Err(Corruption::Payload { .. })));
    }
}
