//! From a request to the handler that answers it.
//!
//! The order is the wire contract's: isolation, then path and method, then what the handlers of an endpoint decide. The endpoints that
//! browsers and servers send to come first and cost one comparison of the path; everything else is boxed, so that its handlers do not
//! make the state of every connection larger.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::Request;
use hyper::body::Incoming;
use tracing::error;

use super::connection::Connection;
use super::error::NOT_FOUND;
use super::respond::Answer;
use super::{Error, api, health, ingest};

/// Answers one request.
pub(super) async fn answer(connection: Arc<Connection>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    Ok(guarded(route(&connection, request)).await)
}

/// A panic in a handler is a bug of one request and ends no other: 500.
async fn guarded(handler: impl Future<Output = Answer>) -> Answer {
    let mut handler = pin!(handler);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
        Ok(poll) => poll,
        Err(_) => {
            error!("a handler panicked");
            Poll::Ready(Error::Internal.answer())
        }
    })
    .await
}

async fn route(connection: &Connection, request: Request<Incoming>) -> Answer {
    if connection.is_ambiguous(&request) {
        return Error::AmbiguousBody.answer();
    }
    // Cutting a prefix off borrows the path; the owned text is needed for what is boxed alone.
    let Some(path) = below(&connection.state.path_prefix, request.uri().path()) else {
        return elsewhere(connection, &request);
    };
    match path {
        "/ingest/event" => ingest::browser::event(connection, request).await,
        "/ingest" => ingest::browser::pageview(connection, request).await,
        "/api/ingest/server/event" => ingest::server::event(connection, request).await,
        "/api/ingest/server/pageview" => ingest::server::pageview(connection, request).await,
        "/api/ingest/server/events" => Box::pin(ingest::bulk::events(connection, request)).await,
        "/healthz" => health::healthz(request.method()),
        "/readyz" => health::readyz(request.method(), &connection.state),
        _ => match path.strip_prefix("/api/") {
            Some(path) => {
                let path = path.to_owned();
                Box::pin(api::call(connection, &path, request)).await.unwrap_or_else(Error::answer)
            }
            None => NOT_FOUND.answer(),
        },
    }
}

/// The path below the prefix of the public URL.
fn below<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|rest| rest.starts_with('/') || prefix.is_empty())
}

/// Outside the prefix of the public URL only the probes answer.
fn elsewhere(connection: &Connection, request: &Request<Incoming>) -> Answer {
    match request.uri().path() {
        "/healthz" => health::healthz(request.method()),
        "/readyz" => health::readyz(request.method(), &connection.state),
        _ => Error::NotFound("404 page not found").answer(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_internal_server_error() {
        let answer = guarded(async { panic!("a bug") }).await;
        assert_eq!(answer.status(), hyper::StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn a_prefix_ends_at_a_slash() {
        assert_eq!(below("", "/ingest"), Some("/ingest"));
        assert_eq!(below("/stats", "/stats/ingest"), Some("/ingest"));
        assert_eq!(below("/stats", "/statsingest"), None);
        assert_eq!(below("/stats", "/stats"), None);
        assert_eq!(below("/stats", "/ingest"), None);
        assert_eq!(below("", "*"), Some("*"));
    }
}
