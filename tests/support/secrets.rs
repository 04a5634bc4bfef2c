//! What must never be printed: tokens and the addresses of visitors.
//!
//! Every case uses visitor addresses from the ranges set aside for documentation, so any of them in a daemon's
//! output came from a request. Owner tokens are known to the harness, which made or read them.

/// How every visitor address of the cases begins (RFC 5737 and RFC 3849).
const VISITOR_PREFIXES: [&str; 3] = ["198.51.100.", "203.0.113.", "2001:db8:"];

/// A token for cases that hand the owner token over from outside.
pub const FIXTURE_TOKEN: &str = "70ce1170ce1170ce1170ce1170ce1170ce1170ce1170ce1170ce1170ce1170ce";

/// Checks all that a process printed.
///
/// # Panics
///
/// When `output` holds one of `tokens`, the fixture token or a visitor address: the message says which kind and
/// shows the line with the secret cut out.
pub fn assert_absent(output: &str, tokens: &[String]) {
    let tokens = tokens.iter().map(String::as_str).chain([FIXTURE_TOKEN]);
    let secrets = tokens.map(|token| ("a token", token)).chain(VISITOR_PREFIXES.map(|prefix| ("a visitor's address", prefix)));
    for (kind, secret) in secrets {
        if let Some(line) = output.lines().find(|line| line.contains(secret)) {
            panic!("{kind} was printed: {}", line.replace(secret, "[cut]"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FIXTURE_TOKEN, assert_absent};

    #[test]
    fn plain_output_passes() {
        assert_absent("listening on http://127.0.0.1:8080\n", &["abc".repeat(20)]);
    }

    #[test]
    #[should_panic(expected = "a token was printed: token=[cut]")]
    fn a_token_is_found() {
        assert_absent(&format!("ready\ntoken={FIXTURE_TOKEN}\n"), &[]);
    }

    #[test]
    #[should_panic(expected = "a token was printed")]
    fn a_token_of_the_daemon_is_found() {
        assert_absent("x abcdef y", &["abcdef".to_owned()]);
    }

    #[test]
    #[should_panic(expected = "a visitor's address was printed")]
    fn a_visitors_address_is_found() {
        assert_absent("from 198.51.100.7", &[]);
    }
}
