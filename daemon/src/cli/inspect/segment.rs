//! A segment: header, footer, parts with their bytes, the largest runs, property columns.

use std::fmt::Write;

use format::sealed::{HEADER_LEN_BYTES, PropertySize, Run, TRAILER_LEN_BYTES};
use format::{Kind, Segment, SegmentId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Shown, facts, hex};
use crate::cli::error::Error;
use crate::cli::table;
use crate::instant;

/// How many runs the table shows; JSON has all of them.
const SHOWN_RUNS: usize = 20;

/// How many property columns the table shows, the largest ones.
const SHOWN_PROPERTIES: usize = 20;

pub(super) fn show(segment: &Segment) -> Result<Shown, Error> {
    let mut runs = segment.runs()?;
    let mut properties = Vec::new();
    for run in &runs {
        properties.extend(segment.property_sizes(run)?.into_iter().map(|size| (run.clone(), size)));
    }
    runs.sort_by_key(|run| std::cmp::Reverse(run.rows.len()));
    properties.sort_by_key(|(_, size)| std::cmp::Reverse(size.codes_len_bytes + size.values_len_bytes));
    let parts = parts(segment);
    Ok(Shown { text: text(segment, &runs, &properties, &parts), json: as_json(segment, &runs, &properties, &parts) })
}

/// Title, blocks, bytes; the largest first.
fn parts(segment: &Segment) -> Vec<(String, u64, u64)> {
    let mut parts: Vec<_> = segment.part_sizes().into_iter().map(|size| (size.title, size.blocks, size.len_bytes)).collect();
    let ends = (HEADER_LEN_BYTES + TRAILER_LEN_BYTES) as u64;
    parts.push(("header and trailer".to_owned(), 2, ends));
    parts.push(("footer".to_owned(), 1, segment.len_bytes() - segment.footer_offset() - TRAILER_LEN_BYTES as u64));
    parts.sort_by_key(|(_, _, len_bytes)| std::cmp::Reverse(*len_bytes));
    parts
}

/// First and last time of all rows.
fn times(runs: &[Run]) -> Option<(String, String)> {
    let first = runs.iter().map(|run| run.times.0).min()?;
    let last = runs.iter().map(|run| run.times.1).max()?;
    Some((instant::text(first), instant::text(last)))
}

/// What it was made of.
fn origin(segment: &Segment) -> String {
    let provenance = segment.provenance();
    provenance.log.map_or_else(|| listed(&provenance.segments), |log| format!("log {log}"))
}

fn listed(segments: &[SegmentId]) -> String {
    let segments: Vec<String> = segments.iter().map(ToString::to_string).collect();
    if segments.is_empty() { "-".to_owned() } else { format!("segments {}", segments.join(", ")) }
}

fn text(segment: &Segment, runs: &[Run], properties: &[(Run, PropertySize)], parts: &[(String, u64, u64)]) -> String {
    let (header, provenance) = (segment.header(), segment.provenance());
    let (first, last) = times(runs).unwrap_or_else(|| ("-".to_owned(), "-".to_owned()));
    let mut text = facts([
        ("segment", header.id.to_string()),
        ("created", instant::text(header.created)),
        ("epoch", hex(header.epoch)),
        ("made of", origin(segment)),
        ("made beside", listed(&provenance.siblings)),
        ("level", provenance.level.to_string()),
        ("sequences", format!("{} up to and without {}", provenance.sequences.0, provenance.sequences.1)),
        ("receive times", provenance.received.len().to_string()),
        ("events", segment.rows().to_string()),
        ("sessions", segment.sessions().to_string()),
        ("runs", runs.len().to_string()),
        ("first event", first),
        ("last event", last),
        ("bytes", segment.len_bytes().to_string()),
    ]);
    let (rows, all) = (f64::from(segment.rows().max(1)), segment.len_bytes() as f64);
    let line = |(title, blocks, len_bytes): &(String, u64, u64)| {
        let (each, share) = (*len_bytes as f64 / rows, *len_bytes as f64 * 100.0 / all);
        [title.clone(), blocks.to_string(), len_bytes.to_string(), format!("{each:.3}"), format!("{share:.1} %")]
    };
    let total = ("all".to_owned(), parts.iter().map(|part| part.1).sum(), segment.len_bytes());
    let lines = parts.iter().chain([&total]).map(line);
    let _ = write!(text, "\n{}", table::of_numbers(["part", "blocks", "bytes", "per event", "share"], lines, 1));
    let lines = runs.iter().take(SHOWN_RUNS).map(|run| {
        let (first, last) = (instant::text(run.times.0), instant::text(run.times.1));
        [kind(run.kind).to_owned(), shown_name(run), site(run), first, last, run.rows.len().to_string()]
    });
    let _ = write!(text, "\n{}", table::of_numbers(["kind", "name", "site", "first event", "last event", "events"], lines, 5));
    more(&mut text, runs.len(), SHOWN_RUNS, "runs");
    if !properties.is_empty() {
        let lines = properties.iter().take(SHOWN_PROPERTIES).map(|(run, size)| {
            let len_bytes = size.codes_len_bytes + size.values_len_bytes;
            let each = len_bytes as f64 / run.rows.len() as f64;
            [size.key.clone(), shown_name(run), site(run), size.values.to_string(), len_bytes.to_string(), format!("{each:.3}")]
        });
        let _ = write!(text, "\n{}", table::of_numbers(["property", "name", "site", "values", "bytes", "per event"], lines, 3));
        more(&mut text, properties.len(), SHOWN_PROPERTIES, "property columns");
    }
    text
}

fn more(text: &mut String, all: usize, shown: usize, what: &str) {
    if all > shown {
        let _ = writeln!(text, "and {} {what} more: --json has them all", all - shown);
    }
}

fn as_json(segment: &Segment, runs: &[Run], properties: &[(Run, PropertySize)], parts: &[(String, u64, u64)]) -> Value {
    let (header, provenance) = (segment.header(), segment.provenance());
    let rows = f64::from(segment.rows().max(1));
    let part = |(title, blocks, len_bytes): &(String, u64, u64)| json!({"part": title, "blocks": blocks, "bytes": len_bytes, "bytes_per_event": *len_bytes as f64 / rows});
    let run = |run: &Run| {
        let (first, last) = (instant::text(run.times.0), instant::text(run.times.1));
        json!({"kind": kind(run.kind), "name": run.name, "site": site(run), "first": first, "last": last, "events": run.rows.len()})
    };
    let property = |(run, size): &(Run, PropertySize)| {
        json!({
            "key": size.key, "kind": kind(run.kind), "name": run.name, "site": site(run), "values": size.values,
            "code_bytes": size.codes_len_bytes, "value_bytes": size.values_len_bytes,
        })
    };
    json!({
        "kind": "segment",
        "id": header.id.to_string(),
        "created": instant::text(header.created),
        "epoch": hex(header.epoch),
        "log": provenance.log.map(|log| log.to_string()),
        "segments": provenance.segments.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "siblings": provenance.siblings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "level": provenance.level.to_string(),
        "sequences": [provenance.sequences.0.value(), provenance.sequences.1.value()],
        "receive_times": provenance.received.len(),
        "events": segment.rows(),
        "sessions": segment.sessions(),
        "first": times(runs).map(|times| times.0),
        "last": times(runs).map(|times| times.1),
        "bytes": segment.len_bytes(),
        "parts": parts.iter().map(part).collect::<Vec<_>>(),
        "runs": runs.iter().map(run).collect::<Vec<_>>(),
        "properties": properties.iter().map(property).collect::<Vec<_>>(),
    })
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Event => "event",
        Kind::Pageview => "pageview",
        Kind::Vital => "vital",
    }
}

/// A pageview has no name.
fn shown_name(run: &Run) -> String {
    if run.name.is_empty() { "-".to_owned() } else { run.name.clone() }
}

fn site(run: &Run) -> String {
    Uuid::from_bytes(run.site.bytes()).to_string()
}
