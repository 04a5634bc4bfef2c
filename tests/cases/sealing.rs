//! Logs become segments, and nobody notices: by signal, by request, on the command line, and of a stopped daemon.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use support::{Daemon, Event, Options, SITE_DOMAIN, Sealed, load, run_cli, run_cli_with};

const NAME: &str = "kept";
const EVENTS: u64 = 20;

fn event(number: u64) -> Event {
    Event::new(NAME).with("event_id", format!("event-{number}")).with("session_id", "0b7f3a54-98d1-4c2e-a5c0-54a2f1d0c3aa")
}

/// A daemon with some events, its site, and their sequences.
fn stored() -> (Daemon, String, Vec<u64>) {
    let daemon = Daemon::start();
    let site = daemon.create_site(SITE_DOMAIN);
    let sequences = (0..EVENTS).map(|number| daemon.report(&event(number)).sequence().unwrap()).collect();
    (daemon, site, sequences)
}

/// Every event is there once, and known under its first sequence.
fn assert_kept(daemon: &Daemon, site: &str, sequences: &[u64]) {
    for (number, sequence) in (0..).zip(sequences) {
        let answer = daemon.report(&event(number));
        assert_eq!((answer.status, answer.is_duplicate(), answer.sequence()), (202, true, Some(*sequence)), "{number}");
    }
    assert_eq!(daemon.count(site, NAME), sequences.len() as u64);
}

fn files(data_path: &Path, folder: &str) -> Vec<String> {
    let names = std::fs::read_dir(data_path.join(folder)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_repeat_after_sealing_and_after_a_restart_is_a_duplicate_of_the_first() {
    let (daemon, site, mut sequences) = stored();
    assert_eq!(daemon.seal(), Sealed { segments: 1, rows: EVENTS });
    assert_kept(&daemon, &site, &sequences);
    assert_eq!(files(daemon.data_path(), "segments"), ["0000000000000001.seg"]);
    assert_eq!(files(daemon.data_path(), "logs"), ["0000000000000002.log"], "the sealed log is gone");
    let daemon = daemon.kill().start();
    assert_kept(&daemon, &site, &sequences);
    let next = daemon.report(&event(EVENTS));
    assert!(!next.is_duplicate() && next.sequence() > sequences.last().copied(), "sequences go on");
    sequences.push(next.sequence().unwrap());
    assert_eq!(daemon.seal(), Sealed { segments: 2, rows: EVENTS + 1 });
    let (status, options) = daemon.terminate();
    assert!(status.success());
    assert_kept(&options.start(), &site, &sequences);
}

#[test]
fn a_signal_seals_what_is_stored() {
    let (daemon, site, sequences) = stored();
    daemon.signal(Signal::USR1);
    let begun = Instant::now();
    while files(daemon.data_path(), "logs") != ["0000000000000002.log"] {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", daemon.output());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(files(daemon.data_path(), "segments"), ["0000000000000001.seg"]);
    assert_kept(&daemon, &site, &sequences);
    // With nothing stored since, it does nothing; then it drains as ever.
    daemon.signal(Signal::USR1);
    assert_eq!(daemon.seal(), Sealed { segments: 1, rows: EVENTS });
    assert!(daemon.terminate().0.success());
}

#[test]
fn the_command_line_asks_the_daemon_or_does_it_itself() {
    let (daemon, site, sequences) = stored();
    let printed = run_cli(&daemon, &["seal"]).succeeded();
    assert_eq!(printed, "20 events in 1 segment\n");
    let printed: Value = serde_json::from_str(&run_cli(&daemon, &["seal", "--json"]).succeeded()).unwrap();
    assert_eq!(printed, json!({ "segments": 1, "rows": EVENTS }));

    assert!(!daemon.report(&Event::new("late")).is_duplicate());
    let path = daemon.data_path().to_str().unwrap().to_owned();
    let url = daemon.url();
    let in_place = ["seal", "--data-path", &path, "--json"];
    let printed: Value = serde_json::from_str(&run_cli_with(&in_place, &[("HITKEEP_URL", &url)]).succeeded()).unwrap();
    assert_eq!(printed, json!({ "segments": 2, "rows": EVENTS + 1 }), "its daemon runs and is asked");

    assert!(!daemon.report(&Event::new("later")).is_duplicate());
    let options = daemon.kill();
    for _ in 0..2 {
        let printed: Value = serde_json::from_str(&run_cli_with(&in_place, &[]).succeeded()).unwrap();
        assert_eq!(printed, json!({ "segments": 3, "rows": EVENTS + 2 }), "nobody holds the directory");
    }
    assert_eq!(files(&options.path().join("."), "segments").len(), 3);
    let daemon = options.start();
    assert_eq!(daemon.count(&site, "later"), 1);
    assert_kept(&daemon, &site, &sequences);
}

#[test]
fn a_directory_that_no_daemon_has_used_is_left_alone() {
    let options = Options::new();
    let ran = run_cli_with(&["seal", "--data-path", options.path().to_str().unwrap()], &[("HITKEEP_URL", "http://127.0.0.1:9")]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("there is no directory "), "{}", ran.stderr);
    assert!(!options.path().exists());
    std::fs::create_dir(options.path()).unwrap();
    let ran = run_cli_with(&["seal", "--data-path", options.path().to_str().unwrap()], &[("HITKEEP_URL", "http://127.0.0.1:9")]);
    assert!(ran.stderr.contains("is no data directory"), "{}", ran.stderr);
    assert_eq!(std::fs::read_dir(options.path()).unwrap().count(), 0);
}

#[test]
fn a_daemon_that_listens_elsewhere_is_told_from_one_that_does_not_run() {
    let daemon = Daemon::start();
    let ran = run_cli_with(&["seal", "--data-path", daemon.data_path().to_str().unwrap()], &[("HITKEEP_URL", "http://127.0.0.1:9")]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("a daemon uses ") && ran.stderr.contains("--url"), "{}", ran.stderr);
}

#[test]
fn only_an_owner_seals() {
    let (daemon, ..) = stored();
    let anonymous = daemon.send("POST", "/api/admin/seal", &[], None);
    assert_eq!((anonymous.status, anonymous.text()), (401, "Unauthorized\n"));
    let answer = daemon.as_owner("GET", "/api/admin/seal", None);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
}

/// The status tells an owner how much is stored, and so does the log of a start.
#[test]
fn an_owner_sees_what_is_in_segments_and_in_logs() {
    let (daemon, ..) = stored();
    let held = |daemon: &Daemon, what: &str| {
        let status = daemon.read("/api/status");
        let number = |field: &str| status[what][field].as_u64().unwrap();
        (number("files"), number("rows"), number("bytes"))
    };
    assert_eq!(held(&daemon, "segments"), (0, 0, 0));
    let (files, rows, bytes) = held(&daemon, "logs");
    assert_eq!((files, rows), (1, EVENTS));
    assert!((EVENTS * 100..EVENTS * 1_000).contains(&bytes), "{bytes}");
    daemon.seal();
    let path = daemon.data_path().join("segments").join("0000000000000001.seg");
    assert_eq!(held(&daemon, "segments"), (1, EVENTS, std::fs::metadata(path).unwrap().len()));
    assert_eq!((held(&daemon, "logs").0, held(&daemon, "logs").1), (1, 0));
    daemon.report(&event(EVENTS));
    assert_eq!(held(&daemon, "logs").1, 1);
    let daemon = daemon.kill().start();
    let output = daemon.output();
    let told = output.lines().find(|line| line.contains("what is stored")).unwrap();
    let told: Value = serde_json::from_str(told).unwrap();
    assert_eq!(
        (&told["segments"], &told["segment_rows"], &told["logs"], &told["log_rows"]),
        (&json!(1), &json!(EVENTS), &json!(1), &json!(1))
    );
    let anonymous = daemon.send("GET", "/api/status", &[], None);
    assert_eq!(anonymous.text(), "{\"needs_setup\":false,\"version\":\"0.1.0\"}\n");
}

/// A log that is closed by its size is sealed without being asked for.
#[test]
fn full_logs_are_sealed_by_themselves() {
    let daemon = Options::new().flag("--segment-bytes", "65536").start();
    let site = daemon.create_site(SITE_DOMAIN);
    let padding = "x".repeat(10 * 1024);
    for number in 0..50 {
        let event = event(number).with("properties", json!({ "padding": padding }));
        while daemon.report(&event).status != 202 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let begun = Instant::now();
    while files(daemon.data_path(), "logs").len() > 1 {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", daemon.output());
        std::thread::sleep(Duration::from_millis(10));
    }
    let sealed = daemon.output().matches("sealed a log").count();
    assert!(sealed > 5, "{sealed}");
    assert_eq!(daemon.count(&site, NAME), 50);
}

/// A disk that has room for another log and not for the segment, by a limit on the size of files.
#[test]
fn without_space_for_a_segment_events_are_stored_and_counted_until_there_is() {
    let limit = |daemon: &Daemon, bytes: &str| {
        let (pid, limit) = (daemon.pid().to_string(), format!("--fsize={bytes}:unlimited"));
        assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    };
    let daemon = Daemon::start();
    let site = daemon.create_site(SITE_DOMAIN);
    let big = |number: u64| event(number).with("properties", json!({ "padding": load::noise(number, 30 * 1024) }));
    let mut sequences: Vec<u64> = (0..250).map(|number| daemon.report(&big(number)).sequence().unwrap()).collect();
    limit(&daemon, &(4 * 1024 * 1024).to_string());
    for _ in 0..2 {
        let refused = daemon.as_owner("POST", "/api/admin/seal", None);
        assert_eq!((refused.status, refused.text()), (507, "Insufficient storage\n"));
        assert!(refused.header("retry-after").is_some());
        sequences.push(daemon.report(&event(sequences.len() as u64)).sequence().unwrap());
        assert_kept(&daemon, &site, &sequences);
    }
    limit(&daemon, "unlimited");
    assert_eq!(daemon.seal(), Sealed { segments: 3, rows: 252 }, "the log that waited, and one for each try");
    assert_kept(&daemon, &site, &sequences);
    assert_kept(&daemon.kill().start(), &site, &sequences);
}
