//! Segments are merged while the daemon runs, and nobody notices: whatever ends it, every event is there once.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Daemon, Event, Options, SITE_DOMAIN};

const NAME: &str = "kept";

/// Logs as small as they can be: some thirty of these events fill one.
fn tiny_logs() -> Options {
    Options::new().flag("--segment-bytes", "65536")
}

fn event(number: u64) -> Event {
    let (session, padding) = (format!("0b7f3a54-98d1-4c2e-a5c0-{:012}", number / 5), "x".repeat(2_000));
    Event::new(NAME)
        .with("event_id", format!("event-{number}"))
        .with("session_id", session)
        .with("properties", json!({ "padding": padding }))
}

/// Stores event `number`, and its sequence.
fn store(daemon: &Daemon, number: u64) -> u64 {
    loop {
        let answer = daemon.report(&event(number));
        match answer.status {
            202 => return answer.sequence().unwrap(),
            503 => std::thread::sleep(Duration::from_millis(5)),
            status => panic!("{status} {}", answer.text()),
        }
    }
}

fn segments(data_path: &Path) -> usize {
    std::fs::read_dir(data_path.join("segments")).unwrap().count()
}

/// The daemon is killed again and again while it seals and merges.
#[test]
fn kills_while_segments_are_merged_lose_nothing_and_repeat_nothing() {
    let mut daemon = tiny_logs().start();
    let site = daemon.create_site(SITE_DOMAIN);
    let (mut sequences, mut merges): (Vec<u64>, _) = (Vec::new(), 0);
    for round in 0..25u64 {
        for _ in 0..70 + round * 7 % 50 {
            sequences.push(store(&daemon, sequences.len() as u64));
        }
        std::thread::sleep(Duration::from_millis(round * 13 % 60));
        merges += daemon.output().matches("merged segments").count();
        daemon = daemon.kill().start();
        let number = sequences.len() as u64 * round / 25;
        let answer = daemon.report(&event(number));
        assert_eq!((answer.is_duplicate(), answer.sequence()), (true, Some(sequences[number as usize])), "round {round}");
        assert_eq!(daemon.count(&site, NAME), sequences.len() as u64, "round {round}");
        assert!(daemon.read("/api/status")["damage"].is_null(), "round {round}");
    }
    assert!(merges > 5, "{merges} merges");
    assert!(segments(daemon.data_path()) <= 12, "{} segments of {} events", segments(daemon.data_path()), sequences.len());
    for (number, sequence) in (0..).zip(&sequences).step_by(17) {
        let answer = daemon.report(&event(number));
        assert_eq!((answer.is_duplicate(), answer.sequence()), (true, Some(*sequence)), "{number}");
    }
}

/// What has arrived is settled in one segment when nothing else comes for ten seconds.
#[test]
fn a_quiet_daemon_settles_what_has_arrived() {
    let daemon = Daemon::start();
    let site = daemon.create_site(SITE_DOMAIN);
    for number in 0..4 {
        store(&daemon, number);
        daemon.seal();
    }
    assert_eq!(segments(daemon.data_path()), 4);
    let begun = Instant::now();
    while segments(daemon.data_path()) > 1 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", daemon.output());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(begun.elapsed() > Duration::from_secs(5), "there is no hurry");
    assert_eq!((daemon.count(&site, NAME), daemon.seal().rows), (4, 4));
    let (status, options) = daemon.terminate();
    assert!(status.success());
    let daemon = options.start();
    assert_eq!((daemon.count(&site, NAME), daemon.seal().rows), (4, 4));
}
