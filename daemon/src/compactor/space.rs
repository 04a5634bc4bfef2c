//! Whether there is room for a merge: its outputs stand beside its inputs until they are live.
//!
//! A merge only makes questions quicker, so it leaves a reserve. To write a segment anew without rows that are to go makes space, which a
//! full disk needs most, so that may have the reserve.

use std::io;
use std::path::Path;

use rustix::fs::statvfs;

/// What is left on a full disk: a merge must not take the space that events, retention and the manifest need to go on.
const RESERVE_BYTES: u64 = 256 * 1024 * 1024;

/// The same, as a part of the disk.
const RESERVE_PART: u64 = 50;

/// No more of a small disk is left, or nothing would ever be merged on it.
const MOST_PART: u64 = 10;

/// What is left when a segment is written anew: room for the change in the manifest.
const LITTLE_BYTES: u64 = 256 * 1024;

/// How much space a disk has, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space {
    /// In all.
    pub(crate) total: u64,
    /// For users without privileges.
    pub(crate) free: u64,
}

impl Space {
    /// That of the disk that `path` is on.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn of(path: &Path) -> io::Result<Space> {
        let disk = statvfs(path)?;
        Ok(Space { total: disk.f_blocks.saturating_mul(disk.f_frsize), free: disk.f_bavail.saturating_mul(disk.f_frsize) })
    }

    /// Whether so many bytes fit beside the reserve: 256 MiB, or two hundredths of the disk if these are more, or a tenth of it if that
    /// is less.
    pub(super) fn has_room_for(self, bytes: u64) -> bool {
        self.fits_beside(bytes, RESERVE_BYTES.max(self.total / RESERVE_PART).min(self.total / MOST_PART))
    }

    /// Whether a segment of so many bytes can be written in place of a longer one.
    pub(super) fn has_room_to_shorten_to(self, bytes: u64) -> bool {
        self.fits_beside(bytes, LITTLE_BYTES)
    }

    fn fits_beside(self, bytes: u64, reserve: u64) -> bool {
        bytes.checked_add(reserve).is_some_and(|needed| needed <= self.free)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn the_reserve_is_left() {
        let small = Space { total: 10 * GIB, free: GIB };
        assert!(small.has_room_for(GIB - RESERVE_BYTES) && !small.has_room_for(GIB - RESERVE_BYTES + 1));
        let large = Space { total: 100 * GIB, free: 3 * GIB };
        assert!(large.has_room_for(GIB) && !large.has_room_for(GIB + 1));
        assert!(!Space { total: GIB, free: 0 }.has_room_for(u64::MAX));
        let tiny = Space { total: 60 << 20, free: 10 << 20 };
        assert!(tiny.has_room_for(4 << 20) && !tiny.has_room_for((4 << 20) + 1));
    }

    #[test]
    fn to_shorten_a_segment_needs_its_room_and_little_more() {
        for total in [60 << 20, 100 * GIB] {
            let full = Space { total, free: (1 << 20) + LITTLE_BYTES };
            assert!(!full.has_room_for(1 << 20));
            assert!(full.has_room_to_shorten_to(1 << 20) && !full.has_room_to_shorten_to((1 << 20) + 1));
        }
    }

    #[test]
    fn a_disk_has_some_space() {
        let space = Space::of(Path::new("/")).unwrap();
        assert!(space.total > 0 && space.free <= space.total, "{space:?}");
    }
}
