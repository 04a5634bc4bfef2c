//! The instants and buckets that a report is asked for.

use format::UnixMicros;
use query::{Buckets, Span, Unit, Zone};
use url::form_urlencoded;

use super::Error;
use crate::instant::{self, Written};

const HOUR_MICROS: i64 = 3_600_000_000;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// What stands behind the question mark, decoded. Names may stand there several times.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Decodes a query string.
    pub(super) fn parse(query: &str) -> Parameters {
        Parameters(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The first value of `name`.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of `name`.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether there is a parameter that is not called `name`.
    pub(super) fn has_other_than(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key != name)
    }

    /// A value that the report needs.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.first(name).filter(|value| !value.is_empty())
    }
}

/// `from`, `to`, `interval` and `tz` of a report.
pub(super) struct Range {
    from: Written,
    to: Written,
    unit: Unit,
    zone: Zone,
}

impl Range {
    /// Reads the four; what is missing has the contract's default: until a day from now, from 30 days before that, in UTC, with the
    /// unit by the length.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for the first that does not parse.
    pub(super) fn parse(parameters: &Parameters, now: UnixMicros) -> Result<Range, Error> {
        let read = |name, sentence| match parameters.filled(name) {
            Some(text) => instant::parse(text).map(Some).ok_or(Error::Invalid(sentence)),
            None => Ok(None),
        };
        let from = read("from", "Invalid from")?;
        let to = read("to", "Invalid to")?.unwrap_or_else(|| instant::later(now, DAY_MICROS).into());
        let from = from.unwrap_or_else(|| instant::later(to.floor(), -30 * DAY_MICROS).into());
        let zone = match parameters.first("tz") {
            Some(name) => Zone::parse(name).map_err(|_| Error::Invalid("Invalid tz"))?,
            None => Zone::utc(),
        };
        let unit = match parameters.first("interval") {
            Some(text) => text.parse().map_err(|_| Error::Invalid("Invalid interval"))?,
            None => unit_of(to.floor().micros() - from.floor().micros()),
        };
        Ok(Range { from, to, unit, zone })
    }

    /// The range that `compare_from` and `compare_to` name, if they do, in the zone and the unit of this one, so that their points can be
    /// laid side by side.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for one that does not parse, or stands alone.
    pub(super) fn comparison(&self, parameters: &Parameters) -> Result<Option<Range>, Error> {
        let read = |name, sentence| match parameters.filled(name) {
            Some(text) => instant::parse(text).map(Some).ok_or(Error::Invalid(sentence)),
            None => Ok(None),
        };
        match (read("compare_from", "Invalid compare_from")?, read("compare_to", "Invalid compare_to")?) {
            (Some(from), Some(to)) => Ok(Some(Range { from, to, unit: self.unit, zone: self.zone.clone() })),
            (Some(_), None) => Err(Error::Invalid("compare_to is required with compare_from")),
            (None, Some(_)) => Err(Error::Invalid("compare_from is required with compare_to")),
            (None, None) => Ok(None),
        }
    }

    /// The buckets from the one that holds `from` to the one that holds `to`; none if `to` is before `from`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] past the bound on buckets.
    pub(super) fn buckets(&self) -> Result<Buckets, Error> {
        Buckets::cut(self.from.floor(), self.to.floor(), self.unit, &self.zone).map_err(|_| Error::Invalid("Too many buckets"))
    }

    /// What goals count: `to` is not in it.
    pub(super) fn before_end(&self) -> Span {
        Span::until(self.from.ceil(), self.to.ceil())
    }

    /// What event reports count: `to` is in it.
    pub(super) fn with_end(&self) -> Span {
        Span::through(self.from.ceil(), self.to.floor())
    }
}

/// Under two days hours, from 180 days on months, else days.
fn unit_of(span_micros: i64) -> Unit {
    match span_micros {
        ..172_800_000_000 => Unit::Hour,
        172_800_000_000..15_552_000_000_000 => Unit::Day,
        _ => Unit::Month,
    }
}

const _: () = assert!(48 * HOUR_MICROS == 172_800_000_000 && 180 * DAY_MICROS == 15_552_000_000_000);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: &str = "2026-03-31T12:34:56Z";

    fn range(query: &str) -> Result<Range, Error> {
        Range::parse(&Parameters::parse(query), instant::parse(NOW).unwrap().floor())
    }

    fn labels(query: &str) -> Vec<String> {
        let buckets = range(query).unwrap().buckets().unwrap();
        (0..buckets.len()).map(|index| buckets.label(index)).collect()
    }

    #[test]
    fn without_anything_the_last_30_days_are_31_buckets_that_end_tomorrow() {
        let days = labels("");
        assert_eq!((days.len(), days[0].as_str(), days[30].as_str()), (31, "2026-03-02T00:00:00Z", "2026-04-01T00:00:00Z"));
    }

    #[test]
    fn an_instant_that_is_empty_is_absent() {
        assert_eq!(labels("from=&to="), labels(""));
    }

    #[test]
    fn the_length_picks_the_unit() {
        assert_eq!(labels("from=2026-02-01T00:00:00Z&to=2026-02-03T00:00:00Z").len(), 3, "48 hours are days");
        assert_eq!(labels("from=2026-02-01T00:00:00.000001Z&to=2026-02-03T00:00:00Z").len(), 49, "less is hours");
        assert_eq!(labels("from=2026-01-01T00:00:00Z&to=2026-06-30T00:00:00Z").len(), 6, "180 days are months");
        assert_eq!(labels("from=2026-01-01T00:00:00Z&to=2026-06-29T23:59:59Z").len(), 180, "less is days");
        assert_eq!(labels("from=2026-01-01T00:00:00Z&to=2026-01-31T00:00:00Z&interval=week").len(), 5);
    }

    #[test]
    fn an_offset_and_its_utc_are_one_instant() {
        assert_eq!(
            labels("from=2026-03-01T02:00:00%2B02:00&to=2026-03-01T08:00:00%2B02:00"),
            labels("from=2026-03-01T00:00:00Z&to=2026-03-01T06:00:00Z")
        );
        assert_eq!(labels("from=2026-03-01T05:00:00Z&to=2026-03-01T05:00:00Z&tz=Asia/Kathmandu"), ["2026-03-01T10:00:00+05:45"]);
    }

    #[test]
    fn a_range_that_ends_before_it_begins_has_no_bucket() {
        assert!(labels("from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z").is_empty());
    }

    #[test]
    fn what_does_not_parse_is_named() {
        for (query, sentence) in [
            ("from=yesterday", "Invalid from"),
            ("from=2026-03-01T02:00:00+02:00", "Invalid from"),
            ("to=2026-03-01", "Invalid to"),
            ("tz=Mars/Olympus", "Invalid tz"),
            ("tz=", "Invalid tz"),
            ("interval=decade", "Invalid interval"),
            ("interval=Hour", "Invalid interval"),
        ] {
            assert_eq!(range(query).err(), Some(Error::Invalid(sentence)), "{query}");
        }
        let wide = range("from=2000-01-01T00:00:00Z&to=2026-01-01T00:00:00Z&interval=hour").unwrap();
        assert_eq!(wide.buckets().err(), Some(Error::Invalid("Too many buckets")));
    }

    #[test]
    fn a_comparison_is_cut_as_the_range_it_is_compared_with() {
        let compare = |more: &str| {
            let query = format!("from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z&tz=Asia/Kathmandu&{more}");
            let comparison = range(&query).unwrap().comparison(&Parameters::parse(&query));
            comparison.map(|range| range.map(|range| range.buckets().unwrap().label(0)))
        };
        assert_eq!(compare("compare_from=&compare_to="), Ok(None));
        let label = "2025-01-01T05:00:00+05:45".to_owned();
        assert_eq!(compare("compare_from=2025-01-01T00:00:00Z&compare_to=2025-06-01T00:00:00Z"), Ok(Some(label)));
        for (more, sentence) in [
            ("compare_from=2025-01-01T00:00:00Z", "compare_to is required with compare_from"),
            ("compare_to=2025-01-01T00:00:00Z", "compare_from is required with compare_to"),
            ("compare_from=yesterday&compare_to=2025-01-01T00:00:00Z", "Invalid compare_from"),
            ("compare_from=2025-01-01T00:00:00Z&compare_to=2025", "Invalid compare_to"),
        ] {
            assert_eq!(compare(more), Err(Error::Invalid(sentence)), "{more}");
        }
    }

    #[test]
    fn only_event_reports_hold_the_end() {
        let one = range("from=2026-03-01T00:00:00Z&to=2026-03-01T06:00:00Z").unwrap();
        let at = |text| instant::parse(text).unwrap().floor();
        assert_eq!(one.before_end(), Span::until(at("2026-03-01T00:00:00Z"), at("2026-03-01T06:00:00Z")));
        assert_eq!(one.with_end(), Span::until(at("2026-03-01T00:00:00Z"), at("2026-03-01T06:00:00.000001Z")));
        let finer = range("from=2026-03-01T00:00:00.0000001Z&to=2026-03-01T06:00:00.0000001Z").unwrap();
        assert_eq!(finer.before_end(), Span::until(at("2026-03-01T00:00:00.000001Z"), at("2026-03-01T06:00:00.000001Z")));
        assert_eq!(finer.with_end(), Span::until(at("2026-03-01T00:00:00.000001Z"), at("2026-03-01T06:00:00.000001Z")));
    }
}
