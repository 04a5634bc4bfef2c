//! The endpoints of tokens that are no ingest.

use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;

/// A GET as the owner.
fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n")
}

/// Occupies every query thread until the flag is set.
async fn occupy_query_threads(daemon: &Daemon) -> Arc<AtomicBool> {
    let released = Arc::new(AtomicBool::new(false));
    let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
    let threads = thread::available_parallelism().map_or(1, usize::from).saturating_sub(1).max(1);
    for _ in 0..threads {
        let (store, released, started) = (Arc::clone(&daemon.state.store), Arc::clone(&released), started.clone());
        tokio::spawn(async move {
            let question = move |_: &query::Snapshot, _: &crate::question::Stop| {
                started.send(()).unwrap();
                while !released.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                }
            };
            store.ask(question).await
        });
    }
    for _ in 0..threads {
        within(starts.recv()).await.unwrap();
    }
    released
}

#[tokio::test]
async fn the_seventeenth_request_of_a_token_has_to_wait_for_one_to_end() {
    let daemon = Arc::new(Daemon::start().await);
    let released = occupy_query_threads(&daemon).await;
    let report = get("/api/sites/11111111-1111-4111-8111-111111111111/events/names");
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..17 {
        let (daemon, report) = (Arc::clone(&daemon), report.clone());
        asked.spawn(async move { daemon.send(&report).await });
    }

    let refused = within(asked.join_next()).await.unwrap().unwrap();
    assert_eq!(refused.parts(), (429, "Too Many Requests: at most 16 of one token at once"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(daemon.send(&get("/api/sites")).await.status, 429, "whatever it asks for");
    assert_eq!(daemon.send(&get("/api/status")).await.status, 200, "but for the status");
    let event = r#"{"url":"https://shop.example/","timestamp":"2026-03-01T00:00:00Z","visitor_ip":"::1","user_agent":"u","name":"n"}"#;
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(daemon.post("/api/ingest/server/event", &bearer, event).await.status, 202, "events are bounded by their limiter");
    assert_eq!(daemon.send("GET /api/sites HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 401, "others are not affected");

    released.store(true, Ordering::Relaxed);
    for _ in 0..16 {
        assert_eq!(within(asked.join_next()).await.unwrap().unwrap().status, 200);
    }
    assert_eq!(daemon.send(&get("/api/sites")).await.status, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_gives_its_places_back() {
    let daemon = Daemon::start().await;
    let released = occupy_query_threads(&daemon).await;
    let report = get("/api/sites/11111111-1111-4111-8111-111111111111/events/names");
    let mut streams = Vec::new();
    for _ in 0..16 {
        let mut stream = TcpStream::connect(daemon.address).await.unwrap();
        stream.write_all(report.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    let until = async |status| {
        while daemon.send(&get("/api/sites")).await.status != status {
            sleep(Duration::from_millis(1)).await;
        }
    };
    within(until(429)).await;
    drop(streams);
    within(until(200)).await;
    released.store(true, Ordering::Relaxed);
}
