//! A log: header, batches, records by kind, damage.

use std::fmt::Write;

use format::inspect::LogSummary;
use serde_json::json;

use super::{Shown, facts, hex};
use crate::instant;

pub(super) fn show(log: &LogSummary) -> Shown {
    let (header, recovered) = (&log.header, &log.recovered);
    let [events, pageviews, vitals] = log.by_kind;
    let none = || "-".to_owned();
    let sequences = log.sequences.map_or_else(none, |(first, last)| format!("{first} to {last}"));
    let [first, last] = [0, 1].map(|at| log.times.map(|(first, last)| instant::text([first, last][at])));
    let written = recovered.last_written.map(instant::text);
    let mut text = facts([
        ("log", header.id.to_string()),
        ("created", instant::text(header.created)),
        ("epoch", hex(header.epoch)),
        ("base sequence", header.base_sequence.to_string()),
        ("answers", if header.answers_before_sync { "before they are synced" } else { "after they are synced" }.to_owned()),
        ("batches", recovered.batches.to_string()),
        ("records", recovered.rows.to_string()),
        ("events", events.to_string()),
        ("pageviews", pageviews.to_string()),
        ("vitals", vitals.to_string()),
        ("sequences", sequences),
        ("first event", first.clone().unwrap_or_else(none)),
        ("last event", last.clone().unwrap_or_else(none)),
        ("last written", written.clone().unwrap_or_else(none)),
        ("ended cleanly", if recovered.drained { "yes" } else { "no" }.to_owned()),
        ("torn tail", format!("{} bytes", recovered.torn_bytes)),
        ("bytes used", recovered.end.to_string()),
        ("bytes", recovered.len_bytes.to_string()),
    ]);
    for lost in &recovered.damage {
        let (first, end) = lost.sequences;
        let _ = writeln!(text, "damaged: bytes {}-{}, sequences {first} up to and without {end}", lost.from, lost.end);
    }
    let damage = recovered.damage.iter().map(|lost| {
        let sequences = [lost.sequences.0.value(), lost.sequences.1.value()];
        json!({"from": lost.from.value(), "to": lost.end.value(), "sequences": sequences})
    });
    let json = json!({
        "kind": "log",
        "id": header.id.to_string(),
        "created": instant::text(header.created),
        "epoch": hex(header.epoch),
        "base_sequence": header.base_sequence.value(),
        "answers_before_sync": header.answers_before_sync,
        "batches": recovered.batches,
        "records": recovered.rows,
        "by_kind": {"event": events, "pageview": pageviews, "vital": vitals},
        "sequences": log.sequences.map(|(first, last)| [first.value(), last.value()]),
        "first": first,
        "last": last,
        "last_written": written,
        "ended_cleanly": recovered.drained,
        "torn_bytes": recovered.torn_bytes,
        "used_bytes": recovered.end.value(),
        "bytes": recovered.len_bytes,
        "damage": damage.collect::<Vec<_>>(),
    });
    Shown { text, json }
}
