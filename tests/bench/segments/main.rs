//! `make bench`: what a segment costs and how fast it answers, beside ClickHouse and DuckDB on the same events.
//!
//! The engines' own times are inside their process; ours are `query`'s, inside this one. Every answer is compared: a difference ends the
//! bench. Times are in milliseconds, warm ones the median of many; cold ones read from the disk.
//!
//! `HITKEEP_BENCH_EVENTS` sets how many events the year has, and `HITKEEP_BENCH_ENGINES=0` leaves the engines out. `SCALE=20` makes a
//! year of twenty times as many events as well, in several segments, and asks it in a process of its own.

#![forbid(unsafe_code)]

mod arena;
mod engines;
mod large;
mod questions;
#[path = "../shop.rs"]
mod shop;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use format::fs::RealFs;
use format::sealed::{IdBatch, IdKey, SegmentHeader};
use format::{Level, Segment, SegmentId, Sequence, UnixMicros};
use query::{ColumnRule, Input, Snapshot, Target};

use arena::{Arena, Ids, SITE, Shares, WithIds};
use engines::{Engine, Said};
use questions::{QUESTIONS, Question};
use shop::Shop;

const SEED: u64 = 2025;
const EVENTS: u64 = 5_000_000;
const RUNS: usize = 21;
const ID_SECRET: [u8; 16] = *b"of event ids: 16";

/// Segments that a load in several streams has made and nothing has merged yet.
const LOADED: u32 = 24;

fn main() {
    // Cargo puts `--bench` behind the name of the program.
    if let Some(folder) = std::env::args().skip_while(|argument| argument != large::ASK).nth(1) {
        return large::ask(Path::new(&folder));
    }
    let events = number("HITKEEP_BENCH_EVENTS", EVENTS);
    let folder = tempfile::tempdir().expect("a folder for the bench");
    let folder = folder.path();
    println!("{events} events of one year, seed {SEED}\n");
    let engines = if number("HITKEEP_BENCH_ENGINES", 1) == 0 { Vec::new() } else { engines::ask(Shop::new(SEED, events), folder) };
    let arena = Arena::fill(&mut Shop::new(SEED, events), events, Sequence::FIRST);
    let begun = Instant::now();
    let alone = sealed(&arena, folder, 1);
    println!("sealed and compared in {:.1} s\n", begun.elapsed().as_secs_f64());
    let uuids = sealed(&WithIds { arena: &arena, ids: Ids::Uuid }, folder, 2);
    let tracked = sealed(&WithIds { arena: &arena, ids: Ids::Tracker }, folder, 3);
    print_sizes(&[("segment", 11.0, &alone), ("with UUIDs", 35.0, &uuids), ("with ids of hk.js", 29.0, &tracked)], events, &engines);
    let share = |number| sealed(&Shares { arena: &arena, number, all: LOADED }, folder, 4 + u64::from(number));
    let loaded: Vec<PathBuf> = (0..LOADED).map(share).collect();
    print_answers(&[alone], &loaded, &engines);
    print_ids(&uuids, Ids::Uuid, arena.rows());
    let scale = number("SCALE", 1);
    if scale > 1 {
        drop(arena);
        large::run(folder, events * scale);
    }
}

/// What a variable says, or else `default`.
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Seals all rows into one segment and gives its path.
fn sealed(rows: &impl Input, folder: &Path, id: u64) -> PathBuf {
    let header = SegmentHeader { id: SegmentId::new(id), salt: [7; 16], epoch: [1; 16], created: UnixMicros::EPOCH };
    let columns = ColumnRule::default();
    let target = Target { fs: &RealFs::default(), dir: folder, header: &header, id_secret: ID_SECRET, columns, level: Level::Arrived };
    let sealed = query::seal(target, rows, None, &|| false).expect("the rows can be sealed");
    sealed.finished.commit().expect("the trailer can be written");
    sealed.finished.path().to_owned()
}

fn print_sizes(segments: &[(&str, f64, &Path)], events: u64, engines: &[Engine]) {
    let each = |bytes: u64| bytes as f64 / events as f64;
    println!("{:<18} {:>14} {:>7} {:>9}", "", "bytes an event", "bar", "loaded, s");
    for (name, bar, path) in segments {
        println!("{name:<18} {:>14.2} {bar:>7.0}", each(bytes(path)));
    }
    for engine in engines {
        println!("{:<18} {:>14.2} {:>7} {:>9.1}", engine.name, each(engine.bytes), "", engine.load_seconds);
    }
    println!();
}

fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).expect("the segment is there").len()
}

fn print_answers(alone: &[PathBuf], loaded: &[PathBuf], engines: &[Engine]) {
    let head = ["bar", "warm", "cold", "24, warm", "24, cold", "ClickHouse", "DuckDB"];
    print!("{:<32}", "question, ms");
    head.iter().for_each(|head| print!(" {head:>10}"));
    println!();
    let (one, many) = (snapshot_of(alone), snapshot_of(loaded));
    for question in &QUESTIONS {
        let (warm, rows) = warm(question, &one);
        let said: Vec<&Said> = engines.iter().filter_map(|engine| engine.said.get(question.name)).collect();
        for (said, engine) in said.iter().zip(engines) {
            assert!(said.rows == rows, "{}: {} says otherwise", question.name, engine.name);
        }
        print!("{:<32} {:>10.3} {warm:>10.3} {:>10.3}", question.name, question.bar(&one), cold(question, alone));
        if question.is_series {
            let (warm, of_many) = self::warm(question, &many);
            assert!(of_many == rows, "{}: {LOADED} segments say otherwise", question.name);
            print!(" {warm:>10.3} {:>10.3}", cold(question, loaded));
        } else {
            print!(" {:>10} {:>10}", "", "");
        }
        said.iter().for_each(|said| print!(" {:>10.2}", said.ms));
        println!();
    }
}

fn snapshot_of(paths: &[PathBuf]) -> Snapshot {
    Snapshot::new(&[], &opened(paths))
}

fn opened(paths: &[PathBuf]) -> Vec<Arc<Segment>> {
    paths.iter().map(|path| open(path)).collect()
}

fn open(path: &Path) -> Arc<Segment> {
    Segment::open(&RealFs::default(), path).expect("the segment that was written")
}

/// The median of several times, and the answer.
fn warm(question: &Question, snapshot: &Snapshot) -> (f64, Vec<(String, u64)>) {
    let mut times: Vec<f64> = (0..RUNS).map(|_| timed(|| (question.ask)(snapshot)).0).collect();
    times.sort_by(f64::total_cmp);
    (times[RUNS / 2], (question.ask)(snapshot).rows())
}

/// The time with none of the segments in memory: opened anew, so that no page is mapped, and taken out of the page cache.
fn cold(question: &Question, paths: &[PathBuf]) -> f64 {
    let snapshot = snapshot_of(paths);
    for path in paths {
        let file = std::fs::File::open(path).expect("the segment is there");
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("the system takes advice");
    }
    timed(|| (question.ask)(&snapshot)).0
}

fn timed<T>(run: impl FnOnce() -> T) -> (f64, T) {
    let begun = Instant::now();
    let result = run();
    (begun.elapsed().as_secs_f64() * 1000.0, result)
}

/// What it costs to look for event ids: one that is there, one that is not, and batches of both.
fn print_ids(path: &Path, ids: Ids, rows: u32) {
    const LOOKS: u32 = 2_000;
    const BATCH: u32 = 50_000;
    let segment = open(path);
    let id = |number: u32| ids.of((u64::from(number) * u64::from(rows) / u64::from(BATCH)) as u32);
    let absent = |number: u32| ids.of(rows + number);
    let each = |count: u32, ms: f64| ms * 1e6 / f64::from(count);
    println!("\n{:<32} {:>10}", "event ids of one segment, ns an id", "");
    for (name, id, is_there) in [("there", &id as &dyn Fn(u32) -> String, true), ("not there", &absent, false)] {
        let texts: Vec<String> = (0..BATCH).map(id).collect();
        let look = |text: &String| assert!(segment.find_event_id(SITE, text).expect("an answer").is_some() == is_there, "{text}");
        texts.iter().step_by((BATCH / LOOKS) as usize).for_each(look);
        let one = timed(|| texts.iter().step_by((BATCH / LOOKS) as usize).for_each(look)).0;
        let batch = IdBatch::new(IdKey::derive(ID_SECRET), texts.iter().map(|text| (SITE, text.as_str())).collect());
        let (many, found) = timed(|| segment.find_event_ids(&batch).expect("an answer").len());
        assert_eq!(found, if is_there { BATCH as usize } else { 0 }, "what is there is found");
        println!("{name:<32} {:>10.0} one by one, {:.0} in batches", each(LOOKS, one), each(BATCH, many));
    }
}
