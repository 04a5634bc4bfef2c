//! What a site reports: the names of its events, and the keys of their properties.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use format::SiteId;

use crate::bucket::Span;
use crate::error::Error;
use crate::property::for_each_key;
use crate::snapshot::{RecordReader, Snapshot, Term};

/// A name of events, and how often it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameCount {
    /// The name.
    pub name: String,
    /// Occurrences, at least one.
    pub count: u64,
}

impl Snapshot {
    /// The names of the events on `site` in `span`, in byte order. Pageviews and vitals are no events.
    ///
    /// Costs a step per full slab of rows that lies wholly in the span, and the rows of the others.
    pub fn names(&self, site: SiteId, span: Span) -> Vec<NameCount> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for log in self.logs() {
            for (name, posting) in log.event_names(site) {
                match posting.count(span) {
                    0 => {}
                    count => *counts.entry(name).or_default() += count,
                }
            }
        }
        counts.into_iter().map(|(name, count)| NameCount { name: name.to_owned(), count }).collect()
    }

    /// The distinct top-level property keys of the events `name` on `site` in `span`, in byte order; also keys whose value is null.
    ///
    /// Reads the record of each of these events.
    ///
    /// # Errors
    ///
    /// [`Error::Record`], [`Error::BadProperties`] and [`Error::Stopped`].
    pub fn property_keys(&self, site: SiteId, name: &str, span: Span) -> Result<Vec<String>, Error> {
        let mut keys: BTreeSet<String> = BTreeSet::new();
        for log in self.logs() {
            let Some(posting) = log.posting(site, Term::Event(name)) else { continue };
            let mut records = RecordReader::new(self, log);
            for row in posting.rows(span) {
                let note = |key: Cow<'_, str>| {
                    if !keys.contains(&*key) {
                        keys.insert(key.into_owned());
                    }
                };
                records.read(row.ordinal, |record| for_each_key(record.properties, note))?;
            }
        }
        Ok(keys.into_iter().collect())
    }
}
