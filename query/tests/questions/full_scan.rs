//! Every question, on random events in one to three logs, equals a scan of all events.

use format::{Kind, Sequence};
use proptest::prelude::*;
use query::{Buckets, Condition, PropertyKey, Snapshot, Span, Term, Unit, Zone};

use crate::events::{Event, HOUR, Log, instant, site};
use crate::model::Model;

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
    let id = prop::option::of((0u8..12).prop_map(|n| match n % 2 {
        0 => format!("id-{n}"),
        _ => format!("00000000-0000-4000-8000-0000000000{n:02}"),
    }));
    let session = prop::option::weighted(0.8, 0u8..12);
    (1u8..3, kind, name, path, time(), session, id, prop::collection::vec(property(), 0..3)).prop_map(
        |(site, kind, name, path, time, session, event_id, properties)| Event {
            site,
            kind,
            name,
            path,
            time,
            session,
            event_id,
            properties,
        },
    )
}

#[derive(Clone, Debug)]
pub(crate) struct Question {
    site: u8,
    is_path: bool,
    text: &'static str,
    span: (i64, i64),
    unit: Unit,
    conditions: Vec<(&'static str, &'static str)>,
    key: &'static str,
    limit: usize,
}

pub(crate) fn question() -> impl Strategy<Value = Question> {
    let text = prop::sample::select(vec!["signup", "sign", "", "/", "/a", "nothing"]);
    let condition = (prop::sample::select(&KEYS[..]), prop::sample::select(vec!["pro", "5", "true", "", "{\"b\":[1.5]}", "null"]));
    let conditions = prop::collection::vec(condition, 0..2);
    let unit = prop::sample::select(vec![Unit::Hour, Unit::Day]);
    let ends = (time(), time()).prop_map(|(one, other)| (one.min(other), one.max(other)));
    (1u8..4, any::<bool>(), text, ends, unit, conditions, prop::sample::select(&KEYS[..]), 0usize..6).prop_map(
        |(site, is_path, text, span, unit, conditions, key, limit)| Question { site, is_path, text, span, unit, conditions, key, limit },
    )
}

pub(crate) fn ask(snapshot: &Snapshot, model: &Model, question: &Question) -> Result<(), TestCaseError> {
    let Question { site: on, is_path, text, span: (from, end), unit, ref conditions, key, limit } = *question;
    let span = Span::until(instant(from), instant(end));
    let term = if is_path { Term::Path(text) } else { Term::Event(text) };
    let key_path = |key: &str| PropertyKey::parse(key).unwrap();
    let asked: Vec<Condition> =
        conditions.iter().map(|(key, value)| Condition::Property { key: key_path(key), value: (*value).to_owned() }).collect();
    let buckets = Buckets::cut(instant(from), instant(end), unit, &Zone::utc()).unwrap();
    let unit = if unit == Unit::Hour { HOUR } else { 24 * HOUR };
    prop_assert_eq!(
        snapshot.series(site(on), term, span, &buckets, &asked).unwrap(),
        model.series(on, term, (from, end), unit, conditions)
    );
    prop_assert_eq!(snapshot.names(site(on), span), model.names(on, (from, end)));
    prop_assert_eq!(snapshot.property_keys(site(on), text, span).unwrap(), model.property_keys(on, text, (from, end)));
    let breakdown = snapshot.breakdown(site(on), text, &key_path(key), span, limit).unwrap();
    prop_assert_eq!(breakdown, model.breakdown(on, text, key, (from, end), limit));
    Ok(())
}

proptest! {
    #[test]
    fn answers_equal_a_full_scan(
        logs in prop::collection::vec(prop::collection::vec(event(), 0..300), 1..4),
        unpublished in prop::collection::vec(event(), 0..40),
        questions in prop::collection::vec(question(), 8),
    ) {
        let mut model = Model { events: Vec::new() };
        let mut indexes = Vec::new();
        for (id, events) in (1..).zip(&logs) {
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
            indexes.push(log.index);
        }
        let snapshot = Snapshot::new(&indexes);
        prop_assert_eq!(snapshot.rows(), model.events.len() as u64);
        for question in &questions {
            ask(&snapshot, &model, question)?;
        }
    }
}
