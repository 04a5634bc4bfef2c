//! One body to the daemon, tried again while there is hope.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::StatusCode;

use super::summary::Verdict;
use crate::cli::client::{Answer, Client};
use crate::cli::error::Error;
use crate::cli::lookup;

/// How long a body is tried before the import gives up: longer than a restart takes. In tests patience ends sooner.
const PATIENCE: Duration = if cfg!(test) { Duration::from_secs(5) } else { Duration::from_secs(120) };

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The longest pause a daemon may ask for.
const LONGEST_ASKED_PAUSE: Duration = Duration::from_secs(60);

/// Sends `lines` until they are answered for.
///
/// A busy daemon (429, 503), a full disk (507) and a lost connection are waited for; `waiting` is told why. Lines that carry an id are
/// stored once however often they are sent; others may be stored again after a lost connection or an unknown outcome.
///
/// # Errors
///
/// What the last try met, once patience is at its end; at once for any refusal that waiting does not change;
/// [`Error::Interrupted`] when `stopped` is set meanwhile.
pub(super) fn send(
    client: &Client,
    site: Option<&str>,
    lines: &[u8],
    stopped: &AtomicBool,
    waiting: impl Fn(&Error),
) -> Result<Verdict, Error> {
    let give_up = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        let (error, asked) = match client.post_lines(site, lines) {
            Ok(answer) if is_passing(&answer) => (refusal(client, &answer), answer.retry_after),
            Ok(answer) => return verdict(client, &answer),
            Err(error) => (error, None),
        };
        let next = asked.unwrap_or(pause).min(LONGEST_ASKED_PAUSE);
        if Instant::now() + next > give_up {
            return Err(error);
        }
        waiting(&error);
        if !sleep(next, stopped) {
            return Err(Error::Interrupted);
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether waiting may help. A full disk is waited for if the daemon says that it goes on by itself when there is space.
fn is_passing(answer: &Answer) -> bool {
    match answer.status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => true,
        StatusCode::INSUFFICIENT_STORAGE => answer.retry_after.is_some(),
        _ => false,
    }
}

fn verdict(client: &Client, answer: &Answer) -> Result<Verdict, Error> {
    lookup::read(client, client.json(answer)?)
}

fn refusal(client: &Client, answer: &Answer) -> Error {
    client.json(answer).err().unwrap_or(Error::Interrupted)
}

/// Whether the whole pause passed before `stopped` was set.
fn sleep(pause: Duration, stopped: &AtomicBool) -> bool {
    let end = Instant::now() + pause;
    while !stopped.load(Ordering::SeqCst) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
    false
}
