//! What sessions can be asked for, and how the value of a record's field reads as the contract writes it.
//!
//! A dimension depends on one field of the record. Pageviews say what their session lacks, too: one without a referrer is `(Direct)`,
//! one without a viewport a desktop. Events do not: a tracker sends most of these fields with pageviews alone, and a session on a phone
//! must not become a desktop by its clicks.

use std::borrow::Cow;

use format::sealed::Field;
use format::{Kind, Record};

use crate::fields;

/// What a session can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dimension {
    /// Path of a page, byte for byte.
    Path,
    /// Host of a page, in any case, with or without one leading `www.`; `(Unknown Host)`.
    Hostname,
    /// Referrer in full, byte for byte; `(Direct)`.
    Referrer,
    /// Host of the referrer, as [`Dimension::Hostname`]; `(Direct)`; `(Unknown Host)` for a referrer that has none.
    ReferrerHost,
    /// `Mobile` for a viewport below 576 pixels, `Tablet` below 992, else `Desktop`, in any case.
    Device,
    /// Two letters of ISO 3166-1, in any case; `(Unknown)`.
    Country,
    /// Family of the browser by its user agent, in any case; `(Unknown)`.
    Browser,
    /// The browser's language, byte for byte; `(Unknown)`.
    Language,
    /// `utm_source`, byte for byte; `(Unspecified)`; so for the other four.
    UtmSource,
    /// `utm_medium`.
    UtmMedium,
    /// `utm_campaign`.
    UtmCampaign,
    /// `utm_term`.
    UtmTerm,
    /// `utm_content`.
    UtmContent,
    /// UUID of the QR campaign, in the form of 36 characters, in any case; `(Unspecified)`.
    QrCode,
}

const NAMES: [(&str, Dimension); 14] = [
    ("path", Dimension::Path),
    ("hostname", Dimension::Hostname),
    ("referrer", Dimension::Referrer),
    ("referrer_host", Dimension::ReferrerHost),
    ("device", Dimension::Device),
    ("country", Dimension::Country),
    ("browser", Dimension::Browser),
    ("language", Dimension::Language),
    ("utm_source", Dimension::UtmSource),
    ("utm_medium", Dimension::UtmMedium),
    ("utm_campaign", Dimension::UtmCampaign),
    ("utm_term", Dimension::UtmTerm),
    ("utm_content", Dimension::UtmContent),
    ("qr_code_id", Dimension::QrCode),
];

/// Viewports below this many CSS pixels are of phones.
const TABLET_FROM: u32 = 576;

/// Viewports from this many CSS pixels on are of desktops.
const DESKTOP_FROM: u32 = 992;

const DESKTOP: &str = "Desktop";
const UNKNOWN_HOST: &str = "(Unknown Host)";

/// What names a family of browsers in a user agent. The first that stands there counts: nearly all claim to be Safari as well, and those
/// made of Chrome to be Chrome.
const BROWSERS: [(&str, &str); 16] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("OPiOS/", "Opera"),
    ("Opera", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chrome"),
    ("Trident/", "Internet Explorer"),
    ("MSIE ", "Internet Explorer"),
    ("Safari/", "Safari"),
];

impl Dimension {
    /// The dimension that the contract calls `name`.
    pub fn parse(name: &str) -> Option<Dimension> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, dimension)| *dimension)
    }

    /// The field it depends on.
    pub(crate) fn field(self) -> Field {
        match self {
            Dimension::Path => Field::Path,
            Dimension::Hostname => Field::Host,
            Dimension::Referrer | Dimension::ReferrerHost => Field::Referrer,
            Dimension::Device => Field::ViewportWidth,
            Dimension::Country => Field::Country,
            Dimension::Browser => Field::UserAgent,
            Dimension::Language => Field::Language,
            Dimension::UtmSource => Field::UtmSource,
            Dimension::UtmMedium => Field::UtmMedium,
            Dimension::UtmCampaign => Field::UtmCampaign,
            Dimension::UtmTerm => Field::UtmTerm,
            Dimension::UtmContent => Field::UtmContent,
            Dimension::QrCode => Field::Qr,
        }
    }

    /// Whether values are compared as they stand in the field, byte for byte.
    pub(crate) fn is_verbatim(self) -> bool {
        use Dimension::{Language, Path, Referrer, UtmCampaign, UtmContent, UtmMedium, UtmSource, UtmTerm};
        matches!(self, Path | Referrer | Language | UtmSource | UtmMedium | UtmCampaign | UtmTerm | UtmContent)
    }

    /// What a pageview without the field has. A path that is missing is none.
    fn of_absence(self) -> Option<&'static str> {
        match self {
            Dimension::Path => None,
            Dimension::Hostname => Some(UNKNOWN_HOST),
            Dimension::Referrer | Dimension::ReferrerHost => Some("(Direct)"),
            Dimension::Device => Some(DESKTOP),
            Dimension::Country | Dimension::Browser | Dimension::Language => Some("(Unknown)"),
            _ => Some("(Unspecified)"),
        }
    }

    /// The contract's text of an entry of the field that is not empty.
    fn text(self, entry: &[u8]) -> Cow<'_, str> {
        match self {
            Dimension::Device => {
                let width = entry.try_into().map_or(u32::MAX, u32::from_be_bytes);
                Cow::Borrowed(match width {
                    ..TABLET_FROM => "Mobile",
                    TABLET_FROM..DESKTOP_FROM => "Tablet",
                    DESKTOP_FROM.. => DESKTOP,
                })
            }
            Dimension::QrCode => Cow::Owned(uuid_text(entry)),
            Dimension::ReferrerHost => match String::from_utf8_lossy(entry) {
                Cow::Borrowed(url) => Cow::Borrowed(host_of(url).unwrap_or(UNKNOWN_HOST)),
                Cow::Owned(url) => Cow::Owned(host_of(&url).unwrap_or(UNKNOWN_HOST).to_owned()),
            },
            Dimension::Browser => {
                let agent = String::from_utf8_lossy(entry);
                Cow::Borrowed(BROWSERS.iter().find(|(mark, _)| agent.contains(mark)).map_or("(Unknown)", |(_, family)| family))
            }
            _ => String::from_utf8_lossy(entry),
        }
    }
}

/// The host of a URL, without user and port.
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(inner) => &host[..inner.find(']')? + 2],
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

fn without_www(host: &str) -> &str {
    match host.get(..4) {
        Some(www) if www.eq_ignore_ascii_case("www.") => &host[4..],
        _ => host,
    }
}

fn uuid_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// A value that a session is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted<'c> {
    pub(crate) dimension: Dimension,
    pub(crate) value: &'c str,
}

/// What a field says of a value that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Yes,
    No,
    /// It has no value: a pageview says so.
    Nothing,
}

impl Wanted<'_> {
    /// What an entry of the dimension's field says.
    pub(crate) fn read(&self, entry: &[u8]) -> Says {
        let is_it = match self.dimension {
            Dimension::Path => entry == self.value.as_bytes(),
            _ if entry.is_empty() => return Says::Nothing,
            dimension if dimension.is_verbatim() => entry == self.value.as_bytes(),
            dimension @ (Dimension::Hostname | Dimension::ReferrerHost) => {
                without_www(&dimension.text(entry)).eq_ignore_ascii_case(without_www(self.value))
            }
            dimension => dimension.text(entry).eq_ignore_ascii_case(self.value),
        };
        if is_it { Says::Yes } else { Says::No }
    }

    /// Whether pageviews without the field have it.
    pub(crate) fn is_absence(&self) -> bool {
        match self.dimension.of_absence() {
            Some(text) if self.dimension.is_verbatim() => text == self.value,
            Some(text) => text.eq_ignore_ascii_case(self.value),
            None => false,
        }
    }

    /// Whether a record has it.
    pub(crate) fn is_of(&self, record: &Record<'_>) -> bool {
        let mut says = Says::Nothing;
        fields::for_each(record, |field, entry| {
            if field == self.dimension.field() {
                says = self.read(entry);
            }
        });
        match says {
            Says::Yes => true,
            Says::No => false,
            Says::Nothing => record.kind == Kind::Pageview && self.is_absence(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn says(name: &str, value: &str, entry: &[u8]) -> Says {
        Wanted { dimension: Dimension::parse(name).unwrap(), value }.read(entry)
    }

    #[test]
    fn values_read_as_the_contract_writes_them() {
        for (name, value, entry) in [
            ("path", "/a", &b"/a"[..]),
            ("path", "", b""),
            ("hostname", "WWW.shop.example", b"shop.example"),
            ("hostname", "shop.example", b"www.shop.example"),
            ("referrer", "https://a.example/x?y", b"https://a.example/x?y"),
            ("referrer_host", "a.example", b"https://user@www.A.example:8443/x"),
            ("referrer_host", "[::1]", b"http://[::1]:80/"),
            ("referrer_host", "com.app", b"android-app://com.app"),
            ("referrer_host", "(unknown host)", b"about:blank"),
            ("device", "mobile", &575u32.to_be_bytes()),
            ("device", "Tablet", &576u32.to_be_bytes()),
            ("device", "Tablet", &991u32.to_be_bytes()),
            ("device", "Desktop", &992u32.to_be_bytes()),
            ("country", "de", b"DE"),
            ("language", "de-AT", b"de-AT"),
            ("qr_code_id", "AB000000-0000-0000-0000-0000000000CD", b"\xab\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xcd"),
        ] {
            assert_eq!(says(name, value, entry), Says::Yes, "{name} {value}");
        }
        for (name, value, entry) in [
            ("path", "/A", &b"/a"[..]),
            ("hostname", "shop.example", b"blog.shop.example"),
            ("referrer_host", "a.example", b"https://b.example/a.example"),
            ("referrer_host", "", b"https:///x"),
            ("device", "Desktop", &991u32.to_be_bytes()),
            ("language", "de", b"de-AT"),
            ("utm_source", "News", b"news"),
        ] {
            assert_eq!(says(name, value, entry), Says::No, "{name} {value}");
        }
        assert_eq!(says("referrer", "", b""), Says::Nothing);
        assert_eq!(Dimension::parse("Path"), None);
    }

    #[test]
    fn browsers_that_claim_to_be_others_are_told_apart() {
        for (agent, family) in [
            ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36", "Chrome"),
            ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36 Edg/120.0", "Edge"),
            ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36 OPR/106.0", "Opera"),
            ("Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 SamsungBrowser/23.0 Chrome/115.0 Safari/537.36", "Samsung Internet"),
            ("Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1", "Safari"),
            ("Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0 Mobile/15E148 Safari/604.1", "Chrome"),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0", "Firefox"),
            ("curl/8", "(Unknown)"),
        ] {
            assert_eq!(says("browser", family, agent.as_bytes()), Says::Yes, "{agent}");
        }
    }
}
