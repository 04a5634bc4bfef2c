//! The command line as a client: what a person types, what is printed, what the exit code says.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::secrets::FIXTURE_TOKEN;
use support::{Daemon, Ran, SITE_DOMAIN, binary, run_cli, run_cli_with};

/// Runs the command line as somebody on the daemon's machine who names its data directory.
fn run_nearby(daemon: &Daemon, arguments: &[&str]) -> Ran {
    let environment = [("HITKEEP_URL", daemon.url()), ("HITKEEP_DATA_PATH", daemon.data_path().to_str().unwrap().to_owned())];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    run_cli_with(arguments, &environment)
}

/// The cells of a printed table.
fn cells(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split_whitespace().collect()).collect()
}

fn refused(ran: &Ran, code: i32, message: &str) {
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{}", ran.stderr);
    assert!(ran.stderr.starts_with(&format!("hitkeepd: {message}")), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
}

fn wait_until(condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "it did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn names_alone_lead_from_an_empty_directory_to_a_series() {
    let daemon = Daemon::start();
    let printed = run_nearby(&daemon, &["site", "add", SITE_DOMAIN, "--time-zone", "Asia/Kathmandu"]).succeeded();
    assert_eq!(cells(&printed)[1][0], SITE_DOMAIN);
    run_nearby(&daemon, &["site", "set", SITE_DOMAIN, "--hostname", "pay.shop.example"]).succeeded();
    run_nearby(&daemon, &["goal", "add", "signup"]).succeeded();
    run_nearby(&daemon, &["goal", "add", "Paid", "--event", "purchase", "--site", "pay.shop.example"]).succeeded();

    // In Kathmandu, at +05:45, the second event is of the next day.
    let file = daemon.options().scratch().join("events.ndjson");
    let session = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
    let lines = [
        format!(r#"{{"name":"signup","timestamp":"2026-03-01T18:14:59Z","session_id":"{session}"}}"#),
        format!(r#"{{"name":"signup","timestamp":"2026-03-01T18:15:00Z","session_id":"{session}","properties":{{"plan":"pro"}}}}"#),
        format!(r#"{{"name":"signup","timestamp":"2026-03-01T19:00:00Z","session_id":"{session}"}}"#),
        r#"{"name":"purchase","timestamp":"2026-03-02T18:14:59.999999Z"}"#.to_owned(),
    ];
    fs::write(&file, lines.join("\r\n")).unwrap();
    let imported = run_nearby(&daemon, &["import", "--site", SITE_DOMAIN, file.to_str().unwrap()]);
    assert_eq!(imported.stderr, "", "no progress without a terminal");
    assert_eq!(cells(&imported.succeeded())[1], ["4", "4", "0", "0", "0"]);

    let range = ["--from", "2026-03-01", "--to", "2026-03-02", "--interval", "day"];
    let summed = run_nearby(&daemon, &[&["query", "goals"], &range[..]].concat()).succeeded();
    let expected = [
        vec!["time", "conversions", "total"],
        vec!["2026-03-01T00:00:00+05:45", "1", "1"],
        vec!["2026-03-02T00:00:00+05:45", "2", "3"],
        vec!["sum", "3", "4"],
    ];
    assert_eq!(cells(&summed), expected);
    let of_one = run_nearby(&daemon, &[&["query", "goals", "--goal", "Paid", "--by-goal", "--json"], &range[..]].concat()).succeeded();
    let of_one: serde_json::Value = serde_json::from_str(&of_one).unwrap();
    assert_eq!(of_one[0]["name"], "Paid");
    let totals: Vec<u64> = of_one[0]["points"].as_array().unwrap().iter().map(|point| point["total"].as_u64().unwrap()).collect();
    assert_eq!(totals, [0, 1], "the last microsecond of a date is inside");
    assert_eq!(
        run_nearby(&daemon, &["query", "names", "--from", "2026-03-02", "--to", "2026-03-02"]).succeeded(),
        "name\npurchase\nsignup\n"
    );

    let compare = ["--compare-from", "2026-03-02", "--compare-to", "2026-03-02", "--property", "plan=pro"];
    let compared = run_nearby(&daemon, &[&["query", "goals"], &range[..], &compare].concat()).succeeded();
    let (current, comparison) = compared.split_once("\ncomparison\n").unwrap();
    assert_eq!(cells(current).last().unwrap(), &["sum", "1", "1"]);
    assert_eq!(cells(comparison)[1..], [vec!["2026-03-02T00:00:00+05:45", "1", "1"], vec!["sum", "1", "1"]]);
    let condition = ["goal", "add", "Pro", "--event", "signup", "--where", "plan=pro"];
    assert_eq!(cells(&run_nearby(&daemon, &condition).succeeded())[1].last(), Some(&"plan=pro"));
    let of_pro = run_nearby(&daemon, &[&["query", "goals", "--goal", "Pro", "--filter", "path:/nowhere"], &range[..]].concat()).succeeded();
    assert_eq!(cells(&of_pro).last().unwrap(), &["sum", "0", "0"]);
    run_nearby(&daemon, &["goal", "remove", "Pro"]).succeeded();

    run_nearby(&daemon, &["goal", "remove", "Paid"]).succeeded();
    assert_eq!(cells(&run_nearby(&daemon, &["goal", "list"]).succeeded()).len(), 2);
    run_nearby(&daemon, &["site", "remove", SITE_DOMAIN, "--yes"]).succeeded();
    assert_eq!(run_nearby(&daemon, &["site", "list", "--json"]).succeeded(), "[]\n");
}

#[test]
fn refusals_say_what_to_do_next() {
    let daemon = Daemon::start();
    refused(
        &run_cli(&daemon, &["goal", "list"]),
        2,
        "name the site with --site: there is none yet, add one with `hitkeepd site add DOMAIN`",
    );
    run_cli(&daemon, &["site", "add", SITE_DOMAIN]).succeeded();
    refused(&run_cli(&daemon, &["goal", "list", "--site", "other.example"]), 1, "no site is called `other.example`: there is shop.example");
    refused(&run_cli(&daemon, &["site", "add", SITE_DOMAIN]), 1, "the daemon refuses: Failed to create site (domain might already exist)");
    refused(&run_cli(&daemon, &["query", "goals", "--tz", "Mars/Olympus"]), 2, "bad value `Mars/Olympus` for --tz");
    run_cli(&daemon, &["goal", "add", "twice"]).succeeded();
    run_cli(&daemon, &["goal", "add", "twice", "--path", "/twice"]).succeeded();
    let ambiguous = run_cli(&daemon, &["goal", "remove", "twice"]);
    refused(&ambiguous, 1, "2 goals of shop.example are called `twice`: name one by its id, ");
    assert!(ambiguous.stderr.contains("(path /twice)") && ambiguous.stderr.contains("(event twice)"), "{}", ambiguous.stderr);

    let url = daemon.url();
    let stranger = run_cli_with(&["site", "list"], &[("HITKEEP_URL", &url), ("HITKEEP_TOKEN", FIXTURE_TOKEN)]);
    refused(&stranger, 1, "the daemon does not know the token from HITKEEP_TOKEN: give one with --token-file");
    let nobody = run_cli_with(&["site", "list"], &[("HITKEEP_URL", &url), ("HITKEEP_DATA_PATH", "/nowhere")]);
    refused(&nobody, 1, "the daemon wants a token, and /nowhere/admin.token cannot be read");
    let nowhere = run_cli_with(&["site", "list"], &[("HITKEEP_URL", "http://127.0.0.1:1")]);
    refused(&nowhere, 1, "no daemon answers at http://127.0.0.1:1: is it running? Start it with `hitkeepd serve`");
    refused(
        &run_cli_with(&["config"], &[("HITKEEP_DATA_PAHT", "x")]),
        2,
        "unknown variable HITKEEP_DATA_PAHT: did you mean HITKEEP_DATA_PATH?",
    );
    refused(&run_cli_with(&["config", "--sync", "never"], &[]), 2, "bad value `never` for sync (from --sync)");
}

#[test]
fn bad_lines_fail_the_command_and_spoil_no_good_one() {
    let daemon = Daemon::start();
    let site = daemon.create_site(SITE_DOMAIN);
    let file = daemon.options().scratch().join("events.ndjson");
    let good = r#"{"name":"good","timestamp":"2026-03-01T00:00:00Z","site":"shop.example"}"#;
    fs::write(&file, format!("{good}\n\nnot json\n{}\n{good}", "x".repeat(70_000))).unwrap();
    let ran = run_cli(&daemon, &["import", file.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
    assert_eq!(cells(&ran.stdout)[1], ["4", "2", "0", "2", "0"]);
    for line in ["3  line   line must be a JSON object of an event", "4  line   line must be at most 65536 bytes"] {
        assert!(ran.stdout.contains(&format!("events.ndjson:{line}\n")), "{}", ran.stdout);
    }
    assert_eq!(daemon.count(&site, "good"), 2);
}

/// Each byte that is no UTF-8 is stored as nine.
#[test]
fn lines_that_take_more_room_stored_than_sent_are_imported() {
    let daemon = Daemon::start();
    let site = daemon.create_site(SITE_DOMAIN);
    let file = daemon.options().scratch().join("events.ndjson");
    let (head, tail) = (br#"{"name":"wide","timestamp":"2026-03-01T00:00:00Z","url":"https://shop.example/?"#, b"\"}\n");
    let line = [&head[..], &[0xff; 440][..], &tail[..]].concat();
    fs::write(&file, line.repeat(3_700)).unwrap();
    let ran = run_cli(&daemon, &["import", file.to_str().unwrap()]);
    assert_eq!(cells(&ran.succeeded())[1], ["3700", "3700", "0", "0", "0"]);
    assert_eq!(daemon.count(&site, "wide"), 3_700);
}

#[test]
fn an_interrupted_import_says_what_it_has_done() {
    let daemon = Daemon::start();
    let site = daemon.create_site(SITE_DOMAIN);
    let mut import = Command::new(binary::hitkeepd())
        .args(["import", "-", "--json", "--url", &daemon.url(), "--data-path", daemon.data_path().to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One body and a bit; then the importer waits for more.
    let mut lines = import.stdin.take().unwrap();
    let line = r#"{"name":"half","timestamp":"2026-03-01T00:00:00Z","site":"shop.example"}"#;
    for _ in 0..8_200 {
        writeln!(lines, "{line}").unwrap();
    }
    lines.flush().unwrap();
    wait_until(|| daemon.count(&site, "half") == 8_192);
    kill_process(Pid::from_child(&import), Signal::INT).unwrap();
    let output = import.wait_with_output().unwrap();
    drop(lines);
    assert_eq!(output.status.code(), Some(1));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["received"], &summary["stored"]), (&8_192.into(), &8_192.into()), "{summary}");
    assert_eq!(summary["complete"], false);
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("hitkeepd: stopped before the end"));
}
