//! The committer on a file system in memory that forgets what was not synced, fills up, and fails.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use format::fs::FileSystem;
use format::fs::double::{Fault, FaultKind, MemFs, Op};
use format::log::recovery::recover;
use format::{Kind, LogHeader, LogId, LogOptions, LogWriter, Record, SegmentId, Sequence, SiteId, Source, UnixMicros};
use query::ActiveWriter;

use super::submission::Busy;
use super::*;
use crate::config::SyncMode;
use crate::question::Pool;
use crate::sealer::{self, Place, SegmentIds};
use crate::space::has_room_for_events;
use crate::store::Files;

const SITE: SiteId = SiteId::new([1; 16]);
const DIR: &str = "/logs";
const SEGMENTS: &str = "/segments";

/// Small steps, so that growth is met within a few batches.
const OPTIONS: LogOptions = LogOptions { capacity_bytes: 1 << 26, step_bytes: 4096 };

/// Of a log that never gets old.
fn header(id: LogId, base_sequence: Sequence) -> LogHeader {
    LogHeader { id, salt: [7; 16], epoch: [9; 16], base_sequence, created: UnixMicros::MAX, durable_len: 0, answers_before_sync: false }
}

fn record(id: Option<&'static str>) -> Record<'static> {
    let mut record = Record::new(Kind::Event, Source::Server, SITE, UnixMicros::EPOCH, UnixMicros::EPOCH);
    record.name = "signup";
    record.event_id = id;
    record
}

fn one(id: Option<&'static str>) -> Submission {
    Submission::of(&record(id)).unwrap()
}

/// One that does not fit into what is prepared, so that the log has to grow.
fn big(ids: &[Option<&'static str>]) -> Submission {
    let properties = format!("{{\"p\":\"{}\"}}", "x".repeat(20_000));
    let mut submission = Submission::new();
    ids.iter().for_each(|id| submission.push(&Record { properties: &properties, ..record(*id) }).unwrap());
    submission
}

fn many(ids: &[Option<&'static str>]) -> Submission {
    let mut submission = Submission::new();
    ids.iter().for_each(|id| submission.push(&record(*id)).unwrap());
    submission
}

/// Logs in a folder, without a manifest.
struct Folder {
    fs: MemFs,
    next: LogId,
    created: UnixMicros,
}

impl Folder {
    fn create(&mut self, base: Sequence) -> Result<LogWriter, format::Error> {
        let header = LogHeader { created: self.created, ..header(self.next, base) };
        let log = LogWriter::create(&self.fs, Path::new(DIR), header, OPTIONS)?;
        self.next = self.next.next();
        Ok(log)
    }
}

impl Logs for Folder {
    fn exchange(&mut self, exchange: &Exchange) -> Result<(), format::Error> {
        exchange.added.iter().try_for_each(|sealed| sealed.finished.commit())
    }

    fn has_room(&self, growth: u64, longest_log: u64) -> bool {
        has_room_for_events(self.fs.space(Path::new(DIR)).unwrap(), growth, longest_log)
    }

    fn tidy(&mut self) -> Result<(), format::Error> {
        Ok(())
    }

    fn next(&mut self, ended: &LogWriter) -> Result<LogWriter, format::Error> {
        assert!(ended.is_synced(), "a log is closed after its sync");
        self.create(ended.next_sequence())
    }
}

/// A committer, and the disk below it.
struct Bench {
    fs: MemFs,
    appender: Appender,
    thread: JoinHandle<()>,
    sealer_thread: Option<sealer::Running>,
    store: Arc<Store>,
    health: Arc<Health>,
}

fn start_with(sync: SyncMode, segment_bytes: u64) -> Bench {
    start_in(UnixMicros::MAX, sync, segment_bytes)
}

/// One whose logs were created at `created`, and are not sealed.
fn start_in(created: UnixMicros, sync: SyncMode, segment_bytes: u64) -> Bench {
    start_on(&MemFs::new(1), created, sync, segment_bytes, false)
}

fn start_on(fs: &MemFs, created: UnixMicros, sync: SyncMode, segment_bytes: u64, seals: bool) -> Bench {
    let fs = fs.clone();
    fs.create_dir(Path::new(DIR)).unwrap();
    fs.create_dir(Path::new(SEGMENTS)).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    let mut folder = Folder { fs: fs.clone(), next: LogId::FIRST, created };
    let log = folder.create(Sequence::FIRST).unwrap();
    let (index, readers) = ActiveWriter::new(Arc::clone(log.reader()));
    let files = Files { logs: vec![Arc::clone(&readers)], ..Files::default() };
    let store = Arc::new(Store::new(files, Vec::new(), Vec::new(), Pool::start().unwrap()));
    let health = Arc::new(Health::default());
    health.serve();
    let policy = Policy { sync, segment_bytes, segment_age: Duration::from_secs(3600) };
    let recovered = Recovered { log, index, readers, earlier: Vec::new(), segments: Vec::new(), names: Names::default() };
    let (appender, queue) = queue();
    let (sealer, tasks) = sealer::queue();
    let place = Place {
        fs: Arc::new(fs.clone()),
        data_path: "/".into(),
        logs_path: DIR.into(),
        segments_path: SEGMENTS.into(),
        epoch: [9; 16],
        secret: [8; 16],
        ids: Arc::new(SegmentIds::from(SegmentId::FIRST)),
        pause: Duration::from_millis(20),
        patience: Duration::from_millis(20),
    };
    let sealer_thread = seals.then(|| sealer::start(tasks, place, appender.clone(), Arc::clone(&store), Arc::clone(&health)).unwrap());
    let thread = start(queue, recovered, Box::new(folder), sealer, Arc::clone(&store), Arc::clone(&health), policy).unwrap();
    Bench { fs, appender, thread, sealer_thread, store, health }
}

fn bench(sync: SyncMode) -> Bench {
    start_with(sync, 1 << 26)
}

impl Bench {
    fn fail(&self, op: Op, kind: FaultKind, forever: bool) {
        self.fs.fail(Fault { op: Some(op), nth: 0, forever, kind });
    }

    async fn one(&self, id: Option<&'static str>) -> Outcome {
        self.appender.submit_one(one(id)).unwrap().await
    }

    /// Waits for the end of the thread; the disk as it is then.
    fn end(self) -> MemFs {
        self.appender.stop();
        self.thread.join().unwrap();
        self.sealer_thread.into_iter().for_each(sealer::Running::stop);
        self.fs
    }
}

fn stored(sequence: u64) -> Outcome {
    Outcome::Stored { sequence: Sequence::new(sequence), durable: true }
}

fn duplicate(sequence: u64) -> Outcome {
    Outcome::Duplicate { sequence: Sequence::new(sequence), durable: true }
}

/// The sequences that a start would find in a log.
fn sequences(fs: &MemFs, id: LogId, base: u64) -> (Vec<u64>, bool) {
    let file = fs.open(&Path::new(DIR).join(id.file_name())).unwrap();
    let mut found = Vec::new();
    let header = LogHeader { durable_len: OPTIONS.step_bytes, ..header(id, Sequence::new(base)) };
    let recovered = recover(&*file, &header, None, &mut |row| found.push(row.sequence.value())).unwrap();
    assert!(recovered.damage.is_empty(), "{:?}", recovered.damage);
    (found, recovered.clean)
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_power_cut() {
    let bench = bench(SyncMode::Always);
    for sequence in 1..=20 {
        assert_eq!(bench.one(None).await, stored(sequence));
        let (found, _) = sequences(&bench.fs.crash(&mut |_| 0), LogId::FIRST, 1);
        assert_eq!(found, (1..=sequence).collect::<Vec<_>>());
        assert_eq!(bench.store.snapshot().rows(), sequence, "an answered event is counted");
    }
}

#[tokio::test]
async fn an_id_is_stored_once_also_within_one_batch() {
    let bench = bench(SyncMode::Always);
    assert_eq!(bench.one(Some("a")).await, stored(1));
    let both = bench.appender.submit(many(&[Some("b"), Some("a"), None, Some("b"), None])).unwrap();
    assert_eq!(both.await, [stored(2), duplicate(1), stored(3), duplicate(2), stored(4)]);
    assert_eq!(bench.one(Some("b")).await, duplicate(2));
    assert_eq!(bench.store.snapshot().rows(), 4);
    let (found, clean) = sequences(&bench.end(), LogId::FIRST, 1);
    assert_eq!((found, clean), (vec![1, 2, 3, 4], true));
}

#[tokio::test]
async fn a_failed_sync_answers_unknown_and_nothing_is_appended_any_more() {
    let bench = bench(SyncMode::Always);
    assert_eq!(bench.one(None).await, stored(1));
    bench.fail(Op::SyncData, FaultKind::Io, false);
    assert_eq!(bench.one(Some("a")).await, Outcome::Unknown);
    assert!(!bench.health.ready(), "not ready before the answer");
    bench.health.failed().await;
    assert_eq!(bench.one(None).await, Outcome::Stopping);
    assert_eq!(bench.store.snapshot().rows(), 1, "an event whose sync failed is not counted");
    bench.end();
}

#[tokio::test]
async fn a_full_disk_refuses_and_takes_events_again_when_there_is_space() {
    let bench = bench(SyncMode::Always);
    assert_eq!(bench.one(Some("a")).await, stored(1));
    bench.fail(Op::Write, FaultKind::Full, true);
    let refused = bench.appender.submit(big(&[Some("b"), Some("a"), Some("b")])).unwrap();
    assert_eq!(refused.await, [Outcome::DiskFull, duplicate(1), Outcome::DiskFull]);
    assert!(bench.health.ready());
    bench.fs.heal();
    let taken = bench.appender.submit(big(&[Some("b"), Some("a"), Some("b")])).unwrap();
    assert_eq!(taken.await, [stored(2), duplicate(1), duplicate(2)]);
    assert_eq!(sequences(&bench.end(), LogId::FIRST, 1).0, [1, 2]);
}

#[tokio::test]
async fn events_leave_a_reserve_on_the_disk_in_which_their_log_can_be_sealed() {
    let bench = bench(SyncMode::Always);
    bench.fs.resize(6 << 20);
    let log = Path::new(DIR).join(LogId::FIRST.file_name());
    let mut count = 0;
    let fill = async |count: &mut u64| {
        loop {
            match bench.appender.submit(big(&[None])).unwrap().await[..] {
                [Outcome::Stored { .. }] => *count += 1,
                [Outcome::DiskFull] => break,
                ref other => panic!("{other:?}"),
            }
        }
        let (space, len) = (bench.fs.space(Path::new(DIR)).unwrap(), bench.fs.live(&log).unwrap().len() as u64);
        // The log has grown a little ahead of its events.
        let least = len + (2304 << 10) - 3 * OPTIONS.step_bytes;
        assert!((least..least + (64 << 10)).contains(&space.free), "{space:?} beside {len}");
    };
    fill(&mut count).await;
    // Short ones fit into what the log has grown ahead.
    while matches!(bench.one(None).await, Outcome::Stored { .. }) {
        count += 1;
    }
    let writes = bench.fs.calls(Some(Op::Write));
    assert_eq!(bench.one(None).await, Outcome::DiskFull);
    assert_eq!(bench.fs.calls(Some(Op::Write)), writes, "nothing is tried");
    assert!(bench.health.ready());
    bench.fs.resize(10 << 20);
    fill(&mut count).await;
    assert!(count > 180, "{count}, of 20 KB most");
    assert_eq!(sequences(&bench.end(), LogId::FIRST, 1).0.len() as u64, count);
}

#[tokio::test]
async fn a_batch_that_no_log_takes_is_refused_and_the_log_goes_on() {
    let bench = bench(SyncMode::Always);
    assert_eq!(bench.one(Some("a")).await, stored(1));
    let ids = [None; 850];
    let refused = bench.appender.submit(big(&ids)).unwrap();
    assert!(refused.await.iter().all(|outcome| *outcome == Outcome::TooLarge));
    assert_eq!(bench.one(None).await, stored(2));
    assert_eq!(sequences(&bench.end(), LogId::FIRST, 1).0, [1, 2]);
}

#[tokio::test]
async fn with_an_interval_answers_wait_for_its_sync() {
    let bench = bench(SyncMode::Interval(Duration::from_millis(40)));
    let before = bench.fs.calls(Some(Op::SyncData));
    let first = bench.appender.submit_one(one(Some("a"))).unwrap();
    let second = bench.appender.submit_one(one(Some("a"))).unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(bench.store.snapshot().rows(), 0, "nobody counts what is not synced");
    assert_eq!((first.await, second.await), (stored(1), duplicate(1)));
    assert!(bench.fs.calls(Some(Op::SyncData)) > before);
    assert_eq!(sequences(&bench.fs.crash(&mut |_| 0), LogId::FIRST, 1).0, [1]);
}

#[tokio::test]
async fn what_is_held_is_counted_when_a_refused_write_has_synced_it() {
    let bench = bench(SyncMode::Interval(Duration::from_secs(60)));
    let writes = bench.fs.calls(Some(Op::Write));
    let held = bench.appender.submit_one(one(Some("a"))).unwrap();
    while bench.fs.calls(Some(Op::Write)) == writes {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bench.fail(Op::Write, FaultKind::Full, false);
    assert_eq!(bench.one(None).await, Outcome::DiskFull);
    assert_eq!(held.await, stored(1));
    assert_eq!(bench.store.snapshot().rows(), 1, "an answered event is counted");
    bench.end();
}

#[tokio::test]
async fn without_syncs_answers_do_not_say_durable() {
    let bench = bench(SyncMode::Os);
    assert!(matches!(bench.one(None).await, Outcome::Stored { .. }), "the log has grown ahead now");
    let before = bench.fs.calls(Some(Op::SyncData));
    assert_eq!(bench.one(Some("a")).await, Outcome::Stored { sequence: Sequence::new(2), durable: false });
    assert_eq!(bench.one(Some("a")).await, Outcome::Duplicate { sequence: Sequence::new(2), durable: false });
    assert_eq!(bench.fs.calls(Some(Op::SyncData)), before);
    assert_eq!(sequences(&bench.end(), LogId::FIRST, 1), (vec![1, 2], true), "a drain syncs");
}

#[tokio::test]
async fn a_name_too_many_is_refused_and_stored_ones_go_on() {
    let bench = bench(SyncMode::Always);
    let names: Vec<String> = (0..=MAX_NAMES).map(|number| number.to_string()).collect();
    let mut submission = Submission::new();
    for name in &names {
        submission.push(&Record { name, ..record(None) }).unwrap();
    }
    let outcomes = bench.appender.submit(submission).unwrap().await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Stored { .. })).count(), MAX_NAMES);
    assert_eq!(outcomes[MAX_NAMES], Outcome::TooManyNames);
    let known = Submission::of(&Record { name: "0", ..record(None) }).unwrap();
    assert_eq!(bench.appender.submit_one(known).unwrap().await, stored(MAX_NAMES as u64 + 1));
}

#[tokio::test]
async fn names_that_were_not_stored_for_lack_of_space_do_not_count() {
    let bench = bench(SyncMode::Always);
    let mut submission = Submission::new();
    for number in 0..MAX_NAMES {
        submission.push(&Record { name: &number.to_string(), ..record(None) }).unwrap();
    }
    bench.fail(Op::Write, FaultKind::Full, true);
    let outcomes = bench.appender.submit(submission).unwrap().await;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::DiskFull));
    bench.fs.heal();
    assert_eq!(bench.one(None).await, stored(1));
    bench.end();
}

#[tokio::test]
async fn a_log_is_as_old_as_it_was_before_a_restart() {
    let bench = start_in(UnixMicros::EPOCH, SyncMode::Always, 1 << 26);
    assert_eq!(bench.one(None).await, stored(1));
    for _ in 0..200 {
        if bench.fs.files().len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bench.one(None).await, stored(2));
    assert_eq!(bench.fs.files().len(), 2, "the old log is closed and the new one is not");
    bench.end();
}

#[tokio::test]
async fn ids_are_remembered_over_rotations_and_sequences_go_on() {
    let bench = start_with(SyncMode::Always, 1024);
    let ids: Vec<&'static str> = (0..20).map(|n| &*Box::leak(format!("id-{n}").into_boxed_str())).collect();
    for (id, sequence) in ids.iter().zip(1..) {
        assert_eq!(bench.one(Some(id)).await, stored(sequence));
    }
    for (id, sequence) in ids.iter().zip(1..) {
        assert_eq!(bench.one(Some(id)).await, duplicate(sequence));
    }
    assert_eq!(bench.store.snapshot().rows(), 20);
    let fs = bench.end();
    let mut all = Vec::new();
    for number in 1..=fs.files().len() as u64 {
        all.extend(sequences(&fs, LogId::new(number), all.len() as u64 + 1).0);
    }
    assert!(fs.files().len() > 2, "a log of 1 KiB does not hold 20 events");
    assert_eq!(all, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn events_are_refused_while_too_many_logs_wait_to_be_sealed() {
    let bench = start_with(SyncMode::Always, 1024);
    let mut stored = 0;
    let refusal = loop {
        match bench.one(None).await {
            Outcome::Stored { .. } => stored += 1,
            other => break other,
        }
        assert!(stored < 1000, "nobody seals");
    };
    assert_eq!(refusal, Outcome::Behind);
    assert_eq!((bench.fs.files().len(), bench.store.snapshot().rows()), (4, stored));
    assert!(bench.health.ready());
    let refused = bench.appender.submit(many(&[Some("a"), Some("a")])).unwrap();
    assert_eq!(refused.await, [Outcome::Behind; 2]);
    // What cannot be sealed is waited for in vain, and does not count.
    bench.appender.keep(LogId::FIRST);
    assert!(matches!(bench.one(Some("a")).await, Outcome::Stored { .. }));
    bench.end();
}

#[tokio::test]
async fn events_go_on_when_the_sealer_has_caught_up() {
    let bench = start_on(&MemFs::new(1), UnixMicros::MAX, SyncMode::Always, 1024, true);
    let ids: Vec<&'static str> = (0..200).map(|n| &*Box::leak(format!("id-{n}").into_boxed_str())).collect();
    for (id, sequence) in ids.iter().zip(1..) {
        loop {
            match bench.one(Some(id)).await {
                Outcome::Behind => tokio::time::sleep(Duration::from_millis(1)).await,
                outcome => break assert_eq!(outcome, stored(sequence)),
            }
        }
    }
    for (id, sequence) in ids.iter().zip(1..) {
        assert_eq!(bench.one(Some(id)).await, duplicate(sequence));
    }
    assert_eq!(bench.store.snapshot().rows(), 200);
    assert!(bench.store.sealed().segments > 10);
    bench.end();
}

#[tokio::test]
async fn a_log_that_cannot_be_rotated_for_lack_of_space_is_tried_again() {
    let bench = start_with(SyncMode::Always, 512);
    let mut sequence = 0;
    while bench.fs.files().len() < 2 {
        sequence += 1;
        assert_eq!(bench.one(None).await, stored(sequence));
    }
    bench.fail(Op::Create, FaultKind::Full, true);
    let mut outcomes = Vec::new();
    while outcomes.last() != Some(&Outcome::DiskFull) {
        outcomes.push(bench.one(None).await);
    }
    bench.fs.heal();
    sequence += outcomes.len() as u64;
    assert_eq!(bench.one(None).await, stored(sequence));
    bench.end();
}

#[tokio::test]
async fn a_quiet_log_proves_its_last_batch() {
    let bench = bench(SyncMode::Always);
    assert_eq!(bench.one(None).await, stored(1));
    let proven = bench.fs.calls(Some(Op::SyncData)) + 1;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if bench.fs.calls(Some(Op::SyncData)) >= proven {
            return;
        }
    }
    panic!("nothing was synced after a second without events");
}

#[tokio::test]
async fn a_full_queue_is_busy_and_what_is_queued_is_finished() {
    let (appender, queue) = super::queue::queue();
    let mut big = record(None);
    let properties = format!("{{\"p\":\"{}\"}}", "x".repeat(60_000));
    big.properties = &properties;
    let mut taken = Vec::new();
    let busy = loop {
        match appender.submit_one(Submission::of(&big).unwrap()) {
            Ok(outcome) => taken.push(outcome),
            Err(busy) => break busy,
        }
    };
    assert_eq!(busy, Busy);
    assert!(taken.len() * 60_000 <= super::queue::QUEUE_BYTES && taken.len() * 61_000 > super::queue::QUEUE_BYTES - 61_000);
    drop(queue);
    for outcome in taken {
        assert_eq!(outcome.await, Outcome::Stopping);
    }
}
