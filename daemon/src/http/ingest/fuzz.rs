//! Every parser that the bytes of an event meet, for the fuzz target `event_parser`.

use format::{Kind, Record, SiteId, Source, UnixMicros};

use super::json::{self, Text};
use super::rules::{self, Campaign, Fault};
use super::server::{self, EventBody};
use super::{address, browser};
use crate::appender::Submission;

/// Reads `body` as each endpoint would, and as an `Origin`.
///
/// # Panics
///
/// When a parser panics, or when something would be stored that breaks a limit.
pub fn parse_event(body: &[u8]) {
    let _ = address::origin_host(body);
    let received = UnixMicros::new(1_772_323_200_000_000).expect("a time of our days");
    for read in [browser::read_event, browser::read_pageview] {
        if let Ok(submission) = read(body, &browser::Page::of_fuzzing(), received) {
            check(&submission);
        }
    }
    let text = json::text(body);
    if let Ok(body) = json::first_value::<EventBody<'_>>(&text)
        && let Ok(submission) = read_server_event(&body, received)
    {
        check(&submission);
    }
}

/// What `server` and `bulk` do with a body, but for the site, which needs a catalog.
fn read_server_event(body: &EventBody<'_>, received: UnixMicros) -> Result<Submission, Fault> {
    let address = server::address(Text::of(&body.url).unwrap_or_default())?;
    let time = server::time(Text::of(&body.timestamp).unwrap_or_default())?;
    Text::of(&body.visitor_ip).map_or(Ok(()), server::visitor_ip_is_valid)?;
    let campaign = Campaign::of(address.query());
    let mut record = Record::new(Kind::Event, Source::Server, SiteId::new([1; 16]), time, received);
    server::fill_event(&mut record, body)?;
    server::fill_address(&mut record, &address);
    campaign.fill(&mut record);
    record.referrer = rules::cut(Text::of(&body.referrer), rules::REFERRER_BYTES);
    record.user_agent = rules::cut(Text::of(&body.user_agent), rules::USER_AGENT_BYTES);
    Submission::of(&record).map_err(|_| rules::TOO_LONG)
}

/// What is stored can be read again and keeps the limits that `docs/http.md` promises.
fn check(submission: &Submission) {
    for bytes in submission.iter() {
        let record = Record::decode(bytes).expect("what was encoded can be decoded");
        assert!(record.name.len() <= 256 && (record.kind != Kind::Event || !record.name.is_empty()), "the name keeps its limits");
        assert!(record.event_id.is_none_or(|id| (1..=128).contains(&id.len())), "the id keeps its limits");
        assert!(record.path.is_none_or(|path| !path.contains('?')), "a path has no query");
        assert!(record.referrer.is_none_or(|text| text.len() <= 2048));
        assert!(record.user_agent.is_none_or(|text| text.len() <= 1024));
        assert!(record.properties.len() <= 32 * 1024);
        if !record.properties.is_empty() {
            let properties: serde_json::Value = serde_json::from_str(record.properties).expect("properties are JSON");
            let keys = properties.as_object().expect("properties are an object").len();
            assert!((1..=64).contains(&keys), "{keys} keys");
        }
    }
}
