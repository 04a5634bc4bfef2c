//! Times as people type them: dates and local times of a zone, and RFC 3339.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::args::RangeFlags;
use super::error::Error;

const TIMES: &str = "a date such as 2026-03-01, a local time such as 2026-03-01T09:30, or RFC 3339";

/// A stretch of time and the zone its dates are of. An end that was not given is left to the daemon.
#[derive(Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) from: Option<Timestamp>,
    /// Exclusive.
    pub(crate) to: Option<Timestamp>,
    pub(crate) zone: String,
}

impl Range {
    /// Reads the flags; dates and local times are those of `--tz`, else of the site's zone.
    ///
    /// # Errors
    ///
    /// [`Error::BadFlag`].
    pub(crate) fn new(flags: &RangeFlags, site_zone: &str) -> Result<Range, Error> {
        Range::named(["from", "to"], flags, site_zone)
    }

    /// The same, of flags whose ends have these names.
    ///
    /// # Errors
    ///
    /// [`Error::BadFlag`].
    pub(crate) fn named([from, to]: [&'static str; 2], flags: &RangeFlags, site_zone: &str) -> Result<Range, Error> {
        let name = flags.tz.as_deref().unwrap_or(site_zone);
        let bad = |flag, value: &str, allowed| Error::BadFlag { flag, value: value.to_owned(), allowed };
        let zone = TimeZone::get(name).map_err(|_| bad("tz", name, "the IANA name of a time zone, such as Europe/Berlin"))?;
        let read = |flag, text: &Option<String>, parse: fn(&str, &TimeZone) -> Option<Timestamp>| match text {
            Some(text) => parse(text, &zone).map(Some).ok_or_else(|| bad(flag, text, TIMES)),
            None => Ok(None),
        };
        Ok(Range { from: read(from, &flags.from, start)?, to: read(to, &flags.to, end)?, zone: name.to_owned() })
    }

    /// `to` for reports that include it: the last microsecond before the end.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        self.to.and_then(|to| to.checked_sub(SignedDuration::from_micros(1)).ok())
    }
}

fn start(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    match date(text) {
        Some(date) => start_of(date, zone),
        None => moment(text, zone),
    }
}

/// The end of a date is the start of the next one, be the day 23, 24 or 25 hours long.
fn end(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    match date(text) {
        Some(date) => start_of(date.tomorrow().ok()?, zone),
        None => moment(text, zone),
    }
}

/// Only `2026-03-01`: jiff alone would take the date of a longer text too.
fn date(text: &str) -> Option<Date> {
    if text.len() == "2026-03-01".len() { text.parse().ok() } else { None }
}

/// The first instant of a date; where midnight does not exist, the instant after the gap.
fn start_of(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    Some(date.to_zoned(zone.clone()).ok()?.timestamp())
}

fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let instant: Option<Timestamp> = text.parse().ok();
    instant.or_else(|| Some(text.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok()?.timestamp()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn range(from: &str, to: &str, tz: Option<&str>) -> Result<Range, Error> {
        let flags = RangeFlags { from: Some(from.to_owned()), to: Some(to.to_owned()), tz: tz.map(str::to_owned) };
        Range::new(&flags, "America/New_York")
    }

    fn texts(from: &str, to: &str, tz: Option<&str>) -> (String, String) {
        let range = range(from, to, tz).unwrap();
        (range.from.unwrap().to_string(), range.to.unwrap().to_string())
    }

    fn both(from: &str, to: &str) -> (String, String) {
        (from.to_owned(), to.to_owned())
    }

    #[test]
    fn a_date_is_a_whole_day_of_the_zone() {
        assert_eq!(texts("2013-01-01", "2013-12-31", None), both("2013-01-01T05:00:00Z", "2014-01-01T05:00:00Z"));
        assert_eq!(texts("2013-03-10", "2013-03-10", None), both("2013-03-10T05:00:00Z", "2013-03-11T04:00:00Z"));
        assert_eq!(texts("2013-01-01", "2013-01-01", Some("UTC")), both("2013-01-01T00:00:00Z", "2013-01-02T00:00:00Z"));
    }

    #[test]
    fn midnights_that_do_not_exist_are_the_instant_after_the_gap() {
        assert_eq!(texts("2018-11-04", "2018-11-04", Some("America/Sao_Paulo")), both("2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"));
    }

    #[test]
    fn local_times_and_rfc_3339_are_moments() {
        assert_eq!(texts("2013-07-01T09:30", "2013-07-01T10:00:00+02:00", None), both("2013-07-01T13:30:00Z", "2013-07-01T08:00:00Z"));
        let range = range("2013-01-01", "2013-01-01", Some("UTC")).unwrap();
        assert_eq!(range.last().unwrap().to_string(), "2013-01-01T23:59:59.999999Z");
    }

    #[test]
    fn what_is_no_time_is_refused_by_name() {
        for (from, to, tz, flag) in [
            ("yesterday", "2013-01-01", None, "from"),
            ("2013-13-01", "2013-01-01", None, "from"),
            ("2013-01-01", "2013-02-30", None, "to"),
            ("2013-01-01", "", None, "to"),
            ("2013-01-01", "2013-01-01", Some("Mars/Olympus"), "tz"),
        ] {
            let message = range(from, to, tz).unwrap_err().to_string();
            assert!(message.contains(&format!("for --{flag}: it must be")), "{message}");
        }
    }
}
