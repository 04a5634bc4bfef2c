//! A data directory on the double: what a crash leaves is nothing wrong, what damage leaves is.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use super::{FileReport, Role, Survey};
use crate::directory::samples::add_merged;
use crate::directory::{DataDirectory, Opened};
use crate::error::Error;
use crate::fs::FileSystem;
use crate::fs::double::MemFs;
use crate::log::{LogHeader, LogOptions, LogWriter};
use crate::manifest::Replacement;
use crate::record::{Kind, Record, Source};
use crate::units::{LogId, SegmentId, Sequence, SiteId, UnixMicros};

const DIR: &str = "/data";
const OPTIONS: LogOptions = LogOptions { capacity_bytes: 1 << 20, step_bytes: 4096 };

/// A directory with one log of three batches, and its log's path.
fn directory() -> (MemFs, std::path::PathBuf) {
    let fs = MemFs::new(1);
    fs.create_dir(Path::new(DIR)).unwrap();
    let Opened { mut manifest, mut catalog, directory, .. } = DataDirectory::open_on(Arc::new(fs.clone()), Path::new(DIR)).unwrap();
    catalog.append(b"{}").unwrap();
    let header = LogHeader {
        id: manifest.next_log(),
        salt: [1; 16],
        epoch: manifest.identity().epoch,
        base_sequence: Sequence::FIRST,
        created: UnixMicros::EPOCH,
        durable_len: 0,
        answers_before_sync: false,
    };
    let mut log = LogWriter::create(&fs, &directory.logs_path(), header, OPTIONS).unwrap();
    manifest.log_created(log.header()).unwrap();
    for _ in 0..3 {
        let mut payload = Vec::new();
        Record::new(Kind::Event, Source::Server, SiteId::new([1; 16]), UnixMicros::EPOCH, UnixMicros::EPOCH).encode(&mut payload).unwrap();
        log.push(&payload);
        log.append(UnixMicros::EPOCH).unwrap();
        log.sync().unwrap();
    }
    log.prove(UnixMicros::EPOCH, false).unwrap();
    let path = directory.logs_path().join(LogId::FIRST.file_name());
    drop(log);
    (fs.kill(), path)
}

fn reports(fs: &MemFs) -> Vec<FileReport> {
    let mut survey = Survey::read(fs, Path::new(DIR)).unwrap();
    let mut reports = std::mem::take(&mut survey.reports);
    for task in std::mem::take(&mut survey.tasks) {
        let (work, mut done) = (task.work_bytes(), 0);
        let report = survey.check(task, &mut |_, _| {}, &mut |bytes| done += bytes);
        assert_eq!(done, work, "{}", report.file);
        reports.push(report);
    }
    reports
}

/// The files of which something is wrong, and of what.
fn wrong(fs: &MemFs) -> Vec<(String, String)> {
    let problems = |report: FileReport| {
        let parts: Vec<String> = report.findings.problems().iter().map(|problem| problem.part.clone()).collect();
        parts.into_iter().map(move |part| (report.file.clone(), part))
    };
    reports(fs).into_iter().flat_map(problems).collect()
}

fn is_wrong(fs: &MemFs, file: &str, part: &str) {
    assert_eq!(wrong(fs), [(file.to_owned(), part.to_owned())]);
}

const LOG: &str = "logs/0000000000000001.log";

#[test]
fn nothing_is_wrong_after_a_crash() {
    let (fs, path) = directory();
    assert_eq!(wrong(&fs), []);
    let log = reports(&fs).into_iter().find(|report| report.role == Role::Log).unwrap();
    assert_eq!((log.count, log.file.as_str()), (Some(3), LOG));
    // A torn tail, a log that is not named yet, and a file that was being written.
    let mut bytes = fs.live(&path).unwrap();
    bytes[2000] = 7;
    fs.install(&path, &bytes);
    fs.install(&Path::new(DIR).join("logs/0000000000000002.log"), b"hkee");
    fs.install(&Path::new(DIR).join("catalog.log.tmp"), b"");
    assert_eq!(wrong(&fs), []);
    assert!(reports(&fs).iter().any(|report| report.notes.iter().any(|note| note.contains("torn tail"))));
    assert_eq!(reports(&fs).iter().filter(|report| report.role == Role::Unfinished).count(), 2);
}

#[test]
fn damage_is_named_with_its_file_and_range() {
    let (fs, path) = directory();
    let whole = fs.live(&path).unwrap();
    for (at, part) in [(20, "header"), (140, "batches")] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs.install(&path, &bytes);
        is_wrong(&fs, LOG, part);
        let place = reports(&fs).into_iter().find(|report| report.role == Role::Log).unwrap().findings.problems()[0].place.clone();
        assert!((place.from.unwrap().value()..place.end.unwrap().value()).contains(&(at as u64)));
    }
    fs.install(&path, &whole[..300]);
    is_wrong(&fs, LOG, "batches");
    fs.remove(&path).unwrap();
    is_wrong(&fs, LOG, "file");
}

#[test]
fn every_flipped_bit_of_a_change_is_reported() {
    let (fs, _) = directory();
    for name in ["manifest.log", "catalog.log"] {
        let path = Path::new(DIR).join(name);
        let whole = fs.live(&path).unwrap();
        // Behind the last pair, a bit is a torn tail.
        let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for at in 0..end {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs.install(&path, &bytes);
            let wrong = wrong(&fs);
            let is_last_proof = at >= end - 64;
            assert!(is_last_proof || wrong.iter().any(|(file, _)| file == name), "byte {at} of {name}: {wrong:?}");
        }
        fs.install(&path, &whole);
    }
}

#[test]
fn files_that_nothing_names_are_told() {
    let (fs, path) = directory();
    let stray = Path::new(DIR).join("logs/notes.txt");
    fs.install(&stray, b"");
    is_wrong(&fs, "logs/notes.txt", "file");
    fs.remove(&stray).unwrap();
    let copy = Path::new(DIR).join("logs/0000000000000000.log");
    fs.install(&copy, &fs.live(&path).unwrap());
    is_wrong(&fs, "logs/0000000000000000.log", "header");
    fs.remove(&copy).unwrap();
    fs.create_dir(&Path::new(DIR).join("lost+found")).unwrap();
    fs.install(&Path::new(DIR).join("lost+found/old.log"), b"?");
    is_wrong(&fs, "lost+found/old.log", "file");
}

/// A segment that no manifest names: begun and not finished, or there for no reason.
#[test]
fn a_segment_that_was_not_finished_is_nothing_wrong_and_one_from_elsewhere_is() {
    let (fs, _) = directory();
    let mut opened = DataDirectory::open_on(Arc::new(fs.clone()), Path::new(DIR)).unwrap();
    opened.manifest.replace(&Replacement { added: vec![add_merged(&fs, 15, &[])], ..Replacement::default() }).unwrap();
    drop(opened);
    let path = |id: u64| Path::new(DIR).join("segments").join(SegmentId::new(id).file_name());
    // Others that were begun before may be finished first.
    fs.install(&path(14), b"hkeepseg");
    fs.install(&path(18), b"hkeepseg");
    assert_eq!(wrong(&fs), []);
    let path = path(18);
    fs.install(&path, include_bytes!("../../testdata/tiny.seg"));
    is_wrong(&fs, "segments/0000000000000012.seg", "file");
    assert!(reports(&fs).iter().any(|report| report.count == Some(3) && report.role == Role::Segment), "it is read all the same");
}

#[test]
fn what_is_missing_is_told_and_what_is_no_data_directory_is_refused() {
    for name in ["manifest.log", "catalog.log"] {
        let (fs, _) = directory();
        fs.remove(&Path::new(DIR).join(name)).unwrap();
        is_wrong(&fs, name, "file");
    }
    let fs = MemFs::new(1);
    fs.create_dir(Path::new(DIR)).unwrap();
    assert!(matches!(Survey::read(&fs, Path::new(DIR)), Err(Error::NoDataDirectory { .. })));
}
