//! Request bodies: read whole, within a limit that is counted on the stream, before a deadline.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};

use super::connection::Connection;
use super::error::{BAD_BODY, Error};
use super::wake;

/// The longest body of every route but the bulk one.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// How much of a body that is too long is still read and thrown away.
///
/// An answer that leaves while the client is sending, followed by a close, reaches many clients as a broken connection. So that they
/// see the 413, this much more is taken in; what is longer still finds the connection closed.
const MAX_DISCARDED_BYTES: usize = 4 * 1024 * 1024;

/// The body of every route but the bulk one.
///
/// # Errors
///
/// As [`read_up_to`].
pub(crate) async fn read(body: impl Body<Data = Bytes> + Unpin, connection: &Connection) -> Result<Bytes, Error> {
    read_up_to(MAX_BODY_BYTES, body, connection).await
}

/// The whole body; not copied if it arrived in one piece.
///
/// The connection is closed when it takes longer than [`super::connection::STALL_SECONDS`].
///
/// # Errors
///
/// [`Error::TooLarge`] past `limit_bytes`; [`BAD_BODY`] if the framing is broken or the client went away.
pub(crate) async fn read_up_to(
    limit_bytes: usize,
    mut body: impl Body<Data = Bytes> + Unpin,
    connection: &Connection,
) -> Result<Bytes, Error> {
    if body.size_hint().lower() > (limit_bytes + MAX_DISCARDED_BYTES) as u64 {
        return Err(too_large(limit_bytes));
    }
    let _watched = connection.watch_body();
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    let mut len = 0;
    while !body.is_end_stream()
        && let Some(frame) = next(&mut body).await
    {
        // Trailers are no part of the body.
        let Ok(data) = frame.map_err(|_| BAD_BODY)?.into_data() else { continue };
        len += data.len();
        if len > limit_bytes + MAX_DISCARDED_BYTES {
            return Err(too_large(limit_bytes));
        }
        if len > limit_bytes {
            (first, joined) = (Bytes::new(), BytesMut::new());
        } else if joined.is_empty() && first.is_empty() {
            first = data;
        } else {
            if joined.is_empty() {
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&data);
        }
    }
    match len {
        len if len > limit_bytes => Err(too_large(limit_bytes)),
        _ if joined.is_empty() => Ok(first),
        _ => Ok(joined.freeze()),
    }
}

/// The next piece of a body.
async fn next<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Option<Result<Frame<Bytes>, B::Error>> {
    poll_fn(|cx| {
        let (frame, rang) = wake::unheard(|| Pin::new(&mut *body).poll_frame(cx));
        if rang && !body.is_end_stream() {
            // There is more to send.
            cx.waker().wake_by_ref();
        }
        frame
    })
    .await
}

fn too_large(limit_bytes: usize) -> Error {
    Error::TooLarge(if limit_bytes == MAX_BODY_BYTES { "Request body too large" } else { super::ingest::bulk::TOO_LARGE })
}
