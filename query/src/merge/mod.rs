//! Merging: several segments become one.
//!
//! No record is put together. What the output is made of is read first (`survey`: sessions and their first times, which entries rows
//! have, which property keys get columns); then shapes are cut anew where an input has other columns (`shapes`, `recut`); then
//! dictionaries and sessions are merged, which gives each input a table of new codes (`texts`, `sessions`, on `kway`); then the rows of
//! each run, in order of time (`runs`, `build`, `properties`), by blocks of columns (`crate::block`). The output is read back at last and
//! compared with the inputs, record by record: that does not share any of the above.
//!
//! Inputs may overlap in time and sequences in any way; no row is in two of them.
//!
//! Memory: of each input, a block of each column (about 2 MiB, and 64 KiB for each property column of a run), 4 bytes for each entry
//! of its dictionaries, each value of the property columns of one run, and each session. Of the output, 24 bytes a session until
//! they are written, the texts of shapes and values that are cut anew, and what the writer takes. None of it grows with rows as such.
//!
//! Invariants:
//!
//! * A segment that [`merge`] returns holds each row that stays once, in every field, and the minute of its receipt; and no text, value
//!   or session that only rows had that were left out.
//! * The pairs of sequences and times of receipt are those that seals made, of all inputs: one is left out only if no row that stays
//!   needs it. So they tell the truth whichever segments are merged in whatever order, also if the clock went back between two logs.

mod build;
mod columns;
mod kway;
mod properties;
mod recut;
mod runs;
mod sessions;
mod shapes;
mod survey;
mod tally;
mod texts;

use std::sync::Arc;

use format::sealed::{Field, Provenance};
use format::{Record, Segment, Sequence, SiteId, UnixMicros};

use crate::error::Error;
use crate::seal::{Sealed, Sum, Target, compare};

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

/// Writes the rows of `inputs` that `keep` says as one segment, syncs it, and compares what it reads back with the inputs. `keep` says
/// the same of a site each time it is asked. Ends soon after `is_stopped` has become true.
///
/// The output may be without rows. It says that it has the sequences from the lowest of its inputs to the highest, whatever was left
/// out. A file that was begun and not finished is removed again, as far as that is possible.
///
/// # Errors
///
/// [`Error::Segment`] if an input cannot be read; [`Error::Record`] if the disk is full, or the output cannot be written or read;
/// [`Error::NotEqual`] if what was read back is not what was written; [`Error::Stopped`].
///
/// # Panics
///
/// If there are 2^32 - 1 rows that stay.
pub fn merge(
    target: Target<'_>,
    inputs: &[Arc<Segment>],
    keep: &dyn Fn(SiteId) -> Keep,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Sealed, Error> {
    let inputs = Inputs::new(inputs, keep, is_stopped)?;
    let mut survey = survey::survey(&inputs, target.columns)?;
    let made = shapes::plan(&inputs, &mut survey)?;
    let provenance = inputs.provenance(std::mem::take(&mut survey.received));
    let merged = build::write(target, &inputs, survey, &made, &provenance).and_then(|finished| {
        drop(made);
        let segment = finished.open(target.fs)?;
        compare(&segment, &inputs.sum()?, is_stopped)?;
        inputs.check_mappings()?;
        Ok(Sealed { finished, segment })
    });
    if merged.is_err() {
        // What stays is a file without a trailer, which the next start removes.
        let _ = target.fs.remove(&target.dir.join(target.header.id.file_name()));
    }
    merged
}

/// An error of reading becomes one of the segment that was read.
fn of<T>(segment: &Segment, read: Result<T, format::Error>) -> Result<T, Error> {
    read.map_err(|error| Error::from(error).in_segment(segment))
}

/// What is merged.
struct Inputs<'a> {
    segments: &'a [Arc<Segment>],
    keep: &'a dyn Fn(SiteId) -> Keep,
    is_stopped: &'a dyn Fn() -> bool,
    /// By input: whether rows are left out.
    is_cut: Vec<bool>,
}

impl<'a> Inputs<'a> {
    fn new(segments: &'a [Arc<Segment>], keep: &'a dyn Fn(SiteId) -> Keep, is_stopped: &'a dyn Fn() -> bool) -> Result<Inputs<'a>, Error> {
        let mut inputs = Inputs { segments, keep, is_stopped, is_cut: Vec::with_capacity(segments.len()) };
        for segment in segments {
            inputs.go_on()?;
            let is_cut = inputs.is_cut(segment)?;
            inputs.is_cut.push(is_cut);
        }
        Ok(inputs)
    }

    fn is_cut(&self, segment: &Segment) -> Result<bool, Error> {
        let mut number = 0;
        while let Some(run) = of(segment, segment.run(number))? {
            if runs::kept_rows(segment, &run, (self.keep)(run.site))? != run.rows {
                return Ok(true);
            }
            number += 1;
        }
        Ok(false)
    }

    /// An error if it is to stop.
    fn go_on(&self) -> Result<(), Error> {
        if (self.is_stopped)() { Err(Error::Stopped) } else { Ok(()) }
    }

    fn provenance(&self, received: Vec<(Sequence, UnixMicros)>) -> Provenance {
        let sequences = || self.segments.iter().map(|segment| segment.provenance().sequences).filter(|(first, end)| first < end);
        Provenance {
            log: None,
            segments: self.segments.iter().map(|segment| segment.header().id).collect(),
            sequences: (
                sequences().map(|(first, _)| first).min().unwrap_or(Sequence::FIRST),
                sequences().map(|(_, end)| end).max().unwrap_or(Sequence::FIRST),
            ),
            received,
        }
    }

    /// Number and hash of the rows that stay, by their records.
    fn sum(&self) -> Result<Sum, Error> {
        let mut sum = Sum::default();
        let is_kept = |record: &Record<'_>| (self.keep)(record.site).is_kept(record.time);
        for segment in self.segments {
            sum.add_rows(segment, is_kept, self.is_stopped).map_err(|error| error.in_segment(segment))?;
        }
        Ok(sum)
    }

    /// An error if an input's mapping lost a page: what was read there since is worth nothing, and would be the same when compared.
    fn check_mappings(&self) -> Result<(), Error> {
        match self.segments.iter().find(|segment| segment.is_poisoned()) {
            None => Ok(()),
            Some(segment) => {
                let lost = std::io::Error::other("a page of its mapping cannot be read");
                Err(Error::from(format::Error::Io { operation: "read", path: segment.path().to_owned(), source: lost }).in_segment(segment))
            }
        }
    }
}
