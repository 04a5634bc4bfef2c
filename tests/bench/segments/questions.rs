//! The questions of the bench, with what each must reach.

use query::{Answer, Buckets, Condition, Point, PropertyKey, Snapshot, Span, Term, Unit, Zone};

use super::arena::SITE;
use super::shop::{NAMES, YEAR_END, YEAR_FROM};
use format::UnixMicros;

const DAY: i64 = 86_400_000_000;
const YEAR: (i64, i64) = (YEAR_FROM, YEAR_END);

/// The week of the hourly question: as `engines.py` has it.
const WEEK: (i64, i64) = (YEAR_FROM + 140 * DAY, YEAR_FROM + 147 * DAY);

const GOAL: Term<'static> = Term::Event("purchase");

/// A question, as `engines.py` names it.
pub(crate) struct Question {
    pub(crate) name: &'static str,
    /// Milliseconds, and nanoseconds for each row of the goal.
    bar: (f64, f64),
    pub(crate) is_series: bool,
    pub(crate) ask: fn(&Snapshot) -> Asked,
}

impl Question {
    /// What it must reach, in milliseconds.
    pub(crate) fn bar(&self, snapshot: &Snapshot) -> f64 {
        self.bar.0 + self.bar.1 * rows_of_goal(snapshot) as f64 / 1e6
    }
}

/// An answer, which is not yet text: no engine counts what showing it costs.
pub(crate) enum Asked {
    Series(Buckets, Vec<Point>, fn(&Point) -> u64),
    Totals(Buckets, Vec<u64>),
    Rows(Vec<(String, u64)>),
}

impl Asked {
    /// The rows that SQL gives: no empty buckets.
    pub(crate) fn rows(self) -> Vec<(String, u64)> {
        match self {
            Asked::Series(buckets, points, count) => Asked::Totals(buckets, points.iter().map(count).collect()).rows(),
            Asked::Totals(buckets, totals) => {
                let rows = buckets.starts().zip(totals).map(|(start, total)| (start.micros().to_string(), total));
                rows.filter(|(_, count)| *count > 0).collect()
            }
            Asked::Rows(mut rows) => {
                rows.sort();
                rows
            }
        }
    }
}

const fn series(name: &'static str, bar: (f64, f64), ask: fn(&Snapshot) -> Asked) -> Question {
    Question { name, bar, is_series: true, ask }
}

const fn other(name: &'static str, bar: f64, ask: fn(&Snapshot) -> Asked) -> Question {
    Question { name, bar: (bar, 0.0), is_series: false, ask }
}

pub(crate) const QUESTIONS: [Question; 10] = [
    series("goal_year_by_day_totals", (0.10, 0.0), goal_totals),
    series("goal_year_by_day_distinct", (0.15, 0.0), goal_distinct),
    series("pageview_year_by_day_distinct", (0.3, 0.0), |snapshot| count(snapshot, Term::Pageviews, YEAR, Unit::Day, &[], distinct)),
    series("goal_year_by_hour_distinct", (1.5, 0.0), |snapshot| count(snapshot, GOAL, YEAR, Unit::Hour, &[], distinct)),
    series("goal_week_by_hour_distinct", (0.1, 0.0), |snapshot| count(snapshot, GOAL, WEEK, Unit::Hour, &[], distinct)),
    series("goal_where_year_by_day_distinct", (0.1, 8.0), |snapshot| {
        let club = Condition::Property { key: PropertyKey::parse("plan").expect("a key"), value: "club".to_owned() };
        count(snapshot, GOAL, YEAR, Unit::Day, &[club], distinct)
    }),
    series("path_year_by_day_distinct", (0.5, 0.0), |snapshot| {
        count(snapshot, Term::Path("/checkout/done"), YEAR, Unit::Day, &[], distinct)
    }),
    other("breakdown", 1.0, |snapshot| {
        let key = PropertyKey::parse("payment").expect("a key");
        let rows = whole(snapshot.breakdown(SITE, "purchase", &key, span(YEAR), &[], 1000).expect("an answer"));
        Asked::Rows(rows.into_iter().map(|row| (row.name, row.sessions)).collect())
    }),
    other("names", 0.1, |snapshot| {
        let names = whole(snapshot.names(SITE, span(YEAR), &[]).expect("an answer"));
        let pageviews = ("pageview".to_owned(), rows_in_year(snapshot, Term::Pageviews));
        Asked::Rows(names.into_iter().map(|name| (name.name, name.count)).chain([pageviews]).collect())
    }),
    other("unique_by_name", 0.3, |snapshot| {
        let unique = |name: &str, term: Term<'_>| (name.to_owned(), in_year(snapshot, term).conversions);
        let rows = NAMES.into_iter().map(|(name, _)| unique(name, Term::Event(name))).chain([unique("pageview", Term::Pageviews)]);
        Asked::Rows(rows.filter(|(_, count)| *count > 0).collect())
    }),
];

pub(crate) fn goal_totals(snapshot: &Snapshot) -> Asked {
    let buckets = cut(YEAR, Unit::Day);
    let totals = whole(snapshot.totals(SITE, GOAL, span(YEAR), &buckets, &[]).expect("an answer"));
    Asked::Totals(buckets, totals)
}

pub(crate) fn goal_distinct(snapshot: &Snapshot) -> Asked {
    count(snapshot, GOAL, YEAR, Unit::Day, &[], distinct)
}

fn rows_of_goal(snapshot: &Snapshot) -> u64 {
    rows_in_year(snapshot, GOAL)
}

fn distinct(point: &Point) -> u64 {
    point.conversions
}

fn count(snapshot: &Snapshot, term: Term<'_>, range: (i64, i64), unit: Unit, conditions: &[Condition], count: fn(&Point) -> u64) -> Asked {
    let buckets = cut(range, unit);
    let points = whole(snapshot.series(SITE, term, span(range), &buckets, conditions).expect("an answer"));
    Asked::Series(buckets, points, count)
}

fn cut((from, end): (i64, i64), unit: Unit) -> Buckets {
    Buckets::cut(micros(from), micros(end - 1), unit, &Zone::utc()).expect("few buckets")
}

fn rows_in_year(snapshot: &Snapshot, term: Term<'_>) -> u64 {
    whole(snapshot.totals(SITE, term, span(YEAR), &Buckets::whole(span(YEAR)), &[]).expect("an answer"))[0]
}

fn in_year(snapshot: &Snapshot, term: Term<'_>) -> Point {
    whole(snapshot.series(SITE, term, span(YEAR), &Buckets::whole(span(YEAR)), &[]).expect("an answer"))[0]
}

fn whole<T>(answer: Answer<T>) -> T {
    assert!(answer.missing.is_empty(), "the segments are whole");
    answer.value
}

fn span((from, end): (i64, i64)) -> Span {
    Span::until(micros(from), micros(end))
}

fn micros(value: i64) -> UnixMicros {
    UnixMicros::new(value).expect("an instant of that year")
}
