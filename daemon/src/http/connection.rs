//! One client's connection: what is known of it, how it is watched, and how it ends.
//!
//! hyper bounds the time for a request's head and for idle keep-alive, and nothing else. A body that drips, and a client that does not
//! read its answer, are closed here: the connection notes since when it waits, and one task looks at all connections once a second.
//! That costs a request two stores, where a timer of its own would cost a lock.

use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::header::TRANSFER_ENCODING;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, body::Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::{State, router, wake};

/// How long a client may take for the head of a request, and may be silent between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take to send a body, or to read any byte of an answer.
pub(crate) const STALL_SECONDS: u32 = 30;

/// The most header lines of a request; hyper answers 431 beyond.
const MAX_HEADERS: usize = 64;

/// The most bytes hyper buffers of one connection, in either direction.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// How many bytes of a request's head are kept for [`Connection::is_ambiguous`].
const MAX_KEPT_HEAD_BYTES: usize = 8 * 1024;

/// What is known of one connection.
pub(crate) struct Connection {
    /// What all connections share.
    pub(crate) state: Arc<State>,
    /// The address at the other end, which may be a proxy's.
    pub(crate) peer: IpAddr,
    /// The tick at which the body being read was begun; 0 while none is read.
    body_since: AtomicU32,
    /// The tick since which the socket takes no more bytes of an answer; 0 while it does.
    blocked_since: AtomicU32,
    /// The first bytes that came in since the last answer left, unless they are stale.
    head: Mutex<Vec<u8>>,
    /// Whether an answer left since the last bytes came in: `head` is of no more use. Spares an answer the lock.
    is_head_stale: AtomicBool,
    /// Whether the handler that answers is to end when the client goes away.
    ends_with_client: AtomicBool,
    /// Whether to end behind the answer being given: looked at whenever the connection is polled.
    is_drained: AtomicBool,
    /// Wakes the task, so that it looks. Absent until [`serve`] is polled, which looks behind putting it here.
    task: Mutex<Option<Waker>>,
}

impl Connection {
    pub(super) fn new(state: Arc<State>, peer: IpAddr) -> Connection {
        Connection {
            state,
            peer: peer.to_canonical(),
            body_since: AtomicU32::new(0),
            blocked_since: AtomicU32::new(0),
            head: Mutex::default(),
            is_head_stale: AtomicBool::new(false),
            ends_with_client: AtomicBool::new(false),
            is_drained: AtomicBool::new(false),
            task: Mutex::default(),
        }
    }

    /// Drops the handler that answers, and the connection with it, as soon as the client goes away.
    pub(super) fn end_with_client(&self) {
        self.ends_with_client.store(true, Ordering::Relaxed);
    }

    /// Notes that the answer is there.
    pub(super) fn end_answer(&self) {
        self.ends_with_client.store(false, Ordering::Relaxed);
    }

    /// Notes that a body is being read, until the guard is dropped.
    pub(super) fn watch_body(&self) -> impl Drop + use<'_> {
        struct Watched<'a>(&'a AtomicU32);
        impl Drop for Watched<'_> {
            fn drop(&mut self) {
                self.0.store(0, Ordering::Relaxed);
            }
        }
        self.body_since.store(self.state.ticks(), Ordering::Relaxed);
        Watched(&self.body_since)
    }

    /// Whether `request` names its length twice over, by `Content-Length` and by `Transfer-Encoding`, or may do so.
    ///
    /// hyper takes the chunks, removes the length and closes behind the answer. A relay in front that took the length would still see
    /// another request than we do, so such a request is refused. hyper does not tell; the head's own bytes do. Only requests with
    /// chunks are looked at; one whose head was not kept, because it is too long or was sent ahead of time, counts as ambiguous.
    pub(super) fn is_ambiguous(&self, request: &Request<Incoming>) -> bool {
        // Relaxed: the flag is only touched by the task of the connection.
        request.headers().contains_key(TRANSFER_ENCODING)
            && (self.is_head_stale.load(Ordering::Relaxed) || !has_chunks_alone(&lock(&self.head)))
    }

    /// Asks the connection to end behind the answer it is giving.
    pub(super) fn drain(&self) {
        let task = lock(&self.task);
        // Relaxed: the task looks after it was woken, or after it has put its waker here; the lock orders both.
        self.is_drained.store(true, Ordering::Relaxed);
        if let Some(task) = &*task {
            task.wake_by_ref();
        }
    }

    /// Whether the client has kept it waiting for too long.
    pub(super) fn is_stalled(&self, tick: u32) -> bool {
        let stalled = |since: &AtomicU32| match since.load(Ordering::Relaxed) {
            0 => false,
            since => tick.saturating_sub(since) >= STALL_SECONDS,
        };
        stalled(&self.body_since) || stalled(&self.blocked_since)
    }
}

/// Serves one connection until either side ends it.
pub(super) async fn serve(stream: TcpStream, connection: Arc<Connection>) {
    let wire = Wire { stream, connection: Arc::clone(&connection) };
    let answering = Arc::clone(&connection);
    let service = service_fn(move |request| router::answer(Arc::clone(&answering), request));
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        // Else hyper reads ahead while a handler waits, to see whether the client goes away. The body is not taken yet when it begins,
        // so that the buffer is in use and hyper makes a new one of 8 KiB for every request.
        .half_close(true)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(TokioIo::new(wire), service);
    let mut http = pin!(http);
    // The task was spawned with this future, so that its waker stays the same.
    let bell = poll_fn(|cx| {
        *lock(&connection.task) = Some(cx.waker().clone());
        Poll::Ready(wake::bell(cx.waker()))
    })
    .await;
    let mut is_ending = false;
    let served = poll_fn(|_| {
        if !is_ending && connection.is_drained.load(Ordering::Relaxed) {
            is_ending = true;
            http.as_mut().graceful_shutdown();
        }
        http.as_mut().poll(&mut Context::from_waker(&bell))
    });
    // Errors are the client's: a broken head, a reset, a timeout. hyper has answered where there was something to answer.
    let _ = served.await;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is locked here is whole at every step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the first head in `bytes` is whole, says `Transfer-Encoding` and does not say `Content-Length`.
fn has_chunks_alone(bytes: &[u8]) -> bool {
    let mut chunks = false;
    let mut rest = bytes;
    // hyper takes a bare line feed for the end of a line, too.
    while let Some(end) = rest.iter().position(|&b| b == b'\n') {
        let line = rest[..end].trim_ascii();
        rest = &rest[end + 1..];
        let name = line.split(|&b| b == b':').next().unwrap_or_default();
        if line.is_empty() {
            return chunks;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            return false;
        }
        chunks |= name.eq_ignore_ascii_case(b"transfer-encoding");
    }
    false
}

/// The socket, seen by the connection as bytes pass.
struct Wire {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl Wire {
    fn note_write(&self, written: &Poll<io::Result<usize>>) {
        let blocked = &self.connection.blocked_since;
        if written.is_pending() {
            // Only from 0: bytes that trickle through restart the clock, bytes that do not keep it running.
            let _ = blocked.compare_exchange(0, self.connection.state.ticks(), Ordering::Relaxed, Ordering::Relaxed);
        } else {
            if blocked.load(Ordering::Relaxed) != 0 {
                blocked.store(0, Ordering::Relaxed);
            }
            self.connection.is_head_stale.store(true, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            let arrived = &buf.filled()[before..];
            let mut head = lock(&self.connection.head);
            if self.connection.is_head_stale.load(Ordering::Relaxed) {
                self.connection.is_head_stale.store(false, Ordering::Relaxed);
                head.clear();
            }
            let room = MAX_KEPT_HEAD_BYTES.saturating_sub(head.len());
            head.extend_from_slice(&arrived[..arrived.len().min(room)]);
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note_write(&written);
        written
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes whenever it is polled, also while a handler waits: the place to look after the client then.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.ends_with_client.load(Ordering::Relaxed)
            // Of a body that ends too soon hyper tells the handler, which answers.
            && self.connection.body_since.load(Ordering::Relaxed) == 0
            && let Poll::Ready(0) = self.stream.poll_peek(cx, &mut ReadBuf::new(&mut [0]))?
        {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_with_both_lengths_or_without_an_end_is_ambiguous() {
        for (head, alone) in [
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true),
            ("POST / HTTP/1.1\ntransfer-encoding: chunked\n\n", true),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nContent-Length: 3\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nX-Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-length:3\r\n\r\n", false),
            ("POST / HTTP/1.1\nTransfer-Encoding: chunked\ncOnTent-length:3\n\n", false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", false),
            ("POST / HTTP/1.1\r\nHost: x\r\n\r\n", false),
            ("", false),
        ] {
            assert_eq!(has_chunks_alone(head.as_bytes()), alone, "{head:?}");
        }
    }
}
