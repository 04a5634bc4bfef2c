//! Domains and host names: what a site may be called, and how a request's host is compared with it.

use std::borrow::Cow;

/// The longest host name DNS allows, in bytes.
const MAX_DOMAIN_BYTES: usize = 253;

/// The longest label of a host name, in bytes.
const MAX_LABEL_BYTES: usize = 63;

/// Why text is no domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DomainError {
    /// Empty, or white space only.
    Missing,
    /// Written like a URL.
    Protocol,
    /// Begins with `www.`, which is taken off every host before it is compared.
    Www,
    /// Not two or more labels of letters, digits and hyphens under an alphabetic top level, at most 253 bytes.
    Malformed,
}

impl DomainError {
    /// What a client is told, in the words of the wire contract.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            DomainError::Missing => "Domain is required",
            DomainError::Protocol => "Domain must not contain protocol (http:// or https://)",
            DomainError::Www => "Domain must not start with 'www.' (we track subdomains automatically)",
            DomainError::Malformed => "Invalid domain format (e.g. example.com)",
        }
    }
}

/// Trims and lowers `text` and checks that it is a domain.
///
/// # Errors
///
/// The first of [`DomainError`]'s variants, in their order.
pub(crate) fn parse(text: &str) -> Result<String, DomainError> {
    let domain = text.trim().to_lowercase();
    if domain.is_empty() {
        return Err(DomainError::Missing);
    }
    if domain.starts_with("http://") || domain.starts_with("https://") {
        return Err(DomainError::Protocol);
    }
    if domain.starts_with("www.") {
        return Err(DomainError::Www);
    }
    let Some((rest, top_level)) = domain.rsplit_once('.') else {
        return Err(DomainError::Malformed);
    };
    let alphabetic = top_level.len() >= 2 && top_level.len() <= MAX_LABEL_BYTES && top_level.bytes().all(|b| b.is_ascii_lowercase());
    if domain.len() > MAX_DOMAIN_BYTES || !alphabetic || !rest.split('.').all(is_label) {
        return Err(DomainError::Malformed);
    }
    Ok(domain)
}

/// The form in which hosts are compared: trimmed, lower case, without one leading `www.`.
pub(crate) fn comparable(host: &str) -> Cow<'_, str> {
    let host = host.trim();
    // Browsers send lower case, so that almost no request allocates.
    let host = if host.bytes().any(|b| b.is_ascii_uppercase()) || !host.is_ascii() {
        Cow::Owned(host.to_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    match host {
        Cow::Borrowed(host) => Cow::Borrowed(host.strip_prefix("www.").unwrap_or(host)),
        Cow::Owned(host) => Cow::Owned(host.strip_prefix("www.").map(str::to_owned).unwrap_or(host)),
    }
}

fn is_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !label.is_empty() && label.len() <= MAX_LABEL_BYTES && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_trimmed_and_lowered() {
        assert_eq!(parse("  Shop.Example \n"), Ok("shop.example".to_owned()));
        assert_eq!(parse("a-1.b2.example"), Ok("a-1.b2.example".to_owned()));
    }

    #[test]
    fn each_refusal_has_its_own_sentence() {
        let label = "a".repeat(64);
        let long = format!("{}example", "abcdefgh.".repeat(28));
        for (text, error) in [
            ("", DomainError::Missing),
            (" \t", DomainError::Missing),
            ("https://shop.example", DomainError::Protocol),
            ("HTTP://www.shop.example", DomainError::Protocol),
            ("www.shop.example", DomainError::Www),
            ("localhost", DomainError::Malformed),
            ("127.0.0.1", DomainError::Malformed),
            ("shop.example:80", DomainError::Malformed),
            ("shop.example/", DomainError::Malformed),
            ("shop..example", DomainError::Malformed),
            (".example", DomainError::Malformed),
            ("shop.e", DomainError::Malformed),
            ("-shop.example", DomainError::Malformed),
            ("shop-.example", DomainError::Malformed),
            ("sh\u{f6}p.example", DomainError::Malformed),
            (&format!("{label}.example"), DomainError::Malformed),
            (&long, DomainError::Malformed),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn one_leading_www_does_not_count() {
        assert_eq!(comparable(" WWW.Shop.example"), "shop.example");
        assert_eq!(comparable("www.shop.example"), "shop.example");
        assert_eq!(comparable("www.www.shop.example"), "www.shop.example");
        assert_eq!(comparable("blog.shop.example"), "blog.shop.example");
    }
}
