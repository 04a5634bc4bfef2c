//! Merging: several segments become one, or several that lie apart in time.
//!
//! Each output is made for itself, from the rows of its times: in every run these are ranges, found by searching. No record is put together. What the output is made of is read first (`survey`: sessions and their first times, which entries rows
//! have, which property keys get columns); then shapes are cut anew where an input has other columns (`shapes`, `recut`); then
//! dictionaries and sessions are merged, which gives each input a table of new codes (`texts`, `sessions`, on `crate::kway`); then the rows of
//! each run, in order of time (`runs`, `build`, `properties`), by blocks of columns (`crate::block`). The outputs are read back at last and
//! compared with one more reading of the inputs, row by row: that does not share any of the above.
//!
//! Inputs may overlap in time and sequences in any way; no row is in two of them.
//!
//! Memory: of each input, a block of each column (about 2 MiB, and 64 KiB for each property column of a run), 4 bytes for each entry
//! of its dictionaries, each value of the property columns of one run, and each session. Of one output after the other, 24 bytes a
//! session until they are written, the texts of shapes and values that are cut anew, and what the writer takes. None of it grows with
//! rows as such.
//!
//! Invariants:
//!
//! * The segments that [`merge`] returns hold each row that stays once, in every field, and the minute of its receipt; and no text,
//!   value or session that only rows had that are not in them.
//! * The pairs of sequences and times of receipt are those that seals made, of all inputs: one is left out only if no row that stays
//!   needs it. So they tell the truth whichever segments are merged in whatever order, also if the clock went back between two logs.

mod build;
mod columns;
mod division;
mod kept;
mod properties;
mod recut;
mod runs;
mod sessions;
mod shapes;
mod survey;
mod tally;
mod texts;

use std::ops::Range;
use std::sync::Arc;

use format::sealed::{Field, Finished, Provenance, Run};
use format::{Segment, SegmentId, Sequence, SiteId, UnixMicros};

use crate::error::Error;
use crate::rows::check_mappings;
use crate::rows::nonsense;
use crate::seal::{HashedRows, Sealed, Sum, Target, compare};

pub use division::Division;
use kept::Kept;

/// How many rows or entries are written between two looks at whether to stop.
const LOOK_EVERY: u32 = 4096;

/// By field and code of an input: a mark, then the new code.
type Tables = [Vec<u32>; Field::ALL.len()];

/// Which rows of a site stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All.
    All,
    /// Those whose time is at or after this one: retention.
    Since(UnixMicros),
    /// None: the site was deleted.
    Nothing,
}

impl Keep {
    fn is_kept(self, time: UnixMicros) -> bool {
        match self {
            Keep::All => true,
            Keep::Since(cutoff) => time >= cutoff,
            Keep::Nothing => false,
        }
    }
}

/// Writes the rows of `inputs` that `keep` says as the segments `targets`, among which `division` divides them, syncs them, and compares
/// what it reads back with the inputs. `keep` says the same of a site each time it is asked. Ends soon after `is_stopped` has become true.
///
/// An output without rows is not written: it is `None`, and its id is unused. Every output says that it has the sequences from the
/// lowest of the inputs to the highest, whatever it was left. Files that were begun and not finished are removed again, as far as that
/// is possible.
///
/// # Errors
///
/// [`Error::Segment`] if an input cannot be read; [`Error::Record`] if the disk is full, or an output cannot be written or read;
/// [`Error::NotEqual`] if what was read back is not what was written; [`Error::Stopped`].
///
/// # Panics
///
/// If there are fewer targets than outputs, or 2^32 - 1 rows in an output.
pub fn merge(
    targets: &[Target<'_>],
    division: &Division,
    inputs: &[Arc<Segment>],
    keep: &dyn Fn(SiteId) -> Keep,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Vec<Option<Sealed>>, Error> {
    assert!(division.outputs() <= targets.len(), "there is a target for each output");
    let merged = write_all(targets, division, inputs, keep, is_stopped);
    if merged.is_err() {
        for target in targets {
            // What stays is a file without a trailer, which the next start removes.
            let _ = target.fs.remove(&target.dir.join(target.header.id.file_name()));
        }
    }
    merged
}

fn write_all(
    targets: &[Target<'_>],
    division: &Division,
    segments: &[Arc<Segment>],
    keep: &dyn Fn(SiteId) -> Keep,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Vec<Option<Sealed>>, Error> {
    let inputs: Vec<Inputs<'_>> =
        (0..targets.len()).map(|output| Inputs::new(segments, keep, division, output, is_stopped)).collect::<Result<_, _>>()?;
    // Each names the others, so which of them are written is known before the first is.
    let written: Vec<SegmentId> =
        targets.iter().zip(&inputs).filter(|(_, inputs)| inputs.have_rows).map(|(target, _)| target.header.id).collect();
    let mut outputs = Vec::with_capacity(targets.len());
    for (target, inputs) in targets.iter().zip(&inputs) {
        let finished = write(*target, inputs, &written)?;
        let opened = finished.map(|finished| Ok::<_, Error>((finished.open(target.fs)?, finished)));
        outputs.push(opened.transpose()?.map(|(segment, finished)| Sealed { finished, segment }));
    }
    let sums = sums(targets.len(), division, segments, keep, is_stopped)?;
    for ((output, target), expected) in outputs.iter().zip(targets).zip(&sums) {
        match output {
            Some(Sealed { segment, .. }) => compare(segment, expected, is_stopped)?,
            None if expected.rows() == 0 => {}
            None => return Err(Error::NotEqual { segment: target.header.id, expected: expected.rows(), found: 0 }),
        }
    }
    check_mappings(segments)?;
    Ok(outputs)
}

/// Writes an output, up to its trailer, unless it has no rows. `written` are those that have some.
fn write(target: Target<'_>, inputs: &Inputs<'_>, written: &[SegmentId]) -> Result<Option<Finished>, Error> {
    if !inputs.have_rows {
        return Ok(None);
    }
    let mut survey = survey::survey(inputs, target.columns)?;
    let made = shapes::plan(inputs, &mut survey)?;
    let provenance = inputs.provenance(target, written, std::mem::take(&mut survey.received));
    build::write(target, inputs, survey, &made, &provenance).map(Some)
}

/// Number and hash of the rows that stay, by output.
fn sums(
    outputs: usize,
    division: &Division,
    segments: &[Arc<Segment>],
    keep: &dyn Fn(SiteId) -> Keep,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Vec<Sum>, Error> {
    let empty = Sum::default();
    let mut sums: Vec<Sum> = (0..outputs).map(|_| empty.again()).collect();
    for segment in segments {
        let mut rows = of(segment, HashedRows::new(segment, empty.hashes()))?;
        while let Some(some) = of(segment, rows.next())? {
            if is_stopped() {
                return Err(Error::Stopped);
            }
            let keep = keep(some.run.site);
            for (time, hash) in some.times.iter().zip(some.hashes) {
                let time = of(segment, UnixMicros::new(*time).ok_or_else(|| nonsense(segment, "time")))?;
                if keep.is_kept(time) {
                    sums[division.output_of(time)].add_hash(*hash);
                }
            }
        }
    }
    Ok(sums)
}

/// An error of reading becomes one of the segment that was read.
fn of<T>(segment: &Segment, read: Result<T, format::Error>) -> Result<T, Error> {
    read.map_err(|error| Error::from(error).in_segment(segment))
}

/// What an output is made of.
struct Inputs<'a> {
    segments: &'a [Arc<Segment>],
    keep: &'a dyn Fn(SiteId) -> Keep,
    is_stopped: &'a dyn Fn() -> bool,
    /// The times of its rows, in order.
    times: Vec<Range<i64>>,
    /// By input: whether rows are left out.
    is_cut: Vec<bool>,
    /// Whether any row stays.
    have_rows: bool,
}

impl<'a> Inputs<'a> {
    fn new(
        segments: &'a [Arc<Segment>],
        keep: &'a dyn Fn(SiteId) -> Keep,
        division: &Division,
        output: usize,
        is_stopped: &'a dyn Fn() -> bool,
    ) -> Result<Inputs<'a>, Error> {
        let times = division.times_of(output).collect();
        let mut inputs = Inputs { segments, keep, is_stopped, times, is_cut: Vec::with_capacity(segments.len()), have_rows: false };
        for segment in segments {
            inputs.go_on()?;
            let (mut number, mut is_cut) = (0, false);
            while let Some(run) = of(segment, segment.run(number))? {
                let kept = inputs.kept_rows(segment, &run)?;
                is_cut |= !kept.are_all(&run);
                inputs.have_rows |= kept.first().is_some();
                number += 1;
            }
            inputs.is_cut.push(is_cut);
        }
        Ok(inputs)
    }

    /// The rows of a run that stay.
    fn kept_rows(&self, segment: &Segment, run: &Run) -> Result<Kept, Error> {
        let from = match (self.keep)(run.site) {
            Keep::All => i64::MIN,
            Keep::Since(cutoff) => cutoff.micros(),
            Keep::Nothing => i64::MAX,
        };
        Kept::find(segment, run, self.times.iter().map(|times| times.start.max(from)..times.end))
    }

    /// An error if it is to stop.
    fn go_on(&self) -> Result<(), Error> {
        if (self.is_stopped)() { Err(Error::Stopped) } else { Ok(()) }
    }

    fn provenance(&self, target: Target<'_>, written: &[SegmentId], received: Vec<(Sequence, UnixMicros)>) -> Provenance {
        let sequences = || self.segments.iter().map(|segment| segment.provenance().sequences).filter(|(first, end)| first < end);
        Provenance {
            log: None,
            segments: self.segments.iter().map(|segment| segment.header().id).collect(),
            siblings: written.iter().copied().filter(|id| *id != target.header.id).collect(),
            level: target.level,
            sequences: (
                sequences().map(|(first, _)| first).min().unwrap_or(Sequence::FIRST),
                sequences().map(|(_, end)| end).max().unwrap_or(Sequence::FIRST),
            ),
            received,
        }
    }
}
