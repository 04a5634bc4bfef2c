//! Counts by the value of a property.

use std::hash::RandomState;

use format::SiteId;
use hashbrown::HashMap;

use crate::answer::Answer;
use crate::bucket::Span;
use crate::by_value::ByValue;
use crate::condition::Condition;
use crate::error::Error;
use crate::filter::{Filter, Selections};
use crate::posting::Posting;
use crate::property::PropertyKey;
use crate::rows::blocks;
use crate::snapshot::{LogView, RecordReader, Snapshot, Term};
use crate::tally::{File, NO_GROUP, Point, Tally};
use crate::term_rows::TermRows;

/// A value of a property, and how often it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakdownRow {
    /// The value's text as the contract writes it.
    pub name: String,
    /// Distinct sessions.
    pub sessions: u64,
    /// Occurrences.
    pub total: u64,
}

impl Snapshot {
    /// The values that the events `name` on `site` in `span` that meet all of `conditions` have at `key`, at most `limit`: those of most
    /// sessions first, equal ones by the value's bytes. Events without a value there, or with null, count nowhere.
    ///
    /// Reads the record of each of these events in logs. In segments a value is read once for all of its rows.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn breakdown(
        &self,
        site: SiteId,
        name: &str,
        key: &PropertyKey,
        span: Span,
        conditions: &[Condition],
        limit: usize,
    ) -> Result<Answer<Vec<BreakdownRow>>, Error> {
        self.answer(|files| {
            let filter = Selections::new(self, files, site, span).filter(conditions)?;
            let mut groups = Groups { by_text: HashMap::default(), tally: Tally::new(0, self.shared()) };
            for log in files.logs() {
                let Some(posting) = log.posting(site, Term::Event(name)) else { continue };
                self.add_values_of_log(log, posting, key, span, &filter, &mut groups)?;
            }
            self.for_each(files.segments, |segment| {
                for rows in TermRows::find(segment, site, Term::Event(name))? {
                    self.add_values_of_segment(&rows, key, span, &filter, &mut groups)?;
                }
                groups.tally.end(File::Segment(segment));
                Ok(())
            })?;
            groups.into_rows(limit)
        })
    }

    fn add_values_of_log<'i>(
        &self,
        log: &'i LogView,
        posting: Posting<'_>,
        key: &PropertyKey,
        span: Span,
        filter: &Filter<'i, '_>,
        groups: &mut Groups<'i>,
    ) -> Result<(), Error> {
        let mut records = RecordReader::new(self, log);
        let mut of_log = (!filter.is_empty()).then(|| filter.of_log(log));
        for row in posting.rows(span) {
            if !of_log.as_mut().map_or(Ok(true), |filter| filter.counts(&row))? {
                continue;
            }
            let group = records.read(row.ordinal, |record| Ok(groups.of_text(key.value_text(record.properties)?.as_deref())))?;
            if group != NO_GROUP {
                groups.tally.add(group, row.session);
            }
        }
        groups.tally.end(File::Log(&log.index));
        Ok(())
    }

    fn add_values_of_segment<'i>(
        &self,
        rows: &TermRows<'i>,
        key: &PropertyKey,
        span: Span,
        filter: &Filter<'i, '_>,
        groups: &mut Groups<'_>,
    ) -> Result<(), Error> {
        let mut by_value = ByValue::new(rows.segment, &rows.run, key)?;
        let mut filter = if filter.is_empty() { None } else { Some(filter.of_run(rows.segment, &rows.run)?) };
        let (mut found, mut sessions) = (Vec::new(), Vec::new());
        let within = rows.within(span)?;
        groups.tally.reserve(within.len());
        for block in blocks(within) {
            self.go_on()?;
            found.clear();
            by_value.read(block.clone(), &mut |text| groups.of_text(text), &mut found)?;
            if let Some(filter) = &mut filter {
                let Some(read) = filter.read(block, |_| ())? else { continue };
                let rows = found.iter().zip(read.counts).zip(read.sessions);
                for ((group, _), session) in rows.filter(|((group, counts), _)| **counts && **group != NO_GROUP) {
                    groups.tally.add(*group, *session);
                }
                continue;
            }
            sessions.clear();
            rows.segment.session_codes(block, &mut sessions)?;
            groups.tally.add_rows(&found, &sessions);
        }
        Ok(())
    }
}

/// A group for each text.
struct Groups<'i> {
    by_text: HashMap<String, u32, RandomState>,
    tally: Tally<'i>,
}

impl Groups<'_> {
    fn of_text(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text else { return NO_GROUP };
        *self.by_text.entry_ref(text).or_insert_with(|| self.tally.add_group())
    }

    fn into_rows(self, limit: usize) -> Result<Vec<BreakdownRow>, Error> {
        let points = self.tally.points()?;
        let row = |(name, group): (String, u32)| {
            let Point { conversions: sessions, total } = points[group as usize];
            BreakdownRow { name, sessions, total }
        };
        // A value that only rows have that do not count is none.
        let mut rows: Vec<BreakdownRow> = self.by_text.into_iter().map(row).filter(|row| row.total > 0).collect();
        rows.sort_unstable_by(|one, other| other.sessions.cmp(&one.sessions).then_with(|| one.name.cmp(&other.name)));
        rows.truncate(limit);
        Ok(rows)
    }
}
