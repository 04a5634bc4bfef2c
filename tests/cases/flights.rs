//! Three days of flights from New York, over the night on which the clocks go forward, against counted truth.
//!
//! 9 to 11 March 2013: 10 March has 23 hours in New York. A session is an aircraft, so it converts many times.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;

use serde_json::{Value, json};
use support::{Daemon, Options, Sealed, run_cli};

const DEPARTED: &str = "flight_departed";
const CANCELLED: &str = "flight_cancelled";
const THREE_DAYS: &str = "tz=America/New_York&from=2013-03-09T00:00:00-05:00&to=2013-03-12T00:00:00-04:00";

/// (time of the bucket, goal) -> (sessions, total), without the empty buckets.
type Points = BTreeMap<(String, String), (u64, u64)>;

fn data(name: &str) -> PathBuf {
    support::binary::workspace().join("tests/data").join(name)
}

fn truth() -> Value {
    serde_json::from_slice(&std::fs::read(data("flights-2013-03-dst.truth.json")).unwrap()).unwrap()
}

/// Where the flights are.
#[derive(Clone, Copy, Debug)]
enum In {
    /// In one log.
    Log,
    /// In a segment of a log.
    Segment,
    /// In several segments, and the last in a log.
    Both,
    /// In several segments, after a restart.
    Restarted,
    /// In one segment that several were merged into.
    Compacted,
    /// The same, of flights that came in any order.
    Shuffled,
}

const EVERYWHERE: [In; 6] = [In::Log, In::Segment, In::Both, In::Restarted, In::Compacted, In::Shuffled];

/// A daemon that holds the flights, and its site.
fn flown_to(place: In) -> (Daemon, String) {
    let (daemon, site) = match place {
        In::Log | In::Segment => {
            let (daemon, site, _) = flown();
            (daemon, site)
        }
        In::Both | In::Restarted | In::Compacted => flown_in_parts(flights().lines().collect()),
        In::Shuffled => {
            let flights = flights();
            let mut lines: Vec<&str> = flights.lines().collect();
            // By a hash of each: another order, the same at each run.
            lines.sort_by_key(|line| line.bytes().fold(7u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)));
            flown_in_parts(lines)
        }
    };
    match place {
        In::Log => (daemon, site),
        In::Segment => {
            assert_eq!(daemon.seal(), Sealed { segments: 1, rows: 2653 });
            (daemon, site)
        }
        In::Both => (daemon, site),
        In::Restarted => {
            let sealed = daemon.seal();
            assert!(sealed.segments > 1 && sealed.rows == 2653, "{sealed:?}");
            let daemon = daemon.kill().start();
            assert_eq!(daemon.seal().rows, 2653, "nothing is left to be sealed");
            (daemon, site)
        }
        In::Compacted | In::Shuffled => {
            assert!(daemon.seal().segments > 1);
            let begun = std::time::Instant::now();
            while daemon.seal().segments > 1 {
                assert!(begun.elapsed() < std::time::Duration::from_secs(120), "{}", daemon.output());
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            assert_eq!(daemon.seal(), Sealed { segments: 1, rows: 2653 });
            (daemon, site)
        }
    }
}

/// A daemon that holds the flights, its site, and what the import said.
fn flown() -> (Daemon, String, Value) {
    let (daemon, site) = airport(Options::new());
    let summary = import(&daemon);
    (daemon, site, summary)
}

/// A daemon with small logs that was sent these flights in ten parts, and its site.
fn flown_in_parts(lines: Vec<&str>) -> (Daemon, String) {
    let (daemon, site) = airport(Options::new().flag("--segment-bytes", "65536"));
    for part in lines.chunks(2653 / 10 + 1) {
        let sent = || daemon.as_owner("POST", "/api/ingest/server/events?site=flights.example", Some(&part.join("\n")));
        let mut answer = sent();
        while answer.status == 503 {
            std::thread::sleep(std::time::Duration::from_millis(10));
            answer = sent();
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["stored"], part.len(), "{}", answer.text());
    }
    (daemon, site)
}

/// The file of flights, one a line.
fn flights() -> String {
    let mut text = String::new();
    let file = std::fs::File::open(data("flights-2013-03-dst.ndjson.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

/// A daemon with a site and its goals.
fn airport(options: Options) -> (Daemon, String) {
    let daemon = options.start();
    run_cli(&daemon, &["site", "add", "flights.example"]).succeeded();
    let site = daemon.read("/api/sites")[0]["id"].as_str().unwrap().to_owned();
    run_cli(&daemon, &["goal", "add", DEPARTED, "--site", "flights.example"]).succeeded();
    run_cli(&daemon, &["goal", "add", CANCELLED, "--site", "flights.example"]).succeeded();
    (daemon, site)
}

fn import(daemon: &Daemon) -> Value {
    let file = data("flights-2013-03-dst.ndjson.gz");
    let printed = run_cli(daemon, &["import", file.to_str().unwrap(), "--json"]).succeeded();
    serde_json::from_str(printed.trim()).unwrap_or_else(|error| panic!("{error} in {printed:?}"))
}

fn goal_points(daemon: &Daemon, site: &str, query: &str) -> Points {
    let series = daemon.read(&format!("/api/sites/{site}/goals/timeseries?group_by=goal&{query}"));
    let mut points = Points::new();
    for goal in series.as_array().unwrap() {
        for point in goal["points"].as_array().unwrap() {
            let key = (point["time"].as_str().unwrap().to_owned(), goal["name"].as_str().unwrap().to_owned());
            let counts = (point["conversions"].as_u64().unwrap(), point["total"].as_u64().unwrap());
            if counts != (0, 0) {
                points.insert(key, counts);
            }
        }
    }
    points
}

/// The points of the counted truth, whose bucket names `time` turns into labels.
fn true_points(buckets: &Value, time: impl Fn(&str) -> String) -> Points {
    let mut points = Points::new();
    for (bucket, goals) in buckets.as_object().unwrap() {
        for (goal, counts) in goals.as_object().unwrap() {
            let counts = (counts["sessions"].as_u64().unwrap(), counts["total"].as_u64().unwrap());
            points.insert((time(bucket), goal.clone()), counts);
        }
    }
    points
}

#[test]
fn the_import_stores_every_flight_and_a_second_one_stores_none() {
    let (daemon, _, first) = flown();
    let second = import(&daemon);
    daemon.seal();
    let third = import(&daemon);
    let daemon = daemon.kill().start();
    let fourth = import(&daemon);
    for (summary, stored, duplicates) in [(first, 2653, 0), (second, 0, 2653), (third, 0, 2653), (fourth, 0, 2653)] {
        assert_eq!(summary["received"], 2653, "{summary}");
        assert_eq!(summary["stored"], stored, "{summary}");
        assert_eq!(summary["duplicates"], duplicates, "{summary}");
        assert_eq!(summary["rejected"], 0, "{summary}");
    }
}

#[test]
fn days_in_new_york_equal_the_truth_over_the_short_day() {
    // The clocks go forward at two in the morning of the 10th, so that day still starts at -05:00.
    let expected =
        true_points(&truth()["days_new_york"], |day| format!("{day}T00:00:00{}", if day == "2013-03-11" { "-04:00" } else { "-05:00" }));
    for place in EVERYWHERE {
        let (daemon, site) = flown_to(place);
        assert_eq!(goal_points(&daemon, &site, &format!("{THREE_DAYS}&interval=day")), expected, "{place:?}");
    }
}

#[test]
fn hours_in_new_york_equal_the_truth_over_the_missing_hour() {
    // "2013-03-09T05-05:00" names the hour that starts at 05:00 with the offset -05:00.
    let expected = true_points(&truth()["hours_new_york"], |hour| format!("{}:00:00{}", &hour[..13], &hour[13..]));
    let query = format!("{THREE_DAYS}&interval=hour");
    for place in EVERYWHERE {
        let (daemon, site) = flown_to(place);
        assert_eq!(goal_points(&daemon, &site, &query), expected, "{place:?}");

        let series = daemon.read(&format!("/api/sites/{site}/events/timeseries?event_name={DEPARTED}&{query}"));
        let times: Vec<&str> = series.as_array().unwrap().iter().map(|point| point["time"].as_str().unwrap()).collect();
        let short_day = times.iter().filter(|time| time.starts_with("2013-03-10")).count();
        assert_eq!(short_day, 23, "10 March has 23 hours: {times:?}");
    }
}

#[test]
fn a_restart_changes_no_answer() {
    let (daemon, site, _) = flown();
    let query = format!("{THREE_DAYS}&interval=hour");
    let before = goal_points(&daemon, &site, &query);
    let daemon = daemon.kill().start();
    assert_eq!(goal_points(&daemon, &site, &query), before, "after a kill");
    let (status, options) = daemon.terminate();
    assert!(status.success(), "{status}");
    assert_eq!(goal_points(&options.start(), &site, &query), before, "after a drain");
}

#[test]
fn the_breakdown_by_carrier_equals_a_count_of_the_file() {
    let mut carriers: BTreeMap<String, (BTreeSet<String>, u64)> = BTreeMap::new();
    for line in flights().lines() {
        let flight: Value = serde_json::from_str(line).unwrap();
        if flight["name"] == DEPARTED {
            let carrier = carriers.entry(flight["properties"]["carrier"].as_str().unwrap().to_owned()).or_default();
            carrier.0.insert(flight["session_id"].as_str().unwrap().to_owned());
            carrier.1 += 1;
        }
    }
    let mut rows: Vec<_> = carriers.into_iter().map(|(name, (sessions, total))| (name, sessions.len(), total)).collect();
    rows.sort_by_key(|(name, sessions, _)| (std::cmp::Reverse(*sessions), name.clone()));
    let expected: Vec<Value> = rows.into_iter().map(|(name, value, total)| json!({"name": name, "value": value, "total": total})).collect();
    let range = "from=2013-03-01T00:00:00Z&to=2013-04-01T00:00:00Z&limit=100";
    for place in EVERYWHERE {
        let (daemon, site) = flown_to(place);
        let path = format!("/api/sites/{site}/events/breakdown?event_name={DEPARTED}&property_key=carrier&{range}");
        assert_eq!(daemon.read(&path), Value::from(expected.clone()), "{place:?}");
    }
}
