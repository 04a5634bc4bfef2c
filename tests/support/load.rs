//! Events from many clients at once, and a book of what was acknowledged.
//!
//! The book is what a careful client would keep: an id is *acknowledged* once its 202 with a sequence came, and *in
//! doubt* when the connection broke or the outcome was unknown. After a crash the first kind must be there, once,
//! under its sequence; the second kind may be there or not, and is told again until it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Answer, Connection, Daemon, Event};

/// How many clients report at once.
pub const CLIENTS: usize = 8;

/// The event that the load reports.
pub const EVENT_NAME: &str = "load";

/// What the clients know.
#[derive(Debug, Default)]
pub struct Book {
    acknowledged: BTreeMap<String, u64>,
    in_doubt: BTreeSet<String>,
    checked: BTreeMap<String, u64>,
    next_client: usize,
}

impl Book {
    /// An empty book.
    pub fn new() -> Book {
        Book::default()
    }

    /// How many events are known to be stored.
    pub fn stored(&self) -> usize {
        self.acknowledged.len() + self.checked.len()
    }

    /// How many events were acknowledged since the last check.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Reports from [`CLIENTS`] connections while `during` runs, until their connections break or an answer says
    /// that the outcome is unknown.
    pub fn report_during<T>(&mut self, daemon: &Daemon, during: impl FnOnce(&Progress) -> T) -> T {
        let (address, token) = (daemon.address(), daemon.token());
        let progress = Progress::default();
        let first = self.next_client;
        self.next_client += CLIENTS;
        let (result, notes) = thread::scope(|scope| {
            let clients: Vec<_> = (first..first + CLIENTS)
                .map(|client| {
                    let (token, progress) = (&token, &progress);
                    scope.spawn(move || report(address, token, client, progress))
                })
                .collect();
            let result = during(&progress);
            progress.stop.store(true, Ordering::Relaxed);
            let notes: Vec<_> =
                clients.into_iter().map(|client| client.join().expect("no client meets an answer it cannot explain")).collect();
            (result, notes)
        });
        for note in notes {
            self.acknowledged.extend(note.acknowledged);
            self.in_doubt.extend(note.in_doubt);
        }
        result
    }

    /// Tells everything since the last check again: what was acknowledged must be a duplicate under its sequence,
    /// what was in doubt becomes certain. Then counts.
    ///
    /// # Panics
    ///
    /// When something acknowledged is missing, stands under another sequence, or the count is not what it must be.
    pub fn check(&mut self, daemon: &Daemon, site: &str) {
        let retold: Vec<(String, Option<u64>)> = std::mem::take(&mut self.acknowledged)
            .into_iter()
            .map(|(id, sequence)| (id, Some(sequence)))
            .chain(std::mem::take(&mut self.in_doubt).into_iter().map(|id| (id, None)))
            .collect();
        let (address, token) = (daemon.address(), daemon.token());
        let share = retold.len().div_ceil(CLIENTS).max(1);
        let stored = thread::scope(|scope| {
            let clients: Vec<_> = retold
                .chunks(share)
                .map(|part| {
                    let token = &token;
                    scope.spawn(move || retell(address, token, part))
                })
                .collect();
            clients
                .into_iter()
                .flat_map(|client| match client.join() {
                    Ok(stored) => stored,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
                .collect::<Vec<_>>()
        });
        for (id, sequence) in stored {
            assert_eq!(self.checked.insert(id, sequence), None, "an id is checked once");
        }
        let sequences: BTreeSet<u64> = self.checked.values().copied().collect();
        assert_eq!(sequences.len(), self.checked.len(), "a sequence was given out twice");
        let expected = u64::try_from(self.checked.len()).expect("a count fits");
        assert_eq!(daemon.count(site, EVENT_NAME), expected, "every id is stored once");
    }
}

/// How far the clients are.
#[derive(Debug, Default)]
pub struct Progress {
    stop: AtomicBool,
    acknowledged: AtomicU64,
}

impl Progress {
    /// How many events were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Note {
    acknowledged: Vec<(String, u64)>,
    in_doubt: Vec<String>,
}

fn report(address: SocketAddr, token: &str, client: usize, progress: &Progress) -> Note {
    let mut note = Note::default();
    let Ok(mut connection) = Connection::open(address) else {
        return note;
    };
    for number in 0.. {
        if progress.stop.load(Ordering::Relaxed) {
            break;
        }
        let id = format!("client-{client}-event-{number}");
        match event(&id).send(&mut connection, token) {
            Ok(answer) if answer.status == 202 => {
                assert!(!answer.is_duplicate(), "{id} was never told before");
                note.acknowledged.push((id, sequence(&answer)));
                progress.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            // 503: the sync failed, the sealer is behind, or the daemon stops. In any case this client must ask again later.
            Ok(answer) if answer.status == 503 => {
                note.in_doubt.push(id);
                break;
            }
            Ok(answer) => panic!("{id}: {} {}", answer.status, answer.text()),
            Err(_) => {
                note.in_doubt.push(id);
                break;
            }
        }
    }
    note
}

fn retell(address: SocketAddr, token: &str, part: &[(String, Option<u64>)]) -> Vec<(String, u64)> {
    let mut connection = Connection::open(address).expect("a serving daemon accepts connections");
    part.iter()
        .map(|(id, acknowledged)| {
            let answer = retell_one(&mut connection, token, id);
            assert_eq!(answer.status, 202, "{id}: {}", answer.text());
            let found = sequence(&answer);
            if let Some(acknowledged) = acknowledged {
                assert!(answer.is_duplicate(), "{id} was acknowledged as {acknowledged} and is missing");
                assert_eq!(found, *acknowledged, "{id} changed its sequence");
            }
            (id.clone(), found)
        })
        .collect()
}

/// Waits when it is asked to: with small logs the sealer may be behind.
fn retell_one(connection: &mut Connection, token: &str, id: &str) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = event(id).send(connection, token).expect("a serving daemon answers");
        if answer.header("retry-after").is_none() || begun.elapsed() > Duration::from_secs(30) {
            return answer;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn event(id: &str) -> Event {
    Event::new(EVENT_NAME).with("event_id", id)
}

fn sequence(answer: &Answer) -> u64 {
    answer.sequence().expect("a stored event has a sequence")
}

/// Text that no compression makes much shorter.
pub fn noise(seed: u64, len: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = seed * 2 + 1;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(LETTERS[(state >> 58) as usize])
    };
    (0..len).map(|_| letter()).collect()
}

/// The event that fills a disk.
pub const BIG_EVENT_NAME: &str = "big";

/// Reports large events until the disk is full, and gives how many were stored.
///
/// # Panics
///
/// When anything but 202, and at last 507 with `Retry-After`, is answered.
pub fn fill_disk(daemon: &Daemon) -> u64 {
    let (mut connection, token) = (daemon.connect(), daemon.token());
    let padding = "x".repeat(30 * 1024);
    let event = Event::new(BIG_EVENT_NAME).with("properties", serde_json::json!({ "padding": padding }));
    for stored in 0..1000 {
        let answer = event.send(&mut connection, &token).expect("a daemon on a full disk answers");
        if answer.status != 202 {
            assert_eq!(answer.status, 507, "{}", answer.text());
            assert!(answer.header("retry-after").is_some(), "{:?}", answer.headers);
            assert!(stored > 0, "the disk was full from the start");
            return stored;
        }
    }
    panic!("the disk never filled");
}

/// Reports one small event again and again until it is stored.
///
/// # Panics
///
/// When that takes more than 30 s.
pub fn await_room(daemon: &Daemon) {
    let begun = Instant::now();
    while daemon.report(&Event::new(EVENT_NAME)).status != 202 {
        assert!(begun.elapsed() < Duration::from_secs(30), "appends did not resume\n{}", daemon.output());
        thread::sleep(Duration::from_millis(100));
    }
}
