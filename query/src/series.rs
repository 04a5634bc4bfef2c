//! Totals and distinct sessions of terms, bucket by bucket.

use format::SiteId;

use crate::answer::{Answer, Files};
use crate::bucket::{Buckets, Span};
use crate::condition::Condition;
use crate::error::Error;
use crate::filter::{Filter, Selections};
use crate::posting::Posting;
use crate::rows::blocks;
use crate::snapshot::{LogView, Snapshot, Term};
use crate::tally::{CodesByGroup, File, Point, Tally};
use crate::term_rows::{Ranges, TermRows};

/// What one series counts.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    /// Whose rows.
    pub term: Term<'a>,
    /// What each row has to meet, all of it.
    pub conditions: &'a [Condition],
}

impl Snapshot {
    /// Counts the rows of `term` on `site` in each of `buckets`: occurrences and distinct sessions.
    ///
    /// Only rows in `span` that meet all of `conditions` count, so a span may cut the buckets at its ends. One point per bucket; an
    /// empty bucket has zeros, and so has every bucket of an unknown site or term. A session in two buckets counts in both.
    ///
    /// Costs the rows of the term in `span` in logs, and in segments a search per bucket; where several files have rows in a bucket,
    /// its rows. Conditions cost a look-up per row in `span`, and in logs reading its record; those of sessions one pass over all rows
    /// of the site in `span` before.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`]; without conditions no record is read.
    pub fn series(
        &self,
        site: SiteId,
        term: Term<'_>,
        span: Span,
        buckets: &Buckets,
        conditions: &[Condition],
    ) -> Result<Answer<Vec<Point>>, Error> {
        let series = self.series_of(site, &[Counted { term, conditions }], span, buckets)?;
        Ok(series.map(|mut series| series.pop().unwrap_or_default()))
    }

    /// [`Snapshot::series`] of each of `counted`, in their order, over the same files. Sessions are selected once for all that ask for
    /// the same ones.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::series`].
    pub fn series_of(
        &self,
        site: SiteId,
        counted: &[Counted<'_>],
        span: Span,
        buckets: &Buckets,
    ) -> Result<Answer<Vec<Vec<Point>>>, Error> {
        let span = span.intersect(buckets.covers());
        self.answer(|files| {
            let mut selections = Selections::new(self, files, site, span);
            let mut series = Vec::with_capacity(counted.len());
            for Counted { term, conditions } in counted {
                let filter = selections.filter(conditions)?;
                series.push(self.points(files, site, *term, span, buckets, &filter)?);
            }
            Ok(series)
        })
    }

    fn points<'i>(
        &'i self,
        files: Files<'i, '_>,
        site: SiteId,
        term: Term<'_>,
        span: Span,
        buckets: &Buckets,
        filter: &Filter<'i, '_>,
    ) -> Result<Vec<Point>, Error> {
        let mut tally = Tally::new(buckets.len());
        for log in files.logs() {
            self.go_on()?;
            let Some(posting) = log.posting(site, term) else { continue };
            add_rows_of_log(log, posting, span, buckets, filter, &mut tally)?;
        }
        self.for_each(files.segments, |segment| {
            for rows in TermRows::find(segment, site, term)? {
                let edges = rows.edges(buckets, span)?;
                if filter.is_empty() {
                    tally.add_part(Ranges::count(rows, edges)?);
                } else {
                    tally.add_part(self.selected(&rows, &edges.rows, filter)?);
                }
            }
            Ok(())
        })?;
        tally.points()
    }

    /// The rows that count; bucket `n` has the rows from `edges[n]` to `edges[n + 1]`.
    fn selected<'i>(&self, rows: &TermRows<'i>, edges: &[u32], filter: &Filter<'i, '_>) -> Result<CodesByGroup<'i>, Error> {
        let mut selected = CodesByGroup::empty(File::Segment(rows.segment), edges.len().saturating_sub(1));
        let (Some(start), Some(end)) = (edges.first(), edges.last()) else { return Ok(selected) };
        let mut filter = filter.of_run(rows.segment, &rows.run)?;
        let mut bucket = 0;
        for block in blocks(*start..*end) {
            self.go_on()?;
            let Some(read) = filter.read(block.clone(), |counts| rows.leave(block.clone(), counts))? else { continue };
            let mut from = block.start;
            while from < block.end {
                while edges[bucket + 1] <= from {
                    bucket += 1;
                }
                let to = edges[bucket + 1].min(block.end);
                let places = (from - block.start) as usize..(to - block.start) as usize;
                selected.add(bucket, &read.counts[places.clone()], &read.sessions[places]);
                from = to;
            }
        }
        Ok(selected.ended())
    }
}

fn add_rows_of_log<'i>(
    log: &'i LogView,
    posting: Posting<'_>,
    span: Span,
    buckets: &Buckets,
    filter: &Filter<'i, '_>,
    tally: &mut Tally<'i>,
) -> Result<(), Error> {
    let mut of_log = (!filter.is_empty()).then(|| filter.of_log(log));
    let mut finder = buckets.finder();
    for row in posting.rows(span) {
        let counts = of_log.as_mut().map_or(Ok(true), |filter| filter.counts(&row))?;
        if let Some(bucket) = finder.find(row.time).filter(|_| counts) {
            tally.add(bucket as u32, row.session);
        }
    }
    tally.end(File::Log(&log.index));
    Ok(())
}
