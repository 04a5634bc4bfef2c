//! `hitkeepd verify`: every byte of a data directory, read and compared, and nothing changed.
//!
//! The lock is held meanwhile, so that nothing changes under the eyes of whoever reads; the file of the lock is not written to.
//!
//! Parts: `progress` (on a terminal), `report` (the tables and the JSON).

mod progress;
mod report;

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use format::findings::Place;
use format::fs::ReadOnlyFs;
use format::lock::DirectoryLock;
use format::verify::{Role, Survey};

use super::args::VerifyArguments;
use super::error::Error;
use crate::app;
use crate::catalog;
use crate::config::{Config, Environment};

use progress::Progress;

/// Reads the data directory and prints what was found; whether all is right.
pub(crate) fn run(arguments: &VerifyArguments, environment: &Environment, out: &mut impl Write) -> Result<bool, Error> {
    let config = Config::load(&arguments.settings.0, environment)?;
    let path = &config.data_path;
    let _lock = DirectoryLock::acquire_to_read(path).map_err(app::Error::Directory)?;
    let mut survey = Survey::read(&ReadOnlyFs, path).map_err(app::Error::Directory)?;
    check_catalog(&mut survey);

    let tasks = std::mem::take(&mut survey.tasks);
    let total = tasks.iter().map(format::verify::Task::work_bytes).sum();
    let mut progress = Progress::new(total, io::stderr().is_terminal(), Instant::now());
    let mut reports = std::mem::take(&mut survey.reports);
    for task in tasks {
        let report = survey.check(task, &mut |segment, findings| query::verify(segment, findings), &mut |bytes| progress.advance(bytes));
        reports.push(report);
    }
    progress.clear();
    reports.sort_by(|left, right| (left.role, &left.file).cmp(&(right.role, &right.file)));
    if arguments.json {
        writeln!(out, "{}", report::json(path, &reports))?;
    } else {
        write!(out, "{}", report::tables(path, &reports))?;
    }
    Ok(reports.iter().all(|report| report.findings.is_empty()))
}

/// What the catalog's changes say is this crate's to know.
fn check_catalog(survey: &mut Survey<'_>) {
    let Some(report) = survey.reports.iter_mut().find(|report| report.role == Role::Catalog) else { return };
    for (number, change) in (1..).zip(&survey.catalog_changes) {
        if let Err(error) = catalog::kind_of_change(&change.payload) {
            let place = Place { from: Some(change.offset), ..Place::file() };
            report.findings.add("changes", place, format_args!("change {number} cannot be understood: {error}"));
        }
    }
}
