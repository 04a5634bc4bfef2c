//! What a backend sends, many at a time: `POST /api/ingest/server/events`, one JSON object a line.
//!
//! A request is one batch of the appender, so that its lines are durable together. A bad line never spoils a good one: it is counted,
//! and the first of them are named with line, field and reason. `?site=` names the site of lines that name none themselves, neither by
//! `site` nor by `url`.

use std::borrow::Cow;
use std::sync::Arc;

use format::log::MAX_BATCH_BYTES;
use format::{Kind, Record, SiteId, Source, UnixMicros};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::Serialize;
use url::form_urlencoded;
use uuid::Uuid;

use super::json::{self, Text};
use super::rules::{self, Campaign, Fault};
use super::server::{self, EventBody};
use super::{DURABLE, NO, accepted, admit, has_room};
use crate::appender::{Outcome, Submission};
use crate::catalog::records::{Site, Token};
use crate::http::connection::Connection;
use crate::http::respond::{self, Answer};
use crate::http::{Error, State, auth, body as request_body};
use crate::instant;

/// The longest body.
const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;

/// The most lines of a body, not counting empty ones.
const MAX_LINES: usize = 8_192;

/// The longest line: as long as the body of a single event may be.
const MAX_LINE_BYTES: usize = request_body::MAX_BODY_BYTES;

/// How many bad lines an answer names.
const MAX_NAMED_ERRORS: usize = 100;

/// The most bytes of the records of a body. Escaping makes text longer than it came: a byte that is no UTF-8 may take twenty.
const MAX_STORED_BYTES: usize = 8 * 1024 * 1024;
const _: () = assert!(2 * MAX_STORED_BYTES <= MAX_BATCH_BYTES, "records, their frames and other requests fit into one batch");

/// The refusal of a body past that limit.
const TOO_LARGE_STORED: Error = Error::TooLarge("Request body too large: its events take more than 8388608 bytes when stored");

/// The refusal of a body past either limit.
pub(in crate::http) const TOO_LARGE: &str = "Request body too large: at most 8192 lines and 2097152 bytes";

/// What became of the lines.
#[derive(Default, Serialize)]
struct Summary {
    /// Lines that are not empty: the sum of the next four.
    received: usize,
    stored: usize,
    /// Lines whose id was stored before.
    duplicates: usize,
    rejected: usize,
    /// Lines that a rule leaves out: visitors who do not want to be tracked.
    dropped: usize,
    /// Those of the rejected whose events are older than their site keeps them.
    expired: usize,
    /// The newest that this request stored; null if none.
    last_sequence: Option<u64>,
    errors: Vec<LineError>,
}

#[derive(Serialize)]
struct LineError {
    line: usize,
    field: &'static str,
    error: Cow<'static, str>,
}

/// `POST /api/ingest/server/events`: 200 with a summary when what was stored is durable.
pub(in crate::http) async fn events(connection: &Connection, request: Request<Incoming>) -> Answer {
    accept(connection, request).await.unwrap_or_else(Error::answer)
}

async fn accept(connection: &Connection, request: Request<Incoming>) -> Result<Answer, Error> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let (headers, body) = accepted(request)?;
    admit(connection, &headers)?;
    let state = &*connection.state;
    let token = auth::identify(&state.catalog, &headers).ok_or(Error::Unauthorized)?;
    let site = default_site(state, &token, &query)?;
    has_room(state)?;
    drop(headers);
    let body = request_body::read_up_to(MAX_BODY_BYTES, body, connection).await?;
    let mut lines = Lines {
        state,
        token: &token,
        site,
        received: instant::now(),
        submission: Submission::new(),
        numbers: Vec::new(),
        summary: Summary::default(),
    };
    lines.read(&body)?;
    drop(body);
    let Lines { submission, numbers, mut summary, .. } = lines;
    let mut durable = true;
    if !submission.is_empty() {
        let outcomes = state.appender.submit(submission).map_err(|_| Error::QueueFull)?.await;
        for (outcome, line) in outcomes.into_iter().zip(numbers) {
            durable &= summary.count(outcome, line)?;
        }
        // What the appender refuses comes after what the parser did.
        summary.errors.sort_by_key(|error| error.line);
    }
    let mut answer = respond::json(StatusCode::OK, &summary);
    if !durable {
        answer.headers_mut().insert(DURABLE, NO);
    }
    Ok(answer)
}

/// The site that the query names, if it names one.
fn default_site(state: &State, token: &Token, query: &str) -> Result<Option<Arc<Site>>, Error> {
    let Some((_, name)) = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "site") else { return Ok(None) };
    let site = named_site(state, &name).ok_or(Error::NotFound("Site not found"))?;
    if server::may_send(token, site.id) { Ok(Some(site)) } else { Err(Error::Denied("Access denied")) }
}

/// The site with this identity or domain.
fn named_site(state: &State, name: &str) -> Option<Arc<Site>> {
    match Uuid::try_parse(name) {
        Ok(id) => state.catalog.site(SiteId::new(id.into_bytes())),
        Err(_) => state.catalog.site_by_host(name),
    }
}

impl Summary {
    /// Counts a line whose event is not stored, and names it if it is among the first.
    fn reject(&mut self, line: usize, fault: Fault) {
        self.rejected += 1;
        self.expired += usize::from(matches!(fault.error, Error::Expired { .. }));
        if self.errors.len() < MAX_NAMED_ERRORS {
            let (_, error, _) = fault.error.parts();
            self.errors.push(LineError { line, field: fault.field, error });
        }
    }

    /// Counts a line that reached the appender, and says whether its event is durable.
    ///
    /// # Errors
    ///
    /// What a single event would be answered with. All lines of a request share a batch, so they share such an end.
    fn count(&mut self, outcome: Outcome, line: usize) -> Result<bool, Error> {
        Ok(match outcome {
            Outcome::Stored { sequence, durable } => {
                self.stored += 1;
                self.last_sequence = self.last_sequence.max(Some(sequence.value()));
                durable
            }
            Outcome::Duplicate { durable, .. } => {
                self.duplicates += 1;
                durable
            }
            Outcome::TooManyNames => {
                self.reject(line, rules::TOO_MANY_NAMES);
                true
            }
            Outcome::TooLarge => return Err(TOO_LARGE_STORED),
            Outcome::DiskFull => return Err(Error::DiskFull),
            Outcome::Behind => return Err(Error::QueueFull),
            Outcome::Unknown => return Err(Error::OutcomeUnknown),
            Outcome::Stopping => return Err(Error::NotReady),
        })
    }
}

/// The lines of one request on their way to one submission.
struct Lines<'a> {
    state: &'a State,
    token: &'a Token,
    /// Of lines that name none.
    site: Option<Arc<Site>>,
    received: UnixMicros,
    submission: Submission,
    /// The number of the line that each record of the submission came in.
    numbers: Vec<usize>,
    summary: Summary,
}

impl Lines<'_> {
    fn read(&mut self, body: &[u8]) -> Result<(), Error> {
        for (index, line) in body.split(|&b| b == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            self.summary.received += 1;
            if self.summary.received > MAX_LINES {
                return Err(Error::TooLarge(TOO_LARGE));
            }
            match self.read_line(line) {
                Ok(()) => {
                    self.numbers.resize(self.submission.len(), index + 1);
                    if self.submission.len_bytes() > MAX_STORED_BYTES {
                        return Err(TOO_LARGE_STORED);
                    }
                }
                Err(fault) => self.summary.reject(index + 1, fault),
            }
        }
        Ok(())
    }

    fn read_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        if line.len() > MAX_LINE_BYTES {
            return Err(Fault::invalid("line", "line must be at most 65536 bytes"));
        }
        let text = json::text(line);
        let body = json::only_value(&text).map_err(|_| Fault::invalid("line", "line must be a JSON object of an event"))?;
        // A second object would be an event that is lost, and nobody told.
        let body: EventBody<'_> = body.ok_or(Fault::invalid("line", "line must have nothing behind its JSON object"))?;
        let address = Text::of(&body.url).map(server::address).transpose()?;
        let time = server::time(Text::of(&body.timestamp).unwrap_or_default())?;
        Text::of(&body.visitor_ip).map_or(Ok(()), server::visitor_ip_is_valid)?;
        let (site, field) = match (Text::of(&body.site), &address) {
            (Some(site), _) => (named_site(self.state, site), "site"),
            (None, Some(address)) => (self.state.catalog.site_by_host(address.host()), "url"),
            (None, None) if self.site.is_some() => (self.site.clone(), "site"),
            (None, None) => return Err(Fault::invalid("url", "url or site is required")),
        };
        let site = site.ok_or(Fault { field, error: Error::NotFound("Site not found") })?;
        if !server::may_send(self.token, site.id) {
            return Err(Fault { field, error: Error::Denied("Access denied") });
        }
        rules::not_expired(time, &site, self.received)?;
        let campaign = address.as_ref().map(|address| Campaign::of(address.query())).unwrap_or_default();
        let mut record = Record::new(Kind::Event, Source::Bulk, site.id, time, self.received);
        record.token = Some(server::token_id(self.token.id));
        server::fill_event(&mut record, &body)?;
        if let Some(address) = &address {
            server::fill_address(&mut record, address);
        }
        campaign.fill(&mut record);
        record.referrer = rules::cut(Text::of(&body.referrer), rules::REFERRER_BYTES);
        record.user_agent = rules::cut(Text::of(&body.user_agent), rules::USER_AGENT_BYTES);
        if body.dnt == Some(true) {
            self.summary.dropped += 1;
            return Ok(());
        }
        self.submission.push(&record).map_err(|_| rules::TOO_LONG)
    }
}
