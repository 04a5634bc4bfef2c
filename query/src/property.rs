//! Paths to properties, and the text of a property's value.
//!
//! Records keep the JSON text they came with. Values are compared and shown as the wire contract writes them: strings as they are,
//! numbers as IEEE doubles, `true` and `false`, nested values as compact JSON with sorted keys. Where a key comes twice its last
//! value counts.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::Error;
use crate::text::{number_text, string_text, write_json_string};

/// How deep a nested value is put into its compact form; deeper parts stay as they were written.
///
/// The depth that serde_json accepts by default. Whoever accepts events sets a lower one; this bounds the stack by itself.
const MAX_DEPTH: usize = 128;

/// Where in an event's properties a value is.
///
/// `plan` is a key of the properties, `a.b` the key `b` of the object at `a`, `a[0]` the first item of the array at `a`, and
/// `"a.b"`, in quotes, the one key that contains a dot. Inside quotes `\"` is a quote and `\\` a backslash. Without quotes a key
/// holds none of `. [ ] " *`; blanks are part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PropertyKey {
    top: String,
    /// From the value at `top` on.
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Key(String),
    Item(usize),
}

impl PropertyKey {
    /// Reads a key as clients write it.
    ///
    /// # Errors
    ///
    /// [`Error::BadPropertyKey`] for the empty text, empty steps (`a..b`), wildcards, and brackets around anything but digits.
    pub fn parse(text: &str) -> Result<PropertyKey, Error> {
        let bad = |rest: &str| Error::BadPropertyKey { at: text.len() - rest.len() };
        let key = |rest| if str::starts_with(rest, '"') { quoted(rest) } else { unquoted(rest) }.ok_or_else(|| bad(rest));
        let (top, mut rest) = key(text)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[') {
                let (digits, behind) = inside.split_once(']').ok_or_else(|| bad(rest))?;
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(bad(inside));
                }
                // An index past the largest number is past the end of every array.
                steps.push(Step::Item(digits.parse().unwrap_or(usize::MAX)));
                rest = behind;
            } else {
                let (name, behind) = key(rest.strip_prefix('.').ok_or_else(|| bad(rest))?)?;
                steps.push(Step::Key(name));
                rest = behind;
            }
        }
        Ok(PropertyKey { top, steps })
    }

    /// The text of the value at this path in `properties`, the JSON object of a record. `None` if it is missing or null.
    ///
    /// # Errors
    ///
    /// If `properties` is no JSON object.
    pub(crate) fn value_text<'p>(&self, properties: &'p str) -> Result<Option<Cow<'p, str>>, serde_json::Error> {
        if properties.is_empty() {
            return Ok(None);
        }
        match last_of_key(properties, &self.top)? {
            Some(value) => self.text_below(value),
            None => Ok(None),
        }
    }

    /// The key of the properties at which the path begins.
    pub(crate) fn top(&self) -> &str {
        &self.top
    }

    /// The text of what the path leads to from `value`, the JSON of the value at [`PropertyKey::top`]. `None` if it is missing or null.
    ///
    /// # Errors
    ///
    /// If `value` is no JSON.
    pub(crate) fn text_below<'v>(&self, value: &'v str) -> Result<Option<Cow<'v, str>>, serde_json::Error> {
        let mut value = value;
        for step in &self.steps {
            let found = match (step, value.as_bytes().first()) {
                (Step::Key(key), Some(b'{')) => last_of_key(value, key)?,
                (Step::Item(item), Some(b'[')) => nth_item(value, *item)?,
                _ => None,
            };
            match found {
                Some(found) => value = found,
                None => return Ok(None),
            }
        }
        text_of(value)
    }
}

fn unquoted(text: &str) -> Option<(String, &str)> {
    let end = text.find(['.', '[', ']', '"', '*']).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut key = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((key, &text[at + 1..])),
            '\\' => key.push(chars.next().map(|(_, escaped)| escaped).filter(|escaped| matches!(escaped, '"' | '\\'))?),
            _ => key.push(char),
        }
    }
    None
}

/// Calls `visit` with each key of the object `properties`, in order, as often as it comes.
///
/// # Errors
///
/// If `properties` is neither empty nor a JSON object.
pub(crate) fn for_each_key<'p>(properties: &'p str, mut visit: impl FnMut(Cow<'p, str>)) -> Result<(), serde_json::Error> {
    if properties.is_empty() {
        return Ok(());
    }
    for_each_entry(properties, |key, _| visit(string_text(key)))
}

fn last_of_key<'j>(object: &'j str, key: &str) -> Result<Option<&'j str>, serde_json::Error> {
    let mut found = None;
    for_each_entry(object, |name, value| {
        if string_text(name) == key {
            found = Some(value);
        }
    })?;
    Ok(found)
}

fn nth_item(array: &str, item: usize) -> Result<Option<&str>, serde_json::Error> {
    let mut found = None;
    let mut at = 0;
    for_each_item(array, |value| {
        if at == item {
            found = Some(value);
        }
        at += 1;
    })?;
    Ok(found)
}

/// Calls `visit` with each key and value of an object, as JSON text: keys too, since they may hold what no Rust string can.
pub(crate) fn for_each_entry<'j>(object: &'j str, visit: impl FnMut(&'j str, &'j str)) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(object);
    json.deserialize_map(Entries(visit))?;
    json.end()
}

/// Calls `visit` with each item of an array, as JSON text.
fn for_each_item<'j>(array: &'j str, visit: impl FnMut(&'j str)) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(array);
    json.deserialize_seq(Items(visit))?;
    json.end()
}

/// The contract's text of a JSON value.
fn text_of(json: &str) -> Result<Option<Cow<'_, str>>, serde_json::Error> {
    Ok(match json.as_bytes().first() {
        Some(b'"') => Some(string_text(json)),
        Some(b'n') => None,
        Some(b't' | b'f') => Some(Cow::Borrowed(json)),
        Some(b'{' | b'[') => {
            let mut compact = String::with_capacity(json.len());
            write_compact(json, MAX_DEPTH, &mut compact)?;
            Some(Cow::Owned(compact))
        }
        _ => Some(number_text(json)),
    })
}

fn write_compact(json: &str, depth: usize, out: &mut String) -> Result<(), serde_json::Error> {
    match json.as_bytes().first() {
        Some(b'{') if depth > 0 => {
            let mut entries = Vec::new();
            for_each_entry(json, |key, value| entries.push((string_text(key), value)))?;
            // Stable, so that of entries with one key the last written is the last here.
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            out.push('{');
            let mut separator = "";
            for (at, (key, value)) in entries.iter().enumerate() {
                if entries.get(at + 1).is_some_and(|next| next.0 == *key) {
                    continue;
                }
                out.push_str(separator);
                write_json_string(key, out);
                out.push(':');
                write_compact(value, depth - 1, out)?;
                separator = ",";
            }
            out.push('}');
        }
        Some(b'[') if depth > 0 => {
            let mut items = Vec::new();
            for_each_item(json, |value| items.push(value))?;
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_compact(item, depth - 1, out)?;
            }
            out.push(']');
        }
        Some(b'"') => write_json_string(&string_text(json), out),
        Some(b'-' | b'0'..=b'9') => out.push_str(&number_text(json)),
        _ => out.push_str(json),
    }
    Ok(())
}

/// See [`for_each_entry`].
struct Entries<F>(F);

impl<'de, F: FnMut(&'de str, &'de str)> Visitor<'de> for Entries<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            (self.0)(key.get(), value.get());
        }
        Ok(())
    }
}

/// See [`for_each_item`].
struct Items<F>(F);

impl<'de, F: FnMut(&'de str)> Visitor<'de> for Items<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element::<&RawValue>()? {
            (self.0)(value.get());
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "property_tests.rs"]
mod tests;
