//! Answers: text, JSON, and the empty 202.

use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter};

/// What every handler ends in: a complete answer in memory.
pub(crate) type Answer = Response<Full<Bytes>>;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// One sentence and a line feed; the form of every error.
pub(crate) fn text(status: StatusCode, sentence: &str) -> Answer {
    let mut body = String::with_capacity(sentence.len() + 1);
    body.push_str(sentence);
    body.push('\n');
    let mut answer = with_body(status, Bytes::from(body));
    answer.headers_mut().insert(CONTENT_TYPE, TEXT);
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    answer
}

/// `text` as it stands, without a line feed: the probes' form.
pub(crate) fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = with_body(status, Bytes::from_static(text.as_bytes()));
    answer.headers_mut().insert(CONTENT_TYPE, TEXT);
    answer
}

/// Compact JSON and a line feed; `<`, `>` and `&` are escaped, so that no page that holds it can take it for markup.
pub(crate) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Answer {
    let mut body = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut body, Escaped);
    value.serialize(&mut serializer).expect("answers have string keys, and memory takes every byte");
    body.push(b'\n');
    let mut answer = with_body(status, Bytes::from(body));
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

/// A status and nothing else: no body, no content type.
pub(crate) fn empty(status: StatusCode) -> Answer {
    with_body(status, Bytes::new())
}

/// A status and these headers.
pub(crate) fn with_headers(status: StatusCode, headers: HeaderMap) -> Answer {
    let mut answer = empty(status);
    *answer.headers_mut() = headers;
    answer
}

fn with_body(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer
}

/// serde_json's compact form with three more escapes.
struct Escaped;

impl Formatter for Escaped {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&']) {
            writer.write_all(&rest.as_bytes()[..at])?;
            self.write_char_escape(writer, CharEscape::AsciiControl(rest.as_bytes()[at]))?;
            rest = &rest[at + 1..];
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http_body_util::BodyExt;

    use super::*;

    async fn body(answer: Answer) -> Bytes {
        answer.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn json_can_be_pasted_into_a_page() {
        let answer = json(StatusCode::OK, &serde_json::json!({"name": "</script><b>&\u{e9}\n\u{1}"}));
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(body(answer).await, "{\"name\":\"\\u003c/script\\u003e\\u003cb\\u003e\\u0026\u{e9}\\n\\u0001\"}\n");
    }

    #[tokio::test]
    async fn an_error_is_a_sentence_and_a_line_feed() {
        let answer = text(StatusCode::NOT_FOUND, "Not found");
        assert_eq!(answer.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(answer.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(body(answer).await, "Not found\n");
    }
}
