//! Where log lines go: to stderr, because stdout carries the one line that says where the daemon listens.
//!
//! Nothing that identifies a visitor and no token is ever a field of a log line; secrets are of a type that cannot be formatted.

use std::io::{IsTerminal, stderr};

use tracing::level_filters::LevelFilter;

/// Starts logging. Text for people on a terminal, else one JSON object a line.
///
/// JSON escapes control characters, so that a hostile name cannot forge a line; on a terminal the formatter escapes them itself.
pub(crate) fn start(level: LevelFilter) {
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(stderr);
    // Only a second start in one process can fail, and then the first stays in force.
    let _ = if stderr().is_terminal() {
        subscriber.with_target(false).compact().try_init()
    } else {
        subscriber.json().flatten_event(true).try_init()
    };
}
