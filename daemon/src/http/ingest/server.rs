//! What a backend sends, one at a time: `POST /api/ingest/server/event` and `/pageview`.
//!
//! The order of decisions is: limiter, token, body, url, timestamp, visitor_ip, user_agent, site, permission, retention, name and limits,
//! `dnt`.
//! The visitor's address is checked and forgotten.

use std::net::IpAddr;
use std::sync::Arc;

use format::{Kind, Record, SiteId, Source, TokenId, UnixMicros};
use hyper::Request;
use hyper::body::Incoming;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::address::Address;
use super::json::{self, Id, Text, body};
use super::rules::{self, Campaign, Fault};
use super::{accepted, admit, dropped, has_room, properties, store};
use crate::appender::Submission;
use crate::catalog::permission::{self, Action};
use crate::catalog::records::{Site, Token};
use crate::http::connection::Connection;
use crate::http::respond::Answer;
use crate::http::{Error, State, auth, body as request_body};
use crate::instant;

body! {
    /// An event that a server sends; a line of a bulk request is one as well, and may name its site instead of a URL.
    pub(super) struct EventBody<'a> {
        url: Text<'a> = "url",
        site: Text<'a> = "site",
        timestamp: Text<'a> = "timestamp",
        visitor_ip: Text<'a> = "visitor_ip",
        user_agent: Text<'a> = "user_agent",
        name: Text<'a> = "name",
        properties: &'a RawValue = "properties",
        referrer: Text<'a> = "referrer",
        dnt: bool = "dnt",
        session: Id = "session_id",
        event_id: Text<'a> = "event_id",
    }
}

body! {
    /// The body of `POST /api/ingest/server/pageview`.
    struct PageviewBody<'a> {
        url: Text<'a> = "url",
        timestamp: Text<'a> = "timestamp",
        visitor_ip: Text<'a> = "visitor_ip",
        user_agent: Text<'a> = "user_agent",
        referrer: Text<'a> = "referrer",
        viewport_width: i64 = "viewport_width",
        viewport_height: i64 = "viewport_height",
        screen_width: i64 = "screen_width",
        screen_height: i64 = "screen_height",
        language: Text<'a> = "language",
        dnt: bool = "dnt",
        session: Id = "session_id",
        page: Id = "page_id",
        event_id: Text<'a> = "event_id",
    }
}

/// Who sends, and when it arrived.
struct Sender<'a> {
    state: &'a State,
    token: &'a Token,
    received: UnixMicros,
}

/// From a body to the record that is stored; `None` for one that a rule leaves out.
type Read = fn(&[u8], &Sender<'_>) -> Result<Option<Submission>, Fault>;

/// `POST /api/ingest/server/event`: 202 with the event's sequence when it is durable.
pub(in crate::http) async fn event(connection: &Connection, request: Request<Incoming>) -> Answer {
    accept(connection, request, read_event).await.unwrap_or_else(Error::answer)
}

/// `POST /api/ingest/server/pageview`: 202 with the pageview's sequence when it is durable.
pub(in crate::http) async fn pageview(connection: &Connection, request: Request<Incoming>) -> Answer {
    accept(connection, request, read_pageview).await.unwrap_or_else(Error::answer)
}

async fn accept(connection: &Connection, request: Request<Incoming>, read: Read) -> Result<Answer, Error> {
    let (mut headers, body) = accepted(request)?;
    admit(connection, &headers)?;
    let state = &*connection.state;
    let token = auth::identify(&state.catalog, &headers).ok_or(Error::Unauthorized)?;
    has_room(state)?;
    headers.clear();
    let submission = {
        let body = request_body::read(body, connection).await?;
        read(&body, &Sender { state, token: &token, received: instant::now() })?
    };
    match submission {
        Some(submission) => store(state, submission, headers).await,
        None => Ok(dropped()),
    }
}

fn read_event(body: &[u8], sender: &Sender<'_>) -> Result<Option<Submission>, Fault> {
    let text = json::text(body);
    let body: EventBody<'_> = json::first_value(&text).map_err(|error| Fault { field: "body", error })?;
    let visit = Visit::read(&body.url, &body.timestamp, &body.visitor_ip, &body.user_agent)?;
    let site = sender.site(&visit.address)?;
    let campaign = Campaign::of(visit.address.query());
    let mut record = sender.record(Kind::Event, &site, visit.time)?;
    fill_event(&mut record, &body)?;
    visit.fill(&mut record);
    campaign.fill(&mut record);
    record.referrer = rules::cut(Text::of(&body.referrer), rules::REFERRER_BYTES);
    finish(&record, body.dnt)
}

fn read_pageview(body: &[u8], sender: &Sender<'_>) -> Result<Option<Submission>, Fault> {
    let text = json::text(body);
    let body: PageviewBody<'_> = json::first_value(&text).map_err(|error| Fault { field: "body", error })?;
    let visit = Visit::read(&body.url, &body.timestamp, &body.visitor_ip, &body.user_agent)?;
    let site = sender.site(&visit.address)?;
    let campaign = Campaign::of(visit.address.query());
    let mut record = sender.record(Kind::Pageview, &site, visit.time)?;
    visit.fill(&mut record);
    campaign.fill(&mut record);
    record.event_id = rules::event_id(Text::of(&body.event_id), "event_id")?;
    record.session = rules::session(body.session.map(|id| id.0));
    record.page = rules::page(body.page.map(|id| id.0), sender.state.secret);
    record.referrer = rules::cut(Text::of(&body.referrer), rules::REFERRER_BYTES);
    record.language = rules::cut(Text::of(&body.language), rules::LABEL_BYTES);
    record.viewport_width = rules::pixels(body.viewport_width);
    record.viewport_height = rules::pixels(body.viewport_height);
    record.screen_width = rules::pixels(body.screen_width);
    record.screen_height = rules::pixels(body.screen_height);
    finish(&record, body.dnt)
}

/// Who was where and when: the fields that both bodies require, checked in the order of the contract.
struct Visit<'a> {
    address: Address,
    time: UnixMicros,
    user_agent: &'a str,
}

impl<'a> Visit<'a> {
    fn read(
        url: &Option<Text<'_>>,
        timestamp: &Option<Text<'_>>,
        visitor_ip: &Option<Text<'_>>,
        user_agent: &'a Option<Text<'_>>,
    ) -> Result<Visit<'a>, Fault> {
        let address = address(Text::of(url).unwrap_or_default())?;
        let time = time(Text::of(timestamp).unwrap_or_default())?;
        visitor_ip_is_valid(Text::of(visitor_ip).unwrap_or_default())?;
        let user_agent = Text::of(user_agent).filter(|text| !text.trim().is_empty());
        let user_agent = user_agent.ok_or(Fault::invalid("user_agent", "user_agent is required"))?;
        Ok(Visit { address, time, user_agent })
    }

    fn fill<'r>(&'r self, record: &mut Record<'r>) {
        fill_address(record, &self.address);
        record.user_agent = rules::cut(Some(self.user_agent), rules::USER_AGENT_BYTES);
    }
}

impl Sender<'_> {
    /// The site of the address, if the token may send to it.
    fn site(&self, address: &Address) -> Result<Arc<Site>, Fault> {
        let site = self.state.catalog.site_by_host(address.host());
        let site = site.ok_or(Fault { field: "url", error: Error::NotFound("Site not found") })?;
        may_send(self.token, site.id).then_some(site).ok_or(Fault { field: "url", error: Error::Denied("Access denied") })
    }

    fn record<'r>(&self, kind: Kind, site: &Site, time: UnixMicros) -> Result<Record<'r>, Fault> {
        rules::not_expired(time, site, self.received)?;
        let mut record = Record::new(kind, Source::Server, site.id, time, self.received);
        record.token = Some(token_id(self.token.id));
        Ok(record)
    }
}

/// Whether a token may send events to a site.
pub(super) fn may_send(token: &Token, site: SiteId) -> bool {
    token.role_on(site).is_some_and(|role| permission::allowed(role, Action::Send))
}

/// The token's identity as records hold it.
pub(super) fn token_id(id: Uuid) -> TokenId {
    TokenId::new(id.into_bytes())
}

/// Reads a `url`. Its length is bounded as it came, and as it is stored: escaping makes it longer.
pub(super) fn address(url: &str) -> Result<Address, Fault> {
    rules::url_length(url)?;
    let address = Address::parse(url).ok_or(Fault::invalid("url", "url must be an absolute http or https URL"))?;
    rules::escaped_url_length(address.as_str())?;
    Ok(address)
}

/// Reads a `timestamp`; what is finer than a microsecond is cut.
pub(super) fn time(timestamp: &str) -> Result<UnixMicros, Fault> {
    let time = instant::parse(timestamp).map(instant::Written::floor);
    time.ok_or(Fault::invalid("timestamp", "timestamp must be RFC3339"))
}

/// Checks a `visitor_ip`.
pub(super) fn visitor_ip_is_valid(visitor_ip: &str) -> Result<(), Fault> {
    let address: Result<IpAddr, _> = visitor_ip.parse();
    address.map(drop).map_err(|_| Fault::invalid("visitor_ip", "visitor_ip must be a valid IP address"))
}

/// Takes host, path and query from an address.
pub(super) fn fill_address<'r>(record: &mut Record<'r>, address: &'r Address) {
    record.host = rules::given(address.host());
    record.path = rules::given(address.path());
    record.query = rules::given(address.query());
}

/// Takes what is the event's own, with its limits: name, properties, id, session.
pub(super) fn fill_event<'r>(record: &mut Record<'r>, body: &'r EventBody<'_>) -> Result<(), Fault> {
    record.name = rules::name(Text::of(&body.name).unwrap_or_default().trim())?;
    record.properties = body.properties.map_or(Ok(""), |properties| properties::check(properties.get()))?;
    record.event_id = rules::event_id(Text::of(&body.event_id), "event_id")?;
    record.session = rules::session(body.session.map(|id| id.0));
    Ok(())
}

/// Encodes the record, unless its visitor does not want to be tracked.
fn finish(record: &Record<'_>, dnt: Option<bool>) -> Result<Option<Submission>, Fault> {
    if dnt == Some(true) {
        return Ok(None);
    }
    Submission::of(record).map(Some).map_err(|_| rules::TOO_LONG)
}
