//! Writing a manifest anew that has become long.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::directory::{DataDirectory, Opened};
use crate::fs::double::{Fault, FaultKind, MemFs};
use crate::log::recovery::ClosedEnd;
use crate::sealed::{Level, SegmentHeader};
use crate::units::{ByteOffset, Sequence, UnixMicros};

const DIR: &str = "/data";

fn open_on(fs: &MemFs) -> Opened {
    DataDirectory::open_on(Arc::new(fs.clone()), Path::new(DIR)).unwrap()
}

/// Creates, closes and seals a log, and drops its segment unless it is a tenth one.
fn turn(manifest: &mut Manifest) -> Result<(), Error> {
    let (log, segment) = (manifest.next_log(), manifest.next_segment());
    let header = LogHeader {
        id: log,
        salt: [1; 16],
        epoch: [2; 16],
        base_sequence: Sequence::new(log.value()),
        created: UnixMicros::EPOCH,
        durable_len: 512,
        answers_before_sync: false,
    };
    manifest.log_created(&header)?;
    let end = ClosedEnd { end: ByteOffset::new(512), sequence_end: Sequence::new(log.value() + 1) };
    manifest.log_closed(log, Closed { end, is_damaged: false })?;
    let header = SegmentHeader { id: segment, salt: [3; 16], epoch: [2; 16], created: UnixMicros::EPOCH };
    let sequences = (Sequence::new(log.value()), end.sequence_end);
    let added = vec![LiveSegment {
        header,
        log: Some(log),
        segments: Vec::new(),
        siblings: Vec::new(),
        level: Level::Arrived,
        sequences,
        rows: 1,
        len_bytes: 999,
    }];
    manifest.replace(&Replacement { logs: vec![log], added, ..Replacement::default() })?;
    if segment.value() % 10 != 0 {
        manifest.replace(&Replacement { segments: vec![segment], ..Replacement::default() })?;
    }
    Ok(())
}

/// A directory whose manifest is just too long.
fn grown() -> (MemFs, Opened) {
    let fs = MemFs::new(1);
    let mut opened = open_on(&fs);
    while opened.manifest.file.len_bytes() < TIDY_BYTES {
        assert!(!opened.manifest.tidy(&fs, Path::new(DIR)).unwrap(), "it is short");
        turn(&mut opened.manifest).unwrap();
    }
    (fs, opened)
}

type Live = (Identity, Vec<LiveSegment>, LogId, SegmentId);

fn live(manifest: &Manifest) -> Live {
    (manifest.identity().clone(), manifest.segments().cloned().collect(), manifest.next_log(), manifest.next_segment())
}

#[test]
fn a_long_manifest_becomes_short_and_says_the_same() {
    let (fs, mut opened) = grown();
    let before = live(&opened.manifest);
    assert!(before.1.len() > 5, "{} segments", before.1.len());
    assert!(opened.manifest.tidy(&fs, Path::new(DIR)).unwrap());
    assert!(opened.manifest.file.len_bytes() * TIDY_FACTOR < TIDY_BYTES);
    assert!(!opened.manifest.tidy(&fs, Path::new(DIR)).unwrap(), "once is enough");
    assert_eq!(live(&opened.manifest), before);
    turn(&mut opened.manifest).unwrap();
    let after = live(&opened.manifest);
    assert_eq!(live(&open_on(&fs.crash(&mut |_| 0)).manifest), after, "what came after it is in the new file");
}

#[test]
fn a_manifest_that_is_long_for_a_reason_stays() {
    let (fs, mut opened) = grown();
    let mut segment = opened.manifest.segments().next().unwrap().clone();
    segment.log = None;
    // With every segment live the shortest form is nearly as long.
    for _ in 0..200 {
        segment.header.id = opened.manifest.next_segment();
        opened.manifest.replace(&Replacement { added: vec![segment.clone()], ..Replacement::default() }).unwrap();
    }
    assert!(!opened.manifest.tidy(&fs, Path::new(DIR)).unwrap());
}

#[test]
fn whatever_fails_while_it_is_written_anew_nothing_is_forgotten() {
    let (fs, opened) = grown();
    let before = live(&opened.manifest);
    let calls = {
        let fs = fs.kill();
        let mut opened = open_on(&fs);
        let first = fs.calls(None);
        // A start writes it anew as well: grow it again.
        while opened.manifest.file.len_bytes() < TIDY_BYTES {
            turn(&mut opened.manifest).unwrap();
        }
        let long = fs.calls(None);
        assert!(long > first && opened.manifest.tidy(&fs, Path::new(DIR)).unwrap());
        fs.calls(None) - long
    };
    assert!(calls > 4, "{calls} calls");
    for (nth, kind) in (0..calls).flat_map(|nth| [FaultKind::PowerCut, FaultKind::Io, FaultKind::Full].map(|kind| (nth, kind))) {
        let (fs, mut opened) = grown();
        fs.fail(Fault { op: None, nth, forever: false, kind });
        let outcome = opened.manifest.tidy(&fs, Path::new(DIR));
        let identities = (opened.manifest.next_log(), opened.manifest.next_segment());
        assert_eq!(identities, (before.2, before.3), "call {nth} {kind:?}");
        for state in [fs.crash(&mut |_| 0), fs.crash(&mut |_| 1), fs.kill()] {
            let found = live(&open_on(&state).manifest);
            assert_eq!((&found.1, found.2, found.3), (&before.1, before.2, before.3), "call {nth} {kind:?}, {outcome:?}");
        }
        if matches!(outcome, Err(Error::Full { .. })) {
            fs.heal();
            turn(&mut opened.manifest).unwrap();
            assert_eq!(live(&open_on(&fs.kill()).manifest), live(&opened.manifest), "the old file goes on");
        }
    }
}
