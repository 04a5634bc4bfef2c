//! The browser endpoints: the recorded examples E1 to E3, and what a record holds of a body.

use super::*;
use crate::appender::double::Mood;

const ORIGIN: &str = "Origin: https://shop.example\r\n";
const SESSION: &str = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";

#[tokio::test]
async fn e1_a_preflight_is_answered() {
    let daemon = Daemon::start().await;
    let reply = daemon
        .send(
            "OPTIONS /ingest/event HTTP/1.1\r\nHost: x\r\nOrigin: https://www.shop.example\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n",
        )
        .await;
    assert_eq!(reply.parts(), (204, ""));
    for (name, value) in [
        ("access-control-allow-origin", "https://www.shop.example"),
        ("access-control-allow-methods", "post"),
        ("access-control-allow-headers", "content-type"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "86400"),
    ] {
        assert_eq!(reply.header(name), Some(value));
    }
}

#[tokio::test]
async fn e2_a_browser_event_is_stored() {
    let daemon = Daemon::start().await;
    let body = format!(r#"{{"n":"signup","p":{{"plan":"pro"}},"r":null,"sid":"{SESSION}","tsrc":"hk.js","tv":""}}"#);
    let reply = daemon.post("/ingest/event", "Origin: https://www.shop.example:8443\r\n", &body).await;
    assert_eq!(reply.parts(), (202, ""));
    assert_eq!(reply.header("content-length"), Some("0"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://www.shop.example:8443"));
    assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
    let exposed = "hitkeep-sequence, hitkeep-duplicate, hitkeep-durable, retry-after, ratelimit, ratelimit-policy";
    assert_eq!(reply.header("access-control-expose-headers"), Some(exposed));
    assert_eq!(reply.header("vary"), Some("origin"));
    assert_eq!(reply.header("hitkeep-sequence"), Some("1"));
    assert_eq!((reply.header("hitkeep-duplicate"), reply.header("hitkeep-durable")), (None, None));
    daemon.stored(|record| {
        assert_eq!((record.kind, record.source, record.site), (format::Kind::Event, format::Source::Browser, SITE));
        assert_eq!((record.name, record.properties), ("signup", r#"{"plan":"pro"}"#));
        assert_eq!(record.session.map(|id| id.bytes()[0]), Some(0xaa));
        assert_eq!((record.host, record.path, record.referrer), (Some("www.shop.example"), None, None));
        assert_eq!((record.tracker_source, record.tracker_version), (Some("hk.js"), None));
        assert_eq!(record.time, record.received);
    });
}

#[tokio::test]
async fn e3_refusals_come_in_the_order_of_the_contract() {
    let daemon = Daemon::start().await;
    for (lines, body, parts) in [
        ("", r#"{"n":"x"}"#, (400, "Origin header is required")),
        ("Origin: \r\n", r#"{"n":"x"}"#, (400, "Origin header is required")),
        ("Origin: https://sh op\r\n", r#"{"n":"x"}"#, (400, "Invalid Origin header")),
        ("Origin: https://nobody.example\r\n", "{not json", (202, "")),
        ("Origin: null\r\n", r#"{"n":"x"}"#, (202, "")),
        ("Origin: https://blog.shop.example\r\n", r#"{"n":"x"}"#, (202, "")),
        (ORIGIN, r#"{"n":"x","p":["a"]}"#, (400, "Bad request body")),
        (ORIGIN, r#"{"n":"x","sid":"nope"}"#, (400, "Bad request body")),
        (ORIGIN, "{not json", (400, "Bad request body")),
        (ORIGIN, "null", (400, "name is required")),
        (ORIGIN, r#"{"n":"x","p":{"a":1e999}}"#, (400, "Bad request body")),
        (ORIGIN, r#"{"n":"x","age":86400001}"#, (400, "age must be between 0 and 86400000 milliseconds")),
    ] {
        let reply = daemon.post("/ingest/event", lines, body).await;
        assert_eq!(reply.parts(), parts, "{lines}{body}");
        assert_eq!(reply.header("vary"), Some("origin"));
        assert_eq!(reply.header("access-control-allow-origin").is_some(), lines.len() > "Origin: \r\n".len(), "{lines}");
        assert_eq!(reply.header("hitkeep-sequence"), None);
    }
    assert!(daemon.double.records().is_empty());
}

#[tokio::test]
async fn another_method_is_told_which_one_there_is() {
    let daemon = Daemon::start().await;
    for path in ["/ingest", "/ingest/event"] {
        for method in ["GET", "PUT", "OPTIONS"] {
            let reply = daemon.send(&format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{ORIGIN}\r\n")).await;
            assert_eq!(reply.parts(), (405, "Method Not Allowed"));
            assert_eq!(reply.header("allow"), Some("post"));
        }
        let reply = daemon.post(path, "Sec-Fetch-Mode: navigate\r\nOrigin: https://shop.example\r\n", "{}").await;
        assert_eq!(reply.parts(), (404, "Not found"));
    }
}

#[tokio::test]
async fn what_nobody_looks_at_is_left_out() {
    let daemon = Daemon::start().await;
    let reply = daemon.post("/ingest/event", &format!("{ORIGIN}Sec-Purpose: prefetch;prerender\r\n"), r#"{"n":"x"}"#).await;
    assert_eq!((reply.parts(), reply.header("hitkeep-sequence")), ((202, ""), None));
    assert!(daemon.double.records().is_empty());
}

#[tokio::test]
async fn an_event_keeps_all_that_its_body_says() {
    let daemon = Daemon::start().await;
    let body = r#"{"N":"\ud83d a\u0000b","p":{"x":"\u0000","n":49.90},"r":"https://r.example/?q","sid":"00000000-0000-0000-0000-000000000000",
        "eid":"e-1","age":1500.5,"path":"/cart?utm_source=x#top","ua":"Mozilla","tsrc":"npm","tv":"1.2","more":[[[]]]} trailing"#;
    assert_eq!(daemon.post("/ingest/event", ORIGIN, body).await.parts(), (202, ""));
    daemon.stored(|record| {
        assert_eq!((record.name, record.properties), ("\u{fffd} a\0b", r#"{"x":"\u0000","n":49.90}"#));
        assert_eq!((record.path, record.query, record.utm_source), (Some("/cart"), Some("utm_source=x"), Some("x")));
        assert_eq!((record.referrer, record.user_agent), (Some("https://r.example/?q"), Some("Mozilla")));
        assert_eq!((record.event_id, record.session), (Some("e-1"), None));
        assert_eq!((record.tracker_source, record.tracker_version), (Some("npm"), Some("1.2")));
        assert_eq!(record.received.micros() - record.time.micros(), 1_500_500);
    });
}

#[tokio::test]
async fn a_pageview_keeps_all_that_its_body_says() {
    let daemon = Daemon::start().await;
    let body = format!(
        r#"{{"path":"/a","referrer":"{}","ua":"Mozilla","vp_w":360,"vp_h":640,"sc_w":-1,"sc_h":99999999999,"lang":"de-CH","u_src":"s","u_med":"m",
        "u_cmp":"c","u_trm":"t","u_cnt":"","qr":"bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb","unique":true,"session_id":"{SESSION}","page_id":"{SESSION}",
        "tsrc":"hk.js","tv":"3"}}"#,
        "r".repeat(3000),
    );
    let reply = daemon.post("/ingest", ORIGIN, &body).await;
    assert_eq!((reply.parts(), reply.header("hitkeep-sequence")), ((202, ""), Some("1")));
    daemon.stored(|record| {
        assert_eq!((record.kind, record.name, record.properties), (format::Kind::Pageview, "", ""));
        assert_eq!(
            (record.path, record.host, record.user_agent, record.language),
            (Some("/a"), Some("shop.example"), Some("Mozilla"), Some("de-CH"))
        );
        assert_eq!(record.referrer.map(str::len), Some(2048));
        assert_eq!(
            (record.viewport_width, record.viewport_height, record.screen_width, record.screen_height),
            (Some(360), Some(640), None, None)
        );
        assert_eq!((record.utm_source, record.utm_medium, record.utm_campaign), (Some("s"), Some("m"), Some("c")));
        assert_eq!((record.utm_term, record.utm_content), (Some("t"), None));
        assert_eq!((record.qr.map(|id| id[0]), record.session.map(|id| id.bytes()[0])), (Some(0xbb), Some(0xaa)));
        assert!(record.page.is_some());
    });
    let reply = daemon.post("/ingest", ORIGIN, r#"{"path":"/a?utm_source=q&utm_medium=q","u_src":"s","qr":"nope"}"#).await;
    assert_eq!(reply.header("hitkeep-sequence"), Some("2"), "a broken QR id is no reason to lose a pageview");
    let of_query = |record: &Record<'_>| (record.qr, record.utm_source.map(str::to_owned), record.utm_medium.map(str::to_owned));
    assert_eq!(
        daemon.stored(of_query)[1],
        (None, Some("s".to_owned()), Some("q".to_owned())),
        "the query fills what the tracker leaves out"
    );
}

#[tokio::test]
async fn what_the_appender_says_is_what_the_client_hears() {
    let daemon = Daemon::start().await;
    daemon.post("/ingest/event", ORIGIN, r#"{"n":"x"}"#).await;
    for (mood, parts, headers) in [
        (Mood::Knows, (202, ""), &[("hitkeep-sequence", "1"), ("hitkeep-duplicate", "true")][..]),
        (Mood::Lazy, (202, ""), &[("hitkeep-sequence", "2"), ("hitkeep-durable", "no")]),
        (Mood::Full, (507, "Insufficient storage"), &[("retry-after", "30")]),
        (Mood::Fails, (503, "Outcome unknown"), &[]),
    ] {
        daemon.double.set(mood);
        let reply = daemon.post("/ingest/event", ORIGIN, r#"{"n":"x"}"#).await;
        assert_eq!(reply.parts(), parts);
        assert_eq!(reply.header("access-control-allow-origin"), Some("https://shop.example"));
        for (name, value) in headers {
            assert_eq!(reply.header(name), Some(*value));
        }
    }
    daemon.state.appender.stop();
    let reply = daemon.post("/ingest/event", ORIGIN, r#"{"n":"x"}"#).await;
    assert_eq!(reply.parts(), (503, "Service not ready"));
}
