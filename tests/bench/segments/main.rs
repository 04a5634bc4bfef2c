//! `make bench`: what a segment costs and how fast it answers, beside ClickHouse and DuckDB on the same events.
//!
//! The engines' own times are inside their process; ours are `query`'s, inside this one. Every answer is compared: a difference ends the
//! bench. `HITKEEP_BENCH_EVENTS` sets how many events the year has.

#![forbid(unsafe_code)]

mod arena;
mod engines;
mod shop;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use format::fs::RealFs;
use format::sealed::SegmentHeader;
use format::{Segment, SegmentId, UnixMicros};
use query::{Answer, Buckets, ColumnRule, Condition, Point, PropertyKey, Snapshot, Span, Target, Term, Unit, Zone};

use arena::{Arena, SITE};
use engines::{Engine, Said};
use shop::{Shop, YEAR_END, YEAR_FROM};

const SEED: u64 = 2025;
const EVENTS: u64 = 5_000_000;
const RUNS: usize = 21;
const ID_SECRET: [u8; 16] = *b"of event ids: 16";
const DAY: i64 = 86_400_000_000;

/// The week of the hourly question: as `engines.py` has it.
const WEEK_FROM: i64 = YEAR_FROM + 140 * DAY;

fn main() {
    let events = std::env::var("HITKEEP_BENCH_EVENTS").map_or(EVENTS, |events| events.parse().expect("a number of events"));
    let folder = tempfile::tempdir().expect("a folder for the bench");
    println!("{events} events of one year, seed {SEED}\n");
    let engines = engines::ask(Shop::new(SEED, events), folder.path());
    let path = sealed(&Arena::fill(Shop::new(SEED, events)), folder.path());
    print_sizes(&path, events, &engines);
    let segment = Segment::open(&RealFs, &path).expect("the segment that was just written");
    println!("{:<34} {:>10} {:>10} {:>10} {:>10}", "question, ms", "warm", "cold", "ClickHouse", "DuckDB");
    for question in QUESTIONS {
        let (cold, _) = timed(|| ask(question, &cold(&path)));
        let mut warm: Vec<f64> = (0..RUNS).map(|_| timed(|| ask(question, &segment)).0).collect();
        warm.sort_by(f64::total_cmp);
        let rows = ask(question, &segment);
        let said: Vec<&Said> = engines.iter().filter_map(|engine| engine.said.get(question)).collect();
        for (said, engine) in said.iter().zip(&engines) {
            assert!(said.rows == rows, "{question}: {} says otherwise", engine.name);
        }
        print!("{question:<34} {:>10.3} {cold:>10.3}", warm[RUNS / 2]);
        said.iter().for_each(|said| print!(" {:>10.2}", said.ms));
        println!();
    }
}

/// Seals all rows into one segment and gives its path.
fn sealed(rows: &Arena, folder: &Path) -> std::path::PathBuf {
    let header = SegmentHeader { id: SegmentId::FIRST, salt: [7; 16], epoch: [1; 16], created: UnixMicros::EPOCH };
    let target = Target { fs: &RealFs, dir: folder, header: &header, id_secret: ID_SECRET, columns: ColumnRule::default() };
    let begun = Instant::now();
    let sealed = query::seal(target, rows, None, &|| false).expect("the rows can be sealed");
    sealed.finished.commit().expect("the trailer can be written");
    let seconds = begun.elapsed().as_secs_f64();
    println!("sealed and compared in {seconds:.1} s\n");
    sealed.finished.path().to_owned()
}

fn print_sizes(path: &Path, events: u64, engines: &[Engine]) {
    let bytes = std::fs::metadata(path).expect("the segment is there").len();
    let each = |bytes: u64| bytes as f64 / events as f64;
    println!("{:<12} {:>14} {:>9}", "", "bytes an event", "loaded, s");
    println!("{:<12} {:>14.2}", "segment", each(bytes));
    for engine in engines {
        println!("{:<12} {:>14.2} {:>9.1}", engine.name, each(engine.bytes), engine.load_seconds);
    }
    println!();
}

/// The segment, opened anew, with none of it in memory.
fn cold(path: &Path) -> Arc<Segment> {
    let file = std::fs::File::open(path).expect("the segment is there");
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("the system takes advice");
    Segment::open(&RealFs, path).expect("the segment that was written")
}

fn timed<T>(run: impl FnOnce() -> T) -> (f64, T) {
    let begun = Instant::now();
    let result = run();
    (begun.elapsed().as_secs_f64() * 1000.0, result)
}

/// As `engines.py` names them.
const QUESTIONS: [&str; 10] = [
    "goal_year_by_day_totals",
    "goal_year_by_day_distinct",
    "pageview_year_by_day_distinct",
    "goal_year_by_hour_distinct",
    "goal_week_by_hour_distinct",
    "goal_where_year_by_day_distinct",
    "path_year_by_day_distinct",
    "breakdown",
    "names",
    "unique_by_name",
];

/// Puts a question to the segment; the rows are those that SQL gives: no empty buckets.
fn ask(question: &str, segment: &Arc<Segment>) -> Vec<(String, u64)> {
    let snapshot = Snapshot::new(&[], &[Arc::clone(segment)]);
    let year = span(YEAR_FROM, YEAR_END);
    let goal = Term::Event("purchase");
    let distinct = |point: &Point| point.conversions;
    match question {
        "goal_year_by_day_totals" => series(&snapshot, goal, (YEAR_FROM, YEAR_END), Unit::Day, &[], |point| point.total),
        "goal_year_by_day_distinct" => series(&snapshot, goal, (YEAR_FROM, YEAR_END), Unit::Day, &[], distinct),
        "pageview_year_by_day_distinct" => series(&snapshot, Term::Pageviews, (YEAR_FROM, YEAR_END), Unit::Day, &[], distinct),
        "goal_year_by_hour_distinct" => series(&snapshot, goal, (YEAR_FROM, YEAR_END), Unit::Hour, &[], distinct),
        "goal_week_by_hour_distinct" => series(&snapshot, goal, (WEEK_FROM, WEEK_FROM + 7 * DAY), Unit::Hour, &[], distinct),
        "goal_where_year_by_day_distinct" => {
            let club = Condition::Property { key: PropertyKey::parse("plan").expect("a key"), value: "club".to_owned() };
            series(&snapshot, goal, (YEAR_FROM, YEAR_END), Unit::Day, &[club], distinct)
        }
        "path_year_by_day_distinct" => series(&snapshot, Term::Path("/checkout/done"), (YEAR_FROM, YEAR_END), Unit::Day, &[], distinct),
        "breakdown" => {
            let key = PropertyKey::parse("payment").expect("a key");
            let rows = whole(snapshot.breakdown(SITE, "purchase", &key, year, 1000).expect("an answer"));
            sorted(rows.into_iter().map(|row| (row.name, row.sessions)).collect())
        }
        "names" => {
            let names = whole(snapshot.names(SITE, year).expect("an answer"));
            let pageviews = whole(snapshot.series(SITE, Term::Pageviews, year, &one_bucket(), &[]).expect("an answer"))[0].total;
            let rows = names.into_iter().map(|name| (name.name, name.count)).chain([("pageview".to_owned(), pageviews)]);
            sorted(rows.collect())
        }
        "unique_by_name" => {
            let unique = |term: Term<'_>| whole(snapshot.series(SITE, term, year, &one_bucket(), &[]).expect("an answer"))[0].conversions;
            let rows = shop::NAMES.into_iter().map(|(name, _)| (name.to_owned(), unique(Term::Event(name))));
            sorted(rows.chain([("pageview".to_owned(), unique(Term::Pageviews))]).filter(|(_, count)| *count > 0).collect())
        }
        other => unreachable!("{other} is no question"),
    }
}

fn series(
    snapshot: &Snapshot,
    term: Term<'_>,
    (from, end): (i64, i64),
    unit: Unit,
    conditions: &[Condition],
    count: impl Fn(&Point) -> u64,
) -> Vec<(String, u64)> {
    let buckets = Buckets::cut(micros(from), micros(end - 1), unit, &Zone::utc()).expect("few buckets");
    let points = whole(snapshot.series(SITE, term, span(from, end), &buckets, conditions).expect("an answer"));
    let rows = buckets.starts().zip(&points).map(|(start, point)| (start.micros().to_string(), count(point)));
    rows.filter(|(_, count)| *count > 0).collect()
}

fn one_bucket() -> Buckets {
    Buckets::whole(span(YEAR_FROM, YEAR_END))
}

fn whole<T>(answer: Answer<T>) -> T {
    assert!(answer.missing.is_empty(), "the segment is whole");
    answer.value
}

fn sorted(mut rows: Vec<(String, u64)>) -> Vec<(String, u64)> {
    rows.sort();
    rows
}

fn span(from: i64, end: i64) -> Span {
    Span::until(micros(from), micros(end))
}

fn micros(value: i64) -> UnixMicros {
    UnixMicros::new(value).expect("an instant of that year")
}
