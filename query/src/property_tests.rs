#![allow(clippy::unwrap_used)]

use super::*;

fn value(key: &str, properties: &str) -> Option<String> {
    PropertyKey::parse(key).unwrap().value_text(properties).unwrap().map(Cow::into_owned)
}

#[test]
fn a_path_leads_to_keys_items_and_keys_with_dots() {
    let properties = r#" { "plan" : "pro", "file": {"ext": "pdf", "sizes": [1, [2.50, 3]]}, "a.b": 7, "two words": true,
        "q\"uote": "x", "": "empty", "plän": "ö" } "#;
    for (key, text) in [
        ("plan", "pro"),
        ("file.ext", "pdf"),
        ("file.sizes[0]", "1"),
        ("file.sizes[1][0]", "2.5"),
        ("\"a.b\"", "7"),
        ("\"file\".\"ext\"", "pdf"),
        ("two words", "true"),
        ("\"q\\\"uote\"", "x"),
        ("\"\"", "empty"),
        ("plän", "ö"),
    ] {
        assert_eq!(value(key, properties).as_deref(), Some(text), "{key}");
    }
    for key in ["Plan", "a", "a.b", "file.sizes[2]", "file.sizes.0", "file[0]", "plan.x", "plan[0]", "file.sizes[99999999999999999999]"] {
        assert_eq!(value(key, properties), None, "{key}");
    }
    assert_eq!(value("plan", ""), None);
}

#[test]
fn a_malformed_key_names_the_byte_that_is_wrong() {
    for (key, wrong) in [
        ("", 0),
        (".", 0),
        ("a.", 2),
        ("a..b", 2),
        (".a", 0),
        ("*", 0),
        ("a.*", 2),
        ("a*", 1),
        ("a[*]", 2),
        ("a[]", 2),
        ("a[-1]", 2),
        ("a[+1]", 2),
        ("a[1", 1),
        ("a[1]b", 4),
        ("[0]", 0),
        ("a]", 1),
        ("a\"b\"", 1),
        ("\"a", 0),
        ("\"a\"b", 3),
        ("\"a\\n\"", 0),
    ] {
        match PropertyKey::parse(key) {
            Err(Error::BadPropertyKey { at }) => assert_eq!(at, wrong, "{key}"),
            other => panic!("{key}: {other:?}"),
        }
    }
}

#[test]
fn values_have_the_contracts_text() {
    for (json, text) in [
        (r#""a\u00e4\n""#, Some("aä\n")),
        (r#""""#, Some("")),
        ("49.90", Some("49.9")),
        ("1e21", Some("1e+21")),
        ("false", Some("false")),
        ("null", None),
        ("{}", Some("{}")),
        ("[ ]", Some("[]")),
        (r#"{ "b": [1.0, null, "\u0041\"" ], "a" : { "y":true , "x" : 1e2 } }"#, Some(r#"{"a":{"x":100,"y":true},"b":[1,null,"A\""]}"#)),
        (r#"{"a":1,"b":2,"\u0061":3}"#, Some(r#"{"a":3,"b":2}"#)),
    ] {
        assert_eq!(value("k", &format!("{{\"k\":{json}}}")).as_deref(), text, "{json}");
    }
}

#[test]
fn the_last_of_two_equal_keys_counts() {
    assert_eq!(value("k", r#"{"k":1,"k":2}"#).as_deref(), Some("2"));
    assert_eq!(value("k", r#"{"k":1,"\u006b":null}"#), None);
    assert_eq!(value("k.x", r#"{"k":{"x":1},"k":{}}"#), None);
}

#[test]
fn half_a_surrogate_pair_spoils_neither_its_value_nor_its_neighbours() {
    let properties = r#"{"\ud800":1,"k":"\udfff","n":{"\ud800":"\ud800"}}"#;
    assert_eq!(value("k", properties).as_deref(), Some("\u{fffd}"));
    assert_eq!(value("\u{fffd}", properties).as_deref(), Some("1"));
    assert_eq!(value("n", properties).as_deref(), Some("{\"\u{fffd}\":\"\u{fffd}\"}"));
}

#[test]
fn properties_that_are_no_object_are_an_error() {
    for properties in ["[1]", "1", "\"k\"", "null", "{", "{\"k\":}", "{\"k\":1}x", "nonsense"] {
        assert!(PropertyKey::parse("k").unwrap().value_text(properties).is_err(), "{properties}");
        assert!(for_each_key(properties, |_| ()).is_err(), "{properties}");
    }
}

#[test]
fn nesting_beyond_the_depth_ends_neither_the_stack_nor_the_answer() {
    let deep = format!("{{\"k\":{}1{}}}", "{\"k\": ".repeat(20_000), "}".repeat(20_000));
    let text = value("k", &deep).unwrap();
    assert!(text.starts_with(&format!("{}{{\"k\": {{", "{\"k\":".repeat(MAX_DEPTH))));
    let deep = format!("{{\"k\":{}{}}}", "[ ".repeat(100_000), "]".repeat(100_000));
    let text = value("k", &deep).unwrap();
    assert_eq!(text[..MAX_DEPTH + 3], format!("{}[ [", "[".repeat(MAX_DEPTH)));
    assert_eq!(value(&format!("k{}", "[0]".repeat(MAX_DEPTH)), &deep).unwrap().len(), text.len() - MAX_DEPTH * 2 - MAX_DEPTH);
}

#[test]
fn keys_are_visited_in_order_with_escapes_read() {
    let mut keys = Vec::new();
    for_each_key(r#"{"b":null,"\u0061":{"c":1},"b":[2]}"#, |key| keys.push(key.into_owned())).unwrap();
    assert_eq!(keys, ["b", "a", "b"]);
}
