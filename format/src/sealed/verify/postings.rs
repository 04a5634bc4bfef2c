//! Path postings: each row of a run of pageviews that has a path is in the posting of that path, and in no other.

use crate::findings::{Findings, Place};
use crate::record::Kind;
use crate::sealed::links::LONG_US;
use crate::sealed::postings::{self, Posting};
use crate::sealed::times::Times;
use crate::sealed::{Field, NO_SESSION, Segment};

use super::directory::WholeRun;
use super::told;

const PART: &str = "path postings";

/// By so much a link may be shorter than an hour and yet be among the long ones, in microseconds.
const SHORTER_US: i64 = 300_000_000;

pub(super) fn check(segment: &Segment, runs: &[WholeRun], findings: &mut Findings) {
    let mut last_places = vec![u32::MAX; segment.sessions() as usize];
    let mut first_place = 0;
    for run in runs {
        if run.run.kind != Kind::Pageview {
            if run.entry.postings > 0 || run.entry.postings_start != run.next.postings_start {
                findings.add(PART, Place::run(run.run.number), "only runs of pageviews have any");
            }
            continue;
        }
        let (mut paths, mut sessions) = (Vec::new(), Vec::new());
        let place = Place::run(run.run.number);
        let read = segment.codes(Field::Path, run.rows(), &mut paths).and_then(|()| segment.session_codes(run.rows(), &mut sessions));
        if told(read, PART, place, findings).is_some() {
            let mut check = Check { segment, run, paths, sessions, last_places: &mut last_places, first_place, findings };
            check.run();
            first_place = check.first_place;
        }
    }
}

/// The postings of a run. Memory: 8 bytes a row, 4 a session.
struct Check<'a> {
    segment: &'a Segment,
    run: &'a WholeRun,
    paths: Vec<u32>,
    sessions: Vec<u32>,
    /// The last place of each session; places count over all postings, so one of an earlier posting is below the first of this one.
    last_places: &'a mut [u32],
    first_place: u32,
    findings: &'a mut Findings,
}

impl Check<'_> {
    fn run(&mut self) {
        let WholeRun { run, entry, next } = self.run;
        let groups_len_bytes = next.posting_groups_start.checked_sub(entry.posting_groups_start);
        if groups_len_bytes != Some(postings::groups_len_bytes(entry.postings)) {
            // The directory of runs was told to be wrong.
            return;
        }
        let (mut count, mut rows, mut last_code, mut is_whole) = (0u32, 0usize, 0, true);
        for number in 0..postings::groups(entry.postings) {
            let read = postings::group(self.segment.input(), run, (entry, next), number);
            let Some(group) = told(read, PART, Place::run(run.number), self.findings) else {
                is_whole = false;
                continue;
            };
            for (code, posting) in group {
                if code <= last_code {
                    self.wrong(None, format_args!("that of path {code} stands behind that of path {last_code}"));
                }
                last_code = code;
                count += 1;
                rows += posting.len() as usize;
                self.posting(code, &posting);
            }
        }
        if !is_whole {
            return;
        }
        if count != entry.postings {
            self.wrong(None, format_args!("there are {count} instead of {}", entry.postings));
        }
        let expected = self.paths.iter().filter(|path| **path > 0).count();
        if rows != expected {
            self.wrong(None, format_args!("they have {rows} rows, and {expected} rows have a path"));
        }
    }

    fn wrong(&mut self, row: Option<u32>, what: std::fmt::Arguments<'_>) {
        self.findings.add(PART, Place { row, ..Place::run(self.run.run.number) }, what);
    }

    fn posting(&mut self, code: u32, posting: &Posting) {
        let start = self.run.run.rows.start;
        let rows: Vec<u32> = posting.rows(self.run.rows()).collect();
        if rows.len() != posting.len() as usize || rows.windows(2).any(|pair| pair[0] >= pair[1]) {
            return self.wrong(None, format_args!("the rows of path {code} do not grow"));
        }
        if let Some(row) = rows.iter().find(|row| self.paths[(**row - start) as usize] != code) {
            return self.wrong(Some(*row), format_args!("the row has another path than {code}"));
        }
        self.links(code, posting, &rows);
    }

    /// Works the links out again and compares them.
    fn links(&mut self, code: u32, posting: &Posting, rows: &[u32]) {
        let first_place = self.first_place;
        self.first_place += rows.len() as u32;
        let mut links = Vec::new();
        for (index, row) in (0u32..).zip(rows) {
            let session = self.sessions[(row - self.run.run.rows.start) as usize];
            if session == NO_SESSION {
                continue;
            }
            let last = std::mem::replace(&mut self.last_places[session as usize], first_place + index);
            if last != u32::MAX && last >= first_place {
                links.push((last - first_place, index));
            }
        }
        links.sort_unstable();
        let mut ends: Vec<u32> = links.iter().map(|link| link.1).collect();
        ends.sort_unstable();
        if !ends.iter().copied().eq(posting.ends_of_links()) {
            return self.wrong(None, format_args!("has_prev of path {code} is not what the sessions of its rows say"));
        }
        if !links.iter().map(|link| link.0).eq(posting.starts_of_links()) {
            return self.wrong(None, format_args!("has_next of path {code} is not what the sessions of its rows say"));
        }
        self.long_links(code, posting, rows, &links);
    }

    fn long_links(&mut self, code: u32, posting: &Posting, rows: &[u32], links: &[(u32, u32)]) {
        let times = Times { input: self.segment.input(), rows: self.segment.rows() };
        let (mut scratch, mut stored) = (Vec::new(), posting.long_links().iter().peekable());
        for link in links {
            let mut time = |index: u32| times.time(rows[index as usize], &mut scratch);
            let length = time(link.1).and_then(|end| Ok(end - time(link.0)?));
            let Some(length) = told(length, "times", Place::run(self.run.run.number), self.findings) else { return };
            let is_stored = stored.next_if_eq(&link).is_some();
            if if is_stored { length < LONG_US - SHORTER_US } else { length >= LONG_US } {
                let row = Some(rows[link.1 as usize]);
                return self.wrong(row, format_args!("the long links of path {code} are not its links of an hour or more"));
            }
        }
        if stored.next().is_some() {
            self.wrong(None, format_args!("the long links of path {code} are not all links"));
        }
    }
}
