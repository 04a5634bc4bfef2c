//! The runs of all inputs as one directory, and which of their rows stay.

use format::sealed::Run;
use format::{Kind, Segment, SiteId};

use super::kept::Kept;
use super::{Inputs, of};
use crate::error::Error;
use crate::kway::{KWay, Sorted};
use crate::rows::nonsense;

/// A run of the output.
#[derive(Debug)]
pub(super) struct MergedRun {
    pub(super) site: SiteId,
    pub(super) kind: Kind,
    pub(super) name: String,
    /// Its rows by input, at most one of each, in the order of inputs; none is empty.
    pub(super) parts: Vec<Part>,
}

impl MergedRun {
    /// How many rows stay.
    pub(super) fn rows(&self) -> u32 {
        self.parts.iter().map(|part| part.kept.len()).sum()
    }
}

/// What an input has of a run.
#[derive(Debug)]
pub(super) struct Part {
    /// Which input.
    pub(super) input: usize,
    pub(super) run: Run,
    /// Those of its rows that stay.
    pub(super) kept: Kept,
}

impl Part {
    /// Whether rows are left out.
    pub(super) fn is_cut(&self) -> bool {
        !self.kept.are_all(&self.run)
    }
}

/// The runs with rows that stay, in order.
pub(super) struct MergedRuns<'a> {
    inputs: &'a Inputs<'a>,
    directories: KWay<Directory<'a>>,
    same: Vec<(usize, Run)>,
}

impl<'a> MergedRuns<'a> {
    /// Before the first one.
    pub(super) fn new(inputs: &'a Inputs<'a>) -> Result<MergedRuns<'a>, Error> {
        let directories = inputs.segments.iter().map(|segment| Directory { segment, next: 0 }).collect();
        Ok(MergedRuns { inputs, directories: KWay::new(directories)?, same: Vec::new() })
    }

    /// The next one.
    ///
    /// # Errors
    ///
    /// If a directory cannot be read; [`Error::Stopped`].
    pub(super) fn next(&mut self) -> Result<Option<MergedRun>, Error> {
        while let Some((site, kind, name)) = self.directories.next(&mut self.same)? {
            self.inputs.go_on()?;
            let mut parts = Vec::with_capacity(self.same.len());
            for (input, run) in self.same.drain(..) {
                let kept = self.inputs.kept_rows(&self.inputs.segments[input], &run)?;
                if kept.first().is_some() {
                    parts.push(Part { input, run, kept });
                }
            }
            if !parts.is_empty() {
                return Ok(Some(MergedRun { site, kind, name, parts }));
            }
        }
        Ok(None)
    }
}

/// The directory of an input.
struct Directory<'a> {
    segment: &'a Segment,
    next: u32,
}

impl Sorted for Directory<'_> {
    type Key = (SiteId, Kind, String);
    type Item = Run;

    fn next(&mut self) -> Result<Option<(Self::Key, Run)>, Error> {
        let run = of(self.segment, self.segment.run(self.next))?;
        self.next += 1;
        Ok(run.map(|mut run| ((run.site, run.kind, std::mem::take(&mut run.name)), run)))
    }

    fn out_of_order(&self) -> Error {
        Error::from(nonsense(self.segment, "directory of runs")).in_segment(self.segment)
    }
}
