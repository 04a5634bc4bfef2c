//! Does the real binary keep its promises? This is the harness that the cases, the bench and the campaigns share.
//!
//! A [`Daemon`] is the built binary on a directory of its own, at a port the system chose. It is killed when it is
//! dropped, and everything it printed is searched for secrets ([`secrets`]). Nothing here knows more about the
//! daemon than its command line, its HTTP endpoints and its exit status.
//!
//! In reading order: [`binary`] builds and finds what is tested, [`daemon`] starts and ends it, [`http`] talks to
//! it byte by byte, [`api`] names the requests that most cases need, [`load`] reports events from many clients at
//! once and remembers what was acknowledged, [`processor`] tells who works.

#![forbid(unsafe_code)]

pub mod api;
pub mod binary;
pub mod command;
pub mod daemon;
pub mod http;
pub mod load;
pub mod processor;
pub mod secrets;

pub use api::{Event, SITE_DOMAIN, Sealed};
pub use command::{Ran, run_cli, run_cli_with};
pub use daemon::{Daemon, Options};
pub use http::{Answer, Connection};
pub use load::Book;
