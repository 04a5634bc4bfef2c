//! `hitkeepd verify` and `hitkeepd inspect` on real directories: what they say, and that they change nothing.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;
use support::{Event, Options, Ran, SITE_DOMAIN, run_cli_with};

/// A data directory with three events in a segment and two in a log, of a daemon that was stopped.
fn stopped() -> Options {
    let daemon = Options::new().start();
    daemon.create_site(SITE_DOMAIN);
    for (number, name) in ["signup", "order", "signup", "order", "signup"].into_iter().enumerate() {
        let event = Event::new(name).with("event_id", format!("id-{number}")).with("properties", serde_json::json!({"plan": "pro"}));
        assert_eq!(daemon.report(&event).status, 202);
        if number == 2 {
            assert_eq!(daemon.seal().rows, 3);
        }
    }
    let (status, options) = daemon.terminate();
    assert!(status.success());
    options
}

fn run(arguments: &[&str]) -> Ran {
    run_cli_with(arguments, &[])
}

fn verify(path: &Path) -> (i32, Value) {
    let ran = run(&["verify", "--json", "--data-path", path.to_str().unwrap()]);
    (ran.code.unwrap(), serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}")))
}

/// All bytes and times of a folder.
fn state(path: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut state = BTreeMap::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let (path, metadata) = entry.map(|entry| (entry.path(), entry.metadata().unwrap())).unwrap();
        if metadata.is_dir() {
            state.extend(self::state(&path));
        }
        let bytes = if metadata.is_dir() { Vec::new() } else { std::fs::read(&path).unwrap() };
        state.insert(path, (bytes, metadata.modified().unwrap()));
    }
    state
}

const LOG: &str = "logs/0000000000000002.log";
const SEGMENT: &str = "segments/0000000000000001.seg";

fn flip(path: &Path, at: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn a_whole_directory_is_all_right_and_is_left_as_it_was() {
    let options = stopped();
    let before = state(options.path());
    let (code, json) = verify(options.path());
    assert_eq!((code, &json["ok"], json["problems"].as_array().unwrap().len()), (0, &Value::Bool(true), 0), "{json}");
    let files: BTreeMap<&str, &Value> =
        json["files"].as_array().unwrap().iter().map(|file| (file["kind"].as_str().unwrap(), &file["events"])).collect();
    assert_eq!((files["log"], files["segment"]), (&Value::from(2), &Value::from(3)));
    let table = run(&["verify", "--data-path", options.path().to_str().unwrap()]).succeeded();
    assert!(table.contains(LOG) && table.contains("everything is as it was written"), "{table}");
    assert_eq!(state(options.path()), before, "reading changes nothing");
}

#[test]
fn damage_is_told_with_file_and_range_and_costs_the_exit_code() {
    let options = stopped();
    flip(&options.path().join(LOG), 140);
    flip(&options.path().join(SEGMENT), 70);
    let before = state(options.path());
    let (code, json) = verify(options.path());
    assert_eq!((code, &json["ok"]), (1, &Value::Bool(false)));
    let problems = json["problems"].as_array().unwrap();
    for (file, at) in [(LOG, 140), (SEGMENT, 70)] {
        let is_named =
            |problem: &&Value| problem["file"] == file && (problem["from"].as_u64()..=problem["to"].as_u64()).contains(&Some(at));
        assert!(problems.iter().any(|problem| is_named(&problem)), "{json}");
    }
    let table = run(&["verify", "--data-path", options.path().to_str().unwrap()]);
    assert_eq!(table.code, Some(1));
    assert!(table.stdout.contains("what is wrong") && table.stdout.contains("sequences"), "{}", table.stdout);
    assert_eq!(state(options.path()), before);
}

#[test]
fn a_directory_that_is_open_or_none_is_refused() {
    let daemon = Options::new().start();
    let ran = run(&["verify", "--data-path", daemon.data_path().to_str().unwrap()]);
    assert_eq!(ran.code, Some(75), "{ran:?}");
    assert!(ran.stderr.contains("is in use by process"), "{}", ran.stderr);
    let empty = tempfile::tempdir().unwrap();
    let ran = run(&["verify", "--data-path", empty.path().to_str().unwrap()]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("is no data directory"), "{}", ran.stderr);
}

#[test]
fn inspect_tells_what_is_in_each_kind_of_file() {
    let options = stopped();
    let path = |name: &str| options.path().join(name).to_str().unwrap().to_owned();
    let json = |file: &str| -> Value { serde_json::from_str(&run(&["inspect", "--json", file]).succeeded()).unwrap() };
    let segment = path(SEGMENT);
    let segment = segment.as_str();
    let shown = json(segment);
    assert_eq!((&shown["events"], &shown["runs"].as_array().unwrap().len()), (&Value::from(3), &2));
    assert_eq!(
        (&shown["level"], &shown["log"], &shown["siblings"]),
        (&"arrived".into(), &"0000000000000001".into(), &Value::Array(Vec::new()))
    );
    let parts: u64 = shown["parts"].as_array().unwrap().iter().map(|part| part["bytes"].as_u64().unwrap()).sum();
    assert_eq!(parts, std::fs::metadata(segment).unwrap().len(), "every byte is in a part");
    let text = run(&["inspect", segment]).succeeded();
    assert!(text.contains("per event") && text.contains("event id index") && text.contains("signup"), "{text}");

    let shown = json(&path(LOG));
    assert_eq!((&shown["records"], &shown["by_kind"]["event"], &shown["ended_cleanly"]), (&2.into(), &2.into(), &true.into()));
    let shown = json(&path("manifest.log"));
    let lens = ["logs", "segments"].map(|of| shown[of].as_array().unwrap().len());
    assert_eq!((&shown["kind"], lens), (&"manifest".into(), [1, 1]));
    let shown = json(&path("catalog.log"));
    assert_eq!((&shown["kind"], &shown["by_kind"]["site_set"]), (&"catalog".into(), &1.into()));
    for file in [LOG, "manifest.log", "catalog.log"] {
        assert!(!run(&["inspect", &path(file)]).succeeded().is_empty());
    }

    let ran = run(&["inspect", &path("lock")]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("is no segment, log, manifest or catalog"), "{}", ran.stderr);
}
