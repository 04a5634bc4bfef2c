//! Committer, sealer and compactor together, on a data directory in memory whose power fails and which fills up.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Instant;

use format::fs::FileSystem;
use format::fs::double::{Dice, Fault, FaultKind, MemFs, Op};
use format::{Kind, Level, Record, Source, UnixMicros};
use query::{LiveSegment, Missing};

use super::*;
use crate::appender::{Exchange, Outcome, Submission};
use crate::config::SyncMode;
use crate::sealer::tests::{Acknowledged, Life, SITE, cut_power, duplicate, stored};

/// Settled segments of some forty rows.
const MEASURES: Compaction = Compaction { settled_rows: 40, gather: 3, slack: 2 };

const PLENTY: Space = Space { total: 1 << 40, free: 1 << 39 };

/// Events of the last hours, in some disorder; one in seven is from another century.
fn time(number: usize) -> UnixMicros {
    let (number, now) = (number as i64, crate::instant::now().micros() / 3_600_000_000 * 3_600_000_000);
    UnixMicros::new(if number % 7 == 0 { number } else { now - 7_200_000_000 + (number * 37 % 101) * 1_000_000 }).unwrap()
}

fn policy() -> Policy {
    Policy {
        measures: MEASURES,
        idle: Duration::from_millis(20),
        bytes_per_second: 1 << 40,
        rules: Box::new(|_| Rules::default()),
        last_commit: crate::instant::now(),
        space: Box::new(|| Ok(PLENTY)),
    }
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

#[tokio::test]
async fn what_settled_segments_share_is_found_when_there_is_nothing_to_merge() {
    let fs = MemFs::new(1);
    let life = begin(&fs).unwrap();
    let mut settled_before = 0;
    for numbers in [1..=80, 81..=160] {
        for number in numbers {
            life.store(number).await;
        }
        life.appender.seal().await.unwrap();
        settled(&life).await;
        let begun = Instant::now();
        let is_settled = |segment: &Arc<format::Segment>| segment.provenance().level == Level::Settled;
        let settled = || life.store.segments().into_iter().filter(is_settled).collect::<Vec<_>>();
        while !life.store.shared().is_of(&settled()) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", life.store.shared());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(settled().len() > settled_before, "{:?}", life.store.segments());
        settled_before = settled().len();
    }
    life.end();
}

/// Stores events until something fails, and lets them be settled now and then.
async fn live(fs: &MemFs, acknowledged: &mut Acknowledged) {
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

/// Merges have up to four outputs.
#[tokio::test]
async fn whenever_the_power_fails_each_event_is_in_one_segment() {
    cut_power(5, 300, live, judge).await;
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
            let files = ["/data/logs", "/data/segments"].map(|folder| state.list(Path::new(folder)));
            let life = begin(&state).unwrap();
            let rows = life.store.snapshot().rows();
            let count = acknowledged.len() as u64;
            assert!(
                (count..=count + 1).contains(&rows),
                "call {nth}: {rows} of {count}; there was {files:?}, live is {:?}",
                life.store.segments()
            );
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

/// From some moment on no file can be opened for want of a descriptor, of one kind of call after the other.
#[tokio::test]
async fn without_descriptors_nothing_ends_and_later_everything_is_done() {
    for (op, nth) in [Op::Create, Op::Open, Op::List].into_iter().flat_map(|op| (0..8).map(move |nth| (op, 2 * nth))) {
        let (fs, context) = (MemFs::new(nth), format!("{op:?} {nth}"));
        let life = begin(&fs).unwrap();
        fs.fail(Fault { op: Some(op), nth, forever: true, kind: FaultKind::Descriptors });
        for number in 1..=40 {
            // One that is refused is told again until time is up.
            let _ = tokio::time::timeout(Duration::from_millis(5), life.store(number)).await;
        }
        // A log that was closed before waits for a descriptor, and whoever asks with it.
        let _ = tokio::time::timeout(Duration::from_millis(20), life.appender.seal()).await;
        assert!(life.health.ready(), "{context}");
        fs.heal();
        for number in 1..=40 {
            let outcome = life.store(number).await;
            assert!(matches!(outcome, Outcome::Stored { .. } | Outcome::Duplicate { .. }), "{context}: {outcome:?}");
        }
        life.appender.seal().await.unwrap_or_else(|error| panic!("{context}: {error:?}"));
        settled(&life).await;
        assert_eq!((life.store.sealed().rows, life.store.damage().len(), life.health.failure()), (40, 0, None), "{context}");
        life.end();
    }
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

/// A cutoff that a test moves, of the site of all events; and a life with segments of four events each, ten minutes apart, from ten hours
/// ago on, that nothing merges.
struct Expiring {
    life: Life,
    cutoff: Arc<AtomicI64>,
    is_removed: Arc<AtomicBool>,
}

fn ten_minutes_apart(number: usize) -> UnixMicros {
    let hour = crate::instant::now().micros() / 3_600_000_000;
    UnixMicros::new((hour - 10) * 3_600_000_000 + number as i64 * 600_000_000).unwrap()
}

impl Expiring {
    async fn begin(last_commit: UnixMicros) -> Expiring {
        let measures = Compaction { settled_rows: 1 << 40, gather: 100, slack: 2 };
        Expiring::begin_with(Policy { measures, idle: Duration::from_secs(3_600), last_commit, ..policy() }).await
    }

    async fn begin_with(policy: Policy) -> Expiring {
        let (cutoff, is_removed) = (Arc::new(AtomicI64::new(0)), Arc::<AtomicBool>::default());
        let (told, told_removed) = (Arc::clone(&cutoff), Arc::clone(&is_removed));
        let rules = Box::new(move |_| {
            let removed = if told_removed.load(Ordering::Relaxed) { &[SITE][..] } else { &[] };
            Rules::with(&[(SITE, UnixMicros::new(told.load(Ordering::Relaxed)).unwrap())], removed)
        });
        let policy = Policy { rules, ..policy };
        let life = Life::begin_compacting(&MemFs::new(1), SyncMode::Always, ten_minutes_apart, Some(policy)).unwrap();
        for number in 0..12 {
            assert_eq!(life.store(number).await, stored(number as u64 + 1));
            if number % 4 == 3 {
                life.appender.seal().await.unwrap();
            }
        }
        assert_eq!(life.segment_rows(), [4, 4, 4]);
        Expiring { life, cutoff, is_removed }
    }

    /// Has the site keep what is not older than event `number`, and waits until its segments have as many rows as `rows`.
    async fn expire(&self, number: usize, rows: &[u32]) {
        self.cutoff.store(ten_minutes_apart(number).micros(), Ordering::Relaxed);
        self.wait(rows).await;
    }

    async fn wait(&self, rows: &[u32]) {
        let begun = Instant::now();
        self.life.store.arrivals().ring();
        while self.life.segment_rows() != rows {
            assert!(begun.elapsed() < Duration::from_secs(20), "{:?} and not {rows:?}", self.life.segment_rows());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Nothing else is done.
        self.life.store.arrivals().ring();
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(self.life.segment_rows(), rows);
    }
}

#[tokio::test]
async fn segments_are_dropped_when_all_has_expired_and_written_anew_when_a_quarter_has() {
    let expiring = Expiring::begin(crate::instant::now()).await;
    expiring.expire(0, &[4, 4, 4]).await;
    expiring.expire(4, &[4, 4]).await;
    expiring.expire(5, &[4, 3]).await;
    // Those of an id that has expired are taken again.
    assert_eq!((expiring.life.store(3).await, expiring.life.store(5).await), (stored(13), duplicate(6)));
    expiring.expire(12, &[]).await;
    assert_eq!((expiring.life.files("segments").len(), expiring.life.store.snapshot().rows()), (0, 1));
    expiring.life.end();
}

/// What was verified when it was written is verified again before it is written anew.
#[tokio::test]
async fn what_was_changed_since_it_was_read_is_not_merged() {
    let expiring = Expiring::begin(crate::instant::now()).await;
    let life = &expiring.life;
    let path = Path::new("/data/segments").join(&life.files("segments")[0]);
    let file = life.fs.open(&path).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    format::fs::read_exact_at(&*file, &mut bytes, 0).unwrap();
    let value = bytes.windows(3).position(|bytes| bytes == b"pro").unwrap();
    file.write_at(b"prn", value as u64).unwrap();
    // A quarter of its rows.
    expiring.cutoff.store(ten_minutes_apart(1).micros(), Ordering::Relaxed);
    let begun = Instant::now();
    while life.store.damage().is_empty() {
        life.store.arrivals().ring();
        assert!(begun.elapsed() < Duration::from_secs(20) && life.segment_rows() == [4, 4, 4]);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(life.fs.open(&path).is_ok(), "it is kept");
    expiring.life.end();
}

#[tokio::test]
async fn a_disk_without_room_for_merges_gets_back_what_has_expired() {
    let space = Box::new(|| Ok(Space { total: 1 << 40, free: 1 << 20 }));
    let expiring = Expiring::begin_with(Policy { space, ..policy() }).await;
    expiring.expire(5, &[4, 3]).await;
    assert!(expiring.life.store.segments().iter().all(|segment| segment.provenance().level == Level::Arrived), "nothing else is merged");
    expiring.life.end();
}

/// The same with events that fill the disk: they stop where a segment can still be written anew, and are taken again when that is done.
#[tokio::test]
async fn a_disk_full_of_events_gives_back_what_has_expired_and_takes_events_again() {
    let fs = MemFs::new(1);
    fs.resize(3 << 20);
    let (cutoff, below) = (Arc::new(AtomicI64::new(0)), fs.clone());
    let told = Arc::clone(&cutoff);
    let rules = Box::new(move |_| Rules::with(&[(SITE, UnixMicros::new(told.load(Ordering::Relaxed)).unwrap())], &[]));
    let measures = Compaction { settled_rows: 2_000, ..MEASURES };
    let policy = Policy { rules, measures, space: Box::new(move || below.space(Path::new("/data/segments"))), ..policy() };
    let life = Life::begin_compacting(&fs, SyncMode::Always, time, Some(policy)).unwrap();
    let mut batches = 0;
    let fill = async |batches: &mut usize| {
        loop {
            let mut batch = Submission::new();
            for number in *batches * 60..(*batches + 1) * 60 {
                let (time, properties) = (time(number), format!("{{\"plan\":\"{:x}\"}}", Dice::new(number as u64).below(u64::MAX)));
                let record = Record::new(Kind::Event, Source::Server, SITE, time, time);
                batch.push(&Record { name: "signup", properties: &properties, ..record }).unwrap();
            }
            match life.appender.submit(batch).unwrap().await[0] {
                Outcome::Stored { .. } => *batches += 1,
                Outcome::Behind => tokio::time::sleep(Duration::from_millis(1)).await,
                Outcome::DiskFull => return *batches,
                other => panic!("{other:?}"),
            }
        }
    };
    loop {
        let before = fill(&mut batches).await;
        life.appender.seal().await.unwrap();
        let files = || (life.files("logs").len(), life.files("segments"));
        let mut seen = (0, Vec::new());
        // As long as something is merged.
        while files() != std::mem::replace(&mut seen, files()) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if fill(&mut batches).await == before {
            break;
        }
    }
    let count = batches;
    assert_eq!((life.store.snapshot().rows(), life.health.ready()), (count as u64 * 60, true));
    cutoff.store(time(1).micros(), Ordering::Relaxed);
    let begun = Instant::now();
    while fill(&mut batches).await == count {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?} after {count} batches", fs.space(Path::new("/")));
        life.store.arrivals().ring();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(life.store.snapshot().rows() < batches as u64 * 60 && life.health.failure().is_none());
    life.end();
}

#[tokio::test]
async fn under_a_clock_that_is_days_ahead_nothing_expires_and_removed_sites_go() {
    let expiring = Expiring::begin(crate::instant::later(crate::instant::now(), -49 * 3_600_000_000)).await;
    expiring.expire(12, &[4, 4, 4]).await;
    expiring.is_removed.store(true, Ordering::Relaxed);
    expiring.wait(&[]).await;
    expiring.life.end();
}

#[tokio::test]
async fn a_segment_that_questions_lack_is_named_until_others_have_taken_its_place() {
    let life = Life::begin_compacting(&MemFs::new(1), SyncMode::Always, time, None).unwrap();
    assert_eq!(life.store(1).await, stored(1));
    life.appender.seal().await.unwrap();
    let segment = life.store.segments().remove(0);
    let missing = || vec![Missing::new(Arc::clone(&segment), None)];
    assert!(life.store.lose(missing()) && life.store.lose(missing()));
    assert_eq!(life.store.damage().len(), 1);
    let exchange = Exchange { segments: vec![segment.header().id], ..Exchange::default() };
    life.appender.exchange(&Arc::new(exchange)).unwrap().unwrap();
    assert_eq!(life.store.damage().len(), 0);
    assert!(!life.store.lose(missing()), "an answer that lacks it is out of date");
    assert_eq!(life.store.damage().len(), 0);
    life.end();
}
