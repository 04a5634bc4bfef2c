//! Counts by the value of a property.

use std::hash::RandomState;

use format::SiteId;
use hashbrown::HashMap;

use crate::bucket::Span;
use crate::error::Error;
use crate::property::PropertyKey;
use crate::snapshot::{RecordReader, Snapshot, Term};
use crate::tally::Tally;

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
    /// The values that the events `name` on `site` in `span` have at `key`, at most `limit`: those of most sessions first, equal
    /// ones by the value's bytes. Events without a value there, or with null, count nowhere.
    ///
    /// Reads the record of each of these events.
    ///
    /// # Errors
    ///
    /// [`Error::Record`], [`Error::BadProperties`] and [`Error::Stopped`].
    pub fn breakdown(&self, site: SiteId, name: &str, key: &PropertyKey, span: Span, limit: usize) -> Result<Vec<BreakdownRow>, Error> {
        let mut groups: HashMap<String, usize, RandomState> = HashMap::default();
        let mut tally = Tally::new(0);
        for log in self.logs() {
            let Some(posting) = log.posting(site, Term::Event(name)) else { continue };
            let mut records = RecordReader::new(self, log);
            for row in posting.rows(span) {
                let group = records.read(row.ordinal, |record| {
                    let text = key.value_text(record.properties)?;
                    Ok(text.map(|text| *groups.entry_ref(&*text).or_insert_with(|| tally.add_group())))
                })?;
                if let Some(group) = group {
                    tally.add(group, row);
                }
            }
            tally.end_log(&log.index);
        }
        let points = tally.points();
        let row = |(name, group): (String, usize)| BreakdownRow { name, sessions: points[group].conversions, total: points[group].total };
        let mut rows: Vec<BreakdownRow> = groups.into_iter().map(row).collect();
        rows.sort_unstable_by(|one, other| other.sessions.cmp(&one.sessions).then_with(|| one.name.cmp(&other.name)));
        rows.truncate(limit);
        Ok(rows)
    }
}
