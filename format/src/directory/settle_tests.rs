//! What is taken up beside a damaged manifest, when it was made by calls that failed.

#![allow(clippy::unwrap_used)]

use super::samples::{OPTIONS, create_log, manifest_path, open_on, path_of, provenance, sample, segment_header, write_segment};
use super::*;
use crate::fs::double::{Dice, Fault, FaultKind, MemFs, Op};
use crate::log::{LogFile, LogHeader};
use crate::sealed::Segment;

/// A bit of the directory's own change is flipped.
fn damage_manifest(fs: &MemFs) {
    let mut manifest = fs.live(&manifest_path()).unwrap();
    manifest[70] ^= 1;
    fs.install(&manifest_path(), &manifest);
}

/// The page cache shows a trailer that a failed sync never brought to the disk, and no later sync does.
#[test]
fn a_segment_that_is_taken_up_is_durable_whatever_became_of_its_commit() {
    let (fs, (logs, _)) = sample();
    let log = logs.iter().find(|log| log.closed.is_some()).unwrap().header.id;
    let finished = write_segment(&fs, &segment_header(9), &provenance(Some(log), log.value() * 100)).unwrap();
    fs.fail(Fault { op: Some(Op::SyncData), nth: 0, forever: false, kind: FaultKind::Io });
    finished.commit().unwrap_err();
    fs.heal();
    let fs = fs.kill();
    damage_manifest(&fs);
    let is_live = |opened: &Opened| opened.manifest.segments().any(|segment| segment.id() == SegmentId::new(9));
    assert!(is_live(&open_on(&fs).unwrap()));
    let fs = fs.crash(&mut |_| 0);
    assert!(is_live(&open_on(&fs).unwrap()));
    Segment::open(&fs, &path_of(&SegmentId::new(9).file_name())).unwrap();
}

/// Makes the second log of a directory while a call fails, ends, damages the manifest, and gives what may be there then.
fn failed_creations() -> impl Iterator<Item = (String, MemFs)> {
    let kinds = [FaultKind::Io, FaultKind::Short, FaultKind::PowerCut];
    let faults = (0..8).flat_map(move |nth| kinds.map(|kind| (nth, kind))).flat_map(|fault| (0..8).map(move |seed| (fault, seed)));
    faults.map(|((nth, kind), seed)| {
        let fs = MemFs::new(seed);
        let mut opened = open_on(&fs).unwrap();
        create_log(&mut opened, 100).unwrap();
        fs.fail(Fault { op: None, nth, forever: false, kind });
        let _ = create_log(&mut opened, 200);
        let mut dice = Dice::new(seed);
        let fs = if kind == FaultKind::PowerCut { fs.crash(&mut |n| dice.below(n)) } else { fs.kill() };
        damage_manifest(&fs);
        (format!("call {nth} {kind:?}, seed {seed}"), fs)
    })
}

/// Every log that is named is there, and no crash is taken for damage.
fn check_logs(fs: &MemFs, opened: &Opened, context: &str) -> Vec<LogHeader> {
    assert!(opened.damage.iter().all(|lost| lost.file == "manifest.log"), "{context}: {:?}", opened.damage);
    let read = |log: &LiveLog| {
        let file = LogFile::open(fs, &opened.directory.logs_path(), log.header.clone(), OPTIONS).unwrap();
        let found = file.recover(None, &mut |_| {}).unwrap();
        assert_eq!(found.damage, [], "{context}");
        log.header.clone()
    };
    opened.manifest.logs().map(read).collect()
}

/// Neither its header, nor its length, nor its name need be on the disk.
#[test]
fn a_log_that_is_taken_up_is_durable_whatever_became_of_its_creation() {
    let mut seen = 0;
    for (context, fs) in failed_creations() {
        let opened = open_on(&fs).unwrap();
        let logs = check_logs(&fs, &opened, &context);
        let durable = fs.crash(&mut |_| 0);
        let again = check_logs(&durable, &open_on(&durable).unwrap(), &context);
        assert_eq!(again, logs, "{context}");
        seen += usize::from(logs.len() == 2);
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn a_start_that_takes_up_a_log_can_be_cut_at_any_call() {
    let kinds = [FaultKind::PowerCut, FaultKind::Io, FaultKind::Full];
    for (at, (of, damaged)) in failed_creations().enumerate().filter(|(at, _)| at % 8 == 0) {
        let undisturbed = damaged.kill();
        open_on(&undisturbed).unwrap();
        let calls = undisturbed.calls(None) - damaged.calls(None);
        for (nth, kind) in (0..calls).flat_map(|nth| kinds.map(|kind| (nth, kind))) {
            let fs = damaged.kill();
            fs.fail(Fault { op: None, nth, forever: false, kind });
            let _ = open_on(&fs);
            let mut dice = Dice::new(at as u64 + nth);
            let cuts = [("killed", fs.kill()), ("all dropped", fs.crash(&mut |_| 0)), ("some dropped", fs.crash(&mut |n| dice.below(n)))];
            for (cut, fs) in cuts {
                let context = format!("{of}, start cut at call {nth} {kind:?}, {cut}");
                let opened = open_on(&fs).unwrap();
                let logs = check_logs(&fs, &opened, &context);
                let left = opened.lost_and_found.iter().filter(|name| name.ends_with(".tmp")).count();
                assert!(left == 0 || cut != "killed", "{context}: a second start goes on with what the first has begun");
                let durable = fs.crash(&mut |_| 0);
                assert_eq!(check_logs(&durable, &open_on(&durable).unwrap(), &context), logs, "{context}");
            }
        }
    }
}
