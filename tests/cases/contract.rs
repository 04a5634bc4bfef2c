//! The recorded examples E1 to E11 of the wire contract, against the real binary.
//!
//! Each is as it was recorded, but for the differences that `docs/migrating.md` names; a case says which it meets.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use support::{Answer, Daemon, Event, Options, SITE_DOMAIN};

const SITE: &str = "11111111-1111-4111-8111-111111111111";
const SESSION_A: &str = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
const SESSION_B: &str = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb";
const SESSION_C: &str = "cccccccc-cccc-4ccc-8ccc-cccccccccccc";

/// What browsers may read of an answer, beyond the recorded headers.
const EXPOSED: &str = "Hitkeep-Sequence, Hitkeep-Duplicate, Hitkeep-Durable, Retry-After, RateLimit, RateLimit-Policy";

/// A daemon with the contract's site on it.
fn shop() -> (Daemon, String) {
    let daemon = Daemon::start();
    let site = daemon.as_owner("POST", "/api/sites", Some(&format!(r#"{{"id":"{SITE}","domain":"{SITE_DOMAIN}"}}"#)));
    assert_eq!((site.status, site.json()["id"].as_str()), (200, Some(SITE)), "{}", site.text());
    (daemon, SITE.to_owned())
}

/// A text error: the message, a newline, and the headers that go with every one.
#[track_caller]
fn assert_refused(answer: &Answer, status: u16, message: &str) {
    assert_eq!((answer.status, answer.text()), (status, format!("{message}\n").as_str()));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

/// A 202 is empty and has no content type.
#[track_caller]
fn assert_accepted(answer: &Answer) {
    assert_eq!((answer.status, answer.text()), (202, ""));
    assert_eq!(answer.header("content-length"), Some("0"));
    assert_eq!(answer.header("content-type"), None);
}

/// A 202 for something that was stored.
#[track_caller]
fn assert_stored(answer: &Answer) {
    assert_accepted(answer);
    assert!(answer.sequence().is_some(), "a stored event has a sequence: {:?}", answer.headers);
    assert_eq!(answer.header("hitkeep-durable"), None, "with --sync always there is nothing to add");
}

/// A 202 for something that a rule dropped: nothing promises that it is stored.
#[track_caller]
fn assert_dropped(answer: &Answer) {
    assert_accepted(answer);
    assert_eq!(answer.sequence(), None, "a dropped event has no sequence");
}

#[track_caller]
fn assert_json(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.text()), (status, format!("{body}\n").as_str()));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

/// The event of E4.
fn signup() -> Event {
    Event::new(" signup ")
        .with("url", "https://www.shop.example/checkout/done?x=1")
        .with("timestamp", "2026-03-01T02:30:00+02:00")
        .with("properties", serde_json::json!({"plan": "team", "seats": 5}))
        .with("session_id", SESSION_B)
}

#[test]
fn e1_a_preflight_allows_what_a_tracker_sends() {
    let (daemon, _) = shop();
    let asked = [
        ("Origin", "https://www.shop.example"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ];
    let answer = daemon.send("OPTIONS", "/ingest/event", &asked, None);
    assert_eq!(answer.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://www.shop.example"),
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "content-type"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "86400"),
        ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
}

#[test]
fn e1_a_preflight_for_anything_else_allows_nothing() {
    let (daemon, _) = shop();
    let origin = ("Origin", "https://shop.example");
    let method = ("Access-Control-Request-Method", "POST");
    for asked in [
        vec![origin, ("Access-Control-Request-Method", "DELETE")],
        vec![method],
        vec![origin, method, ("Access-Control-Request-Headers", "Content-Type")],
    ] {
        let answer = daemon.send("OPTIONS", "/ingest/event", &asked, None);
        assert_eq!(answer.status, 204, "{asked:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{asked:?}");
        assert_eq!(answer.header("vary"), Some("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"));
    }
    assert_eq!(daemon.send("OPTIONS", "/ingest/event", &[], None).status, 405);
}

#[test]
fn e2_a_browser_event_is_stored() {
    let (daemon, site) = shop();
    let body = format!(r#"{{"n":"signup","p":{{"plan":"pro"}},"r":null,"sid":"{SESSION_A}","tsrc":"hk.js","tv":""}}"#);
    let answer = daemon.send("POST", "/ingest/event", &[("Origin", "https://www.shop.example:8443")], Some(&body));
    assert_stored(&answer);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://www.shop.example:8443"));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.header("vary"), Some("Origin"));
    assert_eq!(answer.header("access-control-expose-headers"), Some(EXPOSED), "not in the recording");
    assert_eq!(daemon.read(&format!("/api/sites/{site}/events/names")), serde_json::json!(["signup"]));
}

#[test]
fn e3_the_browser_endpoint_refuses_in_the_recorded_order() {
    let (daemon, site) = shop();
    let valid = r#"{"n":"x"}"#;
    let post = |origin: Option<&str>, body: &str| {
        let headers: Vec<_> = origin.map(|origin| ("Origin", origin)).into_iter().collect();
        daemon.send("POST", "/ingest/event", &headers, Some(body))
    };

    let answer = post(None, valid);
    assert_refused(&answer, 400, "Origin header is required");
    assert_eq!(answer.header("vary"), Some("Origin"));
    assert_eq!(answer.header("access-control-allow-origin"), None);

    assert_dropped(&post(Some("https://nobody.example"), "{not json"));
    let answer = post(Some("null"), valid);
    assert_dropped(&answer);
    assert_eq!(answer.header("access-control-allow-origin"), Some("null"));
    assert_dropped(&post(Some("https://blog.shop.example"), valid));

    let answer = post(Some("https://shop.example"), r#"{"n":"x","p":["a"]}"#);
    assert_refused(&answer, 400, "Bad request body");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://shop.example"), "also on a 400");
    assert_refused(&post(Some("https://shop.example"), r#"{"n":"x","sid":"nope"}"#), 400, "Bad request body");

    let answer = daemon.send("GET", "/ingest/event", &[("Origin", "https://shop.example")], None);
    assert_refused(&answer, 405, "Method Not Allowed");
    assert_eq!(answer.header("allow"), Some("POST"));

    assert_eq!(daemon.read(&format!("/api/sites/{site}/events/names")), serde_json::json!([]));
}

#[test]
fn e4_a_server_event_is_stored_at_the_callers_time() {
    let (daemon, site) = shop();
    let answer = daemon.report(&signup());
    assert_stored(&answer);
    assert_eq!(answer.header("access-control-allow-origin"), None, "server endpoints send no CORS headers");
    let range = "from=2026-03-01T00:00:00Z&to=2026-03-01T01:00:00Z";
    let series = daemon.as_owner("GET", &format!("/api/sites/{site}/events/timeseries?event_name=signup&{range}"), None);
    let expected = r#"[{"time":"2026-03-01T00:00:00Z","count":1},{"time":"2026-03-01T01:00:00Z","count":0}]"#;
    assert_json(&series, 200, expected);
}

#[test]
fn e5_the_server_endpoint_refuses_in_the_recorded_order() {
    let (daemon, site) = shop();
    let path = "/api/ingest/server/event";
    assert_refused(&daemon.send("POST", path, &[], Some(&signup().text())), 401, "Unauthorized");
    let neither = signup().with("url", "/checkout").with("timestamp", "yesterday");
    for (event, status, message) in [
        (neither, 400, "url must be an absolute http or https URL"),
        (signup().with("timestamp", "2026-03-01 00:30:00Z"), 400, "timestamp must be RFC3339"),
        (signup().with("visitor_ip", "198.51.100.7:443"), 400, "visitor_ip must be a valid IP address"),
        (signup().with("user_agent", "  "), 400, "user_agent is required"),
        (signup().with("url", "https://nobody.example/").with("name", " "), 404, "Site not found"),
        (signup().with("name", " "), 400, "name is required"),
        (signup().with("dnt", true).with("name", ""), 400, "name is required"),
    ] {
        assert_refused(&daemon.report(&event), status, message);
    }
    assert_dropped(&daemon.report(&signup().with("dnt", true)));
    assert_eq!(daemon.count(&site, "signup"), 0);

    let key = daemon.token();
    assert_stored(&daemon.send("POST", path, &[("X-Api-Key", &key)], Some(&signup().text())));
    assert_eq!(daemon.count(&site, "signup"), 1);
}

/// The recording has 40 passes and no `Retry-After`; here a refusal says when to come back. The bucket refills
/// while the 40 are under way, so the time they took is allowed for.
#[test]
fn e6_the_forty_first_request_at_once_is_refused() {
    let daemon = Options::bare().start();
    daemon.create_site(SITE_DOMAIN);
    let (mut connection, token) = (daemon.connect(), daemon.token());
    let begun = Instant::now();
    let mut accepted = 0_u32;
    let refusal = loop {
        let answer = signup().send(&mut connection, &token).unwrap();
        if answer.status != 202 {
            break answer;
        }
        accepted += 1;
    };
    let refilled = (begun.elapsed().as_secs_f64() * 20.0).ceil();
    assert_refused(&refusal, 429, "Too Many Requests");
    assert!(accepted >= 40, "the burst is 40, and {accepted} passed");
    assert!(f64::from(accepted) <= 40.0 + refilled, "{accepted} passed, at most {refilled} more than the burst may");
    assert_eq!(refusal.header("retry-after"), Some("1"));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(signup().send(&mut connection, &token).unwrap().status, 202);
}

/// Recorded as 201 with an empty body; here the body is the goal, and no `Origin` is needed.
#[test]
fn e7_a_goal_is_made_and_listed() {
    let (daemon, site) = shop();
    let goals = format!("/api/sites/{site}/goals");
    assert_json(&daemon.as_owner("GET", &goals, None), 200, "[]");

    let made = daemon.as_owner("POST", &goals, Some(r#"{"name":"Sign-up","type":"event","value":"signup"}"#));
    assert_eq!(made.status, 201, "{}", made.text());
    let goal = made.json();
    let (id, created_at) = (goal["id"].as_str().unwrap(), goal["created_at"].as_str().unwrap());
    assert_eq!(made.header("location"), Some(format!("{goals}/{id}").as_str()));
    assert!(created_at.ends_with('Z') && created_at.len() >= 20, "{created_at}");

    let fields = r#""name":"Sign-up","type":"event","value":"signup""#;
    let listed = format!(r#"[{{"id":"{id}","site_id":"{site}",{fields},"created_at":"{created_at}"}}]"#);
    assert_json(&daemon.as_owner("GET", &goals, None), 200, &listed);

    let refused = daemon.as_owner("POST", &goals, Some(r#"{"name":"x","type":"click","value":"y"}"#));
    assert_refused(&refused, 400, "Invalid goal data");
    assert_refused(&daemon.send("GET", &goals, &[], None), 401, "Unauthorized");
}

/// The events of E8 and E9.
fn signups_of_a_morning() -> (Daemon, String) {
    let (daemon, site) = shop();
    for (session, time) in [(SESSION_A, "00:10"), (SESSION_A, "00:50"), (SESSION_B, "00:30"), (SESSION_A, "02:05"), (SESSION_C, "06:00")] {
        let event = Event::new("signup").with("timestamp", format!("2026-03-01T{time}:00Z")).with("session_id", session);
        assert_stored(&daemon.report(&event));
    }
    (daemon, site)
}

const MORNING: &str = "from=2026-03-01T00:00:00Z&to=2026-03-01T06:00:00Z";

/// Recorded without `total`. The goal is younger than the events it counts.
#[test]
fn e8_a_goal_series_counts_sessions_by_the_hour() {
    let (daemon, site) = signups_of_a_morning();
    let goal = daemon.create_goal(&site, "Sign-up", "signup");
    let point =
        |(hour, (conversions, total))| format!(r#"{{"time":"2026-03-01T0{hour}:00:00Z","conversions":{conversions},"total":{total}}}"#);
    let counts = [(2, 3), (0, 0), (1, 1), (0, 0), (0, 0), (0, 0), (0, 0)];
    let points: Vec<String> = counts.into_iter().enumerate().map(point).collect();
    let expected = format!("[{}]", points.join(","));
    let path = format!("/api/sites/{site}/goals/timeseries?{MORNING}");
    assert_json(&daemon.as_owner("GET", &format!("{path}&goal_id={goal}"), None), 200, &expected);
    assert_json(&daemon.as_owner("GET", &path, None), 200, &expected);
}

/// Not in the recording.
#[test]
fn e8_a_goal_series_by_goal_has_the_same_points() {
    let (daemon, site) = signups_of_a_morning();
    let goal = daemon.create_goal(&site, "Sign-up", "signup");
    let path = format!("/api/sites/{site}/goals/timeseries?{MORNING}");
    let summed = daemon.read(&path);
    let by_goal = daemon.read(&format!("{path}&group_by=goal"));
    assert_eq!(by_goal, serde_json::json!([{ "goal_id": goal, "name": "Sign-up", "points": summed }]));
}

/// Not in the recording.
#[test]
fn e8_a_goal_series_is_compared_when_both_ends_are_given() {
    let (daemon, site) = signups_of_a_morning();
    daemon.create_goal(&site, "Sign-up", "signup");
    let early = "from=2026-03-01T00:00:00Z&to=2026-03-01T01:00:00Z";
    let late = "from=2026-03-01T02:00:00Z&to=2026-03-01T03:00:00Z";
    let compare = "compare_from=2026-03-01T02:00:00Z&compare_to=2026-03-01T03:00:00Z";
    for report in ["goals/timeseries?", "goals/timeseries?group_by=goal&", "events/timeseries?event_name=signup&"] {
        let read = |query: &str| daemon.read(&format!("/api/sites/{site}/{report}{query}"));
        let expected = serde_json::json!({ "current": read(early), "comparison": read(late) });
        assert_eq!(read(&format!("{early}&{compare}")), expected, "{report}");
        for (query, message) in [
            ("compare_from=2026-03-01T02:00:00Z", "compare_to is required with compare_from"),
            ("compare_to=2026-03-01T02:00:00Z", "compare_from is required with compare_to"),
            ("compare_from=x&compare_to=2026-03-01T02:00:00Z", "Invalid compare_from"),
            ("compare_from=2026-03-01T02:00:00Z&compare_to=x", "Invalid compare_to"),
        ] {
            assert_refused(&daemon.as_owner("GET", &format!("/api/sites/{site}/{report}{early}&{query}"), None), 400, message);
        }
    }
}

/// Session a came from a newsletter on a phone, b directly on a desktop; c was never on a page.
fn visits_and_signups() -> (Daemon, String) {
    let (daemon, site) = shop();
    let pageview = |session: &str, url: &str, width: u32| {
        let view = Event::new("").without("name").with("session_id", session).with("url", url).with("viewport_width", width);
        assert_stored(&daemon.as_owner("POST", "/api/ingest/server/pageview", Some(&view.text())));
    };
    pageview(SESSION_A, "https://shop.example/?utm_source=news", 400);
    pageview(SESSION_A, "https://shop.example/pricing", 400);
    pageview(SESSION_B, "https://shop.example/", 1200);
    for (session, plan) in [(SESSION_A, "pro"), (SESSION_A, "team"), (SESSION_B, "pro"), (SESSION_C, "pro")] {
        let properties = serde_json::json!({"plan": plan, plan: {"a=b": 1.0}});
        assert_stored(&daemon.report(&Event::new("signup").with("session_id", session).with("properties", properties)));
    }
    (daemon, site)
}

/// Recorded for event reports alone, without `property:`.
#[test]
fn filters_hold_on_every_report() {
    let (daemon, site) = visits_and_signups();
    daemon.create_goal(&site, "Sign-up", "signup");
    let range = "from=2026-03-01T00:00:00Z&to=2026-03-01T01:30:00Z";
    // Sessions and occurrences of sign-ups, and the plans.
    for (filter, sessions, total, plans) in [
        ("", 3, 4, "pro 3, team 1"),
        ("filter=utm_source:news", 1, 2, "pro 1, team 1"),
        ("filter=UTM_source:news&filter=path:/pricing", 1, 2, "pro 1, team 1"),
        ("filter=utm_source:news&filter=device:Desktop", 0, 0, ""),
        ("filter=device:Desktop", 1, 1, "pro 1"),
        ("dimension_key=device&dimension_value=mobile", 1, 2, "pro 1, team 1"),
        ("filter_type=path&filter_value=/", 2, 3, "pro 2, team 1"),
        ("filter=path:/checkout/done", 3, 4, "pro 3, team 1"),
        ("filter=referrer:(Direct)", 2, 3, "pro 2, team 1"),
        ("filter=property:plan=pro", 3, 3, "pro 3"),
        ("filter=property:plan=pro&filter=device:Mobile", 1, 1, "pro 1"),
        ("filter=property:team.%22a%3Db%22=1", 1, 1, "team 1"),
        ("filter=path:/nowhere", 0, 0, ""),
    ] {
        let read = |report: &str| daemon.read(&format!("/api/sites/{site}/{report}{range}&{filter}"));
        let first = |series: &serde_json::Value, field: &str| series[0][field].as_u64().unwrap();
        let goals = read("goals/timeseries?");
        assert_eq!((first(&goals, "conversions"), first(&goals, "total")), (sessions, total), "{filter}");
        assert_eq!(read("goals/timeseries?group_by=goal&")[0]["points"], goals, "{filter}");
        assert_eq!(first(&read("events/timeseries?event_name=signup&"), "count"), total, "{filter}");
        let names: &[&str] = if total > 0 { &["signup"] } else { &[] };
        assert_eq!(read("events/names?"), serde_json::json!(names), "{filter}");
        let of_plan = |plan: &str| plans.contains(plan).then(|| plan.to_owned());
        let mut keys: Vec<String> = ["pro", "team"].into_iter().filter_map(of_plan).collect();
        keys.insert(0, "plan".to_owned());
        keys.truncate(if plans.is_empty() { 0 } else { keys.len() });
        keys.sort();
        assert_eq!(read("events/properties?event_name=signup&"), serde_json::json!(keys), "{filter}");
        let rows = read("events/breakdown?event_name=signup&property_key=plan&");
        let row = |row: &serde_json::Value| format!("{} {}", row["name"].as_str().unwrap(), row["value"]);
        assert_eq!(rows.as_array().unwrap().iter().map(row).collect::<Vec<_>>().join(", "), plans, "{filter}");
    }
    for report in ["goals/timeseries?", "events/names?", "events/properties?event_name=signup&", "events/timeseries?event_name=signup&"] {
        for (filter, message) in [
            ("filter=path", "invalid filter format"),
            ("filter=nothing:x", "invalid filter type"),
            ("filter=city:Graz", "city, provider and asn are not recorded"),
            ("dimension_key=path", "filter type and value are required together"),
            ("filter=property:a..b=x", "invalid property key in filter"),
        ] {
            assert_refused(&daemon.as_owner("GET", &format!("/api/sites/{site}/{report}{range}&{filter}"), None), 400, message);
        }
    }
}

/// Not in the recording.
#[test]
fn a_goal_counts_what_has_its_properties() {
    let (daemon, site) = visits_and_signups();
    let goals = format!("/api/sites/{site}/goals");
    let range = "from=2026-03-01T00:00:00Z&to=2026-03-01T01:00:00Z";
    let counts = |query: &str| {
        let series = daemon.read(&format!("{goals}/timeseries?{range}{query}"));
        (series[0]["conversions"].as_u64().unwrap(), series[0]["total"].as_u64().unwrap())
    };
    let body = r#"{"name":"Pro","type":"event","value":"signup","where":[{"key":"plan","value":"pro"}]}"#;
    let made = daemon.as_owner("POST", &goals, Some(body));
    assert_eq!(made.status, 201, "{}", made.text());
    let goal = made.json();
    assert!(made.text().contains(r#""value":"signup","where":[{"key":"plan","value":"pro"}],"created_at""#), "{}", made.text());
    assert_eq!(daemon.read(&goals), serde_json::json!([goal]));
    assert_eq!((counts(""), counts("&filter=device:Mobile")), ((3, 3), (1, 1)));

    let path = format!("{goals}/{}", goal["id"].as_str().unwrap());
    let two = r#"[{"key":"plan","value":"team"},{"key":"team.\"a=b\"","value":"1"}]"#;
    let changed = daemon.as_owner("PUT", &path, Some(&format!(r#"{{"name":"Team","type":"event","value":"signup","where":{two}}}"#)));
    assert_eq!((changed.status, &changed.json()["where"]), (200, &serde_json::from_str(two).unwrap()));
    assert_eq!(counts(""), (1, 1));
    let daemon = daemon.kill().start();
    let series = daemon.read(&format!("{goals}/timeseries?{range}"));
    assert_eq!(series[0]["total"], 1, "a start knows the conditions");
    daemon.as_owner("PUT", &path, Some(r#"{"name":"All","type":"event","value":"signup"}"#));
    assert_eq!(daemon.read(&goals)[0].get("where"), None, "a change without conditions takes them away");

    let many = serde_json::json!(vec![serde_json::json!({"key": "a", "value": "b"}); 9]).to_string();
    for (conditions, message) in [
        (many.as_str(), "where must have at most 8 conditions"),
        (r#"[{"key":"a"}]"#, "key and value are required in where"),
        (r#"[{"key":"","value":"b"}]"#, "Invalid key in where"),
        (r#"[{"key":"a","value":5}]"#, "Invalid request body"),
        (r#"{"key":"a"}"#, "Invalid request body"),
    ] {
        let body = format!(r#"{{"name":"x","type":"event","value":"y","where":{conditions}}}"#);
        assert_refused(&daemon.as_owner("POST", &goals, Some(&body)), 400, message);
    }
}

#[test]
fn e9_an_event_series_counts_occurrences_to_the_last_instant() {
    let (daemon, site) = signups_of_a_morning();
    let point = |(hour, count)| format!(r#"{{"time":"2026-03-01T0{hour}:00:00Z","count":{count}}}"#);
    let points: Vec<String> = [3, 0, 1, 0, 0, 0, 1].into_iter().enumerate().map(point).collect();
    let path = format!("/api/sites/{site}/events/timeseries?event_name=signup&{MORNING}");
    assert_json(&daemon.as_owner("GET", &path, None), 200, &format!("[{}]", points.join(",")));
}

#[test]
fn e10_the_span_chooses_the_unit() {
    let (daemon, site) = signups_of_a_morning();
    let times = |from: &str, to: &str| {
        let range = format!("from=2026-{from}:00:00Z&to=2026-{to}:00:00Z");
        let series = daemon.read(&format!("/api/sites/{site}/events/timeseries?event_name=signup&{range}"));
        let time = |point: &serde_json::Value| point["time"].as_str().unwrap().to_owned();
        series.as_array().unwrap().iter().map(time).collect::<Vec<_>>()
    };
    let midnight = |day: &str| format!("2026-{day}T00:00:00Z");
    let days = ["02-01", "02-02", "02-03"].map(midnight);
    assert_eq!(times("02-01T00", "02-03T00"), days, "48 hours are a series of days");
    assert_eq!(times("02-01T00", "02-02T23").len(), 48, "47 hours are a series of hours");
    let months = ["01-01", "02-01", "03-01", "04-01", "05-01", "06-01"].map(midnight);
    assert_eq!(times("01-01T00", "06-30T00"), months, "180 days are a series of months");
}

/// Recorded without `total`.
#[test]
fn e11_names_keys_and_values_are_listed() {
    let (daemon, site) = shop();
    let pro = serde_json::json!({"plan": "pro"});
    for (name, properties, session) in [
        ("signup", &pro, SESSION_A),
        ("signup", &pro, SESSION_A),
        ("signup", &pro, SESSION_B),
        ("signup", &serde_json::json!({"plan": "team", "seats": 5}), SESSION_C),
        ("download", &serde_json::json!({"file": {"ext": "pdf"}}), SESSION_A),
    ] {
        let event = Event::new(name).with("properties", properties.clone()).with("session_id", session);
        assert_stored(&daemon.report(&event));
    }
    let ask = |report: &str, query: &str| {
        let range = "from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z";
        daemon.as_owner("GET", &format!("/api/sites/{site}/events/{report}?{range}{query}"), None)
    };
    assert_json(&ask("names", ""), 200, r#"["download","signup"]"#);
    assert_json(&ask("properties", "&event_name=signup"), 200, r#"["plan","seats"]"#);
    let plans = r#"[{"name":"pro","value":2,"total":3},{"name":"team","value":1,"total":1}]"#;
    for (query, expected) in [
        ("&event_name=signup&property_key=plan", plans),
        ("&event_name=signup&property_key=seats", r#"[{"name":"5","value":1,"total":1}]"#),
        ("&event_name=download&property_key=file.ext", r#"[{"name":"pdf","value":1,"total":1}]"#),
    ] {
        assert_json(&ask("breakdown", query), 200, expected);
    }
    assert_refused(&ask("breakdown", "&event_name=signup"), 400, "event_name and property_key are required");
}
