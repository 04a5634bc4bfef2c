//! What browsers of other origins may do: send to the three browser endpoints, with credentials, and read the answer's headers.
//!
//! Any origin is echoed, configured or not: the page's own origin picks the site, and no cookie is looked at. The echo and the
//! credentials header belong together: a beacon with an `application/json` blob is sent with credentials, and a `*` would break it.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap,
    HeaderValue, ORIGIN, VARY,
};

const TRUE: HeaderValue = HeaderValue::from_static("true");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
const VARY_PREFLIGHT: HeaderValue = HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Hitkeep-Sequence, Hitkeep-Duplicate, Hitkeep-Durable, Retry-After, RateLimit, RateLimit-Policy");
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// The headers of the answer to a preflight; `None` if an `OPTIONS` request is none.
pub(super) fn preflight(request: &HeaderMap) -> Option<HeaderMap> {
    let method = request.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    let mut answer = HeaderMap::with_capacity(8);
    answer.insert(VARY, VARY_PREFLIGHT);
    let origin = request.get(ORIGIN).filter(|origin| !origin.as_bytes().trim_ascii().is_empty());
    let wanted = request.get(ACCESS_CONTROL_REQUEST_HEADERS).filter(|wanted| !wanted.is_empty());
    let allowed = matches!(method.as_bytes(), b"POST" | b"OPTIONS") && wanted.is_none_or(|wanted| wanted == "content-type");
    if let (Some(origin), true) = (origin, allowed) {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
        if let Some(wanted) = wanted {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
    Some(answer)
}

/// Adds what every answer to a browser's POST carries, whatever its status.
pub(super) fn add(answer: &mut HeaderMap, origin: Option<HeaderValue>) {
    if let Some(origin) = origin {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    answer.insert(VARY, VARY_ORIGIN);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse::<hyper::header::HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    const ORIGIN_LINE: (&str, &str) = ("origin", "https://www.shop.example");
    const METHOD_LINE: (&str, &str) = ("access-control-request-method", "POST");

    #[test]
    fn a_preflight_of_a_beacon_is_allowed() {
        let answer = preflight(&headers(&[ORIGIN_LINE, METHOD_LINE, ("access-control-request-headers", "content-type")])).unwrap();
        for (name, value) in [
            ("access-control-allow-origin", "https://www.shop.example"),
            ("access-control-allow-methods", "POST"),
            ("access-control-allow-headers", "content-type"),
            ("access-control-allow-credentials", "true"),
            ("access-control-max-age", "86400"),
            ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        ] {
            assert_eq!(answer[name], value);
        }
        let answer = preflight(&headers(&[ORIGIN_LINE, METHOD_LINE])).unwrap();
        assert!(answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) && !answer.contains_key(ACCESS_CONTROL_ALLOW_HEADERS));
    }

    #[test]
    fn another_preflight_gets_vary_alone() {
        for lines in [
            &[METHOD_LINE][..],
            &[("origin", " "), METHOD_LINE],
            &[ORIGIN_LINE, ("access-control-request-method", "PUT")],
            &[ORIGIN_LINE, ("access-control-request-method", "post")],
            &[ORIGIN_LINE, METHOD_LINE, ("access-control-request-headers", "Content-Type")],
            &[ORIGIN_LINE, METHOD_LINE, ("access-control-request-headers", "content-type,x-more")],
        ] {
            let answer = preflight(&headers(lines)).unwrap();
            assert_eq!(answer.len(), 1, "{lines:?}");
            assert!(answer.contains_key(VARY));
        }
        assert!(preflight(&headers(&[ORIGIN_LINE])).is_none());
    }

    #[test]
    fn an_answer_echoes_the_origin_or_says_only_that_it_varies() {
        let mut answer = HeaderMap::new();
        add(&mut answer, Some(HeaderValue::from_static("null")));
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "null");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(answer[VARY], "Origin");
        let mut answer = HeaderMap::new();
        add(&mut answer, None);
        assert_eq!(answer.len(), 1);
    }
}
