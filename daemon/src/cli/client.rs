//! The connection to a running daemon.
//!
//! Invariants:
//!
//! * A token is sent to the URL the user named or configured, never after a redirect, and never printed.
//! * Every request ends: connecting and answering have deadlines, answers a size limit.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use ureq::AsSendBody;
use ureq::http::{Method, Request, StatusCode, header};
use url::{Host, Url};

use super::args::ClientFlags;
use super::error::{Error, TokenOrigin, Unauthorized};
use crate::config::{Config, Environment, Flags, Key};
use crate::secret::Secret;

/// The longest answer that is read.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// The longest token file that is read; a token has 64 bytes.
const MAX_TOKEN_FILE_BYTES: u64 = 4096;

/// How much of a refusal is shown.
const MAX_SHOWN_CHARS: usize = 300;

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// A daemon to talk to.
pub(crate) struct Client {
    agent: ureq::Agent,
    base: Url,
    token: Token,
}

/// What proves who asks.
enum Token {
    Given {
        secret: Secret,
        origin: TokenOrigin,
    },
    /// The file where it is by default could not be read.
    Missing {
        path: PathBuf,
        why: String,
    },
}

/// What the daemon answered, whatever the status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Seconds to wait before another try, if the daemon named them.
    pub(crate) retry_after: Option<Duration>,
    /// What the answer lacks, as the daemon names it.
    incomplete: Option<String>,
    body: Vec<u8>,
}

impl Client {
    /// Finds the daemon and the token. Sends nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the settings are needed and not right; [`Error::BadFlag`], [`Error::TokenFile`], [`Error::NoToken`].
    pub(crate) fn new(flags: &ClientFlags, environment: &Environment) -> Result<Client, Error> {
        let settings = Settings { flags, environment };
        let base = match (&flags.url, environment.text("HITKEEP_URL")?) {
            (Some(url), _) => named_url(url)?,
            (None, Some(url)) => named_url(url)?,
            (None, None) => settings.load()?.public_url,
        };
        let token = match (&flags.token_file, environment.text("HITKEEP_TOKEN")?, environment.text("HITKEEP_TOKEN_FILE")?) {
            (Some(path), _, _) => of_file(path)?,
            (None, Some(text), _) => given(text, TokenOrigin::Variable("HITKEEP_TOKEN"))?,
            (None, None, Some(path)) => of_file(Path::new(path))?,
            (None, None, None) => of_settings(settings.load()?)?,
        };
        Ok(Client { agent: agent(&base), base, token })
    }

    /// Asks for `path`, a list of segments below the daemon's URL.
    ///
    /// # Errors
    ///
    /// [`Error::NoAnswer`], [`Error::NotOurs`], or what a refusal means.
    pub(crate) fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Error> {
        let answer = self.exchange(Method::GET, &self.url(path, query), ())?;
        if let Some(lacking) = &answer.incomplete {
            // A closed stderr leaves nobody to tell.
            let _ = writeln!(io::stderr(), "hitkeepd: the answer lacks what cannot be read: {lacking}");
        }
        self.json(&answer)
    }

    /// Sends `body` to `path`; an empty answer is [`Value::Null`].
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub(crate) fn send(&self, method: Method, path: &[&str], body: &Value) -> Result<Value, Error> {
        self.json(&self.exchange(method, &self.url(path, &[]), body.to_string().as_str())?)
    }

    /// Sends `body` to `path` with a query; an empty answer is [`Value::Null`].
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub(crate) fn put(&self, path: &[&str], query: &[(&str, &str)], body: &Value) -> Result<Value, Error> {
        self.json(&self.exchange(Method::PUT, &self.url(path, query), body.to_string().as_str())?)
    }

    /// Deletes `path`.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub(crate) fn delete(&self, path: &[&str]) -> Result<(), Error> {
        let answer = self.exchange(Method::DELETE, &self.url(path, &[]), ())?;
        if answer.status.is_success() { Ok(()) } else { Err(self.refusal(&answer)) }
    }

    /// Sends one body of an import, and gives back whatever was answered.
    ///
    /// # Errors
    ///
    /// [`Error::NoAnswer`] alone; whether the lines were stored is then unknown.
    pub(crate) fn post_lines(&self, site: Option<&str>, lines: &[u8]) -> Result<Answer, Error> {
        let query: Vec<_> = site.map(|site| ("site", site)).into_iter().collect();
        self.exchange(Method::POST, &self.url(&["api", "ingest", "server", "events"], &query), lines)
    }

    /// The JSON of a success.
    ///
    /// # Errors
    ///
    /// What the refusal means; [`Error::NotOurs`] for a success that is not JSON.
    pub(crate) fn json(&self, answer: &Answer) -> Result<Value, Error> {
        if !answer.status.is_success() {
            return Err(self.refusal(answer));
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).map_err(|_| self.not_ours("an answer that is not JSON".to_owned()))
    }

    fn refusal(&self, answer: &Answer) -> Error {
        let message = shown(&answer.body);
        match (answer.status, &self.token) {
            (StatusCode::UNAUTHORIZED, Token::Given { origin, .. }) => Error::Unauthorized(Unauthorized::Unknown(origin.clone())),
            (StatusCode::UNAUTHORIZED, Token::Missing { path, why }) => {
                Error::Unauthorized(Unauthorized::Missing { path: path.clone(), why: why.clone() })
            }
            (StatusCode::FORBIDDEN, Token::Given { origin, .. }) => Error::Denied { token: origin.clone(), message },
            (StatusCode::INSUFFICIENT_STORAGE, _) => Error::DiskFull,
            (status, _) if status.is_redirection() => self.not_ours(format!("a redirect, status {}", status.as_u16())),
            (status, _) => Error::Refused { status: status.as_u16(), message },
        }
    }

    pub(super) fn not_ours(&self, what: String) -> Error {
        Error::NotOurs { url: self.shown_url(), what }
    }

    fn exchange(&self, method: Method, url: &Url, body: impl AsSendBody + HasBody) -> Result<Answer, Error> {
        let no_answer = |source| Error::NoAnswer { url: self.shown_url(), source: Box::new(source) };
        let mut request = Request::builder().method(method).uri(url.as_str());
        if let Token::Given { secret, .. } = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", secret.expose()));
        }
        if let Some(kind) = body.content_type() {
            // Refusals leave before the body is read: without this the connection may break before they are seen.
            request = request.header(header::CONTENT_TYPE, kind).header(header::EXPECT, "100-continue");
        }
        let request = request.body(body).map_err(|error| no_answer(error.into()))?;
        let mut response = self.agent.run(request).map_err(no_answer)?;
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let incomplete = response.headers().get("hitkeep-incomplete").map(|value| shown(value.as_bytes()));
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec().map_err(no_answer)?;
        Ok(Answer { status: response.status(), retry_after: retry_after.map(Duration::from_secs), incomplete, body })
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("an http URL has segments").pop_if_empty().extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn shown_url(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }
}

/// What kind of body a request carries.
trait HasBody {
    fn content_type(&self) -> Option<&'static str>;
}

impl HasBody for () {
    fn content_type(&self) -> Option<&'static str> {
        None
    }
}

impl HasBody for &str {
    fn content_type(&self) -> Option<&'static str> {
        Some("application/json")
    }
}

impl HasBody for &[u8] {
    fn content_type(&self) -> Option<&'static str> {
        Some("application/x-ndjson")
    }
}

/// The daemon's settings, as far as they are needed to find it.
struct Settings<'a> {
    flags: &'a ClientFlags,
    environment: &'a Environment,
}

impl Settings<'_> {
    fn load(&self) -> Result<Config, Error> {
        let data_path = self.flags.data_path.iter().map(|path| (Key::DataPath, path.clone()));
        let flags = Flags { file: self.flags.config.clone(), values: data_path.collect() };
        Ok(Config::load(&flags, self.environment)?)
    }
}

fn agent(base: &Url) -> ureq::Agent {
    let local = match base.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(CONNECT_DEADLINE))
        .timeout_send_body(Some(ANSWER_DEADLINE))
        .timeout_recv_response(Some(ANSWER_DEADLINE))
        .timeout_recv_body(Some(ANSWER_DEADLINE))
        .user_agent(concat!("hitkeepd/", env!("CARGO_PKG_VERSION")));
    // A proxy from the environment is for the way out.
    if local { config.proxy(None).build().new_agent() } else { config.build().new_agent() }
}

fn named_url(text: &str) -> Result<Url, Error> {
    let usable =
        |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none();
    let without_secret = |url: &Url| url.username().is_empty() && url.password().is_none();
    match Url::parse(text) {
        Ok(url) if usable(&url) && without_secret(&url) => Ok(url),
        parsed => {
            let value = if parsed.is_ok_and(|url| !without_secret(&url)) { "(with a password)".to_owned() } else { shown(text.as_bytes()) };
            Err(Error::BadFlag { flag: "url", value, allowed: "an http or https URL such as http://127.0.0.1:8080" })
        }
    }
}

fn of_file(path: &Path) -> Result<Token, Error> {
    let text = read_bounded(path).map_err(|source| Error::TokenFile { path: path.to_owned(), source })?;
    given(&text, TokenOrigin::File(path.to_owned()))
}

/// The token a daemon with these settings wrote for its owner.
fn of_settings(config: Config) -> Result<Token, Error> {
    let path = config.admin_token_file.unwrap_or_else(|| config.data_path.join("admin.token"));
    match read_bounded(&path) {
        Ok(text) => given(&text, TokenOrigin::File(path)),
        Err(error) => Ok(Token::Missing { path, why: error.to_string() }),
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = fs::File::open(path)?;
    io::Read::read_to_string(&mut io::Read::take(file, MAX_TOKEN_FILE_BYTES), &mut text)?;
    Ok(text)
}

fn given(text: &str, origin: TokenOrigin) -> Result<Token, Error> {
    let text = text.trim_ascii();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::NoToken(origin));
    }
    Ok(Token::Given { secret: Secret::new(text.to_owned()), origin })
}

/// Text from elsewhere, fit for a terminal: short, on one line, without control characters.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim().chars().take(MAX_SHOWN_CHARS).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests;
