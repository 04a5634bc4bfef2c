//! `/api/sites`: what sites there are, and changing them.

use std::sync::Arc;

use format::SiteId;
use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::incomplete;
use super::ingest::json::{self, Text, body};
use super::range::Parameters;
use super::respond::{self, Answer};
use super::{Call, Error, reports};
use crate::catalog::draft::{self, SiteError};
use crate::catalog::permission::{Action, InstanceRole, allowed};
use crate::catalog::records::Site;
use crate::catalog::{By, Catalog, MAX_GOALS, MAX_SITES, Refusal, SitePatch, domain};
use crate::retention::MAX_DAYS;
use crate::{instant, retention};

/// The refusal of every body of the API that does not parse or has fields of the wrong type.
pub(super) const BAD_BODY: Error = Error::Invalid("Invalid request body");

/// A site as clients see it.
#[derive(Serialize)]
struct SiteJson<'a> {
    id: String,
    /// The contract's field for the account that owns a site; there are no accounts, so it is always the nil UUID.
    user_id: String,
    domain: &'a str,
    hostnames: &'a [String],
    time_zone: &'a str,
    data_retention_days: u32,
    created_at: String,
}

impl<'a> From<&'a Site> for SiteJson<'a> {
    fn from(site: &'a Site) -> SiteJson<'a> {
        SiteJson {
            id: Uuid::from_bytes(site.id.bytes()).to_string(),
            user_id: Uuid::nil().to_string(),
            domain: &site.domain,
            hostnames: &site.hostnames,
            time_zone: &site.time_zone,
            data_retention_days: site.data_retention_days,
            created_at: instant::text(site.created_at),
        }
    }
}

body! {
    /// What a client may say of a site.
    struct SiteBody<'a> {
        id: Text<'a> = "id",
        domain: Text<'a> = "domain",
        hostnames: Vec<String> = "hostnames",
        time_zone: Text<'a> = "time_zone",
    }
}

/// `GET /api/sites`: the sites that the token may look at, newest first.
pub(super) async fn list(call: Call<'_>) -> Result<Answer, Error> {
    let contents = call.state.catalog.contents();
    let may_view = |site: &&Arc<Site>| call.token.role_on(site.id).is_some_and(|role| allowed(role, Action::View));
    let sites: Vec<SiteJson<'_>> = contents.sites().filter(may_view).map(|site| SiteJson::from(&**site)).collect();
    Ok(respond::json(StatusCode::OK, &sites))
}

/// `POST /api/sites`: 200 with the site. For owners of the instance.
pub(super) async fn create(call: Call<'_>) -> Result<Answer, Error> {
    if call.token.instance_role != InstanceRole::Owner {
        return Err(Error::Denied("Forbidden"));
    }
    let text = json::text(&call.body);
    let body: SiteBody<'_> = json::first_value(&text).map_err(|_| BAD_BODY)?;
    let id = Text::of(&body.id).map(Uuid::try_parse).transpose().map_err(|_| Error::Invalid("Invalid id"))?;
    let domain = domain::parse(Text::of(&body.domain).unwrap_or_default()).map_err(|error| refused(error.into()))?;
    let hostnames = draft::hostnames(&domain, body.hostnames.as_deref().unwrap_or_default()).map_err(refused)?;
    let time_zone = draft::time_zone(Text::of(&body.time_zone).unwrap_or("UTC")).map_err(refused)?;
    let id = id.filter(|id| !id.is_nil()).map(|id| SiteId::new(id.into_bytes()));
    let days = call.state.data_retention_days;
    let create = move |catalog: &Catalog, by| catalog.create_site(id, domain, hostnames, time_zone, days, by);
    let site = change_catalog(&call, create).await?;
    Ok(respond::json(StatusCode::OK, &SiteJson::from(&*site)))
}

/// `GET /api/sites/{id}`.
pub(super) fn show(site: &Site) -> Result<Answer, Error> {
    Ok(respond::json(StatusCode::OK, &SiteJson::from(site)))
}

/// `PATCH /api/sites/{id}`: what is absent stays; 200 with the site.
pub(super) async fn change(call: Call<'_>, site: Arc<Site>) -> Result<Answer, Error> {
    let text = json::text(&call.body);
    let body: SiteBody<'_> = json::first_value(&text).map_err(|_| BAD_BODY)?;
    let new_domain = Text::of(&body.domain).map(domain::parse).transpose().map_err(|error| refused(error.into()))?;
    let domain = new_domain.as_deref().unwrap_or(&site.domain);
    let patch = SitePatch {
        hostnames: body.hostnames.map(|names| draft::hostnames(domain, &names)).transpose().map_err(refused)?,
        time_zone: Text::of(&body.time_zone).map(draft::time_zone).transpose().map_err(refused)?,
        domain: new_domain,
        data_retention_days: None,
    };
    let site = change_catalog(&call, move |catalog, by| catalog.change_site(site.id, patch, by)).await?;
    Ok(respond::json(StatusCode::OK, &SiteJson::from(&*site)))
}

body! {
    /// For how long a client wants events to be kept.
    struct RetentionBody<'a> {
        days: &'a RawValue = "days",
    }
}

/// What a retention would remove.
#[derive(Serialize)]
struct Removal {
    site_id: String,
    days: u32,
    /// Events and pageviews that are older.
    events: u64,
    /// The time of the first of them, and of the last.
    from: Option<String>,
    to: Option<String>,
}

/// `PUT /api/sites/{id}/retention`: 200, empty. What is older is not counted any more from then on, and leaves the disk later. With
/// `dry_run=true` nothing is changed, and the answer says what that would be.
pub(super) async fn keep_for(call: Call<'_>, site: Arc<Site>) -> Result<Answer, Error> {
    let text = json::text(&call.body);
    let body: RetentionBody<'_> = json::first_value(&text).map_err(|_| BAD_BODY)?;
    let days: i64 = body.days.and_then(|days| days.get().parse().ok()).ok_or(Error::Invalid("days must be a whole number"))?;
    if days < 0 {
        return Err(Error::Invalid("Retention days must be non-negative"));
    }
    let days = u32::try_from(days).ok().filter(|days| *days <= MAX_DAYS);
    let days = days.ok_or(Error::Invalid("Retention days must be at most 36500"))?;
    let parameters = Parameters::parse(call.query);
    // A misspelt `dry_run` must not remove anything.
    if parameters.has_other_than("dry_run") {
        return Err(Error::Invalid("Unknown parameter: there is only dry_run"));
    }
    match parameters.first("dry_run") {
        None | Some("false") => {}
        Some("true") => return would_remove(&call, &site, days).await,
        Some(_) => return Err(Error::Invalid("Invalid dry_run")),
    }
    let patch = SitePatch { data_retention_days: Some(days), ..SitePatch::default() };
    change_catalog(&call, move |catalog, by| catalog.change_site(site.id, patch, by)).await?;
    Ok(respond::empty(StatusCode::OK))
}

async fn would_remove(call: &Call<'_>, site: &Site, days: u32) -> Result<Answer, Error> {
    let (id, cutoff) = (site.id, retention::cutoff(days, call.now));
    let (aged, lacking) = reports::ask(call, move |snapshot| snapshot.before(id, cutoff)).await?;
    let (from, to) = aged.times.map(|(from, to)| (instant::text(from), instant::text(to))).unzip();
    let site_id = Uuid::from_bytes(id.bytes()).to_string();
    Ok(incomplete::object(&Removal { site_id, days, events: aged.rows, from, to }, &lacking))
}

/// `DELETE /api/sites/{id}`. Its events are not counted from then on, and leave the disk later.
pub(super) async fn remove(call: Call<'_>, site: Arc<Site>) -> Result<Answer, Error> {
    change_catalog(&call, move |catalog, by| catalog.remove_site(site.id, by)).await?;
    Ok(respond::json(StatusCode::OK, &serde_json::json!({"status": "ok"})))
}

// The sentence of `keep_for` names the bound.
const _: () = assert!(MAX_DAYS == 36_500);

// The sentences of `change_catalog` name the bounds.
const _: () = assert!(MAX_SITES == 10_000 && MAX_GOALS == 1_000);

/// Makes a change on a thread that may wait for the disk. A client that goes away does not stop it halfway.
pub(super) async fn change_catalog<T: Send + 'static>(
    call: &Call<'_>,
    change: impl FnOnce(&Catalog, By) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Error> {
    let catalog = Arc::clone(&call.state.catalog);
    let by = By { token: Some(call.token.id), at: call.now };
    let changed = spawn_blocking(move || change(&catalog, by)).await.map_err(|_| Error::Internal)?;
    changed.map_err(|refusal| match refusal {
        Refusal::HostTaken => Error::Conflict("Failed to create site (domain might already exist)"),
        Refusal::IdTaken => Error::Conflict("id is already in use"),
        Refusal::UnknownSite => Error::NotFound("Site not found"),
        Refusal::UnknownGoal => Error::NotFound("Goal not found"),
        Refusal::TooManySites => Error::Conflict("There may be at most 10000 sites"),
        Refusal::TooManyGoals => Error::Conflict("There may be at most 1000 goals a site"),
        Refusal::DiskFull => Error::DiskFull,
        Refusal::Failed => Error::OutcomeUnknown,
    })
}

fn refused(error: SiteError) -> Error {
    Error::Invalid(error.sentence())
}
