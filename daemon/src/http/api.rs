//! The API below `/api/`: who calls, what is called, whether the caller may.
//!
//! A handler gets a [`Call`] whose token, permission and body are settled. Only requests without a valid identity are counted by the
//! limiter: whoever has a token is known, and bounded by other means.

use std::sync::Arc;

use bytes::Bytes;
use format::UnixMicros;
use hyper::Request;
use hyper::body::Incoming;

use super::connection::Connection;
use super::error::NOT_FOUND;
use super::respond::Answer;
use super::{Error, State, auth, health};
use crate::catalog::records::Token;

/// A call of the API by somebody who was identified.
pub(crate) struct Call<'a> {
    /// What all requests share.
    pub(crate) state: &'a Arc<State>,
    /// Who calls. Whether the token may do it was checked for calls about one site.
    pub(crate) token: &'a Token,
    /// When the request was received.
    pub(crate) now: UnixMicros,
    /// What stands behind the question mark, or nothing.
    pub(crate) query: &'a str,
    /// The body; empty for methods that have none.
    pub(crate) body: Bytes,
}

/// Answers everything below `/api/` but ingest; `path` is what stands behind it.
pub(super) async fn call(connection: &Connection, path: &str, request: Request<Incoming>) -> Result<Answer, Error> {
    let state = &connection.state;
    let token = auth::identify(&state.catalog, request.headers());
    if token.is_none() {
        let client = || state.client_ip.of(connection.peer, request.headers());
        state.api_limiter.admit(client).map_err(|retry_after_seconds| Error::TooManyRequests { retry_after_seconds })?;
    }
    if path == "status" {
        return health::status(request.method());
    }
    match token {
        Some(_) => Err(NOT_FOUND),
        None => Err(Error::Unauthorized),
    }
}
