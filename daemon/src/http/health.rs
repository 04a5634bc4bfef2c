//! Probes and the status: whether the process lives, whether it takes events, what it is.

use hyper::{Method, StatusCode};
use serde::Serialize;

use super::respond::{self, Answer};
use super::{Error, State};
use crate::catalog::permission::InstanceRole;
use crate::catalog::records::Token;
use crate::store::Held;

/// `GET /healthz`: 200 while the process answers at all.
pub(super) fn healthz(method: &Method) -> Answer {
    match *method {
        Method::GET | Method::HEAD => respond::plain(StatusCode::OK, "ok"),
        _ => Error::MethodNotAllowed("GET, HEAD").answer(),
    }
}

/// `GET /readyz`: 200 while events are taken; 503 before the start is done, from a drain on, and after a failed sync.
pub(super) fn readyz(method: &Method, state: &State) -> Answer {
    match *method {
        Method::GET | Method::HEAD if state.health.ready() => respond::plain(StatusCode::OK, "ok"),
        Method::GET | Method::HEAD => respond::text(StatusCode::SERVICE_UNAVAILABLE, "Service not ready"),
        _ => Error::MethodNotAllowed("GET, HEAD").answer(),
    }
}

#[derive(Serialize)]
struct Status {
    needs_setup: bool,
    version: &'static str,
    /// What is sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<Held>,
    /// What is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    logs: Option<Held>,
    /// Ranges of files that are lost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damage: Vec<String>,
    /// Files that nothing explains, and logs of which something is lost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lost_and_found: Vec<String>,
}

/// `GET /api/status`. An owner also learns how much is stored, and what is damaged or was set aside.
pub(super) fn status(method: &Method, state: &State, token: Option<&Token>) -> Result<Answer, Error> {
    if method != Method::GET {
        return Err(Error::MethodNotAllowed("GET"));
    }
    let mut status = Status {
        needs_setup: false,
        version: env!("CARGO_PKG_VERSION"),
        segments: None,
        logs: None,
        damage: Vec::new(),
        lost_and_found: Vec::new(),
    };
    if token.is_some_and(|token| token.instance_role == InstanceRole::Owner) {
        let (segments, logs) = state.store.held();
        (status.segments, status.logs) = (Some(segments), Some(logs));
        status.damage = state.store.damage().iter().map(ToString::to_string).collect();
        status.lost_and_found = state.store.set_aside().to_vec();
    }
    Ok(respond::json(StatusCode::OK, &status))
}
