//! Durable means durable: kills, slow syncs, failing syncs and full disks, against the real binary.
//!
//! The power cuts, which need file systems of their own, are in `root.rs`.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::{Book, Connection, Daemon, Event, Options, SITE_DOMAIN, load};

/// A number that is different in every run; the cases print what they chose.
fn random(below: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish() % below
}

/// The log that a fault is aimed at: of a daemon that has not rotated yet, the only one.
fn only_log(data_path: &Path) -> PathBuf {
    let logs = std::fs::read_dir(data_path.join("logs")).unwrap();
    let logs: Vec<_> = logs.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    logs[0].clone()
}

/// A stopped daemon with the site on it: how to start it again, its site, and its log.
fn prepared() -> (Options, String, PathBuf) {
    let daemon = Daemon::start();
    let site = daemon.create_site(SITE_DOMAIN);
    let log = only_log(daemon.data_path());
    let (status, options) = daemon.terminate();
    assert!(status.success(), "{status}");
    (options, site, log)
}

/// strace, doing `what` to every fdatasync of `log`.
fn injecting(log: &Path, what: &str) -> Vec<String> {
    let inject = format!("inject=fdatasync:{what}");
    let log = log.to_str().unwrap();
    ["strace", "-f", "-qq", "-o", "/dev/null", "-P", log, "-e", "trace=fdatasync", "-e", &inject].map(str::to_owned).to_vec()
}

const NO_WRAPPER: [&str; 0] = [];

/// (a) Every event that got its 202 with a sequence is there, once, by its id: 200 kills in a row, at random moments
/// under eight clients, and every fourth time once more while the daemon starts.
#[test]
fn killed_at_any_moment_it_keeps_what_it_acknowledged() {
    let kills: u32 = std::env::var("HITKEEP_TEST_KILLS").map_or(200, |kills| kills.parse().unwrap());
    // Small logs, so that rotation and sealing are killed too.
    let mut daemon = Options::new().flag("--segment-bytes", "65536").start();
    let site = daemon.create_site(SITE_DOMAIN);
    let mut book = Book::new();
    for kill in 1..=kills {
        let wait = Duration::from_micros(random(150_000));
        let pid = Pid::from_raw(daemon.pid()).unwrap();
        book.report_during(&daemon, |_| {
            std::thread::sleep(wait);
            kill_process(pid, Signal::KILL).unwrap();
        });
        let options = daemon.kill();
        if kill % 4 == 0 {
            options.start_and_kill(Duration::from_micros(random(30_000)));
        }
        daemon = options.start();
        println!("kill {kill} after {wait:?}: {} acknowledged", book.acknowledged());
        book.check(&daemon, &site);
    }
    let sealed = daemon.seal();
    println!("{} events stored over {kills} kills, in {} segments", book.stored(), sealed.segments);
    assert_eq!(sealed.rows, book.stored() as u64, "each event is in one segment");
    assert_eq!(daemon.count(&site, load::EVENT_NAME), sealed.rows);
    assert!(book.stored() as u64 > u64::from(kills), "the clients got to report something");
}

/// (b) With every sync of the log delayed by 300 ms, no answer comes and no count rises before the sync returned.
#[test]
fn nothing_is_acknowledged_or_counted_before_the_sync_returned() {
    const DELAY: Duration = Duration::from_millis(300);
    /// Counts taken during delays. strace makes each slow on a busy machine: there are as many rounds as they need.
    const LOOKS: u32 = 16;
    let (options, site, log) = prepared();
    let wrapper = injecting(&log, &format!("delay_enter={}", DELAY.as_micros()));
    let daemon = options.through(wrapper).start();
    assert_eq!(only_log(daemon.data_path()), log, "the delayed log is the one that is written");
    let (mut stored, mut looks) = (0, 0);
    while stored < 4 || looks < LOOKS {
        assert!(stored < 60, "only {looks} looks while syncs were delayed");
        assert_eq!(daemon.count(&site, "slow"), stored);
        let event = Event::new("slow").with("event_id", format!("slow-{stored}"));
        let begun = Instant::now();
        let (answer, answered) = std::thread::scope(|scope| {
            let reporting = scope.spawn(|| (daemon.report(&event), begun.elapsed()));
            loop {
                let count = daemon.count(&site, "slow");
                // The count was taken before this moment: a rise seen before the delay is over came too early.
                if begun.elapsed() >= DELAY {
                    break;
                }
                assert_eq!(count, stored, "the count rose {:?} after the request was sent", begun.elapsed());
                looks += 1;
            }
            reporting.join().unwrap()
        });
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert!(answer.sequence().is_some());
        assert!(answered >= DELAY, "acknowledged after {answered:?}");
        stored += 1;
        assert_eq!(daemon.count(&site, "slow"), stored, "what was acknowledged is counted");
    }
}

/// (c) When a sync of the log fails once, that batch's outcome is unknown, the process ends, and the next start
/// serves what was acknowledged and stores again.
#[test]
fn a_failed_sync_ends_the_daemon_and_the_next_start_goes_on() {
    let (options, site, log) = prepared();
    // strace counts calls by thread: no thread but the appender's syncs this log twelve times.
    let daemon = options.through(injecting(&log, "error=EIO:when=12")).start();
    let mut acknowledged = Vec::new();
    let (mut connection, token) = (daemon.connect(), daemon.token());
    let failed = loop {
        let id = format!("sync-{}", acknowledged.len());
        let answer = Event::new("synced").with("event_id", id.as_str()).send(&mut connection, &token).unwrap();
        if answer.status != 202 {
            assert_eq!((answer.status, answer.text()), (503, "Outcome unknown\n"));
            break id;
        }
        acknowledged.push((id, answer.sequence().unwrap()));
        assert!(acknowledged.len() < 20, "the twelfth sync did not fail");
    };
    assert!(!acknowledged.is_empty(), "some syncs worked before the one that failed");
    let (status, options) = daemon.wait();
    assert!(!status.success(), "a failed sync must not look like a clean end");

    let daemon = options.through(NO_WRAPPER).start();
    for (id, sequence) in &acknowledged {
        let answer = daemon.report(&Event::new("synced").with("event_id", id.as_str()));
        assert_eq!((answer.status, answer.sequence(), answer.is_duplicate()), (202, Some(*sequence), true), "{id}");
    }
    let answer = daemon.report(&Event::new("synced").with("event_id", failed.as_str()));
    assert_eq!(answer.status, 202, "what had an unknown outcome can be told again");
    assert_eq!(daemon.count(&site, "synced"), acknowledged.len() as u64 + 1);
}

/// A disk that is full, by a limit on the size of files: 507 with `Retry-After`, questions go on, and appends resume
/// by themselves when there is room.
#[test]
fn a_full_disk_refuses_events_answers_questions_and_recovers_by_itself() {
    let (options, site, _) = prepared();
    let limit = format!("--fsize={}:unlimited", 4 * 1024 * 1024);
    let daemon = options.through(["prlimit", &limit]).start();
    let stored = load::fill_disk(&daemon);
    assert_eq!(daemon.count(&site, load::BIG_EVENT_NAME), stored, "questions are answered on a full disk");

    let pid = daemon.pid().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:unlimited"]).status().unwrap();
    assert!(raised.success());
    load::await_room(&daemon);
    let daemon = daemon.kill().through(NO_WRAPPER).start();
    assert_eq!(daemon.count(&site, load::BIG_EVENT_NAME), stored, "all of it is there after a kill");
    assert_eq!(daemon.count(&site, load::EVENT_NAME), 1);
}

/// Clients have taken every file descriptor when a log is full: events are refused until there are some.
#[test]
fn without_file_descriptors_the_daemon_goes_on_and_loses_nothing() {
    let daemon = Options::new().flag("--segment-bytes", "64KiB").start();
    let site = daemon.create_site(SITE_DOMAIN);
    let mut connection = daemon.connect();
    let send = |connection: &mut Connection, number: usize| {
        let event = Event::new(load::EVENT_NAME).with("event_id", format!("event-{number}"));
        event.send(connection, &daemon.token()).unwrap()
    };
    assert_eq!(send(&mut connection, 0).status, 202);
    let open = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    let (pid, limit) = (daemon.pid().to_string(), format!("--nofile={0}:{0}", open + 3));
    assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    // Those that are not accepted wait in the backlog.
    let idle: Vec<Connection> = (0..20).map(|_| daemon.connect()).collect();
    let (mut sequences, mut refused) = (1, 0);
    while refused < 20 {
        let answer = send(&mut connection, sequences);
        if answer.status == 202 {
            sequences += 1;
            assert!(sequences < 5_000, "a new log was begun without a descriptor");
        } else {
            assert_eq!((answer.status, answer.text()), (503, "Service busy\n"));
            assert!(answer.header("retry-after").is_some());
            refused += 1;
        }
    }
    assert!(daemon.output().contains("no file descriptor for a new log"), "{}", daemon.output());
    drop(idle);
    let begun = Instant::now();
    while send(&mut connection, sequences).status != 202 {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", daemon.output());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(daemon.count(&site, load::EVENT_NAME), sequences as u64 + 1);
    let daemon = daemon.kill().start();
    assert_eq!(daemon.count(&site, load::EVENT_NAME), sequences as u64 + 1, "all of it is there after a kill");
}

/// A repeat at the same time as the first: one is stored, both answer under its sequence.
#[test]
fn of_two_events_with_one_id_at_once_one_is_stored() {
    let daemon = Daemon::start();
    let site = daemon.create_site(SITE_DOMAIN);
    for round in 0..50 {
        let event = Event::new(load::EVENT_NAME).with("event_id", format!("twin-{round}"));
        let answers: Vec<_> = std::thread::scope(|scope| {
            let twins: Vec<_> = (0..2).map(|_| scope.spawn(|| daemon.report(&event))).collect();
            twins.into_iter().map(|twin| twin.join().unwrap()).collect()
        });
        assert_eq!((answers[0].status, answers[1].status), (202, 202));
        assert_eq!(answers[0].sequence(), answers[1].sequence(), "both name the stored one");
        assert_eq!(answers.iter().filter(|answer| answer.is_duplicate()).count(), 1);
    }
    assert_eq!(daemon.count(&site, load::EVENT_NAME), 50);
}

/// More events at once than the queue holds while the disk is slow: some are refused, and those that are not are stored once.
#[test]
fn a_full_queue_refuses_and_what_it_took_is_stored_once() {
    // Together a tenth more than the queue's 16 MiB.
    const CLIENTS: usize = 600;
    let (options, site, log) = prepared();
    // Of every thread that syncs this log the first call alone: long enough for all clients to come meanwhile.
    let daemon = options.through(injecting(&log, "delay_enter=10000000:when=1")).start();
    let padding = "x".repeat(30 * 1024);
    let event = |client: usize| {
        let properties = serde_json::json!({ "padding": padding });
        Event::new(load::BIG_EVENT_NAME).with("event_id", format!("client-{client}")).with("properties", properties)
    };
    let token = daemon.token();
    let ask = |client: usize| event(client).send(&mut daemon.connect(), &token).unwrap();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = &ask;
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || ask(client))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let mut sequences = std::collections::BTreeSet::new();
    let mut refused = Vec::new();
    for (client, answer) in answers.iter().enumerate() {
        if answer.status == 202 {
            assert!(!answer.is_duplicate() && sequences.insert(answer.sequence().unwrap()), "client {client}");
        } else {
            assert_eq!((answer.status, answer.text()), (503, "Service busy\n"));
            assert!(answer.header("retry-after").is_some(), "{:?}", answer.headers);
            refused.push(client);
        }
    }
    println!("{} stored, {} refused", sequences.len(), refused.len());
    assert!(!refused.is_empty() && refused.len() < CLIENTS / 2, "{} of {CLIENTS} refused", refused.len());
    assert_eq!(daemon.count(&site, load::BIG_EVENT_NAME), sequences.len() as u64);

    let daemon = daemon.kill().through(NO_WRAPPER).start();
    assert_eq!(daemon.count(&site, load::BIG_EVENT_NAME), sequences.len() as u64, "each once");
    for client in refused {
        let answer = daemon.report(&event(client));
        assert_eq!((answer.status, answer.is_duplicate()), (202, false), "client {client} was refused, and is stored now");
    }
    assert_eq!(daemon.count(&site, load::BIG_EVENT_NAME), CLIENTS as u64);
}
