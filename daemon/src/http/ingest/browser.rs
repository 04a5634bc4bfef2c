//! What the tracker sends: `POST /ingest/event` and `POST /ingest`.
//!
//! The page's `Origin` picks the site. The order of decisions is: limiter, origin, site, purpose, body, limits. Everything up to the
//! purpose is decided before the body is read, so that a body for an unknown site is not even parsed.
//!
//! These are the paths of most requests. They come in two halves, one that decides and one that waits: hyper moves the state of a waiting
//! handler several times, so that it holds what is needed for the body and the answer, and not the request.

use std::mem::take;

use format::{Kind, Record, SiteId, Source, UnixMicros};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue, ORIGIN};
use hyper::{Method, Request, StatusCode};
use serde_json::value::RawValue;

use super::json::{self, Id, Number, Text, body};
use super::rules::{self, Campaign, Fault};
use super::{accepted, address, admit, dropped, has_room, isolate, properties, store};
use crate::appender::Submission;
use crate::http::connection::Connection;
use crate::http::error::BAD_BODY;
use crate::http::respond::{self, Answer};
use crate::http::router::Routed;
use crate::http::{Error, body as request_body, cors};
use crate::instant;

body! {
    /// The body of `POST /ingest/event`.
    struct EventBody<'a> {
        name: Text<'a> = "n",
        properties: &'a RawValue = "p",
        referrer: Text<'a> = "r",
        session: Id = "sid",
        event_id: Text<'a> = "eid",
        age: Number = "age",
        path: Text<'a> = "path",
        user_agent: Text<'a> = "ua",
        tracker_source: Text<'a> = "tsrc",
        tracker_version: Text<'a> = "tv",
    }
}

body! {
    /// The body of `POST /ingest`.
    struct PageviewBody<'a> {
        path: Text<'a> = "path",
        referrer: Text<'a> = "referrer",
        user_agent: Text<'a> = "ua",
        viewport_width: i64 = "vp_w",
        viewport_height: i64 = "vp_h",
        screen_width: i64 = "sc_w",
        screen_height: i64 = "sc_h",
        language: Text<'a> = "lang",
        utm_source: Text<'a> = "u_src",
        utm_medium: Text<'a> = "u_med",
        utm_campaign: Text<'a> = "u_cmp",
        utm_term: Text<'a> = "u_trm",
        utm_content: Text<'a> = "u_cnt",
        qr: Text<'a> = "qr",
        unique: bool = "unique",
        session: Id = "session_id",
        page: Id = "page_id",
        event_id: Text<'a> = "eid",
        age: Number = "age",
        tracker_source: Text<'a> = "tsrc",
        tracker_version: Text<'a> = "tv",
    }
}

/// What is known of a body's event before the body is read.
pub(super) struct Page<'a> {
    site: SiteId,
    host: &'a str,
    /// Keys the hash of page ids.
    secret: [u8; 16],
}

/// From a body to the record that is stored.
type Read = fn(&[u8], &Page<'_>, UnixMicros) -> Result<Submission, Fault>;

/// A request whose body is worth reading, and nothing else of it.
pub(in crate::http) struct Expected {
    body: Incoming,
    /// Empty: for the answer.
    headers: HeaderMap,
    /// As it came in: for the answer, too.
    origin: Option<HeaderValue>,
    site: SiteId,
    /// What the origin names.
    host: Box<str>,
    read: Read,
}

/// `POST /ingest/event`: 202 with the event's sequence when it is durable.
pub(in crate::http) fn event(connection: &Connection, request: Request<Incoming>) -> Routed {
    endpoint(connection, request, read_event)
}

/// `POST /ingest`: 202 with the pageview's sequence when it is durable.
pub(in crate::http) fn pageview(connection: &Connection, request: Request<Incoming>) -> Routed {
    endpoint(connection, request, read_pageview)
}

fn endpoint(connection: &Connection, request: Request<Incoming>, read: Read) -> Routed {
    if request.method() == Method::OPTIONS
        && let (Ok(()), Some(headers)) = (isolate(request.headers()), cors::preflight(request.headers()))
    {
        return Routed::Answered(respond::with_headers(StatusCode::NO_CONTENT, headers));
    }
    let (mut headers, body) = match accepted(request) {
        Ok(accepted) => accepted,
        Err(error) => return Routed::Answered(error.answer()),
    };
    let origin = headers.get(ORIGIN).and_then(copied);
    let mut answer = match decide(connection, &headers, origin.as_ref()) {
        Ok(Some((site, host))) => {
            headers.clear();
            return Routed::Expected(Expected { body, headers, origin, site, host, read });
        }
        Ok(None) => dropped(),
        Err(error) => error.answer(),
    };
    cors::add(answer.headers_mut(), origin);
    Routed::Answered(answer)
}

/// Reads the body and stores its event.
pub(in crate::http) async fn finish(connection: &Connection, expected: &mut Expected) -> Answer {
    let mut answer = accept(connection, expected).await.unwrap_or_else(Error::answer);
    cors::add(answer.headers_mut(), expected.origin.take());
    answer
}

/// An origin, if there is any text in it, apart from the request that it came in.
fn copied(origin: &HeaderValue) -> Option<HeaderValue> {
    let text = origin.as_bytes().trim_ascii();
    HeaderValue::from_bytes(text).ok().filter(|origin| !origin.is_empty())
}

/// The site of an event whose body is worth reading, and the origin's host; `None` for one that is left out.
fn decide(connection: &Connection, headers: &HeaderMap, origin: Option<&HeaderValue>) -> Result<Option<(SiteId, Box<str>)>, Error> {
    admit(connection, headers)?;
    let origin = origin.ok_or(Error::Invalid("Origin header is required"))?;
    let host = address::origin_host(origin.as_bytes()).ok_or(Error::Invalid("Invalid Origin header"))?;
    let state = &connection.state;
    let Some(site) = state.catalog.site_id_by_host(&host).filter(|_| !rules::is_speculative(headers)) else { return Ok(None) };
    has_room(state)?;
    Ok(Some((site, host.into())))
}

async fn accept(connection: &Connection, expected: &mut Expected) -> Result<Answer, Error> {
    let state = &connection.state;
    let submission = {
        let body = request_body::read(&mut expected.body, connection).await?;
        let page = Page { site: expected.site, host: &expected.host, secret: state.secret };
        (expected.read)(&body, &page, instant::now())?
    };
    store(state, submission, take(&mut expected.headers)).await
}

pub(super) fn read_event(body: &[u8], page: &Page<'_>, received: UnixMicros) -> Result<Submission, Fault> {
    let text = json::text(body);
    let body: EventBody<'_> = json::first_value(&text).map_err(bad_body)?;
    let (path, query) = Text::of(&body.path).map_or(Ok((None, None)), rules::path_and_query)?;
    let campaign = Campaign::default().or_of(query);
    let mut record = page.record(Kind::Event, received, body.age)?;
    record.name = rules::name(Text::of(&body.name).unwrap_or_default())?;
    record.properties = body.properties.map_or(Ok(""), |properties| properties::check(properties.get()))?;
    record.session = rules::session(body.session.map(|id| id.0));
    record.event_id = rules::event_id(Text::of(&body.event_id), "eid")?;
    (record.path, record.query) = (path, query);
    campaign.fill(&mut record);
    record.referrer = rules::cut(Text::of(&body.referrer), rules::REFERRER_BYTES);
    record.user_agent = rules::cut(Text::of(&body.user_agent), rules::USER_AGENT_BYTES);
    record.tracker_source = rules::cut(Text::of(&body.tracker_source), rules::LABEL_BYTES);
    record.tracker_version = rules::cut(Text::of(&body.tracker_version), rules::LABEL_BYTES);
    submission(&record)
}

pub(super) fn read_pageview(body: &[u8], page: &Page<'_>, received: UnixMicros) -> Result<Submission, Fault> {
    let text = json::text(body);
    let body: PageviewBody<'_> = json::first_value(&text).map_err(bad_body)?;
    let (path, query) = Text::of(&body.path).map_or(Ok((None, None)), rules::path_and_query)?;
    let named = [&body.utm_source, &body.utm_medium, &body.utm_campaign, &body.utm_term, &body.utm_content].map(Text::of);
    let campaign = Campaign::named(named, Text::of(&body.qr)).or_of(query);
    let mut record = page.record(Kind::Pageview, received, body.age)?;
    record.session = rules::session(body.session.map(|id| id.0));
    record.page = rules::page(body.page.map(|id| id.0), page.secret);
    record.event_id = rules::event_id(Text::of(&body.event_id), "eid")?;
    (record.path, record.query) = (path, query);
    record.referrer = rules::cut(Text::of(&body.referrer), rules::REFERRER_BYTES);
    record.user_agent = rules::cut(Text::of(&body.user_agent), rules::USER_AGENT_BYTES);
    record.language = rules::cut(Text::of(&body.language), rules::LABEL_BYTES);
    record.viewport_width = rules::pixels(body.viewport_width);
    record.viewport_height = rules::pixels(body.viewport_height);
    record.screen_width = rules::pixels(body.screen_width);
    record.screen_height = rules::pixels(body.screen_height);
    record.tracker_source = rules::cut(Text::of(&body.tracker_source), rules::LABEL_BYTES);
    record.tracker_version = rules::cut(Text::of(&body.tracker_version), rules::LABEL_BYTES);
    campaign.fill(&mut record);
    submission(&record)
}

impl Page<'_> {
    /// A page of some site.
    #[cfg(feature = "fuzz")]
    pub(super) fn of_fuzzing() -> Page<'static> {
        Page { site: SiteId::new([1; 16]), host: "shop.example", secret: [2; 16] }
    }

    /// A record of this page, as old as the browser says.
    fn record(&self, kind: Kind, received: UnixMicros, age: Option<Number>) -> Result<Record<'_>, Fault> {
        let age_us = rules::age(age.map(|age| age.0))?;
        let time = UnixMicros::new(received.micros() - age_us).unwrap_or(UnixMicros::MIN);
        let mut record = Record::new(kind, Source::Browser, self.site, time, received);
        record.host = rules::given(self.host);
        Ok(record)
    }
}

fn submission(record: &Record<'_>) -> Result<Submission, Fault> {
    Submission::of(record).map_err(|_| rules::TOO_LONG)
}

fn bad_body(_: Error) -> Fault {
    Fault { field: "body", error: BAD_BODY }
}
