//! Text of JSON numbers and strings.

use std::borrow::Cow;

/// The contract's text of a JSON number: the shortest decimal that names the same IEEE double, with an exponent below 1e-6 and
/// from 1e21 on, as JavaScript and Go write it. A number beyond the doubles stays as it was written.
pub(crate) fn number_text(json: &str) -> Cow<'_, str> {
    // Up to fifteen digits without sign or point are that text already; so most numbers cost nothing.
    let digits = json.as_bytes();
    if digits.len() <= 15 && digits.iter().all(u8::is_ascii_digit) {
        return Cow::Borrowed(json);
    }
    let number = match json.parse::<f64>() {
        Ok(number) if number.is_finite() => number,
        _ => return Cow::Borrowed(json),
    };
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        return Cow::Owned(if size < 1.0 { text } else { text.replace('e', "e+") });
    }
    Cow::Owned(number.to_string())
}

/// What a JSON string says. Half a surrogate pair, which is no character, is read as U+FFFD, as the contract's decoder reads it.
pub(crate) fn string_text(json: &str) -> Cow<'_, str> {
    let inner = json.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(json);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        text.push_str(plain);
        rest = escaped;
        let Some(letter) = rest.chars().next() else { break };
        rest = &rest[letter.len_utf8()..];
        match letter {
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'u' => text.push(escaped_char(&mut rest)),
            other => text.push(other),
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The character whose `\u` has just been read, and with it the second half of a pair.
fn escaped_char(rest: &mut &str) -> char {
    let unit = |text: &str| text.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
    let Some(first) = unit(rest) else { return char::REPLACEMENT_CHARACTER };
    *rest = &rest[4..];
    let second = rest.strip_prefix("\\u").and_then(unit);
    let units = [Some(first), second];
    match char::decode_utf16(units.into_iter().flatten()).next() {
        Some(Ok(char)) => {
            if char.len_utf16() == 2 {
                *rest = &rest[6..];
            }
            char
        }
        _ => char::REPLACEMENT_CHARACTER,
    }
}

/// Appends `text` as a JSON string, escaping only what has to be.
pub(crate) fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            plain => out.push(plain),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_written_as_doubles() {
        let cases = [
            ("49.90", "49.9"),
            ("5", "5"),
            ("5.0", "5"),
            ("-7", "-7"),
            ("-0", "-0"),
            ("0.0", "0"),
            ("1e2", "100"),
            ("1E+2", "100"),
            ("9007199254740992", "9007199254740992"),
            ("9007199254740993", "9007199254740992"),
            ("123456789012345678901234567890", "1.2345678901234568e+29"),
            ("100000000000000000000", "100000000000000000000"),
            ("999999999999999999999", "1e+21"),
            ("1e21", "1e+21"),
            ("-1.5e300", "-1.5e+300"),
            ("0.000001", "0.000001"),
            ("0.00000099", "9.9e-7"),
            ("-1e-7", "-1e-7"),
            ("5e-324", "5e-324"),
            ("1e-400", "0"),
            ("1e400", "1e400"),
        ];
        for (json, text) in cases {
            assert_eq!(number_text(json), text, "{json}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_a_replacement_character() {
        let cases = [
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ud83dx""#, "\u{fffd}x"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
        ];
        for (json, text) in cases {
            assert_eq!(string_text(json), text, "{json}");
        }
    }

    proptest! {
        #[test]
        fn strings_read_back_as_they_were_written(text in "\\PC*|[\\x00-\\x7f]*") {
            let mut json = String::new();
            write_json_string(&text, &mut json);
            prop_assert_eq!(string_text(&json), text.as_str());
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn strings_are_read_as_the_parser_reads_them(text in "(\\\\u[0-9a-f]{4}|\\\\[bfnrt/\"\\\\]|[a-zäß😀 ]){0,12}") {
            let json = format!("\"{text}\"");
            if let Ok(expected) = serde_json::from_str::<String>(&json) {
                prop_assert_eq!(string_text(&json), expected.as_str());
            }
        }

        #[test]
        fn the_text_of_a_number_is_the_same_number(number in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL) {
            let text = number_text(&serde_json::to_string(&number).unwrap()).into_owned();
            prop_assert_eq!(text.parse::<f64>().unwrap(), number);
            prop_assert_eq!(number_text(&text), text.as_str());
        }
    }
}
