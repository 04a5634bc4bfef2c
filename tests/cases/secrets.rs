//! No token and no visitor's address in anything that is printed, at the most talkative log level.
//!
//! Every other case checks the same on what its daemons and commands printed, when they end.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use support::secrets::{FIXTURE_TOKEN, assert_absent};
use support::{Event, Options, SITE_DOMAIN, run_cli};

#[test]
fn hostile_requests_leave_no_secret_in_the_log() {
    let daemon = Options::bare().flag("--log-level", "debug").flag("--ingest-burst", "5").start();
    daemon.create_site(SITE_DOMAIN);
    let token = daemon.token();
    let bearer = format!("Bearer {token}");
    let wrong = format!("Bearer {FIXTURE_TOKEN}");
    let server = "/api/ingest/server/event";
    let browser = "/ingest/event";
    let origin = ("Origin", "https://shop.example");
    let good = Event::new("seen").text();
    for (path, headers, body) in [
        (server, vec![("Authorization", bearer.as_str())], good.as_str()),
        (server, vec![("Authorization", wrong.as_str())], good.as_str()),
        (server, vec![("X-Api-Key", FIXTURE_TOKEN)], good.as_str()),
        (server, vec![("Authorization", bearer.as_str())], r#"{"visitor_ip":"198.51.100.9"#),
        (server, vec![("Authorization", bearer.as_str())], r#"{"visitor_ip":"198.51.100.9x"}"#),
        // The peer is a trusted proxy, so these are visitors; ten requests are more than the burst.
        (browser, vec![origin, ("X-Forwarded-For", "203.0.113.5")], r#"{"n":"x"}"#),
        (browser, vec![origin, ("X-Forwarded-For", "2001:db8::1")], r#"{"n":"x"}"#),
        (browser, vec![("Origin", "https://203.0.113.6")], r#"{"n":"x"}"#),
        ("/ingest", vec![origin, ("Forwarded", "for=203.0.113.7")], r#"{"path":"/"}"#),
    ] {
        for _ in 0..10 {
            daemon.send("POST", path, &headers, Some(body));
        }
    }
    // Tokens where they do not belong.
    daemon.send("GET", &format!("/api/sites?token={token}"), &[], None);
    daemon.send("GET", &format!("/{token}"), &[], None);
    daemon.send("GET", &format!("/api/sites/{token}/goals"), &[("Authorization", &bearer)], None);
    run_cli(&daemon, &["site", "list"]).succeeded();
    assert!(daemon.output().lines().count() > 1, "something was logged: {}", daemon.output());
    assert_absent(&daemon.output(), &[token]);
}

/// From an untrusted peer a forwarded header is not believed; one warning says so, also when a request without one came first.
#[test]
fn a_forwarded_header_from_an_untrusted_peer_is_warned_about_once() {
    let daemon = Options::bare().flag("--trusted-proxies", "192.0.2.0/24").start();
    daemon.create_site(SITE_DOMAIN);
    let origin = ("Origin", "https://shop.example");
    let warnings = || daemon.output().lines().filter(|line| line.contains("forwarded header") && line.contains("cf-connecting-ip")).count();
    assert_eq!(daemon.send("POST", "/ingest/event", &[origin], Some(r#"{"n":"x"}"#)).status, 202);
    let (begun, mut warned_for) = (Instant::now(), 0);
    while warned_for < 20 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", daemon.output());
        let headers = [origin, ("CF-Connecting-IP", "203.0.113.9")];
        assert_eq!(daemon.send("POST", "/ingest/event", &headers, Some(r#"{"n":"x"}"#)).status, 202);
        warned_for += usize::from(warnings() > 0);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(warnings(), 1, "{}", daemon.output());
}
