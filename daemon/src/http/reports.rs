//! Reports: goal series, and what is known of events. Handlers parse, ask the store, and render.
//!
//! An answer over logs of which something was lost says so in `Hitkeep-Incomplete`.

use std::collections::HashMap;
use std::sync::Arc;

use format::SiteId;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use query::{Buckets, Condition, Point, PropertyKey, Snapshot, Span, Term};
use serde::Serialize;
use uuid::Uuid;

use super::goals::goal_id;
use super::range::{Parameters, Range};
use super::respond::{self, Answer};
use super::{Call, Error};
use crate::catalog::records::{Goal, GoalKind, Site};
use crate::question::Stop;

const INCOMPLETE: HeaderName = HeaderName::from_static("hitkeep-incomplete");

/// The most lost ranges that an answer names.
const MAX_NAMED_LOSSES: usize = 10;

/// Rows of a breakdown if the client does not say how many.
const DEFAULT_LIMIT: usize = 20;

/// The most rows of a breakdown.
const MAX_LIMIT: usize = 1_000;

/// Parameters of filters by session, each of which would change the numbers.
const FILTERS: [&str; 5] = ["filter", "filter_type", "filter_value", "dimension_key", "dimension_value"];

#[derive(Serialize)]
struct GoalPoint<'a> {
    time: &'a str,
    conversions: u64,
    total: u64,
}

#[derive(Serialize)]
struct GoalSeries<'a> {
    goal_id: String,
    name: &'a str,
    points: Vec<GoalPoint<'a>>,
}

#[derive(Serialize)]
struct EventPoint<'a> {
    time: &'a str,
    count: u64,
}

#[derive(Serialize)]
struct BreakdownRow<'a> {
    name: &'a str,
    /// Distinct sessions.
    value: u64,
    /// Occurrences.
    total: u64,
}

/// `GET …/goals/timeseries`: conversions and occurrences per bucket, summed over the goals or for each of them.
pub(super) async fn goal_series(call: Call<'_>, site: Arc<Site>) -> Result<Answer, Error> {
    let parameters = Parameters::parse(call.query);
    refuse_filters(&parameters)?;
    let range = Range::parse(&parameters, call.now)?;
    let by_goal = match parameters.first("group_by") {
        None => false,
        Some("goal") => true,
        Some(_) => return Err(Error::Invalid("Invalid group_by")),
    };
    let chosen: Vec<Uuid> = parameters.all("goal_id").map(goal_id).collect::<Result<_, _>>()?;
    let buckets = Arc::new(range.buckets()?);
    let contents = call.state.catalog.contents();
    let is_chosen = |goal: &&Arc<Goal>| chosen.is_empty() || chosen.contains(&goal.id);
    let goals: Arc<[Arc<Goal>]> = contents.goals(site.id).filter(is_chosen).cloned().collect();
    let (asked, span) = ((Arc::clone(&goals), Arc::clone(&buckets)), range.before_end());
    let series = ask(&call, move |snapshot, stop| series_of(snapshot, stop, site.id, &asked.0, span, &asked.1)).await?;
    let labels = labels(&buckets);
    let answer = if by_goal {
        let series = goals.iter().zip(&series).map(|(goal, points)| GoalSeries {
            goal_id: goal.id.to_string(),
            name: &goal.name,
            points: goal_points(&labels, points),
        });
        respond::json(StatusCode::OK, &series.collect::<Vec<_>>())
    } else if goals.is_empty() {
        respond::json(StatusCode::OK, &[(); 0])
    } else {
        respond::json(StatusCode::OK, &goal_points(&labels, &sum(&series)))
    };
    Ok(with_losses(&call, answer))
}

/// The series of each goal, in their order. Goals that count the same are counted once.
fn series_of(
    snapshot: &Snapshot,
    stop: &Stop,
    site: SiteId,
    goals: &[Arc<Goal>],
    span: Span,
    buckets: &Buckets,
) -> Result<query::Answer<Vec<Vec<Point>>>, Refused> {
    let mut missing = Vec::new();
    let mut counted: HashMap<(GoalKind, &str), Vec<Point>> = HashMap::new();
    let mut all = Vec::with_capacity(goals.len());
    for goal in goals {
        let term = match goal.kind {
            GoalKind::Event => Term::Event(&goal.value),
            GoalKind::Path => Term::Path(&goal.value),
        };
        let key = (goal.kind, goal.value.as_str());
        let points = match counted.get(&key) {
            Some(points) => points.clone(),
            None => {
                stop.check()?;
                let answer = snapshot.series(site, term, span, buckets, &[])?;
                missing.extend(answer.missing);
                counted.insert(key, answer.value.clone());
                answer.value
            }
        };
        all.push(points);
    }
    Ok(query::Answer { value: all, missing })
}

/// `GET …/events/names`: the names of events in the range.
pub(super) async fn event_names(call: Call<'_>, site: Arc<Site>) -> Result<Answer, Error> {
    let parameters = Parameters::parse(call.query);
    refuse_filters(&parameters)?;
    let span = Range::parse(&parameters, call.now)?.with_end();
    let names = ask(&call, move |snapshot, _| Ok(snapshot.names(site.id, span, &[])?)).await?;
    let names: Vec<&str> = names.iter().map(|count| count.name.as_str()).collect();
    Ok(with_losses(&call, respond::json(StatusCode::OK, &names)))
}

/// `GET …/events/properties`: the top-level property keys of an event.
pub(super) async fn property_keys(call: Call<'_>, site: Arc<Site>) -> Result<Answer, Error> {
    let parameters = Parameters::parse(call.query);
    refuse_filters(&parameters)?;
    let name = event_name(&parameters)?;
    let span = Range::parse(&parameters, call.now)?.with_end();
    let keys = ask(&call, move |snapshot, _| Ok(snapshot.property_keys(site.id, &name, span, &[])?)).await?;
    Ok(with_losses(&call, respond::json(StatusCode::OK, &keys)))
}

/// `GET …/events/breakdown`: distinct sessions and occurrences of each value of a property.
pub(super) async fn breakdown(call: Call<'_>, site: Arc<Site>) -> Result<Answer, Error> {
    let parameters = Parameters::parse(call.query);
    refuse_filters(&parameters)?;
    let (Some(name), Some(key)) = (parameters.filled("event_name"), parameters.filled("property_key")) else {
        return Err(Error::Invalid("event_name and property_key are required"));
    };
    let (name, key) = (name.to_owned(), property_key(key)?);
    let limit = match parameters.first("limit") {
        None => DEFAULT_LIMIT,
        Some(text) => text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or(Error::Invalid("Invalid limit"))?,
    };
    let span = Range::parse(&parameters, call.now)?.with_end();
    let rows = ask(&call, move |snapshot, _| Ok(snapshot.breakdown(site.id, &name, &key, span, &[], limit)?)).await?;
    let rows: Vec<BreakdownRow<'_>> =
        rows.iter().map(|row| BreakdownRow { name: &row.name, value: row.sessions, total: row.total }).collect();
    Ok(with_losses(&call, respond::json(StatusCode::OK, &rows)))
}

/// `GET …/events/timeseries`: occurrences per bucket, of all events of a name or of those with one property value.
pub(super) async fn event_series(call: Call<'_>, site: Arc<Site>) -> Result<Answer, Error> {
    let parameters = Parameters::parse(call.query);
    refuse_filters(&parameters)?;
    let name = event_name(&parameters)?;
    let range = Range::parse(&parameters, call.now)?;
    // One of the two alone is ignored, as the contract has it.
    let conditions = match (parameters.filled("property_key"), parameters.first("property_value")) {
        (Some(key), Some(value)) => vec![Condition::Property { key: property_key(key)?, value: value.to_owned() }],
        _ => Vec::new(),
    };
    let buckets = Arc::new(range.buckets()?);
    let (asked, span) = (Arc::clone(&buckets), range.with_end());
    let points = ask(&call, move |snapshot, _| Ok(snapshot.series(site.id, Term::Event(&name), span, &asked, &conditions)?));
    let points = points.await?;
    let labels = labels(&buckets);
    let points: Vec<EventPoint<'_>> = labels.iter().zip(&points).map(|(time, point)| EventPoint { time, count: point.total }).collect();
    Ok(with_losses(&call, respond::json(StatusCode::OK, &points)))
}

/// Why a question that was begun has no answer.
enum Refused {
    Query(query::Error),
    Stopped,
}

impl From<query::Error> for Refused {
    fn from(error: query::Error) -> Refused {
        match error {
            query::Error::Stopped => Refused::Stopped,
            error => Refused::Query(error),
        }
    }
}

impl Stop {
    fn check(&self) -> Result<(), Refused> {
        if self.is_due() { Err(Refused::Stopped) } else { Ok(()) }
    }
}

/// Asks on a query thread. What the answer lacks is noted before anything is said.
async fn ask<T: Send + 'static>(
    call: &Call<'_>,
    question: impl FnOnce(&Snapshot, &Stop) -> Result<query::Answer<T>, Refused> + Send + 'static,
) -> Result<T, Error> {
    match call.state.store.ask(question).await {
        Ok(Ok(answer)) => {
            call.state.store.lose(answer.missing);
            Ok(answer.value)
        }
        Err(_) | Ok(Err(Refused::Stopped)) => Err(Error::QueryOverrun),
        Ok(Err(Refused::Query(error))) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a report cannot be answered");
            Err(Error::Internal)
        }
    }
}

fn refuse_filters(parameters: &Parameters) -> Result<(), Error> {
    let is_given = FILTERS.iter().any(|name| parameters.filled(name).is_some());
    if is_given { Err(Error::Invalid("filter is not supported")) } else { Ok(()) }
}

fn event_name(parameters: &Parameters) -> Result<String, Error> {
    parameters.filled("event_name").map(str::to_owned).ok_or(Error::Invalid("event_name is required"))
}

fn property_key(text: &str) -> Result<PropertyKey, Error> {
    PropertyKey::parse(text).map_err(|_| Error::Invalid("Invalid property_key"))
}

fn labels(buckets: &Buckets) -> Vec<String> {
    (0..buckets.len()).map(|index| buckets.label(index)).collect()
}

fn goal_points<'a>(labels: &'a [String], points: &[Point]) -> Vec<GoalPoint<'a>> {
    let point = |(time, point): (&'a String, &Point)| GoalPoint { time, conversions: point.conversions, total: point.total };
    labels.iter().zip(points).map(point).collect()
}

/// Adds up series of the same buckets: a session that reaches two goals converts twice.
fn sum(series: &[Vec<Point>]) -> Vec<Point> {
    let mut sums = series.first().cloned().unwrap_or_default();
    for points in series.iter().skip(1) {
        for (sum, point) in sums.iter_mut().zip(points) {
            sum.conversions += point.conversions;
            sum.total += point.total;
        }
    }
    sums
}

/// Names what the answer may lack.
fn with_losses(call: &Call<'_>, mut answer: Answer) -> Answer {
    let lost = call.state.store.damage();
    if !lost.is_empty() {
        let ranges: Vec<String> = lost.iter().take(MAX_NAMED_LOSSES).map(ToString::to_string).collect();
        let value = HeaderValue::try_from(ranges.join(", ")).expect("names of our files and numbers are ASCII");
        answer.headers_mut().insert(INCOMPLETE, value);
    }
    answer
}
