//! `hitkeepd import`: files of events to a running daemon.
//!
//! Two threads take turns at cutting bodies from the files and send them, so that one body is being read and unpacked
//! while another is being stored. The thread that started them adds up the verdicts and watches for Ctrl-C.
//!
//! Invariants:
//!
//! * A line is counted when the daemon answered for it, and only then.
//! * After Ctrl-C no body is begun; those under way are waited for, so that the summary is true.
//!
//! Parts, in reading order: [`source`] the files, [`lines`] their lines, [`send`] one request, [`summary`], [`progress`].

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use super::args::ImportArguments;
use super::client::Client;
use super::error::Error;
use super::lookup;
use crate::config::Environment;

mod lines;
mod progress;
mod send;
mod source;
mod summary;

use progress::Progress;
use source::{Piece, Source};
use summary::{Summary, Verdict};

/// How many requests are under way at once.
const SENDERS: usize = 2;

/// The status of a body that is over a limit of the endpoint.
const TOO_LARGE: u16 = 413;

/// How soon Ctrl-C is seen.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Sends all files and prints what became of their lines; whether every line was taken.
pub(crate) fn run(arguments: &ImportArguments, environment: &Environment, out: &mut impl Write) -> Result<bool, Error> {
    let source = Source::new(&arguments.files)?;
    let client = Client::new(&arguments.client, environment)?;
    let site = preflight(&client, arguments.site.as_deref())?;
    let stopped = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stopped).map_err(|source| Error::Signals { source })?;

    let started = Instant::now();
    let progress = Progress::new(source.total_bytes, io::stderr().is_terminal(), started);
    let (summary, failure) = send_all(source, client, site, &stopped, &progress);
    progress.clear();
    if arguments.client.json {
        writeln!(out, "{}", summary.json(started.elapsed(), failure.is_none()))?;
    } else {
        summary.print(started.elapsed(), out)?;
    }
    match failure {
        Some(failure) => Err(failure),
        None => Ok(!summary.has_rejected()),
    }
}

/// Finds out that the daemon answers and knows the token, before anything is sent; the id of the site of lines without url.
fn preflight(client: &Client, site: Option<&str>) -> Result<Option<String>, Error> {
    match site {
        Some(_) => Ok(Some(lookup::site(client, site)?.id)),
        None => lookup::sites(client).map(|_| None),
    }
}

/// The first signal asks for an end, the second one enforces it.
fn stop_on_signals(stopped: &Arc<AtomicBool>) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(stopped))?;
        signal_hook::flag::register(signal, Arc::clone(stopped))?;
    }
    Ok(())
}

/// What the threads share.
struct Shared {
    source: Mutex<Source>,
    client: Client,
    site: Option<String>,
    stopped: Arc<AtomicBool>,
    /// Senders that have begun a body, or are about to, and have not yet reported all of it.
    under_way: AtomicUsize,
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

/// What a sender reports.
enum Report {
    Answered(Box<Piece>, Verdict),
    Waiting(String),
    Failed(Error),
}

/// Sends everything; the summary, and why it is not whole.
fn send_all(
    source: Source,
    client: Client,
    site: Option<String>,
    stopped: &Arc<AtomicBool>,
    progress: &Progress,
) -> (Summary, Option<Error>) {
    let shared =
        Arc::new(Shared { source: Mutex::new(source), client, site, stopped: Arc::clone(stopped), under_way: AtomicUsize::new(0) });
    let is_stopped = || stopped.load(Ordering::SeqCst);
    let (reports, received) = mpsc::sync_channel(SENDERS);
    for _ in 0..SENDERS {
        let (shared, reports) = (Arc::clone(&shared), reports.clone());
        // Not joined: after Ctrl-C one may wait for ever in a read of the standard input.
        thread::spawn(move || send_bodies(&shared, &reports));
    }
    drop(reports);

    let mut tally = Tally { summary: Summary::default(), failure: None, progress };
    loop {
        match received.recv_timeout(WATCH_INTERVAL) {
            Ok(report) => tally.take(report),
            Err(RecvTimeoutError::Disconnected) => break,
            // Senders raise `under_way` before they look at `stopped`: zero here means that none begins another body.
            Err(RecvTimeoutError::Timeout) if is_stopped() && shared.under_way.load(Ordering::SeqCst) == 0 => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    received.try_iter().for_each(|report| tally.take(report));
    if is_stopped() {
        tally.failure.get_or_insert(Error::Interrupted);
    }
    (tally.summary, tally.failure)
}

/// What the reports add up to.
struct Tally<'a> {
    summary: Summary,
    failure: Option<Error>,
    progress: &'a Progress,
}

impl Tally<'_> {
    fn take(&mut self, report: Report) {
        match report {
            Report::Answered(piece, verdict) => {
                self.summary.add(&piece, verdict);
                self.progress.show(piece.read_bytes, self.summary.received());
            }
            Report::Waiting(why) => self.progress.waiting(&why),
            // One sender fails and thereby interrupts the other: the failure is what matters.
            Report::Failed(error) if matches!(self.failure, None | Some(Error::Interrupted)) => self.failure = Some(error),
            Report::Failed(_) => {}
        }
    }
}

/// Cuts and sends bodies until there are none.
fn send_bodies(shared: &Shared, reports: &mpsc::SyncSender<Report>) {
    loop {
        let next = shared.source.lock().unwrap_or_else(PoisonError::into_inner).next();
        shared.under_way.fetch_add(1, Ordering::SeqCst);
        let outcome = match next {
            Ok(Some(piece)) => send_piece(shared, piece, reports),
            Ok(None) => Ok(false),
            Err(_) if shared.is_stopped() => Ok(false),
            Err(error) => Err(error),
        };
        let goes_on = outcome.unwrap_or_else(|error| {
            shared.stopped.store(true, Ordering::SeqCst);
            let _ = reports.send(Report::Failed(error));
            false
        });
        shared.under_way.fetch_sub(1, Ordering::SeqCst);
        if !goes_on {
            return;
        }
    }
}

/// Sends one body and reports what became of it; whether to go on with another.
///
/// A body whose events take more room than the daemon gives to one request is sent in halves; a line that is too large alone is rejected.
fn send_piece(shared: &Shared, piece: Piece, reports: &mpsc::SyncSender<Report>) -> Result<bool, Error> {
    let mut waiting = vec![piece];
    while let Some(mut piece) = waiting.pop() {
        if shared.is_stopped() {
            return Ok(false);
        }
        let verdict = match answered(shared, &piece, reports) {
            Err(Error::Refused { status: TOO_LARGE, message }) => match piece.split_off() {
                Some(rest) => {
                    waiting.extend([rest, piece]);
                    continue;
                }
                None => Verdict::rejected_line(message),
            },
            verdict => verdict?,
        };
        if reports.send(Report::Answered(Box::new(piece), verdict)).is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn answered(shared: &Shared, piece: &Piece, reports: &mpsc::SyncSender<Report>) -> Result<Verdict, Error> {
    if piece.body.numbers.is_empty() {
        return Ok(Verdict::default());
    }
    let waiting = |error: &Error| {
        let _ = reports.try_send(Report::Waiting(format!("waiting: {error}")));
    };
    send::send(&shared.client, shared.site.as_deref(), &piece.body.bytes, &shared.stopped, waiting)
}

#[cfg(test)]
mod tests;
