//! `hitkeepd site`: add, list, change and remove sites.

use std::io::{self, BufRead, IsTerminal, Write};

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
        SiteAction::Set { site, domain, details, no_hostnames } => {
            let mut body = changes(details);
            body.extend(domain.map(|domain| ("domain".to_owned(), domain.into())));
            if no_hostnames {
                body.insert("hostnames".to_owned(), json!([]));
            }
            if body.is_empty() {
                return Err(Error::NothingToChange);
            }
            let site = lookup::site(&client, Some(&site))?;
            print(&client, client.send(Method::PATCH, &["api", "sites", &site.id], &Value::Object(body))?, json, out)
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
    write!(io::stderr(), "Remove {} with its goals? Its events will not be counted any more. [y/N] ", site.domain)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
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
        [site.domain, site.id, site.time_zone, hostnames, site.created_at]
    });
    write!(out, "{}", table::of(["domain", "id", "time zone", "host names", "created"], rows))?;
    Ok(())
}
