//! Totals and distinct sessions of a term, bucket by bucket.

use format::SiteId;

use crate::answer::Answer;
use crate::bucket::{Buckets, Span};
use crate::condition::{Condition, Filter};
use crate::error::Error;
use crate::posting::Posting;
use crate::rows::blocks;
use crate::snapshot::{LogView, Snapshot, Term};
use crate::tally::{File, Point, Tally};
use crate::term_rows::{Ranges, TermRows};

impl Snapshot {
    /// Counts the rows of `term` on `site` in each of `buckets`: occurrences and distinct sessions.
    ///
    /// Only rows in `span` that meet all of `conditions` count, so a span may cut the buckets at its ends. One point per bucket; an
    /// empty bucket has zeros, and so has every bucket of an unknown site or term. A session in two buckets counts in both.
    ///
    /// Costs the rows of the term in `span` in logs, and in segments a search per bucket; where several files have rows in a bucket,
    /// its rows. Conditions cost a look-up per row in `span`, and in logs reading its record.
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
    ) -> Result<Answer<Vec<Point>>, Error> {
        let span = span.intersect(buckets.covers());
        self.answer(|segments| {
            let mut tally = Tally::new(buckets.len());
            for log in self.logs() {
                self.go_on()?;
                let Some(posting) = log.posting(site, term) else { continue };
                self.add_rows_of_log(log, posting, span, buckets, conditions, &mut tally)?;
            }
            self.for_each(segments, |segment| {
                for rows in TermRows::find(segment, site, term)? {
                    let edges = rows.edges(buckets, span)?;
                    if conditions.is_empty() {
                        tally.add_part(Ranges::count(rows, edges)?);
                    } else {
                        self.add_rows_of_segment(&rows, &edges.rows, conditions, &mut tally)?;
                    }
                }
                tally.end(File::Segment(segment));
                Ok(())
            })?;
            tally.points()
        })
    }

    fn add_rows_of_log<'i>(
        &self,
        log: &'i LogView,
        posting: Posting<'_>,
        span: Span,
        buckets: &Buckets,
        conditions: &[Condition],
        tally: &mut Tally<'i>,
    ) -> Result<(), Error> {
        let selected = if conditions.is_empty() { None } else { Some(self.matching(log, posting, span, conditions)?) };
        let mut finder = buckets.finder();
        posting.rows(span).filter(|row| selected.as_ref().is_none_or(|selected| selected.contains(row.ordinal))).for_each(|row| {
            if let Some(bucket) = finder.find(row.time) {
                tally.add(bucket as u32, row.session);
            }
        });
        tally.end(File::Log(&log.index));
        Ok(())
    }

    /// Adds the rows that meet all conditions; bucket `n` has the rows from `edges[n]` to `edges[n + 1]`.
    fn add_rows_of_segment(
        &self,
        rows: &TermRows<'_>,
        edges: &[u32],
        conditions: &[Condition],
        tally: &mut Tally<'_>,
    ) -> Result<(), Error> {
        let (Some(start), Some(end)) = (edges.first(), edges.last()) else { return Ok(()) };
        let mut filter = Filter::new(rows.segment, &rows.run, conditions)?;
        let (mut sessions, mut selected) = (Vec::new(), Vec::new());
        let mut bucket = 0;
        for block in blocks(*start..*end) {
            self.go_on()?;
            let met = filter.read(block.clone())?;
            sessions.clear();
            rows.segment.session_codes(block.clone(), &mut sessions)?;
            rows.select(block.clone(), met, &mut selected);
            for row in &selected {
                while edges[bucket + 1] <= *row {
                    bucket += 1;
                }
                tally.add(bucket as u32, sessions[(row - block.start) as usize]);
            }
        }
        Ok(())
    }
}
