//! For how long a site keeps its events.
//!
//! What is older than a site's cutoff is neither taken nor counted from that instant on. Compaction takes it off the disk later.

use format::UnixMicros;

use crate::instant;

/// The most days that a site may keep its events, if not for ever: a hundred years.
pub(crate) const MAX_DAYS: u32 = 36_500;

const DAY_MICROS: i64 = 24 * 3_600_000_000;

/// The first instant whose events a site with so many days keeps at `now`; with 0, that is the beginning of time.
pub(crate) fn cutoff(days: u32, now: UnixMicros) -> UnixMicros {
    match days {
        0 => UnixMicros::MIN,
        days => instant::later(now, -DAY_MICROS.saturating_mul(days.into())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn days_are_counted_back_from_now() {
        let at = |text| instant::parse(text).unwrap().floor();
        let now = at("2026-03-31T12:00:00Z");
        assert_eq!(cutoff(30, now), at("2026-03-01T12:00:00Z"));
        assert_eq!(cutoff(0, now), UnixMicros::MIN);
        assert_eq!(cutoff(u32::MAX, now), UnixMicros::MIN);
    }
}
