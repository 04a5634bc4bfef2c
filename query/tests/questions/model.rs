//! The reference that the index is compared with.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use format::Kind;
use query::{BreakdownRow, NameCount, Point, Term};

use crate::events::{Event, Visit};

/// The reference: no index, no log, no bitmap; every question reads every event.
pub(crate) struct Model {
    pub(crate) events: Vec<Event>,
}

/// What has to be met: properties (key and text) by the event, dimensions (name and value) by its session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) properties: Vec<(&'static str, &'static str)>,
    pub(crate) session: Vec<(&'static str, &'static str)>,
}

/// Whether an event by itself says that its session has `value`: told for each value that questions ask for.
fn carries(event: &Event, dimension: &str, value: &str) -> bool {
    let Visit { host, referrer, user_agent, language, width, utm_source, qr, country } = event.visit;
    let is_pageview = event.kind == Kind::Pageview;
    let nothing = |field: Option<&str>| field.is_none_or(str::is_empty) && is_pageview;
    match (dimension, value) {
        _ if event.kind == Kind::Vital => false,
        ("path", path) => event.path.as_deref() == Some(path),
        ("hostname", "(Unknown Host)") => nothing(host),
        ("hostname", _) => host.is_some_and(|host| value == host || value == format!("www.{host}") || format!("www.{value}") == host),
        ("referrer", "(Direct)") | ("referrer_host", "(Direct)") => nothing(referrer),
        ("referrer", url) => referrer == Some(url),
        ("referrer_host", "a.example") => matches!(referrer, Some("https://www.a.example/x" | "https://A.example")),
        ("device", "mobile") => width.is_some_and(|width| width < 576),
        ("device", "Tablet") => width.is_some_and(|width| (576..992).contains(&width)),
        ("device", "Desktop") => width.map_or(is_pageview, |width| width >= 992),
        ("country", "(Unknown)") => country.is_none() && is_pageview,
        ("country", _) => country.is_some_and(|letters| letters.eq_ignore_ascii_case(value.as_bytes())),
        ("browser", "(Unknown)") => user_agent.map_or(is_pageview, |agent| agent == "curl/8"),
        ("browser", "Firefox") => user_agent == Some("Mozilla/5.0 Firefox/1.0"),
        ("language", "(Unknown)") => nothing(language),
        ("language", _) => language == Some(value),
        ("utm_source", "(Unspecified)") => nothing(utm_source),
        ("utm_source", _) => utm_source == Some(value),
        ("qr_code_id", "(Unspecified)") => qr.is_none() && is_pageview,
        ("qr_code_id", "07070707-0707-0707-0707-070707070707") => qr == Some(7),
        other => panic!("the model does not know {other:?}"),
    }
}

/// Who made an event: a session, or the event by itself.
#[derive(PartialEq, Eq, Hash)]
enum Who {
    Session(u8),
    Event(usize),
}

impl Model {
    fn who(&self, at: usize) -> Who {
        self.events[at].session.map_or(Who::Event(at), Who::Session)
    }

    fn point(&self, events: impl Iterator<Item = usize>) -> Point {
        let events: Vec<usize> = events.collect();
        let sessions: HashSet<Who> = events.iter().map(|at| self.who(*at)).collect();
        Point { conversions: sessions.len() as u64, total: events.len() as u64 }
    }

    fn of_term(&self, on: u8, term: Term<'_>, from: i64, end: i64) -> impl Iterator<Item = usize> {
        let is_wanted = move |event: &Event| {
            let is_term = match term {
                Term::Event(name) => event.kind == Kind::Event && event.name == name,
                Term::Path(path) => event.kind == Kind::Pageview && event.path.as_deref() == Some(path),
                Term::Pageviews => event.kind == Kind::Pageview && event.name.is_empty(),
            };
            event.site == on && is_term && from <= event.time && event.time < end
        };
        (0..self.events.len()).filter(move |at| is_wanted(&self.events[*at]))
    }

    /// Whether an event meets a filter of a question about `from` to `end` on its site.
    fn is_met(&self, at: usize, (from, end): (i64, i64), filter: &Filter) -> bool {
        let event = &self.events[at];
        let in_range = |other: &usize| {
            let other = &self.events[*other];
            other.site == event.site && from <= other.time && other.time < end
        };
        let of_session = || (0..self.events.len()).filter(in_range).filter(|other| self.who(*other) == self.who(at));
        filter.properties.iter().all(|(key, text)| event.text_at(key) == Some(*text))
            && filter.session.iter().all(|(name, value)| of_session().any(|other| carries(&self.events[other], name, value)))
    }

    /// Counts from `from` to `end`.
    pub(crate) fn whole(&self, on: u8, term: Term<'_>, (from, end): (i64, i64), filter: &Filter) -> Point {
        self.point(self.of_term(on, term, from, end).filter(|at| self.is_met(*at, (from, end), filter)))
    }

    /// Counts from `from` to `end`, in buckets of `unit` from that of `from` to that of `end`.
    pub(crate) fn series(&self, on: u8, term: Term<'_>, (from, end): (i64, i64), unit: i64, filter: &Filter) -> Vec<Point> {
        let counted: Vec<usize> = self.of_term(on, term, from, end).filter(|at| self.is_met(*at, (from, end), filter)).collect();
        (from.div_euclid(unit)..=end.div_euclid(unit))
            .map(|bucket| {
                let in_bucket = |at: &usize| self.events[*at].time.div_euclid(unit) == bucket;
                self.point(counted.iter().copied().filter(in_bucket))
            })
            .collect()
    }

    pub(crate) fn names(&self, on: u8, (from, end): (i64, i64), filter: &Filter) -> Vec<NameCount> {
        let mut names: BTreeMap<&str, u64> = BTreeMap::new();
        for (at, event) in self.events.iter().enumerate().filter(|(_, event)| event.site == on && event.kind == Kind::Event) {
            if from <= event.time && event.time < end && self.is_met(at, (from, end), filter) {
                *names.entry(&event.name).or_default() += 1;
            }
        }
        names.into_iter().map(|(name, count)| NameCount { name: name.to_owned(), count }).collect()
    }

    /// How many events of all kinds are before `end`, and the times they lie between.
    pub(crate) fn before(&self, on: u8, end: i64) -> (u64, Option<(i64, i64)>) {
        let times = || self.events.iter().filter(|event| event.site == on && event.time < end).map(|event| event.time);
        (times().count() as u64, times().min().zip(times().max()))
    }

    pub(crate) fn property_keys(&self, on: u8, name: &str, (from, end): (i64, i64), filter: &Filter) -> Vec<String> {
        let events = self.of_term(on, Term::Event(name), from, end).filter(|at| self.is_met(*at, (from, end), filter));
        let keys: BTreeSet<&str> = events.flat_map(|at| self.events[at].properties.iter().map(|(key, ..)| *key)).collect();
        keys.into_iter().map(str::to_owned).collect()
    }

    pub(crate) fn breakdown(
        &self,
        on: u8,
        (name, key): (&str, &str),
        (from, end): (i64, i64),
        filter: &Filter,
        limit: usize,
    ) -> Vec<BreakdownRow> {
        let with_text = |at: &usize| self.events[*at].text_at(key).is_some() && self.is_met(*at, (from, end), filter);
        let events: Vec<usize> = self.of_term(on, Term::Event(name), from, end).filter(with_text).collect();
        let values: BTreeSet<&str> = events.iter().filter_map(|at| self.events[*at].text_at(key)).collect();
        let row = |value: &&str| {
            let point = self.point(events.iter().copied().filter(|at| self.events[*at].text_at(key) == Some(*value)));
            BreakdownRow { name: (*value).to_owned(), sessions: point.conversions, total: point.total }
        };
        let mut rows: Vec<BreakdownRow> = values.iter().map(row).collect();
        // Stable, and the values are in order already.
        rows.sort_by_key(|row| std::cmp::Reverse(row.sessions));
        rows.truncate(limit);
        rows
    }

    /// The place of the first event with this id on this site.
    pub(crate) fn first_with_id(&self, on: u8, id: &str) -> Option<usize> {
        self.events.iter().position(|event| event.site == on && event.event_id.as_deref() == Some(id))
    }
}
