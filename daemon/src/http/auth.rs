//! Who asks: a token in `Authorization: Bearer` or `X-Api-Key`.

use std::sync::Arc;

use format::SiteId;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName};

use super::error::Error;
use crate::catalog::Catalog;
use crate::catalog::permission::{self, Action};
use crate::catalog::records::Token;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Longer than any token, and short enough that a made-up one costs no more than a real one.
const MAX_TOKEN_BYTES: usize = 256;

/// The token a request carries, if it is one that holds. The catalog takes one path for unknown and revoked ones.
pub(super) fn identify(catalog: &Catalog, headers: &HeaderMap) -> Option<Arc<Token>> {
    catalog.token(presented(headers)?)
}

/// Whether `token` may do `action` on a site.
///
/// # Errors
///
/// [`Error::Denied`]: `Access denied` without a grant, `Forbidden` with one that is too weak.
pub(super) fn permit(token: &Token, action: Action, site: SiteId) -> Result<(), Error> {
    match token.role_on(site) {
        None => Err(Error::Denied("Access denied")),
        Some(role) if permission::allowed(role, action) => Ok(()),
        Some(_) => Err(Error::Denied("Forbidden")),
    }
}

/// The bearer token, else the API key.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.trim_start().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let token = match bearer {
        Some(token) if !token.is_empty() => token,
        _ => headers.get(API_KEY)?.to_str().ok()?.trim(),
    };
    (!token.is_empty() && token.len() <= MAX_TOKEN_BYTES).then_some(token)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_bearer_token_wins_over_an_api_key() {
        for (lines, token) in [
            (&[("authorization", "Bearer abc")][..], Some("abc")),
            (&[("authorization", "bEARER   abc ")], Some("abc")),
            (&[("x-api-key", " abc ")], Some("abc")),
            (&[("authorization", "Bearer abc"), ("x-api-key", "def")], Some("abc")),
            (&[("authorization", "Basic abc"), ("x-api-key", "def")], Some("def")),
            (&[("authorization", "Bearer "), ("x-api-key", "def")], Some("def")),
            (&[("authorization", "Bearer\u{a0}abc")], None),
            (&[("authorization", "abc")], None),
            (&[("x-api-key", "")], None),
            (&[], None),
        ] {
            assert_eq!(presented(&headers(lines)), token, "{lines:?}");
        }
        assert_eq!(presented(&headers(&[("x-api-key", &"a".repeat(257))])), None);
    }
}
