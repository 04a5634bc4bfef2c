//! What became of the lines of an import.

use std::io::{self, Write};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::lines::MAX_LINE_BYTES;
use super::source::Piece;
use crate::cli::client::shown;
use crate::cli::table;

/// How many bad lines are kept.
const MAX_BAD_LINES: usize = 100;

/// How many of them the table shows.
const MAX_SHOWN_BAD_LINES: usize = 20;

/// What the daemon says about one body.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Verdict {
    received: u64,
    stored: u64,
    duplicates: u64,
    rejected: u64,
    #[serde(default)]
    dropped: u64,
    #[serde(default)]
    expired: u64,
    #[serde(default)]
    errors: Vec<LineError>,
}

#[derive(Debug, Deserialize)]
struct LineError {
    /// In the body, from 1.
    line: usize,
    #[serde(default)]
    field: String,
    error: String,
}

impl Verdict {
    /// The verdict on a body of one line that was refused with `message`.
    pub(super) fn rejected_line(message: String) -> Verdict {
        let error = LineError { line: 1, field: "line".to_owned(), error: message };
        Verdict { received: 1, rejected: 1, errors: vec![error], ..Verdict::default() }
    }
}

/// The verdicts on all bodies that were answered.
#[derive(Debug, Default)]
pub(super) struct Summary {
    received: u64,
    stored: u64,
    duplicates: u64,
    rejected: u64,
    dropped: u64,
    /// Those of the rejected that are older than their site keeps events.
    expired: u64,
    /// In the order of files and lines; the first [`MAX_BAD_LINES`].
    bad: Vec<BadLine>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct BadLine {
    place: usize,
    number: u64,
    file: String,
    field: String,
    error: String,
}

impl Summary {
    /// Adds what became of `piece`.
    pub(super) fn add(&mut self, piece: &Piece, verdict: Verdict) {
        let too_long = piece.body.too_long.len() as u64;
        self.received += verdict.received + too_long;
        self.stored += verdict.stored;
        self.duplicates += verdict.duplicates;
        self.rejected += verdict.rejected + too_long;
        self.dropped += verdict.dropped;
        self.expired += verdict.expired;
        let (place, file) = &piece.file;
        let bad = |number: u64, field: &str, error: &str| BadLine {
            place: *place,
            number,
            file: file.clone(),
            field: shown(field.as_bytes()),
            error: shown(error.as_bytes()),
        };
        for fault in &verdict.errors {
            let number = fault.line.checked_sub(1).and_then(|line| piece.body.numbers.get(line)).copied();
            self.bad.push(bad(number.unwrap_or_default(), &fault.field, &fault.error));
        }
        let too_long = format!("line must be at most {MAX_LINE_BYTES} bytes");
        self.bad.extend(piece.body.too_long.iter().map(|&number| bad(number, "line", &too_long)));
        // Two bodies are under way at once, so verdicts come in any order.
        self.bad.sort();
        self.bad.truncate(MAX_BAD_LINES);
    }

    /// Lines whose fate is known.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Whether a line was refused.
    pub(super) fn has_rejected(&self) -> bool {
        self.rejected > 0
    }

    /// One line of JSON.
    pub(super) fn json(&self, took: Duration, complete: bool) -> Value {
        let errors = self.bad.iter().map(|bad| json!({"file": bad.file, "line": bad.number, "field": bad.field, "error": bad.error}));
        json!({
            "received": self.received,
            "stored": self.stored,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "dropped": self.dropped,
            "expired": self.expired,
            "complete": complete,
            "seconds": (took.as_secs_f64() * 1000.0).round() / 1000.0,
            "errors": errors.collect::<Vec<_>>(),
        })
    }

    /// A table of the counts, and the first bad lines.
    pub(super) fn print(&self, took: Duration, out: &mut impl Write) -> io::Result<()> {
        let counts = [self.received, self.stored, self.duplicates, self.rejected, self.dropped].map(|count| count.to_string());
        write!(out, "{}", table::of_numbers(["received", "stored", "duplicates", "rejected", "dropped"], [counts], 0))?;
        if self.received > 0 {
            let rate = self.received as f64 / took.as_secs_f64().max(0.001);
            writeln!(out, "{:.1} s, {rate:.0} lines a second", took.as_secs_f64())?;
        }
        if self.expired > 0 {
            writeln!(out, "{} of the rejected are older than their site keeps events", self.expired)?;
        }
        if self.bad.is_empty() {
            return Ok(());
        }
        let shown = &self.bad[..self.bad.len().min(MAX_SHOWN_BAD_LINES)];
        let rows = shown.iter().map(|bad| [format!("{}:{}", bad.file, bad.number), bad.field.clone(), bad.error.clone()]);
        write!(out, "\n{}", table::of(["line", "field", "error"], rows))?;
        let more = self.rejected.saturating_sub(shown.len() as u64);
        if more > 0 {
            writeln!(out, "and {more} more rejected lines")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cli::import::lines::Body;

    fn piece(place: usize, numbers: &[u64], too_long: &[u64]) -> Piece {
        let body = Body { bytes: Vec::new(), numbers: numbers.to_vec(), too_long: too_long.to_vec() };
        Piece { body, file: (place, format!("file{place}")), read_bytes: 0 }
    }

    fn verdict(text: &str) -> Verdict {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn bad_lines_are_named_by_file_and_line_in_order() {
        let mut summary = Summary::default();
        let second = r#"{"received":2,"stored":1,"duplicates":0,"rejected":1,"expired":0,"errors":[{"line":2,"field":"name","error":"name is required"}]}"#;
        summary.add(&piece(1, &[1, 5], &[]), verdict(second));
        let first = r#"{"received":3,"stored":2,"duplicates":1,"rejected":0,"dropped":0,"last_sequence":9,"errors":[]}"#;
        summary.add(&piece(0, &[1, 2, 4], &[3]), verdict(first));
        let json = summary.json(Duration::from_millis(1500), true);
        assert_eq!(json["received"], 6);
        assert_eq!((&json["stored"], &json["duplicates"], &json["rejected"]), (&json!(3), &json!(1), &json!(2)));
        assert_eq!(json["errors"][0], json!({"file": "file0", "line": 3, "field": "line", "error": "line must be at most 65536 bytes"}));
        assert_eq!(json["errors"][1], json!({"file": "file1", "line": 5, "field": "name", "error": "name is required"}));
        let mut table = Vec::new();
        summary.print(Duration::from_secs(2), &mut table).unwrap();
        let table = String::from_utf8(table).unwrap();
        assert!(table.starts_with("received  stored  duplicates  rejected  dropped\n"), "{table}");
        assert!(table.contains("file1:5  name   name is required\n"), "{table}");
    }

    #[test]
    fn lines_that_are_too_old_for_their_site_are_told_apart() {
        let mut summary = Summary::default();
        let some = r#"{"received":3,"stored":1,"duplicates":0,"rejected":2,"dropped":0,"expired":1,"errors":[]}"#;
        summary.add(&piece(0, &[1, 2, 3], &[]), verdict(some));
        summary.add(&piece(0, &[4, 5, 6], &[]), verdict(some));
        assert_eq!(summary.json(Duration::from_secs(1), true)["expired"], 2);
        let mut table = Vec::new();
        summary.print(Duration::from_secs(2), &mut table).unwrap();
        assert!(String::from_utf8(table).unwrap().ends_with("\n2 of the rejected are older than their site keeps events\n"));
    }

    #[test]
    fn a_summary_stays_small_however_many_lines_are_bad() {
        let mut summary = Summary::default();
        let many: Vec<u64> = (1..=5_000).collect();
        summary.add(&piece(0, &[], &many), Verdict::default());
        assert_eq!((summary.bad.len(), summary.rejected), (MAX_BAD_LINES, 5_000));
        let mut table = Vec::new();
        summary.print(Duration::from_secs(2), &mut table).unwrap();
        assert!(String::from_utf8(table).unwrap().ends_with("and 4980 more rejected lines\n"));
    }
}
