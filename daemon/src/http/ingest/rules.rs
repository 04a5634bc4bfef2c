//! What an event may look like: limits, and what is cut or left out.
//!
//! A limit that refuses names its field and its value. Texts that only describe, such as a user agent, are cut instead: losing their
//! end is better than losing the event.

use std::borrow::Cow;
use std::hash::Hasher;

use format::{PageHash, Record, SessionId, UnixMicros};
use hyper::header::{HeaderMap, HeaderName};
use siphasher::sip::SipHasher13;
use url::form_urlencoded;
use uuid::Uuid;

use super::json::parse_uuid;
use crate::appender::MAX_NAMES;
use crate::catalog::records::Site;
use crate::http::Error;
use crate::retention;

/// The longest event name.
const MAX_NAME_BYTES: usize = 256;

/// The longest URL, and the longest path a browser may send.
const MAX_URL_BYTES: usize = 4096;

/// The longest id of an event.
const MAX_EVENT_ID_BYTES: usize = format::record::MAX_EVENT_ID_BYTES;

/// For how long a browser may hold an event back: 24 hours, in milliseconds.
const MAX_AGE_MS: f64 = 86_400_000.0;

/// Where a referrer is cut.
pub(super) const REFERRER_BYTES: usize = 2048;

/// Where a user agent is cut.
pub(super) const USER_AGENT_BYTES: usize = 1024;

/// Where a UTM value is cut.
const UTM_BYTES: usize = 1024;

/// Where a language, and what a tracker calls itself, is cut.
pub(super) const LABEL_BYTES: usize = 64;

/// The refusal of a URL that escaping makes too long.
const ESCAPED_URL_TOO_LONG: Fault = Fault::invalid("url", "url must be at most 4096 bytes when escaped");

const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
const PURPOSE: HeaderName = HeaderName::from_static("purpose");

/// Why one event is refused: the field that a bulk answer names, and what a single answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) field: &'static str,
    pub(super) error: Error,
}

impl Fault {
    /// A refusal with 400.
    pub(super) const fn invalid(field: &'static str, sentence: &'static str) -> Fault {
        Fault { field, error: Error::Invalid(sentence) }
    }
}

/// The refusal of an event whose name would be one too many on its site.
pub(super) const TOO_MANY_NAMES: Fault = Fault::invalid("name", "name must be one of at most 10000 names of a site");
const _: () = assert!(MAX_NAMES == 10_000);

/// The refusal of a record that passes every limit of its fields and is too long all the same.
pub(super) const TOO_LONG: Fault = Fault::invalid("body", "event must be at most 131072 bytes when stored");

const _: () = assert!(format::record::MAX_RECORD_BYTES == 131_072, "the limit that the sentence names");

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        fault.error
    }
}

/// Whether the page was only fetched ahead or drawn in secret: nobody has seen it.
pub(super) fn is_speculative(headers: &HeaderMap) -> bool {
    let says = |name: &HeaderName| {
        headers.get_all(name).iter().any(|value| {
            let value = value.as_bytes().to_ascii_lowercase();
            contains(&value, b"prefetch") || contains(&value, b"prerender")
        })
    };
    says(&SEC_PURPOSE) || says(&PURPOSE)
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// Checks an event's name as it will be stored.
pub(super) fn name(name: &str) -> Result<&str, Fault> {
    match name.len() {
        0 => Err(Fault::invalid("name", "name is required")),
        1..=MAX_NAME_BYTES => Ok(name),
        _ => Err(Fault::invalid("name", "name must be at most 256 bytes")),
    }
}

/// Checks the length of a URL, before it is read.
pub(super) fn url_length(url: &str) -> Result<(), Fault> {
    if url.len() <= MAX_URL_BYTES { Ok(()) } else { Err(Fault::invalid("url", "url must be at most 4096 bytes")) }
}

/// Checks the length of a URL as it is stored: a byte that is no UTF-8 may take nine, escaped.
pub(super) fn escaped_url_length(url: &str) -> Result<(), Fault> {
    if url.len() <= MAX_URL_BYTES { Ok(()) } else { Err(ESCAPED_URL_TOO_LONG) }
}

/// Checks a path that a browser sent, and splits its query off. A fragment is of no account.
pub(super) fn path_and_query(path: &str) -> Result<(Option<&str>, Option<&str>), Fault> {
    if path.len() > MAX_URL_BYTES {
        return Err(Fault::invalid("path", "path must be at most 4096 bytes"));
    }
    let path = path.split('#').next().unwrap_or_default();
    Ok(match path.split_once('?') {
        Some((path, query)) => (given(path), given(query)),
        None => (given(path), None),
    })
}

/// Checks an id; an empty one is none, or all events without an id would be one.
pub(super) fn event_id<'a>(id: Option<&'a str>, field: &'static str) -> Result<Option<&'a str>, Fault> {
    let sentence = if field == "eid" { "eid must be at most 128 bytes" } else { "event_id must be at most 128 bytes" };
    match id.and_then(given) {
        Some(id) if id.len() > MAX_EVENT_ID_BYTES => Err(Fault::invalid(field, sentence)),
        id => Ok(id),
    }
}

/// Checks that an event is not older than its site keeps events.
pub(super) fn not_expired(time: UnixMicros, site: &Site, received: UnixMicros) -> Result<(), Fault> {
    let days = site.data_retention_days;
    let is_expired = time < retention::cutoff(days, received);
    if is_expired { Err(Fault { field: "timestamp", error: Error::Expired { days } }) } else { Ok(()) }
}

/// Checks for how long an event was held back; microseconds.
pub(super) fn age(age_ms: Option<f64>) -> Result<i64, Fault> {
    let age_ms = age_ms.unwrap_or(0.0);
    if !(0.0..=MAX_AGE_MS).contains(&age_ms) {
        return Err(Fault::invalid("age", "age must be between 0 and 86400000 milliseconds"));
    }
    // Within the bound, so that nothing is cut but fractions of a microsecond.
    Ok((age_ms * 1000.0) as i64)
}

/// The session; a nil one is none, because it is what all clients send that have none.
pub(super) fn session(id: Option<Uuid>) -> Option<SessionId> {
    id.filter(|id| !id.is_nil()).map(|id| SessionId::new(id.into_bytes()))
}

/// The page's id under the directory's secret; nil is none.
pub(super) fn page(id: Option<Uuid>, secret: [u8; 16]) -> Option<PageHash> {
    let id = id.filter(|id| !id.is_nil())?;
    let mut hasher = SipHasher13::new_with_key(&secret);
    hasher.write(id.as_bytes());
    Some(PageHash::new(hasher.finish()))
}

/// A length in pixels; what no screen has is left out.
pub(super) fn pixels(value: Option<i64>) -> Option<u32> {
    value.and_then(|value| u32::try_from(value).ok())
}

/// A text that is there.
pub(super) fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The longest beginning of at most `max_bytes` that ends between characters; `None` for an empty text.
pub(super) fn cut(text: Option<&str>, max_bytes: usize) -> Option<&str> {
    let text = text?;
    given(&text[..text.floor_char_boundary(max_bytes)])
}

/// The campaign that a query names.
#[derive(Default)]
pub(super) struct Campaign<'a> {
    source: Option<Cow<'a, str>>,
    medium: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    term: Option<Cow<'a, str>>,
    content: Option<Cow<'a, str>>,
    qr: Option<[u8; 16]>,
}

impl<'a> Campaign<'a> {
    /// Reads the `utm_*` parameters and `hk_qr`; the first of each counts. A QR id that is no UUID is none.
    pub(super) fn of(query: &'a str) -> Campaign<'a> {
        let mut campaign = Campaign::default();
        if query.is_empty() {
            return campaign;
        }
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*key {
                "utm_source" => &mut campaign.source,
                "utm_medium" => &mut campaign.medium,
                "utm_campaign" => &mut campaign.name,
                "utm_term" => &mut campaign.term,
                "utm_content" => &mut campaign.content,
                "hk_qr" => {
                    campaign.qr = campaign.qr.or_else(|| parse_uuid(&value).map(Uuid::into_bytes));
                    continue;
                }
                _ => continue,
            };
            slot.get_or_insert(value);
        }
        campaign
    }

    /// What a browser read from its page's address.
    pub(super) fn named(values: [Option<&'a str>; 5], qr: Option<&str>) -> Campaign<'a> {
        let [source, medium, name, term, content] = values.map(|value| value.map(Cow::Borrowed));
        Campaign { source, medium, name, term, content, qr: qr.and_then(parse_uuid).map(Uuid::into_bytes) }
    }

    /// This campaign, and what `query` says of the parts it does not have.
    pub(super) fn or_of(self, query: Option<&'a str>) -> Campaign<'a> {
        let Some(query) = query else { return self };
        let other = Campaign::of(query);
        Campaign {
            source: self.source.or(other.source),
            medium: self.medium.or(other.medium),
            name: self.name.or(other.name),
            term: self.term.or(other.term),
            content: self.content.or(other.content),
            qr: self.qr.or(other.qr),
        }
    }

    /// Writes the campaign into `record`.
    pub(super) fn fill<'r>(&'r self, record: &mut Record<'r>) {
        record.utm_source = cut(self.source.as_deref(), UTM_BYTES);
        record.utm_medium = cut(self.medium.as_deref(), UTM_BYTES);
        record.utm_campaign = cut(self.name.as_deref(), UTM_BYTES);
        record.utm_term = cut(self.term.as_deref(), UTM_BYTES);
        record.utm_content = cut(self.content.as_deref(), UTM_BYTES);
        record.qr = self.qr.filter(|qr| *qr != [0; 16]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_limit_lets_its_last_value_pass() {
        assert_eq!(name(&"n".repeat(256)).unwrap().len(), 256);
        assert_eq!(name(&"n".repeat(257)), Err(Fault::invalid("name", "name must be at most 256 bytes")));
        assert_eq!(name(""), Err(Fault::invalid("name", "name is required")));
        assert!(url_length(&"u".repeat(4096)).is_ok() && url_length(&"u".repeat(4097)).is_err());
        assert!(path_and_query(&"p".repeat(4096)).is_ok() && path_and_query(&"p".repeat(4097)).is_err());
        assert_eq!(event_id(Some(&"i".repeat(128)), "eid").unwrap().unwrap().len(), 128);
        assert_eq!(event_id(Some(&"i".repeat(129)), "eid"), Err(Fault::invalid("eid", "eid must be at most 128 bytes")));
        assert_eq!(event_id(Some(""), "eid"), Ok(None));
        assert_eq!(age(Some(86_400_000.0)), Ok(86_400_000_000));
        assert_eq!(age(Some(1.5)), Ok(1_500));
        for bad in [-0.1, 86_400_001.0, f64::NAN, f64::INFINITY] {
            assert!(age(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cut_falls_between_characters() {
        assert_eq!(cut(Some("ab\u{e9}"), 3), Some("ab"));
        assert_eq!(cut(Some("ab\u{e9}"), 4), Some("ab\u{e9}"));
        assert_eq!(cut(Some("\u{1f600}"), 3), None);
        assert_eq!(cut(Some(""), 3), None);
        assert_eq!(cut(None, 3), None);
    }

    #[test]
    fn a_path_has_no_query_and_no_fragment() {
        for (sent, path, query) in [
            ("/a", Some("/a"), None),
            ("/a?x=1&y", Some("/a"), Some("x=1&y")),
            ("/a?x#f?z", Some("/a"), Some("x")),
            ("/a#f?z", Some("/a"), None),
            ("/a?", Some("/a"), None),
            ("", None, None),
        ] {
            assert_eq!(path_and_query(sent), Ok((path, query)), "{sent}");
        }
    }

    #[test]
    fn the_first_of_each_campaign_parameter_counts() {
        let query = "x=1&utm_source=a%20b&utm_source=c&utm_medium=&UTM_TERM=t&utm_campaign=d+e&hk_qr=nope&hk_qr=AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA";
        let campaign = Campaign::of(query);
        assert_eq!(campaign.source.as_deref(), Some("a b"));
        assert_eq!(campaign.medium.as_deref(), Some(""));
        assert_eq!(campaign.name.as_deref(), Some("d e"));
        assert_eq!(campaign.term, None);
        assert_eq!(campaign.qr.unwrap()[0], 0xaa);
    }

    #[test]
    fn a_page_nobody_looks_at_is_told_by_its_purpose() {
        for (name, value, speculative) in [
            ("sec-purpose", "prefetch", true),
            ("sec-purpose", "prefetch;prerender", true),
            ("purpose", "Prefetch", true),
            ("purpose", "prerender", true),
            ("purpose", "fetch", false),
            ("x-purpose", "prefetch", false),
        ] {
            let headers = HeaderMap::from_iter([(name.parse::<HeaderName>().unwrap(), value.parse().unwrap())]);
            assert_eq!(is_speculative(&headers), speculative, "{name}: {value}");
        }
    }

    #[test]
    fn a_nil_identity_is_none() {
        assert_eq!(session(Some(Uuid::nil())), None);
        assert_eq!(page(Some(Uuid::nil()), [7; 16]), None);
        let id = Uuid::from_bytes([0xaa; 16]);
        assert_eq!(session(Some(id)), Some(SessionId::new([0xaa; 16])));
        assert_eq!(page(Some(id), [7; 16]), page(Some(id), [7; 16]));
        assert_ne!(page(Some(id), [7; 16]), page(Some(id), [8; 16]));
    }
}
