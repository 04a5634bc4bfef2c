//! The yardstick of the bench: a hyper server that only reads the body and answers 202.
//!
//! Runtime, listener and connections are set up as the daemon sets them up, so that the difference between the two
//! is what the daemon does with an event: parse, check, store, sync.

#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

const BODY_LIMIT: usize = 64 * 1024;

async fn accept(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let body = Limited::new(request.into_body(), BODY_LIMIT).collect().await;
    let mut response = Response::new(Empty::new());
    *response.status_mut() = if body.is_ok() { StatusCode::ACCEPTED } else { StatusCode::BAD_REQUEST };
    Ok(response)
}

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            // Fails for a client that has gone already.
            let _ = stream.set_nodelay(true);
            tokio::spawn(async move {
                let mut builder = http1::Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
                // A client that goes away in the middle is nothing to report.
                let _ = builder.serve_connection(TokioIo::new(stream), service_fn(accept)).await;
            });
        }
    })
}
