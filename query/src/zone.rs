//! Time zones as stretches of one offset each, and the calendar on top of them.
//!
//! The library's database says when a zone's clock jumps. Between two jumps local time is a sum, so edges of buckets are stepped
//! along and never looked up one by one.

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneFollowingTransitions};

use crate::error::Error;

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// A time zone of the IANA database, which is compiled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    rules: TimeZone,
}

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Zone {
        Zone { rules: TimeZone::UTC }
    }

    /// The zone with this IANA name, in any case of letters.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownZone`] for anything that is no such name; offsets and POSIX rules are none.
    pub fn parse(name: &str) -> Result<Zone, Error> {
        match TimeZone::get(name) {
            Ok(rules) if !rules.is_unknown() => Ok(Zone { rules }),
            _ => Err(Error::UnknownZone { name: name.to_owned() }),
        }
    }

    /// The zone's IANA name.
    pub fn name(&self) -> &str {
        self.rules.iana_name().unwrap_or("UTC")
    }

    /// Whether labels end in `Z`.
    pub(crate) fn is_utc(&self) -> bool {
        self.rules == TimeZone::UTC
    }

    /// The stretches of time from `start` on, to the end of time: each as long as the zone's offset stays the same.
    ///
    /// The first starts at `start`, wherever the zone's own stretch began, or a little earlier where `start` is past the last
    /// instant the library knows (two days before the year 10000).
    pub(crate) fn stretches(&self, start: i64) -> Stretches<'_> {
        let known = Timestamp::from_second(start).unwrap_or(Timestamp::MAX);
        let offset = self.rules.to_offset(known).seconds().into();
        Stretches { jumps: self.rules.following(known), next: Some((known.as_second(), offset)) }
    }
}

/// `[start, end)` in seconds after 1970, in which local time is UTC plus `offset` seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) offset: i64,
}

/// See [`Zone::stretches`].
pub(crate) struct Stretches<'z> {
    jumps: TimeZoneFollowingTransitions<'z>,
    next: Option<(i64, i64)>,
}

impl Iterator for Stretches<'_> {
    type Item = Stretch;

    fn next(&mut self) -> Option<Stretch> {
        let (start, offset) = self.next?;
        // Some transitions change only the zone's abbreviation.
        let jump = self.jumps.find(|jump| i64::from(jump.offset().seconds()) != offset);
        self.next = jump.map(|jump| (jump.timestamp().as_second(), jump.offset().seconds().into()));
        Some(Stretch { start, end: self.next.map_or(i64::MAX, |(end, _)| end), offset })
    }
}

/// The number of the day that holds this second of local time; 1970-01-01 is 0.
pub(crate) fn day_of_second(local: i64) -> i64 {
    local.div_euclid(DAY_SECONDS)
}

/// The second of local time at which a day starts.
pub(crate) fn second_of_day(day: i64) -> i64 {
    day * DAY_SECONDS
}

/// Year, month 1 to 12 and day 1 to 31 of a day in the proleptic Gregorian calendar.
///
/// Years are counted from March, so the leap day is the last of its year and the lengths of the months before it follow one line.
pub(crate) fn date_of_day(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * march_month + 2) / 5 + 1)
}

/// The day on which a month starts; months are counted from January of the year 0.
pub(crate) fn day_of_month(months: i64) -> i64 {
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
    let (march_year, march_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let year_of_era = march_year.rem_euclid(400);
    let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + (153 * march_month + 2) / 5;
    march_year.div_euclid(400) * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use jiff::civil::Date;

    use super::*;

    #[test]
    fn the_calendar_equals_the_librarys_on_every_day_it_knows() {
        let epoch = Date::constant(1970, 1, 1);
        let mut date = Date::constant(-1, 1, 1);
        loop {
            let day = i64::from(epoch.until(date).unwrap().get_days());
            let expected = (i64::from(date.year()), i64::from(date.month()), i64::from(date.day()));
            assert_eq!(date_of_day(day), expected);
            if expected.2 == 1 {
                assert_eq!(day_of_month(expected.0 * 12 + expected.1 - 1), day);
            }
            match date.tomorrow() {
                Ok(tomorrow) => date = tomorrow,
                Err(_) => break,
            }
        }
    }

    #[test]
    fn only_names_of_the_database_are_zones() {
        assert_eq!(Zone::parse("America/New_York").unwrap().name(), "America/New_York");
        assert_eq!(Zone::parse("UTC").unwrap(), Zone::utc());
        for name in ["", "Mars/Olympus", "+02:00", "EST5EDT4", "America/New York", "Etc/Unknown", "../etc/passwd", "Z"] {
            assert!(matches!(Zone::parse(name), Err(Error::UnknownZone { .. })), "{name}");
        }
    }

    #[test]
    fn a_stretch_ends_where_the_offset_changes_and_not_where_only_the_name_does() {
        // Nome moved from Bering to Yukon time in 1983, and Yukon time was renamed to Alaska time a month later.
        let zone = Zone::parse("America/Nome").unwrap();
        let start = "1983-07-01T00:00:00Z".parse::<Timestamp>().unwrap().as_second();
        let offsets: Vec<i64> = zone.stretches(start).take(3).map(|stretch| stretch.offset / 3600).collect();
        assert_eq!(offsets, [-10, -9, -8]);
    }
}
