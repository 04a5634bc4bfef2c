//! Properties: their text is kept as received, so it is looked at, not taken apart.

use super::rules::Fault;
use crate::http::error::BAD_BODY;

/// The longest properties of an event.
const MAX_BYTES: usize = 32 * 1024;

/// The most keys, not counting those of objects inside.
const MAX_KEYS: usize = 64;

/// How deep objects and arrays may be nested, the properties themselves being the first level.
const MAX_DEPTH: usize = 8;

/// The shortest number that may be too large for a double without an exponent.
const LONG_NUMBER_BYTES: usize = 308;

/// Checks properties and gives what is stored of them: nothing for an empty object.
///
/// `text` is one JSON value that serde_json has read; what it does not know is whether a double holds each number.
pub(super) fn check(text: &str) -> Result<&str, Fault> {
    if !text.starts_with('{') {
        return Err(Fault { field: "properties", error: BAD_BODY });
    }
    if text.len() > MAX_BYTES {
        return Err(Fault::invalid("properties", "properties must be at most 32768 bytes"));
    }
    let bytes = text.as_bytes();
    let (mut depth, mut keys, mut at) = (0, 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = string_end(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Fault::invalid("properties", "properties must be at most 8 levels deep"));
                }
            }
            b'}' | b']' => depth -= 1,
            b':' if depth == 1 => {
                keys += 1;
                if keys > MAX_KEYS {
                    return Err(Fault::invalid("properties", "properties must have at most 64 keys"));
                }
            }
            b'-' | b'0'..=b'9' => {
                let end = number_end(bytes, at);
                if !is_finite(&text[at..end]) {
                    return Err(Fault { field: "properties", error: BAD_BODY });
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(if keys == 0 { "" } else { text })
}

/// The index of the quotation mark that ends the string begun at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at
}

fn number_end(bytes: &[u8], start: usize) -> usize {
    let len = bytes[start..].iter().take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
    start + len
}

fn is_finite(number: &str) -> bool {
    let small = number.len() < LONG_NUMBER_BYTES && !number.contains(['e', 'E']);
    small || number.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn object(keys: usize) -> String {
        let pairs: Vec<String> = (0..keys).map(|n| format!("\"k{n}\":{{\"x\":[1,2],\"y\":\"a:b,c\"}}")).collect();
        format!("{{{}}}", pairs.join(" , "))
    }

    fn nested(depth: usize) -> String {
        format!("{}{}{}", "{\"a\":".repeat(depth - 1), "{}", "}".repeat(depth - 1))
    }

    #[test]
    fn each_limit_lets_its_last_value_pass() {
        let of_len = |len: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(len - 8));
        for (text, sentence) in [
            (object(64), None),
            (object(65), Some("properties must have at most 64 keys")),
            (nested(8), None),
            (nested(9), Some("properties must be at most 8 levels deep")),
            (format!("{{\"a\":{}1{}}}", "[".repeat(7), "]".repeat(7)), None),
            (format!("{{\"a\":{}1{}}}", "[".repeat(8), "]".repeat(8)), Some("properties must be at most 8 levels deep")),
            (of_len(MAX_BYTES), None),
            (of_len(MAX_BYTES + 1), Some("properties must be at most 32768 bytes")),
        ] {
            match (check(&text), sentence) {
                (Ok(kept), None) => assert_eq!(kept, text),
                (Err(fault), Some(sentence)) => assert_eq!(fault, Fault::invalid("properties", sentence)),
                (result, _) => panic!("{result:?} for {sentence:?}"),
            }
        }
    }

    #[test]
    fn text_is_kept_as_received_and_an_empty_object_is_nothing() {
        for text in
            [r#"{"b":49.90,"a":9007199254740993}"#, r#"{"a":"\"}{[\\"}"#, r#"{"a":"\"[[[[[[[[[","b\\":1}"#, r#"{"a":"\u0000","a":null}"#]
        {
            assert_eq!(check(text), Ok(text));
        }
        assert_eq!(check("{}"), Ok(""));
        assert_eq!(check("{ \n}"), Ok(""));
    }

    #[test]
    fn a_number_that_no_double_holds_is_refused() {
        for (number, holds) in [
            ("1e308", true),
            ("-1.7976931348623157E+308", true),
            ("1e309", false),
            ("-1e400", false),
            ("1e-400", true),
            (&"9".repeat(308), true),
            (&"9".repeat(310), false),
        ] {
            assert_eq!(check(&format!("{{\"a\":[{number}]}}")).is_ok(), holds, "{number}");
        }
        assert!(check(r#"{"a":"1e999"}"#).is_ok());
    }

    #[test]
    fn what_is_no_object_is_a_bad_body() {
        for text in ["[]", "1", "\"{}\"", "true"] {
            assert_eq!(check(text).unwrap_err().error, BAD_BODY);
        }
    }
}
