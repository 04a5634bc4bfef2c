//! Which rows of a term count: conditions, prepared for the files of one question.
//!
//! Properties are asked row by row, sessions against a [`Selection`] that is found once for all goals of a question that want the same.

use std::ops::Range;
use std::rc::Rc;

use format::sealed::Run;
use format::{Segment, SiteId};

use crate::answer::Files;
use crate::bucket::Span;
use crate::by_value::ByValue;
use crate::condition::{self, Condition, Expected};
use crate::dimension::Wanted;
use crate::error::Error;
use crate::posting::Row;
use crate::selection::{Selected, Selection};
use crate::snapshot::{LogView, RecordReader, Snapshot};
use crate::tally::File;

/// What a question asks, as far as selections depend on it, and the selections that were found.
pub(crate) struct Selections<'i, 'c> {
    snapshot: &'i Snapshot,
    files: Files<'i, 'c>,
    site: SiteId,
    span: Span,
    found: Vec<(Vec<Wanted<'c>>, Rc<Selection<'i>>)>,
}

impl<'i, 'c> Selections<'i, 'c> {
    pub(crate) fn new(snapshot: &'i Snapshot, files: Files<'i, 'c>, site: SiteId, span: Span) -> Selections<'i, 'c> {
        Selections { snapshot, files, site, span, found: Vec::new() }
    }

    /// The filter of these conditions.
    ///
    /// # Errors
    ///
    /// As [`Selection::find`].
    pub(crate) fn filter(&mut self, conditions: &'c [Condition]) -> Result<Filter<'i, 'c>, Error> {
        let (properties, wanted) = condition::sort(conditions);
        let selection = if wanted.is_empty() { None } else { Some(self.selection(wanted)?) };
        Ok(Filter { snapshot: self.snapshot, properties, selection })
    }

    fn selection(&mut self, wanted: Vec<Wanted<'c>>) -> Result<Rc<Selection<'i>>, Error> {
        if let Some((_, known)) = self.found.iter().find(|(of, _)| *of == wanted) {
            return Ok(Rc::clone(known));
        }
        let selection = Rc::new(Selection::find(self.snapshot, self.files, self.site, self.span, &wanted)?);
        self.found.push((wanted, Rc::clone(&selection)));
        Ok(selection)
    }
}

/// Conditions on the rows of one question.
pub(crate) struct Filter<'i, 'c> {
    snapshot: &'i Snapshot,
    properties: Vec<Expected<'c>>,
    selection: Option<Rc<Selection<'i>>>,
}

impl<'i, 'c> Filter<'i, 'c> {
    /// Whether every row counts.
    pub(crate) fn is_empty(&self) -> bool {
        self.properties.is_empty() && self.selection.is_none()
    }

    /// For the rows of a log.
    pub(crate) fn of_log(&self, log: &'i LogView) -> LogFilter<'_> {
        let sessions = self.selection.as_ref().map(|selection| selection.of(File::Log(&log.index)));
        LogFilter { properties: &self.properties, sessions, records: RecordReader::new(self.snapshot, log) }
    }

    /// For the rows of a run of a segment.
    ///
    /// # Errors
    ///
    /// If the segment cannot be read.
    pub(crate) fn of_run(&self, segment: &'i Segment, run: &Run) -> Result<RunFilter<'_>, format::Error> {
        let reader = |expected: &Expected<'c>| ByValue::new(segment, run, expected.key);
        Ok(RunFilter {
            segment,
            expected: &self.properties,
            properties: self.properties.iter().map(reader).collect::<Result<_, format::Error>>()?,
            selected: self.selection.as_ref().map(|selection| selection.of(File::Segment(segment))),
            all_met: Vec::new(),
            met: Vec::new(),
            sessions: Vec::new(),
        })
    }
}

/// Conditions on the rows of a log.
pub(crate) struct LogFilter<'q> {
    properties: &'q [Expected<'q>],
    sessions: Option<Selected<'q>>,
    records: RecordReader<'q>,
}

impl LogFilter<'_> {
    /// Whether a row counts. Its record is read only for its properties.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`], [`Error::Log`], [`Error::BadProperties`], [`Error::Segment`].
    pub(crate) fn counts(&mut self, row: &Row) -> Result<bool, Error> {
        if let Some(sessions) = &mut self.sessions
            && !sessions.has(row.ordinal, row.session)?
        {
            return Ok(false);
        }
        if self.properties.is_empty() {
            return Ok(true);
        }
        self.records.read(row.ordinal, |record| condition::all_met(self.properties, record))
    }
}

/// Conditions on the rows of a run of a segment.
pub(crate) struct RunFilter<'q> {
    segment: &'q Segment,
    expected: &'q [Expected<'q>],
    properties: Vec<ByValue<'q, bool>>,
    selected: Option<Selected<'q>>,
    all_met: Vec<bool>,
    met: Vec<bool>,
    sessions: Vec<u32>,
}

/// Rows of a run that were read, by their place among those asked for.
pub(crate) struct Read<'f> {
    /// Whether the row counts.
    pub(crate) counts: &'f [bool],
    /// Its session code.
    pub(crate) sessions: &'f [u32],
}

impl RunFilter<'_> {
    /// Reads rows of the run; none of them counts if `leave` takes all out, which is given all of them, or conditions do.
    ///
    /// # Errors
    ///
    /// As [`ByValue::read`], and [`Error::Segment`].
    pub(crate) fn read(&mut self, rows: Range<u32>, leave: impl FnOnce(&mut [bool])) -> Result<Option<Read<'_>>, Error> {
        self.all_met.clear();
        self.all_met.resize(rows.len(), true);
        leave(&mut self.all_met);
        for (by_value, expected) in self.properties.iter_mut().zip(self.expected) {
            if !self.all_met.contains(&true) {
                break;
            }
            self.met.clear();
            by_value.read(rows.clone(), &mut |text| text == Some(expected.text), &mut self.met)?;
            for (all, met) in self.all_met.iter_mut().zip(&self.met) {
                *all &= met;
            }
        }
        if !self.all_met.contains(&true) {
            return Ok(None);
        }
        self.sessions.clear();
        self.segment.session_codes(rows.clone(), &mut self.sessions)?;
        if let Some(selected) = &mut self.selected {
            selected.leave(rows, &self.sessions, &mut self.all_met)?;
        }
        Ok(Some(Read { counts: &self.all_met, sessions: &self.sessions }))
    }
}
