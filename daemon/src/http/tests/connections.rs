//! What a client may do with a connection: framing, sizes, slowness, and the drain.

use super::*;
use crate::appender::double::Mood;

const ORIGIN: &str = "Origin: https://shop.example\r\n";
const EVENT: &str = r#"{"n":"x"}"#;

/// Whether the other side closes, and what it says before.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is a close as well.
    let _ = within(stream.read_to_end(&mut bytes)).await;
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_body_in_chunks_is_a_body() {
    let daemon = Daemon::start().await;
    let chunks = "4\r\n{\"n\"\r\n5\r\n:\"x\"}\r\n0\r\n\r\n";
    let reply = daemon.send(&format!("POST /ingest/event HTTP/1.1\r\nHost: x\r\n{ORIGIN}Transfer-Encoding: chunked\r\n\r\n{chunks}")).await;
    assert_eq!(reply.parts(), (202, ""));
    assert_eq!(daemon.stored(|record| record.name.to_owned()), ["x"]);
}

#[tokio::test]
async fn a_request_that_two_readers_would_read_differently_is_refused() {
    let daemon = Daemon::start().await;
    // Read by its chunks, it would be stored.
    let body = "9\r\n{\"n\":\"x\"}\r\n0\r\n\r\n";
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5, 6\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
    ] {
        let mut stream = TcpStream::connect(daemon.address).await.unwrap();
        let request =
            format!("POST /ingest/event HTTP/1.1\r\nHost: x\r\n{ORIGIN}{lines}\r\n{body}GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let rest = rest(&mut stream).await;
        assert!(rest.starts_with("HTTP/1.1 400 "), "{lines}{rest}");
        assert_eq!(rest.matches("HTTP/1.1").count(), 1, "the connection is closed behind the refusal: {lines}");
    }
    assert!(daemon.double.records().is_empty());
}

#[tokio::test]
async fn a_body_is_counted_as_it_comes() {
    let daemon = Daemon::start().await;
    let event = |len: usize| format!("{{\"n\":\"x\",\"y\":\"{}\"}}", "y".repeat(len - 16));
    assert_eq!(daemon.post("/ingest/event", ORIGIN, &event(65_536)).await.parts(), (202, ""));
    assert_eq!(daemon.post("/ingest/event", ORIGIN, &event(65_537)).await.parts(), (413, "Request body too large"));
    assert_eq!(daemon.post("/ingest/event", ORIGIN, &event(1 << 20)).await.parts(), (413, "Request body too large"));
    let chunked = |len: usize| {
        format!(
            "POST /ingest/event HTTP/1.1\r\nHost: x\r\n{ORIGIN}Transfer-Encoding: chunked\r\n\r\n{len:x}\r\n{}\r\n0\r\n\r\n",
            event(len)
        )
    };
    assert_eq!(daemon.send(&chunked(65_536)).await.parts(), (202, ""));
    assert_eq!(daemon.send(&chunked(65_537)).await.parts(), (413, "Request body too large"));
    // What says beforehand that it is far too long is not even read.
    let head = format!("POST /ingest/event HTTP/1.1\r\nHost: x\r\n{ORIGIN}Content-Length: 99999999999\r\n\r\n");
    assert_eq!(daemon.send(&head).await.parts(), (413, "Request body too large"));
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let daemon = Daemon::start().await;
    let mut stream = TcpStream::connect(daemon.address).await.unwrap();
    let head = format!("POST /ingest/event HTTP/1.1\r\nHost: x\r\n{ORIGIN}Content-Length: {}\r\n", EVENT.len());
    stream.write_all(format!("{head}Expect: 100-continue\r\n\r\n").as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    within(stream.read_exact(&mut go_on)).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let (first, second) = EVENT.split_at(4);
    stream.write_all(first.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    stream.write_all(second.as_bytes()).await.unwrap();
    assert_eq!(within(Reply::read(&mut stream)).await.status, 202);
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let daemon = Daemon::start().await;
    let mut stream = TcpStream::connect(daemon.address).await.unwrap();
    for sequence in 1..=20 {
        stream.write_all(post("/ingest/event", ORIGIN, EVENT).as_bytes()).await.unwrap();
        let reply = within(Reply::read(&mut stream)).await;
        assert_eq!(reply.header("hitkeep-sequence"), Some(&*sequence.to_string()));
    }
}

#[tokio::test]
async fn a_body_that_drips_ends_at_the_deadline_and_holds_up_nobody() {
    let daemon = Daemon::start().await;
    let mut slow = TcpStream::connect(daemon.address).await.unwrap();
    slow.write_all(format!("POST /ingest/event HTTP/1.1\r\nHost: x\r\n{ORIGIN}Content-Length: 60000\r\n\r\n{{").as_bytes()).await.unwrap();
    assert_eq!(daemon.post("/ingest/event", ORIGIN, EVENT).await.parts(), (202, ""));
    within(async {
        // Far from a byte a millisecond, so that it is the deadline that ends it.
        while slow.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(daemon.double.records().len(), 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answers_is_let_go() {
    let daemon = Daemon::start().await;
    let mut deaf = TcpStream::connect(daemon.address).await.unwrap();
    // Far more answers than the two sockets hold between them, so that the daemon is stuck with the next.
    let requests = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    within(async { while deaf.write_all(requests.as_bytes()).await.is_ok() {} }).await;
    assert_eq!(daemon.post("/ingest/event", ORIGIN, EVENT).await.parts(), (202, ""));
}

#[tokio::test]
async fn an_event_is_answered_behind_the_end_of_what_the_client_sends() {
    let daemon = Daemon::start().await;
    let mut stream = TcpStream::connect(daemon.address).await.unwrap();
    stream.write_all(post("/ingest/event", ORIGIN, EVENT).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 202 "));
}

#[tokio::test]
async fn a_body_that_ends_too_soon_is_a_bad_body() {
    let daemon = Daemon::start().await;
    for (path, lines) in [("/ingest/event", ORIGIN.to_owned()), ("/api/ingest/server/event", format!("Authorization: Bearer {TOKEN}\r\n"))]
    {
        let mut stream = TcpStream::connect(daemon.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: 100000\r\n\r\n");
        stream.write_all(format!("{head}{}", " ".repeat(50_000)).as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_handler_of_the_api_ends_when_its_client_goes_away() {
    let daemon = Daemon::start().await;
    daemon.double.set(Mood::Hangs);
    let mut stream = TcpStream::connect(daemon.address).await.unwrap();
    let lines = format!("Authorization: Bearer {TOKEN}\r\n");
    let body =
        r#"{"url":"https://shop.example/","timestamp":"2026-03-01T00:00:00Z","visitor_ip":"198.51.100.7","user_agent":"x","name":"x"}"#;
    stream.write_all(post("/api/ingest/server/event", &lines, body).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn a_request_under_way_is_finished_before_the_drain_ends() {
    let mut daemon = Daemon::start().await;
    let mut idle = TcpStream::connect(daemon.address).await.unwrap();
    idle.write_all(post("/ingest/event", ORIGIN, EVENT).as_bytes()).await.unwrap();
    within(Reply::read(&mut idle)).await;
    let mut busy = TcpStream::connect(daemon.address).await.unwrap();
    let request = post("/ingest/event", ORIGIN, EVENT);
    let (first, second) = request.as_bytes().split_at(request.len() - 3);
    busy.write_all(first).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    daemon.stop.take().unwrap().send(()).unwrap();
    assert_eq!(rest(&mut idle).await, "", "an idle connection is closed");
    busy.write_all(second).await.unwrap();
    let answer = rest(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    within(&mut daemon.serving).await.unwrap();
    assert!(TcpStream::connect(daemon.address).await.is_err());
}

#[tokio::test]
async fn a_drain_does_not_wait_for_ever() {
    let mut daemon = Daemon::draining_for(Duration::from_millis(50), Config::default()).await;
    let mut slow = TcpStream::connect(daemon.address).await.unwrap();
    let request = post("/ingest/event", ORIGIN, EVENT);
    slow.write_all(&request.as_bytes()[..request.len() - 3]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    daemon.stop.take().unwrap().send(()).unwrap();
    within(&mut daemon.serving).await.unwrap();
    assert_eq!(rest(&mut slow).await, "");
}

#[tokio::test]
async fn too_many_headers_are_refused() {
    let daemon = Daemon::start().await;
    let lines = |count: usize| (0..count).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    assert_eq!(daemon.send(&format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", lines(60))).await.status, 200);
    assert_eq!(daemon.send(&format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", lines(64))).await.status, 431);
}

#[test]
fn connections_leave_descriptors_for_the_logs() {
    let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                  Max processes             127235               127235               processes\n\
                  Max open files            1024                 524288               files\n";
    assert_eq!(soft_limit(limits), Some(1024));
    assert_eq!(soft_limit("Max open files            unlimited            unlimited            files"), None);
    assert_eq!(connection_cap(Some(1024)), 768);
    assert_eq!(connection_cap(Some(100)), 16);
    assert_eq!(connection_cap(Some(1 << 20)), MAX_CONNECTIONS);
    assert_eq!(connection_cap(None), MAX_CONNECTIONS);
}
