//! Keyed hashes, short enough to be kept in a table beside its values.
//!
//! A table that grows asks for the hash of everything it holds. To hash again means to fetch each key from where it is, in the
//! order of the table: a cache miss a key, all at once, on the appender's thread. Four bytes a slot spare that.

use std::hash::{BuildHasher, Hasher, RandomState};

/// 32 bits of a keyed hash. Two keys with the same one are told apart by comparing the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShortHash(u32);

impl ShortHash {
    /// The hash of `bytes` in the room named by `room`.
    pub(crate) fn of(hasher: &RandomState, room: u64, bytes: &[u8]) -> ShortHash {
        let mut hasher = hasher.build_hasher();
        hasher.write_u64(room);
        hasher.write(bytes);
        ShortHash((hasher.finish() >> 32) as u32)
    }

    /// As a table wants it: it takes the place from the low bits and a tag from the highest.
    pub(crate) fn spread(self) -> u64 {
        u64::from(self.0) << 32 | u64::from(self.0)
    }
}
