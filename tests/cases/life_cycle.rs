//! Start, stop, and who may run beside whom.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::secrets::FIXTURE_TOKEN;
use support::{Book, Daemon, Event, Options, SITE_DOMAIN, run_cli_with};

#[test]
fn a_drain_under_load_keeps_what_it_accepted_and_exits_zero() {
    let daemon = Daemon::start();
    let site = daemon.create_site(SITE_DOMAIN);
    let mut book = Book::new();
    let asked = book.report_during(&daemon, |progress| {
        while progress.acknowledged() < 50 {
            std::thread::sleep(Duration::from_millis(1));
        }
        daemon.signal(Signal::TERM);
        Instant::now()
    });
    let (status, options) = daemon.wait();
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert_eq!(status.code(), Some(0));
    book.check(&options.start(), &site);
}

#[test]
fn an_interrupt_drains_too() {
    let daemon = Daemon::start();
    daemon.create_site(SITE_DOMAIN);
    assert_eq!(daemon.report(&Event::new("kept")).status, 202);
    daemon.signal(Signal::INT);
    assert_eq!(daemon.wait().0.code(), Some(0));
}

/// Whether it was only killed or the power was cut, nobody can tell afterwards: what `--sync os` may lose is said either way.
#[test]
fn a_start_says_what_an_unclean_end_under_sync_os_may_have_lost() {
    let options = Options::new().flag("--sync", "os");
    let daemon = options.start();
    let site = daemon.create_site(SITE_DOMAIN);
    assert_eq!(daemon.report(&Event::new("kept")).header("hitkeep-durable"), Some("no"));
    let daemon = daemon.terminate().1.start();
    assert!(!daemon.output().contains("epoch"), "a clean end loses nothing: {}", daemon.output());
    assert_eq!(daemon.report(&Event::new("kept")).status, 202);
    let daemon = daemon.kill().start();
    assert!(daemon.output().contains("a new epoch begins"), "{}", daemon.output());
    assert_eq!(daemon.count(&site, "kept"), 2, "the process was killed, the system was not");
    assert_eq!(daemon.report(&Event::new("kept")).status, 202);
    assert_eq!(daemon.count(&site, "kept"), 3);
}

#[test]
fn a_second_daemon_on_the_directory_is_told_who_holds_it() {
    let daemon = Daemon::start();
    let failure = daemon.options().clone().try_start().expect_err("the directory is held");
    assert!(!failure.status.success());
    assert!(failure.output.contains(&daemon.pid().to_string()), "{}", failure.output);
}

#[test]
fn the_owner_token_is_written_once_for_its_owner_alone() {
    let daemon = Daemon::start();
    let path = daemon.data_path().join("admin.token");
    let token = daemon.token();
    assert_eq!(token.len(), 64);
    assert!(token.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(daemon.output().contains("admin.token"), "the log names the file: {}", daemon.output());
    let daemon = daemon.kill().start();
    assert_eq!(daemon.token(), token, "a second start changes nothing");
    assert_eq!(daemon.as_owner("GET", "/api/sites", None).status, 200);
}

#[test]
fn a_token_from_outside_is_the_owner_at_each_start() {
    let options = Options::new();
    let file = options.scratch().join("token");
    std::fs::write(&file, format!("{FIXTURE_TOKEN}\n")).unwrap();
    let mut daemon = options.variable("HITKEEP_ADMIN_TOKEN_FILE", file.to_str().unwrap()).start();
    let bearer = format!("Bearer {FIXTURE_TOKEN}");
    for _ in 0..2 {
        assert_eq!(daemon.send("GET", "/api/sites", &[("Authorization", &bearer)], None).status, 200);
        daemon = daemon.kill().start();
    }
}

#[test]
fn resetting_the_owner_makes_the_old_token_useless() {
    let daemon = Daemon::start();
    let old = daemon.token();
    let path = daemon.data_path().to_str().unwrap().to_owned();
    let reset = || run_cli_with(&["token", "reset-owner", "--data-path", &path], &[]);
    assert_ne!(reset().code, Some(0), "a running daemon holds its directory");
    let (_, options) = daemon.terminate();
    reset().succeeded();
    let daemon = options.start();
    assert_ne!(daemon.token(), old);
    let bearer = format!("Bearer {old}");
    assert_eq!(daemon.send("GET", "/api/sites", &[("Authorization", &bearer)], None).status, 401);
    assert_eq!(daemon.as_owner("GET", "/api/sites", None).status, 200);
}

#[test]
fn a_bad_setting_stops_the_start_and_is_named() {
    for (name, value) in [("SYNC", "sometimes"), ("INGEST_BURST", "many"), ("SEGMENT_BYTES", "-1")] {
        let variable = format!("HITKEEP_{name}");
        let flag = name.to_lowercase().replace('_', "-");
        let failure = Options::bare().variable(&variable, value).try_start().expect_err("a bad value");
        assert!(!failure.status.success());
        assert!(failure.output.contains(&variable) || failure.output.contains(&flag), "{name}: {}", failure.output);
    }
}

#[test]
fn health_is_answered_without_a_token() {
    let daemon = Daemon::start();
    for path in ["/healthz", "/readyz"] {
        let answer = daemon.send("GET", path, &[], None);
        assert_eq!((answer.status, answer.text()), (200, "ok"), "{path}");
    }
    assert_eq!(daemon.send("HEAD", "/healthz", &[], None).status, 200);
    let status = daemon.send("GET", "/api/status", &[], None);
    assert_eq!(status.text(), "{\"needs_setup\":false,\"version\":\"0.1.0\"}\n");
}

#[test]
fn without_syncs_no_answer_claims_to_be_durable() {
    let daemon = Options::new().flag("--sync", "os").start();
    daemon.create_site(SITE_DOMAIN);
    for _ in 0..2 {
        let answer = daemon.report(&Event::new("fleeting").with("event_id", "fleeting"));
        assert_eq!(answer.status, 202);
        assert_eq!(answer.header("hitkeep-durable"), Some("no"));
    }
}

/// `interval` answers after the sync of its interval, so its answers are durable.
#[test]
fn with_an_interval_answers_wait_for_its_sync() {
    let daemon = Options::new().flag("--sync", "interval=50ms").start();
    let site = daemon.create_site(SITE_DOMAIN);
    let answer = daemon.report(&Event::new("spaced"));
    assert_eq!(answer.status, 202);
    assert!(answer.sequence().is_some());
    assert_eq!(answer.header("hitkeep-durable"), None);
    assert_eq!(daemon.kill().start().count(&site, "spaced"), 1);
}
