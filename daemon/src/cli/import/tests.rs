#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;

use serde_json::{Value, json};

use super::*;
use crate::cli::args::ClientFlags;
use crate::cli::stub::{Asked, Stub, Told};

fn sites() -> Told {
    (200, "", json!([{"id": "site-1", "domain": "shop.example", "time_zone": "UTC"}]).to_string())
}

/// Every line stored, as the daemon would say it.
fn stored(asked: &Asked) -> Told {
    let lines = asked.body.lines().count();
    (200, "", json!({"received": lines, "stored": lines, "duplicates": 0, "rejected": 0, "dropped": 0, "errors": []}).to_string())
}

fn daemon(lines: impl Fn(&Asked) -> Told + Send + Sync + 'static) -> Stub {
    Stub::new(move |asked| if asked.line.starts_with("GET") { sites() } else { lines(asked) })
}

struct Import {
    directory: tempfile::TempDir,
    files: Vec<PathBuf>,
    site: Option<String>,
}

impl Import {
    fn of(texts: &[&str]) -> Import {
        let directory = tempfile::tempdir().unwrap();
        let write = |(place, text): (usize, &&str)| {
            let path = directory.path().join(format!("{place}.ndjson"));
            fs::write(&path, text).unwrap();
            path
        };
        let files = texts.iter().enumerate().map(write).collect();
        Import { directory, files, site: None }
    }

    fn run(&self, stub: &Stub) -> (Result<bool, Error>, Value) {
        let client = ClientFlags { url: Some(stub.url.clone()), json: true, ..ClientFlags::default() };
        let arguments = ImportArguments { client, files: self.files.clone(), site: self.site.clone() };
        let environment = [(OsString::from("HITKEEP_TOKEN"), OsString::from("t"))].into_iter().collect();
        let mut out = Vec::new();
        let result = run(&arguments, &environment, &mut out);
        (result, serde_json::from_slice(&out).unwrap_or_default())
    }
}

#[test]
fn every_line_of_every_file_is_sent_once_in_bodies_within_the_limits() {
    let long = (0..20_000).map(|line| format!("{{\"n\":{line}}}\n")).collect::<String>();
    let import = Import::of(&[&long, "a\r\n\r\nb"]);
    let stub = daemon(stored);
    let (result, summary) = import.run(&stub);
    assert!(result.unwrap());
    assert_eq!((&summary["received"], &summary["stored"], &summary["complete"]), (&json!(20_002), &json!(20_002), &json!(true)));
    let bodies: Vec<Asked> = stub.asked().into_iter().filter(|asked| asked.line == "POST /api/ingest/server/events").collect();
    assert!(bodies.iter().all(|asked| asked.body.lines().count() <= lines::MAX_LINES));
    let mut sent: Vec<String> = bodies.iter().flat_map(|asked| asked.body.lines().map(str::to_owned)).collect();
    let mut expected: Vec<String> = long.lines().map(str::to_owned).chain(["a".to_owned(), "b".to_owned()]).collect();
    sent.sort();
    expected.sort();
    assert_eq!(sent, expected);
}

#[test]
fn the_site_of_lines_without_url_is_sent_by_its_id() {
    let mut import = Import::of(&["a\n"]);
    import.site = Some("shop.example".to_owned());
    let stub = daemon(stored);
    import.run(&stub).0.unwrap();
    assert_eq!(stub.asked_lines(), ["GET /api/sites", "POST /api/ingest/server/events?site=site-1"]);
    import.site = Some("other.example".to_owned());
    let message = import.run(&stub).0.unwrap_err().to_string();
    assert_eq!(message, "no site is called `other.example`: there is shop.example");
}

#[test]
fn a_rejected_line_is_named_and_fails_the_command_but_not_the_import() {
    let import = Import::of(&["good\n\nbad\n"]);
    let stub = daemon(|_| {
        let errors = json!([{"line": 2, "field": "name", "error": "name is required"}]);
        (200, "", json!({"received": 2, "stored": 1, "duplicates": 0, "rejected": 1, "dropped": 0, "errors": errors}).to_string())
    });
    let (result, summary) = import.run(&stub);
    assert!(!result.unwrap());
    let file = import.directory.path().join("0.ndjson");
    assert_eq!(summary["errors"], json!([{"file": file, "line": 3, "field": "name", "error": "name is required"}]));
}

/// Text that has to be escaped takes more room stored than sent, so a body within the limits of the sender can be over those of the store.
#[test]
fn a_body_that_is_too_large_is_sent_in_halves_and_a_line_that_is_too_large_alone_is_rejected() {
    let lines: Vec<String> = (1..=100).map(|number| if number == 42 { "large".to_owned() } else { format!("line-{number}") }).collect();
    let import = Import::of(&[&format!("\n{}\n", lines.join("\n"))]);
    let stub = daemon(|asked| {
        let is_large = asked.body.lines().count() > 30 || asked.body.contains("large");
        if is_large { (413, "", "Request body too large\n".to_owned()) } else { stored(asked) }
    });
    let (result, summary) = import.run(&stub);
    assert!(!result.unwrap());
    let counts = ["received", "stored", "rejected", "complete"].map(|name| summary[name].clone());
    assert_eq!(counts, [json!(100), json!(99), json!(1), json!(true)]);
    let file = import.directory.path().join("0.ndjson");
    assert_eq!(summary["errors"], json!([{"file": file, "line": 43, "field": "line", "error": "Request body too large"}]));
    let bodies = stub.asked().into_iter().filter(|asked| asked.body.lines().count() <= 30 && !asked.body.contains("large"));
    let taken: Vec<String> = bodies.flat_map(|asked| asked.body.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    assert_eq!(taken, lines.iter().filter(|line| *line != "large").cloned().collect::<Vec<_>>(), "each line once, in order");
}

#[test]
fn a_busy_daemon_and_a_lost_connection_are_tried_again() {
    let import = Import::of(&["a\nb\n"]);
    let tries = AtomicU32::new(0);
    let stub = daemon(move |asked| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => (429, "Retry-After: 0\r\n", "Too Many Requests\n".to_owned()),
        1 => (503, "", "Outcome unknown\n".to_owned()),
        2 => (0, "", String::new()),
        3 => (507, "Retry-After: 0\r\n", "Insufficient storage\n".to_owned()),
        _ => stored(asked),
    });
    let (result, summary) = import.run(&stub);
    assert!(result.unwrap());
    assert_eq!((&summary["received"], &summary["stored"]), (&json!(2), &json!(2)));
    assert_eq!(stub.asked_lines().iter().filter(|line| line.starts_with("POST")).count(), 5);
}

#[test]
fn a_disk_that_stays_full_and_an_unknown_token_stop_with_what_was_done() {
    let import = Import::of(&[&"line\n".repeat(3 * lines::MAX_LINES)]);
    let first = AtomicU32::new(0);
    let stub = daemon(move |asked| match first.fetch_add(1, Ordering::SeqCst) {
        0 => stored(asked),
        _ => (507, "Retry-After: 30\r\n", "Insufficient storage\n".to_owned()),
    });
    let (result, summary) = import.run(&stub);
    assert!(matches!(result, Err(Error::DiskFull)));
    assert_eq!((&summary["stored"], &summary["complete"]), (&json!(lines::MAX_LINES), &json!(false)));

    let stub = Stub::new(|_| (401, "", "Unauthorized\n".to_owned()));
    assert!(matches!(import.run(&stub).0, Err(Error::Unauthorized(_))));
    assert_eq!(stub.asked_lines(), ["GET /api/sites"]);
}

#[test]
fn after_a_stop_no_body_is_begun_and_those_under_way_are_counted() {
    let import = Import::of(&[&"line\n".repeat(9 * lines::MAX_LINES)]);
    let stopped = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stopped);
    let stub = daemon(move |asked| {
        seen.store(true, Ordering::SeqCst);
        stored(asked)
    });
    let flags = ClientFlags { url: Some(stub.url.clone()), ..ClientFlags::default() };
    let client = Client::new(&flags, &[("HITKEEP_TOKEN".into(), "t".into())].into_iter().collect()).unwrap();
    let source = Source::new(&import.files).unwrap();
    let progress = Progress::new(None, false, Instant::now());
    let (summary, failure) = send_all(source, client, None, &stopped, &progress);
    assert!(matches!(failure, Some(Error::Interrupted)));
    let bodies = stub.asked().len();
    assert!(bodies <= SENDERS + 1, "{bodies} bodies were begun");
    assert_eq!(summary.received() as usize, bodies * lines::MAX_LINES);
}

#[test]
fn after_a_stop_no_half_is_begun() {
    let import = Import::of(&[&"line\n".repeat(8)]);
    let stopped = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stopped);
    let stub = daemon(move |asked| match asked.body.lines().count() {
        8 => (413, "", "Request body too large\n".to_owned()),
        _ => {
            seen.store(true, Ordering::SeqCst);
            stored(asked)
        }
    });
    let flags = ClientFlags { url: Some(stub.url.clone()), ..ClientFlags::default() };
    let client = Client::new(&flags, &[("HITKEEP_TOKEN".into(), "t".into())].into_iter().collect()).unwrap();
    let source = Source::new(&import.files).unwrap();
    let progress = Progress::new(None, false, Instant::now());
    let (summary, failure) = send_all(source, client, None, &stopped, &progress);
    assert!(matches!(failure, Some(Error::Interrupted)));
    assert_eq!((summary.received(), stub.asked().len()), (4, 2));
}
