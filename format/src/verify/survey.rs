//! Which files there are: what the manifest names, and what stands in the folders.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::directory::strays::is_unfinished;
use crate::directory::{LOGS, LOST_AND_FOUND, SEGMENTS};
use crate::error::Error;
use crate::findings::{Findings, Place};
use crate::fs::FileSystem;
use crate::log::LogHeader;
use crate::log::recovery::ClosedEnd;
use crate::manifest::LiveSegment;
use crate::manifest::contents::Contents;
use crate::paired::{Change, FileKind};
use crate::sealed::{self, Provenance, Segment};
use crate::units::{LogId, SegmentId};

use super::{FileReport, Role, logs, paired};

/// What is to be said of a file that nothing explains.
const NAMELESS: &str = "the manifest does not name it: the next start moves it to lost+found/";

/// What else belongs at the top of a data directory, and is not read here.
const OTHERS: [&str; 2] = ["lock", "admin.token"];

/// What a data directory holds.
pub struct Survey<'f> {
    fs: &'f dyn FileSystem,
    path: PathBuf,
    /// Files that have been read, or of which there is nothing to read.
    pub reports: Vec<FileReport>,
    /// Logs and segments, to be given to [`Survey::check`].
    pub tasks: Vec<Task>,
    /// The changes of the catalog, whose payload this crate does not know.
    pub catalog_changes: Vec<Change>,
}

/// A log or a segment that is to be read.
#[derive(Debug)]
pub struct Task {
    report: FileReport,
    what: What,
}

#[derive(Debug)]
enum What {
    Log(LogHeader, Option<ClosedEnd>),
    /// With what the manifest says of it.
    Segment(Option<LiveSegment>),
}

impl Task {
    /// Bytes that reading it takes: of a segment, whose columns are read after its blocks, twice its length.
    pub fn work_bytes(&self) -> u64 {
        match self.what {
            What::Log(..) => self.report.len_bytes,
            What::Segment(_) => self.report.len_bytes * 2,
        }
    }
}

impl<'f> Survey<'f> {
    /// Lists a data directory and reads its manifest and its catalog.
    ///
    /// # Errors
    ///
    /// [`Error::NoDataDirectory`] if there is nothing of ours at `path`; [`Error::Io`] if a folder cannot be listed.
    pub fn read(fs: &'f dyn FileSystem, path: &Path) -> Result<Survey<'f>, Error> {
        let top = fs.list(path).map_err(Error::io("list", path))?;
        let folders = [LOGS, SEGMENTS, LOST_AND_FOUND];
        let ours = [FileKind::Manifest.file_name(), FileKind::Catalog.file_name(), LOGS, SEGMENTS];
        if !top.iter().any(|name| ours.contains(&name.as_str())) {
            return Err(Error::NoDataDirectory { path: path.to_owned() });
        }
        let mut survey = Survey { fs, path: path.to_owned(), reports: Vec::new(), tasks: Vec::new(), catalog_changes: Vec::new() };
        let log_names = survey.list(LOGS)?;
        let segment_names = survey.list(SEGMENTS)?;
        let is_in_use = !log_names.is_empty() || !segment_names.is_empty();
        let catalog = paired::check(fs, path, FileKind::Catalog);
        let manifest = paired::check(fs, path, FileKind::Manifest);
        let has_changes = catalog.as_ref().is_some_and(|catalog| !catalog.changes.is_empty());
        let (is_catalog_missing, is_manifest_missing) = (catalog.is_none() && (manifest.is_some() || is_in_use), manifest.is_none());
        let contents = match manifest {
            Some(manifest) => survey.take_manifest(manifest),
            None if has_changes || is_in_use => {
                survey.missing(FileKind::Manifest, Role::Manifest);
                None
            }
            None => None,
        };
        if is_catalog_missing {
            survey.missing(FileKind::Catalog, Role::Catalog);
        }
        if let Some(catalog) = catalog {
            survey.reports.push(catalog.report);
            survey.catalog_changes = catalog.changes;
        }
        let is_damaged = is_manifest_missing || survey.reports.iter().any(|report| report.role == Role::Manifest && is_damaged(report));
        let contents = contents.unwrap_or_default();
        survey.find_logs(&log_names, &contents, is_damaged);
        survey.find_segments(&segment_names, &contents, is_damaged);
        survey.find_lost(&contents)?;
        for name in top {
            let is_known = folders.contains(&name.as_str()) || ours.contains(&name.as_str()) || OTHERS.contains(&name.as_str());
            if !is_known {
                let role = if name.ends_with(".tmp") { Role::Unfinished } else { Role::Unknown };
                let report = survey.report(name, role);
                survey.reports.push(report);
            }
        }
        Ok(survey)
    }

    /// Reads a log or a segment wholly. `of_segment` is called with each segment that can be opened, to look at what this crate does not
    /// know; `progress` with the bytes that were done since the call before, [`Task::work_bytes`] in all unless it cannot be read.
    pub fn check(&self, task: Task, of_segment: &mut dyn FnMut(&Arc<Segment>, &mut Findings), progress: &mut dyn FnMut(u64)) -> FileReport {
        let Task { mut report, what } = task;
        let path = self.path.join(&report.file);
        match what {
            What::Log(header, closed) => logs::check(self.fs, &path, &header, closed, &mut report, progress),
            What::Segment(named) => {
                if let Some(segment) = sealed::verify(self.fs, &path, &mut report.findings, progress) {
                    report.count = Some(segment.rows().into());
                    let told = LiveSegment::new(segment.header(), segment.provenance(), segment.rows(), segment.len_bytes());
                    if named.is_some_and(|named| named != told) {
                        report.findings.add("header and footer", Place::file(), "they are not what the manifest says");
                    }
                    of_segment(&segment, &mut report.findings);
                }
            }
        }
        report
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let path = self.path.join(folder);
        match self.fs.list(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            // Where a disk is mounted at the data directory, the system may have made one for itself.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && folder == LOST_AND_FOUND => Ok(Vec::new()),
            result => result.map_err(Error::io("list", &path)),
        }
    }

    fn report(&self, file: String, role: Role) -> FileReport {
        let len = self.fs.open(&self.path.join(&file)).and_then(|file| file.len()).unwrap_or(0);
        FileReport::new(file, role, len)
    }

    fn missing(&mut self, kind: FileKind, role: Role) {
        let mut report = FileReport::new(kind.file_name().to_owned(), role, 0);
        report.findings.add("file", Place::file(), "it is missing from a data directory that is in use");
        self.reports.push(report);
    }

    /// Takes over what a manifest says, as far as it can be understood.
    fn take_manifest(&mut self, manifest: paired::Paired) -> Option<Contents> {
        let paired::Paired { mut report, changes } = manifest;
        let contents = Contents::fold(&changes);
        if let Err((offset, source)) = &contents {
            report.findings.add("changes", Place { from: Some(*offset), ..Place::file() }, source);
        }
        self.reports.push(report);
        contents.ok()
    }

    /// Logs that are named, and files that stand where logs do.
    fn find_logs(&mut self, names: &[String], contents: &Contents, is_damaged: bool) {
        let mut seen = BTreeSet::new();
        for log in contents.logs.values() {
            let name = log.header.id.file_name();
            let mut report = self.report(format!("{LOGS}/{name}"), Role::Log);
            if names.contains(&name) {
                let closed = log.closed.map(|closed| closed.end);
                self.tasks.push(Task { report, what: What::Log(log.header.clone(), closed) });
            } else {
                let end = log.closed.map_or(log.header.base_sequence, |closed| closed.end.sequence_end);
                let place = Place { sequences: Some((log.header.base_sequence, end)), ..Place::file() };
                report.findings.add("file", place, "the manifest names it, and it is missing");
                self.reports.push(report);
            }
            seen.insert(name);
        }
        for name in names.iter().filter(|name| !seen.contains(*name)) {
            self.find_stray(name, contents, is_damaged);
        }
    }

    /// A file among the logs that the manifest does not name.
    fn find_stray(&mut self, name: &str, contents: &Contents, is_damaged: bool) {
        let id = LogId::from_file_name(name);
        let role = match id {
            Some(_) => Role::Log,
            None if name.ends_with(".tmp") => Role::Unfinished,
            None => Role::Unknown,
        };
        let mut report = self.report(format!("{LOGS}/{name}"), role);
        let Some(id) = id else {
            if role == Role::Unknown {
                report.findings.add("file", Place::file(), NAMELESS);
            }
            return self.reports.push(report);
        };
        if !is_damaged && (contents.gone_logs.contains(&id) || contents.replaced_by(id).is_some()) {
            report.role = Role::Unfinished;
            report.notes.push("its events are in segments".to_owned());
            return self.reports.push(report);
        }
        match logs::own_header(self.fs, &self.path.join(&report.file)) {
            Ok(header) if header.id == id => {
                if is_damaged {
                    report.notes.push("named by its own header".to_owned());
                } else if id < contents.next_log() {
                    report.findings.add("file", Place::file(), NAMELESS);
                } else {
                    report.notes.push("not named yet".to_owned());
                }
                self.tasks.push(Task { report, what: What::Log(header, None) });
            }
            // A start that was killed may have left one.
            _ if !is_damaged && id >= contents.next_log() => {
                report.role = Role::Unfinished;
                self.reports.push(report);
            }
            Ok(header) => {
                report.findings.add("header", Place::file(), format_args!("it is log {}", header.id));
                self.reports.push(report);
            }
            Err(error) => {
                report.findings.unreadable("header", Place::file(), &error);
                self.reports.push(report);
            }
        }
    }

    /// Segments that are named, and files that stand where segments do.
    fn find_segments(&mut self, names: &[String], contents: &Contents, is_damaged: bool) {
        for segment in contents.segments.values() {
            let name = segment.id().file_name();
            let mut report = self.report(format!("{SEGMENTS}/{name}"), Role::Segment);
            if names.contains(&name) {
                self.tasks.push(Task { report, what: What::Segment(Some(segment.clone())) });
            } else {
                let place = Place { sequences: Some(segment.sequences), ..Place::file() };
                report.findings.add("file", place, "the manifest names it, and it is missing");
                self.reports.push(report);
            }
        }
        for name in names {
            let id = SegmentId::from_file_name(name);
            let role = match id {
                Some(id) if contents.segments.contains_key(&id) => continue,
                Some(_) => Role::Segment,
                None if name.ends_with(".tmp") => Role::Unfinished,
                None => Role::Unknown,
            };
            let mut report = self.report(format!("{SEGMENTS}/{name}"), role);
            if role == Role::Unknown {
                report.findings.add("file", Place::file(), NAMELESS);
            }
            let Some(id) = id else {
                self.reports.push(report);
                continue;
            };
            if is_damaged {
                report.notes.push("named by its own footer".to_owned());
            } else if self.is_unfinished(id, &self.path.join(&report.file), contents) {
                report.role = Role::Unfinished;
                self.reports.push(report);
                continue;
            } else {
                report.findings.add("file", Place::file(), NAMELESS);
            }
            self.tasks.push(Task { report, what: What::Segment(None) });
        }
    }

    /// Whether a segment that an undamaged manifest does not name was replaced, or not finished, or never acknowledged.
    fn is_unfinished(&self, id: SegmentId, path: &Path, contents: &Contents) -> bool {
        if contents.gone_segments.contains(&id) {
            return true;
        }
        match Segment::open(self.fs, path) {
            Ok(segment) => {
                let Provenance { log, segments, .. } = segment.provenance();
                let has_sources = log.is_some() || !segments.is_empty();
                has_sources
                    && log.is_none_or(|log| contents.logs.contains_key(&log))
                    && segments.iter().all(|segment| contents.segments.contains_key(segment))
            }
            // As a start says it.
            Err(Error::Corrupt { source, .. }) => is_unfinished(&source),
            Err(_) => false,
        }
    }

    /// What earlier starts have set aside; of logs that were sealed the manifest knows what was lost.
    fn find_lost(&mut self, contents: &Contents) -> Result<(), Error> {
        for name in self.list(LOST_AND_FOUND)? {
            let mut report = self.report(format!("{LOST_AND_FOUND}/{name}"), Role::LostAndFound);
            let lost = contents.lost.iter().filter(|(id, _)| name.starts_with(&id.file_name())).flat_map(|(_, lost)| lost);
            for lost in lost {
                let place = Place::bytes(lost.from.value(), lost.end.value());
                report.findings.add("batches", Place { sequences: Some(lost.sequences), ..place }, "lost when the log was sealed");
            }
            if report.findings.is_empty() {
                report.findings.add("file", Place::file(), "an earlier start set it aside: what is in it is not counted");
            }
            self.reports.push(report);
        }
        Ok(())
    }
}

/// Whether a start would make the manifest anew.
fn is_damaged(manifest: &FileReport) -> bool {
    manifest.findings.problems().iter().any(|problem| problem.part != "proofs")
}
