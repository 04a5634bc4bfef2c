//! The forms that an event id is kept in: the shortest one that gives back the same text.

/// Letters of an id of the tracker hk.js: 80 random bits.
const TRACKER_CHARS: usize = 14;

/// Letters of the base64 alphabet for URLs: RFC 4648, section 5.
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Characters of a UUID in its usual form.
const UUID_CHARS: usize = 36;

/// The digits of a UUID.
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Where the hyphens of a UUID stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// Where the two digits of each byte stand.
const PAIRS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

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

/// The value of a byte as a digit of some base; [`NO_DIGIT`] if it is none.
type Digits = [u8; 256];

const NO_DIGIT: u8 = 0xff;

const fn digits(alphabet: &[u8]) -> Digits {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < alphabet.len() {
        values[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    values
}

fn uuid_bytes(id: &str) -> Option<[u8; 16]> {
    static VALUES: Digits = digits(HEX);
    let text: &[u8; UUID_CHARS] = id.as_bytes().try_into().ok()?;
    if HYPHENS.iter().any(|at| text[*at] != b'-') {
        return None;
    }
    let mut all = 0;
    let bytes = PAIRS.map(|at| {
        let (high, low) = (VALUES[usize::from(text[at])], VALUES[usize::from(text[at + 1])]);
        all |= high | low;
        high << 4 | low & 15
    });
    (all < 16).then_some(bytes)
}

fn write_uuid(bytes: &[u8; 16], out: &mut String) {
    let mut text = [b'-'; UUID_CHARS];
    for (at, byte) in PAIRS.into_iter().zip(bytes) {
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
    }
    out.push_str(str::from_utf8(&text).expect("digits and hyphens are ASCII"));
}

fn tracker_bytes(id: &str) -> Option<[u8; 10]> {
    static VALUES: Digits = digits(BASE64URL);
    let text: &[u8; TRACKER_CHARS] = id.as_bytes().try_into().ok()?;
    let (mut bits, mut all) = (0u128, 0);
    for char in text {
        let value = VALUES[usize::from(*char)];
        all |= value;
        bits = bits << 6 | u128::from(value & 63);
    }
    // 84 bits: with others than zeros at the end the text would not come back.
    if all == NO_DIGIT || bits & 0xf != 0 {
        return None;
    }
    let bytes = (bits >> 4).to_be_bytes();
    Some(*bytes.last_chunk().expect("a u128 has more than ten bytes"))
}

fn write_tracker(bytes: &[u8; 10], out: &mut String) {
    let mut wide = [0; 16];
    wide[6..].copy_from_slice(bytes);
    let bits = u128::from_be_bytes(wide) << 4;
    let text: [u8; TRACKER_CHARS] = std::array::from_fn(|place| {
        let shift = 6 * (TRACKER_CHARS - 1 - place);
        BASE64URL[(bits >> shift) as usize % 64]
    });
    out.push_str(str::from_utf8(&text).expect("the alphabet is ASCII"));
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
