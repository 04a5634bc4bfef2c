//! Who may take how much of a disk that becomes full.
//!
//! Space runs out in an order: first merges, which only make questions quicker, and events stop at the *reserve*; then closed logs become
//! segments, and segments are written anew without the rows that are to go. These two give back more than they take, which a full disk
//! needs most, so they may have the reserve, and events leave them enough of it:
//!
//! * The reserve is 256 MiB, or two hundredths of the disk if these are more, or a tenth of the disk if that is less.
//! * A merge leaves the reserve.
//! * Events leave the reserve, or as much as the longest file that is live if that is more, so that any log can be sealed, and any segment
//!   be written anew; and a little besides.
//! * What shortens a segment needs its own length and room for a change in the manifest.
//!
//! What writing a segment puts aside meanwhile counts as its length.
//!
//! Catalog and manifest ask for nothing: their changes are small, and take sites and files away.

use format::fs::Space;

/// What events and merges leave of a disk, so that erasure, retention and sealing go on when it is full.
const RESERVE_BYTES: u64 = 256 * 1024 * 1024;

/// The same, as a part of the disk.
const RESERVE_PART: u64 = 50;

/// No more of a small disk is left, or it would be of no use.
const MOST_PART: u64 = 10;

/// Room for the changes in the manifest that put one file in the place of another.
const LITTLE_BYTES: u64 = 256 * 1024;

/// What is written on a full disk without asking, while nothing gives space back yet: a step of a new log, the first segments of short
/// logs, changes in manifest and catalog.
const UNASKED_BYTES: u64 = 2 * 1024 * 1024;

fn reserve(space: Space) -> u64 {
    RESERVE_BYTES.max(space.total / RESERVE_PART).min(space.total / MOST_PART)
}

fn fits_beside(space: Space, bytes: u64, left: u64) -> bool {
    bytes.checked_add(left).is_some_and(|needed| needed <= space.free)
}

/// Whether a log may grow by `growth` bytes for events, where no live log or segment is longer than `longest`.
pub(crate) fn has_room_for_events(space: Space, growth: u64, longest: u64) -> bool {
    fits_beside(space, growth, reserve(space).max(longest.saturating_add(LITTLE_BYTES)).saturating_add(UNASKED_BYTES))
}

/// Whether outputs of so many bytes can be written before their inputs go.
pub(crate) fn has_room_for_merge(space: Space, bytes: u64) -> bool {
    fits_beside(space, bytes, reserve(space))
}

/// Whether a segment of so many bytes can be written in the place of a longer one.
pub(crate) fn has_room_to_shorten_to(space: Space, bytes: u64) -> bool {
    fits_beside(space, bytes, LITTLE_BYTES)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn the_reserve_is_left() {
        let small = Space { total: 10 * GIB, free: GIB };
        assert!(has_room_for_merge(small, GIB - RESERVE_BYTES) && !has_room_for_merge(small, GIB - RESERVE_BYTES + 1));
        let large = Space { total: 100 * GIB, free: 3 * GIB };
        assert!(has_room_for_merge(large, GIB) && !has_room_for_merge(large, GIB + 1));
        assert!(!has_room_for_merge(Space { total: GIB, free: 0 }, u64::MAX));
        let tiny = Space { total: 60 * MIB, free: 10 * MIB };
        assert!(has_room_for_merge(tiny, 4 * MIB) && !has_room_for_merge(tiny, 4 * MIB + 1));
    }

    #[test]
    fn to_shorten_a_segment_needs_its_room_and_little_more() {
        for total in [60 * MIB, 100 * GIB] {
            let full = Space { total, free: MIB + LITTLE_BYTES };
            assert!(!has_room_for_merge(full, MIB));
            assert!(has_room_to_shorten_to(full, MIB) && !has_room_to_shorten_to(full, MIB + 1));
        }
    }

    /// Whatever the disk: where the last event was taken, the longest file can be written anew.
    #[test]
    fn events_leave_what_shortening_needs() {
        for total in [24 * MIB, 512 * MIB, 10 * GIB, 4096 * GIB] {
            for longest in [0, MIB, total / 100, total / 3] {
                let is_taken = |free: u64| has_room_for_events(Space { total, free }, MIB, longest);
                let least = (0..=total / MIB).find(|free| is_taken(free * MIB)).unwrap() * MIB;
                let left = Space { total, free: least - MIB - UNASKED_BYTES };
                assert!(has_room_to_shorten_to(left, longest) && left.free >= reserve(left), "{total} {longest}");
                assert!(left.free < reserve(left).max(longest) + 2 * MIB, "{total} {longest}: and no more");
            }
        }
        assert!(!has_room_for_events(Space { total: GIB, free: GIB }, 1, u64::MAX));
    }
}
