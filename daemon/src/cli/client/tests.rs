#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::net::TcpListener;

use super::*;
use crate::cli::stub::{Stub, Told};

const TOKEN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

fn at(url: &str) -> ClientFlags {
    ClientFlags { url: Some(url.to_owned()), ..ClientFlags::default() }
}

fn answering(told: Told) -> Stub {
    Stub::new(move |_| told.clone())
}

/// The refusal of a request with [`TOKEN`], which no message may hold.
fn refusal(stub: &Stub) -> String {
    let client = Client::new(&at(&stub.url), &environment(&[("HITKEEP_TOKEN", TOKEN)])).unwrap();
    let message = client.get(&["api", "sites"], &[]).unwrap_err().to_string();
    assert!(!message.contains(TOKEN));
    message
}

#[test]
fn the_token_travels_as_a_bearer_and_segments_and_queries_are_escaped() {
    let stub = answering((200, "", "[]".to_owned()));
    let client = Client::new(&at(&format!("{}/prefix/", stub.url)), &environment(&[("HITKEEP_TOKEN", TOKEN)])).unwrap();
    client.get(&["api", "a/b"], &[("tz", "America/New_York"), ("q", "a&b")]).unwrap();
    client.send(Method::POST, &["api"], &serde_json::json!({"a": 1})).unwrap();
    let asked = stub.asked();
    assert_eq!(asked[0].line, "GET /prefix/api/a%2Fb?tz=America%2FNew_York&q=a%26b");
    assert!(asked[0].headers.contains(&format!("authorization: bearer {TOKEN}")));
    assert_eq!((asked[1].line.as_str(), asked[1].body.as_str()), ("POST /prefix/api", r#"{"a":1}"#));
}

#[test]
fn flags_win_over_variables_and_variables_over_the_settings() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in ["flag", "variable", "admin.token"] {
        fs::write(path(name), format!("token-of-{name}\n")).unwrap();
    }
    let token = |flags: ClientFlags, variables: &[(&str, &str)]| match Client::new(&flags, &environment(variables)).unwrap().token {
        Token::Given { secret, .. } => secret.expose().to_owned(),
        Token::Missing { path, .. } => path.display().to_string(),
    };
    let data = directory.path().to_str().unwrap();
    let variable = path("variable");
    let all = [("HITKEEP_TOKEN", "token-itself"), ("HITKEEP_TOKEN_FILE", variable.to_str().unwrap()), ("HITKEEP_DATA_PATH", data)];
    let flagged = ClientFlags { token_file: Some(path("flag")), ..ClientFlags::default() };
    assert_eq!(token(flagged, &all), "token-of-flag");
    assert_eq!(token(ClientFlags::default(), &all), "token-itself");
    assert_eq!(token(ClientFlags::default(), &all[1..]), "token-of-variable");
    assert_eq!(token(ClientFlags::default(), &all[2..]), "token-of-admin.token");
    let pointed = ClientFlags { data_path: Some(data.to_owned()), ..ClientFlags::default() };
    assert_eq!(token(pointed, &[]), "token-of-admin.token");
    let named = [("HITKEEP_ADMIN_TOKEN_FILE", variable.to_str().unwrap())];
    assert_eq!(token(ClientFlags::default(), &named), "token-of-variable");
    assert_eq!(token(ClientFlags { data_path: Some("/nowhere".to_owned()), ..ClientFlags::default() }, &[]), "/nowhere/admin.token");

    let url = |flags: ClientFlags, variables: &[(&str, &str)]| Client::new(&flags, &environment(variables)).unwrap().shown_url();
    let both = [("HITKEEP_URL", "http://v.example"), ("HITKEEP_PUBLIC_URL", "http://p.example/hk")];
    assert_eq!(url(at("https://f.example/"), &both), "https://f.example");
    assert_eq!(url(ClientFlags::default(), &both), "http://v.example");
    assert_eq!(url(ClientFlags::default(), &both[1..]), "http://p.example/hk");
    assert_eq!(url(ClientFlags::default(), &[]), "http://127.0.0.1:8080");
}

#[test]
fn settings_that_are_not_needed_are_not_read() {
    let broken = environment(&[("HITKEEP_TOKEN", TOKEN), ("HITKEEP_SYNC", "sometimes")]);
    assert!(Client::new(&at("http://127.0.0.1:1"), &broken).is_ok());
    assert!(Client::new(&ClientFlags::default(), &broken).is_err());
}

#[test]
fn a_daemon_that_is_not_there_is_named_with_what_to_do() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new(&at(&format!("http://{closed}")), &environment(&[("HITKEEP_TOKEN", TOKEN)])).unwrap();
    let message = client.get(&["api", "sites"], &[]).unwrap_err().to_string();
    let expected =
        format!("no daemon answers at http://{closed}: is it running? Start it with `hitkeepd serve`, or name another one with --url");
    assert_eq!(message, expected);
}

#[test]
fn a_refused_token_is_named_by_its_source_and_not_by_its_value() {
    let unknown = refusal(&answering((401, "", "Unauthorized\n".to_owned())));
    assert!(unknown.starts_with("the daemon does not know the token from HITKEEP_TOKEN: give one with --token-file"), "{unknown}");
    let denied = refusal(&answering((403, "", "Access denied\n".to_owned())));
    assert!(denied.starts_with("the token from HITKEEP_TOKEN may not do this (Access denied):"), "{denied}");
    let stub = answering((401, "", "Unauthorized\n".to_owned()));
    let flags = ClientFlags { data_path: Some("/nowhere".to_owned()), ..at(&stub.url) };
    let missing = Client::new(&flags, &environment(&[])).unwrap().get(&["api", "sites"], &[]).unwrap_err().to_string();
    assert!(missing.starts_with("the daemon wants a token, and /nowhere/admin.token cannot be read (No such file"), "{missing}");
    assert!(!stub.asked()[0].headers.contains("authorization"));
}

#[test]
fn refusals_and_strangers_are_shown_on_one_line() {
    let conflict = refusal(&answering((409, "", "Failed to\u{1b}[2J create\n".to_owned())));
    assert_eq!(conflict, "the daemon refuses: Failed to [2J create (status 409)");
    let stranger = refusal(&answering((200, "", "<html>".to_owned())));
    assert!(stranger.ends_with("is not hitkeepd (an answer that is not JSON): is --url right?"), "{stranger}");
    let moved = answering((302, "Location: http://127.0.0.1:1/\r\n", String::new()));
    assert!(refusal(&moved).contains("a redirect, status 302"));
    assert_eq!(moved.asked().len(), 1);
}

#[test]
fn the_pause_a_daemon_asks_for_is_read() {
    for (header, pause) in [("Retry-After: 7\r\n", Some(7)), ("Retry-After: soon\r\n", None), ("", None)] {
        let stub = answering((503, header, String::new()));
        let client = Client::new(&at(&stub.url), &environment(&[("HITKEEP_TOKEN", TOKEN)])).unwrap();
        let answer = client.post_lines(None, b"x\n").unwrap();
        assert_eq!(answer.retry_after, pause.map(Duration::from_secs));
    }
}

#[test]
fn what_is_no_url_or_no_token_is_refused_before_anything_is_sent() {
    for bad in ["127.0.0.1:8080", "ftp://example.com", "http://", "http://a/?b"] {
        let message = Client::new(&at(bad), &environment(&[("HITKEEP_TOKEN", TOKEN)])).err().unwrap().to_string();
        assert!(message.starts_with(&format!("bad value `{bad}` for --url")), "{message}");
    }
    let with_password = Client::new(&at("http://me:secret@example.com"), &environment(&[("HITKEEP_TOKEN", TOKEN)])).err().unwrap();
    assert!(!with_password.to_string().contains("secret"));
    let two_lines = Client::new(&at("http://a"), &environment(&[("HITKEEP_TOKEN", "se cret\nx")])).err().unwrap().to_string();
    assert_eq!(two_lines, "HITKEEP_TOKEN does not hold a token: a token is one line of 64 hexadecimal digits");
    let flags = ClientFlags { token_file: Some("/nowhere/token".into()), ..at("http://a") };
    assert_eq!(Client::new(&flags, &environment(&[])).err().unwrap().to_string(), "cannot read the token file /nowhere/token");
}
