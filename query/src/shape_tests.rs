#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Splits with columns for `keys`, and reads the shape back.
fn cut<'p>(properties: &'p str, keys: &[&str]) -> (Shape, Vec<(usize, &'p str)>) {
    let (mut shape, mut values) = (Vec::new(), Vec::new());
    split(properties, |key| keys.iter().position(|column| *column == key), &mut shape, &mut values);
    (ShapeEntries::read(shape).unwrap().shape, values)
}

fn together(shape: &Shape, values: &[(usize, &str)]) -> String {
    let mut text = String::new();
    shape.assemble(values.iter().map(|(_, value)| *value), &mut text);
    text
}

#[test]
fn values_with_a_column_leave_a_hole() {
    let mut shape = Vec::new();
    let mut values = vec![(7, "kept")];
    let properties = r#" {"plan" : "pro","n":{"plan":1}, "\u0062": [ 1 ] }"#;
    split(properties, |key| ["b", "plan"].iter().position(|column| *column == key), &mut shape, &mut values);
    assert_eq!(shape, b" {\"plan\" : \0,\"n\":{\"plan\":1}, \"\\u0062\": \0 }");
    assert_eq!(values, [(7, "kept"), (1, "\"pro\""), (0, "[ 1 ]")]);
}

#[test]
fn a_key_that_comes_twice_stays_whole() {
    let properties = r#"{"a":1,"b":2,"\u0061":3,"c":4}"#;
    let (shape, values) = cut(properties, &["a", "b", "c"]);
    assert_eq!(values, [(1, "2"), (2, "4")]);
    assert!(shape.holes().eq(["b", "c"]));
    assert_eq!(shape.value_text(&PropertyKey::parse("a").unwrap()).unwrap().as_deref(), Some("3"));
    assert_eq!(shape.value_text(&PropertyKey::parse("b").unwrap()).unwrap(), None);
}

#[test]
fn a_key_that_comes_twice_among_many_stays_whole() {
    let keys: Vec<String> = (0..40).map(|number| format!("k{number}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let entries: Vec<String> = keys.iter().chain(&keys[7..9]).map(|key| format!("\"{key}\":1")).collect();
    let properties = format!("{{{}}}", entries.join(","));
    let (shape, values) = cut(&properties, &keys);
    assert!(values.iter().map(|(column, _)| *column).eq((0..7).chain(9..40)));
    assert_eq!(together(&shape, &values), properties);
}

#[test]
fn text_that_is_no_object_is_kept_as_it_is() {
    for properties in ["[1]", "1", "\"k\"", "{", "{\"k\":}", "{\"k\":1}x", "{\"k\":\u{0}}", "\u{0}", "nonsense"] {
        let (shape, values) = cut(properties, &["k"]);
        assert_eq!(together(&shape, &values), properties);
        assert!(values.is_empty());
        assert!(shape.value_text(&PropertyKey::parse("k").unwrap()).is_err(), "{properties}");
        assert!(shape.for_each_key(|_| ()).is_err(), "{properties}");
    }
}

#[test]
fn bytes_that_are_no_shape_are_refused() {
    for bytes in [&b"\xff"[..], b"{\0:1}", b"{\"k\":[\0]}", b"{\"k\0\":1}", b"{\"k\":\0\0}", b"[\0]", b"{", b""] {
        assert!(ShapeEntries::read(bytes.to_vec()).is_none(), "{bytes:?}");
    }
}

const KEYS: [&str; 6] = ["plan", "a.b", "", "ä", "k\"", "\u{fffd}"];

/// Ways to write [`KEYS`], and others.
fn key() -> impl Strategy<Value = &'static str> {
    select(vec!["plan", "pl\\u0061n", "a.b", "", "ä", "\\u00e4", "k\\\"", "\\ud800", "\\u0000", "other"])
}

fn json() -> impl Strategy<Value = String> {
    let leaf = select(vec!["1", "-0.50e3", "\"\"", "\"pro\"", "\"p\\u0072o\\n\"", "true", "null", "[]", "{}", "{ }", "\"\\ud800\""]);
    leaf.prop_map(str::to_owned).prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..4), blank())
                .prop_map(|(items, blank)| format!("[{blank}{}{blank}]", items.join(&format!(" ,{blank}")))),
            object(inner),
        ]
    })
}

fn blank() -> impl Strategy<Value = &'static str> {
    select(vec!["", " ", "\n\t", "\r "])
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (prop::collection::vec((key(), value), 0..6), blank(), blank()).prop_map(|(entries, one, other)| {
        let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{one}\"{key}\"{other}:{one}{value}{other}")).collect();
        format!("{other}{{{one}{}}}{one}", entries.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_text_comes_back_and_says_the_same_in_parts(
        properties in object(json()),
        columns in prop::sample::subsequence(&KEYS[..], 0..=KEYS.len()),
    ) {
        let (shape, values) = cut(&properties, &columns);
        prop_assert_eq!(together(&shape, &values), properties.as_str());
        prop_assert!(shape.holes().eq(values.iter().map(|(column, _)| columns[*column])));
        let mut written = Vec::new();
        crate::property::for_each_key(&properties, |key| written.push(key.into_owned())).unwrap();
        for (column, key) in columns.iter().enumerate() {
            let is_cut = values.iter().any(|(cut, _)| *cut == column);
            prop_assert_eq!(is_cut, written.iter().filter(|written| written == key).count() == 1, "{}", key);
        }
        for path in ["plan", "plan.plan", "plan[0]", "plan[1].ä", "\"a.b\"", "\"\"", "ä", "ä.other", "\"k\\\"\"", "\u{fffd}", "other", "other.plan"] {
            let key = PropertyKey::parse(path).unwrap();
            let value = columns.iter().position(|column| *column == key.top()).and_then(|column| values.iter().find(|(cut, _)| *cut == column));
            let text = match value {
                Some((_, value)) => key.text_below(value).unwrap(),
                None => shape.value_text(&key).unwrap(),
            };
            prop_assert_eq!(text, key.value_text(&properties).unwrap(), "{}", path);
        }
        let mut keys = Vec::new();
        shape.for_each_key(|key| keys.push(key.into_owned())).unwrap();
        prop_assert_eq!(keys, written);
    }
}

#[test]
fn keys_that_stand_once_are_visited_with_their_places() {
    let visited = |bytes: &[u8]| {
        let read = ShapeEntries::read(bytes.to_vec()).unwrap();
        let mut visited = Vec::new();
        read.for_each_single(|key, at, is_hole| visited.push((key.to_owned(), read.shape.text()[at].to_owned(), is_hole)));
        visited
    };
    let entry = |key: &str, value: &str, is_hole| (key.to_owned(), value.to_owned(), is_hole);
    // "b" stands there twice, once with an escape.
    let shape = b"{\"c\": \0, \"b\":1,\"a\":[\"x\", 2],\"\\u0062\":2,\"\\\"\":\0,\"\":{}}";
    assert_eq!(visited(shape), [entry("c", "0", true), entry("a", r#"["x", 2]"#, false), entry("\"", "0", true), entry("", "{}", false)]);
    assert_eq!(visited(b"{}"), []);
    assert_eq!(visited(b"\0[1]"), []);
    assert_eq!(visited(br#"{"a":1,"a":2,"a":3}"#), []);
}
