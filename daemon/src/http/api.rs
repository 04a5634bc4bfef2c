//! The API below `/api/`: who calls, what is called, whether the caller may.
//!
//! A handler gets a [`Call`] whose token, permission and body are settled. Only requests without a valid identity are counted by the
//! limiter; those of one token are bounded in how many are under way at once.

use std::sync::Arc;

use bytes::Bytes;
use format::{SiteId, UnixMicros};
use hyper::body::Incoming;
use hyper::{Method, Request};
use uuid::Uuid;

use super::connection::Connection;
use super::endpoint::{Endpoint, Report};
use super::error::NOT_FOUND;
use super::respond::Answer;
use super::{Error, State, admin, auth, body, goals, health, reports, sites};
use crate::catalog::permission::Action;
use crate::catalog::records::{Site, Token};
use crate::instant;

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
        return health::status(request.method(), state, token.as_deref());
    }
    let endpoint = Endpoint::find(path).ok_or(NOT_FOUND)?;
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let Some(token) = token else { return Err(Error::Unauthorized) };
    // The status above waits for nothing, so it takes no place, and can be had while the token has none left.
    let _place = state.concurrency.enter(token.id).ok_or(Error::TooManyAtOnce)?;
    let call = Call { state, token: &token, now: instant::now(), query: &query, body: Bytes::new() };

    // Permission is checked before the body is read, and the body is read before the handler runs: handlers do neither.
    let site = |action, id| permitted(&call, action, id);
    match (endpoint, head.method) {
        (Endpoint::Sites, Method::GET) => sites::list(call).await,
        (Endpoint::Sites, Method::POST) => sites::create(call.with(body, connection).await?).await,
        (Endpoint::Site(id), Method::GET) => sites::show(&*site(Action::View, id)?),
        (Endpoint::Site(id), Method::PATCH) => {
            let site = site(Action::ManageData, id)?;
            sites::change(call.with(body, connection).await?, site).await
        }
        (Endpoint::Site(id), Method::DELETE) => {
            let site = site(Action::Delete, id)?;
            sites::remove(call, site).await
        }
        (Endpoint::Retention(id), Method::PUT) => {
            let site = site(Action::ManageData, id)?;
            sites::keep_for(call.with(body, connection).await?, site).await
        }
        (Endpoint::Goals(id), Method::GET) => {
            let site = site(Action::View, id)?;
            goals::list(&call, &site)
        }
        (Endpoint::Goals(id), Method::POST) => {
            let site = site(Action::ManageGoals, id)?;
            goals::create(call.with(body, connection).await?, site).await
        }
        (Endpoint::Goal(id, goal), Method::PUT) => {
            let site = site(Action::ManageGoals, id)?;
            goals::change(call.with(body, connection).await?, site, goal).await
        }
        (Endpoint::Goal(id, goal), Method::DELETE) => {
            let site = site(Action::ManageGoals, id)?;
            goals::remove(call, site, goal).await
        }
        (Endpoint::Report(id, report), Method::GET) => {
            let site = site(Action::View, id)?;
            match report {
                Report::GoalSeries => reports::goal_series(call, site).await,
                Report::EventNames => reports::event_names(call, site).await,
                Report::PropertyKeys => reports::property_keys(call, site).await,
                Report::Breakdown => reports::breakdown(call, site).await,
                Report::EventSeries => reports::event_series(call, site).await,
            }
        }
        (Endpoint::Seal, Method::POST) => admin::seal(&call).await,
        _ => Err(Error::MethodNotAllowed(endpoint.methods())),
    }
}

impl Call<'_> {
    /// The same call with its body.
    async fn with(self, body: Incoming, connection: &Connection) -> Result<Self, Error> {
        Ok(Call { body: body::read(body, connection).await?, ..self })
    }
}

/// The site with this id, if the token may do `action` on it.
fn permitted(call: &Call<'_>, action: Action, id: &str) -> Result<Arc<Site>, Error> {
    let id = Uuid::try_parse(id).map_err(|_| Error::Invalid("invalid site ID"))?;
    let id = SiteId::new(id.into_bytes());
    auth::permit(call.token, action, id)?;
    call.state.catalog.site(id).ok_or(Error::NotFound("Site not found"))
}
