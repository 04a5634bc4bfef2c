//! The directory of runs: it cuts rows, and the streams that belong to runs, into parts end to end.

use std::ops::Range;

use crate::findings::{Findings, Place};
use crate::sealed::runs::{ENTRY_LEN_BYTES, Entry, Run};
use crate::sealed::section::Section;
use crate::sealed::{Segment, postings, properties};

use super::told;

const PART: &str = "run directory";

/// A run with its entry and the one behind it.
pub(super) struct WholeRun {
    pub(super) run: Run,
    pub(super) entry: Entry,
    pub(super) next: Entry,
}

impl WholeRun {
    pub(super) fn rows(&self) -> Range<u32> {
        self.run.rows.clone()
    }
}

/// Checks the directory, and gives the runs that can be used to check the rest.
pub(super) fn check(segment: &Segment, findings: &mut Findings) -> Vec<WholeRun> {
    let directory = segment.directory();
    let len = segment.input().len(Section::RUNS);
    if len != (u64::from(directory.runs) + 1) * ENTRY_LEN_BYTES as u64 {
        findings.add(PART, Place::file(), format_args!("it has {len} bytes for {} runs", directory.runs));
    }
    let mut runs: Vec<WholeRun> = Vec::new();
    let mut before = Entry::default();
    for number in 0..directory.runs {
        let Some(entry) = told(directory.entry(number), PART, Place::run(number), findings) else { continue };
        check_parts(&before, &entry, number, findings);
        before = entry.clone();
        let Some(run) = told(directory.run(number), PART, Place::run(number), findings) else { continue };
        let Some(next) = told(directory.entry(number + 1), PART, Place::run(number), findings) else { continue };
        if let Some(WholeRun { run: last, .. }) = runs.last()
            && (last.site, last.kind, &last.name) >= (run.site, run.kind, &run.name)
        {
            findings.add(PART, Place::run(number), "it is not sorted by site, kind and name");
        }
        let groups = next.posting_groups_start.checked_sub(entry.posting_groups_start);
        if groups != Some(postings::groups_len_bytes(entry.postings)) {
            findings.add(PART, Place::run(number), "its path postings have another number of groups");
        }
        runs.push(WholeRun { run, entry, next });
    }
    if let Some(end) = told(directory.entry(directory.runs), PART, Place::run(directory.runs), findings) {
        check_parts(&before, &end, directory.runs, findings);
        check_end(segment, &end, findings);
    }
    runs
}

/// What starts in a run ends where it starts in the next.
fn check_parts(before: &Entry, entry: &Entry, number: u32, findings: &mut Findings) {
    let starts = |entry: &Entry| {
        [
            ("its first row", u64::from(entry.first_row)),
            ("its first property column", entry.first_property.into()),
            ("the place of its long links", entry.long_links_start),
            ("the place of its session bitmap", entry.sessions_start),
            ("the place of its path postings", entry.postings_start),
            ("the place of the groups of its path postings", entry.posting_groups_start),
        ]
    };
    for ((what, start), (_, end)) in starts(before).into_iter().zip(starts(entry)) {
        let is_wrong = if number == 0 { end != 0 } else { end < start };
        if is_wrong {
            findings.add(PART, Place::run(number), format_args!("{what} is {end}, behind {start}"));
        }
    }
}

/// The entry behind the last run ends everything.
fn check_end(segment: &Segment, end: &Entry, findings: &mut Findings) {
    let input = segment.input();
    let columns = input.len(Section::PROPERTIES) / properties::ENTRY_LEN_BYTES as u64;
    for (what, end, whole) in [
        ("rows", u64::from(end.first_row), u64::from(segment.rows())),
        ("property columns", end.first_property.into(), columns),
        ("bytes of long links", end.long_links_start, input.len(Section::LONG_LINKS)),
        ("bytes of session bitmaps", end.sessions_start, input.len(Section::RUN_SESSIONS)),
        ("bytes of path postings", end.postings_start, input.len(Section::POSTINGS)),
        ("bytes of groups of path postings", end.posting_groups_start, input.len(Section::POSTING_GROUPS)),
    ] {
        if end != whole {
            findings.add(PART, Place::file(), format_args!("it has {end} {what}, and the segment {whole}"));
        }
    }
}
