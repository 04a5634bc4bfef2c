//! Buckets: a range cut into hours, days, weeks or months of a time zone.
//!
//! A bucket is `[start, end)` between two exact instants, and its neighbours touch it. Where the edges are:
//!
//! * **Hour**: wherever the local clock reads a full hour, and wherever it jumps. A repeated hour is two buckets; a jump of half an
//!   hour leaves a bucket of half an hour.
//! * **Day, week, month**: the first instant whose local date is in it. A day whose midnight does not exist starts where the clock
//!   jumps to, a date that does not exist has no bucket, and a midnight that comes twice starts a day once. Weeks start on Monday.
//!
//! Invariants:
//!
//! * Edges are strictly increasing, and there is one more of them than there are buckets (none at all for an empty range).
//! * The first edge is at or before the start of the range, the last behind its end, and no bucket but the first starts before it.
//! * No edge lies outside the years 0 to 9999, but the last may be the first instant of the year 10000.

use std::str::FromStr;

use format::UnixMicros;

use crate::error::Error;
use crate::zone::{Zone, date_of_day, day_of_month, day_of_second, second_of_day};

/// The most buckets one answer has: an hour for each of 416 days.
pub const MAX_BUCKETS: usize = 10_000;

const SECOND_MICROS: i64 = 1_000_000;
const HOUR_SECONDS: i64 = 60 * 60;
/// The end of the last bucket there can be.
const END_OF_TIME: i64 = UnixMicros::MAX.micros() + 1;

/// How long a bucket is on the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// From one full hour of the local clock to the next.
    Hour,
    /// A local date.
    Day,
    /// Seven local dates from Monday on.
    Week,
    /// The local dates of one month.
    Month,
}

impl FromStr for Unit {
    type Err = Error;

    /// Reads `hour`, `day`, `week` or `month`.
    fn from_str(text: &str) -> Result<Unit, Error> {
        match text {
            "hour" => Ok(Unit::Hour),
            "day" => Ok(Unit::Day),
            "week" => Ok(Unit::Week),
            "month" => Ok(Unit::Month),
            _ => Err(Error::UnknownUnit { text: text.to_owned() }),
        }
    }
}

impl Unit {
    /// The number of the unit that holds a second of local time. Grows with it.
    fn index(self, local: i64) -> i64 {
        match self {
            Unit::Hour => local.div_euclid(HOUR_SECONDS),
            Unit::Day => day_of_second(local),
            // Day 0 was a Thursday.
            Unit::Week => (day_of_second(local) + 3).div_euclid(7),
            Unit::Month => {
                let (year, month, _) = date_of_day(day_of_second(local));
                year * 12 + month - 1
            }
        }
    }

    /// The second of local time at which a unit starts.
    fn start(self, index: i64) -> i64 {
        match self {
            Unit::Hour => index * HOUR_SECONDS,
            Unit::Day => second_of_day(index),
            Unit::Week => second_of_day(index * 7 - 3),
            Unit::Month => second_of_day(day_of_month(index)),
        }
    }

    /// Seconds that surely hold an edge, wherever they lie: the unit's greatest length, and two jumps over the date line.
    fn reach_seconds(self) -> i64 {
        match self {
            Unit::Hour => 2 * HOUR_SECONDS,
            Unit::Day => second_of_day(1 + 3),
            Unit::Week => second_of_day(7 + 3),
            Unit::Month => second_of_day(31 + 3),
        }
    }
}

/// Instants cut into buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    edges: Vec<i64>,
    /// The zone's offset in seconds at each bucket's start.
    offsets: Vec<i64>,
    utc: bool,
}

impl Buckets {
    /// Cuts every `unit` from the one that holds `from` to the one that holds `to`, both included.
    ///
    /// Empty if `to` is before `from`. Costs a step per bucket and one per jump of the zone's clock.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyBuckets`] past [`MAX_BUCKETS`], after at most that many steps.
    pub fn cut(from: UnixMicros, to: UnixMicros, unit: Unit, zone: &Zone) -> Result<Buckets, Error> {
        let mut buckets = Buckets { edges: Vec::new(), offsets: Vec::new(), utc: zone.is_utc() };
        if to < from {
            return Ok(buckets);
        }
        let walk_start = from.micros().div_euclid(SECOND_MICROS) - unit.reach_seconds();
        let mut newest = None;
        for stretch in zone.stretches(walk_start) {
            let here = unit.index(stretch.start + stretch.offset);
            // The walk itself starts in the midst of a unit. After it, a stretch starts where the clock jumps.
            let opens = newest.is_some_and(|newest| unit == Unit::Hour || here > newest);
            if opens && buckets.add(stretch.start, stretch.offset, from, to)? {
                return Ok(buckets);
            }
            // A clock that jumped back reads dates a second time; they have had their edge.
            let mut index = if unit == Unit::Hour { here } else { newest.map_or(here, |newest: i64| newest.max(here)) };
            loop {
                let edge = unit.start(index + 1) - stretch.offset;
                if edge >= stretch.end {
                    break;
                }
                index += 1;
                if buckets.add(edge, stretch.offset, from, to)? {
                    return Ok(buckets);
                }
            }
            newest = Some(index);
        }
        unreachable!("the last stretch has no end, so an edge behind `to` ends the walk");
    }

    /// All of `span` as one bucket, for what is counted once over all of it.
    pub fn whole(span: Span) -> Buckets {
        Buckets { edges: vec![span.from, span.end], offsets: vec![0], utc: true }
    }

    /// Adds an edge; true if it closes the last bucket.
    fn add(&mut self, edge_seconds: i64, offset: i64, from: UnixMicros, to: UnixMicros) -> Result<bool, Error> {
        let edge = edge_seconds * SECOND_MICROS;
        if edge <= from.micros() {
            self.edges.clear();
            self.offsets.clear();
        }
        if edge > to.micros() {
            self.edges.push(edge.min(END_OF_TIME));
            return Ok(true);
        }
        if self.edges.len() == MAX_BUCKETS {
            return Err(Error::TooManyBuckets);
        }
        self.edges.push(edge.max(UnixMicros::MIN.micros()));
        self.offsets.push(offset);
        Ok(false)
    }

    /// How many buckets there are.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// The start of each bucket.
    pub fn starts(&self) -> impl ExactSizeIterator<Item = UnixMicros> + '_ {
        self.edges[..self.len()].iter().map(|edge| UnixMicros::new(*edge).expect("starts are in the years 0 to 9999"))
    }

    /// The start of bucket `index` as RFC 3339: `2026-03-01T00:00:00Z` in UTC, else with the zone's offset at that instant.
    ///
    /// RFC 3339 knows no seconds in an offset. Where the zone has some, the whole minutes of its offset are written and the local
    /// time is the one they give, so the text names the exact instant. So it does, in UTC, where the local year is not 0 to 9999.
    ///
    /// # Panics
    ///
    /// If there is no such bucket.
    pub fn label(&self, index: usize) -> String {
        let instant = self.edges[..self.len()][index].div_euclid(SECOND_MICROS);
        let minutes = self.offsets[index] / 60;
        let (date, time) = local(instant + minutes * 60);
        if self.utc || !(0..=9999).contains(&date.0) {
            let (date, time) = local(instant);
            return rfc3339(date, time) + "Z";
        }
        let sign = if minutes < 0 { '-' } else { '+' };
        let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
        rfc3339(date, time) + &format!("{sign}{hours:02}:{minutes:02}")
    }

    /// Looks up the buckets of many instants.
    pub(crate) fn finder(&self) -> Finder<'_> {
        Finder { edges: &self.edges, last: 0 }
    }

    /// Where the buckets begin, and the last one ends.
    pub(crate) fn edges(&self) -> &[i64] {
        &self.edges
    }

    /// The span that all buckets cover together.
    pub(crate) fn covers(&self) -> Span {
        match (self.edges.first(), self.edges.last()) {
            (Some(from), Some(end)) => Span { from: *from, end: *end },
            _ => Span { from: 0, end: 0 },
        }
    }
}

fn local(seconds: i64) -> ((i64, i64, i64), i64) {
    let day = day_of_second(seconds);
    (date_of_day(day), seconds - second_of_day(day))
}

fn rfc3339((year, month, day): (i64, i64, i64), second_of_day: i64) -> String {
    let (hour, minute, second) = (second_of_day / HOUR_SECONDS, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// Finds buckets; remembers the last one, since rows that arrive together mostly lie together.
pub(crate) struct Finder<'b> {
    edges: &'b [i64],
    last: usize,
}

impl Finder<'_> {
    /// The bucket that holds `time`, if one does.
    pub(crate) fn find(&mut self, time: i64) -> Option<usize> {
        if let [start, end, ..] = self.edges[self.last.min(self.edges.len())..]
            && (start..end).contains(&time)
        {
            return Some(self.last);
        }
        let behind = self.edges.partition_point(|edge| *edge <= time);
        if behind == 0 || behind == self.edges.len() {
            return None;
        }
        self.last = behind - 1;
        Some(self.last)
    }
}

/// `[from, end)`: the instants a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub(crate) from: i64,
    pub(crate) end: i64,
}

impl Span {
    /// All the time there is.
    pub const EVER: Span = Span { from: UnixMicros::MIN.micros(), end: END_OF_TIME };

    /// Everything from `from` to just before `end`; nothing if `end` is not behind `from`.
    pub fn until(from: UnixMicros, end: UnixMicros) -> Span {
        Span { from: from.micros(), end: end.micros() }
    }

    /// Everything from `from` to `last`, both included; nothing if `last` is before `from`.
    pub fn through(from: UnixMicros, last: UnixMicros) -> Span {
        Span { from: from.micros(), end: last.micros() + 1 }
    }

    /// The part of it from `from` on.
    pub fn since(self, from: UnixMicros) -> Span {
        Span { from: self.from.max(from.micros()), end: self.end.max(from.micros()) }
    }

    /// Whether `time` is in it.
    pub(crate) fn contains(self, time: i64) -> bool {
        self.from <= time && time < self.end
    }

    /// The instant of it, or its end, that is nearest to `time`. Its end for all times if it is empty.
    pub(crate) fn clamp(self, time: i64) -> i64 {
        time.max(self.from).min(self.end)
    }

    /// Whether no instant is in it.
    pub(crate) fn is_empty(self) -> bool {
        self.end <= self.from
    }

    /// What is in both.
    pub(crate) fn intersect(self, other: Span) -> Span {
        Span { from: self.from.max(other.from), end: self.end.min(other.end) }
    }
}

#[cfg(test)]
#[path = "bucket_tests.rs"]
mod tests;
