//! `hitkeepd query`: counts and names.

use std::io::Write;

use jiff::Timestamp;
use serde_json::Value;

use super::args::{FilterFlags, Interval, QueryArguments, RangeFlags, Report};
use super::client::Client;
use super::error::Error;
use super::lookup::{self, Site};
use super::range::Range;
use super::table;
use crate::config::Environment;

/// Asks and prints.
pub(crate) fn run(arguments: QueryArguments, environment: &Environment, out: &mut impl Write) -> Result<(), Error> {
    let client = Client::new(&arguments.client, environment)?;
    let json = arguments.client.json;
    match arguments.report {
        Report::Goals { site, goals, range, interval, by_goal, filters, compare_from, compare_to } => {
            let site = lookup::site(&client, site.site.as_deref())?;
            let compared = RangeFlags { from: compare_from, to: compare_to, tz: range.tz.clone() };
            let question = GoalQuestion { goals, range, interval, by_goal, filters, compared };
            let answer = goal_series(&client, &site, &question)?;
            if json { Ok(writeln!(out, "{answer}")?) } else { print_series(&client, answer, by_goal, out) }
        }
        Report::Names { site, range, filters } => {
            let site = lookup::site(&client, site.site.as_deref())?;
            let answer = names(&client, &site, &range, &filters)?;
            if json { Ok(writeln!(out, "{answer}")?) } else { print_names(&client, answer, out) }
        }
    }
}

/// What is asked of goals.
struct GoalQuestion {
    goals: Vec<String>,
    range: RangeFlags,
    interval: Option<Interval>,
    by_goal: bool,
    filters: FilterFlags,
    /// Without ends: nothing is compared.
    compared: RangeFlags,
}

/// The daemon's answer, without the empty buckets that begin where a range ends.
fn goal_series(client: &Client, site: &Site, question: &GoalQuestion) -> Result<Value, Error> {
    let range = Range::new(&question.range, &site.time_zone)?;
    let compared = Range::named(["compare-from", "compare-to"], &question.compared, &site.time_zone)?;
    let mut query = vec![("tz", range.zone.clone())];
    let ends = [("from", range.from), ("to", range.to), ("compare_from", compared.from), ("compare_to", compared.to)];
    query.extend(ends.into_iter().filter_map(|(name, end)| Some((name, end?.to_string()))));
    query.extend(question.interval.map(|interval| ("interval", interval_text(interval).to_owned())));
    query.extend(filters(&question.filters));
    if !question.goals.is_empty() {
        let known = lookup::goals(client, site)?;
        for named in &question.goals {
            query.push(("goal_id", lookup::goal(site, &known, named)?.id.clone()));
        }
    }
    if question.by_goal {
        query.push(("group_by", "goal".to_owned()));
    }
    let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut answer = client.get(&["api", "sites", &site.id, "goals", "timeseries"], &query)?;
    for (name, to) in [(None, range.to), (Some("current"), range.to), (Some("comparison"), compared.to)] {
        let series = match name {
            Some(name) => answer.get_mut(name),
            None => Some(&mut answer),
        };
        if let (Some(series), Some(to)) = (series, to) {
            drop_bucket_at(series, to);
        }
    }
    Ok(answer)
}

/// The filters as the daemon takes them.
fn filters(flags: &FilterFlags) -> impl Iterator<Item = (&'static str, String)> {
    let properties = flags.properties.iter().map(|property| format!("property:{property}"));
    flags.filters.iter().cloned().chain(properties).map(|filter| ("filter", filter))
}

fn interval_text(interval: Interval) -> &'static str {
    match interval {
        Interval::Hour => "hour",
        Interval::Day => "day",
        Interval::Week => "week",
        Interval::Month => "month",
    }
}

/// The end is exclusive, so a last bucket that begins there can hold nothing.
fn drop_bucket_at(answer: &mut Value, to: Timestamp) {
    let Value::Array(items) = answer else { return };
    for item in items.iter_mut() {
        if let Some(points) = item.get_mut("points") {
            drop_bucket_at(points, to);
        }
    }
    let begins_at_the_end = |point: &Value| point.get("time").and_then(Value::as_str).and_then(|time| time.parse().ok()) == Some(to);
    if items.last().is_some_and(begins_at_the_end) {
        items.pop();
    }
}

fn names(client: &Client, site: &Site, range: &RangeFlags, only: &FilterFlags) -> Result<Value, Error> {
    let range = Range::new(range, &site.time_zone)?;
    let mut query = Vec::new();
    query.extend(range.from.map(|from| ("from", from.to_string())));
    query.extend(range.last().map(|last| ("to", last.to_string())));
    query.extend(filters(only));
    let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    client.get(&["api", "sites", &site.id, "events", "names"], &query)
}

/// One bucket.
#[derive(serde::Deserialize)]
struct Point {
    time: String,
    conversions: u64,
    total: u64,
}

/// One goal's buckets.
#[derive(serde::Deserialize)]
struct GoalSeries {
    name: String,
    points: Vec<Point>,
}

fn print_series(client: &Client, answer: Value, by_goal: bool, out: &mut impl Write) -> Result<(), Error> {
    let Value::Object(mut parts) = answer else { return Ok(write!(out, "{}", series_table(client, answer, by_goal)?)?) };
    // One table below the other: the buckets of two ranges need not be as many.
    let mut part = |name| {
        let series = parts.remove(name).ok_or_else(|| client.not_ours(format!("an answer without `{name}`")))?;
        series_table(client, series, by_goal)
    };
    Ok(write!(out, "current\n{}\ncomparison\n{}", part("current")?, part("comparison")?)?)
}

fn series_table(client: &Client, series: Value, by_goal: bool) -> Result<String, Error> {
    if by_goal {
        let series: Vec<GoalSeries> = lookup::read(client, series)?;
        let rows = series
            .iter()
            .flat_map(|goal| rows(&goal.points).map(|[time, conversions, total]| [goal.name.clone(), time, conversions, total]));
        Ok(table::of_numbers(["goal", "time", "conversions", "total"], rows, 2))
    } else {
        let points: Vec<Point> = lookup::read(client, series)?;
        Ok(table::of_numbers(["time", "conversions", "total"], rows(&points), 1))
    }
}

/// A row a bucket, and their sums.
fn rows(points: &[Point]) -> impl Iterator<Item = [String; 3]> {
    let sums = |count: fn(&Point) -> u64| points.iter().map(count).sum::<u64>().to_string();
    let sums = ["sum".to_owned(), sums(|point| point.conversions), sums(|point| point.total)];
    let rows = points.iter().map(|point| [point.time.clone(), point.conversions.to_string(), point.total.to_string()]);
    rows.chain([sums])
}

fn print_names(client: &Client, answer: Value, out: &mut impl Write) -> Result<(), Error> {
    let names: Vec<String> = lookup::read(client, answer)?;
    write!(out, "{}", table::of(["name"], names.into_iter().map(|name| [name])))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn the_bucket_that_begins_at_the_end_is_left_out_of_every_series() {
        let to: Timestamp = "2013-01-03T05:00:00Z".parse().unwrap();
        let point = |time: &str| json!({"time": time, "conversions": 0, "total": 0});
        let (first, second, end) =
            (point("2013-01-01T00:00:00-05:00"), point("2013-01-02T00:00:00-05:00"), point("2013-01-03T00:00:00-05:00"));
        let mut summed = json!([first, second, end]);
        drop_bucket_at(&mut summed, to);
        assert_eq!(summed, json!([first, second]));
        drop_bucket_at(&mut summed, to);
        assert_eq!(summed, json!([first, second]));
        let mut by_goal = json!([{"name": "a", "points": [first, end]}, {"name": "b", "points": []}]);
        drop_bucket_at(&mut by_goal, to);
        assert_eq!(by_goal, json!([{"name": "a", "points": [first]}, {"name": "b", "points": []}]));
    }

    #[test]
    fn the_last_row_is_the_sum() {
        let points = [(3, 4), (5, 6)].map(|(conversions, total)| Point { time: "t".to_owned(), conversions, total });
        assert_eq!(rows(&points).last().unwrap(), ["sum", "8", "10"]);
    }
}
