//! `hitkeepd goal`: add, list and remove goals.

use std::io::Write;

use serde_json::{Value, json};
use ureq::http::Method;

use super::args::{GoalAction, GoalArguments};
use super::client::Client;
use super::error::Error;
use super::lookup::{self, Goal};
use super::table;
use crate::config::Environment;

/// Does what the command line asks for and prints the goals it touched.
pub(crate) fn run(arguments: GoalArguments, environment: &Environment, out: &mut impl Write) -> Result<(), Error> {
    let client = Client::new(&arguments.client, environment)?;
    let json = arguments.client.json;
    match arguments.action {
        GoalAction::Add { name, site, event, path } => {
            let site = lookup::site(&client, site.site.as_deref())?;
            let (kind, value) = match (event, path) {
                (_, Some(path)) => ("path", path),
                (Some(event), None) => ("event", event),
                (None, None) => ("event", name.clone()),
            };
            let body = json!({"name": name, "type": kind, "value": value});
            print(&client, client.send(Method::POST, &["api", "sites", &site.id, "goals"], &body)?, json, out)
        }
        GoalAction::List { site } => {
            let site = lookup::site(&client, site.site.as_deref())?;
            print(&client, client.get(&["api", "sites", &site.id, "goals"], &[])?, json, out)
        }
        GoalAction::Remove { goal, site } => {
            let site = lookup::site(&client, site.site.as_deref())?;
            let goals = lookup::goals(&client, &site)?;
            let goal = lookup::goal(&site, &goals, &goal)?;
            client.delete(&["api", "sites", &site.id, "goals", &goal.id])?;
            if json {
                writeln!(out, "{}", json!({"removed": goal.id}))?;
            } else {
                writeln!(out, "removed {}", goal.name)?;
            }
            Ok(())
        }
    }
}

/// Prints one goal or a list of them.
fn print(client: &Client, answer: Value, json: bool, out: &mut impl Write) -> Result<(), Error> {
    if json {
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    let goals: Vec<Goal> = match answer {
        Value::Array(_) => lookup::read(client, answer)?,
        one => vec![lookup::read(client, one)?],
    };
    let rows = goals.into_iter().map(|goal| [goal.name, goal.kind, goal.value, goal.id, goal.created_at]);
    write!(out, "{}", table::of(["name", "type", "value", "id", "created"], rows))?;
    Ok(())
}
