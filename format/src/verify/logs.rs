//! One log: whole batches, damage with its byte and sequence range, and the tail, by the same reading as at a start.

use std::io;
use std::path::Path;

use crate::error::Error;
use crate::findings::Place;
use crate::fs::{FileSystem, read_exact_at};
use crate::log::recovery::{self, ClosedEnd};
use crate::log::{HEADER_LEN_BYTES, LogHeader};

use super::FileReport;

/// What the file says of itself: its header, or why it has none.
pub(super) fn own_header(fs: &dyn FileSystem, path: &Path) -> Result<LogHeader, Error> {
    let file = fs.open(path).map_err(Error::io("open", path))?;
    let mut bytes = [0; HEADER_LEN_BYTES];
    read_exact_at(&*file, &mut bytes, 0).map_err(Error::io("read", path))?;
    let corrupt = |source| Error::Corrupt { path: path.to_owned(), offset: crate::units::ByteOffset::new(0), source };
    LogHeader::decode(&bytes).map_err(corrupt)
}

/// Reads a log and adds what is found to its report.
pub(super) fn check(
    fs: &dyn FileSystem,
    path: &Path,
    header: &LogHeader,
    closed: Option<ClosedEnd>,
    report: &mut FileReport,
    progress: &mut dyn FnMut(u64),
) {
    let mut told = 0;
    let found = fs.open(path).and_then(|file| {
        recovery::recover(&*file, header, closed, &mut |row| {
            progress(row.offset.value() - told);
            told = row.offset.value();
        })
    });
    progress(report.len_bytes.saturating_sub(told));
    let found = match found {
        Ok(found) => found,
        Err(error) => return report.findings.unreadable("file", Place::file(), &cannot_read(path, error)),
    };
    report.count = Some(found.rows.into());
    for lost in &found.damage {
        let is_header = lost.end.value() == HEADER_LEN_BYTES as u64;
        let place = Place::bytes(lost.from.value(), lost.end.value());
        if is_header {
            report.findings.add("header", place, "it is not what the manifest says; no event is lost by that");
            continue;
        }
        let (first, end) = lost.sequences;
        let place = Place { sequences: Some(lost.sequences), ..place };
        let cut = if lost.end.value() > found.len_bytes { ": the file ends before" } else { "" };
        report.findings.add("batches", place, format_args!("lost, with the sequences from {first} up to and without {end}{cut}"));
    }
    if found.torn_bytes > 0 {
        report.notes.push(format!("a torn tail of {} bytes, never acknowledged", found.torn_bytes));
    }
    report.notes.push(if closed.is_some() { "closed" } else { "open" }.to_owned());
    if closed.is_none() && !found.drained {
        report.notes.push("not ended cleanly".to_owned());
    }
}

fn cannot_read(path: &Path, error: io::Error) -> Error {
    Error::io("read", path)(error)
}
