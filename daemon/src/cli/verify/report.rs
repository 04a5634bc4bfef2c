//! What `verify` prints: a table of files, a table of problems, and one line that sums up; or all of it as JSON.

use std::fmt::Write;
use std::path::Path;

use format::findings::{Place, Problem};
use format::verify::FileReport;
use serde_json::{Value, json};

use crate::cli::table;

/// The tables.
pub(super) fn tables(path: &Path, reports: &[FileReport]) -> String {
    let files = reports.iter().map(|report| {
        [
            report.file.clone(),
            report.role.name().to_owned(),
            state(report),
            report.count.map_or_else(|| "-".to_owned(), |count| count.to_string()),
            report.len_bytes.to_string(),
        ]
    });
    let mut text = table::of_numbers(["file", "kind", "state", "events", "bytes"], files, 3);
    let problems = || reports.iter().flat_map(|report| report.findings.problems().iter().map(move |problem| (report, problem)));
    if problems().next().is_some() {
        let rows =
            problems().map(|(report, problem)| [report.file.clone(), problem.part.clone(), place(&problem.place), problem.what.clone()]);
        let _ = write!(text, "\n{}", table::of(["file", "part", "where", "what is wrong"], rows));
    }
    for report in reports.iter().filter(|report| report.findings.further() > 0) {
        let _ = writeln!(text, "{}: {} problems more", report.file, report.findings.further());
    }
    let _ = match reports.iter().map(count).sum::<u64>() {
        0 => writeln!(text, "\n{}: everything is as it was written", path.display()),
        1 => writeln!(text, "\n{}: 1 problem", path.display()),
        count => writeln!(text, "\n{}: {count} problems", path.display()),
    };
    text
}

/// The same as one JSON object.
pub(super) fn json(path: &Path, reports: &[FileReport]) -> Value {
    let files: Vec<Value> = reports
        .iter()
        .map(|report| {
            json!({
                "file": report.file,
                "kind": report.role.name(),
                "ok": report.findings.is_empty(),
                "events": report.count,
                "bytes": report.len_bytes,
                "notes": report.notes,
            })
        })
        .collect();
    let problems: Vec<Value> = reports
        .iter()
        .flat_map(|report| report.findings.problems().iter().map(move |problem| problem_json(&report.file, problem)))
        .collect();
    let count: u64 = reports.iter().map(count).sum();
    json!({"data_path": path.display().to_string(), "ok": count == 0, "files": files, "problems": problems, "problem_count": count})
}

fn problem_json(file: &str, problem: &Problem) -> Value {
    let Place { from, end, sequences, run, row } = &problem.place;
    json!({
        "file": file,
        "part": problem.part,
        "from": from.map(format::ByteOffset::value),
        "to": end.map(format::ByteOffset::value),
        "sequences": sequences.map(|(first, end)| [first.value(), end.value()]),
        "run": run,
        "row": row,
        "message": problem.what,
    })
}

fn count(report: &FileReport) -> u64 {
    report.findings.problems().len() as u64 + report.findings.further()
}

fn state(report: &FileReport) -> String {
    let word = if report.findings.is_empty() { "ok" } else { "wrong" };
    std::iter::once(word).chain(report.notes.iter().map(String::as_str)).collect::<Vec<_>>().join(", ")
}

/// `bytes 64-128`, `run 3`, `row 70`.
fn place(place: &Place) -> String {
    let mut parts = Vec::new();
    match (place.from, place.end) {
        (Some(from), Some(end)) => parts.push(format!("bytes {from}-{end}")),
        (Some(from), None) => parts.push(format!("byte {from}")),
        _ => {}
    }
    parts.extend(place.run.map(|run| format!("run {run}")));
    parts.extend(place.row.map(|row| format!("row {row}")));
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}
