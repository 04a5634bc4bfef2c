//! What is older than a site keeps: how much retention would remove, and how much of a segment compaction would leave out.

use format::{Kind, Segment, SiteId, UnixMicros};

use crate::answer::Answer;
use crate::bucket::Span;
use crate::error::Error;
use crate::merge::Keep;
use crate::posting::Posting;
use crate::snapshot::Snapshot;
use crate::term_rows::within;

const KINDS: [Kind; 3] = [Kind::Event, Kind::Pageview, Kind::Vital];

/// Rows, and the times they lie between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aged {
    /// How many.
    pub rows: u64,
    /// The times of the first and the last of them.
    pub times: Option<(UnixMicros, UnixMicros)>,
}

impl Aged {
    fn add(&mut self, rows: u64, first: UnixMicros, last: UnixMicros) {
        let (from, to) = self.times.unwrap_or((first, last));
        *self = Aged { rows: self.rows + rows, times: Some((from.min(first), to.max(last))) };
    }
}

impl Snapshot {
    /// The rows of `site`, of all kinds, whose time is before `cutoff`.
    ///
    /// Costs in segments a search per run of the site, in logs the rows of the site that are so old.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn before(&self, site: SiteId, cutoff: UnixMicros) -> Result<Answer<Aged>, Error> {
        let span = Span::until(UnixMicros::MIN, cutoff);
        self.answer(|files| {
            let mut aged = Aged::default();
            for log in files.logs() {
                for posting in log.postings(site) {
                    self.go_on()?;
                    add_posting(&mut aged, posting, span);
                }
            }
            self.for_each(files.segments, |segment| {
                for kind in KINDS {
                    for run in segment.runs_of(site, kind)? {
                        let rows = within(segment, &run, span)?;
                        if !rows.is_empty() {
                            aged.add(rows.len() as u64, run.times.0, time_of(segment, rows.end - 1)?);
                        }
                    }
                }
                Ok(())
            })?;
            Ok(aged)
        })
    }
}

fn add_posting(aged: &mut Aged, posting: Posting<'_>, span: Span) {
    for row in posting.rows(span) {
        if let Some(time) = UnixMicros::new(row.time) {
            aged.add(1, time, time);
        }
    }
}

/// The rows of a segment that a merge would leave out. Costs two searches for each run of a site of which not all is kept.
///
/// # Errors
///
/// [`Error::Segment`].
pub fn left_out(segment: &Segment, keep: &dyn Fn(SiteId) -> Keep) -> Result<Aged, Error> {
    let read = || {
        let (mut aged, mut number) = (Aged::default(), 0);
        while let Some(run) = segment.run(number)? {
            number += 1;
            let rows = match keep(run.site) {
                Keep::All => continue,
                Keep::Nothing => run.rows.clone(),
                Keep::Since(cutoff) => within(segment, &run, Span::until(UnixMicros::MIN, cutoff))?,
            };
            if !rows.is_empty() {
                aged.add(rows.len() as u64, run.times.0, time_of(segment, rows.end - 1)?);
            }
        }
        Ok(aged)
    };
    read().map_err(|error: format::Error| Error::from(error).in_segment(segment))
}

/// The time of one row.
fn time_of(segment: &Segment, row: u32) -> Result<UnixMicros, format::Error> {
    let mut times = Vec::with_capacity(1);
    segment.times(row..row + 1, &mut times)?;
    Ok(times.first().and_then(|time| UnixMicros::new(*time)).unwrap_or(UnixMicros::MIN))
}
