//! hitkeepd: an event store daemon that keeps every event it acknowledges, and its command line.
#![forbid(unsafe_code)]

use std::process::ExitCode;

mod app;
mod appender;
mod bell;
mod catalog;
mod cli;
mod client_ip;
mod compactor;
mod concurrency;
mod config;
mod health;
mod http;
mod identity;
mod instant;
mod limiter;
mod priority;
mod question;
mod recovery;
mod retention;
mod rotation;
mod sealer;
mod secret;
mod signals;
mod space;
mod store;
mod telemetry;

#[cfg(feature = "fuzz")]
pub use http::parse_event;

/// Parses the command line of this process and does what it says.
pub fn run() -> ExitCode {
    // The allocator asks for huge pages, and an idle daemon that needs six megabytes would hold twenty-five. A system that refuses costs
    // memory and nothing else.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    cli::run()
}
