//! Which names of events each site has: what bounds their number.
//!
//! Every name is a chain in the index for as long as its log is unsealed, so that a client who makes up names would take memory
//! without end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use format::{Kind, RecordHead, SiteId};

/// The most names of events of one site.
pub(crate) const MAX_NAMES: usize = 10_000;

/// The names of all sites, as keyed hashes of site and name. Two with one hash count as one, which loses no event.
#[derive(Clone, Default)]
pub(crate) struct Names {
    key: RandomState,
    /// The sites of the names.
    sites: HashMap<u64, SiteId, BuildHasherDefault<Itself>>,
    /// How many of them each site has.
    counts: HashMap<SiteId, usize>,
    /// Those that the open batch has brought.
    fresh: Vec<u64>,
}

impl Names {
    /// An empty one that [`Names::merge`] can take.
    pub(crate) fn like(other: &Names) -> Names {
        Names { key: other.key.clone(), ..Names::default() }
    }

    /// Notes the name of a record of the open batch, unless it is an event's and would be one too many on its site.
    pub(crate) fn admit(&mut self, record: &RecordHead<'_>) -> bool {
        if record.kind != Kind::Event {
            return true;
        }
        let name = self.hash(record.site, record.name);
        if self.sites.contains_key(&name) {
            return true;
        }
        if self.counts.get(&record.site).is_some_and(|count| *count >= MAX_NAMES) {
            return false;
        }
        self.insert(name, record.site);
        self.fresh.push(name);
        true
    }

    /// The open batch was appended: what it has brought stays.
    pub(crate) fn keep(&mut self) {
        self.fresh.clear();
    }

    /// The open batch was refused: what it has brought is forgotten.
    pub(crate) fn give_back(&mut self) {
        for name in self.fresh.drain(..) {
            if let Some(count) = self.sites.remove(&name).and_then(|site| self.counts.get_mut(&site)) {
                *count -= 1;
            }
        }
    }

    /// Notes the name of a record that is stored already.
    pub(crate) fn note(&mut self, record: &RecordHead<'_>) {
        if record.kind == Kind::Event {
            self.note_name(record.site, record.name);
        }
    }

    /// Notes the name of events that are stored already.
    pub(crate) fn note_name(&mut self, site: SiteId, name: &str) {
        self.insert(self.hash(site, name), site);
    }

    /// Takes in the names that another has noted.
    ///
    /// # Panics
    ///
    /// In a debug build, if `other` hashes with another key.
    pub(crate) fn merge(&mut self, other: Names) {
        debug_assert_eq!(self.key.hash_one(0), other.key.hash_one(0), "hashes are compared under one key");
        for (name, site) in other.sites {
            self.insert(name, site);
        }
    }

    fn insert(&mut self, name: u64, site: SiteId) {
        if let Entry::Vacant(vacant) = self.sites.entry(name) {
            vacant.insert(site);
            *self.counts.entry(site).or_default() += 1;
        }
    }

    fn hash(&self, site: SiteId, name: &str) -> u64 {
        self.key.hash_one((site, name))
    }
}

/// Takes a keyed hash for what it is.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are hashed");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
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
        assert_eq!(all.counts[&SiteId::new([1; 16])], MAX_NAMES / 2 + 2);
    }
}
