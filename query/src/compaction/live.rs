//! What compaction knows of a segment.

use format::{Level, Segment, SegmentId, UnixMicros};

use crate::error::Error;

/// How many times are looked at: enough to tell a hundredth of the rows.
const SAMPLE_ROWS: u64 = 256;

/// A live segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSegment {
    /// Which one.
    pub id: SegmentId,
    /// What it is.
    pub level: Level,
    /// How many rows it has, at least one.
    pub rows: u64,
    /// The times of its first and its last row.
    pub times: (UnixMicros, UnixMicros),
    /// Times of some of its rows, evenly spaced among them, in order: at least one.
    pub sample: Vec<UnixMicros>,
}

impl LiveSegment {
    /// Reads the directory of runs, and the times of 256 rows at most. `None` for a segment without rows.
    ///
    /// # Errors
    ///
    /// [`Error::Segment`].
    pub fn read(segment: &Segment) -> Result<Option<LiveSegment>, Error> {
        let read = || {
            let (mut number, mut ends) = (0, None);
            while let Some(run) = segment.run(number)? {
                let (first, last) = ends.unwrap_or(run.times);
                ends = Some((run.times.0.min(first), run.times.1.max(last)));
                number += 1;
            }
            let Some(times) = ends else { return Ok(None) };
            let rows = u64::from(segment.rows());
            let (count, mut sample) = (rows.min(SAMPLE_ROWS), Vec::new());
            for place in 0..count {
                // In the middle of as many rows as each stands for. Fewer than 2^32, since `place` is below `count`.
                let row = ((2 * place + 1) * rows / (2 * count)) as u32;
                segment.times(row..row + 1, &mut sample)?;
            }
            sample.sort_unstable();
            let sample = sample.into_iter().filter_map(UnixMicros::new).collect();
            Ok(Some(LiveSegment { id: segment.header().id, level: segment.provenance().level, rows, times, sample }))
        };
        read().map_err(|error: format::Error| Error::from(error).in_segment(segment))
    }
}
