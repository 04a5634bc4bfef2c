//! The HTTP side over real sockets, with a committer that keeps what it is given in memory.

#![allow(clippy::unwrap_used)]

mod api;
mod browser;
mod connections;
mod server;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use format::{Record, SiteId, UnixMicros};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::appender::double::Double;
use crate::catalog::{By, Journal};
use crate::question::Pool;
use crate::secret::TokenHash;
use crate::store::Files;

/// The owner's token.
const TOKEN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// The site `shop.example` of the contract's examples.
const SITE: SiteId = SiteId::new(*b"\x11\x11\x11\x11\x11\x11\x41\x11\x81\x11\x11\x11\x11\x11\x11\x11");

/// A journal that has room for everything and remembers nothing.
struct Nowhere;

impl Journal for Nowhere {
    fn append(&mut self, _: &[u8]) -> Result<(), format::Error> {
        Ok(())
    }

    fn tidy(&mut self) -> Result<(), format::Error> {
        Ok(())
    }
}

/// A daemon that serves on a port of its own until it is dropped.
struct Daemon {
    address: SocketAddr,
    double: Double,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Daemon {
    /// Without limits.
    async fn start() -> Daemon {
        Daemon::with(Config { ingest_rate: 0.0, api_rate: 0.0, ..Config::default() }).await
    }

    async fn with(config: Config) -> Daemon {
        Daemon::draining_for(Duration::from_secs(10), config).await
    }

    /// One that gives connections this long when it is stopped.
    async fn draining_for(grace: Duration, config: Config) -> Daemon {
        let by = By { token: None, at: UnixMicros::EPOCH };
        let health = Arc::<Health>::default();
        let catalog = Catalog::open([], Box::new(Nowhere), Arc::clone(&health)).unwrap();
        catalog.create_site(Some(SITE), "shop.example".to_owned(), Vec::new(), "UTC".to_owned(), 0, by).unwrap();
        catalog.set_owner(TokenHash::of(TOKEN), by).unwrap();
        let (appender, double) = Double::start();
        health.serve();
        let store = Arc::new(Store::new(Files::default(), Vec::new(), Vec::new(), Pool::start().unwrap()));
        let state = Arc::new(State::new(config, Arc::new(catalog), store, appender, health, [7; 16]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { drop(stopped.await) };
        let serving = tokio::spawn(serve(listener, Arc::clone(&state), stopped, grace));
        Daemon { address, double, state, stop: Some(stop), serving }
    }

    /// Sends a request and reads the answer.
    async fn send(&self, request: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        within(Reply::read(&mut stream)).await
    }

    /// A POST with these header lines, each ended by `\r\n`.
    async fn post(&self, path: &str, lines: &str, body: &str) -> Reply {
        self.send(&post(path, lines, body)).await
    }

    /// The records stored so far, as text that tests can look into.
    fn stored<T>(&self, look: impl Fn(&Record<'_>) -> T) -> Vec<T> {
        self.double.records().iter().map(|bytes| look(&Record::decode(bytes).unwrap())).collect()
    }
}

fn post(path: &str, lines: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Fails instead of hanging.
async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("an answer in time")
}

/// An answer as it came over the wire.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    async fn read(stream: &mut TcpStream) -> Reply {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the head is whole");
        };
        let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap().to_lowercase();
        let mut reply = Reply { status: head[9..12].parse().unwrap(), head, body: String::new() };
        let len: usize = reply.header("content-length").map_or(0, |len| len.parse().unwrap());
        while bytes.len() < head_end + len {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the body is whole");
        }
        assert_eq!(bytes.len(), head_end + len, "nothing follows the answer");
        reply.body = String::from_utf8(bytes[head_end..].to_vec()).unwrap();
        reply
    }

    /// A header's value, in lower case.
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Status and body, of a text answer or an empty one.
    fn parts(&self) -> (u16, &str) {
        if self.body.is_empty() {
            assert_eq!(self.header("content-type"), None);
        } else if self.status >= 400 {
            assert_eq!(self.header("content-type"), Some("text/plain; charset=utf-8"));
            assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
            assert!(self.body.ends_with('\n'));
        }
        (self.status, self.body.trim_end_matches('\n'))
    }
}
