//! Bodies: the first JSON value of a request, read into typed fields that borrow from it.
//!
//! As in the reference: what follows the value is ignored, unknown fields are ignored, names match in any case, the last of several
//! fields with one name counts, `null` is the same as absent, and a value of the wrong type refuses the request. Text that is no
//! Unicode, whose sender cut a character in half, gets U+FFFD in its place: half a character is no reason to lose an event.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use uuid::Uuid;

use crate::http::Error;
use crate::http::error::BAD_BODY;

/// The text of a body, with U+FFFD for bytes that are no UTF-8 and for halves of surrogate pairs. Borrowed when there are none.
pub(in crate::http) fn text(body: &[u8]) -> Cow<'_, str> {
    // Checked for what is nearly always so, because the lossy conversion is several times slower.
    let text = std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed);
    match replace_unpaired(&text) {
        Some(replaced) => Cow::Owned(replaced),
        None => text,
    }
}

/// Reads the first value of `text`.
///
/// # Errors
///
/// [`BAD_BODY`].
pub(in crate::http) fn first_value<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    T::deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(|_| BAD_BODY)
}

/// Reads `text` as one value; `None` if something but white space stands behind it.
///
/// # Errors
///
/// [`BAD_BODY`].
pub(super) fn only_value<'a, T: Deserialize<'a>>(text: &'a str) -> Result<Option<T>, Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(&mut deserializer).map_err(|_| BAD_BODY)?;
    Ok(deserializer.end().is_ok().then_some(value))
}

/// The text with each `\ud800`-like escape that is half of no pair replaced; `None` if there is none.
fn replace_unpaired(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if !bytes.contains(&b'\\') {
        // Nearly always, and found several bytes at a time.
        return None;
    }
    let mut replaced: Option<String> = None;
    let (mut at, mut copied) = (0, 0);
    while let Some(found) = bytes[at..].iter().position(|&b| b == b'\\') {
        at += found;
        let Some(unit) = escaped_unit(&bytes[at..]) else {
            // Another escape: its second character is no backslash that begins one.
            at = (at + 2).min(bytes.len());
            continue;
        };
        let is_pair = matches!(unit, 0xd800..=0xdbff) && matches!(escaped_unit(&bytes[at + 6..]), Some(0xdc00..=0xdfff));
        if is_pair {
            at += 12;
            continue;
        }
        if matches!(unit, 0xd800..=0xdfff) {
            let replaced = replaced.get_or_insert_default();
            replaced.push_str(&text[copied..at]);
            replaced.push_str("\\ufffd");
            copied = at + 6;
        }
        at += 6;
    }
    let mut replaced = replaced?;
    replaced.push_str(&text[copied..]);
    Some(replaced)
}

/// The code unit of the `\u` escape, with its four hexadecimal digits, that `bytes` begin with.
fn escaped_unit(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, &b| Some(unit * 16 + char::from(b).to_digit(16)?))
}

/// Reads a UUID: 36 characters, 32 hexadecimal digits, in braces, or behind `urn:uuid:`; in any case.
pub(super) fn parse_uuid(text: &str) -> Option<Uuid> {
    const URN: &str = "urn:uuid:";
    let bare = match text.get(..URN.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(URN) => &text[URN.len()..],
        _ => text,
    };
    Uuid::try_parse(bare).ok().filter(|_| bare.len() == text.len() || bare.len() == 36)
}

/// A string, borrowed where nothing in it is escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    /// The text of an optional field.
    pub(in crate::http) fn of<'b>(field: &'b Option<Text<'_>>) -> Option<&'b str> {
        field.as_ref().map(|text| &*text.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// A UUID in any of the forms of [`parse_uuid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(pub(super) Uuid);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl Visitor<'_> for IdVisitor {
            type Value = Id;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a UUID")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Id, E> {
                parse_uuid(text).map(Id).ok_or_else(|| E::custom("not a UUID"))
            }
        }
        deserializer.deserialize_str(IdVisitor)
    }
}

/// A number of milliseconds, whole or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number(pub(super) f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Number)
    }
}

/// Declares a body: a struct of optional fields, each under the name it has in JSON.
macro_rules! body {
    ($(#[$doc:meta])* $vis:vis struct $body:ident<'a> { $($(#[$field_doc:meta])* $field:ident: $type:ty = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        $vis struct $body<'a> { $($(#[$field_doc])* $vis $field: Option<$type>,)+ }

        const _: () = {
            #[allow(non_camel_case_types)]
            enum Field { $($field,)+ Unknown }

            impl Field {
                fn named(name: &str) -> Field {
                    match name {
                        $($name => Field::$field,)+
                        $(name if name.eq_ignore_ascii_case($name) => Field::$field,)+
                        _ => Field::Unknown,
                    }
                }
            }

            impl<'de> serde::Deserialize<'de> for Field {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Field, D::Error> {
                    struct NameVisitor;
                    impl serde::de::Visitor<'_> for NameVisitor {
                        type Value = Field;
                        fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                            out.write_str("a field name")
                        }
                        fn visit_str<E>(self, name: &str) -> Result<Field, E> {
                            Ok(Field::named(name))
                        }
                    }
                    deserializer.deserialize_identifier(NameVisitor)
                }
            }

            struct BodyVisitor;

            impl<'de> serde::de::Visitor<'de> for BodyVisitor {
                type Value = $body<'de>;
                fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    out.write_str("an object")
                }
                fn visit_unit<E>(self) -> Result<$body<'de>, E> {
                    Ok($body::default())
                }
                fn visit_map<M: serde::de::MapAccess<'de>>(self, mut map: M) -> Result<$body<'de>, M::Error> {
                    let mut body = $body::default();
                    while let Some(field) = map.next_key()? {
                        match field {
                            $(Field::$field => body.$field = map.next_value()?,)+
                            Field::Unknown => drop(map.next_value::<serde::de::IgnoredAny>()?),
                        }
                    }
                    Ok(body)
                }
            }

            impl<'de: 'a, 'a> serde::Deserialize<'de> for $body<'a> {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    deserializer.deserialize_any(BodyVisitor)
                }
            }
        };
    };
}
pub(in crate::http) use body;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::value::RawValue;

    use super::*;

    body! {
        /// A body with a field of each type.
        struct Sample<'a> {
            name: Text<'a> = "n",
            width: i64 = "vp_w",
            unique: bool = "unique",
            session: Id = "session_id",
            properties: &'a RawValue = "p",
            age: Number = "age",
        }
    }

    #[test]
    fn names_match_in_any_case_and_the_last_counts() {
        let sample: Sample<'_> =
            first_value(r#"{"N":"a","x":[{"n":1}],"n":"b","VP_w":1,"Session_ID":"AAAAAAAAAAAA4AAA8AAAAAAAAAAAAAAA"}"#).unwrap();
        assert_eq!(Text::of(&sample.name), Some("b"));
        assert_eq!(sample.width, Some(1));
        assert_eq!(sample.session.unwrap().0.as_bytes()[0], 0xaa);
    }

    #[test]
    fn null_is_absent_and_what_follows_the_value_is_ignored() {
        let sample: Sample<'_> =
            first_value(r#"{"n":null,"vp_w":null,"unique":null,"session_id":null,"p":null,"age":null}}}garbage"#).unwrap();
        assert!(sample.name.is_none() && sample.properties.is_none() && sample.age.is_none() && sample.session.is_none());
        let sample: Sample<'_> = first_value(" null").unwrap();
        assert!(sample.name.is_none());
    }

    #[test]
    fn a_value_of_the_wrong_type_is_a_bad_body() {
        for body in [
            "",
            "{not json",
            "[]",
            "1",
            r#""n""#,
            r#"{"n":1}"#,
            r#"{"n":["a"]}"#,
            r#"{"vp_w":1.5}"#,
            r#"{"vp_w":"1"}"#,
            r#"{"vp_w":1e3}"#,
            r#"{"unique":"true"}"#,
            r#"{"session_id":""}"#,
            r#"{"session_id":"nope"}"#,
            r#"{"session_id":7}"#,
            r#"{"age":"5"}"#,
            r#"{"n":"a"#,
            r#"{"n":"a","p":{]}"#,
            "{\"n\":\"a\u{1}\"}",
            r#"{"n":"\ud83"}"#,
        ] {
            assert!(matches!(first_value::<Sample<'_>>(body), Err(BAD_BODY)), "{body}");
        }
    }

    #[test]
    fn nesting_of_any_depth_is_read_without_recursion() {
        for depth in [200, 1_000_000] {
            let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert!(first_value::<Sample<'_>>(&format!("{{\"x\":{deep}}}")).is_ok(), "{depth}");
            assert!(first_value::<Sample<'_>>(&format!("{{\"p\":{deep}}}")).is_ok(), "{depth}");
            assert!(first_value::<Sample<'_>>(&format!("{{\"n\":{deep}}}")).is_err(), "{depth}");
            assert!(first_value::<Sample<'_>>(&"[".repeat(depth)).is_err(), "{depth}");
            assert!(first_value::<Sample<'_>>(&format!("{{\"p\":{}", "{\"a\":".repeat(depth))).is_err(), "{depth}");
        }
    }

    #[test]
    fn half_a_character_is_replaced_and_loses_no_event() {
        for (body, name) in [
            (&br#"{"n":"a\ud83d"}"#[..], "a\u{fffd}"),
            (br#"{"n":"\ude00b"}"#, "\u{fffd}b"),
            (br#"{"n":"\ud83d\ud83d\ude00"}"#, "\u{fffd}\u{1f600}"),
            (br#"{"n":"\u0041\ude00"}"#, "A\u{fffd}"),
            (br#"{"n":"\uD83D\uDE00"}"#, "\u{1f600}"),
            (br#"{"n":"\\ud83d"}"#, "\\ud83d"),
            (br#"{"n":"\\\ud83d"}"#, "\\\u{fffd}"),
            (b"{\"n\":\"a\xffb\"}", "a\u{fffd}b"),
            (br#"{"n":"a\u0000b"}"#, "a\0b"),
        ] {
            let text = text(body);
            let sample: Sample<'_> = first_value(&text).unwrap();
            assert_eq!(Text::of(&sample.name), Some(name));
        }
        let text = text(br#"{"n":"x","p":{"a":"\ud83d","b":"\ud83d\ude00"}} \"#);
        let sample: Sample<'_> = first_value(&text).unwrap();
        assert_eq!(sample.properties.unwrap().get(), r#"{"a":"\ufffd","b":"\ud83d\ude00"}"#);
    }

    #[test]
    fn a_uuid_has_four_forms() {
        let id = Uuid::from_bytes([0xab; 16]);
        let hyphenated = "abababab-abab-abab-abab-abababababab";
        for text in [
            hyphenated.to_owned(),
            hyphenated.to_uppercase(),
            hyphenated.replace('-', ""),
            format!("{{{hyphenated}}}"),
            format!("urn:uuid:{hyphenated}"),
            format!("URN:UUID:{}", hyphenated.to_uppercase()),
        ] {
            assert_eq!(parse_uuid(&text), Some(id), "{text}");
        }
        for text in ["", "ab", &hyphenated[1..], &format!("{hyphenated} "), "urn:uuid:", "urn:uuid:urn:uuid:x"] {
            assert_eq!(parse_uuid(text), None, "{text}");
        }
    }
}
