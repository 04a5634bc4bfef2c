//! Why a command failed, and what to do next.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::{app, config, identity};

/// Why a command failed. Messages say what to do next, and never hold a token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The settings are not right.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The daemon cannot start.
    #[error(transparent)]
    Serve(#[from] app::Error),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] format::Error),
    /// The owner's token cannot be made anew.
    #[error(transparent)]
    Owner(#[from] identity::Error),
    /// The answer could not be printed.
    #[error("cannot print the answer")]
    Print(#[from] io::Error),
    /// A flag's value makes no sense.
    #[error("bad value `{value}` for --{flag}: it must be {allowed}")]
    BadFlag { flag: &'static str, value: String, allowed: &'static str },
    /// No connection, or it broke.
    #[error("no daemon answers at {url}: is it running? Start it with `hitkeepd serve`, or name another one with --url")]
    NoAnswer { url: String, source: Box<ureq::Error> },
    /// No connection, though the directory that was named is in use.
    #[error("a daemon uses {}, but none answers at {url}: name where it listens with --url", path.display())]
    ListensElsewhere { path: PathBuf, url: String, source: Box<ureq::Error> },
    /// The directory that was named is not there, and no daemon answers either.
    #[error("there is no directory {}: is --data-path right?", path.display())]
    NoDirectory { path: PathBuf },
    /// The directory that was named holds no data, and no daemon answers either.
    #[error("{} is no data directory of hitkeepd: is --data-path right?", path.display())]
    NoDataDirectory { path: PathBuf },
    /// Something answers that is no hitkeepd.
    #[error("what answers at {url} is not hitkeepd ({what}): is --url right?")]
    NotOurs { url: String, what: String },
    /// A file that should hold a token cannot be read.
    #[error("cannot read the token file {}", path.display())]
    TokenFile { path: PathBuf, source: io::Error },
    /// What should be a token has characters no token has.
    #[error("{0} does not hold a token: a token is one line of 64 hexadecimal digits")]
    NoToken(TokenOrigin),
    /// The daemon does not know the token, or there was none.
    #[error("{0}")]
    Unauthorized(Unauthorized),
    /// The token may not do this.
    #[error("the token from {token} may not do this ({message}): give another with --token-file or HITKEEP_TOKEN")]
    Denied { token: TokenOrigin, message: String },
    /// The daemon has no room for events.
    #[error("the daemon's disk is full: make room there, then run the same command again (lines with an event_id are not stored twice)")]
    DiskFull,
    /// Any other refusal.
    #[error("the daemon refuses: {message} (status {status})")]
    Refused { status: u16, message: String },
    /// No site fits.
    #[error("no site is called `{named}`: {}", known_sites(known))]
    UnknownSite { named: String, known: Vec<String> },
    /// No site was named and there is not exactly one.
    #[error("name the site with --site: {}", known_sites(known))]
    WhichSite { known: Vec<String> },
    /// No goal fits.
    #[error("{site} has no goal called `{named}`: {}", known_goals(known))]
    UnknownGoal { site: String, named: String, known: Vec<String> },
    /// Several goals fit.
    #[error("{} goals of {site} are called `{named}`: name one by its id, {}", ids.len(), ids.join(" or "))]
    AmbiguousGoal { site: String, named: String, ids: Vec<String> },
    /// A file of events cannot be read.
    #[error("cannot read {name}")]
    Input { name: String, source: io::Error },
    /// Files cannot be told apart from the standard input twice.
    #[error("- (the standard input) can be read only once")]
    StdinTwice,
    /// The system gives no signal handler.
    #[error("cannot watch for Ctrl-C")]
    Signals { source: io::Error },
    /// The user stopped it.
    #[error("stopped before the end: run the same import again to go on (lines with an event_id are not stored twice)")]
    Interrupted,
    /// `site set` without a change.
    #[error("name what to change: --domain, --time-zone, --hostname or --no-hostnames")]
    NothingToChange,
    /// The user said no.
    #[error("nothing was removed")]
    NotConfirmed,
}

/// Where a token came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenOrigin {
    Variable(&'static str),
    File(PathBuf),
}

impl fmt::Display for TokenOrigin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenOrigin::Variable(name) => write!(out, "{name}"),
            TokenOrigin::File(path) => write!(out, "{}", path.display()),
        }
    }
}

/// What a request without a good token went with.
#[derive(Debug)]
pub(crate) enum Unauthorized {
    /// This token is not (or no longer) known.
    Unknown(TokenOrigin),
    /// There was none: the default file could not be read.
    Missing { path: PathBuf, why: String },
}

impl fmt::Display for Unauthorized {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unauthorized::Unknown(token) => write!(out, "the daemon does not know the token from {token}")?,
            Unauthorized::Missing { path, why } => write!(out, "the daemon wants a token, and {} cannot be read ({why})", path.display())?,
        }
        write!(out, ": give one with --token-file FILE or HITKEEP_TOKEN, or the daemon's data directory with --data-path")
    }
}

impl Error {
    /// Whether the reader of the answer went away, as `| head` does: no failure of ours.
    pub(super) fn is_closed_pipe(&self) -> bool {
        matches!(self, Error::Print(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Error::Config(_) | Error::BadFlag { .. } | Error::WhichSite { .. } | Error::StdinTwice | Error::NothingToChange => {
                ExitCode::from(2)
            }
            Error::Serve(error) => error.exit_code(),
            _ => ExitCode::FAILURE,
        }
    }
}

fn known_sites(known: &[String]) -> String {
    match known {
        [] => "there is none yet, add one with `hitkeepd site add DOMAIN`".to_owned(),
        known => format!("there is {}", listed(known)),
    }
}

fn known_goals(known: &[String]) -> String {
    match known {
        [] => "it has none yet, add one with `hitkeepd goal add NAME`".to_owned(),
        known => format!("it has {}", listed(known)),
    }
}

/// The first ten names.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0..=10 => shown,
        more => format!("{shown} and {} more", more - 10),
    }
}
