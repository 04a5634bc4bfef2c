//! `make bench`: how fast single events are stored, and what the daemon costs while it does nothing.
//!
//! Runs in turn, A B A B, so that a machine that changes its mind shows: A is the bare server, B the daemon with
//! `--sync always` and the limiters off. Then memory on an empty directory, and a start on a million events.
//!
//! On a shared machine the hypervisor takes processor time away in some runs and not in others. A round in which it took more
//! than [`MAX_STOLEN_PERCENT`] from either side is shown, and left out of the result: it compares the neighbours.
//!
//! The daemon seals and compacts beside the events, and goes on for a while when they stop. The bare server waits for that to end.
//!
//! `HITKEEP_BENCH_SECONDS` sets the length of a run.

#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use format::LogId;
use support::processor::{await_rest, processor_time};
use support::{Daemon, Options, SITE_DOMAIN, binary};

const CONNECTIONS: &str = "128";

/// How often both are measured at least: short runs in quick turns, so that a neighbour's noise falls on both.
const ROUNDS: usize = 6;

/// After how many rounds the bench stops waiting for quiet ones.
const MOST_ROUNDS: usize = 24;

/// The share of the machine's processor time that others may take in a run that counts.
const MAX_STOLEN_PERCENT: f64 = 4.0;

const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// What wrk saw in one run.
struct Run {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    failed: u64,
    /// The share of the machine's processor time that the hypervisor gave to others.
    stolen_percent: f64,
}

fn main() {
    let seconds = std::env::var("HITKEEP_BENCH_SECONDS").map_or(5, |seconds| seconds.parse().expect("a number of seconds"));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!("{cores} cores, {CONNECTIONS} connections, {seconds} s a run\n");
    single_events(seconds);
    idle_memory();
    start_on_a_million_events();
}

fn single_events(seconds: u64) {
    let bare = Bare::start();
    let daemon = Options::new()
        .binary(binary::hitkeepd_released())
        .flag("--sync", "always")
        .flag("--segment-bytes", &SEGMENT_BYTES.to_string())
        .start();
    daemon.create_site(SITE_DOMAIN);
    println!(
        "{:<10} {:>11} {:>8} {:>8} {:>8} {:>7} {:>7}  RssAnon at most",
        "run", "requests/s", "p50 ms", "p99 ms", "max ms", "failed", "stolen"
    );
    let (mut quiet, mut disturbed) = (Vec::new(), Vec::new());
    let rotations = || newest_log(&daemon.data_path().join("logs")) - 1;
    // A slow machine takes more rounds to fill the logs that a measurement must have seen.
    for round in 1..=MOST_ROUNDS {
        let (bare_run, memory_kb) = measured(&bare.url, bare.child.id(), seconds);
        show(&format!("bare {round}"), &bare_run, memory_kb);
        let (run, memory_kb) = measured(&daemon.url(), daemon.pid().unsigned_abs(), seconds);
        show(&format!("daemon {round}"), &run, memory_kb);
        assert_eq!(run.failed, 0, "an event was refused");
        await_rest(daemon.pid());
        let is_quiet = bare_run.stolen_percent.max(run.stolen_percent) <= MAX_STOLEN_PERCENT;
        if is_quiet { &mut quiet } else { &mut disturbed }.push((bare_run.per_second, run.per_second));
        if quiet.len() >= ROUNDS && rotations() >= 3 {
            break;
        }
    }
    println!("\nover {} rotations, daemon / bare:", rotations());
    show_ratio("quiet rounds", &quiet);
    show_ratio("disturbed rounds", &disturbed);
}

/// The number of the newest log: they count from 1, and those before it may be sealed and gone.
fn newest_log(folder: &Path) -> u64 {
    let names = std::fs::read_dir(folder).expect("the daemon keeps logs").map(|entry| entry.expect("a name").file_name());
    let id = |name: std::ffi::OsString| LogId::from_file_name(name.to_str()?).map(LogId::value);
    names.filter_map(id).max().expect("one log is open")
}

/// The rates of the bare server and of the daemon in each of some rounds, compared.
fn show_ratio(name: &str, rounds: &[(f64, f64)]) {
    let mut percents: Vec<f64> = rounds.iter().map(|(bare, daemon)| 100.0 * daemon / bare).collect();
    percents.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (percents.first(), percents.last()) else {
        println!("{name:<17} none");
        return;
    };
    let (bare, daemon) = rounds.iter().fold((0.0, 0.0), |sum, round| (sum.0 + round.0, sum.1 + round.1));
    println!(
        "{name:<17} {:.1} % of {} rounds, their median {:.1} %, from {least:.1} to {most:.1} %",
        100.0 * daemon / bare,
        rounds.len(),
        percents[percents.len() / 2],
    );
}

fn show(name: &str, run: &Run, memory_kb: u64) {
    println!(
        "{name:<10} {:>11.0} {:>8.2} {:>8.2} {:>8.1} {:>7} {:>6.1}%  {:.1} MB",
        run.per_second,
        run.p50_ms,
        run.p99_ms,
        run.max_ms,
        run.failed,
        run.stolen_percent,
        memory_kb as f64 / 1024.0
    );
}

/// One run, and the most anonymous memory that the server had during it.
fn measured(url: &str, pid: u32, seconds: u64) -> (Run, u64) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                most = most.max(support::daemon::memory_kb(pid.cast_signed(), "RssAnon"));
                std::thread::sleep(Duration::from_millis(100));
            }
            most
        });
        let before = processor_time();
        let mut run = wrk(url, seconds);
        let after = processor_time();
        run.stolen_percent = 100.0 * (after.0 - before.0) / (after.1 - before.1);
        over.store(true, Ordering::Relaxed);
        (run, watching.join().expect("the server is there during the run"))
    })
}

fn wrk(url: &str, seconds: u64) -> Run {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/event.lua");
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", CONNECTIONS, "--duration", &format!("{seconds}s"), "--script"])
        .arg(script)
        .args([url, "--", &format!("https://{SITE_DOMAIN}")])
        .output()
        .expect("wrk is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT ")).unwrap_or_else(|| panic!("wrk said:\n{text}"));
    let value = |name: &str| -> f64 {
        let field = result.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        field.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {result}"))
    };
    Run {
        per_second: value("requests") / value("duration_us") * 1e6,
        p50_ms: value("p50_us") / 1e3,
        p99_ms: value("p99_us") / 1e3,
        max_ms: value("max_us") / 1e3,
        failed: value("failed") as u64,
        stolen_percent: 0.0,
    }
}

fn idle_memory() {
    let daemon = Options::bare().binary(binary::hitkeepd_released()).start();
    std::thread::sleep(Duration::from_secs(3));
    let (anonymous, file) = (daemon.memory_kb("RssAnon"), daemon.memory_kb("RssFile"));
    println!("idle on an empty directory: RssAnon {:.1} MB, RssFile {:.1} MB", anonymous as f64 / 1024.0, file as f64 / 1024.0);
}

/// Fills through the batch endpoint, kills, and starts again.
fn start_on_a_million_events() {
    const EVENTS: usize = 1_000_000;
    const LINES: usize = 8_000;
    let daemon = Options::new().binary(binary::hitkeepd_released()).start();
    daemon.create_site(SITE_DOMAIN);
    let begun = Instant::now();
    let (mut connection, bearer) = (daemon.connect(), format!("Bearer {}", daemon.token()));
    let mut body = String::new();
    for first in (0..EVENTS).step_by(LINES) {
        body.clear();
        for number in first..(first + LINES).min(EVENTS) {
            let (minute, session) = (number % 1440, number % 50_000);
            body.push_str(&format!(
                "{{\"event_id\":\"fill-{number}\",\"name\":\"event-{}\",\"url\":\"https://{SITE_DOMAIN}/page/{}\",\"timestamp\":\"2026-03-01T{:02}:{:02}:00Z\",\"session_id\":\"00000000-0000-4000-8000-{session:012x}\"}}\n",
                number % 10, number % 500, minute / 60, minute % 60,
            ));
        }
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/x-ndjson")];
        let answer = connection.send("POST", "/api/ingest/server/events", &headers, Some(body.as_bytes())).expect("a batch is answered");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["rejected"], 0, "{}", answer.text());
    }
    println!("\n{EVENTS} events sent in batches of {LINES} lines in {:.1} s", begun.elapsed().as_secs_f64());
    let mut options = daemon.kill();
    for end in ["a kill", "a drain"] {
        let begun = Instant::now();
        let daemon = options.start();
        println!("start on {EVENTS} unsealed events after {end}: {:.2} s", begun.elapsed().as_secs_f64());
        println!("  RssAnon then: {:.1} MB", daemon.memory_kb("RssAnon") as f64 / 1024.0);
        let (status, stopped) = Daemon::terminate(daemon);
        assert!(status.success(), "{status}");
        options = stopped;
    }
}

/// The bare server, killed when dropped.
struct Bare {
    child: Child,
    url: String,
}

impl Bare {
    fn start() -> Bare {
        let mut child = Command::new(binary::bare_server()).stdout(Stdio::piped()).spawn().expect("the bare server runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the bare server says where it listens");
        let url = line.trim().strip_prefix("listening on ").expect("an address").to_owned();
        Bare { child, url }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
