//! What an answer lacks, and the one place where it is said.
//!
//! Every report is rendered here, so that none can forget it: an answer from which something is left out has the header
//! `Hitkeep-Incomplete`, and if it is an object, the field `incomplete`.

use format::UnixMicros;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde::{Serialize, Serializer};

use super::respond::{self, Answer};
use crate::instant;
use crate::store::Lost;

const INCOMPLETE: HeaderName = HeaderName::from_static("hitkeep-incomplete");

/// The most ranges that an answer names.
const MAX_NAMED: usize = 10;

/// A file that something is missing of, and between which times, as far as that is known: of a segment the times of its events, of a log
/// when the daemon wrote what stood there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Lacking {
    file: String,
    #[serde(serialize_with = "text_or_null")]
    from: Option<UnixMicros>,
    #[serde(serialize_with = "text_or_null")]
    to: Option<UnixMicros>,
}

/// What answers may lack where this is lost.
pub(super) fn lacking(lost: &[Lost]) -> Vec<Lacking> {
    let one = |lost: &Lost| {
        let (from, to) = lost.times();
        Lacking { file: lost.file().to_owned(), from, to }
    };
    lost.iter().take(MAX_NAMED).map(one).collect()
}

/// 200 with an array.
pub(super) fn array<T: Serialize>(items: &[T], lacking: &[Lacking]) -> Answer {
    with_header(respond::json(StatusCode::OK, items), lacking)
}

/// 200 with an object of these fields, and `incomplete` where there is any.
pub(super) fn object<T: Serialize>(fields: &T, lacking: &[Lacking]) -> Answer {
    #[derive(Serialize)]
    struct Object<'a, T> {
        #[serde(flatten)]
        fields: &'a T,
        #[serde(skip_serializing_if = "<[Lacking]>::is_empty")]
        incomplete: &'a [Lacking],
    }
    with_header(respond::json(StatusCode::OK, &Object { fields, incomplete: lacking }), lacking)
}

/// As a list of `<file> <from>/<to>`, with `..` for an end that is not known.
fn with_header(mut answer: Answer, lacking: &[Lacking]) -> Answer {
    if !lacking.is_empty() {
        let text = |end: Option<UnixMicros>| end.map_or("..".to_owned(), instant::text);
        let named = lacking.iter().map(|Lacking { file, from, to }| format!("{file} {}/{}", text(*from), text(*to)));
        let value = HeaderValue::try_from(named.collect::<Vec<_>>().join(", ")).expect("names of our files and instants are ASCII");
        answer.headers_mut().insert(INCOMPLETE, value);
    }
    answer
}

fn text_or_null<S: Serializer>(end: &Option<UnixMicros>, serializer: S) -> Result<S::Ok, S::Error> {
    end.map(instant::text).serialize(serializer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http_body_util::BodyExt;

    use super::*;

    async fn body(answer: Answer) -> String {
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_object_names_what_it_lacks_and_an_array_has_the_header() {
        let lacking = [
            Lacking { file: "segments/1.seg".to_owned(), from: Some(UnixMicros::EPOCH), to: UnixMicros::new(1_000_000) },
            Lacking { file: "manifest.log".to_owned(), from: None, to: None },
        ];
        let header = "segments/1.seg 1970-01-01T00:00:00Z/1970-01-01T00:00:01Z, manifest.log ../..";
        let answer = array(&["a"], &lacking);
        assert_eq!(answer.headers()[INCOMPLETE], header);
        assert_eq!(body(answer).await, "[\"a\"]\n");
        let fields = serde_json::json!({"current": []});
        let answer = object(&fields, &lacking);
        assert_eq!(answer.headers()[INCOMPLETE], header);
        assert_eq!(
            body(answer).await,
            "{\"current\":[],\"incomplete\":[{\"file\":\"segments/1.seg\",\"from\":\"1970-01-01T00:00:00Z\",\"to\":\"1970-01-01T00:00:01Z\"},\
             {\"file\":\"manifest.log\",\"from\":null,\"to\":null}]}\n"
        );
        let answer = object(&fields, &[]);
        assert_eq!(answer.headers().get(INCOMPLETE), None);
        assert_eq!(body(answer).await, "{\"current\":[]}\n");
    }
}
