//! Instants as text, and the one place that reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use format::UnixMicros;
use jiff::SignedDuration;
use jiff::civil::DateTime;

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// The wall clock, kept inside the years that an instant may have.
pub(crate) fn now() -> UnixMicros {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX);
    UnixMicros::new(micros).unwrap_or(UnixMicros::MAX)
}

/// The instant in RFC 3339, in UTC: `2026-03-01T09:00:00.123456Z`, a fraction only where there is one.
pub(crate) fn text(instant: UnixMicros) -> String {
    // A jiff `Timestamp` ends a day before the year 9999 does; a civil date-time reaches its last microsecond.
    let date_time = EPOCH.checked_add(SignedDuration::from_micros(instant.micros())).expect("an instant lies in the years 0 to 9999");
    format!("{date_time}Z")
}

/// An instant that a client wrote, to the nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    floor: UnixMicros,
    exact: bool,
}

impl Written {
    /// The last microsecond that is not after it.
    pub(crate) fn floor(self) -> UnixMicros {
        self.floor
    }

    /// The first microsecond that is not before it; the end of time where there is none.
    pub(crate) fn ceil(self) -> UnixMicros {
        if self.exact { self.floor } else { later(self.floor, 1) }
    }
}

impl From<UnixMicros> for Written {
    fn from(floor: UnixMicros) -> Written {
        Written { floor, exact: true }
    }
}

/// The instant `micros` later, or earlier; the nearest end of time where there is none.
pub(crate) fn later(instant: UnixMicros, micros: i64) -> UnixMicros {
    let end = if micros < 0 { UnixMicros::MIN } else { UnixMicros::MAX };
    instant.micros().checked_add(micros).and_then(UnixMicros::new).unwrap_or(end)
}

/// Reads RFC 3339 as the contract wants it: upper-case `T` and `Z`, any offset, any fraction, a calendar day that exists.
///
/// A leap second counts as the second before it. `None` also outside the years 0 to 9999 in UTC.
pub(crate) fn parse(text: &str) -> Option<Written> {
    let bytes = text.as_bytes();
    let layout = bytes.len() >= 20 && bytes[4] == b'-' && bytes[7] == b'-' && bytes[10] == b'T' && bytes[13] == b':' && bytes[16] == b':';
    if !layout {
        return None;
    }
    let year = i16::try_from(number(&bytes[0..4])?).ok()?;
    let [month, day, hour, minute, second] = [5, 8, 11, 14, 17].map(|at| two_digits(&bytes[at..at + 2]));
    let second = second?;
    let leap = second == 60;
    let (micros, exact, rest) = fraction(&bytes[19..])?;
    let date_time = DateTime::new(year, month?, day?, hour?, minute?, if leap { 59 } else { second }, 0).ok()?;
    let seconds = date_time.duration_since(EPOCH).as_secs() - offset_seconds(rest)?;
    let floor = UnixMicros::new(seconds * 1_000_000 + micros)?;
    Some(Written { floor, exact })
}

/// Splits `.123456789Z` into microseconds, whether nothing finer was cut off, and what follows.
fn fraction(bytes: &[u8]) -> Option<(i64, bool, &[u8])> {
    let Some(digits) = bytes.strip_prefix(b".") else {
        return Some((0, true, bytes));
    };
    let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if len == 0 {
        return None;
    }
    let (digits, rest) = digits.split_at(len);
    let micros = (0..6).fold(0, |sum, i| sum * 10 + digits.get(i).map_or(0, |b| i64::from(b - b'0')));
    let exact = digits.iter().skip(6).all(|&b| b == b'0');
    Some((micros, exact, rest))
}

fn offset_seconds(bytes: &[u8]) -> Option<i64> {
    let sign = match bytes {
        b"Z" => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    if bytes.len() != 6 || bytes[3] != b':' {
        return None;
    }
    let (hours, minutes) = (number(&bytes[1..3])?, number(&bytes[4..6])?);
    (hours < 24 && minutes < 60).then(|| sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
}

fn two_digits(bytes: &[u8]) -> Option<i8> {
    i8::try_from(number(bytes)?).ok()
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn micros(text: &str) -> Option<i64> {
        parse(text).map(|written| written.floor().micros())
    }

    #[test]
    fn an_offset_is_taken_off() {
        assert_eq!(micros("2026-03-01T02:30:00+02:00"), micros("2026-03-01T00:30:00Z"));
        assert_eq!(micros("2026-03-01T00:30:00-00:00"), Some(1_772_325_000_000_000));
        assert_eq!(micros("1969-12-31T23:59:59.5Z"), Some(-500_000));
    }

    #[test]
    fn text_that_is_not_rfc_3339_is_refused() {
        for bad in [
            "",
            "yesterday",
            "2026-03-01",
            "2026-03-01 00:30:00Z",
            "2026-03-01t00:30:00Z",
            "2026-03-01T00:30:00z",
            "2026-03-01T00:30:00",
            "2026-03-01T00:30:00.Z",
            "2026-03-01T00:30Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T00:00:61Z",
            "2026-03-01T00:30:00+2:00",
            "2026-03-01T00:30:00+0200",
            "2026-03-01T00:30:00+24:00",
            "2026-03-01T00:30:00Zx",
            "+026-03-01T00:30:00Z",
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "2026-03-01T00:30:0\u{e9}",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_finer_than_a_microsecond_lies_between_two() {
        let written = parse("2026-03-01T00:00:00.0000015Z").unwrap();
        assert_eq!(written.ceil().micros() - written.floor().micros(), 1);
        let written = parse("2026-03-01T00:00:00.000001000Z").unwrap();
        assert_eq!(written.ceil(), written.floor());
    }

    #[test]
    fn text_and_instant_are_each_others_inverse() {
        for text_form in ["0000-01-01T00:00:00Z", "2026-03-01T09:00:00.123456Z", "9999-12-31T23:59:59.999999Z"] {
            assert_eq!(text(parse(text_form).unwrap().floor()), text_form);
        }
    }
}
