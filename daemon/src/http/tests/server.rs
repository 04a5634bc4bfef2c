//! The server endpoints: the recorded examples E4 to E6, lines in bulk, and the status.

use super::*;
use crate::appender::double::Mood;

const EVENT: &str = r#"{"url":"https://www.shop.example/checkout/done?x=1&utm_source=mail","timestamp":"2026-03-01T02:30:00+02:00","visitor_ip":"198.51.100.7","user_agent":"curl/8","name":" signup ","properties":{"plan":"team","seats":5},"session_id":"bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"}"#;
const PATH: &str = "/api/ingest/server/event";

fn bearer() -> String {
    format!("Authorization: Bearer {TOKEN}\r\n")
}

#[tokio::test]
async fn e4_a_server_event_is_stored() {
    let daemon = Daemon::start().await;
    let reply = daemon.post(PATH, &bearer(), EVENT).await;
    assert_eq!((reply.parts(), reply.header("hitkeep-sequence")), ((202, ""), Some("1")));
    assert_eq!((reply.header("access-control-allow-origin"), reply.header("vary")), (None, None));
    daemon.stored(|record| {
        assert_eq!((record.kind, record.source, record.site), (format::Kind::Event, format::Source::Server, SITE));
        assert_eq!((record.name, record.properties), ("signup", r#"{"plan":"team","seats":5}"#));
        assert_eq!(record.time, crate::instant::parse("2026-03-01T00:30:00Z").unwrap().floor());
        assert_eq!((record.host, record.path), (Some("www.shop.example"), Some("/checkout/done")));
        assert_eq!((record.query, record.utm_source), (Some("x=1&utm_source=mail"), Some("mail")));
        assert_eq!((record.user_agent, record.session.map(|id| id.bytes()[0])), (Some("curl/8"), Some(0xbb)));
        assert!(record.token.is_some());
    });
}

#[tokio::test]
async fn e5_refusals_come_in_the_order_of_the_contract() {
    let daemon = Daemon::start().await;
    assert_eq!(daemon.post(PATH, "", EVENT).await.parts(), (401, "Unauthorized"));
    assert_eq!(daemon.post(PATH, "Authorization: Bearer abc\r\n", "{").await.parts(), (401, "Unauthorized"));
    assert_eq!(daemon.post(PATH, &format!("X-Api-Key: {TOKEN}\r\n"), EVENT).await.parts(), (202, ""));
    let long = |field: &str, len: usize| format!("\"{field}\":\"{}\"", "x".repeat(len));
    for (from, to, parts) in [
        ("\"https://www", "\"https:/www", (400, "url must be an absolute http or https URL")),
        (
            r#""https://www.shop.example/checkout/done?x=1&utm_source=mail","timestamp":"2026"#,
            r#""/checkout","timestamp":"yesterday"#,
            (400, "url must be an absolute http or https URL"),
        ),
        ("2026-03-01T02", "2026-03-01 02", (400, "timestamp must be RFC3339")),
        (r#""198.51.100.7""#, r#""198.51.100.7:443""#, (400, "visitor_ip must be a valid IP address")),
        (r#""curl/8""#, r#""  ""#, (400, "user_agent is required")),
        ("www.shop.example", "nobody.example", (404, "Site not found")),
        (r#"" signup ""#, r#"" ""#, (400, "name is required")),
        (r#"{"url""#, r#"{"dnt":true,"url""#, (202, "")),
        (r#""name":" signup ""#, r#""dnt":true,"name":"""#, (400, "name is required")),
        (r#"" signup ""#, "7", (400, "Bad request body")),
        (r#"{"plan":"team","seats":5}"#, "[]", (400, "Bad request body")),
        (r#""name":" signup ""#, &long("name", 257), (400, "name must be at most 256 bytes")),
        (r#"{"url""#, &format!("{{{},\"url\"", long("event_id", 129)), (400, "event_id must be at most 128 bytes")),
        ("checkout/done", &"x".repeat(4097), (400, "url must be at most 4096 bytes")),
        (r#""plan":"team""#, &long("plan", 32 * 1024), (400, "properties must be at most 32768 bytes")),
    ] {
        assert!(EVENT.contains(from), "{from}");
        let reply = daemon.post(PATH, &bearer(), &EVENT.replace(from, to)).await;
        assert_eq!((reply.parts(), reply.header("hitkeep-sequence")), (parts, None), "{from} -> {to}");
    }
    assert_eq!(daemon.double.records().len(), 1);
    let reply = daemon.send(&format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n{}\r\n", bearer())).await;
    assert_eq!((reply.parts(), reply.header("allow")), ((405, "Method Not Allowed"), Some("post")));
}

#[tokio::test]
async fn e6_the_forty_first_request_has_to_wait() {
    // A bucket that gets nothing back meanwhile, however slow the machine; the limiter's own tests turn the clock.
    let daemon = Daemon::with(Config { ingest_rate: 0.001, ingest_burst: 40, ..Config::default() }).await;
    let mut stream = TcpStream::connect(daemon.address).await.unwrap();
    let request = post(PATH, &bearer(), EVENT);
    let mut refused = Vec::new();
    for number in 1..=41 {
        stream.write_all(request.as_bytes()).await.unwrap();
        let reply = within(Reply::read(&mut stream)).await;
        if reply.status != 202 {
            refused.push((number, reply));
        }
    }
    let [(41, reply)] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!(reply.parts(), (429, "Too Many Requests"));
    let retry_after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((900..=1000).contains(&retry_after), "{retry_after}");
    let other = daemon.post("/ingest/event", "Origin: https://shop.example\r\n", r#"{"n":"x"}"#).await;
    assert_eq!(other.parts(), (429, "Too Many Requests"), "all ingest endpoints share a bucket");
    assert_eq!(other.header("access-control-allow-origin"), Some("https://shop.example"));
    let preflight =
        "OPTIONS /ingest/event HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.example\r\nAccess-Control-Request-Method: POST\r\n\r\n";
    assert_eq!(daemon.send(preflight).await.parts(), (204, ""), "preflights take no token");
}

#[tokio::test]
async fn a_server_pageview_is_stored() {
    let daemon = Daemon::start().await;
    let body = r#"{"url":"https://shop.example/a/b?utm_medium=x&hk_qr=aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa#f","timestamp":"2026-03-01T00:00:00Z",
        "visitor_ip":"::1","user_agent":"u","referrer":"https://r.example/","viewport_width":1,"screen_height":2,"language":"en","utm_medium":"ignored",
        "page_id":"aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa","event_id":"p-1"}"#;
    assert_eq!(daemon.post("/api/ingest/server/pageview", &bearer(), body).await.parts(), (202, ""));
    daemon.stored(|record| {
        assert_eq!((record.kind, record.name), (format::Kind::Pageview, ""));
        assert_eq!((record.path, record.utm_medium, record.qr.map(|id| id[0])), (Some("/a/b"), Some("x"), Some(0xaa)));
        assert_eq!((record.viewport_width, record.screen_height, record.language), (Some(1), Some(2), Some("en")));
        assert_eq!((record.referrer, record.event_id, record.session), (Some("https://r.example/"), Some("p-1"), None));
        assert!(record.page.is_some());
    });
}

#[tokio::test]
async fn a_bad_line_does_not_spoil_a_good_one() {
    let daemon = Daemon::start().await;
    let lines = [
        r#"{"name":"a","timestamp":"2026-03-01T00:00:00Z","url":"https://shop.example/x?utm_term=t","event_id":"1"}"#.to_owned(),
        String::new(),
        r#"{"name":"b","timestamp":"2026-03-01T00:00:00Z","site":"shop.example","user_agent":"u"}"#.to_owned(),
        r#"{"name":"c","timestamp":"2026-03-01T00:00:00Z","site":"11111111-1111-4111-8111-111111111111"}  "#.to_owned(),
        "{not json".to_owned(),
        r#"{"name":"d","timestamp":"yesterday","site":"shop.example"}"#.to_owned(),
        r#"{"name":"","timestamp":"2026-03-01T00:00:00Z","site":"shop.example"}"#.to_owned(),
        r#"{"name":"e","timestamp":"2026-03-01T00:00:00Z"}"#.to_owned(),
        r#"{"name":"e","timestamp":"2026-03-01T00:00:00Z","site":"nobody.example"}"#.to_owned(),
        r#"{"name":"f","timestamp":"2026-03-01T00:00:00Z","site":"shop.example","dnt":true}"#.to_owned(),
        r#"{"name":"g","timestamp":"2026-03-01T00:00:00Z","site":"shop.example","visitor_ip":"x"}"#.to_owned(),
        format!("{{\"x\":\"{}\"}}", "x".repeat(64 * 1024)),
        r#"{"name":"h","timestamp":"2026-03-01T00:00:00Z","site":"shop.example"} {"name":"i","timestamp":"2026-03-01T00:00:00Z","site":"shop.example"}"#.to_owned(),
        r#"{"name":"j","timestamp":"2026-03-01T00:00:00Z","site":"shop.example"},"#.to_owned(),
    ];
    let reply = daemon.post("/api/ingest/server/events", &bearer(), &lines.join("\r\n")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.body,
        concat!(
            r#"{"received":13,"stored":3,"duplicates":0,"rejected":9,"dropped":1,"expired":0,"last_sequence":3,"errors":["#,
            r#"{"line":5,"field":"line","error":"line must be a JSON object of an event"},"#,
            r#"{"line":6,"field":"timestamp","error":"timestamp must be RFC3339"},"#,
            r#"{"line":7,"field":"name","error":"name is required"},"#,
            r#"{"line":8,"field":"url","error":"url or site is required"},"#,
            r#"{"line":9,"field":"site","error":"Site not found"},"#,
            r#"{"line":11,"field":"visitor_ip","error":"visitor_ip must be a valid IP address"},"#,
            r#"{"line":12,"field":"line","error":"line must be at most 65536 bytes"},"#,
            r#"{"line":13,"field":"line","error":"line must have nothing behind its JSON object"},"#,
            r#"{"line":14,"field":"line","error":"line must have nothing behind its JSON object"}]}"#,
            "\n"
        )
    );
    let stored = daemon.stored(|record| (record.name.to_owned(), record.source, record.utm_term.map(str::to_owned), record.site));
    assert_eq!(stored[0], ("a".to_owned(), format::Source::Bulk, Some("t".to_owned()), SITE));
    assert_eq!((&*stored[1].0, &*stored[2].0, stored.len()), ("b", "c", 3));
    let reply = daemon.post("/api/ingest/server/events", &bearer(), "\n\n").await;
    assert_eq!(
        reply.body,
        "{\"received\":0,\"stored\":0,\"duplicates\":0,\"rejected\":0,\"dropped\":0,\"expired\":0,\"last_sequence\":null,\"errors\":[]}\n"
    );
}

#[tokio::test]
async fn a_query_names_the_site_of_lines_that_name_none() {
    let daemon = Daemon::start().await;
    let path = "/api/ingest/server/events?site=shop.example";
    let line = r#"{"name":"a","timestamp":"2026-03-01T00:00:00Z"}"#;
    let elsewhere = r#"{"name":"b","timestamp":"2026-03-01T00:00:00Z","url":"https://nobody.example/"}"#;
    daemon.double.set(Mood::Lazy);
    let reply = daemon.post(path, &bearer(), &format!("{line}\n{elsewhere}")).await;
    assert!(reply.body.starts_with(r#"{"received":2,"stored":1,"duplicates":0,"rejected":1,"#), "{}", reply.body);
    assert_eq!(reply.header("hitkeep-durable"), Some("no"));
    assert_eq!(daemon.stored(|record| (record.site, record.host.map(str::to_owned))), [(SITE, None)]);
    let reply = daemon.post("/api/ingest/server/events?site=nobody.example", &bearer(), line).await;
    assert_eq!(reply.parts(), (404, "Site not found"));
}

#[tokio::test]
async fn a_bulk_request_has_a_last_line_and_a_last_byte() {
    let daemon = Daemon::start().await;
    let path = "/api/ingest/server/events";
    let reply = daemon.post(path, &bearer(), &"x\n".repeat(8_192)).await;
    assert!(reply.body.starts_with("{\"received\":8192,"), "{}", reply.body);
    assert_eq!(reply.body.matches("\"line\":").count(), 100);
    let reply = daemon.post(path, &bearer(), &"x\n".repeat(8_193)).await;
    assert_eq!(reply.parts(), (413, "Request body too large: at most 8192 lines and 2097152 bytes"));
    let reply = daemon.post(path, &bearer(), &"\n".repeat(2 * 1024 * 1024)).await;
    assert_eq!(reply.status, 200);
    let reply = daemon.post(path, &bearer(), &"\n".repeat(2 * 1024 * 1024 + 1)).await;
    assert_eq!(reply.parts(), (413, "Request body too large: at most 8192 lines and 2097152 bytes"));
}

/// `count` lines with `len` bytes that are no UTF-8 in their URLs: each is nine bytes in the query and three in the UTM value.
fn broken_lines(count: usize, len: usize) -> Vec<u8> {
    let mut line = br#"{"name":"a","timestamp":"2026-03-01T00:00:00Z","url":"https://shop.example/?utm_source="#.to_vec();
    line.extend(std::iter::repeat_n(0xff, len));
    line.extend(b"\"}\n");
    line.repeat(count)
}

#[tokio::test]
async fn what_escaping_makes_of_a_body_is_bounded() {
    let daemon = Daemon::start().await;
    let send = async |body: Vec<u8>| {
        let head = format!("POST /api/ingest/server/events HTTP/1.1\r\nHost: x\r\n{}Content-Length: {}\r\n\r\n", bearer(), body.len());
        let mut stream = TcpStream::connect(daemon.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        within(Reply::read(&mut stream)).await
    };
    let reply = send(broken_lines(1_450, 1_350)).await;
    assert!(reply.body.starts_with(r#"{"received":1450,"stored":0,"duplicates":0,"rejected":1450,"#), "{}", reply.body);
    assert!(reply.body.contains(r#"{"line":1,"field":"url","error":"url must be at most 4096 bytes when escaped"}"#), "{}", reply.body);
    let reply = send(broken_lines(3_700, 440)).await;
    assert_eq!(reply.parts(), (413, "Request body too large: its events take more than 8388608 bytes when stored"));
    assert_eq!(daemon.stored(|_| ()), []);
    let reply = send(broken_lines(1_500, 440)).await;
    assert!(reply.body.starts_with(r#"{"received":1500,"stored":1500,"#), "{}", reply.body);
}

#[tokio::test]
async fn probes_and_status_answer() {
    let daemon = Daemon::start().await;
    let get = |path: &str, lines: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
    for path in ["/healthz", "/readyz"] {
        let reply = daemon.send(&get(path, "")).await;
        assert_eq!((reply.status, &*reply.body), (200, "ok"));
    }
    let reply = daemon.send(&get("/api/status", "")).await;
    assert_eq!((reply.status, &*reply.body), (200, "{\"needs_setup\":false,\"version\":\"0.1.0\"}\n"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(daemon.send(&get("/api/sites", "")).await.parts(), (401, "Unauthorized"));
    assert_eq!(daemon.send(&get("/api/nothing", &bearer())).await.parts(), (404, "Not found"));
    assert_eq!(daemon.send(&get("/", "")).await.parts(), (404, "Not found"));
    assert_eq!(daemon.send(&get("/..%2fadmin.token", "")).await.parts(), (404, "Not found"));
    daemon.state.health.drain();
    assert_eq!(daemon.send(&get("/readyz", "")).await.parts(), (503, "Service not ready"));
    assert_eq!(daemon.send(&get("/healthz", "")).await.body, "ok");
}

#[tokio::test]
async fn below_a_prefix_there_is_everything_and_beside_it_only_the_probes() {
    let public_url = "https://shop.example/stats/".parse().unwrap();
    let daemon = Daemon::with(Config { public_url, ..Config::default() }).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    for (path, parts) in [
        ("/stats/healthz", (200, "ok")),
        ("/healthz", (200, "ok")),
        ("/readyz", (200, "ok")),
        ("/api/status", (404, "404 page not found")),
        ("/statsapi/status", (404, "404 page not found")),
        ("/stats/nothing", (404, "Not found")),
    ] {
        let reply = daemon.send(&get(path)).await;
        assert_eq!((reply.status, reply.body.trim_end()), parts, "{path}");
    }
    assert_eq!(daemon.send(&get("/stats/api/status")).await.status, 200);
    assert_eq!(daemon.post("/stats/ingest/event", "Origin: https://shop.example\r\n", r#"{"n":"x"}"#).await.status, 202);
}

#[tokio::test]
async fn bodies_of_sites_and_goals_are_read_like_those_of_events() {
    let daemon = Daemon::start().await;
    let body = r#"{"Domain":"a.example","DOMAIN":"b.example","hostnames":null,"Time_Zone":"Europe/Vienna","x":1}}trailing"#;
    let reply = daemon.post("/api/sites", &bearer(), body).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.body.contains(r#""domain":"b.example","hostnames":[],"time_zone":"Europe/Vienna""#), "{}", reply.body);
    let goals = "/api/sites/11111111-1111-4111-8111-111111111111/goals";
    let reply = daemon.post(goals, &bearer(), r#"{"NAME":"x","Name":"n","type":"event","value":"v"} {"name":"m"}"#).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert!(reply.body.contains(r#""name":"n","type":"event","value":"v""#), "{}", reply.body);
    for (path, body, refusal) in [
        ("/api/sites", r#"{"domain":1}"#, "Invalid request body"),
        ("/api/sites", "null", "Domain is required"),
        ("/api/sites", r#"{"hostnames":"a.example"}"#, "Invalid request body"),
        (goals, r#"{"name":["n"]}"#, "Invalid request body"),
        (goals, r#"{"name":null}"#, "Invalid goal data"),
    ] {
        assert_eq!(daemon.post(path, &bearer(), body).await.parts(), (400, refusal), "{body}");
    }
}
