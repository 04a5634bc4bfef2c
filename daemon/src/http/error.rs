//! Why a request is refused, and the one place that picks statuses for it.

use std::borrow::Cow;

use hyper::StatusCode;
use hyper::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER};

use super::respond::{self, Answer};
use crate::concurrency::MAX_PER_TOKEN;

/// Why a request does not get what it asked for. The sentences are part of the wire contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// The client sent something wrong; the sentence names the field and the limit.
    Invalid(&'static str),
    /// The event is older than its site keeps them.
    Expired {
        /// For how many days it does.
        days: u32,
    },
    /// Both `Content-Length` and `Transfer-Encoding`: whoever relayed this may see another body than we do.
    AmbiguousBody,
    /// The body, or the number of its lines, passes the limit of the route.
    TooLarge(&'static str),
    /// No token, or one that is unknown or revoked.
    Unauthorized,
    /// A token without a grant for the site, or one that may not do this.
    Denied(&'static str),
    /// There is no such thing.
    NotFound(&'static str),
    /// The path exists, with these methods.
    MethodNotAllowed(&'static str),
    /// It would be the second of its kind.
    Conflict(&'static str),
    /// Over the limiter; the next one passes in this many seconds.
    TooManyRequests {
        /// Whole seconds, at least 1.
        retry_after_seconds: u64,
    },
    /// The token has as many requests under way as it may have.
    TooManyAtOnce,
    /// The queue of the appender is full.
    QueueFull,
    /// There is no space for more events.
    DiskFull,
    /// A log stays one, and is tried again; the log of the daemon says why.
    NotSealed,
    /// The sync failed: the event may be stored or not.
    OutcomeUnknown,
    /// The daemon starts, drains, or has stopped taking events.
    NotReady,
    /// A report waited or ran for too long.
    QueryOverrun,
    /// As many reports wait as may.
    TooManyQueries,
    /// A bug, or a file that cannot be read; the log says which.
    Internal,
}

/// What a client gets that asks for something unknown, or that isolation keeps out.
pub(crate) const NOT_FOUND: Error = Error::NotFound("Not found");

/// The refusal of every body that does not parse or has fields of the wrong type.
pub(crate) const BAD_BODY: Error = Error::Invalid("Bad request body");

/// Most requests end within a second.
const PLACE_RETRY_SECONDS: u64 = 1;

// The sentence of `TooManyAtOnce` names the bound.
const _: () = assert!(MAX_PER_TOKEN == 16);

/// A full queue is empty again after a few syncs.
const QUEUE_RETRY_SECONDS: u64 = 1;

/// Space comes back when somebody makes some.
const DISK_RETRY_SECONDS: u64 = 30;

impl Error {
    /// Status, sentence, and after how many seconds another try makes sense.
    pub(crate) fn parts(self) -> (StatusCode, Cow<'static, str>, Option<u64>) {
        let (status, sentence, retry_after_seconds) = match self {
            Error::Expired { days } => {
                return (StatusCode::BAD_REQUEST, format!("timestamp is older than the site's retention of {days} days").into(), None);
            }
            Error::Invalid(sentence) => (StatusCode::BAD_REQUEST, sentence, None),
            Error::AmbiguousBody => (StatusCode::BAD_REQUEST, "Content-Length and Transfer-Encoding exclude each other", None),
            Error::TooLarge(sentence) => (StatusCode::PAYLOAD_TOO_LARGE, sentence, None),
            Error::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized", None),
            Error::Denied(sentence) => (StatusCode::FORBIDDEN, sentence, None),
            Error::NotFound(sentence) => (StatusCode::NOT_FOUND, sentence, None),
            Error::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed", None),
            Error::Conflict(sentence) => (StatusCode::CONFLICT, sentence, None),
            Error::TooManyRequests { retry_after_seconds } => {
                (StatusCode::TOO_MANY_REQUESTS, "Too Many Requests", Some(retry_after_seconds))
            }
            Error::TooManyAtOnce => {
                (StatusCode::TOO_MANY_REQUESTS, "Too Many Requests: at most 16 of one token at once", Some(PLACE_RETRY_SECONDS))
            }
            Error::QueueFull => (StatusCode::SERVICE_UNAVAILABLE, "Service busy", Some(QUEUE_RETRY_SECONDS)),
            Error::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "Insufficient storage", Some(DISK_RETRY_SECONDS)),
            Error::NotSealed => {
                (StatusCode::SERVICE_UNAVAILABLE, "Not everything is sealed: a log cannot be for now, the daemon's log says why", None)
            }
            Error::OutcomeUnknown => (StatusCode::SERVICE_UNAVAILABLE, "Outcome unknown", None),
            Error::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "Service not ready", Some(QUEUE_RETRY_SECONDS)),
            Error::QueryOverrun => (StatusCode::SERVICE_UNAVAILABLE, "Query took too long", Some(QUEUE_RETRY_SECONDS)),
            Error::TooManyQueries => (StatusCode::SERVICE_UNAVAILABLE, "Too many queries wait", Some(QUEUE_RETRY_SECONDS)),
            Error::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Internal server error", None),
        };
        (status, sentence.into(), retry_after_seconds)
    }

    /// The answer a client gets.
    pub(crate) fn answer(self) -> Answer {
        let (status, sentence, retry_after) = self.parts();
        let mut answer = respond::text(status, &sentence);
        let headers = answer.headers_mut();
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        match self {
            Error::MethodNotAllowed(allow) => {
                headers.insert(ALLOW, HeaderValue::from_static(allow));
            }
            // hyper closes of its own accord; the client is told as well.
            Error::AmbiguousBody => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        answer
    }
}
