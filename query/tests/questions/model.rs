//! The reference that the index is compared with.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use format::Kind;
use query::{BreakdownRow, NameCount, Point, Term};

use crate::events::Event;

/// The reference: no index, no log, no bitmap; every question reads every event.
pub(crate) struct Model {
    pub(crate) events: Vec<Event>,
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

    /// Counts from `from` to `end`, in buckets of `unit` from that of `from` to that of `end`.
    pub(crate) fn series(&self, on: u8, term: Term<'_>, (from, end): (i64, i64), unit: i64, conditions: &[(&str, &str)]) -> Vec<Point> {
        let is_met = |at: usize| conditions.iter().all(|(key, text)| self.events[at].text_at(key) == Some(*text));
        (from.div_euclid(unit)..=end.div_euclid(unit))
            .map(|bucket| {
                let in_bucket = |at: &usize| self.events[*at].time.div_euclid(unit) == bucket;
                self.point(self.of_term(on, term, from, end).filter(in_bucket).filter(|at| is_met(*at)))
            })
            .collect()
    }

    pub(crate) fn names(&self, on: u8, (from, end): (i64, i64)) -> Vec<NameCount> {
        let mut names: BTreeMap<&str, u64> = BTreeMap::new();
        for event in self.events.iter().filter(|event| event.site == on && event.kind == Kind::Event) {
            if from <= event.time && event.time < end {
                *names.entry(&event.name).or_default() += 1;
            }
        }
        names.into_iter().map(|(name, count)| NameCount { name: name.to_owned(), count }).collect()
    }

    pub(crate) fn property_keys(&self, on: u8, name: &str, (from, end): (i64, i64)) -> Vec<String> {
        let events = self.of_term(on, Term::Event(name), from, end);
        let keys: BTreeSet<&str> = events.flat_map(|at| self.events[at].properties.iter().map(|(key, ..)| *key)).collect();
        keys.into_iter().map(str::to_owned).collect()
    }

    pub(crate) fn breakdown(&self, on: u8, name: &str, key: &str, (from, end): (i64, i64), limit: usize) -> Vec<BreakdownRow> {
        let with_text = |at: &usize| self.events[*at].text_at(key).is_some();
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
