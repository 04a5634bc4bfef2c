//! What a user calls by name: sites by domain, host name or id; goals by name or id.

use serde::Deserialize;
use serde_json::Value;

use super::client::Client;
use super::error::Error;

/// A site as the daemon describes it, as far as the command line needs it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Site {
    pub(crate) id: String,
    pub(crate) domain: String,
    #[serde(default)]
    pub(crate) hostnames: Vec<String>,
    #[serde(default = "utc")]
    pub(crate) time_zone: String,
    #[serde(default)]
    pub(crate) data_retention_days: u32,
    #[serde(default)]
    pub(crate) created_at: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A goal as the daemon describes it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Goal {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) value: String,
    #[serde(rename = "where", default)]
    pub(crate) conditions: Vec<Where>,
    #[serde(default)]
    pub(crate) created_at: String,
}

/// A property that a goal's events have to have.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Where {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// Reads an answer of the shape `T`.
pub(crate) fn read<T: serde::de::DeserializeOwned>(client: &Client, answer: Value) -> Result<T, Error> {
    serde_json::from_value(answer).map_err(|error| client.not_ours(format!("an unexpected answer: {error}")))
}

/// All sites the token may see.
pub(crate) fn sites(client: &Client) -> Result<Vec<Site>, Error> {
    read(client, client.get(&["api", "sites"], &[])?)
}

/// The site the user named; the only one when none was named.
pub(crate) fn site(client: &Client, named: Option<&str>) -> Result<Site, Error> {
    let mut sites = sites(client)?;
    let known = || sites.iter().map(|site| site.domain.clone()).collect();
    let Some(named) = named else {
        let (1, Some(only)) = (sites.len(), sites.first()) else { return Err(Error::WhichSite { known: known() }) };
        return Ok(only.clone());
    };
    match position(&sites, named) {
        Some(at) => Ok(sites.swap_remove(at)),
        None => Err(Error::UnknownSite { named: named.to_owned(), known: known() }),
    }
}

/// An id wins over a domain, a domain over a host name; each of them is unique.
fn position(sites: &[Site], named: &str) -> Option<usize> {
    let host = named.trim().to_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    sites
        .iter()
        .position(|site| site.id.eq_ignore_ascii_case(named))
        .or_else(|| sites.iter().position(|site| site.domain == host))
        .or_else(|| sites.iter().position(|site| site.hostnames.iter().any(|name| name == host)))
}

/// All goals of a site.
pub(crate) fn goals(client: &Client, site: &Site) -> Result<Vec<Goal>, Error> {
    read(client, client.get(&["api", "sites", &site.id, "goals"], &[])?)
}

/// The goal of `site` the user named.
pub(crate) fn goal<'a>(site: &Site, goals: &'a [Goal], named: &str) -> Result<&'a Goal, Error> {
    if let Some(goal) = goals.iter().find(|goal| goal.id.eq_ignore_ascii_case(named)) {
        return Ok(goal);
    }
    let fitting: Vec<&Goal> = goals.iter().filter(|goal| goal.name == named.trim()).collect();
    match fitting.as_slice() {
        [goal] => Ok(goal),
        [] => Err(Error::UnknownGoal {
            site: site.domain.clone(),
            named: named.to_owned(),
            known: goals.iter().map(|goal| goal.name.clone()).collect(),
        }),
        several => Err(Error::AmbiguousGoal {
            site: site.domain.clone(),
            named: named.to_owned(),
            ids: several.iter().map(|goal| format!("{} ({} {})", goal.id, goal.kind, goal.value)).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn site(id: &str, domain: &str, hostnames: &[&str]) -> Site {
        let hostnames = hostnames.iter().map(|&name| name.to_owned()).collect();
        Site {
            id: id.to_owned(),
            domain: domain.to_owned(),
            hostnames,
            time_zone: utc(),
            data_retention_days: 0,
            created_at: String::new(),
        }
    }

    fn goal_called(id: &str, name: &str) -> Goal {
        let (kind, value) = ("event".to_owned(), "x".to_owned());
        Goal { id: id.to_owned(), name: name.to_owned(), kind, value, conditions: Vec::new(), created_at: String::new() }
    }

    #[test]
    fn sites_are_named_by_id_domain_or_host_name() {
        let sites = [site("aaaa-1", "shop.example", &["app.example"]), site("bbbb-2", "other.example", &[])];
        for (named, found) in [
            ("AAAA-1", Some(0)),
            ("Shop.Example", Some(0)),
            ("www.shop.example", Some(0)),
            ("app.example", Some(0)),
            (" other.example", Some(1)),
            ("example", None),
            ("", None),
        ] {
            assert_eq!(position(&sites, named), found, "{named}");
        }
    }

    #[test]
    fn a_goal_of_two_is_asked_for_by_id() {
        let shop = site("1", "shop.example", &[]);
        let goals = [goal_called("g1", "Sign-up"), goal_called("g2", "Sign-up"), goal_called("g3", "Paid")];
        assert_eq!(goal(&shop, &goals, "Paid").unwrap().id, "g3");
        assert_eq!(goal(&shop, &goals, "G2").unwrap().id, "g2");
        let two = goal(&shop, &goals, "Sign-up").unwrap_err().to_string();
        assert_eq!(two, "2 goals of shop.example are called `Sign-up`: name one by its id, g1 (event x) or g2 (event x)");
        let none = goal(&shop, &goals, "paid").unwrap_err().to_string();
        assert_eq!(none, "shop.example has no goal called `paid`: it has Sign-up, Sign-up, Paid");
    }
}
