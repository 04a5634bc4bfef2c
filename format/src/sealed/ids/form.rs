//! The forms that an event id is kept in: the shortest one that gives back the same text.

/// Letters of an id of the tracker hk.js: 80 random bits.
const TRACKER_CHARS: usize = 14;

/// Letters of the base64 alphabet for URLs: RFC 4648, section 5.
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Where the hyphens of a UUID stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// An event id. Two ids are the same text if and only if they are the same form with the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form<'a> {
    /// A UUID in its usual form: lower case, 8-4-4-4-12.
    Uuid([u8; 16]),
    /// An id as hk.js makes them: 14 letters of base64url, whose last four bits are zero.
    Tracker([u8; 10]),
    /// Any other text.
    Text(&'a str),
}

impl<'a> Form<'a> {
    /// The form of an id.
    pub(super) fn of(id: &'a str) -> Form<'a> {
        if let Some(bytes) = uuid_bytes(id) {
            return Form::Uuid(bytes);
        }
        tracker_bytes(id).map_or(Form::Text(id), Form::Tracker)
    }

    /// Appends the text.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Form::Uuid(bytes) => write_uuid(bytes, out),
            Form::Tracker(bytes) => write_tracker(bytes, out),
            Form::Text(text) => out.push_str(text),
        }
    }
}

fn uuid_bytes(id: &str) -> Option<[u8; 16]> {
    let text: &[u8; 36] = id.as_bytes().try_into().ok()?;
    let mut bytes = [0; 16];
    let mut digits = 0;
    for (at, char) in text.iter().enumerate() {
        let digit = match (HYPHENS.contains(&at), char) {
            (true, b'-') => continue,
            (false, b'0'..=b'9') => char - b'0',
            (false, b'a'..=b'f') => char - b'a' + 10,
            _ => return None,
        };
        bytes[digits / 2] = bytes[digits / 2] << 4 | digit;
        digits += 1;
    }
    Some(bytes)
}

fn write_uuid(bytes: &[u8; 16], out: &mut String) {
    for (at, byte) in bytes.iter().enumerate() {
        // Behind 4, 6, 8 and 10 bytes.
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from_digit(digit.into(), 16).expect("four bits are a digit"));
        }
    }
}

fn tracker_bytes(id: &str) -> Option<[u8; 10]> {
    let text: &[u8; TRACKER_CHARS] = id.as_bytes().try_into().ok()?;
    let mut bits = 0u128;
    for char in text {
        let value = match char {
            b'A'..=b'Z' => char - b'A',
            b'a'..=b'z' => char - b'a' + 26,
            b'0'..=b'9' => char - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u128::from(value);
    }
    // 84 bits: with others than zeros at the end the text would not come back.
    if bits & 0xf != 0 {
        return None;
    }
    let bytes = (bits >> 4).to_be_bytes();
    Some(*bytes.last_chunk().expect("a u128 has more than ten bytes"))
}

fn write_tracker(bytes: &[u8; 10], out: &mut String) {
    let mut wide = [0; 16];
    wide[6..].copy_from_slice(bytes);
    let bits = u128::from_be_bytes(wide) << 4;
    for place in (0..TRACKER_CHARS).rev() {
        out.push(char::from(BASE64URL[(bits >> (6 * place)) as usize % 64]));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(form: Form<'_>) -> String {
        let mut out = String::new();
        form.write(&mut out);
        out
    }

    #[test]
    fn golden_forms() {
        let uuid = [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        let tracker = [0, 16, 131, 16, 81, 135, 32, 146, 139, 48];
        for (id, form) in [
            ("00112233-4455-6677-8899-aabbccddeeff", Form::Uuid(uuid)),
            ("ABCDEFGHIJKLMA", Form::Tracker([0, 16, 131, 16, 81, 135, 32, 146, 139, 48])),
            ("-_-_-_-_-_-_-w", Form::Tracker([251, 255, 191, 251, 255, 191, 251, 255, 191, 251])),
        ] {
            assert_eq!((Form::of(id), text(form)), (form, id.to_owned()));
        }
        assert_eq!(text(Form::Tracker(tracker)), "ABCDEFGHIJKLMA");
    }

    #[test]
    fn what_would_not_come_back_is_text() {
        for id in [
            "00112233-4455-6677-8899-AABBCCDDEEFF",
            "00112233445566778899aabbccddeeff",
            "00112233--455-6677-8899-aabbccddeeff",
            "0011223-34455-6677-8899-aabbccddeeff",
            "00112233-4455-6677-8899-aabbccddeefg",
            "ABCDEFGHIJKLMB",
            "ABCDEFGHIJKLM=",
            "ABCDEFGHIJKL+A",
            "ABCDEFGHIJKLA",
            "ABCDEFGHIJKLMNA",
            "ÄBCDEFGHIJKLA",
            "",
        ] {
            assert_eq!(Form::of(id), Form::Text(id));
        }
    }

    proptest! {
        #[test]
        fn every_id_comes_back(id in prop_oneof!["[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[A-Za-z0-9_-]{14}", "[A-Za-z0-9_-]{13}[AQgw]", ".*"]) {
            prop_assert_eq!(text(Form::of(&id)), id);
        }
    }
}
