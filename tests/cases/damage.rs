//! Damage on the disk is named, contained, and said with every number that may lack something.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Answer, Daemon, Event, SITE_DOMAIN};

const BATCHES: usize = 6;
const EVENTS_PER_BATCH: usize = 5;
const NAME: &str = "kept";
const RANGE: &str = "from=2026-03-01T00:00:00Z&to=2026-03-01T23:59:59Z";

fn event(id: &str) -> Event {
    Event::new(NAME).with("event_id", id).with("properties", serde_json::json!({ "plan": "pro" }))
}

fn id(batch: usize, number: usize) -> String {
    format!("batch-{batch}-event-{number}")
}

/// Stores one batch, synced, and gives its last sequence.
fn store_batch(daemon: &Daemon, batch: usize) -> u64 {
    let lines: Vec<String> = (0..EVENTS_PER_BATCH).map(|number| event(&id(batch, number)).text()).collect();
    let answer = daemon.as_owner("POST", "/api/ingest/server/events", Some(&lines.join("\n")));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let summary = answer.json();
    assert_eq!(summary["stored"], EVENTS_PER_BATCH, "{summary}");
    summary["last_sequence"].as_u64().unwrap()
}

/// The answers of every report.
fn reports(daemon: &Daemon, site: &str) -> Vec<Answer> {
    let paths = [
        format!("goals/timeseries?{RANGE}"),
        format!("goals/timeseries?group_by=goal&{RANGE}"),
        format!("events/names?{RANGE}"),
        format!("events/properties?event_name={NAME}&{RANGE}"),
        format!("events/breakdown?event_name={NAME}&property_key=plan&{RANGE}"),
        format!("events/timeseries?event_name={NAME}&{RANGE}"),
    ];
    let ask = |path: &String| daemon.as_owner("GET", &format!("/api/sites/{site}/{path}"), None);
    let answers: Vec<Answer> = paths.iter().map(ask).collect();
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    answers
}

/// What every report says is lost; all of them say the same.
fn losses(daemon: &Daemon, site: &str) -> Option<String> {
    let answers = reports(daemon, site);
    let losses: Vec<Option<&str>> = answers.iter().map(|answer| answer.header("hitkeep-incomplete")).collect();
    assert!(losses.windows(2).all(|pair| pair[0] == pair[1]), "{losses:?}");
    losses[0].map(str::to_owned)
}

/// The one loss that is told: the text of the status for owners. Every report names its file, and between which times it was written.
fn told(daemon: &Daemon, site: &str, context: &str) -> String {
    let status = daemon.read("/api/status");
    let listed = status["damage"][0].as_str().unwrap_or_else(|| panic!("nothing is named {context}")).to_owned();
    let lost = losses(daemon, site).unwrap_or_else(|| panic!("no report names {listed} {context}"));
    let (file, times) = lost.rsplit_once(' ').unwrap();
    let (from, to) = times.split_once('/').unwrap();
    assert_eq!(file, parse(&listed).0);
    let compared = format!("events/timeseries?event_name={NAME}&{RANGE}&compare_from=2026-02-01T00:00:00Z&compare_to=2026-02-02T00:00:00Z");
    let compared = daemon.read(&format!("/api/sites/{site}/{compared}"));
    let end = |text: &str| if text == ".." { Value::Null } else { Value::from(text) };
    assert_eq!(compared["incomplete"], serde_json::json!([{"file": file, "from": end(from), "to": end(to)}]));
    listed
}

/// The file and the range of bytes of the one loss that `text` names.
fn parse(text: &str) -> (&str, std::ops::Range<u64>) {
    let (file, range) = text.rsplit_once(' ').unwrap();
    let (from, end) = range.split_once('-').unwrap();
    (file, from.parse().unwrap()..end.parse().unwrap())
}

/// Checks that the damage is told to whoever may know, and to nobody else.
fn assert_listed(daemon: &Daemon, lost: &str) {
    assert_eq!(daemon.read("/api/status")["damage"], serde_json::json!([lost]));
    let status = daemon.send("GET", "/api/status", &[], None);
    assert_eq!(status.json()["damage"], Value::Null, "only an owner learns of files");
    for path in ["/healthz", "/readyz", "/api/status", "/api/sites"] {
        let answer = daemon.as_owner("GET", path, None);
        assert_eq!((answer.status, answer.header("hitkeep-incomplete")), (200, None), "{path} lacks nothing");
    }
}

fn assert_undamaged(daemon: &Daemon, site: &str) {
    assert_eq!(losses(daemon, site), None);
    assert_eq!(daemon.read("/api/status")["damage"], Value::Null);
}

/// The files in a folder of the data directory, oldest first.
fn files(data_path: &Path, folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(data_path.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The logs, oldest first.
fn logs(data_path: &Path) -> Vec<PathBuf> {
    files(data_path, "logs")
}

/// The name of a file as the daemon gives it.
fn name(file: &Path) -> String {
    let folder = file.parent().unwrap().file_name().unwrap().to_str().unwrap();
    format!("{folder}/{}", file.file_name().unwrap().to_str().unwrap())
}

/// Flips one bit where `text` stands in the file, and says where that is.
fn flip_bit_of(path: &Path, text: &str) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).expect("the text is in the file");
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
    at as u64
}

#[test]
fn a_flipped_bit_costs_its_batch_alone_and_is_named_at_every_start() {
    let daemon = Daemon::start();
    let site = daemon.create_site(SITE_DOMAIN);
    daemon.create_goal(&site, "Kept", NAME);
    let mut newest = 0;
    for batch in 0..BATCHES {
        newest = store_batch(&daemon, batch);
    }
    assert_undamaged(&daemon, &site);
    let options = daemon.kill();
    let daemon = options.start();
    assert_undamaged(&daemon, &site);
    let log = logs(daemon.data_path()).remove(0);
    let options = daemon.kill();
    let at = flip_bit_of(&log, &id(2, 3));

    let mut stored = BATCHES * EVENTS_PER_BATCH - EVENTS_PER_BATCH;
    let mut options = Some(options);
    for start in 0..3 {
        let daemon = options.take().unwrap().start();
        assert_eq!(daemon.count(&site, NAME), stored as u64, "whole batches are counted at start {start}");
        let lost = told(&daemon, &site, &format!("at start {start}"));
        let named = losses(&daemon, &site);
        assert!(start > 0 || named.as_ref().is_some_and(|named| !named.contains("..")), "batches before and behind it say when: {named:?}");
        let (file, range) = parse(&lost);
        assert_eq!(file, name(&log));
        assert!(range.contains(&at) && range.end - range.start < 4096, "{lost} is the batch with byte {at}");
        assert_listed(&daemon, &lost);

        // What was lost can be told again; what was not is known.
        let answer = daemon.report(&event(&id(2, start)));
        assert_eq!((answer.status, answer.is_duplicate()), (202, false), "{start}");
        let sequence = answer.sequence().unwrap();
        assert!(sequence > newest, "{sequence} after {newest}");
        newest = sequence;
        stored += 1;
        assert!(daemon.report(&event(&id(3, start))).is_duplicate());
        assert_eq!(daemon.count(&site, NAME), stored as u64);

        // The whole batches are in a segment now, and the log is kept.
        assert_eq!(daemon.seal().rows, stored as u64);
        assert_eq!(daemon.count(&site, NAME), stored as u64);
        let kept = log.file_name().unwrap().to_str().unwrap();
        assert_eq!(files(daemon.data_path(), "lost+found"), [daemon.data_path().join("lost+found").join(kept)]);
        assert_eq!(daemon.read("/api/status")["lost_and_found"], serde_json::json!([kept]));
        assert_eq!(losses(&daemon, &site), named);
        options = Some(daemon.kill());
    }
}

/// Removes the file that `choose` picks, of a segment and a log, and checks what is left.
fn a_removed_file_is_named_at_every_start(choose: fn(&Path) -> PathBuf) {
    let daemon = Daemon::start();
    let site = daemon.create_site(SITE_DOMAIN);
    store_batch(&daemon, 0);
    assert_eq!(daemon.seal().segments, 1);
    let mut newest = store_batch(&daemon, 1);
    assert_undamaged(&daemon, &site);
    let options = daemon.kill();
    let gone = choose(options.path());
    std::fs::remove_file(&gone).unwrap();

    let mut options = Some(options);
    for start in 0..3 {
        let daemon = options.take().unwrap().start();
        assert_eq!(daemon.count(&site, NAME), (EVENTS_PER_BATCH + start) as u64, "the other file is counted at start {start}");
        let lost = told(&daemon, &site, &format!("at start {start}"));
        let (file, range) = parse(&lost);
        assert_eq!((file, range.start), (name(&gone).as_str(), 0));
        assert!(!range.is_empty(), "{lost}");
        assert_listed(&daemon, &lost);
        let answer = daemon.report(&event(&format!("after-{start}")));
        let sequence = answer.sequence().unwrap();
        assert!(sequence > newest, "{sequence} after {newest}");
        newest = sequence;
        options = Some(daemon.kill());
    }
}

#[test]
fn a_segment_that_was_removed_is_named_at_every_start() {
    a_removed_file_is_named_at_every_start(|data_path| files(data_path, "segments").remove(0));
}

#[test]
fn a_log_that_was_removed_is_named_at_every_start() {
    a_removed_file_is_named_at_every_start(|data_path| logs(data_path).remove(0));
}

/// Wherever a bit of a segment is flipped, every report is whole, or lacks the segment as a whole and says so.
#[test]
fn a_flipped_bit_of_a_segment_is_named_or_costs_nothing() {
    let texts =
        |daemon: &Daemon, site: &str| -> Vec<String> { reports(daemon, site).iter().map(|answer| answer.text().to_owned()).collect() };
    let daemon = Daemon::start();
    let site = daemon.create_site(SITE_DOMAIN);
    daemon.create_goal(&site, "Kept", NAME);
    for batch in 0..BATCHES {
        store_batch(&daemon, batch);
        assert_eq!(daemon.seal().segments, batch as u64 + 1);
    }
    let whole = texts(&daemon, &site);
    let options = daemon.kill();
    let segment = files(options.path(), "segments").remove(2);
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::remove_file(&segment).unwrap();
    let daemon = options.start();
    let without = texts(&daemon, &site);
    assert_ne!(whole, without);

    let mut options = daemon.kill();
    let (mut named, mut lacking) = (0, 0);
    for at in (0..bytes.len()).step_by(bytes.len() / 40) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&segment, damaged).unwrap();
        let daemon = options.start();
        // A report meets the damage, and from then on every answer names it.
        let told = texts(&daemon, &site);
        let lost = losses(&daemon, &site);
        for (report, told) in told.iter().enumerate() {
            let is_whole = *told == whole[report];
            assert!(is_whole || lost.is_some() && *told == without[report], "byte {at}, report {report}: {told}");
            lacking += usize::from(!is_whole);
        }
        if lost.is_some() {
            let lost = self::told(&daemon, &site, &format!("of byte {at}"));
            assert_eq!(parse(&lost), (name(&segment).as_str(), 0..bytes.len() as u64), "byte {at}");
            assert_listed(&daemon, &lost);
            named += 1;
        }
        options = daemon.kill();
    }
    assert!(named > 10 && lacking > 10, "{named} of 40 flipped bits are named, {lacking} reports lack something");
    std::fs::write(&segment, bytes).unwrap();
    assert_undamaged(&options.start(), &site);
}

/// The start that finds it writes the manifest anew, whole; the next ones know of it by the copy alone.
#[test]
fn a_damaged_manifest_is_named_at_every_start_until_its_copy_is_taken_away() {
    let daemon = Daemon::start();
    let site = daemon.create_site(SITE_DOMAIN);
    store_batch(&daemon, 0);
    let mut options = daemon.kill();
    let manifest = options.path().join("manifest.log");
    let mut bytes = std::fs::read(&manifest).unwrap();
    bytes[70] ^= 1;
    std::fs::write(&manifest, bytes).unwrap();
    for start in 0..3 {
        let daemon = options.start();
        assert_eq!(daemon.count(&site, NAME), EVENTS_PER_BATCH as u64, "the log says itself who it is at start {start}");
        let lost = told(&daemon, &site, &format!("at start {start}"));
        let (file, range) = parse(&lost);
        assert!(file == "manifest.log" && range.contains(&70), "{lost}");
        assert_listed(&daemon, &lost);
        options = daemon.kill();
    }
    std::fs::remove_dir_all(options.path().join("lost+found")).unwrap();
    assert_undamaged(&options.start(), &site);
}

/// A segment whose disk is not mounted is missing, and there again when it is; what is no file stands in nobody's way.
#[test]
fn a_link_to_nothing_is_a_missing_segment_and_a_folder_is_none() {
    let daemon = Daemon::start();
    let site = daemon.create_site(SITE_DOMAIN);
    for batch in 0..2 {
        store_batch(&daemon, batch);
        daemon.seal();
    }
    let options = daemon.terminate().1;
    let segment = files(options.path(), "segments").remove(0);
    let elsewhere = options.scratch().join("elsewhere.seg");
    std::fs::rename(&segment, &elsewhere).unwrap();
    std::os::unix::fs::symlink(options.scratch().join("unmounted.seg"), &segment).unwrap();
    std::fs::create_dir(segment.with_file_name("00000000000000aa.seg")).unwrap();
    let mut options = options;
    for start in ["first", "second"] {
        let daemon = options.start();
        let listed = told(&daemon, &site, start);
        assert_eq!(Path::new(parse(&listed).0).file_name(), segment.file_name(), "at the {start} start");
        assert_eq!(daemon.count(&site, NAME), EVENTS_PER_BATCH as u64);
        options = daemon.terminate().1;
    }
    assert!(options.path().join("lost+found/00000000000000aa.seg").is_dir());
    std::fs::remove_file(&segment).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &segment).unwrap();
    let daemon = options.start();
    assert_undamaged(&daemon, &site);
    assert_eq!(daemon.count(&site, NAME), 2 * EVENTS_PER_BATCH as u64);
    let options = daemon.terminate().1;
    std::fs::remove_file(&segment).unwrap();
    std::fs::create_dir(&segment).unwrap();
    let daemon = options.start();
    told(&daemon, &site, "with a folder in its place");
    assert_eq!(daemon.count(&site, NAME), EVENTS_PER_BATCH as u64);
}
