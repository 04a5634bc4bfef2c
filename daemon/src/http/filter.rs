//! Which events a report counts: `filter=` as the contract spells it, and `filter=property:<key>=<value>`.

use query::{Condition, Dimension, PropertyKey};

use super::Error;
use super::range::Parameters;

/// The most filters of one report: each costs a pass over what it is asked of.
const MAX_FILTERS: usize = 16;

/// The older form: one type and one value, under either pair of names.
const PAIRS: [(&str, &str); 2] = [("dimension_key", "dimension_value"), ("filter_type", "filter_value")];

/// What the contract has, and no event says here.
const NOT_RECORDED: [&str; 3] = ["city", "provider", "asn"];

/// Reads all filters; an event has to meet every one.
///
/// # Errors
///
/// [`Error::Invalid`] for the first that cannot be asked: a filter that is not understood must not be left out.
pub(super) fn conditions(parameters: &Parameters) -> Result<Vec<Condition>, Error> {
    let mut conditions = Vec::new();
    for filter in parameters.all("filter").filter(|filter| !filter.is_empty()) {
        let (kind, value) = filter.split_once(':').ok_or(Error::Invalid("invalid filter format"))?;
        conditions.push(condition(kind, value)?);
    }
    for (kind, value) in PAIRS {
        match (parameters.filled(kind), parameters.filled(value)) {
            (Some(kind), Some(value)) => conditions.push(condition(kind, value)?),
            (None, None) => {}
            _ => return Err(Error::Invalid("filter type and value are required together")),
        }
    }
    if conditions.len() > MAX_FILTERS { Err(Error::Invalid("There may be at most 16 filters")) } else { Ok(conditions) }
}

const _: () = assert!(MAX_FILTERS == 16, "the sentence names it");

fn condition(kind: &str, value: &str) -> Result<Condition, Error> {
    let kind = kind.to_lowercase();
    if kind == "property" {
        return property(value);
    }
    if NOT_RECORDED.contains(&kind.as_str()) {
        return Err(Error::Invalid("city, provider and asn are not recorded"));
    }
    let dimension = Dimension::parse(&kind).ok_or(Error::Invalid("invalid filter type"))?;
    Ok(Condition::Session { dimension, value: value.to_owned() })
}

/// `<key>=<value>`: the key ends at the first `=` before which it is a whole one, so that quotes may hold an `=`.
fn property(text: &str) -> Result<Condition, Error> {
    let mut ends = text.match_indices('=').map(|(at, _)| at).peekable();
    if ends.peek().is_none() {
        return Err(Error::Invalid("invalid filter format"));
    }
    let whole = ends.find_map(|at| PropertyKey::parse(&text[..at]).ok().map(|key| (key, &text[at + 1..])));
    let (key, value) = whole.ok_or(Error::Invalid("invalid property key in filter"))?;
    Ok(Condition::Property { key, value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(query: &str) -> Result<Vec<Condition>, Error> {
        conditions(&Parameters::parse(query))
    }

    fn has(key: &str, value: &str) -> Condition {
        Condition::Property { key: PropertyKey::parse(key).unwrap(), value: value.to_owned() }
    }

    fn of_session(dimension: Dimension, value: &str) -> Condition {
        Condition::Session { dimension, value: value.to_owned() }
    }

    #[test]
    fn filters_are_read_in_every_spelling() {
        assert_eq!(read("filter=&dimension_key=").unwrap(), []);
        assert_eq!(
            read("filter=PATH:/a:b&dimension_key=Device&dimension_value=Mobile&filter_type=country&filter_value=DE").unwrap(),
            [of_session(Dimension::Path, "/a:b"), of_session(Dimension::Device, "Mobile"), of_session(Dimension::Country, "DE")]
        );
        assert_eq!(
            read("filter=property:plan=a=b&filter=property:file.ext=&filter=property:%22a=b%22=c").unwrap(),
            [has("plan", "a=b"), has("file.ext", ""), has("\"a=b\"", "c")]
        );
    }

    #[test]
    fn what_cannot_be_asked_is_named() {
        for (query, sentence) in [
            ("filter=path", "invalid filter format"),
            ("filter=:x", "invalid filter type"),
            ("filter=paths:/a", "invalid filter type"),
            ("filter=city:Graz", "city, provider and asn are not recorded"),
            ("dimension_key=path", "filter type and value are required together"),
            ("filter_value=/a", "filter type and value are required together"),
            ("filter=property:plan", "invalid filter format"),
            ("filter=property:=x", "invalid property key in filter"),
            ("filter=property:a..b=x", "invalid property key in filter"),
        ] {
            assert_eq!(read(query).err(), Some(Error::Invalid(sentence)), "{query}");
        }
        let many = vec!["filter=path:/a"; MAX_FILTERS + 1];
        assert_eq!(read(&many[1..].join("&")).unwrap().len(), MAX_FILTERS);
        assert_eq!(read(&many.join("&")).err(), Some(Error::Invalid("There may be at most 16 filters")));
    }
}
