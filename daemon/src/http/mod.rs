//! The HTTP side: connections in, answers out.
//!
//! hyper speaks HTTP/1.1; there is no HTTP/2. What is here decides nothing about events: it bounds what a client may cost, finds out
//! who asks, turns a request into a call of the appender, the catalog or a query, and renders what comes back.
//!
//! Invariants:
//!
//! * Every wait for a client has an end: the head (hyper), the body and the reading of an answer (`connection`), the drain (`serve`).
//! * Every size has a bound: connections, header lines, buffers, bodies.
//! * A client's address and token reach no log line.
//!
//! Parts, in reading order: `connection` one client, and `wake` what wakes it; `router` from path to handler; `ingest` the endpoints that store; `api` and
//! `endpoint` the rest: `sites`, `goals`, `reports` with `range`, `admin`; `auth`, `cors`, `body`, `respond`, `error` what they share.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use std::collections::HashMap;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

mod admin;
mod api;
mod auth;
mod body;
mod connection;
mod cors;
mod endpoint;
pub(crate) mod error;
mod filter;
mod goals;
mod health;
mod incomplete;
mod ingest;
mod range;
mod reports;
pub(crate) mod respond;
mod router;
mod sites;
mod wake;

use crate::appender::Appender;
use crate::catalog::Catalog;
use crate::client_ip::ClientIp;
use crate::concurrency::Concurrency;
use crate::config::Config;
use crate::health::Health;
use crate::limiter::Limiter;
use crate::store::Store;
use connection::Connection;

pub(crate) use api::Call;
pub(crate) use error::Error;
#[cfg(feature = "fuzz")]
pub use ingest::fuzz::parse_event;

/// The most connections at once. More wait in the listening socket's backlog.
const MAX_CONNECTIONS: usize = 16_384;

/// File descriptors that connections leave to logs, the catalog and the runtime.
const RESERVED_DESCRIPTORS: usize = 256;

/// How long accepting rests when the system is out of descriptors or memory; asking again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the connections are looked at. In tests a second passes faster.
const TICK: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(1) };

/// What all requests share.
pub(crate) struct State {
    /// Sites, goals and tokens.
    pub(crate) catalog: Arc<Catalog>,
    /// What queries read.
    pub(crate) store: Arc<Store>,
    /// The only committer.
    pub(crate) appender: Appender,
    /// Whether events are taken.
    pub(crate) health: Arc<Health>,
    /// Requests of all ingest endpoints, by client address.
    pub(crate) ingest_limiter: Limiter,
    /// Requests to `/api` without a valid identity, by client address.
    pub(crate) api_limiter: Limiter,
    /// Requests to `/api` with a valid identity that are under way, by token.
    pub(crate) concurrency: Concurrency,
    /// Who a request comes from.
    pub(crate) client_ip: ClientIp,
    /// Keys the hashes that are stored in place of page ids: the data directory's own.
    pub(crate) secret: [u8; 16],
    /// For how many days new sites keep events; 0 is for ever.
    pub(crate) data_retention_days: u32,
    /// The path of the public URL, without the last slash: empty for most.
    path_prefix: String,
    /// Seconds since the start, from 1, as [`serve`] counts them.
    ticks: AtomicU32,
}

impl State {
    /// The state of a daemon that is about to serve.
    pub(crate) fn new(
        config: Config,
        catalog: Arc<Catalog>,
        store: Arc<Store>,
        appender: Appender,
        health: Arc<Health>,
        secret: [u8; 16],
    ) -> State {
        State {
            ingest_limiter: Limiter::new(config.ingest_rate, config.ingest_burst, crate::limiter::INGEST_SOURCES),
            api_limiter: Limiter::new(config.api_rate, config.api_burst, crate::limiter::API_SOURCES),
            concurrency: Concurrency::default(),
            client_ip: ClientIp::new(config.trusted_proxies.clone(), config.client_ip_header.clone()),
            data_retention_days: config.data_retention_days,
            path_prefix: config.public_url.path().trim_end_matches('/').to_owned(),
            ticks: AtomicU32::new(1),
            secret,
            catalog,
            store,
            appender,
            health,
        }
    }

    fn ticks(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }
}

/// Serves connections until `stop` is ready; then lets them finish what they have begun, for at most `grace`.
///
/// On return every connection is closed or told to close at once, and no handler waits for the appender any more.
pub(crate) async fn serve(listener: TcpListener, state: Arc<State>, stop: impl Future<Output = ()>, grace: Duration) {
    let cap = connection_cap(descriptor_limit());
    let connections = Arc::new(Connections { open: Mutex::default(), slots: Arc::new(Semaphore::new(cap)), cap });
    let watch = tokio::spawn(watch(Arc::clone(&connections), Arc::clone(&state)));
    let mut stop = pin!(stop);
    let mut next = 0;
    while let Some((stream, peer, slot)) = accept(&listener, &connections.slots, stop.as_mut()).await {
        next += 1;
        connections.spawn(next, stream, peer.ip(), slot, &state);
    }
    drop(listener);
    connections.drain(grace).await;
    watch.abort();
}

/// The next connection, once there is a slot for it; `None` when `stop` is ready.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    mut stop: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = tokio::select! {
        biased;
        () = stop.as_mut() => return None,
        slot = Arc::clone(slots).acquire_owned() => slot.expect("the semaphore is never closed"),
    };
    let mut told = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.as_mut() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => return Some((stream, peer, slot)),
            // The client was gone before it was accepted: its affair.
            Err(error) if is_clients(&error) => {}
            Err(error) => {
                if !told {
                    warn!(%error, "cannot accept connections, trying again");
                    told = true;
                }
                tokio::select! {
                    () = stop.as_mut() => return None,
                    () = sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
}

fn is_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// All open connections.
struct Connections {
    open: Mutex<HashMap<u64, Open>>,
    slots: Arc<Semaphore>,
    cap: usize,
}

/// An open connection and the task that serves it.
struct Open {
    connection: Arc<Connection>,
    /// Aborted to close the connection at once: looking for an order to close at every step would cost each request.
    task: AbortHandle,
}

impl Connections {
    fn spawn(self: &Arc<Self>, id: u64, stream: TcpStream, peer: IpAddr, slot: OwnedSemaphorePermit, state: &Arc<State>) {
        // Answers are written whole: waiting for more to send would only delay them. A socket that refuses is as good as closed.
        let _ = stream.set_nodelay(true);
        let connection = Arc::new(Connection::new(Arc::clone(state), peer));
        let entry = Entry { connections: Arc::clone(self), id, _slot: slot };
        // The list is locked until the entry is on it, so that a task that ends at once finds it there.
        let mut open = self.lock();
        let served = Arc::clone(&connection);
        let task = tokio::spawn(async move {
            let _entry = entry;
            connection::serve(stream, served).await;
        });
        open.insert(id, Open { connection, task: task.abort_handle() });
    }

    async fn drain(&self, grace: Duration) {
        self.for_each(|open| open.connection.drain());
        let all = u32::try_from(self.cap).expect("the cap is below 2^32");
        if timeout(grace, self.slots.acquire_many(all)).await.is_err() {
            info!(connections = self.lock().len(), "closing connections that did not end in time");
            self.for_each(|open| open.task.abort());
        }
    }

    fn for_each(&self, visit: impl Fn(&Open)) {
        self.lock().values().for_each(visit);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the connection off the list and gives its slot back, however its task ends.
struct Entry {
    connections: Arc<Connections>,
    id: u64,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.id);
    }
}

/// Counts the seconds, for whatever is done once in each, and closes connections whose client keeps them waiting.
async fn watch(connections: Arc<Connections>, state: Arc<State>) {
    loop {
        sleep(TICK).await;
        let tick = state.ticks.fetch_add(1, Ordering::Relaxed) + 1;
        state.client_ip.look_again();
        connections.for_each(|open| {
            if open.connection.is_stalled(tick) {
                open.task.abort();
            }
        });
    }
}

/// How many connections fit under a limit of open files.
fn connection_cap(descriptors: Option<usize>) -> usize {
    let room = descriptors.map_or(MAX_CONNECTIONS, |limit| limit.saturating_sub(RESERVED_DESCRIPTORS));
    room.clamp(16, MAX_CONNECTIONS)
}

/// The soft limit of open files; `None` where there is none or it cannot be read.
fn descriptor_limit() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    soft_limit(&limits)
}

fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests;
