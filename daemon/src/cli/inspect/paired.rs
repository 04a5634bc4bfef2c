//! A manifest or a catalog: its changes by kind, never their content, which may hold what stands for tokens; and what is live.

use std::collections::BTreeMap;
use std::fmt::Write;

use format::inspect::PairedSummary;
use format::manifest::{LiveLog, LiveSegment};
use format::paired::FileKind;
use serde_json::{Value, json};

use super::{Shown, facts};
use crate::catalog;
use crate::cli::table;
use crate::instant;

pub(super) fn show(paired: &PairedSummary) -> Shown {
    let (loaded, is_catalog) = (&paired.loaded, paired.kind == FileKind::Catalog);
    let name = if is_catalog { "catalog" } else { "manifest" };
    let mut text = facts([
        ("file", name.to_owned()),
        ("changes", loaded.changes.len().to_string()),
        ("last change proven", if loaded.is_last_unproven { "no" } else { "yes" }.to_owned()),
        ("torn tail", format!("{} bytes", loaded.torn_bytes)),
        ("bytes", paired.len_bytes.to_string()),
    ]);
    let kinds = if is_catalog { kinds(paired) } else { BTreeMap::new() };
    if !kinds.is_empty() {
        let rows = kinds.iter().map(|(kind, count)| [kind.clone(), count.to_string()]);
        let _ = write!(text, "\n{}", table::of_numbers(["change", "times"], rows, 1));
    }
    if !paired.logs.is_empty() {
        let _ = write!(text, "\n{}", table::of(["log", "created", "first sequence", "end", "sequence end"], paired.logs.iter().map(line)));
    }
    if !paired.segments.is_empty() {
        let heading = ["segment", "created", "sequences", "events", "bytes"];
        let _ = write!(text, "\n{}", table::of_numbers(heading, paired.segments.iter().map(segment_line), 3));
    }
    for lost in &loaded.lost {
        let _ = writeln!(text, "damaged: bytes {}-{}: {}", lost.from, lost.end, lost.source);
    }
    for range in &loaded.mended {
        let _ = writeln!(text, "damaged: bytes {}-{}: nothing is lost", range.start, range.end);
    }
    let lost = loaded.lost.iter().map(|lost| json!({"from": lost.from.value(), "to": lost.end.value(), "lost": true}));
    let mended = loaded.mended.iter().map(|range| json!({"from": range.start.value(), "to": range.end.value(), "lost": false}));
    let mut json = json!({
        "kind": name,
        "changes": loaded.changes.len(),
        "last_change_proven": !loaded.is_last_unproven,
        "torn_bytes": loaded.torn_bytes,
        "bytes": paired.len_bytes,
        "damage": lost.chain(mended).collect::<Vec<_>>(),
    });
    if is_catalog {
        json["by_kind"] = json!(kinds);
    } else {
        json["logs"] = paired.logs.iter().map(log_json).collect();
        json["segments"] = paired.segments.iter().map(segment_json).collect();
    }
    Shown { text, json }
}

/// How often each kind of change is there.
fn kinds(paired: &PairedSummary) -> BTreeMap<String, u64> {
    let mut kinds = BTreeMap::new();
    for change in &paired.loaded.changes {
        let kind = catalog::kind_of_change(&change.payload).unwrap_or("not understood");
        *kinds.entry(kind.to_owned()).or_default() += 1;
    }
    kinds
}

fn line(log: &LiveLog) -> [String; 5] {
    let [end, sequence_end] = match &log.closed {
        Some(closed) => [format!("byte {}", closed.end.end), closed.end.sequence_end.to_string()],
        None => ["open".to_owned(), "-".to_owned()],
    };
    [log.header.id.to_string(), instant::text(log.header.created), log.header.base_sequence.to_string(), end, sequence_end]
}

fn segment_line(segment: &LiveSegment) -> [String; 5] {
    let (id, created) = (segment.id().to_string(), instant::text(segment.header.created));
    let sequences = format!("{} up to and without {}", segment.sequences.0, segment.sequences.1);
    [id, created, sequences, segment.rows.to_string(), segment.len_bytes.to_string()]
}

fn segment_json(segment: &LiveSegment) -> Value {
    json!({
        "id": segment.id().to_string(),
        "created": instant::text(segment.header.created),
        "log": segment.log.map(|log| log.to_string()),
        "segments": segment.segments.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "siblings": segment.siblings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "level": segment.level.to_string(),
        "sequences": [segment.sequences.0.value(), segment.sequences.1.value()],
        "events": segment.rows,
        "bytes": segment.len_bytes,
    })
}

fn log_json(log: &LiveLog) -> Value {
    json!({
        "id": log.header.id.to_string(),
        "created": instant::text(log.header.created),
        "base_sequence": log.header.base_sequence.value(),
        "end": log.closed.map(|closed| closed.end.end.value()),
        "sequence_end": log.closed.map(|closed| closed.end.sequence_end.value()),
        "damaged": log.closed.is_some_and(|closed| closed.is_damaged),
    })
}
