//! The daemon as a whole: builds everything in order, serves, and drains.
//!
//! The order: the directory and its lock; the segments, and the logs, indexed and durable; the catalog and its owner; the socket; the
//! committer, the sealer and the compactor. Nothing is answered before all of it stands. The end is the same backwards: no new connections, what was
//! begun is answered, what is queued is committed, and a last frame says that nothing was in flight. A segment that is being made then is
//! made after the next start.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use format::paired::FileKind;
use format::{Damage, DataDirectory, LogOptions, Opened};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tracing::level_filters::LevelFilter;

use crate::appender::{self, Appender, Policy};
use crate::catalog::{self, Catalog};
use crate::config::{Config, LogLevel, SyncMode};
use crate::health::Health;
use crate::question::Pool;
use crate::recovery::{self, Start};
use crate::sealer::{self, NotSealed};
use crate::signals::Watch;
use crate::store::{Store, Totals};
use crate::{compactor, http, identity, priority, signals, telemetry};

/// How long a drain waits for clients; with what the last sync takes it stays below ten seconds.
const GRACE: Duration = Duration::from_secs(5);

/// How long tasks that are left may take when everything is done.
const REST: Duration = Duration::from_secs(1);

/// `EX_IOERR` of sysexits.h: the disk failed. A start finds out what is on it.
const DISK_FAILED: u8 = 74;

/// `EX_TEMPFAIL` of sysexits.h: another daemon holds the directory.
const LOCKED: u8 = 75;

/// Why the daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The data directory cannot be opened, or its logs cannot be read.
    #[error(transparent)]
    Directory(#[from] format::Error),
    /// The catalog cannot be read.
    #[error(transparent)]
    Catalog(#[from] catalog::OpenError),
    /// The owner has no token.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// What the settings say.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// Logs could not be sealed.
    #[error("not everything is sealed: {0}")]
    NotSealed(&'static str),
    /// The system refuses a thread or a signal handler.
    #[error("cannot start {what}")]
    System {
        /// What was to be started.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl Error {
    /// What the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Error::Directory(format::Error::Locked { .. }) => ExitCode::from(LOCKED),
            _ => ExitCode::FAILURE,
        }
    }
}

/// Runs the daemon until a signal or a failure ends it, and says what the process ends with.
///
/// # Errors
///
/// [`Error`], if it cannot start.
pub(crate) fn serve(config: Config) -> Result<ExitCode, Error> {
    telemetry::start(level(config.log_level));
    raise_descriptor_limit();
    let Watch { stop, seal } = signals::watch().map_err(system("the signal handlers"))?;
    let health = Arc::<Health>::default();
    let opened = DataDirectory::open(&config.data_path)?;
    report(&opened);
    let Opened { directory, manifest, catalog, catalog_changes, damage, lost_and_found, .. } = opened;
    let start = recovery::recover(directory, manifest, LogOptions::rotated_at(config.segment_bytes), config.sync)?;
    let secret = start.rotation.secret();
    let changes = catalog_changes.iter().map(Vec::as_slice);
    let catalog = Arc::new(Catalog::open(changes, Box::new(catalog), Arc::clone(&health))?);
    drop(catalog_changes);
    identity::settle(&catalog, &config.data_path, config.admin_token_file.as_deref())?;

    let runtime = Builder::new_multi_thread()
        .enable_all()
        .thread_name("http")
        .on_thread_start(priority::as_http_thread)
        .build()
        .map_err(system("the runtime"))?;
    let address = config.http_addr;
    let listener = runtime.block_on(TcpListener::bind(address)).map_err(|source| Error::Listen { address, source })?;
    let address = listener.local_addr().map_err(|source| Error::Listen { address, source })?;

    let engine = Engine::start(start, damage, lost_and_found, &config, &health, Some(Arc::clone(&catalog)))?;
    if config.sync == SyncMode::Os {
        tracing::warn!("sync is left to the system: a crash of the machine loses what it had not written, and answers say so");
    }

    let (store, appender) = (Arc::clone(&engine.store), engine.appender.clone());
    let (segments, logs) = store.held();
    tracing::info!(
        segments = segments.files,
        segment_rows = segments.rows,
        segment_bytes = segments.bytes,
        logs = logs.files,
        log_rows = logs.rows,
        log_bytes = logs.bytes,
        "what is stored"
    );
    let state = Arc::new(http::State::new(config, catalog, store, appender.clone(), Arc::clone(&health), secret));
    runtime.spawn(async move {
        loop {
            seal.notified().await;
            tracing::info!("sealing what is stored");
            // Whoever sent the signal waits for nothing.
            drop(appender.seal());
        }
    });
    health.serve();
    announce(address);
    let stop = async {
        tokio::select! {
            _ = stop => tracing::info!("draining"),
            () = health.failed() => {}
        }
        health.drain();
    };
    runtime.block_on(http::serve(listener, state, stop, GRACE));
    let joined = engine.stop();
    runtime.shutdown_timeout(REST);
    Ok(match (joined, health.failure()) {
        (Ok(()), None) => ExitCode::SUCCESS,
        (Ok(()) | Err(_), cause) => {
            tracing::error!(cause, "ended by a failure: start again to recover");
            ExitCode::from(DISK_FAILED)
        }
    })
}

/// Every segment is an open file, and the limit that processes begin with is meant for programs that wait with `select`.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // A system that refuses leaves less room for segments and connections.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Whether a daemon has kept its data at `path`.
pub(crate) fn is_used(path: &Path) -> bool {
    path.join(FileKind::Manifest.file_name()).exists()
}

/// Seals everything in the directory of a stopped daemon, and says how much that is.
///
/// # Errors
///
/// [`Error`]; [`Error::NotSealed`] if it ended before that.
pub(crate) fn seal(config: &Config) -> Result<Totals, Error> {
    telemetry::start(LevelFilter::WARN);
    raise_descriptor_limit();
    let health = Arc::<Health>::default();
    let opened = DataDirectory::open(&config.data_path)?;
    report(&opened);
    let Opened { directory, manifest, damage, lost_and_found, .. } = opened;
    let start = recovery::recover(directory, manifest, LogOptions::rotated_at(config.segment_bytes), config.sync)?;
    let engine = Engine::start(start, damage, lost_and_found, config, &health, None)?;
    let runtime = Builder::new_current_thread().build().map_err(system("the runtime"))?;
    let sealed = runtime.block_on(engine.appender.seal());
    let totals = engine.store.sealed();
    let joined = engine.stop();
    match (sealed, joined) {
        (Ok(()), Ok(())) if health.failure().is_none() => Ok(totals),
        (Err(NotSealed::DiskFull), _) => Err(Error::NotSealed("there is no space")),
        (Err(NotSealed::Kept), _) => Err(Error::NotSealed("a log cannot be for now, the lines above say why; it loses nothing")),
        _ => Err(Error::NotSealed("the disk failed")),
    }
}

/// What stores events, seals them and merges segments: everything but those who ask for it.
struct Engine {
    store: Arc<Store>,
    appender: Appender,
    committer: JoinHandle<()>,
    sealer: sealer::Running,
    compactor: Option<compactor::Running>,
}

impl Engine {
    fn start(
        start: Start,
        mut damage: Vec<Damage>,
        lost_and_found: Vec<String>,
        config: &Config,
        health: &Arc<Health>,
        compacts_for: Option<Arc<Catalog>>,
    ) -> Result<Engine, Error> {
        let Start { recovered, rotation, files, damage: lost, last_commit } = start;
        damage.extend(lost);
        let store = Arc::new(Store::new(files, damage, lost_and_found, Pool::start().map_err(system("the query threads"))?));
        let policy = Policy { sync: config.sync, segment_bytes: config.segment_bytes, segment_age: config.segment_age };
        let (appender, queue) = appender::queue();
        let (sealer, tasks) = sealer::queue();
        let place = rotation.place();
        let running =
            sealer::start(tasks, place.clone(), appender.clone(), Arc::clone(&store), Arc::clone(health)).map_err(system("the sealer"))?;
        let committer = appender::start(queue, recovered, Box::new(rotation), sealer, Arc::clone(&store), Arc::clone(health), policy);
        let committer = committer.map_err(system("the appender"))?;
        let compactor = compacts_for.map(|catalog| {
            let policy = compactor::Policy::new(&place, catalog, last_commit, config.compaction_rate);
            compactor::start(policy, place, appender.clone(), Arc::clone(&store), Arc::clone(health))
        });
        let compactor = compactor.transpose().map_err(system("the compactor"))?;
        Ok(Engine { store, appender, committer, sealer: running, compactor })
    }

    /// Commits what is queued and ends; an error if the committer panicked.
    fn stop(self) -> std::thread::Result<()> {
        self.appender.stop();
        let joined = self.committer.join();
        self.sealer.stop();
        self.compactor.into_iter().for_each(compactor::Running::stop);
        joined
    }
}

/// The one line on stdout. Whoever started the daemon may have closed it.
fn announce(address: SocketAddr) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "listening on http://{address}").and_then(|()| out.flush());
    tracing::info!(%address, "serving");
}

/// Tells the operator what the directory was found in.
fn report(opened: &Opened) {
    for note in &opened.notes {
        tracing::warn!("{note}");
    }
    for lost in &opened.damage {
        tracing::error!(file = lost.file, from = lost.from.value(), end = lost.end.value(), "part of the data directory is lost");
    }
    if !opened.lost_and_found.is_empty() {
        tracing::warn!(files = ?opened.lost_and_found, "lost+found holds files that nothing explains, or logs of which something is lost");
    }
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::System { what, source }
}
