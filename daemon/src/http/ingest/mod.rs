//! The endpoints that store: browsers, servers, and many events at once.
//!
//! Each decides in the order of the wire contract, and the first refusal answers. What costs a client nothing to provoke is refused
//! before its body is read: over the limiter, no or a broken origin, an unknown site, no token.
//!
//! Parts, in reading order: `rules` limits and what is left out; `json` and `properties` bodies; `address` URLs and origins;
//! `browser`, `server`, `bulk` the endpoints.

mod address;
pub(super) mod browser;
pub(super) mod bulk;
#[cfg(feature = "fuzz")]
pub(super) mod fuzz;
pub(super) mod json;
mod properties;
mod rules;
pub(super) mod server;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, body::Incoming};

use super::connection::Connection;
use super::error::NOT_FOUND;
use super::respond::{self, Answer};
use super::{Error, State};
use crate::appender::{Outcome, Submission};

const SEQUENCE: HeaderName = HeaderName::from_static("hitkeep-sequence");
const DUPLICATE: HeaderName = HeaderName::from_static("hitkeep-duplicate");
const DURABLE: HeaderName = HeaderName::from_static("hitkeep-durable");

const TRUE: HeaderValue = HeaderValue::from_static("true");
const NO: HeaderValue = HeaderValue::from_static("no");

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// A 202 without a sequence: a rule left the event out.
fn dropped() -> Answer {
    respond::empty(StatusCode::ACCEPTED)
}

/// Refuses what no script and no server sends: a navigation to an ingest path.
fn isolate(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(SEC_FETCH_MODE).map(HeaderValue::as_bytes) {
        Some(b"navigate" | b"nested-navigate") => Err(NOT_FOUND),
        _ => Ok(()),
    }
}

/// Lets only POST pass.
fn only_post(method: &Method) -> Result<(), Error> {
    if method == Method::POST { Ok(()) } else { Err(Error::MethodNotAllowed("POST")) }
}

/// Takes one token from the bucket that all ingest endpoints share.
fn admit(connection: &Connection, headers: &HeaderMap) -> Result<(), Error> {
    let state = &connection.state;
    state
        .ingest_limiter
        .admit(|| state.client_ip.of(connection.peer, headers))
        .map_err(|retry_after_seconds| Error::TooManyRequests { retry_after_seconds })
}

/// Refuses while the queue is full, before a body is read.
fn has_room(state: &State) -> Result<(), Error> {
    if state.appender.is_full() { Err(Error::QueueFull) } else { Ok(()) }
}

/// Stores one event and answers when it is durable. The answer's headers go into `headers`, which is empty.
async fn store(state: &State, submission: Submission, mut headers: HeaderMap) -> Result<Answer, Error> {
    let outcome = state.appender.submit_one(submission).map_err(|_| Error::QueueFull)?.await;
    let (sequence, durable, duplicate) = match outcome {
        Outcome::Stored { sequence, durable } => (sequence, durable, false),
        Outcome::Duplicate { sequence, durable } => (sequence, durable, true),
        Outcome::TooManyNames => return Err(rules::TOO_MANY_NAMES.error),
        Outcome::TooLarge => return Err(rules::TOO_LONG.error),
        Outcome::DiskFull => return Err(Error::DiskFull),
        Outcome::Behind => return Err(Error::QueueFull),
        Outcome::Unknown => return Err(Error::OutcomeUnknown),
        Outcome::Stopping => return Err(Error::NotReady),
    };
    // By way of a text: a header value of a number allocates twice.
    headers.insert(SEQUENCE, HeaderValue::try_from(sequence.value().to_string()).expect("digits are visible"));
    if duplicate {
        headers.insert(DUPLICATE, TRUE);
    }
    if !durable {
        headers.insert(DURABLE, NO);
    }
    Ok(respond::with_headers(StatusCode::ACCEPTED, headers))
}

/// Splits a request whose method and isolation were checked.
///
/// A handler decides by the headers, clears them before it waits, and gives the map to [`store`]. The cleared map goes back to hyper with
/// the answer, for the next request, and so does the buffer that the headers came in, once none of them lives.
fn accepted(request: Request<Incoming>) -> Result<(HeaderMap, Incoming), Error> {
    isolate(request.headers())?;
    only_post(request.method())?;
    let (head, body) = request.into_parts();
    Ok((head.headers, body))
}
