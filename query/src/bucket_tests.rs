#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

fn instant(text: &str) -> UnixMicros {
    UnixMicros::new(text.parse::<Timestamp>().unwrap().as_microsecond()).unwrap()
}

fn cut(zone: &str, unit: Unit, from: &str, to: &str) -> Buckets {
    Buckets::cut(instant(from), instant(to), unit, &Zone::parse(zone).unwrap()).unwrap()
}

fn labels(zone: &str, unit: Unit, from: &str, to: &str) -> Vec<String> {
    let buckets = cut(zone, unit, from, to);
    (0..buckets.len()).map(|index| buckets.label(index)).collect()
}

/// Lengths of the buckets in minutes.
fn minutes(buckets: &Buckets) -> Vec<i64> {
    buckets.edges.windows(2).map(|edges| (edges[1] - edges[0]) / 60_000_000).collect()
}

#[test]
fn both_ends_of_a_range_have_their_bucket() {
    let hours = labels("UTC", Unit::Hour, "2026-03-01T00:00:00Z", "2026-03-01T06:00:00Z");
    assert_eq!(hours.len(), 7);
    assert_eq!((hours[0].as_str(), hours[6].as_str()), ("2026-03-01T00:00:00Z", "2026-03-01T06:00:00Z"));
    let days = labels("UTC", Unit::Day, "2026-02-01T00:00:00Z", "2026-02-03T00:00:00Z");
    assert_eq!(days, ["2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z", "2026-02-03T00:00:00Z"]);
    let months = labels("UTC", Unit::Month, "2026-01-01T00:00:00Z", "2026-06-30T00:00:00Z");
    assert_eq!(months.len(), 6);
    assert_eq!((months[0].as_str(), months[5].as_str()), ("2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"));
}

#[test]
fn a_range_within_one_unit_is_one_bucket_and_a_backward_range_none() {
    let one = labels("UTC", Unit::Month, "2024-02-11T10:11:12.131415Z", "2024-02-11T10:11:12.131415Z");
    assert_eq!(one, ["2024-02-01T00:00:00Z"]);
    let none = cut("UTC", Unit::Hour, "2024-02-11T10:00:00Z", "2024-02-11T09:59:59.999999Z");
    assert!(none.is_empty() && none.edges.is_empty() && none.finder().find(0).is_none());
}

#[test]
fn weeks_start_on_monday() {
    let weeks = labels("Europe/Berlin", Unit::Week, "2026-03-25T12:00:00Z", "2026-04-05T21:59:59Z");
    assert_eq!(weeks, ["2026-03-23T00:00:00+01:00", "2026-03-30T00:00:00+02:00"]);
    let before_1970 = labels("UTC", Unit::Week, "1969-12-28T00:00:00Z", "1969-12-29T00:00:00Z");
    assert_eq!(before_1970, ["1969-12-22T00:00:00Z", "1969-12-29T00:00:00Z"]);
}

#[test]
fn days_in_new_york_have_23_and_25_hours_when_the_clocks_change() {
    let spring = labels("America/New_York", Unit::Hour, "2013-03-10T05:00:00Z", "2013-03-11T03:00:00Z");
    assert_eq!(spring.len(), 23);
    assert_eq!(spring[1..3], ["2013-03-10T01:00:00-05:00", "2013-03-10T03:00:00-04:00"]);
    let autumn = labels("America/New_York", Unit::Hour, "2013-11-03T04:00:00Z", "2013-11-04T04:00:00Z");
    assert_eq!(autumn.len(), 25);
    assert_eq!(autumn[1..4], ["2013-11-03T01:00:00-04:00", "2013-11-03T01:00:00-05:00", "2013-11-03T02:00:00-05:00"]);
    let days = cut("America/New_York", Unit::Day, "2013-01-01T05:00:00Z", "2014-01-01T04:59:59Z");
    let odd: Vec<(usize, i64)> =
        minutes(&days).into_iter().map(|length| length / 60).enumerate().filter(|(_, hours)| *hours != 24).collect();
    assert_eq!((days.len(), odd), (365, vec![(68, 23), (306, 25)]));
}

#[test]
fn lord_howe_moves_its_clocks_by_half_an_hour() {
    let autumn = cut("Australia/Lord_Howe", Unit::Hour, "2013-04-06T13:00:00Z", "2013-04-07T13:29:59Z");
    assert_eq!((autumn.len(), minutes(&autumn)[..4].to_vec()), (25, vec![60, 60, 30, 60]));
    assert_eq!(autumn.label(2), "2013-04-07T01:30:00+10:30");
    let spring = cut("Australia/Lord_Howe", Unit::Hour, "2013-10-05T13:30:00Z", "2013-10-06T12:59:59Z");
    assert_eq!((spring.len(), minutes(&spring)[..4].to_vec()), (24, vec![60, 60, 30, 60]));
    assert_eq!(spring.label(2), "2013-10-06T02:30:00+11:00");
}

#[test]
fn kathmandu_and_chatham_have_quarters_in_their_offset() {
    let nepal = labels("Asia/Kathmandu", Unit::Day, "1985-12-31T00:00:00Z", "1986-01-01T18:14:59Z");
    assert_eq!(nepal, ["1985-12-31T00:00:00+05:30", "1986-01-01T00:15:00+05:45"], "the clocks skipped the midnight");
    let chatham = cut("Pacific/Chatham", Unit::Hour, "2013-04-06T12:15:00Z", "2013-04-06T14:30:00Z");
    assert_eq!((chatham.label(0), chatham.label(1)), ("2013-04-07T02:00:00+13:45".into(), "2013-04-07T03:00:00+13:45".into()));
    assert_eq!((chatham.label(2), minutes(&chatham)), ("2013-04-07T02:45:00+12:45".into(), vec![60, 45, 15, 60]));
}

#[test]
fn apia_had_no_30_december_2011() {
    let days = labels("Pacific/Apia", Unit::Day, "2011-12-28T10:00:00Z", "2012-01-01T09:59:59Z");
    let expected = ["2011-12-28T00:00:00-10:00", "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"];
    assert_eq!(days, expected);
    let week = cut("Pacific/Apia", Unit::Week, "2011-12-27T00:00:00Z", "2011-12-27T00:00:00Z");
    assert_eq!(minutes(&week), [6 * 24 * 60]);
}

#[test]
fn days_in_sao_paulo_start_at_one_when_midnight_does_not_exist() {
    let spring = cut("America/Sao_Paulo", Unit::Day, "2018-11-03T12:00:00Z", "2018-11-05T12:00:00Z");
    assert_eq!((spring.label(1), minutes(&spring)), ("2018-11-04T01:00:00-02:00".into(), vec![1440, 1380, 1440]));
    let autumn = cut("America/Sao_Paulo", Unit::Day, "2018-02-17T12:00:00Z", "2018-02-18T12:00:00Z");
    assert_eq!((autumn.label(1), minutes(&autumn)), ("2018-02-18T00:00:00-03:00".into(), vec![1500, 1440]));
}

#[test]
fn seconds_of_an_offset_move_into_the_label_and_the_instant_stays_exact() {
    let days = cut("Africa/Monrovia", Unit::Day, "1971-01-01T12:00:00Z", "1971-01-02T12:00:00Z");
    assert_eq!(days.starts().next().unwrap(), instant("1971-01-01T00:44:30Z"));
    assert_eq!(days.label(0), "1971-01-01T00:00:30-00:44");
    let jump = labels("Africa/Monrovia", Unit::Day, "1972-01-06T12:00:00Z", "1972-01-08T12:00:00Z");
    assert_eq!(jump, ["1972-01-06T00:00:30-00:44", "1972-01-07T00:44:30+00:00", "1972-01-08T00:00:00+00:00"]);
}

#[test]
fn a_date_that_comes_back_after_midnight_keeps_its_one_bucket() {
    // In St. John's the clocks went from 00:01 back to 23:01 of the day before.
    let days = cut("America/St_Johns", Unit::Day, "2010-11-06T12:00:00Z", "2010-11-08T12:00:00Z");
    assert_eq!((days.label(1), minutes(&days)), ("2010-11-07T00:00:00-02:30".into(), vec![1440, 1500, 1440]));
    // Alaska moved over the date line and lived through 18 October 1867 almost twice.
    let days = cut("America/Juneau", Unit::Day, "1867-10-17T00:00:00Z", "1867-10-20T12:00:00Z");
    assert_eq!(days.len(), 4);
    assert_eq!(minutes(&days).iter().sum::<i64>(), 5 * 24 * 60);
}

#[test]
fn more_buckets_than_the_limit_are_refused_at_once() {
    let from = instant("2026-01-01T00:00:00Z");
    let hours = |count: i64| UnixMicros::new(from.micros() + (count - 1) * HOUR_SECONDS * SECOND_MICROS).unwrap();
    let zone = Zone::utc();
    assert_eq!(Buckets::cut(from, hours(10_000), Unit::Hour, &zone).unwrap().len(), MAX_BUCKETS);
    assert!(matches!(Buckets::cut(from, hours(10_001), Unit::Hour, &zone), Err(Error::TooManyBuckets)));
    for zone in ["UTC", "Europe/London", "Australia/Lord_Howe"] {
        for unit in [Unit::Hour, Unit::Day, Unit::Week, Unit::Month] {
            let all = Buckets::cut(UnixMicros::MIN, UnixMicros::MAX, unit, &Zone::parse(zone).unwrap());
            assert!(matches!(all, Err(Error::TooManyBuckets)), "{zone} {unit:?}");
        }
    }
}

#[test]
fn the_first_and_the_last_instant_have_buckets_in_every_zone() {
    for zone in jiff::tz::db().available() {
        let Ok(zone) = Zone::parse(zone.as_str()) else { continue };
        for unit in [Unit::Hour, Unit::Day, Unit::Week, Unit::Month] {
            for end in [UnixMicros::MIN, UnixMicros::MAX] {
                let one = Buckets::cut(end, end, unit, &zone).unwrap();
                assert_eq!((one.len(), one.finder().find(end.micros())), (1, Some(0)), "{zone:?}");
                assert!(one.starts().all(|start| start <= end) && one.edges[1] <= END_OF_TIME, "{zone:?}");
                let text: Timestamp = one.label(0).parse().unwrap_or(Timestamp::MAX);
                assert!(text == Timestamp::MAX || text.as_microsecond() == one.edges[0], "{}", one.label(0));
            }
        }
    }
}

#[test]
fn a_finder_gives_every_instant_to_the_bucket_around_it() {
    let days = cut("America/New_York", Unit::Day, "2013-03-09T05:00:00Z", "2013-03-12T04:00:00Z");
    let mut finder = days.finder();
    for (index, edges) in days.edges.clone().windows(2).enumerate().rev() {
        for time in [edges[0], edges[0] + 1, edges[1] - 1] {
            assert_eq!(finder.find(time), Some(index));
        }
    }
    assert_eq!(finder.find(days.edges[0] - 1), None);
    assert_eq!(finder.find(days.edges[days.len()]), None);
}

#[test]
fn spans_end_before_their_end_or_with_their_last_instant() {
    let (from, end) = (instant("2026-01-01T00:00:00Z"), instant("2026-01-01T01:00:00Z"));
    assert!(Span::until(from, end).contains(from.micros()) && !Span::until(from, end).contains(end.micros()));
    assert!(Span::through(from, end).contains(end.micros()) && !Span::through(from, end).contains(end.micros() + 1));
    assert!(Span::through(from, UnixMicros::MAX).contains(UnixMicros::MAX.micros()));
}

/// The reference: looks at the local clock at every `step` seconds and notes where a unit begins.
fn edges_by_walking(tz: &TimeZone, unit: Unit, from: i64, to: i64, step: i64) -> Vec<i64> {
    let day = |second: i64| {
        let date = tz.to_datetime(Timestamp::from_second(second).unwrap()).date();
        match unit {
            Unit::Hour | Unit::Day => (date.year(), date.month(), date.day()),
            Unit::Week => {
                let week = date.iso_week_date();
                (week.year(), week.week(), 0)
            }
            Unit::Month => (date.year(), date.month(), 0),
        }
    };
    let offset = |second: i64| i64::from(tz.to_offset(Timestamp::from_second(second).unwrap()).seconds());
    let mut second = (from - unit.reach_seconds() - 3 * 86_400).div_euclid(step) * step;
    let mut newest = day(second);
    let mut edges = Vec::new();
    loop {
        second += step;
        let is_edge = match unit {
            Unit::Hour => (second + offset(second)).rem_euclid(3600) == 0 || offset(second) != offset(second - step),
            Unit::Day | Unit::Week | Unit::Month => day(second) > newest,
        };
        if !is_edge {
            continue;
        }
        newest = newest.max(day(second));
        if second <= from {
            edges.clear();
        }
        edges.push(second * SECOND_MICROS);
        if second > to {
            return edges;
        }
    }
}

/// A zone and an instant, mostly near a jump of its clock.
fn zone_and_instant(first_year: i64) -> impl Strategy<Value = (TimeZone, i64)> {
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).filter(|name| TimeZone::get(name).is_ok()).collect();
    let first = (first_year - 1970) * 31_556_952;
    (prop::sample::select(names), first..4_000_000_000i64, -200_000i64..200_000, prop::bool::weighted(0.8)).prop_map(
        |(name, second, jitter, near_jump)| {
            let tz = TimeZone::get(&name).unwrap();
            let known = Timestamp::from_second(second).unwrap();
            let jump = tz.following(known).next().map(|jump| jump.timestamp().as_second());
            let second = if near_jump { jump.unwrap_or(second) + jitter } else { second };
            (tz, second)
        },
    )
}

fn check(tz: &TimeZone, unit: Unit, from: i64, to: i64, step: i64) -> Result<(), TestCaseError> {
    let zone = Zone::parse(tz.iana_name().unwrap()).unwrap();
    let micros = |second: i64| UnixMicros::new(second * SECOND_MICROS).unwrap();
    let buckets = Buckets::cut(micros(from), micros(to), unit, &zone).unwrap();
    prop_assert_eq!(&buckets.edges, &edges_by_walking(tz, unit, from, to, step));
    for (index, start) in buckets.starts().enumerate() {
        let named = buckets.label(index).parse::<Timestamp>().unwrap();
        prop_assert_eq!(named.as_microsecond(), start.micros(), "{}", buckets.label(index));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn edges_equal_a_walk_by_the_second(
        (tz, from) in zone_and_instant(1840),
        unit in prop::sample::select(vec![Unit::Hour, Unit::Day]),
        length in 0i64..100_000,
    ) {
        check(&tz, unit, from, from + length, 1)?;
    }

    // Since 1973 every offset and every jump is a whole minute.
    #[test]
    fn edges_equal_a_walk_by_the_minute(
        (tz, from) in zone_and_instant(1973),
        unit in prop::sample::select(vec![Unit::Hour, Unit::Day, Unit::Week, Unit::Month]),
        days in 0i64..60,
    ) {
        check(&tz, unit, from, from + days * 86_400, 60)?;
    }
}
