//! `make bench`: what a dashboard feels, over HTTP, and what its questions cost those who send events meanwhile.
//!
//! The daemon is loaded with the year of a made-up shop and left alone until it has sealed and merged. One client asks for a year of a goal;
//! then single events arrive at a fixed rate, with and without eight clients that ask all the time, in turn.
//!
//! Events are sent when their time has come, whether or not earlier ones were answered in time, and their latency counts from
//! that time: a stall is felt by all who would have sent during it.
//!
//! `HITKEEP_BENCH_EVENTS` sets how many events the year has.

#![forbid(unsafe_code)]

mod shop;

use std::ffi::OsString;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use support::processor::processor_time;
use support::{Connection, Daemon, Options, SITE_DOMAIN, binary};

use shop::{Event, Random, Shop};

const SEED: u64 = 2025;
const EVENTS: u64 = 5_000_000;

/// Ten seconds without an event, after which the daemon merges all that has arrived, and a little more.
const IDLE: Duration = Duration::from_secs(12);

/// Lines of a body: what 2 MiB hold.
const LINES: usize = 4_000;

/// What is asked for most: half of all events.
const PAGE_VIEWED: &str = "page_viewed";

/// How often the year of the goal is asked for.
const QUESTIONS: usize = 2_000;

/// Single events a second, on how many connections.
const EVENT_RATE: u32 = 2_000;
const EVENT_CONNECTIONS: u32 = 16;

/// Clients that ask, and how often each does a second.
const CLIENTS: u32 = 8;
const CLIENT_RATE: u32 = 50;

/// How long a run of single events is, and how often both kinds run in turn. Short, and many: a disk that stalls by itself should spoil few.
const RUN: Duration = Duration::from_secs(4);
const ROUNDS: usize = 9;

fn main() {
    let events = std::env::var("HITKEEP_BENCH_EVENTS").map_or(EVENTS, |text| text.parse().expect("a number of events"));
    let daemon = Options::new().binary(binary::hitkeepd_released()).start();
    let site = daemon.create_site(SITE_DOMAIN);
    for name in ["purchase", "signup_completed", PAGE_VIEWED] {
        daemon.create_goal(&site, name, name);
    }
    load(&daemon, events);
    let begun = Instant::now();
    let segments = daemon.seal().segments;
    let live = await_merged(&daemon).len();
    println!("sealed in {segments} segments, at rest after {:.0} s; live segments {live} (bar 12)", begun.elapsed().as_secs_f64());
    let dashboard = Dashboard::new(&daemon, &site);
    println!("\n{:<32} {:>8} {:>8} {:>8}", "over HTTP, ms", "bar p50", "p50", "p99");
    for (name, path) in &dashboard.questions {
        let bar = if name.starts_with("a goal") { "0.5" } else { "" };
        let times = dashboard.ask(path, QUESTIONS);
        println!("{name:<32} {bar:>8} {:>8.3} {:>8.3}", percentile(&times, 50), percentile(&times, 99));
    }
    println!("anonymous memory {:.1} MB\n", daemon.memory_kb("RssAnon") as f64 / 1024.0);
    events_beside_questions(&daemon, &dashboard);
}

/// Returns the files of segments and their lengths when they have not changed for longer than the daemon waits before it merges them all.
fn await_merged(daemon: &Daemon) -> Vec<(OsString, u64)> {
    let list = || {
        let listed = std::fs::read_dir(daemon.data_path().join("segments")).expect("the daemon keeps segments");
        let entries = listed.map(|entry| entry.expect("an entry"));
        // One that has gone since it was listed is a change, and is not there.
        let mut files: Vec<_> = entries.filter_map(|entry| Some((entry.file_name(), entry.metadata().ok()?.len()))).collect();
        files.sort();
        files
    };
    let (mut since, mut before) = (Instant::now(), list());
    while since.elapsed() < IDLE {
        thread::sleep(Duration::from_millis(200));
        let now = list();
        if now != before {
            (since, before) = (Instant::now(), now);
        }
    }
    before
}

/// Sends the year through the batch endpoint.
fn load(daemon: &Daemon, events: u64) {
    let (mut shop, mut connection, bearer) = (Shop::new(SEED, events), daemon.connect(), format!("Bearer {}", daemon.token()));
    let begun = Instant::now();
    let mut body = String::new();
    for first in (0..events).step_by(LINES) {
        body.clear();
        for _ in first..(first + LINES as u64).min(events) {
            push_line(&mut body, &shop.next().expect("as many as were asked for"));
        }
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/x-ndjson")];
        loop {
            let answer =
                connection.send("POST", "/api/ingest/server/events", &headers, Some(body.as_bytes())).expect("a batch is answered");
            match answer.status {
                200 => break assert_eq!(answer.json()["rejected"], 0, "{}", answer.text()),
                // The sealer is behind.
                503 => thread::sleep(Duration::from_millis(50)),
                status => panic!("{status} {}", answer.text()),
            }
        }
    }
    println!("{events} events of one year, seed {SEED}, sent in batches of {LINES} lines in {:.1} s", begun.elapsed().as_secs_f64());
}

fn push_line(body: &mut String, event: &Event<'_>) {
    let name = if event.name.is_empty() { PAGE_VIEWED } else { event.name };
    let time = Timestamp::from_microsecond(event.time).expect("an instant of that year");
    let (session, path, user_agent) = (uuid(event.session), event.path, event.user_agent);
    let source = event.utm_source.map(|source| format!("?utm_source={source}")).unwrap_or_default();
    let referrer = event.referrer.unwrap_or_default();
    let properties = if event.properties.is_empty() { "{}" } else { event.properties };
    writeln!(
        body,
        r#"{{"name":"{name}","url":"https://{SITE_DOMAIN}{path}{source}","referrer":"{referrer}","user_agent":"{user_agent}","timestamp":"{time}","session_id":"{session}","properties":{properties}}}"#
    )
    .expect("a String takes every text");
}

fn uuid(bytes: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// Somebody who looks at the year.
struct Dashboard<'a> {
    daemon: &'a Daemon,
    bearer: String,
    questions: Vec<(&'static str, String)>,
}

impl<'a> Dashboard<'a> {
    fn new(daemon: &'a Daemon, site: &str) -> Dashboard<'a> {
        let goals = daemon.read(&format!("/api/sites/{site}/goals"));
        let goal = |name: &str| {
            let goal = goals.as_array().expect("an array").iter().find(|goal| goal["name"] == name).expect("it was made");
            goal["id"].as_str().expect("a text").to_owned()
        };
        let year = "from=2025-01-01T00:00:00Z&to=2025-12-31T23:59:59Z";
        let week = "from=2025-05-21T00:00:00Z&to=2025-05-27T23:59:59Z";
        let path = |question: String| format!("/api/sites/{site}/{question}");
        let (purchase, viewed) = (goal("purchase"), goal(PAGE_VIEWED));
        let questions = vec![
            ("a goal, year by day", path(format!("goals/timeseries?goal_id={purchase}&interval=day&{year}"))),
            ("half of all events, year by day", path(format!("goals/timeseries?goal_id={viewed}&interval=day&{year}"))),
            ("a week by hour", path(format!("goals/timeseries?goal_id={purchase}&interval=hour&{week}"))),
            ("names", path(format!("events/names?{year}"))),
            ("a breakdown", path(format!("events/breakdown?event_name=purchase&property_key=payment&{year}"))),
        ];
        Dashboard { daemon, bearer: format!("Bearer {}", daemon.token()), questions }
    }

    /// Milliseconds of each of `count` questions on one connection, sorted.
    fn ask(&self, path: &str, count: usize) -> Vec<f64> {
        let mut connection = self.daemon.connect();
        let mut times: Vec<f64> = (0..count).map(|_| milliseconds(Instant::now(), || self.answered(&mut connection, path))).collect();
        times.sort_by(f64::total_cmp);
        times
    }

    fn answered(&self, connection: &mut Connection, path: &str) {
        let answer = connection.send("GET", path, &[("Authorization", &self.bearer)], None).expect("a question is answered");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
}

/// Rounds without and with questions, in turn.
fn events_beside_questions(daemon: &Daemon, dashboard: &Dashboard<'_>) {
    println!(
        "{EVENT_RATE} single events a second, {CLIENTS} clients asking {CLIENT_RATE} questions a second each\n{:<16} {:>8} {:>8} {:>8} {:>12} {:>7}",
        "run", "p50 ms", "p99 ms", "max ms", "questions/s", "stolen"
    );
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        for (name, clients, all) in [("alone", 0, &mut alone), ("with questions", CLIENTS, &mut beside)] {
            let before = processor_time();
            let (mut times, asked) = run(daemon, dashboard, clients);
            let after = processor_time();
            times.sort_by(f64::total_cmp);
            println!(
                "{:<16} {:>8.2} {:>8.2} {:>8.1} {:>12.0} {:>6.1}%",
                format!("{name} {round}"),
                percentile(&times, 50),
                percentile(&times, 99),
                percentile(&times, 100),
                asked as f64 / RUN.as_secs_f64(),
                100.0 * (after.0 - before.0) / (after.1 - before.1),
            );
            all.push(percentile(&times, 99));
        }
    }
    let (alone, beside) = (median(alone), median(beside));
    println!("p99 with questions {beside:.2} ms (bar 10), {:.2} times that without (bar 2)", beside / alone);
}

/// The latencies of events, in milliseconds, and how many questions were answered meanwhile.
fn run(daemon: &Daemon, dashboard: &Dashboard<'_>, clients: u32) -> (Vec<f64>, u64) {
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let times = thread::scope(|scope| {
        for client in 0..clients {
            let (over, asked) = (&over, &asked);
            scope.spawn(move || {
                let (mut connection, mut random) = (daemon.connect(), Random::new(u64::from(client)));
                let mut pace = Pace::new(Duration::from_secs(1) / CLIENT_RATE, client, clients);
                while !over.load(Ordering::Relaxed) {
                    pace.wait();
                    let (_, path) = &dashboard.questions[random.next() as usize % dashboard.questions.len()];
                    dashboard.answered(&mut connection, path);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let senders: Vec<_> = (0..EVENT_CONNECTIONS).map(|number| scope.spawn(move || send_events(daemon, number))).collect();
        let times = senders.into_iter().flat_map(|sender| sender.join().expect("events are answered")).collect();
        over.store(true, Ordering::Relaxed);
        times
    });
    (times, asked.into_inner())
}

/// One connection's share of the events.
fn send_events(daemon: &Daemon, number: u32) -> Vec<f64> {
    let mut connection = daemon.connect();
    let mut pace = Pace::new(Duration::from_secs(1) * EVENT_CONNECTIONS / EVENT_RATE, number, EVENT_CONNECTIONS);
    let origin = format!("https://{SITE_DOMAIN}");
    let headers = [("Origin", origin.as_str()), ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")];
    let count = RUN.as_secs() as u32 * EVENT_RATE / EVENT_CONNECTIONS;
    let send = |_| {
        let due = pace.wait();
        milliseconds(due, || {
            let answer = connection.send("POST", "/ingest/event", &headers, Some(br#"{"n":"video_played","p":{"seconds":30}}"#));
            let answer = answer.expect("an event is answered");
            assert!(answer.status == 202 && answer.sequence().is_some(), "{} {}", answer.status, answer.text());
        })
    };
    (0..count).map(send).collect()
}

/// When the next of a steady row is due; it never waits for those that are late.
struct Pace {
    due: Instant,
    period: Duration,
}

impl Pace {
    /// One of `all` that are spread evenly over a period.
    fn new(period: Duration, number: u32, all: u32) -> Pace {
        Pace { due: Instant::now() + period * number / all, period }
    }

    /// Sleeps until the next is due, and gives that instant.
    fn wait(&mut self) -> Instant {
        let due = self.due;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        self.due += self.period;
        due
    }
}

fn milliseconds(since: Instant, act: impl FnOnce()) -> f64 {
    act();
    since.elapsed().as_secs_f64() * 1000.0
}

/// Of sorted times.
fn percentile(times: &[f64], percent: usize) -> f64 {
    times[(times.len() - 1) * percent / 100]
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    percentile(&times, 50)
}
