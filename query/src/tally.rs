//! Counts rows and distinct sessions by group, over several logs.
//!
//! Within a log a session is its code; across logs it is its id, since each log gives out codes of its own. So a group whose rows lie
//! in one log is counted by codes, and any other by the union of ids: cardinalities are never added. A row that is a session of its
//! own is counted and remembered no further.

use std::hash::RandomState;

use hashbrown::HashSet;

use crate::active::ActiveIndex;
use crate::posting::{NO_SESSION, Row};

/// How often something happened, and to how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Point {
    /// Distinct sessions.
    pub conversions: u64,
    /// Occurrences.
    pub total: u64,
}

/// The counts of groups `0..len()`, growing log by log.
#[derive(Debug)]
pub(crate) struct Tally<'i> {
    /// Sessions of rows without one are counted in here; the others are added at the end.
    points: Vec<Point>,
    /// Group and session code of the rows of the log that is being read.
    open: Vec<(u32, u32)>,
    logs: Vec<LogSessions<'i>>,
}

/// The distinct session codes that one log has in each group.
#[derive(Debug)]
struct LogSessions<'i> {
    index: &'i ActiveIndex,
    /// Group `g` has `codes[starts[g]..starts[g + 1]]`.
    starts: Vec<usize>,
    codes: Vec<u32>,
}

impl LogSessions<'_> {
    fn of_group(&self, group: usize) -> &[u32] {
        // A log that was read before a group came up has no row of it.
        if group + 1 < self.starts.len() { &self.codes[self.starts[group]..self.starts[group + 1]] } else { &[] }
    }
}

impl<'i> Tally<'i> {
    /// Nothing counted in any of `groups` groups.
    pub(crate) fn new(groups: usize) -> Tally<'i> {
        Tally { points: vec![Point::default(); groups], open: Vec::new(), logs: Vec::new() }
    }

    /// One group more; its number is returned.
    pub(crate) fn add_group(&mut self) -> usize {
        self.points.push(Point::default());
        self.points.len() - 1
    }

    /// Counts a row of the log that is being read.
    pub(crate) fn add(&mut self, group: usize, row: Row) {
        let point = &mut self.points[group];
        point.total += 1;
        if row.session == NO_SESSION {
            point.conversions += 1;
        } else {
            let group = u32::try_from(group).expect("there are fewer groups than rows");
            self.open.push((group, row.session));
        }
    }

    /// Ends the log that was being read; `index` is its index.
    pub(crate) fn end_log(&mut self, index: &'i ActiveIndex) {
        let rows = std::mem::take(&mut self.open);
        if rows.is_empty() {
            return;
        }
        let (starts, codes) = distinct(by_group(&rows, self.points.len()));
        self.logs.push(LogSessions { index, starts, codes });
    }

    /// The counts of all groups.
    pub(crate) fn points(mut self) -> Vec<Point> {
        debug_assert!(self.open.is_empty(), "every log is ended");
        for (group, point) in self.points.iter_mut().enumerate() {
            let in_logs = || self.logs.iter().map(|log| (log, log.of_group(group))).filter(|(_, codes)| !codes.is_empty());
            let rows_at_most: usize = in_logs().map(|(_, codes)| codes.len()).sum();
            if in_logs().nth(1).is_none() {
                point.conversions += rows_at_most as u64;
                continue;
            }
            let mut ids = HashSet::with_capacity_and_hasher(rows_at_most, RandomState::new());
            for (log, codes) in in_logs() {
                ids.extend(codes.iter().map(|code| log.index.session_id(*code)));
            }
            point.conversions += ids.len() as u64;
        }
        self.points
    }
}

/// Where the codes of each group start, and of the last one end; and the codes of `rows` in the order of groups.
fn by_group(rows: &[(u32, u32)], groups: usize) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0; groups + 1];
    for (group, _) in rows {
        starts[*group as usize + 1] += 1;
    }
    for group in 0..groups {
        starts[group + 1] += starts[group];
    }
    let mut next = starts.clone();
    let mut codes = vec![0; rows.len()];
    for (group, code) in rows {
        let place = &mut next[*group as usize];
        codes[*place] = *code;
        *place += 1;
    }
    (starts, codes)
}

/// Leaves each code once in each group.
fn distinct((mut starts, mut codes): (Vec<usize>, Vec<u32>)) -> (Vec<usize>, Vec<u32>) {
    // The group that had the code last, by code. Groups come one after the other, so none comes back.
    const NONE: u32 = u32::MAX;
    let largest = codes.iter().max().map_or(0, |code| *code as usize);
    let mut last_seen = vec![NONE; largest + 1];
    let mut kept = 0;
    for group in 0..starts.len() - 1 {
        let rows = starts[group]..starts[group + 1];
        starts[group] = kept;
        for at in rows {
            let code = codes[at];
            let seen = &mut last_seen[code as usize];
            if *seen != group as u32 {
                *seen = group as u32;
                codes[kept] = code;
                kept += 1;
            }
        }
    }
    if let Some(end) = starts.last_mut() {
        *end = kept;
    }
    codes.truncate(kept);
    (starts, codes)
}
