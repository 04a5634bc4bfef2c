//! What a site reports: the names of its events, and the keys of their properties.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use format::sealed::{Field, Run};
use format::{Kind, Segment, SiteId};
use roaring::RoaringBitmap;

use crate::answer::Answer;
use crate::bucket::Span;
use crate::condition::Condition;
use crate::error::Error;
use crate::filter::{Filter, Selections};
use crate::posting::Posting;
use crate::property::for_each_key;
use crate::rows::blocks;
use crate::shape::Shape;
use crate::snapshot::{LogView, RecordReader, Snapshot, Term};
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
    /// The names of the events on `site` in `span` that meet all of `conditions`, in byte order. Pageviews and vitals are no events.
    ///
    /// Costs in logs a step per full slab of rows that lies wholly in the span, and the rows of the others; in segments two searches
    /// per name. Conditions cost what they cost [`Snapshot::series`], for the events of all names.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn names(&self, site: SiteId, span: Span, conditions: &[Condition]) -> Result<Answer<Vec<NameCount>>, Error> {
        self.answer(|files| {
            let filter = Selections::new(self, files, site, span).filter(conditions)?;
            let mut counts: BTreeMap<String, u64> = BTreeMap::new();
            let mut add = |name: &str, count: u64| match counts.get_mut(name) {
                Some(sum) => *sum += count,
                None if count == 0 => {}
                None => drop(counts.insert(name.to_owned(), count)),
            };
            for log in files.logs() {
                for (name, posting) in log.names(site, Kind::Event) {
                    add(name, count_in_log(log, posting, span, &filter)?);
                }
            }
            self.for_each(files.segments, |segment| {
                for run in segment.runs_of(site, Kind::Event)? {
                    add(&run.name, self.count_in_run(segment, &run, span, &filter)?);
                }
                Ok(())
            })?;
            Ok(counts.into_iter().map(|(name, count)| NameCount { name, count }).collect())
        })
    }

    fn count_in_run<'i>(&self, segment: &'i Segment, run: &Run, span: Span, filter: &Filter<'i, '_>) -> Result<u64, Error> {
        let rows = within(segment, run, span)?;
        if filter.is_empty() {
            return Ok(rows.len() as u64);
        }
        let mut filter = filter.of_run(segment, run)?;
        let mut count = 0;
        for block in blocks(rows) {
            self.go_on()?;
            let read = filter.read(block, |_| ())?;
            count += read.map_or(0, |read| read.counts.iter().filter(|counts| **counts).count() as u64);
        }
        Ok(count)
    }

    /// The distinct top-level property keys of the events `name` on `site` in `span` that meet all of `conditions`, in byte order; also
    /// keys whose value is null.
    ///
    /// Reads the record of each of these events in logs; in segments each distinct shape of their properties.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn property_keys(&self, site: SiteId, name: &str, span: Span, conditions: &[Condition]) -> Result<Answer<Vec<String>>, Error> {
        self.answer(|files| {
            let filter = Selections::new(self, files, site, span).filter(conditions)?;
            let mut keys: BTreeSet<String> = BTreeSet::new();
            let mut note = |key: Cow<'_, str>| {
                if !keys.contains(&*key) {
                    keys.insert(key.into_owned());
                }
            };
            for log in files.logs() {
                let Some(posting) = log.posting(site, Term::Event(name)) else { continue };
                let mut records = RecordReader::new(self, log);
                let mut of_log = (!filter.is_empty()).then(|| filter.of_log(log));
                for row in posting.rows(span) {
                    if of_log.as_mut().map_or(Ok(true), |filter| filter.counts(&row))? {
                        records.read(row.ordinal, |record| for_each_key(record.properties, &mut note))?;
                    }
                }
            }
            self.for_each(files.segments, |segment| {
                let Some(run) = segment.find_run(site, Kind::Event, name)? else { return Ok(()) };
                for code in self.shapes_in_run(segment, &run, span, &filter)? {
                    let read = Shape::of(segment, code)?.for_each_key(&mut note);
                    read.map_err(|source| Error::BadShape { segment: segment.header().id, source })?;
                }
                Ok(())
            })?;
            Ok(keys.into_iter().collect())
        })
    }

    /// The shapes of the rows that count, without that of rows that have no properties at all.
    fn shapes_in_run<'i>(&self, segment: &'i Segment, run: &Run, span: Span, filter: &Filter<'i, '_>) -> Result<RoaringBitmap, Error> {
        let mut of_run = if filter.is_empty() { None } else { Some(filter.of_run(segment, run)?) };
        let (mut codes, mut shapes) = (Vec::new(), RoaringBitmap::new());
        for rows in blocks(within(segment, run, span)?) {
            self.go_on()?;
            codes.clear();
            segment.codes(Field::Shape, rows.clone(), &mut codes)?;
            match &mut of_run {
                None => shapes.extend(&codes),
                Some(filter) => {
                    let Some(read) = filter.read(rows, |_| ())? else { continue };
                    shapes.extend(codes.iter().zip(read.counts).filter(|(_, counts)| **counts).map(|(code, _)| code));
                }
            }
        }
        shapes.remove(0);
        Ok(shapes)
    }
}

fn count_in_log<'i>(log: &'i LogView, posting: Posting<'_>, span: Span, filter: &Filter<'i, '_>) -> Result<u64, Error> {
    if filter.is_empty() {
        return Ok(posting.count(span));
    }
    let mut of_log = filter.of_log(log);
    posting.rows(span).try_fold(0, |count, row| Ok(count + u64::from(of_log.counts(&row)?)))
}
