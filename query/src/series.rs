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
    /// its rows, unless it is known which sessions they share ([`Snapshot::with_shared`]). Conditions cost a look-up per row in `span`, and in logs reading its record; those of sessions one pass over all rows
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
        let mut tally = Tally::new(buckets.len(), self.shared());
        for log in files.logs() {
            self.go_on()?;
            let Some(posting) = log.posting(site, term) else { continue };
            each_row_of_log(log, posting, span, buckets, filter, |bucket, session| tally.add(bucket as u32, session))?;
            tally.end(File::Log(&log.index));
        }
        self.for_each(files.segments, |segment| {
            for rows in TermRows::find(segment, site, term)? {
                let edges = rows.edges(buckets, span)?;
                if filter.is_empty() {
                    tally.add_part(Ranges::count(rows, edges)?);
                } else {
                    let mut selected = CodesByGroup::empty(File::Segment(segment), buckets.len());
                    self.each_selected(&rows, &edges.rows, filter, |bucket, counts, codes| selected.add(bucket, counts, codes))?;
                    tally.add_part(selected.ended());
                }
            }
            Ok(())
        })?;
        tally.points()
    }

    /// Counts the rows of `term` as [`Snapshot::series`] does, and no sessions: in segments no row is read but for conditions, whichever files
    /// have rows in a bucket.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::series`].
    pub fn totals(
        &self,
        site: SiteId,
        term: Term<'_>,
        span: Span,
        buckets: &Buckets,
        conditions: &[Condition],
    ) -> Result<Answer<Vec<u64>>, Error> {
        let span = span.intersect(buckets.covers());
        self.answer(|files| {
            let filter = Selections::new(self, files, site, span).filter(conditions)?;
            let mut totals = vec![0; buckets.len()];
            for log in files.logs() {
                self.go_on()?;
                let Some(posting) = log.posting(site, term) else { continue };
                each_row_of_log(log, posting, span, buckets, &filter, |bucket, _| totals[bucket] += 1)?;
            }
            self.for_each(files.segments, |segment| {
                for rows in TermRows::find(segment, site, term)? {
                    let edges = rows.edges(buckets, span)?;
                    if filter.is_empty() {
                        let ranks: Vec<u32> = edges.rows.iter().map(|row| rows.rank(*row)).collect();
                        totals.iter_mut().zip(ranks.windows(2)).for_each(|(total, ends)| *total += u64::from(ends[1] - ends[0]));
                    } else {
                        let count = |counts: &[bool]| counts.iter().map(|counts| u64::from(*counts)).sum::<u64>();
                        self.each_selected(&rows, &edges.rows, &filter, |bucket, counts, _| totals[bucket] += count(counts))?;
                    }
                }
                Ok(())
            })?;
            Ok(totals)
        })
    }

    /// Reads rows by buckets, growing: calls `take` with a bucket, which of some of its rows count, and the session codes of these rows.
    /// Bucket `n` has the rows from `edges[n]` to `edges[n + 1]`.
    fn each_selected(
        &self,
        rows: &TermRows<'_>,
        edges: &[u32],
        filter: &Filter<'_, '_>,
        mut take: impl FnMut(usize, &[bool], &[u32]),
    ) -> Result<(), Error> {
        let (Some(start), Some(end)) = (edges.first(), edges.last()) else { return Ok(()) };
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
                take(bucket, &read.counts[places.clone()], &read.sessions[places]);
                from = to;
            }
        }
        Ok(())
    }
}

/// Calls `take` with the bucket and the session code of each row that counts.
fn each_row_of_log<'i>(
    log: &'i LogView,
    posting: Posting<'_>,
    span: Span,
    buckets: &Buckets,
    filter: &Filter<'i, '_>,
    mut take: impl FnMut(usize, u32),
) -> Result<(), Error> {
    let mut of_log = (!filter.is_empty()).then(|| filter.of_log(log));
    let mut finder = buckets.finder();
    for row in posting.rows(span) {
        let counts = of_log.as_mut().map_or(Ok(true), |filter| filter.counts(&row))?;
        if let Some(bucket) = finder.find(row.time).filter(|_| counts) {
            take(bucket, row.session);
        }
    }
    Ok(())
}
