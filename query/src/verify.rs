//! Does a segment say of its rows what records can say?
//!
//! `format` compares indexes with columns and takes their entries for opaque bytes. Here they are looked at: each entry of a field is one
//! of its kind, each value of a property is JSON, and each row has as many values in columns as its shape has holes for.

use std::collections::HashMap;

use format::findings::{Findings, Place};
use format::record::Record;
use format::sealed::{Field, Run};
use format::{Error, Kind, Segment, SiteId, Source, UnixMicros};
use serde_json::value::RawValue;

use crate::fields::{self, OF_RECORDS};
use crate::rows::blocks;
use crate::shape::Shape;

/// Adds to `findings` what is wrong. What cannot be read is `format`'s to tell.
pub fn verify(segment: &Segment, findings: &mut Findings) {
    for field in OF_RECORDS {
        check_entries(segment, field, findings);
    }
    let Ok(runs) = segment.runs() else { return };
    for run in runs {
        // An error was told when the columns were read.
        let _ = check_properties(segment, &run, findings);
    }
}

fn check_entries(segment: &Segment, field: Field, findings: &mut Findings) {
    let mut entry = Vec::new();
    for code in 1..=segment.entries(field) {
        if segment.entry(field, code, &mut entry).is_err() {
            continue;
        }
        let mut record = Record::new(Kind::Event, Source::Browser, SiteId::new([0; 16]), UnixMicros::EPOCH, UnixMicros::EPOCH);
        if fields::set(&mut record, field, &entry).is_none() {
            findings.add(&format!("{}: dictionary", field.name()), Place::file(), format_args!("entry {code} is no {}", field.name()));
        }
    }
}

/// The shapes of a run's rows, and which of its columns their holes are for.
fn check_properties(segment: &Segment, run: &Run, findings: &mut Findings) -> Result<(), Error> {
    let keys = segment.property_keys(run)?;
    for (column, key) in keys.iter().enumerate() {
        check_values(segment, run, column, key, findings)?;
    }
    let mut shapes: HashMap<u32, Option<Vec<bool>>> = HashMap::new();
    let (mut of_rows, mut columns) = (Vec::new(), vec![Vec::new(); keys.len()]);
    for rows in blocks(run.rows.clone()) {
        of_rows.clear();
        segment.codes(Field::Shape, rows.clone(), &mut of_rows)?;
        for (column, codes) in columns.iter_mut().enumerate() {
            codes.clear();
            segment.property_codes(run, column, rows.clone(), codes)?;
        }
        for (at, (row, shape)) in rows.clone().zip(&of_rows).enumerate() {
            let place = || Place::run(run.number).at_row(row);
            let holes = shapes.entry(*shape).or_insert_with(|| {
                let holes = holes(segment, *shape, &keys);
                if holes.is_none() {
                    findings.add("shape", place(), format_args!("shape {shape} is no text with holes for the columns of its run"));
                }
                holes
            });
            let Some(holes) = holes else { continue };
            for ((key, codes), is_hole) in keys.iter().zip(&columns).zip(holes.iter()) {
                match (codes[at] > 0, is_hole) {
                    (true, false) => findings.add("shape", place(), format_args!("a value of `{key}` has no place in it")),
                    (false, true) => findings.add("shape", place(), format_args!("the value of `{key}` is not there")),
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

/// By column, whether the shape has a hole for it. None if it cannot be read, or has another hole.
fn holes(segment: &Segment, shape: u32, keys: &[String]) -> Option<Vec<bool>> {
    let mut holes = vec![false; keys.len()];
    if shape > 0 {
        for key in Shape::of(segment, shape).ok()?.holes() {
            let column = keys.iter().position(|column| column == key)?;
            holes[column] = true;
        }
    }
    Some(holes)
}

fn check_values(segment: &Segment, run: &Run, column: usize, key: &str, findings: &mut Findings) -> Result<(), Error> {
    for (code, value) in (1u32..).zip(segment.property_values(run, column)?) {
        if serde_json::from_slice::<&RawValue>(&value).is_err() {
            findings.add(&format!("values of property `{key}`"), Place::run(run.number), format_args!("value {code} is no JSON"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;
    use std::sync::Arc;

    use format::fs::double::MemFs;
    use format::sealed::{NO_SESSION, Provenance, Row, SegmentHeader};
    use format::{SegmentId, SegmentWriter, Sequence};

    use super::*;

    /// A segment of one row, with this source, this shape and this value in its column `plan`; none where it is empty.
    fn segment(source: &[u8], shape: &str, value: &str) -> Arc<Segment> {
        let fs = MemFs::new(1);
        let header = SegmentHeader { id: SegmentId::FIRST, salt: [1; 16], epoch: [2; 16], created: UnixMicros::EPOCH };
        let mut writer = SegmentWriter::create(&fs, Path::new("/"), &header, [3; 16]).unwrap();
        writer.dictionary(Field::Source, [source].into_iter()).unwrap();
        writer.dictionary(Field::Shape, [shape.as_bytes()].into_iter().filter(|shape| !shape.is_empty())).unwrap();
        writer.run(SiteId::new([4; 16]), Kind::Event, "signup").unwrap();
        writer.property("plan", [value.as_bytes()].into_iter().filter(|value| !value.is_empty())).unwrap();
        let mut codes = [0; Field::ALL.len()];
        codes[Field::Source as usize] = 1;
        codes[Field::Shape as usize] = u32::from(!shape.is_empty());
        let properties = [u32::from(!value.is_empty())];
        let (time, sequence) = (UnixMicros::EPOCH, Sequence::FIRST);
        writer.push(&Row { time, sequence, session: NO_SESSION, codes, properties: &properties, event_id: None }).unwrap();
        let sequences = (Sequence::FIRST, Sequence::new(2));
        let provenance = Provenance {
            log: None,
            segments: Vec::new(),
            siblings: Vec::new(),
            level: format::Level::Arrived,
            sequences,
            received: vec![(Sequence::FIRST, UnixMicros::EPOCH)],
        };
        writer.finish(&provenance).unwrap().open(&fs).unwrap()
    }

    #[test]
    fn what_no_record_says_is_reported() {
        const SOURCE: &[u8] = &[Source::Server as u8];
        for (source, shape, value, wrong) in [
            (SOURCE, "{\"plan\":\0}", "\"pro\"", None),
            (SOURCE, "\0no object", "", None),
            (SOURCE, "", "", None),
            (&[99], "", "", Some("source: dictionary")),
            (SOURCE, "{\"plan\":\0}", "", Some("shape")),
            (SOURCE, "{\"other\":1}", "\"pro\"", Some("shape")),
            (SOURCE, "", "\"pro\"", Some("shape")),
            (SOURCE, "{\"other\":\0}", "", Some("shape")),
            (SOURCE, "{\"plan\"", "", Some("shape")),
            (SOURCE, "{\"plan\":\0}", "pro", Some("values of property `plan`")),
        ] {
            let mut findings = Findings::default();
            verify(&segment(source, shape, value), &mut findings);
            let parts: Vec<&str> = findings.problems().iter().map(|problem| problem.part.as_str()).collect();
            assert_eq!(parts, wrong.into_iter().collect::<Vec<_>>(), "{shape:?} {value:?}");
        }
    }
}
