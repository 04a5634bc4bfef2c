//! Whether the wall clock may be believed when events are to be taken off the disk by their age.
//!
//! A clock that jumps years ahead, by a flat battery or a mistyped date, would have everything expire. So a clock that is more than two
//! days ahead of what was last known of it is not believed until it has run steadily for a day.

use std::time::{Duration, Instant};

use format::UnixMicros;

/// How far ahead a clock may be.
const AHEAD_MICROS: i64 = 48 * 3_600_000_000;

/// For how long it has to run steadily otherwise.
const STEADY: Duration = Duration::from_secs(24 * 3_600);

/// How far the wall clock may differ from elapsed time over that: clocks are set by seconds, and twice a year by people, by an hour.
const SLACK_MICROS: i64 = 2 * 3_600_000_000;

/// What is known of the wall clock.
#[derive(Debug)]
pub(super) struct Clock {
    /// The latest time that is believed.
    known: UnixMicros,
    /// Since when the clock has been too far ahead: both clocks then.
    ahead_since: Option<(Instant, UnixMicros)>,
}

impl Clock {
    /// `known` is when something was last committed.
    pub(super) fn new(known: UnixMicros) -> Clock {
        Clock { known, ahead_since: None }
    }

    /// Whether the wall clock is believed when it says `now`, at `instant` of the one that only counts.
    pub(super) fn is_believed(&mut self, now: UnixMicros, instant: Instant) -> bool {
        let is_near = now.micros() - self.known.micros() <= AHEAD_MICROS;
        if is_near || self.is_steady(now, instant) {
            (self.known, self.ahead_since) = (self.known.max(now), None);
            return true;
        }
        false
    }

    /// Whether it has run as fast as the other clock for long.
    fn is_steady(&mut self, now: UnixMicros, instant: Instant) -> bool {
        let (since, at) = *self.ahead_since.get_or_insert((instant, now));
        let elapsed = instant.saturating_duration_since(since);
        let elapsed_micros = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        if (now.micros() - at.micros()).saturating_sub(elapsed_micros).abs() > SLACK_MICROS {
            self.ahead_since = Some((instant, now));
            return false;
        }
        elapsed >= STEADY
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn at(hours: i64) -> UnixMicros {
        UnixMicros::new(hours * HOUR).unwrap()
    }

    #[test]
    fn a_clock_that_runs_on_or_goes_back_is_believed() {
        let (mut clock, begun) = (Clock::new(at(1_000)), Instant::now());
        for hours in [1_000, 1_048, 1_096, 900, 1_144] {
            assert!(clock.is_believed(at(hours), begun), "{hours}");
        }
    }

    #[test]
    fn a_clock_that_jumped_ahead_is_believed_after_a_steady_day() {
        let (mut clock, begun) = (Clock::new(at(1_000)), Instant::now());
        let after = |hours: u64| begun + Duration::from_secs(hours * 3_600);
        for hours in 0..24 {
            assert!(!clock.is_believed(at(9_000 + hours as i64), after(hours)), "{hours}");
        }
        assert!(clock.is_believed(at(9_024), after(24)));
        assert!(clock.is_believed(at(9_025), after(25)));
        // It jumps again, and once more before a day has passed.
        assert!(!clock.is_believed(at(20_000), after(26)));
        assert!(!clock.is_believed(at(30_000), after(40)));
        assert!(!clock.is_believed(at(30_020), after(60)));
        assert!(clock.is_believed(at(30_024), after(64)));
        // Back where it should be.
        assert!(clock.is_believed(at(9_050), after(65)));
    }
}
