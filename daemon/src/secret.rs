//! Secrets that no log line can show.

use sha2::{Digest, Sha256};

/// How many characters a token has: 32 random bytes in lower-case hexadecimal.
pub(crate) const TOKEN_LEN_BYTES: usize = 64;

/// A token as its bearer knows it. It has neither `Debug` nor `Display`: what cannot be formatted cannot be logged.
pub(crate) struct Secret(String);

impl Secret {
    /// The secret with this text.
    pub(crate) fn new(text: String) -> Secret {
        Secret(text)
    }

    /// A new token from the system's random source.
    ///
    /// # Errors
    ///
    /// What the system answers when it has no random bytes to give.
    pub(crate) fn random() -> Result<Secret, getrandom::Error> {
        let mut bytes = [0; TOKEN_LEN_BYTES / 2];
        getrandom::fill(&mut bytes)?;
        Ok(Secret(hex(&bytes)))
    }

    /// Reads a token: 64 lower-case hexadecimal digits, white space around them ignored.
    pub(crate) fn parse_token(text: &str) -> Option<Secret> {
        let text = text.trim_ascii();
        let well_formed = text.len() == TOKEN_LEN_BYTES && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        well_formed.then(|| Secret(text.to_owned()))
    }

    /// The text, for the one place that sends or stores it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept instead of the secret.
    pub(crate) fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

/// SHA-256 of a token. A fast hash is right here: a token has 256 random bits, so there is nothing to guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of what a client presented.
    pub(crate) fn of(presented: &str) -> TokenHash {
        TokenHash(Sha256::digest(presented.as_bytes()).into())
    }

    /// The 32 bytes.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 hexadecimal digits, as the catalog stores it.
    pub(crate) fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Reads what [`TokenHash::to_hex`] wrote.
    pub(crate) fn from_hex(text: &str) -> Option<TokenHash> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(TokenHash(bytes))
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_hash_is_the_sha_256_of_the_text() {
        // FIPS 180-4 example: "abc".
        assert_eq!(TokenHash::of("abc").to_hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_hash_comes_back_from_its_text() {
        let hash = TokenHash::of("x");
        assert!(TokenHash::from_hex(&hash.to_hex()) == Some(hash));
        for bad in ["", "00", &"g".repeat(64), &"+1".repeat(32)] {
            assert!(TokenHash::from_hex(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_64_lower_case_digits_are_a_token() {
        let token = Secret::random().unwrap();
        assert!(Secret::parse_token(&format!("{}\n", token.expose())).unwrap().hash() == token.hash());
        for bad in ["", "abc", &"A".repeat(64), &"a".repeat(63), &"a".repeat(65), &format!("{} {}", "a".repeat(32), "a".repeat(31))] {
            assert!(Secret::parse_token(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn two_tokens_differ() {
        assert_ne!(Secret::random().unwrap().expose(), Secret::random().unwrap().expose());
    }
}
