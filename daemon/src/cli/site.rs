//! `hitkeepd site`: add, list, change and remove sites.

use std::io::{self, BufRead, IsTerminal, Write};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use ureq::http::Method;

use super::args::{SiteAction, SiteArguments, SiteDetails};
use super::client::Client;
use super::error::Error;
use super::lookup::{self, Site};
use super::table;
use crate::config::Environment;

/// Does what the command line asks for and prints the sites it touched.
pub(crate) fn run(arguments: SiteArguments, environment: &Environment, out: &mut impl Write) -> Result<(), Error> {
    let client = Client::new(&arguments.client, environment)?;
    let json = arguments.client.json;
    match arguments.action {
        SiteAction::Add { domain, details } => {
            let mut body = changes(details);
            body.insert("domain".to_owned(), domain.into());
            print(&client, client.send(Method::POST, &["api", "sites"], &Value::Object(body))?, json, out)
        }
        SiteAction::List => print(&client, client.get(&["api", "sites"], &[])?, json, out),
        SiteAction::Set { site, retention_days: Some(days), dry_run: true, .. } => {
            let site = lookup::site(&client, Some(&site))?;
            let path = ["api", "sites", &site.id, "retention"];
            let removal = client.put(&path, &[("dry_run", "true")], &json!({ "days": days }))?;
            print_removal(&client, &site, removal, json, out)
        }
        SiteAction::Set { site, domain, details, retention_days, no_hostnames, .. } => {
            let mut body = changes(details);
            body.extend(domain.map(|domain| ("domain".to_owned(), domain.into())));
            if no_hostnames {
                body.insert("hostnames".to_owned(), json!([]));
            }
            if body.is_empty() && retention_days.is_none() {
                return Err(Error::NothingToChange);
            }
            let site = lookup::site(&client, Some(&site))?;
            let path = ["api", "sites", &site.id];
            if let Some(days) = retention_days {
                client.put(&[&path[..], &["retention"]].concat(), &[], &json!({ "days": days }))?;
            }
            let changed =
                if body.is_empty() { client.get(&path, &[])? } else { client.send(Method::PATCH, &path, &Value::Object(body))? };
            print(&client, changed, json, out)
        }
        SiteAction::Remove { site, yes } => {
            let site = lookup::site(&client, Some(&site))?;
            if !yes && !confirmed(&site)? {
                return Err(Error::NotConfirmed);
            }
            client.delete(&["api", "sites", &site.id])?;
            if json {
                writeln!(out, "{}", json!({"removed": site.id}))?;
            } else {
                writeln!(out, "removed {}", site.domain)?;
            }
            Ok(())
        }
    }
}

fn changes(details: SiteDetails) -> Map<String, Value> {
    let mut changes = Map::new();
    changes.extend(details.time_zone.map(|zone| ("time_zone".to_owned(), zone.into())));
    if !details.hostnames.is_empty() {
        changes.insert("hostnames".to_owned(), details.hostnames.into());
    }
    changes
}

/// Asks a person; a script that runs this command has decided already.
fn confirmed(site: &Site) -> Result<bool, Error> {
    if !io::stdin().is_terminal() {
        return Ok(true);
    }
    write!(io::stderr(), "Remove {} with its goals and its events? They cannot be brought back. [y/N] ", site.domain)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// What a retention would remove.
#[derive(Deserialize)]
struct Removal {
    events: u64,
    from: Option<String>,
    to: Option<String>,
}

/// Prints what a retention would remove.
fn print_removal(client: &Client, site: &Site, answer: Value, json: bool, out: &mut impl Write) -> Result<(), Error> {
    if json {
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    let removal: Removal = lookup::read(client, answer)?;
    match (removal.from, removal.to) {
        (Some(from), Some(to)) => writeln!(out, "would remove {} events of {}, from {from} to {to}", removal.events, site.domain)?,
        _ => writeln!(out, "would remove nothing of {}", site.domain)?,
    }
    Ok(())
}

/// Prints one site or a list of them.
fn print(client: &Client, answer: Value, json: bool, out: &mut impl Write) -> Result<(), Error> {
    if json {
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    let sites: Vec<Site> = match answer {
        Value::Array(_) => lookup::read(client, answer)?,
        one => vec![lookup::read(client, one)?],
    };
    let rows = sites.into_iter().map(|site| {
        let hostnames = if site.hostnames.is_empty() { "-".to_owned() } else { site.hostnames.join(",") };
        let kept = if site.data_retention_days == 0 { "for ever".to_owned() } else { format!("{} days", site.data_retention_days) };
        [site.domain, site.id, site.time_zone, hostnames, kept, site.created_at]
    });
    write!(out, "{}", table::of(["domain", "id", "time zone", "host names", "kept", "created"], rows))?;
    Ok(())
}
