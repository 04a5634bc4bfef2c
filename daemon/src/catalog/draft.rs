//! Sites and goals as a client asks for them, checked before anything is changed.

use super::domain::{self, DomainError};
use super::records::{GoalKind, Where};

/// The most host names of a site beside its domain.
pub(crate) const MAX_HOSTNAMES: usize = 100;

/// The longest name of a goal, in bytes.
pub(crate) const MAX_GOAL_NAME_BYTES: usize = 256;

/// The longest value of a goal, in bytes: a path may be as long as the URL it is part of.
pub(crate) const MAX_GOAL_VALUE_BYTES: usize = 4096;

/// Why a site cannot be as a client asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SiteError {
    /// The domain is none.
    Domain(DomainError),
    /// A host name is none, by the rules for domains.
    Hostname,
    /// More host names than [`MAX_HOSTNAMES`].
    TooManyHostnames,
    /// The zone is not in the time zone database.
    TimeZone,
}

impl SiteError {
    /// What a client is told.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            SiteError::Domain(error) => error.sentence(),
            SiteError::Hostname => "Invalid hostname in hostnames (e.g. shop.example.com)",
            SiteError::TooManyHostnames => "hostnames must be at most 100",
            SiteError::TimeZone => "Invalid time_zone (e.g. Europe/Berlin)",
        }
    }
}

const _: () = assert!(MAX_HOSTNAMES == 100, "the sentence names it");

impl From<DomainError> for SiteError {
    fn from(error: DomainError) -> SiteError {
        SiteError::Domain(error)
    }
}

/// Checks a site's host names: lowered, each once, without the domain itself.
///
/// # Errors
///
/// [`SiteError::TooManyHostnames`], [`SiteError::Hostname`].
pub(crate) fn hostnames(domain: &str, names: &[String]) -> Result<Vec<String>, SiteError> {
    if names.len() > MAX_HOSTNAMES {
        return Err(SiteError::TooManyHostnames);
    }
    let mut hostnames: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let hostname = domain::parse(name).map_err(|_| SiteError::Hostname)?;
        if hostname != domain && !hostnames.contains(&hostname) {
            hostnames.push(hostname);
        }
    }
    Ok(hostnames)
}

/// Checks the name of a time zone, and gives it as the time zone database spells it.
///
/// # Errors
///
/// [`SiteError::TimeZone`].
pub(crate) fn time_zone(name: &str) -> Result<String, SiteError> {
    query::Zone::parse(name).map(|zone| zone.name().to_owned()).map_err(|_| SiteError::TimeZone)
}

/// The most properties that a goal's rows have to have.
pub(crate) const MAX_CONDITIONS: usize = 8;

/// The longest path to a property in a goal, in bytes.
pub(crate) const MAX_CONDITION_KEY_BYTES: usize = 256;

/// The longest value that a property may have to have, in bytes.
pub(crate) const MAX_CONDITION_VALUE_BYTES: usize = 1024;

/// Why a goal cannot be as a client asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GoalError {
    /// The name, kind or value is missing or unknown.
    Data,
    /// The name is longer than [`MAX_GOAL_NAME_BYTES`].
    LongName,
    /// The value is longer than [`MAX_GOAL_VALUE_BYTES`].
    LongValue,
    /// More conditions than [`MAX_CONDITIONS`].
    TooManyConditions,
    /// A condition's key is no path to a property.
    ConditionKey,
    /// A condition's key is longer than [`MAX_CONDITION_KEY_BYTES`].
    LongConditionKey,
    /// A condition's value is longer than [`MAX_CONDITION_VALUE_BYTES`].
    LongConditionValue,
}

impl GoalError {
    /// What a client is told; of the first, in the words of the wire contract.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            GoalError::Data => "Invalid goal data",
            GoalError::LongName => "name must be at most 256 bytes",
            GoalError::LongValue => "value must be at most 4096 bytes",
            GoalError::TooManyConditions => "where must have at most 8 conditions",
            GoalError::ConditionKey => "Invalid key in where",
            GoalError::LongConditionKey => "key in where must be at most 256 bytes",
            GoalError::LongConditionValue => "value in where must be at most 1024 bytes",
        }
    }
}

const _: () = assert!(MAX_GOAL_NAME_BYTES == 256 && MAX_GOAL_VALUE_BYTES == 4096, "the sentences name them");
const _: () =
    assert!(MAX_CONDITIONS == 8 && MAX_CONDITION_KEY_BYTES == 256 && MAX_CONDITION_VALUE_BYTES == 1024, "the sentences name them");

/// A goal as a client asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GoalDraft {
    pub(super) name: String,
    pub(super) kind: GoalKind,
    pub(super) value: String,
    pub(super) conditions: Vec<Where>,
}

impl GoalDraft {
    /// Checks the parts. The name is trimmed; the value is not, because it is compared byte by byte.
    ///
    /// # Errors
    ///
    /// [`GoalError::Data`] for a blank name or value, or a kind that is neither `event` nor `path`; then one for what is above its
    /// limit; then the first that applies to `conditions`.
    pub(crate) fn new(name: &str, kind: &str, value: &str, conditions: Vec<Where>) -> Result<GoalDraft, GoalError> {
        let kind = match kind {
            "event" => GoalKind::Event,
            "path" => GoalKind::Path,
            _ => return Err(GoalError::Data),
        };
        let name = name.trim();
        if name.is_empty() || value.trim().is_empty() {
            return Err(GoalError::Data);
        }
        if name.len() > MAX_GOAL_NAME_BYTES {
            return Err(GoalError::LongName);
        }
        if value.len() > MAX_GOAL_VALUE_BYTES {
            return Err(GoalError::LongValue);
        }
        if conditions.len() > MAX_CONDITIONS {
            return Err(GoalError::TooManyConditions);
        }
        conditions.iter().try_for_each(check_condition)?;
        Ok(GoalDraft { name: name.to_owned(), kind, value: value.to_owned(), conditions })
    }
}

fn check_condition(condition: &Where) -> Result<(), GoalError> {
    if condition.key.len() > MAX_CONDITION_KEY_BYTES {
        Err(GoalError::LongConditionKey)
    } else if query::PropertyKey::parse(&condition.key).is_err() {
        Err(GoalError::ConditionKey)
    } else if condition.value.len() > MAX_CONDITION_VALUE_BYTES {
        Err(GoalError::LongConditionValue)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hostnames_are_lowered_and_stand_once() {
        let names = ["Shop.Example", "app.example", "APP.example"].map(str::to_owned);
        assert_eq!(hostnames("shop.example", &names).unwrap(), ["app.example"]);
        assert_eq!(hostnames("shop.example", &["www.app.example".to_owned()]), Err(SiteError::Hostname));
        let many = vec!["a.example".to_owned(); MAX_HOSTNAMES + 1];
        assert_eq!(hostnames("shop.example", &many), Err(SiteError::TooManyHostnames));
    }

    #[test]
    fn a_goal_needs_a_name_a_kind_and_a_value() {
        assert!(GoalDraft::new(" Sign-up ", "event", "signup", Vec::new()).unwrap().name == "Sign-up");
        assert!(GoalDraft::new("x", "path", " /a", Vec::new()).unwrap().value == " /a");
        let long_name = "n".repeat(MAX_GOAL_NAME_BYTES + 1);
        let long_value = "v".repeat(MAX_GOAL_VALUE_BYTES + 1);
        for (name, kind, value, error) in [
            ("", "event", "y", GoalError::Data),
            (" ", "event", "y", GoalError::Data),
            ("x", "click", "y", GoalError::Data),
            ("x", "", "y", GoalError::Data),
            ("x", "event", "", GoalError::Data),
            (&long_name, "event", "y", GoalError::LongName),
            ("x", "path", &long_value, GoalError::LongValue),
        ] {
            assert_eq!(GoalDraft::new(name, kind, value, Vec::new()), Err(error), "{name} {kind} {value}");
        }
    }

    #[test]
    fn the_conditions_of_a_goal_have_limits_that_are_named() {
        let condition = |key: &str, value: &str| Where { key: key.to_owned(), value: value.to_owned() };
        let draft = |conditions| GoalDraft::new("x", "event", "y", conditions).map(|draft| draft.conditions.len());
        let long_key = "k".repeat(MAX_CONDITION_KEY_BYTES + 1);
        let long_value = "v".repeat(MAX_CONDITION_VALUE_BYTES + 1);
        assert_eq!(draft(vec![condition("a.b[0]", ""); MAX_CONDITIONS]), Ok(MAX_CONDITIONS));
        assert_eq!(draft(vec![condition("a", ""); MAX_CONDITIONS + 1]), Err(GoalError::TooManyConditions));
        assert_eq!(draft(vec![condition("a", "b"), condition("", "b")]), Err(GoalError::ConditionKey));
        assert_eq!(draft(vec![condition(&long_key, "b")]), Err(GoalError::LongConditionKey));
        assert_eq!(draft(vec![condition(&long_key[1..], &long_value[1..])]), Ok(1));
        assert_eq!(draft(vec![condition("a", &long_value)]), Err(GoalError::LongConditionValue));
    }
}
