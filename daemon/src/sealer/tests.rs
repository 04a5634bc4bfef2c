//! The committer and the sealer together, on a data directory in memory whose power fails, which fills up, and whose syncs fail.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use format::directory::DataDirectory;
use format::fs::double::{Dice, Fault, FaultKind, MemFs, Op};
use format::{Kind, LogId, LogOptions, Record, Sequence, SiteId, Source, UnixMicros};
use query::{PropertyKey, Span};

use super::*;
use crate::appender::{self, MAX_NAMES, Outcome, Policy, Submission};
use crate::compactor;
use crate::config::SyncMode;
use crate::question::Pool;
use crate::recovery::{self, Start};
use crate::store::Store;

const DIR: &str = "/data";
pub(crate) const SITE: SiteId = SiteId::new([1; 16]);

/// Logs of a few events.
const SEGMENT_BYTES: u64 = 1024;
const OPTIONS: LogOptions = LogOptions { capacity_bytes: 1 << 20, step_bytes: 4096 };

/// Everything between a start and an end.
pub(crate) struct Life {
    pub(crate) fs: MemFs,
    pub(crate) appender: Appender,
    committer: JoinHandle<()>,
    sealer: Running,
    compactor: Option<compactor::Running>,
    pub(crate) store: Arc<Store>,
    pub(crate) health: Arc<Health>,
    /// How many ranges were lost when it began.
    pub(crate) losses: usize,
    /// The times of events, by their numbers.
    time: fn(usize) -> UnixMicros,
}

impl Life {
    fn begin(fs: &MemFs) -> Result<Life, format::Error> {
        Life::begin_with(fs, SyncMode::Always)
    }

    fn begin_with(fs: &MemFs, sync: SyncMode) -> Result<Life, format::Error> {
        Life::begin_compacting(fs, sync, |number| UnixMicros::new(number as i64 * 1_000_000).unwrap(), None)
    }

    /// A life in which segments are merged as well.
    pub(crate) fn begin_compacting(
        fs: &MemFs,
        sync: SyncMode,
        time: fn(usize) -> UnixMicros,
        compaction: Option<compactor::Policy>,
    ) -> Result<Life, format::Error> {
        match fs.create_dir(Path::new(DIR)) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(format::Error::io("create", Path::new(DIR))(error));
            }
            _ => {}
        }
        let opened = DataDirectory::open_on(Arc::new(fs.clone()), Path::new(DIR))?;
        let Start { recovered, rotation, files, mut damage, .. } = recovery::recover(opened.directory, opened.manifest, OPTIONS, sync)?;
        damage.extend(opened.damage);
        let losses = damage.len();
        let store = Arc::new(Store::new(files, damage, opened.lost_and_found, Pool::start().unwrap()));
        let health = Arc::<Health>::default();
        health.serve();
        let policy = Policy { sync, segment_bytes: SEGMENT_BYTES, segment_age: Duration::from_secs(3600) };
        let (appender, queue) = appender::queue();
        let (sealer, tasks) = super::queue();
        let place = Place { pause: Duration::from_millis(20), patience: Duration::from_millis(20), ..rotation.place() };
        let running = super::start(tasks, place.clone(), appender.clone(), Arc::clone(&store), Arc::clone(&health)).unwrap();
        let committer =
            appender::start(queue, recovered, Box::new(rotation), sealer, Arc::clone(&store), Arc::clone(&health), policy).unwrap();
        let compactor =
            compaction.map(|policy| compactor::start(policy, place, appender.clone(), Arc::clone(&store), Arc::clone(&health)).unwrap());
        Ok(Life { fs: fs.clone(), appender, committer, sealer: running, compactor, store, health, losses, time })
    }

    pub(crate) async fn store(&self, number: usize) -> Outcome {
        loop {
            let id = id(number);
            let time = (self.time)(number);
            let mut record = Record::new(Kind::Event, Source::Server, SITE, time, time);
            record.name = if number.is_multiple_of(3) { "purchase" } else { "signup" };
            record.event_id = Some(&id);
            record.properties = "{\"plan\":\"pro\"}";
            match self.appender.submit_one(Submission::of(&record).unwrap()).unwrap().await {
                Outcome::Behind => tokio::time::sleep(Duration::from_millis(1)).await,
                outcome => return outcome,
            }
        }
    }

    pub(crate) fn end(self) {
        self.appender.stop();
        self.committer.join().unwrap();
        self.sealer.stop();
        self.compactor.into_iter().for_each(compactor::Running::stop);
    }

    /// How many rows each segment has, the most first.
    pub(crate) fn segment_rows(&self) -> Vec<u32> {
        let mut rows: Vec<u32> = self.store.segments().iter().map(|segment| segment.rows()).collect();
        rows.sort_unstable_by(|one, other| other.cmp(one));
        rows
    }

    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        self.fs.list(&Path::new(DIR).join(folder)).unwrap()
    }
}

fn id(number: usize) -> String {
    format!("id-{number}")
}

pub(crate) fn stored(sequence: u64) -> Outcome {
    Outcome::Stored { sequence: Sequence::new(sequence), durable: true }
}

pub(crate) fn duplicate(sequence: u64) -> Outcome {
    Outcome::Duplicate { sequence: Sequence::new(sequence), durable: true }
}

#[tokio::test]
async fn closed_logs_become_segments_and_every_id_stays_known() {
    let fs = MemFs::new(1);
    let life = Life::begin(&fs).unwrap();
    for number in 1..=50 {
        assert_eq!(life.store(number).await, stored(number as u64));
    }
    life.appender.seal().await.unwrap();
    assert_eq!(life.store.sealed().rows, 50);
    assert!(life.store.sealed().segments > 3, "{:?}", life.store.sealed());
    assert_eq!(life.files("logs").len(), 1, "what is sealed is removed");
    assert_eq!(life.files("segments").len(), life.store.sealed().segments);
    for number in 1..=50 {
        assert_eq!(life.store(number).await, duplicate(number as u64));
    }
    assert_eq!(life.store(51).await, stored(51));
    assert_eq!(life.store.snapshot().rows(), 51);
    life.end();

    for fs in [fs.kill(), fs.crash(&mut |_| 0)] {
        let life = Life::begin(&fs).unwrap();
        assert_eq!((life.losses, life.store.set_aside().len(), life.store.snapshot().rows()), (0, 0, 51));
        for number in 1..=51 {
            assert_eq!(life.store(number).await, duplicate(number as u64));
        }
        assert_eq!(life.store(52).await, stored(52));
        life.end();
    }
}

#[tokio::test]
async fn an_empty_log_is_not_sealed_and_a_second_call_finds_nothing_to_do() {
    let life = Life::begin(&MemFs::new(1)).unwrap();
    life.appender.seal().await.unwrap();
    assert_eq!(life.store.sealed().segments, 0);
    assert_eq!(life.store(1).await, stored(1));
    for _ in 0..2 {
        life.appender.seal().await.unwrap();
        assert_eq!((life.store.sealed().segments, life.store.sealed().rows), (1, 1));
    }
    life.end();
}

#[tokio::test]
async fn names_in_segments_count_after_a_restart() {
    let submission = |names: std::ops::Range<usize>| {
        let mut submission = Submission::new();
        for number in names {
            let name = number.to_string();
            let record = Record::new(Kind::Event, Source::Server, SITE, UnixMicros::EPOCH, UnixMicros::EPOCH);
            submission.push(&Record { name: &name, ..record }).unwrap();
        }
        submission
    };
    let fs = MemFs::new(1);
    let life = Life::begin(&fs).unwrap();
    let outcomes = life.appender.submit(submission(0..MAX_NAMES)).unwrap().await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Stored { .. })));
    life.appender.seal().await.unwrap();
    life.end();
    let life = Life::begin(&fs.kill()).unwrap();
    let outcomes = life.appender.submit(submission(MAX_NAMES - 1..MAX_NAMES + 1)).unwrap().await;
    assert!(matches!(outcomes[..], [Outcome::Stored { .. }, Outcome::TooManyNames]), "{outcomes:?}");
    life.end();
}

/// Manifest and newest log are gone, and with the manifest the key of event ids.
#[tokio::test]
async fn segments_alone_tell_which_sequences_and_ids_there_were() {
    let fs = MemFs::new(1);
    let life = Life::begin(&fs).unwrap();
    assert_eq!((life.store(1).await, life.store(2).await), (stored(1), stored(2)));
    life.appender.seal().await.unwrap();
    life.end();
    let fs = fs.kill();
    fs.remove(&Path::new(DIR).join("manifest.log")).unwrap();
    fs.remove(&Path::new(DIR).join("logs").join(LogId::new(2).file_name())).unwrap();
    let life = Life::begin(&fs).unwrap();
    assert_eq!((life.losses, life.store.snapshot().rows()), (1, 2));
    assert_eq!((life.store(2).await, life.store(3).await), (duplicate(2), stored(3)));
    life.end();
}

/// A log that was begun under another promise and never appended to is closed by a start.
#[tokio::test]
async fn a_closed_log_without_rows_goes_as_well() {
    let fs = MemFs::new(1);
    for (starts, sync) in [SyncMode::Always, SyncMode::Os, SyncMode::Always].into_iter().enumerate() {
        let life = Life::begin_with(&fs, sync).unwrap();
        life.appender.seal().await.unwrap();
        assert_eq!(life.files("logs").len(), 1, "start {starts}");
        assert_eq!((life.losses, life.store.snapshot().rows()), (0, starts as u64), "start {starts}");
        let event = life.store(starts).await;
        assert!(matches!(event, Outcome::Stored { sequence, .. } if sequence.value() == starts as u64 + 1), "{event:?}");
        if starts == 0 {
            // One more log that stays empty.
            life.appender.seal().await.unwrap();
        }
        life.end();
    }
    judge(&fs.kill(), &[(0, 1), (1, 2), (2, 3)], "in the end").await;
}

/// Stores events until something fails. What was acknowledged, and whether more may be there.
async fn live(fs: &MemFs, acknowledged: &mut Acknowledged) {
    let Ok(life) = Life::begin(fs) else { return };
    let first = acknowledged.len() + 1;
    for number in first..first + 15 {
        match life.store(number).await {
            Outcome::Stored { sequence, .. } => acknowledged.push((number, sequence.value())),
            Outcome::Unknown | Outcome::Stopping => break,
            other => panic!("{other:?}"),
        }
    }
    // Ends soon, for good or ill.
    let _ = life.appender.seal().await;
    life.end();
}

async fn judge(fs: &MemFs, acknowledged: &[(usize, u64)], context: &str) {
    let life = Life::begin(fs).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!((life.losses, life.store.set_aside().len()), (0, 0), "{context}");
    for (number, sequence) in acknowledged {
        assert_eq!(life.store(*number).await, duplicate(*sequence), "{context}: {number}");
    }
    let rows = life.store.snapshot().rows();
    let count = acknowledged.len() as u64;
    assert!((count..=count + 1).contains(&rows), "{context}: {rows} of {count}");
    life.appender.seal().await.unwrap_or_else(|error| panic!("{context}: {error:?}"));
    assert_eq!((life.store.sealed().rows, life.store.snapshot().rows()), (rows, rows), "{context}: each row is in one place");
    life.end();
}

/// What was acknowledged: the number of each event, and its sequence.
pub(crate) type Acknowledged = Vec<(usize, u64)>;

/// Cuts the power at every `step`th call that `live` makes, on an empty disk and on one that had such a life before, and has `judge` look at
/// what may be left on it.
///
/// The threads take turns as they like, so the calls of two runs differ; what holds does not.
pub(crate) async fn cut_power(
    step: usize,
    least_calls: u64,
    live: impl AsyncFn(&MemFs, &mut Acknowledged),
    judge: impl AsyncFn(&MemFs, &[(usize, u64)], &str),
) {
    let calls = {
        let fs = MemFs::new(0);
        live(&fs, &mut Vec::new()).await;
        fs.calls(None)
    };
    assert!(calls > least_calls, "{calls} calls");
    for nth in (0..calls + calls / 4).step_by(step) {
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

#[tokio::test]
async fn whenever_the_power_fails_each_event_is_there_once() {
    cut_power(3, 200, live, judge).await;
}

#[tokio::test]
async fn without_space_for_a_segment_events_are_stored_until_there_is() {
    let fs = MemFs::new(1);
    let life = Life::begin(&fs).unwrap();
    assert_eq!(life.store(1).await, stored(1));
    // The next log is created, and no segment.
    fs.fail(Fault { op: Some(Op::Create), nth: 1, forever: true, kind: FaultKind::Full });
    assert_eq!(life.appender.seal().await, Err(NotSealed::DiskFull));
    assert_eq!(life.store(2).await, stored(2));
    assert_eq!(life.store(1).await, duplicate(1));
    assert_eq!((life.store.sealed().segments, life.store.snapshot().rows()), (0, 2));
    assert!(life.health.ready());
    fs.heal();
    life.appender.seal().await.unwrap();
    assert_eq!((life.store.sealed().segments, life.store.sealed().rows), (2, 2));
    life.end();
}

#[tokio::test]
async fn whoever_waits_is_told_that_a_segment_cannot_be_created() {
    let fs = MemFs::new(1);
    let life = Life::begin(&fs).unwrap();
    assert_eq!(life.store(1).await, stored(1));
    // The next log is created, and no segment.
    fs.fail(Fault { op: Some(Op::Create), nth: 1, forever: true, kind: FaultKind::Io });
    assert_eq!(life.appender.seal().await, Err(NotSealed::Kept));
    assert_eq!(life.appender.seal().await, Err(NotSealed::Kept), "again");
    assert_eq!((life.store(1).await, life.store.sealed().segments), (duplicate(1), 0));
    assert!(life.health.ready());
    fs.heal();
    life.appender.seal().await.unwrap();
    assert_eq!(life.store.sealed().rows, 1, "who asks has it tried at once");
    life.end();
}

/// Each call that has to do with a segment lacks space once: the same segment, or another try, takes the log's place.
#[tokio::test]
async fn whatever_lacks_space_the_log_is_sealed_in_the_end() {
    let mut finals = 0;
    for op in [Op::Create, Op::Write, Op::SetLen, Op::Rename] {
        for nth in 0..12 {
            let fs = MemFs::new(nth);
            let life = Life::begin(&fs).unwrap();
            assert_eq!(life.store(1).await, stored(1));
            fs.fail(Fault { op: Some(op), nth, forever: false, kind: FaultKind::Full });
            let _ = life.appender.seal().await;
            let sealed = life.appender.seal().await;
            if life.health.failure().is_some() {
                // A proof that could not be written, into space that was there: that is final, and the next start goes on.
                finals += 1;
                life.end();
                judge(&fs.kill(), &[(1, 1)], &format!("{op:?} {nth}")).await;
                continue;
            }
            sealed.unwrap_or_else(|error| panic!("{op:?} {nth}: {error:?}"));
            assert_eq!((life.store.sealed().segments, life.store.sealed().rows), (1, 1), "{op:?} {nth}");
            assert_eq!((life.files("logs").len(), life.files("segments").len()), (1, 1), "{op:?} {nth}");
            life.end();
        }
    }
    assert!(finals < 5, "{finals}");
}

#[tokio::test]
async fn a_failed_sync_while_a_log_is_sealed_ends_the_daemon() {
    let mut failures = 0;
    for nth in 0..14 {
        let fs = MemFs::new(nth);
        let life = Life::begin(&fs).unwrap();
        assert_eq!(life.store(1).await, stored(1));
        fs.fail(Fault { op: Some(Op::SyncData), nth, forever: false, kind: FaultKind::Io });
        let sealed = life.appender.seal().await;
        if sealed.is_err() {
            assert_eq!(sealed, Err(NotSealed::Stopping), "sync {nth}");
            life.health.failed().await;
            assert!(!life.health.ready(), "sync {nth}");
            failures += 1;
        }
        life.end();
        judge(&fs.kill(), &[(1, 1)], &format!("sync {nth}")).await;
        judge(&fs.crash(&mut |_| 0), &[(1, 1)], &format!("sync {nth}, then the power")).await;
    }
    assert!(failures > 6, "of the log, the manifest, the segment, its trailer: {failures}");
}

#[tokio::test]
async fn a_segment_that_cannot_be_written_is_tried_again() {
    let mut again = 0;
    for nth in 0..16 {
        let fs = MemFs::new(nth);
        let life = Life::begin(&fs).unwrap();
        assert_eq!(life.store(1).await, stored(1));
        fs.fail(Fault { op: Some(Op::Write), nth, forever: false, kind: FaultKind::Io });
        if life.appender.seal().await.is_ok() {
            assert_eq!(life.store.sealed().rows, 1, "write {nth}: who asks has it tried again");
            // Each try takes an identity.
            again += usize::from(life.store.segments()[0].header().id.value() > 1);
        }
        // A write to a log or the manifest that fails is final.
        while life.health.failure().is_none() && life.store.sealed().rows == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        life.end();
        judge(&fs.kill(), &[(1, 1)], &format!("write {nth}")).await;
    }
    assert!(again > 0, "a small segment is one write");
}

/// Stores an event, and flips a bit of its id in the log.
async fn one_damaged_event(life: &Life) -> (std::path::PathBuf, u64) {
    assert_eq!(life.store(1).await, stored(1));
    let path = Path::new(DIR).join("logs").join(LogId::FIRST.file_name());
    let at = life.fs.live(&path).unwrap().windows(4).position(|window| window == b"id-1").unwrap() as u64;
    life.fs.open(&path).unwrap().write_at(b"I", at).unwrap();
    (path, at)
}

#[tokio::test]
async fn a_log_that_cannot_be_read_stays_while_others_are_sealed_and_is_tried_again() {
    let fs = MemFs::new(1);
    let life = Life::begin(&fs).unwrap();
    let (path, at) = one_damaged_event(&life).await;
    assert_eq!(life.appender.seal().await, Err(NotSealed::Kept));
    assert_eq!(life.store.sealed().segments, 0);
    assert_eq!(life.store(1).await, duplicate(1), "its ids are known");
    for number in 2..=20 {
        assert_eq!(life.store(number).await, stored(number as u64));
    }
    assert_eq!(life.appender.seal().await, Err(NotSealed::Kept), "it is tried again, and the others are sealed");
    assert_eq!((life.store.sealed().rows, life.store.snapshot().rows()), (19, 20));
    assert!(life.health.ready());
    // Reports count the others, and it is named until it is sealed.
    let plan = PropertyKey::parse("plan").unwrap();
    let ask = || {
        let [signups, purchases] =
            ["signup", "purchase"].map(|name| life.store.snapshot().breakdown(SITE, name, &plan, Span::EVER, &[], 9).unwrap());
        let (total, missing) = (signups.value[0].total + purchases.value[0].total, signups.missing);
        (total, missing.len(), life.store.lose(missing), life.store.damage().iter().map(|lost| lost.file().to_owned()).collect())
    };
    assert_eq!(ask(), (19, 1, true, vec!["logs/0000000000000001.log".to_owned()]));
    // A sector that can be read again.
    fs.open(&path).unwrap().write_at(b"i", at).unwrap();
    while life.store.sealed().rows < 20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((life.store(1).await, life.store.snapshot().rows()), (duplicate(1), 20));
    assert_eq!(ask(), (20, 0, true, Vec::new()));
    life.end();
    judge(&fs.kill(), &(1..=20).map(|number| (number as usize, number)).collect::<Vec<_>>(), "in the end").await;
}

#[tokio::test]
async fn a_log_of_which_something_is_lost_is_sealed_without_it_and_set_aside() {
    let fs = MemFs::new(1);
    let life = Life::begin(&fs).unwrap();
    one_damaged_event(&life).await;
    assert_eq!((life.store(2).await, life.store(3).await), (stored(2), stored(3)));
    life.end();
    let mut damage = None;
    for start in 0..3 {
        let life = Life::begin(&fs).unwrap();
        assert_eq!((life.losses, life.store.snapshot().rows()), (1, 2), "start {start}");
        let named: Vec<String> = life.store.damage().iter().map(ToString::to_string).collect();
        assert_eq!(&named, damage.get_or_insert_with(|| named.clone()), "start {start}: the same range of the same file");
        life.appender.seal().await.unwrap();
        assert_eq!((life.store.sealed().rows, life.store.snapshot().rows()), (2, 2), "start {start}");
        assert_eq!(life.files("lost+found"), [LogId::FIRST.file_name()], "start {start}");
        assert_eq!(*life.store.set_aside(), [LogId::FIRST.file_name()], "start {start}");
        assert_eq!((life.store(2).await, life.store(3).await), (duplicate(2), duplicate(3)), "start {start}");
        life.end();
    }
}
