//! Reports: goal series, and what is known of events. Handlers parse, ask the store, and render; what an answer lacks is said in
//! `incomplete`.

use std::collections::HashMap;
use std::sync::Arc;

use format::SiteId;
use query::{Buckets, Condition, Counted, Point, PropertyKey, Snapshot, Span, Term};
use serde::Serialize;
use uuid::Uuid;

use super::goals::goal_id;
use super::incomplete::{self, Lacking};
use super::range::{Parameters, Range};
use super::respond::Answer;
use super::{Call, Error, filter};
use crate::catalog::records::{Goal, GoalKind, Site, Where};
use crate::question::Unanswered;
use crate::retention;

/// Rows of a breakdown if the client does not say how many.
const DEFAULT_LIMIT: usize = 20;

/// The most rows of a breakdown.
const MAX_LIMIT: usize = 1_000;

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

/// An item of a goal series: a goal with its points, or a point of all goals.
#[derive(Serialize)]
#[serde(untagged)]
enum GoalItem<'a> {
    Series(GoalSeries<'a>),
    Sum(GoalPoint<'a>),
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

/// A series and the one it is compared with.
#[derive(Serialize)]
struct Compared<T> {
    current: Vec<T>,
    comparison: Vec<T>,
}

/// The time of a series: what is counted, and the buckets it is counted in.
struct Window {
    span: Span,
    buckets: Buckets,
    labels: Vec<String>,
}

/// `GET …/goals/timeseries`: conversions and occurrences per bucket, summed over the goals or for each of them.
pub(super) async fn goal_series(call: Call<'_>, site: Arc<Site>) -> Result<Answer, Error> {
    let parameters = Parameters::parse(call.query);
    let filters = filter::conditions(&parameters)?;
    let windows = windows(&parameters, &call, &site, Range::before_end)?;
    let by_goal = match parameters.first("group_by") {
        None => false,
        Some("goal") => true,
        Some(_) => return Err(Error::Invalid("Invalid group_by")),
    };
    let chosen: Vec<Uuid> = parameters.all("goal_id").map(goal_id).collect::<Result<_, _>>()?;
    let contents = call.state.catalog.contents();
    let is_chosen = |goal: &&Arc<Goal>| chosen.is_empty() || chosen.contains(&goal.id);
    let goals: Arc<[Arc<Goal>]> = contents.goals(site.id).filter(is_chosen).cloned().collect();
    let asked = Arc::clone(&goals);
    let series = move |snapshot: &Snapshot, window: &Window| series_of(snapshot, site.id, &asked, &filters, window);
    let (counted, lacking) = ask(&call, move |snapshot| in_windows(windows, |window| series(snapshot, window))).await?;
    let items = |window, series: &Vec<Vec<Point>>| if by_goal { each_goal(&goals, window, series) } else { all_goals(window, series) };
    Ok(series_answer(&counted, &lacking, items))
}

fn each_goal<'a>(goals: &'a [Arc<Goal>], window: &'a Window, series: &[Vec<Point>]) -> Vec<GoalItem<'a>> {
    let one = |(goal, points): (&'a Arc<Goal>, &Vec<Point>)| {
        let points = window.labelled(points).map(GoalPoint::from).collect();
        GoalItem::Series(GoalSeries { goal_id: goal.id.to_string(), name: &goal.name, points })
    };
    goals.iter().zip(series).map(one).collect()
}

fn all_goals<'a>(window: &'a Window, series: &[Vec<Point>]) -> Vec<GoalItem<'a>> {
    window.labelled(&sum(series)).map(|point| GoalItem::Sum(GoalPoint::from(point))).collect()
}

/// The series of each goal, in their order. Goals that count the same are counted once.
fn series_of(
    snapshot: &Snapshot,
    site: SiteId,
    goals: &[Arc<Goal>],
    filters: &[Condition],
    window: &Window,
) -> Result<query::Answer<Vec<Vec<Point>>>, query::Error> {
    let mut places: HashMap<(GoalKind, &str, &[Where]), usize> = HashMap::new();
    let mut distinct: Vec<(Term<'_>, Vec<Condition>)> = Vec::new();
    let mut place_of = Vec::with_capacity(goals.len());
    for goal in goals {
        let key = (goal.kind, goal.value.as_str(), goal.conditions.as_slice());
        let place = match places.get(&key) {
            Some(place) => *place,
            None => {
                distinct.push((term_of(goal), conditions_of(goal, filters)?));
                places.insert(key, distinct.len() - 1);
                distinct.len() - 1
            }
        };
        place_of.push(place);
    }
    let counted: Vec<Counted<'_>> = distinct.iter().map(|(term, conditions)| Counted { term: *term, conditions }).collect();
    let answer = snapshot.series_of(site, &counted, window.span, &window.buckets)?;
    Ok(answer.map(|series| place_of.into_iter().map(|place| series[place].clone()).collect()))
}

fn term_of(goal: &Goal) -> Term<'_> {
    match goal.kind {
        GoalKind::Event => Term::Event(&goal.value),
        GoalKind::Path => Term::Path(&goal.value),
    }
}

/// What the goal asks of its rows, and what the report does.
fn conditions_of(goal: &Goal, filters: &[Condition]) -> Result<Vec<Condition>, query::Error> {
    let own = |has: &Where| Ok(Condition::Property { key: PropertyKey::parse(&has.key)?, value: has.value.clone() });
    goal.conditions.iter().map(own).chain(filters.iter().cloned().map(Ok)).collect()
}

/// `GET …/events/names`: the names of events in the range.
pub(super) async fn event_names(call: Call<'_>, site: Arc<Site>) -> Result<Answer, Error> {
    let parameters = Parameters::parse(call.query);
    let filters = filter::conditions(&parameters)?;
    let span = kept(&call, &site, Range::parse(&parameters, call.now)?.with_end());
    let (names, lacking) = ask(&call, move |snapshot| snapshot.names(site.id, span, &filters)).await?;
    let names: Vec<&str> = names.iter().map(|count| count.name.as_str()).collect();
    Ok(incomplete::array(&names, &lacking))
}

/// `GET …/events/properties`: the top-level property keys of an event.
pub(super) async fn property_keys(call: Call<'_>, site: Arc<Site>) -> Result<Answer, Error> {
    let parameters = Parameters::parse(call.query);
    let filters = filter::conditions(&parameters)?;
    let name = event_name(&parameters)?;
    let span = kept(&call, &site, Range::parse(&parameters, call.now)?.with_end());
    let (keys, lacking) = ask(&call, move |snapshot| snapshot.property_keys(site.id, &name, span, &filters)).await?;
    Ok(incomplete::array(&keys, &lacking))
}

/// `GET …/events/breakdown`: distinct sessions and occurrences of each value of a property.
pub(super) async fn breakdown(call: Call<'_>, site: Arc<Site>) -> Result<Answer, Error> {
    let parameters = Parameters::parse(call.query);
    let filters = filter::conditions(&parameters)?;
    let (Some(name), Some(key)) = (parameters.filled("event_name"), parameters.filled("property_key")) else {
        return Err(Error::Invalid("event_name and property_key are required"));
    };
    let (name, key) = (name.to_owned(), property_key(key)?);
    let limit = match parameters.first("limit") {
        None => DEFAULT_LIMIT,
        Some(text) => text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or(Error::Invalid("Invalid limit"))?,
    };
    let span = kept(&call, &site, Range::parse(&parameters, call.now)?.with_end());
    let (rows, lacking) = ask(&call, move |snapshot| snapshot.breakdown(site.id, &name, &key, span, &filters, limit)).await?;
    let rows: Vec<BreakdownRow<'_>> =
        rows.iter().map(|row| BreakdownRow { name: &row.name, value: row.sessions, total: row.total }).collect();
    Ok(incomplete::array(&rows, &lacking))
}

/// `GET …/events/timeseries`: occurrences per bucket, of all events of a name or of those with one property value.
pub(super) async fn event_series(call: Call<'_>, site: Arc<Site>) -> Result<Answer, Error> {
    let parameters = Parameters::parse(call.query);
    let mut conditions = filter::conditions(&parameters)?;
    let name = event_name(&parameters)?;
    // One of the two alone is ignored, as the contract has it.
    if let (Some(key), Some(value)) = (parameters.filled("property_key"), parameters.first("property_value")) {
        conditions.push(Condition::Property { key: property_key(key)?, value: value.to_owned() });
    }
    let windows = windows(&parameters, &call, &site, Range::with_end)?;
    let series =
        move |snapshot: &Snapshot, window: &Window| snapshot.totals(site.id, Term::Event(&name), window.span, &window.buckets, &conditions);
    let (counted, lacking) = ask(&call, move |snapshot| in_windows(windows, |window| series(snapshot, window))).await?;
    Ok(series_answer(&counted, &lacking, |window, totals: &Vec<u64>| {
        window.labelled(totals).map(|(time, count)| EventPoint { time, count }).collect()
    }))
}

/// The part of `span` whose events the site keeps: what is older is not counted, whether it is still on the disk or not.
fn kept(call: &Call<'_>, site: &Site, span: Span) -> Span {
    span.since(retention::cutoff(site.data_retention_days, call.now))
}

/// Asks on a query thread. Whatever is asked there comes back with what it may lack.
pub(super) async fn ask<T: Send + 'static>(
    call: &Call<'_>,
    question: impl FnOnce(&Snapshot) -> Result<query::Answer<T>, query::Error> + Send + 'static,
) -> Result<(T, Vec<Lacking>), Error> {
    let store = &call.state.store;
    match store.ask(move |snapshot, _| question(snapshot)).await {
        Ok(Ok(query::Answer { value, missing })) => {
            // Noted before anything is said: from now on every answer names it.
            if store.lose(missing) { Ok((value, incomplete::lacking(&store.damage()))) } else { Err(Error::QueryOverrun) }
        }
        Err(Unanswered::Late) | Ok(Err(query::Error::Stopped)) => Err(Error::QueryOverrun),
        Err(Unanswered::Full) => Err(Error::TooManyQueries),
        // It is on the log.
        Err(Unanswered::Panicked) => Err(Error::Internal),
        Ok(Err(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a report cannot be answered");
            Err(Error::Internal)
        }
    }
}

/// The windows of a series: the range, and what it is compared with if that is asked for. `span` is what is counted of a range.
///
/// # Errors
///
/// [`Error::Invalid`].
fn windows(parameters: &Parameters, call: &Call<'_>, site: &Site, span: fn(&Range) -> Span) -> Result<Vec<Window>, Error> {
    let range = Range::parse(parameters, call.now)?;
    let comparison = range.comparison(parameters)?;
    let window = |range: Range| {
        let buckets = range.buckets()?;
        let labels = (0..buckets.len()).map(|index| buckets.label(index)).collect();
        Ok(Window { span: kept(call, site, span(&range)), buckets, labels })
    };
    [range].into_iter().chain(comparison).map(window).collect()
}

/// Counts in each window, over one snapshot.
fn in_windows<T>(
    windows: Vec<Window>,
    count: impl Fn(&Window) -> Result<query::Answer<T>, query::Error>,
) -> Result<query::Answer<Vec<(Window, T)>>, query::Error> {
    let mut counted = Vec::with_capacity(windows.len());
    let mut all_missing = Vec::new();
    for window in windows {
        let query::Answer { value, missing } = count(&window)?;
        all_missing.extend(missing);
        counted.push((window, value));
    }
    Ok(query::Answer { value: counted, missing: all_missing })
}

/// An array of the window's items, or an object of the two arrays that are compared.
fn series_answer<'a, T, I: Serialize>(
    counted: &'a [(Window, T)],
    lacking: &[Lacking],
    items: impl Fn(&'a Window, &'a T) -> Vec<I>,
) -> Answer {
    let items = |(window, value): &'a (Window, T)| items(window, value);
    match counted {
        [current, comparison] => incomplete::object(&Compared { current: items(current), comparison: items(comparison) }, lacking),
        _ => incomplete::array(&counted.iter().flat_map(items).collect::<Vec<_>>(), lacking),
    }
}

impl Window {
    /// What was counted in each bucket, with its start.
    fn labelled<'a, T: Copy>(&'a self, counted: &[T]) -> impl Iterator<Item = (&'a str, T)> {
        self.labels.iter().map(String::as_str).zip(counted.iter().copied())
    }
}

impl<'a> From<(&'a str, Point)> for GoalPoint<'a> {
    fn from((time, Point { conversions, total }): (&'a str, Point)) -> GoalPoint<'a> {
        GoalPoint { time, conversions, total }
    }
}

fn event_name(parameters: &Parameters) -> Result<String, Error> {
    parameters.filled("event_name").map(str::to_owned).ok_or(Error::Invalid("event_name is required"))
}

fn property_key(text: &str) -> Result<PropertyKey, Error> {
    PropertyKey::parse(text).map_err(|_| Error::Invalid("Invalid property_key"))
}

/// Adds up series of the same buckets: a session that reaches two goals converts twice. Without goals there is no point.
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
