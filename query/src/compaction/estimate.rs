//! How many rows are where, as far as samples tell.

use format::UnixMicros;

use super::LiveSegment;

/// Rows of a segment with times in `[from, end)`; at least one if one of the sample is.
pub(super) fn rows_between(segment: &LiveSegment, from: i64, end: i64) -> u64 {
    let before = |time: i64| segment.sample.partition_point(|sampled| sampled.micros() < time) as u64;
    (before(end).saturating_sub(before(from)) * segment.rows).div_ceil(segment.sample.len().max(1) as u64)
}

/// Where to cut `[from, end)` so that the rows `segments` have there lie in at most `pieces` pieces, all but the last of `piece_rows`.
/// Growing, behind `from`. Rows of one instant stay together.
pub(super) fn cuts(segments: &[&LiveSegment], from: i64, end: i64, pieces: u64, piece_rows: u64) -> Vec<UnixMicros> {
    let mut times: Vec<(UnixMicros, f64)> = Vec::new();
    for segment in segments {
        let weight = segment.rows as f64 / segment.sample.len().max(1) as f64;
        times.extend(segment.sample.iter().filter(|time| (from..end).contains(&time.micros())).map(|time| (*time, weight)));
    }
    times.sort_unstable_by_key(|(time, _)| *time);
    let (mut cuts, mut rows, mut before): (Vec<UnixMicros>, _, _) = (Vec::new(), 0.0, None);
    for (time, weight) in times {
        let is_new = before.is_some_and(|before| before < time);
        if rows + weight > piece_rows as f64 && is_new && cuts.len() as u64 + 1 < pieces {
            cuts.push(time);
            rows = 0.0;
        }
        rows += weight;
        before = Some(time);
    }
    cuts
}
