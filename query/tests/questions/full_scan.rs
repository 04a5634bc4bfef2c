//! Every question, on random events in one to four logs and segments, equals a scan of all events.

use std::sync::Arc;

use format::{Kind, Segment, Sequence};
use proptest::prelude::*;
use query::{
    Answer, Buckets, ColumnRule, Condition, Counted, Dimension, Error, PropertyKey, SegmentRows, SharedSessions, Snapshot, Span, Term,
    Unit, Zone,
};

use crate::events::{Event, HOUR, Log, Visit, instant, record, site};
use crate::model::{Filter, Model};

/// JSON of a value and the contract's text of it.
const VALUES: [(&str, Option<&str>); 8] = [
    ("\"pro\"", Some("pro")),
    ("\"p\\u0072o\"", Some("pro")),
    ("5", Some("5")),
    ("5.0", Some("5")),
    ("true", Some("true")),
    ("null", None),
    ("{ \"b\" : [1.50] }", Some("{\"b\":[1.5]}")),
    ("\"\"", Some("")),
];
const KEYS: [&str; 3] = ["plan", "seats", "two words"];
const NAMES: [&str; 3] = ["signup", "sign", ""];
const PATHS: [&str; 3] = ["/", "/a", ""];

pub(crate) const EVENT_IDS: [&str; 8] = [
    "id-0",
    "id-1",
    "ID-1",
    "00000000-0000-4000-8000-000000000001",
    "00000000-0000-4000-8000-000000000002",
    "00000000-0000-4000-8000-00000000000A",
    "abcdefghijklmn",
    "abcdefghijkl-_",
];

/// Dimensions and values that sessions are asked for.
const SESSIONS: [(&str, &str); 22] = [
    ("path", "/"),
    ("path", ""),
    ("path", "/nowhere"),
    ("hostname", "shop.example"),
    ("hostname", "www.shop.example"),
    ("hostname", "(Unknown Host)"),
    ("referrer", "https://www.a.example/x"),
    ("referrer", "(Direct)"),
    ("referrer_host", "a.example"),
    ("referrer_host", "(Direct)"),
    ("device", "mobile"),
    ("device", "Tablet"),
    ("device", "Desktop"),
    ("country", "de"),
    ("country", "(Unknown)"),
    ("browser", "Firefox"),
    ("browser", "(Unknown)"),
    ("language", "de-AT"),
    ("language", "(Unknown)"),
    ("utm_source", "news"),
    ("utm_source", "(Unspecified)"),
    ("qr_code_id", "07070707-0707-0707-0707-070707070707"),
];

fn visit() -> impl Strategy<Value = Visit> {
    fn one<T: Clone + std::fmt::Debug + 'static>(values: Vec<T>) -> impl Strategy<Value = Option<T>> {
        prop::option::weighted(0.3, prop::sample::select(values))
    }
    let texts = (
        one(vec!["shop.example", "www.shop.example", "other.example"]),
        one(vec!["https://www.a.example/x", "https://A.example", "about:blank", ""]),
        one(vec!["Mozilla/5.0 Firefox/1.0", "curl/8"]),
        one(vec!["de-AT", "de", ""]),
        one(vec!["news", "News", "(Unspecified)x", ""]),
    );
    (texts, one(vec![575u32, 576, 991, 992]), one(vec![7u8, 8]), one(vec![*b"DE", *b"AT"])).prop_map(
        |((host, referrer, user_agent, language, utm_source), width, qr, country)| Visit {
            host,
            referrer,
            user_agent,
            language,
            width,
            utm_source,
            qr,
            country,
        },
    )
}

fn filter() -> impl Strategy<Value = Filter> {
    let property = (prop::sample::select(&KEYS[..]), prop::sample::select(vec!["pro", "5", "true", "", "{\"b\":[1.5]}", "null"]));
    let session = prop::collection::vec(prop::sample::select(&SESSIONS[..]), 0..3);
    (prop::collection::vec(property, 0..2), session).prop_map(|(properties, session)| Filter { properties, session })
}

fn conditions(filter: &Filter) -> Vec<Condition> {
    let property = |(key, value): &(&str, &str)| Condition::Property { key: PropertyKey::parse(key).unwrap(), value: (*value).to_owned() };
    let session =
        |(name, value): &(&str, &str)| Condition::Session { dimension: Dimension::parse(name).unwrap(), value: (*value).to_owned() };
    filter.properties.iter().map(property).chain(filter.session.iter().map(session)).collect()
}

fn property() -> impl Strategy<Value = (&'static str, &'static str, Option<&'static str>)> {
    (prop::sample::select(&KEYS[..]), prop::sample::select(&VALUES[..])).prop_map(|(key, (json, text))| (key, json, text))
}

fn time() -> impl Strategy<Value = i64> {
    // Mostly in order of a few hours, on and beside their edges, now and then days away.
    prop_oneof![
        4 => (-3i64..8, -1i64..2).prop_map(|(hour, beside)| hour * HOUR + beside),
        4 => -3 * HOUR..8 * HOUR,
        1 => -2_000 * HOUR..2_000 * HOUR,
    ]
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![4 => Just(Kind::Event), 2 => Just(Kind::Pageview), 1 => Just(Kind::Vital)];
    let name = prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
    let path = prop::option::of(prop::sample::select(&PATHS[..]).prop_map(str::to_owned));
    let id = prop::option::of(prop::sample::select(&EVENT_IDS[..]).prop_map(str::to_owned));
    let session = prop::option::weighted(0.8, 0u8..12);
    (1u8..3, kind, name, path, time(), session, id, prop::collection::vec(property(), 0..3), visit()).prop_map(
        |(site, kind, name, path, time, session, event_id, properties, visit)| Event {
            site,
            kind,
            name,
            path,
            time,
            session,
            event_id,
            properties,
            visit,
        },
    )
}

#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) site: u8,
    /// 0: events named `text`; 1: the path `text`; 2: all pageviews.
    kind: u8,
    text: &'static str,
    span: (i64, i64),
    unit: Unit,
    filter: Filter,
    /// Of another series that is asked for at the same time.
    other: Filter,
    key: &'static str,
    limit: usize,
}

pub(crate) fn question() -> impl Strategy<Value = Question> {
    let text = prop::sample::select(vec!["signup", "sign", "", "/", "/a", "nothing"]);
    let unit = prop::sample::select(vec![Unit::Hour, Unit::Day]);
    let ends = (time(), time()).prop_map(|(one, other)| (one.min(other), one.max(other)));
    (1u8..4, 0u8..3, text, ends, unit, filter(), filter(), prop::sample::select(&KEYS[..]), 0usize..6).prop_map(
        |(site, kind, text, span, unit, filter, other, key, limit)| Question { site, kind, text, span, unit, filter, other, key, limit },
    )
}

impl Question {
    /// The same, of a site that keeps nothing from before `cutoff`.
    pub(crate) fn since(&self, cutoff: i64) -> Question {
        let (from, end) = self.span;
        Question { span: (from.max(cutoff).min(end), end), ..self.clone() }
    }
}

/// The value of an answer that lacks nothing.
fn whole<T>(answer: Result<Answer<T>, Error>) -> T {
    let Answer { value, missing } = answer.unwrap();
    assert!(missing.is_empty(), "{missing:?}");
    value
}

pub(crate) fn ask(snapshot: &Snapshot, model: &Model, question: &Question) -> Result<(), TestCaseError> {
    let Question { site: on, kind, text, span: (from, end), unit, ref filter, ref other, key, limit } = *question;
    let span = Span::until(instant(from), instant(end));
    let term = match kind {
        0 => Term::Event(text),
        1 => Term::Path(text),
        _ => Term::Pageviews,
    };
    let buckets = Buckets::cut(instant(from), instant(end), unit, &Zone::utc()).unwrap();
    let unit = if unit == Unit::Hour { HOUR } else { 24 * HOUR };
    let (asked, asked_other) = (conditions(filter), conditions(other));
    let counted = [&asked, &asked_other, &asked].map(|conditions| Counted { term, conditions });
    let series = whole(snapshot.series_of(site(on), &counted, span, &buckets));
    let of = |filter| model.series(on, term, (from, end), unit, filter);
    prop_assert_eq!(series, [filter, other, filter].map(of));
    let totals = whole(snapshot.totals(site(on), term, span, &buckets, &asked));
    prop_assert_eq!(totals, of(filter).iter().map(|point| point.total).collect::<Vec<u64>>());
    prop_assert_eq!(whole(snapshot.names(site(on), span, &asked)), model.names(on, (from, end), filter));
    prop_assert_eq!(whole(snapshot.property_keys(site(on), text, span, &asked)), model.property_keys(on, text, (from, end), filter));
    let breakdown = whole(snapshot.breakdown(site(on), text, &PropertyKey::parse(key).unwrap(), span, &asked, limit));
    prop_assert_eq!(breakdown, model.breakdown(on, (text, key), (from, end), filter, limit));
    // A span that retention cuts is one that begins later.
    let middle = from.midpoint(end);
    let cut = span.since(instant(middle));
    prop_assert_eq!(whole(snapshot.names(site(on), cut, &asked)), model.names(on, (middle, end.max(middle)), filter));
    // Goals together, each over all of the span.
    let terms = || NAMES.map(Term::Event).into_iter().chain(PATHS.map(Term::Path)).chain([Term::Pageviews]);
    let counted: Vec<Counted<'_>> = terms().map(|term| Counted { term, conditions: &asked }).collect();
    let together = whole(snapshot.series_of(site(on), &counted, span, &Buckets::whole(span)));
    let of = |term| vec![model.whole(on, term, (from, end), filter)];
    prop_assert_eq!(together, terms().map(of).collect::<Vec<_>>());
    Ok(())
}

/// Asks what retention asks: how old the rows are of which some may be cut off.
pub(crate) fn ask_age(
    snapshot: &Snapshot,
    model: &Model,
    &Question { site: on, span: (_, end), .. }: &Question,
) -> Result<(), TestCaseError> {
    let aged = whole(snapshot.before(site(on), instant(end)));
    prop_assert_eq!((aged.rows, aged.times.map(|(first, last)| (first.micros(), last.micros()))), model.before(on, end));
    Ok(())
}

/// Rules under which few rows, or none, are enough for a column.
pub(crate) fn column_rule() -> impl Strategy<Value = ColumnRule> {
    (0u32..9, 1u32..30, 0usize..4).prop_map(|(min_rows, min_share, max_of_site)| ColumnRule { min_rows, min_share, max_of_site })
}

/// The events of a log, how many hours later than others they are, and whether the log is sealed.
pub(crate) fn file() -> impl Strategy<Value = (Vec<Event>, Option<ColumnRule>)> {
    // So files overlap, or touch, with a bucket that both have rows in, or lie apart.
    let later = prop_oneof![2 => Just(0), 2 => (0i64..5).prop_map(|days| days * 11)];
    let events = prop_oneof![Just(0..300), Just(0..20)].prop_flat_map(|len| prop::collection::vec(event(), len));
    (events, later, prop::option::weighted(0.7, column_rule())).prop_map(|(mut events, later, sealed)| {
        events.iter_mut().for_each(|event| event.time += later * HOUR);
        (events, sealed)
    })
}

/// The rows of a segment are those of its log, in the order of segments.
fn check_rows(segment: &Segment, first: u64, events: &[Event]) {
    let mut rows = SegmentRows::new(segment).unwrap();
    let mut found = Vec::new();
    while let Some((sequence, row)) = rows.next().unwrap() {
        let event = &events[(sequence.value() - first) as usize];
        assert_eq!(row, record(event, &event.properties_text()));
        found.push((row.site, row.kind, row.name.to_owned(), row.time, sequence));
    }
    assert_eq!(found.len(), events.len());
    assert!(found.is_sorted());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn answers_equal_a_full_scan(
        files in prop::collection::vec(file(), 1..5),
        unpublished in prop::collection::vec(event(), 0..40),
        questions in prop::collection::vec(question(), 8),
        looked_through in 0usize..5,
    ) {
        let mut model = Model { events: Vec::new() };
        let (mut indexes, mut segments) = (Vec::new(), Vec::new());
        for (id, (events, sealed)) in (1..).zip(&files) {
            let mut log = Log::new(id, model.events.len() as u64 + 1);
            for batch in events.chunks(50) {
                log.append(batch);
                log.publish();
            }
            let first = model.events.len() as u64;
            model.events.extend(events.iter().cloned());
            // Rows that no reader sees yet, and whose ids are taken.
            let mut of_log = Model { events: events.clone() };
            of_log.events.extend(unpublished.iter().cloned());
            log.append(&unpublished);
            for event in &of_log.events {
                let Some(id) = &event.event_id else { continue };
                for on in 1..4 {
                    let expected = of_log.first_with_id(on, id).map(|at| Sequence::new(first + at as u64 + 1));
                    prop_assert_eq!(log.active.first_with_id(site(on), id), expected);
                }
            }
            let Some(columns) = sealed else {
                indexes.push(log.index);
                continue;
            };
            let segment = log.seal(*columns);
            check_rows(&segment, first + 1, events);
            let of_segment = Model { events: events.clone() };
            for (on, id) in (1..4).flat_map(|on| EVENT_IDS.map(|id| (on, id))) {
                let found = segment.find_event_id(site(on), id).unwrap().map(|(_, sequence)| sequence);
                prop_assert_eq!(found, of_segment.first_with_id(on, id).map(|at| Sequence::new(first + at as u64 + 1)));
            }
            segments.push(segment);
        }
        let shared = SharedSessions::find(&segments[..looked_through.min(segments.len())], &|| false).unwrap();
        let snapshot = Snapshot::new(&indexes, &segments).with_shared(Arc::new(shared));
        prop_assert_eq!(snapshot.rows(), model.events.len() as u64);
        for question in &questions {
            ask(&snapshot, &model, question)?;
            ask_age(&snapshot, &model, question)?;
        }
    }
}
