//! A year of many events in several segments, merged as the daemon would have merged them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use format::fs::RealFs;
use format::sealed::SegmentHeader;
use format::{Level, Segment, SegmentId, Sequence, UnixMicros};
use query::{ColumnRule, Compaction, Keep, LiveSegment, Merge, SharedSessions, Snapshot, Target};

use super::arena::Arena;
use super::questions::{self, Asked, QUESTIONS};
use super::shop::{Shop, YEAR_END};
use super::{ID_SECRET, RUNS, SEED, open, opened, sealed, timed};

/// The argument of the process that asks.
pub(crate) const ASK: &str = "--ask";

/// Events of a segment before it is merged: what the bench can hold in memory at once.
const EVENTS_OF_SEGMENT: u64 = 5_000_000;

/// Writes the segments, and asks them in a process that has never held the events.
pub(crate) fn run(folder: &Path, events: u64) {
    let folder = folder.join("large");
    std::fs::create_dir(&folder).expect("the folder is ours");
    let mut shop = Shop::new(SEED, events);
    let pieces = events.div_ceil(EVENTS_OF_SEGMENT);
    let mut store = Compacted { folder: &folder, live: Vec::new(), next: 1, most: 0, merged: 0 };
    let (ms, ()) = timed(|| {
        for number in 0..pieces {
            let arena = Arena::fill(&mut shop, EVENTS_OF_SEGMENT, Sequence::FIRST.after(number * EVENTS_OF_SEGMENT));
            let id = store.next_id();
            store.live.push(open(&sealed(&arena, &folder, id.value())));
            drop(arena);
            store.compact(false);
        }
        store.compact(true);
    });
    let bytes: u64 = store.live.iter().map(|segment| segment.len_bytes()).sum();
    println!(
        "\n{events} events made in {:.0} s, {:.2} bytes an event, {:.1} rows merged for each",
        ms / 1000.0,
        bytes as f64 / events as f64,
        store.merged as f64 / events as f64,
    );
    println!("live segments {} (bar 24), at most {} after a merge", store.live.len(), store.most);
    drop(store);
    let program = std::env::current_exe().expect("this program");
    let status = Command::new(program).arg(ASK).arg(&folder).status().expect("this program runs");
    assert!(status.success(), "{status}");
}

/// Segments that are merged as soon as compaction says so.
struct Compacted<'a> {
    folder: &'a Path,
    live: Vec<Arc<Segment>>,
    next: u64,
    /// The most that were live when there was nothing to merge.
    most: usize,
    /// How many rows were written by merges.
    merged: u64,
}

impl Compacted<'_> {
    fn next_id(&mut self) -> SegmentId {
        self.next += 1;
        SegmentId::new(self.next - 1)
    }

    fn compact(&mut self, is_idle: bool) {
        loop {
            let describe = |segment: &Arc<Segment>| LiveSegment::read(segment).expect("the segment can be read");
            let live: Vec<LiveSegment> = self.live.iter().filter_map(describe).collect();
            let Some(merge) = Compaction::default().next(&live, near(), is_idle) else { break };
            self.merge(&merge);
        }
        self.most = self.most.max(self.live.len());
    }

    fn merge(&mut self, Merge { inputs, division, levels }: &Merge) {
        let inputs: Vec<Arc<Segment>> = self.live.extract_if(.., |segment| inputs.contains(&segment.header().id)).collect();
        let header = |_: &Level| SegmentHeader { id: self.next_id(), salt: [7; 16], epoch: [1; 16], created: UnixMicros::EPOCH };
        let headers: Vec<SegmentHeader> = levels.iter().map(header).collect();
        let fs = RealFs::default();
        let target = |(header, level)| {
            let columns = ColumnRule::default();
            Target { fs: &fs, dir: self.folder, header, id_secret: ID_SECRET, columns, level }
        };
        let targets: Vec<Target<'_>> = headers.iter().zip(levels.iter().copied()).map(target).collect();
        let merged = query::merge(&targets, division, &inputs, &|_| Keep::All, &|| false).expect("segments can be merged");
        for sealed in merged.into_iter().flatten() {
            sealed.finished.commit().expect("the trailer can be written");
            self.merged += u64::from(sealed.segment.rows());
            self.live.push(sealed.segment);
        }
        for segment in inputs {
            std::fs::remove_file(self.folder.join(segment.header().id.file_name())).expect("it was merged");
        }
    }
}

/// The times that are no outliers at the end of the year.
fn near() -> Range<UnixMicros> {
    const DAY: i64 = 86_400_000_000;
    let at = |micros| UnixMicros::new(micros).expect("an instant of this century");
    at(YEAR_END - 20 * 365 * DAY)..at(YEAR_END + 2 * DAY)
}

/// Asks the segments in `folder`.
pub(crate) fn ask(folder: &Path) {
    let listed = std::fs::read_dir(folder).expect("the folder is there");
    let paths: Vec<PathBuf> = listed.map(|entry| entry.expect("an entry").path()).collect();
    let (ms, segments) = timed(|| opened(&paths));
    println!("{:<32} {:>10} {:>10}", "", "bar", "");
    let print = |what: &str, bar: f64, value: f64| println!("{what:<32} {bar:>10.3} {value:>10.3}");
    print("opened, ms", 1000.0, ms);
    print("anonymous memory, MB", 128.0, anonymous_mb());
    // As the daemon does behind all other work, some time after a start and when other segments are settled.
    let is_settled = |segment: &&Arc<Segment>| segment.provenance().level == Level::Settled;
    let settled: Vec<Arc<Segment>> = segments.iter().filter(is_settled).cloned().collect();
    let (ms, shared) = timed(|| SharedSessions::find(&settled, &|| false).expect("the segments are whole"));
    println!("{:<32} {:>10} {ms:>10.3}", "shared sessions found, ms", "");
    let without = Snapshot::new(&[], &segments);
    let snapshot = Snapshot::new(&[], &segments).with_shared(Arc::new(shared));
    assert!(questions::goal_distinct(&snapshot).rows() == questions::goal_distinct(&without).rows(), "the same without shared sessions");
    println!("{:<32} {:>10} {:>10.3}", "distinct before that, ms", "", warm(&without, questions::goal_distinct));
    print("anonymous memory, MB", 128.0, anonymous_mb());
    print("goal_year_by_day_totals, ms", 1.0, warm(&snapshot, questions::goal_totals));
    print("goal_year_by_day_distinct, ms", 2.0, warm(&snapshot, questions::goal_distinct));
    for question in QUESTIONS.iter().cycle().take(1000) {
        (question.ask)(&snapshot);
    }
    print("memory after 1,000 questions, MB", 128.0, anonymous_mb());
}

fn warm(snapshot: &Snapshot, ask: fn(&Snapshot) -> Asked) -> f64 {
    let mut times: Vec<f64> = (0..RUNS).map(|_| timed(|| ask(snapshot)).0).collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}

/// What this process holds in memory that no file is behind.
fn anonymous_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system says");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("its memory is listed");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}
