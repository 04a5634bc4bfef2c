//! Committer, sealer and compactor together, on a data directory in memory whose power fails and which fills up.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use format::fs::FileSystem;
use format::fs::double::{Dice, Fault, FaultKind, MemFs, Op};
use format::{Level, UnixMicros};
use query::LiveSegment;

use super::*;
use crate::appender::Outcome;
use crate::config::SyncMode;
use crate::sealer::tests::{Life, duplicate, stored};

/// Settled segments of some forty rows.
const MEASURES: Compaction = Compaction { settled_rows: 40, gather: 3, slack: 2 };

const PLENTY: Space = Space { total: 1 << 40, free: 1 << 39 };

/// Events of the last hours, in some disorder; one in seven is from another century.
fn time(number: usize) -> UnixMicros {
    let (number, now) = (number as i64, crate::instant::now().micros() / 3_600_000_000 * 3_600_000_000);
    UnixMicros::new(if number % 7 == 0 { number } else { now - 7_200_000_000 + (number * 37 % 101) * 1_000_000 }).unwrap()
}

fn policy() -> Policy {
    Policy { measures: MEASURES, idle: Duration::from_millis(20), bytes_per_second: 1 << 40, space: Box::new(|| Ok(PLENTY)) }
}

fn begin(fs: &MemFs) -> Result<Life, format::Error> {
    Life::begin_compacting(fs, SyncMode::Always, time, Some(policy()))
}

/// Waits until nothing is left to be done.
async fn settled(life: &Life) {
    let begun = Instant::now();
    loop {
        let segments = life.store.segments();
        let described: Vec<LiveSegment> = segments.iter().filter_map(|segment| LiveSegment::read(segment).ok().flatten()).collect();
        let is_done = || MEASURES.next(&described, worker::near(), true).is_none();
        // Without power there is nothing to wait for.
        let Ok(files) = life.fs.list(Path::new("/data/segments")) else { return };
        if is_done() && files.len() == segments.len() || life.health.failure().is_some() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{segments:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Settled segments lie apart, and there is one of outliers.
fn check_levels(life: &Life, context: &str) {
    let segments = life.store.segments();
    let mut settled: Vec<(UnixMicros, UnixMicros)> = Vec::new();
    for segment in segments.iter().filter(|segment| segment.provenance().level == Level::Settled) {
        let runs = segment.runs().unwrap();
        settled.push((runs.iter().map(|run| run.times.0).min().unwrap(), runs.iter().map(|run| run.times.1).max().unwrap()));
    }
    settled.sort();
    assert!(settled.windows(2).all(|pair| pair[0].1 < pair[1].0), "{context}: settled segments lie apart");
    assert!(segments.iter().filter(|segment| segment.provenance().level == Level::Outliers).count() <= 1, "{context}");
}

#[tokio::test]
async fn what_is_sealed_is_settled_and_every_id_stays_known() {
    let fs = MemFs::new(1);
    let life = begin(&fs).unwrap();
    for number in 1..=150 {
        assert_eq!(life.store(number).await, stored(number as u64));
    }
    life.appender.seal().await.unwrap();
    settled(&life).await;
    check_levels(&life, "while it runs");
    assert_eq!((life.store.sealed().rows, life.store.snapshot().rows()), (150, 150));
    assert!((3..=8).contains(&life.store.sealed().segments), "{:?}", life.store.sealed());
    for number in 1..=150 {
        assert_eq!(life.store(number).await, duplicate(number as u64));
    }
    let sealed = life.store.sealed();
    life.end();
    for fs in [fs.kill(), fs.crash(&mut |_| 0)] {
        let life = begin(&fs).unwrap();
        assert_eq!((life.losses, life.store.set_aside().len(), life.store.sealed()), (0, 0, sealed));
        check_levels(&life, "after a restart");
        assert_eq!((life.store(7).await, life.store(151).await), (duplicate(7), stored(151)));
        life.end();
    }
}

/// Stores events until something fails, and lets them be settled now and then.
async fn live(fs: &MemFs, acknowledged: &mut Vec<(usize, u64)>) {
    let Ok(life) = begin(fs) else { return };
    let first = acknowledged.len() + 1;
    for number in first..first + 24 {
        match life.store(number).await {
            Outcome::Stored { sequence, .. } => acknowledged.push((number, sequence.value())),
            Outcome::Unknown | Outcome::Stopping => break,
            other => panic!("{other:?}"),
        }
        if number % 12 == 0 {
            let _ = life.appender.seal().await;
            settled(&life).await;
        }
    }
    life.end();
}

async fn judge(fs: &MemFs, acknowledged: &[(usize, u64)], context: &str) {
    let life = begin(fs).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!((life.losses, life.store.set_aside().len()), (0, 0), "{context}");
    check_levels(&life, context);
    for (number, sequence) in acknowledged {
        assert_eq!(life.store(*number).await, duplicate(*sequence), "{context}: {number}");
    }
    let rows = life.store.snapshot().rows();
    let count = acknowledged.len() as u64;
    assert!((count..=count + 1).contains(&rows), "{context}: {rows} of {count}");
    life.appender.seal().await.unwrap_or_else(|error| panic!("{context}: {error:?}"));
    settled(&life).await;
    check_levels(&life, context);
    assert_eq!((life.store.sealed().rows, life.store.snapshot().rows()), (rows, rows), "{context}: each row is in one place");
    life.end();
}

/// Merges have up to four outputs. The threads take turns as they like, so the calls of two runs differ; what holds does not.
#[tokio::test]
async fn whenever_the_power_fails_each_event_is_in_one_segment() {
    let calls = {
        let fs = MemFs::new(0);
        live(&fs, &mut Vec::new()).await;
        fs.calls(None)
    };
    assert!(calls > 300, "{calls} calls");
    for nth in (0..calls + calls / 4).step_by(5) {
        let fs = MemFs::new(nth);
        let mut acknowledged = Vec::new();
        if nth % 2 == 0 {
            live(&fs, &mut acknowledged).await;
        }
        fs.fail(Fault { op: None, nth, forever: false, kind: FaultKind::PowerCut });
        live(&fs, &mut acknowledged).await;
        let mut dice = Dice::new(nth);
        for state in [fs.crash(&mut |_| 0), fs.crash(&mut |_| 1), fs.crash(&mut |n| dice.below(n))] {
            judge(&state, &acknowledged, &format!("call {nth}")).await;
        }
    }
}

/// As above, and then the manifest is gone: the segments themselves tell which of them are live.
#[tokio::test]
async fn whenever_the_power_fails_segments_alone_tell_what_is_live() {
    let calls = {
        let fs = MemFs::new(0);
        live(&fs, &mut Vec::new()).await;
        fs.calls(None)
    };
    for nth in (0..calls).step_by(7) {
        let fs = MemFs::new(nth);
        let mut acknowledged = Vec::new();
        live(&fs, &mut acknowledged).await;
        fs.fail(Fault { op: None, nth, forever: false, kind: FaultKind::PowerCut });
        live(&fs, &mut acknowledged).await;
        for kept in [0, 1] {
            let state = fs.crash(&mut |_| kept);
            state.remove(Path::new("/data/manifest.log")).unwrap();
            let life = begin(&state).unwrap();
            let rows = life.store.snapshot().rows();
            let count = acknowledged.len() as u64;
            assert!((count..=count + 1).contains(&rows), "call {nth}: {rows} of {count}");
            for (number, sequence) in &acknowledged {
                assert_eq!(life.store(*number).await, duplicate(*sequence), "call {nth}: {number}");
            }
            life.end();
        }
    }
}

#[tokio::test]
async fn without_space_nothing_is_merged_until_there_is() {
    let free = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&free);
    let space = Box::new(move || Ok(Space { total: 1 << 40, free: told.load(Ordering::Relaxed) }));
    let fs = MemFs::new(1);
    let life = Life::begin_compacting(&fs, SyncMode::Always, time, Some(Policy { space, ..policy() })).unwrap();
    for number in 1..=60 {
        assert_eq!(life.store(number).await, stored(number as u64));
    }
    life.appender.seal().await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(life.store.segments().iter().all(|segment| segment.provenance().level == Level::Arrived));
    // There is, and a file cannot be grown all the same.
    fs.fail(Fault { op: Some(Op::Write), nth: 0, forever: true, kind: FaultKind::Full });
    free.store(1 << 40, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(life.store.segments().iter().all(|segment| segment.provenance().level == Level::Arrived));
    assert!(life.health.ready());
    fs.heal();
    settled(&life).await;
    assert_eq!((life.store.sealed().rows, life.health.failure()), (60, None));
    life.end();
}

#[tokio::test]
async fn a_segment_that_cannot_be_read_is_named_and_the_others_are_merged() {
    let fs = MemFs::new(1);
    let life = Life::begin_compacting(&fs, SyncMode::Always, time, None).unwrap();
    for number in 1..=60 {
        assert_eq!(life.store(number).await, stored(number as u64));
    }
    life.appender.seal().await.unwrap();
    let (names, rows) = (life.files("segments"), life.store.segments()[1].rows());
    life.end();
    let fs = fs.kill();
    // Of a segment, the bytes behind its header: the first dictionary.
    fs.open(&Path::new("/data/segments").join(&names[1])).unwrap().write_at(&[0xff; 32], 64).unwrap();
    let life = begin(&fs).unwrap();
    let begun = Instant::now();
    while life.store.segments().iter().filter(|segment| segment.provenance().log.is_some()).count() > 1 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(life.store.sealed().rows, 60);
    let left = life.store.segments();
    let left = left.iter().find(|segment| segment.provenance().log.is_some()).unwrap();
    assert_eq!((left.header().id.file_name(), left.rows()), (names[1].clone(), rows));
    assert!(life.store.damage()[0].to_string().starts_with(&format!("segments/{} 0-", names[1])), "{:?}", life.store.damage());
    life.end();
}
