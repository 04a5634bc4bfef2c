//! Which names of events each site has: what bounds their number.
//!
//! Every name is a chain in the index for as long as its log is unsealed, so that a client who makes up names would take memory
//! without end.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use format::{Kind, RecordHead, SiteId};

/// The most names of events of one site.
pub(crate) const MAX_NAMES: usize = 10_000;

/// The names of all sites, as keyed hashes. Two names with one hash count as one, which loses no event.
#[derive(Clone, Default)]
pub(crate) struct Names {
    key: RandomState,
    sites: HashMap<SiteId, HashSet<u64>>,
    /// Those that the open batch has brought.
    fresh: Vec<(SiteId, u64)>,
}

impl Names {
    /// An empty one that [`Names::merge`] can take.
    pub(crate) fn like(other: &Names) -> Names {
        Names { key: other.key.clone(), sites: HashMap::new(), fresh: Vec::new() }
    }

    /// Notes the name of a record of the open batch, unless it is an event's and would be one too many on its site.
    pub(crate) fn admit(&mut self, record: &RecordHead<'_>) -> bool {
        if record.kind != Kind::Event {
            return true;
        }
        let name = self.key.hash_one(record.name);
        let names = self.sites.entry(record.site).or_default();
        if names.len() >= MAX_NAMES {
            return names.contains(&name);
        }
        if names.insert(name) {
            self.fresh.push((record.site, name));
        }
        true
    }

    /// The open batch was appended: what it has brought stays.
    pub(crate) fn keep(&mut self) {
        self.fresh.clear();
    }

    /// The open batch was refused: what it has brought is forgotten.
    pub(crate) fn give_back(&mut self) {
        for (site, name) in self.fresh.drain(..) {
            if let Some(names) = self.sites.get_mut(&site) {
                names.remove(&name);
            }
        }
    }

    /// Notes the name of a record that is stored already.
    pub(crate) fn note(&mut self, record: &RecordHead<'_>) {
        if record.kind == Kind::Event {
            self.sites.entry(record.site).or_default().insert(self.key.hash_one(record.name));
        }
    }

    /// Takes in the names that another has noted.
    ///
    /// # Panics
    ///
    /// In a debug build, if `other` hashes with another key.
    pub(crate) fn merge(&mut self, other: Names) {
        debug_assert_eq!(self.key.hash_one(0), other.key.hash_one(0), "hashes are compared under one key");
        for (site, names) in other.sites {
            self.sites.entry(site).or_default().extend(names);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use format::{Record, Source, UnixMicros};

    fn record(kind: Kind, site: u8, name: &str) -> RecordHead<'_> {
        RecordHead { name, ..Record::new(kind, Source::Server, SiteId::new([site; 16]), UnixMicros::EPOCH, UnixMicros::EPOCH).head() }
    }

    #[test]
    fn a_site_that_has_all_its_names_keeps_them_and_gets_no_more() {
        let mut names = Names::default();
        for number in 0..MAX_NAMES {
            assert!(names.admit(&record(Kind::Event, 1, &number.to_string())));
        }
        assert!(!names.admit(&record(Kind::Event, 1, "one more")));
        assert!(names.admit(&record(Kind::Event, 1, "0")), "known");
        assert!(names.admit(&record(Kind::Pageview, 1, "")), "no event");
        assert!(names.admit(&record(Kind::Event, 2, "one more")), "another site");
    }

    #[test]
    fn names_of_several_logs_are_counted_once() {
        let mut all = Names::default();
        for log in 0..2 {
            let mut names = Names::like(&all);
            for number in 0..MAX_NAMES / 2 + log {
                names.note(&record(Kind::Event, 1, &number.to_string()));
            }
            all.merge(names);
        }
        assert!(all.admit(&record(Kind::Event, 1, "a new one")));
        assert_eq!(all.sites[&SiteId::new([1; 16])].len(), MAX_NAMES / 2 + 2);
    }
}
