//! From a request to the handler that answers it.
//!
//! The order is the wire contract's: isolation, then path and method, then what the handlers of an endpoint decide. The endpoints that
//! browsers and servers send to come first and cost one comparison of the path; everything else that waits is boxed, so that its
//! handlers do not make the state of every connection larger.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::Request;
use hyper::body::Incoming;
use tracing::error;

use super::connection::Connection;
use super::error::NOT_FOUND;
use super::ingest::browser::Expected;
use super::respond::Answer;
use super::{Error, api, health, ingest};

/// A request on its way to an answer.
pub(super) enum Routed {
    /// It needed no waiting.
    Answered(Answer),
    /// What browsers send, the path of most requests.
    Expected(Expected),
    /// Everything else that waits.
    Boxed(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

/// Answers one request. A panic in a handler is a bug of one request and ends no other: 500.
pub(super) fn answer(connection: Arc<Connection>, request: Request<Incoming>) -> impl Future<Output = Result<Answer, Infallible>> + Send {
    // Outside the future, so that it holds no request: hyper moves it several times before it is polled.
    let routed = catch_unwind(AssertUnwindSafe(|| route(&connection, request)));
    async move {
        let answer = match routed {
            Ok(Routed::Answered(answer)) => answer,
            Ok(Routed::Expected(mut expected)) => {
                let mut handler = pin!(ingest::browser::finish(&connection, &mut expected));
                poll_fn(|cx| guarded(handler.as_mut(), cx)).await
            }
            Ok(Routed::Boxed(mut handler)) => {
                // A report that nobody waits for any more stops.
                connection.end_with_client();
                poll_fn(|cx| guarded(handler.as_mut(), cx)).await
            }
            Err(_) => panicked(),
        };
        connection.end_answer();
        Ok(answer)
    }
}

fn guarded(handler: Pin<&mut (impl Future<Output = Answer> + ?Sized)>, cx: &mut Context<'_>) -> Poll<Answer> {
    catch_unwind(AssertUnwindSafe(|| handler.poll(cx))).unwrap_or_else(|_| Poll::Ready(panicked()))
}

fn panicked() -> Answer {
    error!("a handler panicked");
    Error::Internal.answer()
}

fn route(connection: &Arc<Connection>, request: Request<Incoming>) -> Routed {
    if connection.is_ambiguous(&request) {
        return Routed::Answered(Error::AmbiguousBody.answer());
    }
    let Some(path) = below(&connection.state.path_prefix, request.uri().path()) else {
        return Routed::Answered(elsewhere(connection, &request));
    };
    match path {
        "/ingest/event" => ingest::browser::event(connection, request),
        "/ingest" => ingest::browser::pageview(connection, request),
        "/api/ingest/server/event" => {
            let connection = Arc::clone(connection);
            Routed::Boxed(Box::pin(async move { ingest::server::event(&connection, request).await }))
        }
        "/api/ingest/server/pageview" => {
            let connection = Arc::clone(connection);
            Routed::Boxed(Box::pin(async move { ingest::server::pageview(&connection, request).await }))
        }
        "/api/ingest/server/events" => {
            let connection = Arc::clone(connection);
            Routed::Boxed(Box::pin(async move { ingest::bulk::events(&connection, request).await }))
        }
        "/healthz" => Routed::Answered(health::healthz(request.method())),
        "/readyz" => Routed::Answered(health::readyz(request.method(), &connection.state)),
        _ => match path.strip_prefix("/api/").map(str::to_owned) {
            Some(path) => {
                let connection = Arc::clone(connection);
                Routed::Boxed(Box::pin(async move { api::call(&connection, &path, request).await.unwrap_or_else(Error::answer) }))
            }
            None => Routed::Answered(NOT_FOUND.answer()),
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
        let mut handler = pin!(async { panic!("a bug") });
        let answer = poll_fn(|cx| guarded(handler.as_mut(), cx)).await;
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
