//! The recorded examples of the contract, and what a full scan does not show: damage, readers beside a writer, a session in two logs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use format::{ByteOffset, UnixMicros};
use query::{
    BreakdownRow, Buckets, ColumnRule, Condition, Dimension, Error, Missing, Point, PropertyKey, Snapshot, Span, Term, Unit, Unread, Zone,
};

use crate::events::{Event, HOUR, Log, Visit, instant, site, snapshot_of};

pub(crate) const MINUTE: i64 = HOUR / 60;
pub(crate) const ALL: Span = Span::EVER;

fn totals(points: &[Point]) -> Vec<u64> {
    points.iter().map(|point| point.total).collect()
}

fn conversions(points: &[Point]) -> Vec<u64> {
    points.iter().map(|point| point.conversions).collect()
}

pub(crate) fn hours(count: i64) -> Buckets {
    Buckets::cut(instant(0), instant((count - 1) * HOUR), Unit::Hour, &Zone::utc()).unwrap()
}

#[test]
fn the_end_of_a_goal_series_is_out_and_that_of_an_event_series_in() {
    let signup = |session, minutes| Event::new("signup", Some(session), minutes * MINUTE);
    let snapshot = snapshot_of(&[signup(0xa, 10), signup(0xa, 50), signup(0xb, 30), signup(0xa, 125), signup(0xc, 360)]);
    let (from, to) = (instant(0), instant(6 * HOUR));
    let goal = snapshot.series(site(1), Term::Event("signup"), Span::until(from, to), &hours(7), &[]).unwrap().value;
    assert_eq!(conversions(&goal), [2, 0, 1, 0, 0, 0, 0]);
    let events = snapshot.series(site(1), Term::Event("signup"), Span::through(from, to), &hours(7), &[]).unwrap().value;
    assert_eq!(totals(&events), [3, 0, 1, 0, 0, 0, 1]);
}

#[test]
fn names_keys_and_breakdown_are_those_of_the_contract() {
    let with = |name, session, properties: &[(&'static str, &'static str, Option<&'static str>)]| Event {
        properties: properties.to_vec(),
        ..Event::new(name, Some(session), 0)
    };
    let pro = ("plan", "\"pro\"", None);
    let snapshot = snapshot_of(&[
        with("signup", 0xa, &[pro]),
        with("signup", 0xa, &[pro]),
        with("signup", 0xb, &[pro]),
        with("signup", 0xc, &[("plan", "\"team\"", None), ("seats", "5", None)]),
        with("download", 0xa, &[("file", "{\"ext\":\"pdf\"}", None)]),
    ]);
    let names: Vec<String> = snapshot.names(site(1), ALL, &[]).unwrap().value.into_iter().map(|name| name.name).collect();
    assert_eq!(names, ["download", "signup"]);
    assert_eq!(snapshot.property_keys(site(1), "signup", ALL, &[]).unwrap().value, ["plan", "seats"]);
    let breakdown = |name, key| snapshot.breakdown(site(1), name, &PropertyKey::parse(key).unwrap(), ALL, &[], 20).unwrap().value;
    let row = |name: &str, sessions, total| BreakdownRow { name: name.to_owned(), sessions, total };
    assert_eq!(breakdown("signup", "plan"), [row("pro", 2, 3), row("team", 1, 1)]);
    assert_eq!(breakdown("signup", "seats"), [row("5", 1, 1)]);
    assert_eq!(breakdown("download", "file.ext"), [row("pdf", 1, 1)]);
    assert_eq!(breakdown("nothing", "plan"), []);
}

#[test]
fn a_session_in_two_logs_counts_once_and_rows_without_one_each() {
    let mut logs: Vec<Log> = (1..=3).map(|id| Log::new(id, id * 100)).collect();
    // Codes differ from log to log: in each another session comes first.
    for (log, sessions) in logs.iter_mut().zip([[1, 2, 3], [3, 1, 4], [5, 3, 1]]) {
        let events: Vec<Event> = sessions.iter().map(|session| Event::new("signup", Some(*session), 5)).collect();
        log.append(&events);
        log.append(&[Event::new("signup", None, 5), Event::new("signup", None, HOUR)]);
        log.publish();
    }
    let indexes: Vec<_> = logs.into_iter().map(|log| log.index).collect();
    let points = Snapshot::new(&indexes, &[]).series(site(1), Term::Event("signup"), ALL, &hours(2), &[]).unwrap().value;
    assert_eq!(points, [Point { conversions: 5 + 3, total: 12 }, Point { conversions: 3, total: 3 }]);
}

#[test]
fn a_log_with_a_record_that_does_not_verify_is_left_out_wholly_by_questions_that_read_it() {
    let mut log = Log::new(1, 1);
    let event = |time| Event { properties: vec![("plan", "\"pro\"", None)], ..Event::new("signup", Some(1), time) };
    let offsets = log.append(&[event(0), event(HOUR)]);
    log.publish();
    log.damage(ByteOffset::new(offsets[1].value() + 20));
    let mut other = Log::new(2, 10);
    other.append(&[Event { properties: vec![("tier", "1", None)], ..event(0) }, Event { site: 2, ..event(0) }]);
    other.publish();
    let mut sealed = Log::new(3, 20);
    sealed.append(&[Event { visit: Visit { referrer: Some("https://a.example/"), ..Visit::default() }, ..event(0) }]);
    sealed.publish();
    let snapshot = Snapshot::new(&[Arc::clone(&log.index), Arc::clone(&other.index)], &[sealed.seal(ColumnRule::default())]);
    let key = PropertyKey::parse("plan").unwrap();
    let condition = [Condition::Property { key: key.clone(), value: "pro".to_owned() }];
    let ask = |span| {
        let of_session = [Condition::Session { dimension: Dimension::ReferrerHost, value: "a.example".to_owned() }];
        let series = |conditions| {
            let answer = snapshot.series(site(1), Term::Event("signup"), span, &hours(2), conditions).unwrap();
            (totals(&answer.value), answer.missing)
        };
        let rows = snapshot.breakdown(site(1), "signup", &key, span, &[], 20).unwrap();
        let names = snapshot.names(site(1), span, &condition).unwrap();
        let keys = snapshot.property_keys(site(1), "signup", span, &[]).unwrap();
        let ((of_property, ..), (of_session, ..)) = (series(&condition), series(&of_session));
        let counts = (of_property, of_session, rows.value[0].total, names.value[0].count, keys.value);
        let missing = [series(&condition).1, rows.missing, names.missing, keys.missing];
        (counts, missing)
    };
    let keys = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (counts, missing) = ask(Span::until(instant(0), instant(HOUR)));
    assert_eq!(counts, (vec![2, 0], vec![3, 0], 2, 2, keys(&["plan", "tier"])));
    assert!(missing.iter().all(Vec::is_empty));
    let (counts, missing) = ask(ALL);
    assert_eq!(counts, (vec![1, 0], vec![2, 0], 1, 1, keys(&["plan", "tier"])));
    for missing in missing {
        let [Missing { file: Unread::Log(index), times: Some((first, last)), error: Some(Error::Log { source, .. }) }] = &missing[..]
        else {
            panic!("{missing:?}")
        };
        assert_eq!((index.log().id(), *first, *last), (log.index.log().id(), instant(0), instant(HOUR)));
        assert!(source.to_string().ends_with(&format!(" is corrupt at byte {}", offsets[1].value())), "{source}");
    }
    let series = snapshot.series(site(1), Term::Event("signup"), ALL, &hours(2), &[]).unwrap();
    assert_eq!((totals(&series.value), series.missing.len()), (vec![3, 1], 0), "no record is read");
}

#[test]
fn properties_that_are_no_object_are_named_with_their_place() {
    let mut log = Log::new(9, 1);
    let offsets = log.append(&[Event { properties: vec![("plan", "pro", None)], ..Event::new("signup", Some(1), 0) }]);
    log.publish();
    let keys = Snapshot::new(&[Arc::clone(&log.index)], &[]).property_keys(site(1), "signup", ALL, &[]).unwrap();
    assert!(keys.value.is_empty());
    let expected = format!("properties of the record at byte {} of log 0000000000000009 are no JSON object", offsets[0]);
    assert_eq!(keys.missing[0].error.as_ref().unwrap().to_string(), expected);
}

#[test]
fn the_last_instant_of_9999_is_in_a_span_through_it() {
    let snapshot =
        snapshot_of(&[Event::new("signup", None, UnixMicros::MAX.micros()), Event::new("signup", None, UnixMicros::MIN.micros())]);
    for end in [UnixMicros::MIN, UnixMicros::MAX] {
        let buckets = Buckets::cut(end, end, Unit::Month, &Zone::parse("Pacific/Apia").unwrap()).unwrap();
        let points = snapshot.series(site(1), Term::Event("signup"), Span::through(end, end), &buckets, &[]).unwrap().value;
        assert_eq!(points, [Point { conversions: 1, total: 1 }]);
    }
}

#[test]
fn a_stopped_question_ends_within_a_thousand_records() {
    let events: Vec<Event> = (0..5_000).map(|_| Event { properties: vec![("plan", "1", None)], ..Event::new("signup", None, 0) }).collect();
    let looks = Arc::new(AtomicU32::new(0));
    let key = PropertyKey::parse("plan").unwrap();
    let condition = [Condition::Property { key: key.clone(), value: "1".to_owned() }];
    let is_third = |looks: &Arc<AtomicU32>| {
        let looks = Arc::clone(looks);
        move || looks.fetch_add(1, Ordering::Relaxed) == 2
    };
    let ask = || snapshot_of(&events).stopped_when(is_third(&looks));
    assert!(matches!(ask().breakdown(site(1), "signup", &key, ALL, &[], 20), Err(Error::Stopped)));
    looks.store(0, Ordering::Relaxed);
    assert!(matches!(ask().property_keys(site(1), "signup", ALL, &[]), Err(Error::Stopped)));
    looks.store(0, Ordering::Relaxed);
    assert!(matches!(ask().series(site(1), Term::Event("signup"), ALL, &hours(1), &condition), Err(Error::Stopped)));
    looks.store(2, Ordering::Relaxed);
    assert!(matches!(ask().series(site(1), Term::Event("signup"), ALL, &hours(1), &[]), Err(Error::Stopped)));
}

#[test]
fn a_snapshot_stays_as_it_is_while_the_log_grows() {
    let mut log = Log::new(1, 1);
    let events: Vec<Event> = (0..10).map(|n| Event::new("signup", Some(n), 0)).collect();
    log.append(&events);
    log.publish();
    let snapshot = Snapshot::new(&[Arc::clone(&log.index)], &[]);
    for _ in 0..50 {
        log.append(&events);
        log.publish();
    }
    let points = snapshot.series(site(1), Term::Event("signup"), ALL, &hours(1), &[]).unwrap().value;
    assert_eq!(points, [Point { conversions: 10, total: 10 }]);
}

#[test]
fn readers_beside_the_writer_always_see_whole_batches() {
    const BATCHES: u64 = 300;
    let mut log = Log::new(1, 1);
    let index = Arc::clone(&log.index);
    let batch: Vec<Event> = (0..10).map(|n| Event::new("signup", Some(n), i64::from(n) * HOUR)).collect();
    let ask = move || {
        let points = Snapshot::new(&[Arc::clone(&index)], &[]).series(site(1), Term::Event("signup"), ALL, &hours(10), &[]).unwrap().value;
        let batches = points[0].total;
        let expected = Point { conversions: batches.min(1), total: batches };
        assert!(points.iter().all(|point| *point == expected), "{points:?}");
        batches
    };
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0;
            while last < BATCHES {
                let batches = ask();
                assert!(last <= batches);
                last = batches;
            }
        });
        for _ in 0..BATCHES {
            log.append(&batch);
            log.publish();
        }
        reader.join().unwrap();
    });
}
