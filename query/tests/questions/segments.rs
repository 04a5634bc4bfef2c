//! What a full scan does not show of segments: seams, damage, properties that are none, questions that are stopped.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use format::fs::double::MemFs;
use format::{Segment, UnixMicros};
use query::{Buckets, ColumnRule, Condition, Dimension, Error, Point, PropertyKey, Snapshot, Span, Term, Unit, Zone};

use crate::events::{Event, Log, Visit, instant, seal_into, site};
use crate::examples::{ALL, MINUTE, hours};

/// A column for each key.
const COLUMNS: ColumnRule = ColumnRule { min_rows: 1, min_share: 100, max_of_site: 256 };

/// A segment of these events.
fn segment_of(events: &[Event]) -> Arc<Segment> {
    let mut log = Log::new(1, 1);
    log.append(events);
    log.publish();
    log.seal(COLUMNS)
}

#[test]
fn a_session_in_neighbouring_segments_counts_once_in_the_bucket_they_share() {
    // Two segments that touch in the second hour, and a log after them; the session goes on through all of them.
    let mut logs: Vec<Log> = (1..=3).map(|id| Log::new(id, id * 100)).collect();
    let at = |minutes: [i64; 2]| minutes.map(|minute| Event::new("signup", Some(7), minute * MINUTE));
    for (log, minutes) in logs.iter_mut().zip([[0, 70], [80, 130], [140, 150]]) {
        log.append(&at(minutes));
        log.publish();
    }
    let segments: Vec<_> = logs[..2].iter().map(|log| log.seal(ColumnRule::default())).collect();
    let snapshot = Snapshot::new(&[Arc::clone(&logs[2].index)], &segments);
    let points = snapshot.series(site(1), Term::Event("signup"), ALL, &hours(3), &[]).unwrap().value;
    let point = |total| Point { conversions: 1, total };
    assert_eq!(points, [point(1), point(2), point(3)]);
}

#[test]
fn a_damaged_segment_is_left_out_wholly_and_named_or_all_is_right() {
    let mut log = Log::new(1, 1);
    let event = |n: i64| {
        let (json, text) = if n % 3 == 0 { ("\"pro\"", Some("pro")) } else { ("5.0", Some("5")) };
        let properties = vec![("plan", json, text)];
        let visit = Visit { referrer: (n % 4 == 0).then_some("https://a.example/"), ..Visit::default() };
        Event { properties, visit, ..Event::new("signup", (n % 6 < 5).then_some((n % 6) as u8), n * 7 * MINUTE) }
    };
    let events: Vec<Event> = (0..40).map(event).collect();
    log.append(&events);
    log.publish();
    let fs = MemFs::new(1);
    let path = seal_into(&fs, Path::new("/"), &log.closed(), COLUMNS).path().to_owned();
    let whole = fs.live(&path).unwrap();
    let key = PropertyKey::parse("plan").unwrap();
    let condition = [Condition::Property { key: key.clone(), value: "5".to_owned() }];
    let of_session = [Condition::Session { dimension: Dimension::ReferrerHost, value: "a.example".to_owned() }];
    // Everything that is asked, and whether something is missing.
    let ask = |segment: Arc<Segment>| {
        let snapshot = Snapshot::new(&[], &[segment]);
        let series = |conditions| snapshot.series(site(1), Term::Event("signup"), ALL, &hours(6), conditions).unwrap();
        let parts = (series(&[]), series(&condition), snapshot.names(site(1), ALL, &[]).unwrap());
        let of_sessions = series(&of_session);
        let more = (
            snapshot.property_keys(site(1), "signup", ALL, &[]).unwrap(),
            snapshot.breakdown(site(1), "signup", &key, ALL, &[], 20).unwrap(),
        );
        [
            (format!("{:?}", parts.0.value), parts.0.missing.len()),
            (format!("{:?}", parts.1.value), parts.1.missing.len()),
            (format!("{:?}", of_sessions.value), of_sessions.missing.len()),
            (format!("{:?}", parts.2.value), parts.2.missing.len()),
            (format!("{:?}", more.0.value), more.0.missing.len()),
            (format!("{:?}", more.1.value), more.1.missing.len()),
        ]
    };
    let right = ask(Segment::open(&fs, &path).unwrap());
    assert!(right.iter().all(|(_, missing)| *missing == 0));
    let without = {
        let empty = Log::new(2, 1);
        ask(empty.seal(COLUMNS))
    };
    let (mut refused, mut left_out) = (0, 0);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs.install(&path, &bytes);
        let Ok(segment) = Segment::open(&fs, &path) else {
            refused += 1;
            continue;
        };
        for ((answer, right), without) in ask(segment).into_iter().zip(&right).zip(&without) {
            let expected = if answer.1 == 0 { &right.0 } else { &without.0 };
            assert_eq!(answer.0, *expected, "byte {at}");
            left_out += answer.1;
        }
    }
    assert!(refused > 0 && left_out > 0);
}

#[test]
fn properties_that_are_no_object_leave_their_segment_out_where_they_are_asked_for() {
    let bad = Event { properties: vec![("plan", "pro", None)], ..Event::new("signup", Some(1), 0) };
    let segment = segment_of(&[bad, Event::new("signup", Some(2), 0)]);
    let snapshot = Snapshot::new(&[], &[segment]);
    let series = snapshot.series(site(1), Term::Event("signup"), ALL, &hours(1), &[]).unwrap();
    assert_eq!((series.value, series.missing.len()), (vec![Point { conversions: 2, total: 2 }], 0));
    let rows = snapshot.breakdown(site(1), "signup", &PropertyKey::parse("plan").unwrap(), ALL, &[], 20).unwrap();
    assert_eq!(rows.value, []);
    assert!(matches!(&rows.missing[..], [missing] if matches!(missing.error, Some(Error::BadShape { .. }))));
    let keys = snapshot.property_keys(site(1), "signup", ALL, &[]).unwrap();
    assert!(keys.value.is_empty() && matches!(&keys.missing[..], [missing] if matches!(missing.error, Some(Error::BadShape { .. }))));
}

#[test]
fn a_segment_that_is_left_out_is_named_with_the_times_of_its_events() {
    let bad = Event { properties: vec![("plan", "pro", None)], ..Event::new("signup", Some(1), 20) };
    let segment = segment_of(&[bad, Event::new("other", None, 30), Event { site: 2, ..Event::new("signup", Some(1), 5) }]);
    let missing = Snapshot::new(&[], &[segment]).property_keys(site(1), "signup", ALL, &[]).unwrap().missing;
    let times = missing[0].times.map(|(first, last)| (first.micros(), last.micros()));
    assert_eq!((missing.len(), times), (1, Some((5, 30))));
}

#[test]
fn a_session_is_selected_by_what_it_says_in_another_file() {
    let mut logs: Vec<Log> = (1..=3).map(|id| Log::new(id, id * 100)).collect();
    let says = |session, utm_source| {
        let visit = Visit { utm_source: Some(utm_source), ..Visit::default() };
        Event { visit, ..Event::new("visit", session, 0) }
    };
    logs[0].append(&[says(Some(1), "news"), says(Some(2), "other"), says(None, "news")]);
    logs[1].append(&[Event::new("signup", Some(1), MINUTE), Event::new("signup", Some(2), MINUTE), Event::new("signup", None, MINUTE)]);
    logs[2].append(&[Event::new("signup", Some(3), MINUTE), Event::new("signup", Some(1), MINUTE)]);
    logs.iter().for_each(Log::publish);
    let condition = [Condition::Session { dimension: Dimension::UtmSource, value: "news".to_owned() }];
    let sealed = |n: usize| logs[n].seal(COLUMNS);
    let index = |n: usize| Arc::clone(&logs[n].index);
    for snapshot in [
        Snapshot::new(&[index(0), index(1), index(2)], &[]),
        Snapshot::new(&[index(1)], &[sealed(0), sealed(2)]),
        Snapshot::new(&[index(0)], &[sealed(1), sealed(2)]),
    ] {
        let points = snapshot.series(site(1), Term::Event("signup"), ALL, &hours(1), &condition).unwrap().value;
        assert_eq!(points, [Point { conversions: 1, total: 2 }]);
        // What was said before the range is not asked.
        let late = Span::until(instant(1), UnixMicros::MAX);
        let points = snapshot.series(site(1), Term::Event("signup"), late, &hours(1), &condition).unwrap().value;
        assert_eq!(points, [Point { conversions: 0, total: 0 }]);
    }
}

#[test]
fn a_range_without_buckets_has_no_points() {
    let snapshot = Snapshot::new(&[], &[segment_of(&[Event::new("signup", None, 0)])]);
    let buckets = Buckets::cut(instant(1), instant(0), Unit::Hour, &Zone::utc()).unwrap();
    assert_eq!(snapshot.series(site(1), Term::Event("signup"), ALL, &buckets, &[]).unwrap().value, []);
}

#[test]
fn the_first_and_the_last_instant_there_are_stand_in_segments() {
    let ends = [UnixMicros::MIN, UnixMicros::MAX];
    let snapshot = Snapshot::new(&[], &[segment_of(&ends.map(|end| Event::new("signup", None, end.micros())))]);
    for end in ends {
        let buckets = Buckets::cut(end, end, Unit::Month, &Zone::parse("Pacific/Apia").unwrap()).unwrap();
        let points = snapshot.series(site(1), Term::Event("signup"), ALL, &buckets, &[]).unwrap().value;
        assert_eq!(points, [Point { conversions: 1, total: 1 }]);
    }
}

#[test]
fn a_stopped_question_ends_at_the_next_segment_or_block() {
    let event = Event { properties: vec![("plan", "1", None)], ..Event::new("signup", None, 0) };
    let segment = segment_of(&vec![event; 40_000]);
    let key = PropertyKey::parse("plan").unwrap();
    let condition = [Condition::Property { key: key.clone(), value: "1".to_owned() }];
    // The third look is the one before the second block.
    let ask = |looks_left: u32| {
        let looks = AtomicU32::new(0);
        Snapshot::new(&[], &[Arc::clone(&segment)]).stopped_when(move || looks.fetch_add(1, Ordering::Relaxed) == looks_left)
    };
    assert!(matches!(ask(2).breakdown(site(1), "signup", &key, ALL, &[], 20), Err(Error::Stopped)));
    assert!(matches!(ask(2).property_keys(site(1), "signup", ALL, &[]), Err(Error::Stopped)));
    assert!(matches!(ask(2).series(site(1), Term::Event("signup"), ALL, &hours(1), &condition), Err(Error::Stopped)));
    assert!(matches!(ask(0).series(site(1), Term::Event("signup"), ALL, &hours(1), &[]), Err(Error::Stopped)));
    assert!(matches!(ask(0).names(site(1), ALL, &[]), Err(Error::Stopped)));
}
