//! A year of many events in several segments, as they lie after merging: one behind the other in time.

use std::path::{Path, PathBuf};
use std::process::Command;

use format::Sequence;

use super::arena::Arena;
use super::questions::{self, Asked, QUESTIONS};
use super::shop::Shop;
use super::{RUNS, SEED, opened, sealed, timed};
use query::Snapshot;

/// The argument of the process that asks.
pub(crate) const ASK: &str = "--ask";

/// Events of a segment: what the bench can hold in memory at once.
const EVENTS_OF_SEGMENT: u64 = 5_000_000;

/// Writes the segments, and asks them in a process that has never held the events.
pub(crate) fn run(folder: &Path, events: u64) {
    let folder = folder.join("large");
    std::fs::create_dir(&folder).expect("the folder is ours");
    let mut shop = Shop::new(SEED, events);
    let pieces = events.div_ceil(EVENTS_OF_SEGMENT);
    let (ms, bytes) = timed(|| {
        let piece = |number: u64| {
            let arena = Arena::fill(&mut shop, EVENTS_OF_SEGMENT, Sequence::FIRST.after(number * EVENTS_OF_SEGMENT));
            super::bytes(&sealed(&arena, &folder, 1 + number))
        };
        (0..pieces).map(piece).sum::<u64>()
    });
    println!("\n{events} events in {pieces} segments, {:.2} bytes an event, made in {:.0} s", bytes as f64 / events as f64, ms / 1000.0);
    let program = std::env::current_exe().expect("this program");
    let status = Command::new(program).arg(ASK).arg(&folder).status().expect("this program runs");
    assert!(status.success(), "{status}");
}

/// Asks the segments in `folder`.
pub(crate) fn ask(folder: &Path) {
    let listed = std::fs::read_dir(folder).expect("the folder is there");
    let paths: Vec<PathBuf> = listed.map(|entry| entry.expect("an entry").path()).collect();
    let (ms, snapshot) = timed(|| opened(&paths));
    println!("{:<32} {:>10} {:>10}", "", "bar", "");
    let print = |what: &str, bar: f64, value: f64| println!("{what:<32} {bar:>10.3} {value:>10.3}");
    print("live segments", 24.0, paths.len() as f64);
    print("opened, ms", 1000.0, ms);
    print("anonymous memory, MB", 128.0, anonymous_mb());
    print("goal_year_by_day_totals, ms", 1.0, warm(&snapshot, questions::goal_totals));
    print("goal_year_by_day_distinct, ms", 2.0, warm(&snapshot, questions::goal_distinct));
    for question in QUESTIONS.iter().cycle().take(1000) {
        (question.ask)(&snapshot);
    }
    print("the same after 1,000 questions", 128.0, anonymous_mb());
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
