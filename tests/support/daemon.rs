//! Starts the daemon on a directory of its own, ends it in every way there is, and keeps what it printed.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{Answer, Connection, binary, secrets};

/// How long a start or an end may take before the case fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a daemon is started. Kept by the daemon, so that it can be started again the same way or another.
#[derive(Clone, Debug)]
pub struct Options {
    directory: Arc<TempDir>,
    data_path: PathBuf,
    /// None for the build that the cases run.
    binary: Option<PathBuf>,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    wrapper: Vec<OsString>,
}

impl Default for Options {
    fn default() -> Self {
        Options::new()
    }
}

impl Options {
    /// An empty directory, the limiters off, and otherwise the daemon's defaults.
    pub fn new() -> Options {
        Options::bare().flag("--ingest-rate-limit", "0").flag("--api-rate-limit", "0")
    }

    /// An empty directory and the daemon's defaults.
    pub fn bare() -> Options {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        Options {
            data_path: directory.path().join("data"),
            directory: Arc::new(directory),
            binary: None,
            flags: Vec::new(),
            environment: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// Keeps the data at `path` instead: a directory on a file system that the case made.
    pub fn data_path(mut self, path: impl Into<PathBuf>) -> Options {
        self.data_path = path.into();
        self
    }

    /// Runs another build of the daemon.
    pub fn binary(mut self, path: &Path) -> Options {
        self.binary = Some(path.to_owned());
        self
    }

    /// Adds a flag, or replaces its value.
    pub fn flag(mut self, name: &str, value: &str) -> Options {
        match self.flags.iter().position(|flag| flag == name) {
            Some(at) => value.clone_into(&mut self.flags[at + 1]),
            None => self.flags.extend([name.to_owned(), value.to_owned()]),
        }
        self
    }

    /// Adds an environment variable.
    pub fn variable(mut self, name: &str, value: &str) -> Options {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the daemon through another program, such as `strace -f`; an empty list takes it away again.
    pub fn through<S: Into<OsString>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Options {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
        self
    }

    /// Where the data lies.
    pub fn path(&self) -> &Path {
        &self.data_path
    }

    /// A directory beside the data that goes when the last daemon on it has gone.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the daemon and waits until it serves.
    ///
    /// # Panics
    ///
    /// When it ends instead, with what it printed.
    pub fn start(self) -> Daemon {
        self.try_start().unwrap_or_else(|failure| panic!("the daemon did not start: {}\n{}", failure.status, failure.output))
    }

    /// Starts the daemon and waits until it serves, or ends.
    ///
    /// # Errors
    ///
    /// The exit status and the output, when it ends instead.
    pub fn try_start(self) -> Result<Daemon, Failure> {
        let (mut process, listening) = Process::spawn(&self);
        match listening.recv_timeout(PATIENCE) {
            Ok(address) => {
                let pid = process.find_daemon();
                Ok(Daemon { options: self, process, address, pid })
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = process.wait();
                Err(Failure { status, output: process.output() })
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("the daemon neither served nor ended in {PATIENCE:?}\n{}", process.output())
            }
        }
    }

    /// Starts the daemon and kills it after `delay`, whether it serves by then or not.
    pub fn start_and_kill(&self, delay: Duration) {
        let (mut process, _) = Process::spawn(self);
        std::thread::sleep(delay);
        process.kill();
    }

    fn command(&self) -> Command {
        let binary = self.binary.as_deref().unwrap_or_else(|| binary::hitkeepd());
        let mut line = self.wrapper.iter().cloned();
        let mut command = match line.next() {
            Some(program) => {
                let mut command = Command::new(program);
                command.args(line).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        command
            .args(["serve", "--http-addr", "127.0.0.1:0"])
            .arg("--data-path")
            .arg(&self.data_path)
            .args(&self.flags)
            .current_dir(self.directory.path())
            .envs(self.environment.iter().cloned());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HITKEEP_") && !self.environment.iter().any(|(set, _)| name == set.as_str()) {
                command.env_remove(name);
            }
        }
        command
    }
}

/// A daemon that ended instead of serving.
#[derive(Debug)]
pub struct Failure {
    /// How it ended.
    pub status: ExitStatus,
    /// All it printed, on both streams.
    pub output: String,
}

/// A daemon that serves. Killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    options: Options,
    process: Process,
    address: SocketAddr,
    pid: Pid,
}

impl Daemon {
    /// A daemon on an empty directory, with the limiters off.
    pub fn start() -> Daemon {
        Options::new().start()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its data lies.
    pub fn data_path(&self) -> &Path {
        &self.options.data_path
    }

    /// How it was started.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The daemon's process id, also when it runs below a wrapper.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// The owner token that the first start wrote.
    pub fn token(&self) -> String {
        let path = self.options.data_path.join("admin.token");
        let token = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        token.trim().to_owned()
    }

    /// A connection of its own.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address).expect("a serving daemon accepts connections")
    }

    /// One request on a connection of its own.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        self.connect()
            .send(method, path, headers, body.map(str::as_bytes))
            .unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.process.output()))
    }

    /// All it printed so far, on both streams.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("the daemon is there to be signalled");
    }

    /// Kills it with SIGKILL, and gives the way to start it again on what it left behind.
    pub fn kill(mut self) -> Options {
        self.end();
        self.options.clone()
    }

    /// Asks it to drain, waits for its end, and gives its exit status and the way to start it again.
    pub fn terminate(mut self) -> (ExitStatus, Options) {
        self.signal(Signal::TERM);
        let status = self.process.wait();
        (status, self.options.clone())
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> (ExitStatus, Options) {
        let status = self.process.wait();
        (status, self.options.clone())
    }

    /// The value in kB of a line of `/proc/PID/status`, such as `RssAnon`.
    pub fn memory_kb(&self, field: &str) -> u64 {
        memory_kb(self.pid(), field)
    }

    fn end(&mut self) {
        // A tracer that dies first would leave the daemon behind.
        let _ = kill_process(self.pid, Signal::KILL);
        self.process.wait();
    }

    fn tokens(&self) -> Vec<String> {
        std::fs::read_to_string(self.options.data_path.join("admin.token"))
            .map(|token| token.trim().to_owned())
            .into_iter()
            .filter(|token| !token.is_empty())
            .collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.process.status.is_none() {
            self.end();
        }
        if std::thread::panicking() {
            eprintln!("the daemon printed:\n{}", self.process.output());
        } else {
            secrets::assert_absent(&self.process.output(), &self.tokens());
        }
    }
}

/// The value in kB of a line of `/proc/PID/status`, such as `RssAnon`.
pub fn memory_kb(pid: i32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no {field} in the status of {pid}"));
    let kb = line.trim().trim_end_matches(" kB");
    kb.parse().expect("memory is a number of kB")
}

/// A child and two threads that keep what it prints.
#[derive(Debug)]
struct Process {
    child: Child,
    status: Option<ExitStatus>,
    printed: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts it; its address comes on the channel, which is closed when it ends instead.
    fn spawn(options: &Options) -> (Process, Receiver<SocketAddr>) {
        let mut child = options
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {options:?}: {error}"));
        let printed = Arc::new(Mutex::new(Vec::new()));
        let (found, listening) = mpsc::channel();
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let readers = vec![
            keep(stdout, Arc::clone(&printed), move |line| {
                if let Some(address) = line.strip_prefix("listening on http://") {
                    let _ = found.send(address.parse().expect("the daemon prints its address"));
                }
            }),
            keep(stderr, Arc::clone(&printed), |_| {}),
        ];
        (Process { child, status: None, printed, readers }, listening)
    }

    /// The daemon itself: the child, or the one process below the wrapper.
    fn find_daemon(&self) -> Pid {
        let mut pid = self.child.id();
        loop {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).expect("the process is there");
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            match children.split_whitespace().next() {
                Some(child) if name.trim() == "strace" => pid = child.parse().expect("a process id"),
                _ => return Pid::from_raw(pid.cast_signed()).expect("a process id is positive"),
            }
        }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        self.wait();
    }

    fn wait(&mut self) -> ExitStatus {
        if let Some(status) = self.status {
            return status;
        }
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => break status,
                None if begun.elapsed() > PATIENCE => {
                    let _ = self.child.kill();
                    panic!("the daemon did not end in {PATIENCE:?}\n{}", self.output());
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("reading the output does not panic");
        }
        self.status = Some(status);
        status
    }

    fn output(&self) -> String {
        let printed = self.printed.lock().expect("reading the output does not panic");
        String::from_utf8_lossy(&printed).into_owned()
    }
}

/// Keeps every line of `stream` and shows it to `each` first.
fn keep(stream: impl Read + Send + 'static, printed: Arc<Mutex<Vec<u8>>>, mut each: impl FnMut(&str) + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            each(String::from_utf8_lossy(&line).trim_end());
            printed.lock().expect("no reader panics").append(&mut line);
        }
    })
}
