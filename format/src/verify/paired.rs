//! Manifest and catalog: every pair, with its proof.

use std::path::Path;

use crate::error::Error;
use crate::findings::Place;
use crate::fs::FileSystem;
use crate::paired::{Change, FileKind, Loaded};

use super::{FileReport, Role};

/// A paired file that was read.
pub(super) struct Paired {
    pub(super) report: FileReport,
    /// The changes that are whole; none if the file cannot be read.
    pub(super) changes: Vec<Change>,
}

/// Reads the file of this kind in `dir`. None if there is none.
pub(super) fn check(fs: &dyn FileSystem, dir: &Path, kind: FileKind) -> Option<Paired> {
    let role = if kind == FileKind::Manifest { Role::Manifest } else { Role::Catalog };
    let len = fs.open(&dir.join(kind.file_name())).and_then(|file| file.len()).unwrap_or(0);
    let mut report = FileReport::new(kind.file_name().to_owned(), role, len);
    let loaded = match Loaded::read(fs, dir, kind) {
        Ok(loaded) => loaded?,
        Err(error) => {
            let part = if matches!(error, Error::Corrupt { .. }) { "header" } else { "file" };
            report.findings.unreadable(part, Place::file(), &error);
            return Some(Paired { report, changes: Vec::new() });
        }
    };
    for lost in &loaded.lost {
        report.findings.add("changes", Place::bytes(lost.from.value(), lost.end.value()), format_args!("lost: {}", lost.source));
    }
    for range in &loaded.mended {
        let place = Place::bytes(range.start.value(), range.end.value());
        report.findings.add("proofs", place, "the bytes are damaged; nothing is lost, and the next start writes them again");
    }
    if loaded.torn_bytes > 0 {
        report.notes.push(format!("a torn tail of {} bytes, never answered", loaded.torn_bytes));
    }
    if loaded.is_last_unproven {
        report.notes.push("the last change has no proof yet".to_owned());
    }
    report.count = Some(loaded.changes.len() as u64);
    Some(Paired { report, changes: loaded.changes })
}
