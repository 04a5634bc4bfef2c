//! The rows of a term in a segment: a run, or of a path its posting in a run of pageviews.

use std::ops::Range;

use format::sealed::{Posting, Run};
use format::{Error, Kind, Segment, SiteId};

use crate::bucket::{Buckets, Span};
use crate::error;
use crate::few::Wanted;
use crate::rows::{BLOCK_ROWS, blocks};
use crate::shared::Shared;
use crate::snapshot::Term;
use crate::tally::{File, Part, SessionIds};

/// Where buckets begin and end among the rows of a run: bucket `n` has the rows from `rows[n]` to `rows[n + 1]`.
#[derive(Debug)]
pub(crate) struct Edges {
    pub(crate) rows: Vec<u32>,
    /// Before which the rows below each edge lie, and the others not.
    times: Vec<i64>,
}

/// Rows of one run: all, or those of a posting.
#[derive(Debug)]
pub(crate) struct TermRows<'s> {
    pub(crate) segment: &'s Segment,
    pub(crate) run: Run,
    posting: Option<Posting>,
}

impl<'s> TermRows<'s> {
    /// The rows of a term: at most one run of an event's name or of all pageviews, and of a path as many as pageviews have names.
    pub(crate) fn find(segment: &'s Segment, site: SiteId, term: Term<'_>) -> Result<Vec<TermRows<'s>>, Error> {
        match term {
            Term::Event(name) => {
                let run = segment.find_run(site, Kind::Event, name)?;
                Ok(run.into_iter().map(|run| TermRows { segment, run, posting: None }).collect())
            }
            Term::Path(path) => {
                let mut found = Vec::new();
                for run in segment.runs_of(site, Kind::Pageview)? {
                    if let Some(posting) = segment.path_posting(&run, path)? {
                        found.push(TermRows { segment, run, posting: Some(posting) });
                    }
                }
                Ok(found)
            }
            Term::Pageviews => {
                let run = segment.find_run(site, Kind::Pageview, "")?;
                Ok(run.into_iter().map(|run| TermRows { segment, run, posting: None }).collect())
            }
        }
    }

    /// The rows of the run between which the rows in `span` lie.
    pub(crate) fn within(&self, span: Span) -> Result<Range<u32>, Error> {
        within(self.segment, &self.run, span)
    }

    /// Where the buckets begin and end among the rows of the run, as far as they are in `span`.
    pub(crate) fn edges(&self, buckets: &Buckets, span: Span) -> Result<Edges, Error> {
        let times: Vec<i64> = buckets.edges().iter().map(|edge| span.clamp(*edge)).collect();
        let mut rows = Vec::with_capacity(times.len());
        // What lies outside of the run is told by its directory.
        let (first, last) = self.run.times;
        let start = times.partition_point(|time| *time <= first.micros());
        let end = times.partition_point(|time| *time <= last.micros()).max(start);
        rows.resize(start, self.run.rows.start);
        self.segment.lower_bounds(self.run.rows.clone(), times[start..end].iter().copied(), &mut rows)?;
        rows.resize(times.len(), self.run.rows.end);
        Ok(Edges { rows, times })
    }

    /// Leaves, of the run's rows `rows` that `met` conditions, those that are of the term.
    pub(crate) fn leave(&self, rows: Range<u32>, met: &mut [bool]) {
        let Some(posting) = &self.posting else { return };
        let mut next = 0;
        for row in posting.rows(rows.clone()) {
            let place = (row - rows.start) as usize;
            met[next..place].fill(false);
            next = place + 1;
        }
        met[next..].fill(false);
    }

    /// Whether a row of the run is one of the term.
    fn contains(&self, row: u32) -> bool {
        self.posting.as_ref().is_none_or(|posting| posting.rank(row) < posting.rank(row + 1))
    }

    /// How many rows of the term lie below row `row` of the run, up to a number that is the same for all rows.
    pub(crate) fn rank(&self, row: u32) -> u32 {
        self.posting.as_ref().map_or(row, |posting| posting.rank(row))
    }
}

/// The rows of a run whose time is in `span`.
pub(crate) fn within(segment: &Segment, run: &Run, span: Span) -> Result<Range<u32>, Error> {
    let (first, last) = run.times;
    let bound = |time: i64| {
        if time <= first.micros() {
            Ok(run.rows.start)
        } else if time > last.micros() {
            Ok(run.rows.end)
        } else {
            segment.lower_bound(run.rows.clone(), time)
        }
    };
    let start = bound(span.from)?;
    Ok(start..bound(span.end)?.max(start))
}

/// All rows of a term between growing edges, counted by ranks and links: no row is read for it.
pub(crate) struct Ranges<'s> {
    rows: TermRows<'s>,
    edges: Edges,
    /// Of each edge, how many rows of the term are below it.
    ranks: Vec<u32>,
    /// Of each group.
    sessions: Vec<u64>,
    /// The rows that were decoded last, and their session codes. Buckets are mostly shorter than a block.
    decoded: (Range<u32>, Vec<u32>),
    /// The session codes of a group's rows.
    codes: Vec<u32>,
}

impl<'s> Ranges<'s> {
    /// Counts all groups: group `n` has the rows of bucket `n`.
    pub(crate) fn count(rows: TermRows<'s>, edges: Edges) -> Result<Ranges<'s>, Error> {
        let mut sessions = vec![0; edges.rows.len().saturating_sub(1)];
        match &rows.posting {
            None => rows.segment.distinct_sessions(&rows.run, &edges.rows, &edges.times, &mut sessions)?,
            Some(posting) => posting.distinct_sessions(rows.segment, &edges.rows, &edges.times, &mut sessions)?,
        }
        let ranks = edges.rows.iter().map(|edge| rows.rank(*edge)).collect();
        Ok(Ranges { rows, edges, ranks, sessions, decoded: (0..0, Vec::new()), codes: Vec::new() })
    }

    fn range(&self, group: usize) -> Range<u32> {
        self.edges.rows[group]..self.edges.rows[group + 1]
    }

    /// Reads the session codes of those rows of the run that are of the term.
    fn read_codes(&mut self, range: Range<u32>) -> Result<(), Error> {
        let (segment, run) = (self.rows.segment, &self.rows.run);
        let (decoded, block_codes) = &mut self.decoded;
        let codes = &mut self.codes;
        codes.clear();
        for rows in blocks(range) {
            if decoded.start > rows.start || rows.end > decoded.end {
                let first = rows.start - rows.start % BLOCK_ROWS;
                let block = first.max(run.rows.start)..first.saturating_add(BLOCK_ROWS).min(run.rows.end);
                // Until all is decoded, nothing is.
                *decoded = 0..0;
                block_codes.clear();
                segment.session_codes(block.clone(), block_codes)?;
                *decoded = block;
            }
            let code = |row: u32| block_codes[(row - decoded.start) as usize];
            match &self.rows.posting {
                None => codes.extend_from_slice(&block_codes[(rows.start - decoded.start) as usize..(rows.end - decoded.start) as usize]),
                Some(posting) => codes.extend(posting.rows(rows).map(code)),
            }
        }
        Ok(())
    }
}

/// Leaves each of `numbers` once from `at` on.
fn keep_once(numbers: &mut Vec<u32>, at: usize) {
    numbers[at..].sort_unstable();
    let mut kept = at;
    for next in at..numbers.len() {
        if next == at || numbers[next] != numbers[kept - 1] {
            numbers[kept] = numbers[next];
            kept += 1;
        }
    }
    numbers.truncate(kept);
}

impl Part for Ranges<'_> {
    fn file(&self) -> File<'_> {
        File::Segment(self.rows.segment)
    }

    fn rows(&self, group: usize) -> u64 {
        u64::from(self.ranks[group + 1] - self.ranks[group])
    }

    fn sessions(&self, group: usize) -> u64 {
        self.sessions[group]
    }

    fn add_ids(&mut self, group: usize, ids: &mut SessionIds) -> Result<(), error::Error> {
        let segment = self.rows.segment;
        self.read_codes(self.range(group)).map_err(|source| error::Error::Segment { segment: segment.header().id, source })?;
        ids.add(File::Segment(segment), &mut self.codes)
    }

    fn mark(&mut self, group: usize, wanted: &mut Wanted) -> Result<(), error::Error> {
        let (segment, range) = (self.rows.segment, self.range(group));
        let in_segment = |source| error::Error::Segment { segment: segment.header().id, source };
        if self.rows.posting.is_none() && range == self.rows.run.rows {
            let sessions = segment.run_sessions(&self.rows.run).map_err(in_segment)?;
            wanted.meet_if(|code| sessions.contains(code));
            return Ok(());
        }
        for rows in blocks(range) {
            self.read_codes(rows).map_err(in_segment)?;
            wanted.meet(&self.codes);
        }
        Ok(())
    }

    fn add_shared(&self, group: usize, shared: &Shared, numbers: &mut Vec<u32>) {
        let at = numbers.len();
        let of_term = shared.rows(self.range(group)).iter().filter(|(row, _)| self.rows.contains(*row));
        numbers.extend(of_term.map(|(_, number)| *number));
        keep_once(numbers, at);
    }
}
