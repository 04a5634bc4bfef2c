//! What is too old, and what belongs to a site that was removed, is not counted, not taken, and leaves the disk.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Daemon, Options, SITE_DOMAIN, Sealed, run_cli};

const LINES: &str = "/api/ingest/server/events";
const DAY: u64 = 24 * 60 * 60;

/// An instant so many days before now, to the second.
fn days_ago(days: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    jiff::Timestamp::from_second(i64::try_from(now - days * DAY).unwrap()).unwrap().to_string()
}

fn line(domain: &str, days: u64, number: u64) -> String {
    json!({ "site": domain, "name": "kept", "timestamp": days_ago(days), "event_id": format!("{domain}-{number}") }).to_string()
}

/// Sends events that are so many days old, and gives back what became of them.
fn send(daemon: &Daemon, domain: &str, ages: &[u64], first: u64) -> Value {
    let lines: Vec<String> = ages.iter().zip(first..).map(|(days, number)| line(domain, *days, number)).collect();
    let answer = daemon.as_owner("POST", LINES, Some(&lines.join("\n")));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn counted(daemon: &Daemon, site: &str) -> u64 {
    let path = format!("/api/sites/{site}/events/timeseries?event_name=kept&interval=month&from=2000-01-01T00:00:00Z");
    daemon.read(&path).as_array().unwrap().iter().map(|point| point["count"].as_u64().unwrap()).sum()
}

fn keep_for(daemon: &Daemon, site: &str, days: i64, query: &str) -> support::Answer {
    daemon.as_owner("PUT", &format!("/api/sites/{site}/retention{query}"), Some(&json!({ "days": days }).to_string()))
}

/// Whether any file of the data directory's segments and logs has `text` in it.
fn is_on_disk(data_path: &Path, text: &str) -> bool {
    ["logs", "segments"].iter().flat_map(|folder| std::fs::read_dir(data_path.join(folder)).unwrap()).any(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

fn wait_for(daemon: &Daemon, what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(90), "{what}\n{}", daemon.output());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_is_older_than_its_site_keeps_is_not_counted_not_taken_and_leaves_the_disk() {
    let daemon = Daemon::start();
    let site = daemon.create_site(SITE_DOMAIN);
    // Two segments: one will have expired wholly, one by half; and a log.
    assert_eq!(send(&daemon, SITE_DOMAIN, &[400, 300, 200], 0)["stored"], 3);
    daemon.seal();
    assert_eq!(send(&daemon, SITE_DOMAIN, &[150, 120, 20, 10], 10)["stored"], 4);
    daemon.seal();
    assert_eq!(send(&daemon, SITE_DOMAIN, &[110, 5], 20)["stored"], 2);
    assert_eq!(counted(&daemon, &site), 9);

    let told = keep_for(&daemon, &site, 100, "?dry_run=true").json();
    assert_eq!((&told["events"], &told["days"], &told["site_id"]), (&json!(6), &json!(100), &json!(site)));
    assert_eq!(
        (told["from"].as_str().unwrap()[..10].to_owned(), told["to"].as_str().unwrap()[..10].to_owned()),
        (days_ago(400)[..10].to_owned(), days_ago(110)[..10].to_owned())
    );
    let told = keep_for(&daemon, &site, 0, "?dry_run=true").json();
    assert_eq!((&told["events"], &told["from"]), (&json!(0), &Value::Null));
    assert_eq!(counted(&daemon, &site), 9, "nothing was changed");
    for (days, refusal) in [(-1, "Retention days must be non-negative\n"), (36_501, "Retention days must be at most 36500\n")] {
        let answer = keep_for(&daemon, &site, days, "");
        assert_eq!((answer.status, answer.text()), (400, refusal));
    }
    assert_eq!(keep_for(&daemon, &site, 9, "?dry_run=maybe").status, 400);
    assert_eq!(keep_for(&daemon, &site, 9, "?dryrun=true").status, 400, "misspelt, it removes nothing");
    assert_eq!(daemon.as_owner("PUT", &format!("/api/sites/{site}/retention"), Some("{}")).status, 400);

    let answer = keep_for(&daemon, &site, 100, "");
    assert_eq!((answer.status, answer.text()), (200, ""));
    assert_eq!(counted(&daemon, &site), 3, "at once");
    assert_eq!(daemon.read(&format!("/api/sites/{site}"))["data_retention_days"], 100);

    let verdict = send(&daemon, SITE_DOMAIN, &[99, 101, 300], 30);
    assert_eq!((&verdict["stored"], &verdict["rejected"], &verdict["expired"]), (&json!(1), &json!(2), &json!(2)), "{verdict}");
    let refusal = "timestamp is older than the site's retention of 100 days";
    assert_eq!(verdict["errors"][0], json!({ "line": 2, "field": "timestamp", "error": refusal }));
    let body = json!({ "url": format!("https://{SITE_DOMAIN}/"), "timestamp": days_ago(101), "visitor_ip": "192.0.2.1", "user_agent": "a", "name": "kept" });
    let answer = daemon.as_owner("POST", "/api/ingest/server/event", Some(&body.to_string()));
    assert_eq!((answer.status, answer.text()), (400, &*format!("{refusal}\n")));

    // Of the log, half has expired when it is sealed.
    daemon.seal();
    wait_for(&daemon, "what has expired leaves the disk", || daemon.seal().rows == 4);
    assert_eq!(counted(&daemon, &site), 4);
    let told = keep_for(&daemon, &site, 100, "?dry_run=true").json();
    assert_eq!(told["events"], 0);
    let daemon = daemon.kill().start();
    assert_eq!((counted(&daemon, &site), daemon.seal().rows), (4, 4));
    assert_eq!(keep_for(&daemon, &site, 0, "").status, 200);
    assert_eq!(counted(&daemon, &site), 4, "what is gone is gone");
}

#[test]
fn new_sites_keep_for_as_long_as_the_settings_say() {
    let daemon = Options::new().flag("--data-retention-days", "30").start();
    let site = daemon.create_site(SITE_DOMAIN);
    assert_eq!(daemon.read(&format!("/api/sites/{site}"))["data_retention_days"], 30);
    assert_eq!(send(&daemon, SITE_DOMAIN, &[29, 31], 0)["expired"], 1);
    let told = run_cli(&daemon, &["site", "set", SITE_DOMAIN, "--retention-days", "20", "--dry-run"]).succeeded();
    assert!(told.starts_with(&format!("would remove 1 events of {SITE_DOMAIN}, from ")), "{told}");
    let told = run_cli(&daemon, &["site", "set", SITE_DOMAIN, "--retention-days", "0"]).succeeded();
    assert!(told.contains("for ever"), "{told}");
    assert_eq!(send(&daemon, SITE_DOMAIN, &[31], 2)["stored"], 1);
    run_cli(&daemon, &["site", "set", SITE_DOMAIN, "--retention-days", "40"]).succeeded();
    let listed = run_cli(&daemon, &["site", "list"]).succeeded();
    assert!(listed.contains("40 days"), "{listed}");
}

#[test]
fn a_removed_site_is_gone_at_once_and_its_events_leave_the_disk() {
    let daemon = Daemon::start();
    let (gone, stays) = (daemon.create_site("gone.example"), daemon.create_site(SITE_DOMAIN));
    for first in [0, 10] {
        assert_eq!(send(&daemon, "gone.example", &[3, 2, 1], first)["stored"], 3);
        assert_eq!(send(&daemon, SITE_DOMAIN, &[3, 2], first)["stored"], 2);
        if first == 0 {
            daemon.seal();
        }
    }
    let answer = daemon.as_owner("DELETE", &format!("/api/sites/{gone}"), None);
    assert_eq!((answer.status, answer.json()), (200, json!({ "status": "ok" })));
    assert_eq!(daemon.as_owner("GET", &format!("/api/sites/{gone}"), None).status, 404);
    assert_eq!(daemon.read("/api/sites").as_array().unwrap().len(), 1);
    let verdict = send(&daemon, "gone.example", &[1], 20);
    assert_eq!((&verdict["rejected"], &verdict["errors"][0]["error"]), (&json!(1), &json!("Site not found")));
    // The domain is free, and another site has none of the events.
    let again = daemon.create_site("gone.example");
    assert_ne!(again, gone);
    assert_eq!((counted(&daemon, &again), counted(&daemon, &stays)), (0, 4));
    assert_eq!(send(&daemon, "gone.example", &[1], 0)["stored"], 1, "its ids are free as well");
    assert!(is_on_disk(daemon.data_path(), "gone.example-12"), "in the log");

    // A restart comes before anything is written anew.
    let daemon = daemon.kill().start();
    daemon.seal();
    wait_for(&daemon, "the rows of the removed site leave the disk", || daemon.seal().rows == 5);
    assert_eq!((counted(&daemon, &again), counted(&daemon, &stays)), (1, 4));
    assert!(!is_on_disk(daemon.data_path(), "gone.example-12"));
    let daemon = daemon.kill().start();
    assert_eq!((counted(&daemon, &again), counted(&daemon, &stays), daemon.seal().rows), (1, 4, 5));
}

/// All of a segment belongs to the removed site.
#[test]
fn a_segment_of_a_removed_site_alone_is_dropped() {
    let daemon = Daemon::start();
    let gone = daemon.create_site("gone.example");
    send(&daemon, "gone.example", &[3, 2, 1], 0);
    assert_eq!(daemon.seal(), Sealed { segments: 1, rows: 3 });
    assert_eq!(daemon.as_owner("DELETE", &format!("/api/sites/{gone}"), None).status, 200);
    wait_for(&daemon, "the segment is dropped", || daemon.seal() == Sealed { segments: 0, rows: 0 });
    assert_eq!(std::fs::read_dir(daemon.data_path().join("segments")).unwrap().count(), 0);
    let daemon = daemon.kill().start();
    assert_eq!(daemon.seal(), Sealed { segments: 0, rows: 0 });
    assert!(daemon.read("/api/status")["damage"].is_null());
}
