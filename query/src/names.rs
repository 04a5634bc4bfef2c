//! What a site reports: the names of its events, and the keys of their properties.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use format::sealed::Field;
use format::{Kind, SiteId};
use roaring::RoaringBitmap;

use crate::answer::Answer;
use crate::bucket::Span;
use crate::error::Error;
use crate::property::for_each_key;
use crate::rows::blocks;
use crate::shape::Shape;
use crate::snapshot::{RecordReader, Snapshot, Term};
use crate::term_rows::within;

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
    /// Costs in logs a step per full slab of rows that lies wholly in the span, and the rows of the others; in segments two searches
    /// per name.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn names(&self, site: SiteId, span: Span) -> Result<Answer<Vec<NameCount>>, Error> {
        self.answer(|segments| {
            let mut counts: BTreeMap<String, u64> = BTreeMap::new();
            let mut add = |name: &str, count: u64| match counts.get_mut(name) {
                Some(sum) => *sum += count,
                None if count == 0 => {}
                None => drop(counts.insert(name.to_owned(), count)),
            };
            for log in self.logs() {
                log.event_names(site).for_each(|(name, posting)| add(name, posting.count(span)));
            }
            self.for_each(segments, |segment| {
                for run in segment.runs_of(site, Kind::Event)? {
                    add(&run.name, within(segment, &run, span)?.len() as u64);
                }
                Ok(())
            })?;
            Ok(counts.into_iter().map(|(name, count)| NameCount { name, count }).collect())
        })
    }

    /// The distinct top-level property keys of the events `name` on `site` in `span`, in byte order; also keys whose value is null.
    ///
    /// Reads the record of each of these events in logs; in segments each distinct shape of their properties.
    ///
    /// # Errors
    ///
    /// [`Error::Record`], [`Error::BadProperties`] and [`Error::Stopped`].
    pub fn property_keys(&self, site: SiteId, name: &str, span: Span) -> Result<Answer<Vec<String>>, Error> {
        self.answer(|segments| {
            let mut keys: BTreeSet<String> = BTreeSet::new();
            let mut note = |key: Cow<'_, str>| {
                if !keys.contains(&*key) {
                    keys.insert(key.into_owned());
                }
            };
            for log in self.logs() {
                let Some(posting) = log.posting(site, Term::Event(name)) else { continue };
                let mut records = RecordReader::new(self, log);
                for row in posting.rows(span) {
                    records.read(row.ordinal, |record| for_each_key(record.properties, &mut note))?;
                }
            }
            self.for_each(segments, |segment| {
                let Some(run) = segment.find_run(site, Kind::Event, name)? else { return Ok(()) };
                let (mut codes, mut shapes) = (Vec::new(), RoaringBitmap::new());
                for rows in blocks(within(segment, &run, span)?) {
                    self.go_on()?;
                    codes.clear();
                    segment.codes(Field::Shape, rows, &mut codes)?;
                    shapes.extend(&codes);
                }
                // No properties at all.
                shapes.remove(0);
                for code in shapes {
                    let read = Shape::of(segment, code)?.for_each_key(&mut note);
                    read.map_err(|source| Error::BadShape { segment: segment.header().id, source })?;
                }
                Ok(())
            })?;
            Ok(keys.into_iter().collect())
        })
    }
}
