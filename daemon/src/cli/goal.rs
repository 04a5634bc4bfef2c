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
        GoalAction::Add { name, site, event, path, conditions } => {
            let conditions: Vec<Value> = conditions.iter().map(|text| condition(text)).collect::<Result<_, _>>()?;
            let site = lookup::site(&client, site.site.as_deref())?;
            let (kind, value) = match (event, path) {
                (_, Some(path)) => ("path", path),
                (Some(event), None) => ("event", event),
                (None, None) => ("event", name.clone()),
            };
            let body = json!({"name": name, "type": kind, "value": value, "where": conditions});
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
    let conditions = |goal: &Goal| goal.conditions.iter().map(|has| format!("{}={}", has.key, has.value)).collect::<Vec<_>>().join(", ");
    let rows = goals.into_iter().map(|goal| [conditions(&goal), goal.name, goal.kind, goal.value, goal.id, goal.created_at]);
    let rows = rows.map(|[conditions, name, kind, value, id, created]| [name, kind, value, id, created, conditions]);
    write!(out, "{}", table::of(["name", "type", "value", "id", "created", "where"], rows))?;
    Ok(())
}

/// `KEY=VALUE`; the key ends at the first `=` outside of quotes.
fn condition(text: &str) -> Result<Value, Error> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let end = text.find(|letter| {
        let ends = letter == '=' && !is_quoted;
        is_quoted ^= letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && is_quoted && !is_escaped;
        ends
    });
    let Some(end) = end else {
        return Err(Error::BadFlag { flag: "where", value: text.to_owned(), allowed: "a property and its text, such as plan=pro" });
    };
    Ok(json!({"key": text[..end], "value": text[end + 1..]}))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_condition_is_a_key_and_a_value() {
        for (text, key, value) in
            [("plan=pro", "plan", "pro"), ("a.b[0]=x=y", "a.b[0]", "x=y"), ("plan=", "plan", ""), ("\"a=\\\"=\"=b", "\"a=\\\"=\"", "b")]
        {
            assert_eq!(condition(text).unwrap(), json!({"key": key, "value": value}), "{text}");
        }
        let message = condition("plan").unwrap_err().to_string();
        assert!(message.contains("for --where: it must be a property and its text, such as plan=pro"), "{message}");
    }
}
