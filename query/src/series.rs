//! Totals and distinct sessions of a term, bucket by bucket.

use format::SiteId;

use crate::bucket::{Buckets, Span};
use crate::condition::Condition;
use crate::error::Error;
use crate::snapshot::{Snapshot, Term};
use crate::tally::{Point, Tally};

impl Snapshot {
    /// Counts the rows of `term` on `site` in each of `buckets`: occurrences and distinct sessions.
    ///
    /// Only rows in `span` that meet all of `conditions` count, so a span may cut the buckets at its ends. One point per bucket; an
    /// empty bucket has zeros, and so has every bucket of an unknown site or term. A session in two buckets counts in both.
    ///
    /// Costs the rows of the term in `span`; conditions cost reading their records, too.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`]; with conditions [`Error::Record`] and [`Error::BadProperties`], too. Without, no record is read.
    pub fn series(
        &self,
        site: SiteId,
        term: Term<'_>,
        span: Span,
        buckets: &Buckets,
        conditions: &[Condition],
    ) -> Result<Vec<Point>, Error> {
        let span = span.intersect(buckets.covers());
        let mut tally = Tally::new(buckets.len());
        for log in self.logs() {
            self.go_on()?;
            let Some(posting) = log.posting(site, term) else { continue };
            let selected = if conditions.is_empty() { None } else { Some(self.matching(log, posting, span, conditions)?) };
            let mut finder = buckets.finder();
            posting.rows(span).filter(|row| selected.as_ref().is_none_or(|selected| selected.contains(row.ordinal))).for_each(|row| {
                if let Some(bucket) = finder.find(row.time) {
                    tally.add(bucket, row);
                }
            });
            tally.end_log(&log.index);
        }
        Ok(tally.points())
    }
}
