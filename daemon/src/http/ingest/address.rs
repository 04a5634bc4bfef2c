//! Addresses of pages: the `url` of a server event, and the `Origin` of a browser.

use std::borrow::Cow;

use url::Url;

/// An absolute `http` or `https` URL with a host.
pub(super) struct Address(Url);

impl Address {
    /// Reads a URL the way browsers do, so that its path is the one that the tracker would send.
    ///
    /// Browsers also make something of `https:host` and `https:///host`; those are refused, and so is white space around a URL.
    pub(super) fn parse(text: &str) -> Option<Address> {
        let (scheme, rest) = text.split_once("://")?;
        let web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
        if !web || rest.is_empty() || rest.starts_with(['/', '\\', '?', '#']) || text.ends_with(|c: char| c <= ' ') {
            return None;
        }
        let url = Url::parse(text).ok()?;
        url.has_host().then_some(Address(url))
    }

    /// All of it, escaped.
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The host in lower case, without port.
    pub(super) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The path, escaped, without query.
    pub(super) fn path(&self) -> &str {
        self.0.path()
    }

    /// The query, escaped, without the question mark; empty for none.
    pub(super) fn query(&self) -> &str {
        self.0.query().unwrap_or_default()
    }
}

/// The host that an `Origin` names, in lower case and without port; empty for origins that have none, such as `null`.
///
/// `None` for what is no origin at all. What browsers send allocates nothing.
pub(super) fn origin_host(origin: &[u8]) -> Option<Cow<'_, str>> {
    plain_host(origin).map(Cow::Borrowed).or_else(|| any_host(origin))
}

/// The host of nearly every origin, which needs no closer look: `https`, a name in lower case, nothing else.
fn plain_host(origin: &[u8]) -> Option<&str> {
    let host = origin.strip_prefix(b"https://")?;
    let is_plain = host.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'));
    std::str::from_utf8(host).ok().filter(|_| is_plain)
}

fn any_host(origin: &[u8]) -> Option<Cow<'_, str>> {
    let origin = std::str::from_utf8(origin).ok()?.trim_ascii();
    if origin.bytes().any(|b| b.is_ascii_control() || b == b' ') {
        return None;
    }
    let Some((scheme, rest)) = origin.split_once("://") else {
        // `null`, or a bare word: no host, and no site has that name.
        return (!origin.starts_with(':')).then_some(Cow::Borrowed(""));
    };
    let well_formed = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !well_formed {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match host_and_port.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')? + 2;
            let port = &host_and_port[end..];
            (&host_and_port[..end], if port.is_empty() { "" } else { port.strip_prefix(':')? })
        }
        None => host_and_port.split_once(':').unwrap_or((host_and_port, "")),
    };
    let forbidden = |b: u8| matches!(b, b'<' | b'>' | b'"' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'%');
    if !port.bytes().all(|b| b.is_ascii_digit()) || host.bytes().any(forbidden) {
        return None;
    }
    Some(lower(host))
}

fn lower(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|b| b.is_ascii_uppercase()) || !host.is_ascii() { Cow::Owned(host.to_lowercase()) } else { Cow::Borrowed(host) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_url_gives_host_path_and_query() {
        for (url, host, path, query) in [
            ("https://www.shop.example/checkout/done?x=1", "www.shop.example", "/checkout/done", "x=1"),
            ("HTTP://Shop.Example:8080", "shop.example", "/", ""),
            ("https://user:pass@shop.example/a#b?c", "shop.example", "/a", ""),
            ("https://shop.example/a b/\u{e9}?q=\u{e9}", "shop.example", "/a%20b/%C3%A9", "q=%C3%A9"),
            ("https://shop.example/a/../b", "shop.example", "/b", ""),
            ("https://b\u{fc}cher.example/", "xn--bcher-kva.example", "/", ""),
            ("https://[2001:db8::1]:443/x", "[2001:db8::1]", "/x", ""),
            ("https://shop.example?x", "shop.example", "/", "x"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!((address.host(), address.path(), address.query()), (host, path, query), "{url}");
        }
    }

    #[test]
    fn what_is_no_absolute_web_address_is_refused() {
        for url in [
            "",
            "/checkout",
            "shop.example/checkout",
            "ftp://shop.example/",
            "javascript://shop.example/",
            "https:shop.example",
            "https:///shop.example",
            "https://",
            "https://?x",
            "https://#x",
            "https:\\\\shop.example",
            " https://shop.example",
            "https://shop.example ",
            "https://shop.example:99999/",
            "https://sh op.example/",
            "https://shop.example:x/",
            "https://:80/",
        ] {
            assert!(Address::parse(url).is_none(), "{url}");
        }
    }

    #[test]
    fn an_origin_gives_its_host() {
        for (origin, host) in [
            ("https://www.shop.example:8443", Some("www.shop.example")),
            ("https://Shop.Example", Some("shop.example")),
            ("http://[::1]:8080", Some("[::1]")),
            ("http://[::1]", Some("[::1]")),
            ("null", Some("")),
            ("shop.example", Some("")),
            ("file://", Some("")),
            ("https://shop.example/path", Some("shop.example")),
            ("chrome-extension://abcdef", Some("abcdef")),
            ("https://user@shop.example", Some("shop.example")),
            ("https://shop.example:", Some("shop.example")),
            ("https://shop.example:x", None),
            ("https://sh op.example", None),
            ("https://[::1", None),
            ("https://[::1]x", None),
            ("://shop.example", None),
            ("1http://shop.example", None),
            ("https://shop%2eexample", None),
            ("https://shop.example:80:90", None),
        ] {
            assert_eq!(origin_host(origin.as_bytes()).as_deref(), host, "{origin}");
        }
        assert_eq!(origin_host(b"https://\xff.example"), None);
    }
}
