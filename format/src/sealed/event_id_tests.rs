//! Event ids through a segment's file: written, committed, opened, damaged.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::error::Error;
use crate::fs::double::MemFs;
use crate::fs::{FileSystem, RealFs};
use crate::record::Kind;
use crate::units::{SegmentId, Sequence, SiteId, UnixMicros};

const SECRET: [u8; 16] = [7; 16];

/// Rows of each of the four runs.
const RUN_ROWS: u32 = 100;
const RUNS: [(SiteId, &str); 4] = [(SITES[0], "a"), (SITES[0], "b"), (SITES[1], "a"), (SITES[1], "b")];
const SITES: [SiteId; 2] = [SiteId::new([1; 16]), SiteId::new([2; 16])];

/// The id of a row: of every form, the same ones on both sites, and on each site the last row again that of the first.
fn id(row: u32) -> Option<String> {
    let number = row % (2 * RUN_ROWS);
    match number % 4 {
        _ if number == 2 * RUN_ROWS - 1 => id(row - number + 1),
        3 => None,
        1 => Some(format!("00112233-4455-6677-8899-{number:012x}")),
        2 => Some(format!("ABCDEFGHIJ{number:03}A")),
        _ => Some(format!("order {number}")),
    }
}

/// Later rows were committed earlier.
fn sequence(row: u32) -> Sequence {
    Sequence::new(u64::from(10_000 - row))
}

fn site(row: u32) -> SiteId {
    RUNS[(row / RUN_ROWS) as usize].0
}

/// The row that is found for the id of `row`: the first of a site has the id of its last, which was committed before it.
fn first(row: u32) -> u32 {
    if row % (2 * RUN_ROWS) == 1 { row + 2 * RUN_ROWS - 2 } else { row }
}

fn write(fs: &dyn FileSystem, dir: &Path) -> PathBuf {
    let header = SegmentHeader { id: SegmentId::FIRST, salt: [1; 16], epoch: [2; 16], created: UnixMicros::EPOCH };
    let mut writer = SegmentWriter::create(fs, dir, &header, SECRET).unwrap();
    let mut row = 0;
    for (site, name) in RUNS {
        writer.run(site, Kind::Event, name).unwrap();
        for _ in 0..RUN_ROWS {
            let (time, codes, id) = (UnixMicros::new(row.into()).unwrap(), [0; Field::ALL.len()], id(row));
            let row_of_run = Row { time, sequence: sequence(row), session: NO_SESSION, codes, properties: &[], event_id: id.as_deref() };
            writer.push(&row_of_run).unwrap();
            row += 1;
        }
    }
    let sequences = (sequence(row), sequence(0).after(1));
    let provenance =
        Provenance { log: None, segments: Vec::new(), siblings: Vec::new(), level: Level::Arrived, sequences, received: Vec::new() };
    writer.finish(&provenance).unwrap().commit().unwrap();
    dir.join(header.id.file_name())
}

fn in_memory() -> (MemFs, PathBuf) {
    let fs = MemFs::new(1);
    fs.create_dir(Path::new("/s")).unwrap();
    let path = write(&fs, Path::new("/s"));
    (fs, path)
}

/// Asks for everything; how many answers were errors. None may be wrong.
fn ask(segment: &Segment) -> usize {
    let mut errors = 0;
    let mut text = String::new();
    for row in 0..segment.rows() {
        let id = id(row);
        match segment.event_id(row, &mut text) {
            Ok(has_id) => assert_eq!(has_id.then_some(&text), id.as_ref(), "{row}"),
            Err(_) => errors += 1,
        }
        let Some(id) = id else { continue };
        match segment.find_event_id(site(row), &id) {
            Ok(found) => assert_eq!(found, Some((first(row), sequence(first(row)))), "{row}"),
            Err(_) => errors += 1,
        }
        match segment.find_event_id(SiteId::new([3; 16]), &id) {
            Ok(found) => assert_eq!(found, None),
            Err(_) => errors += 1,
        }
    }
    errors
}

#[test]
fn ids_are_found_alone_in_batches_and_by_row() {
    let (fs, path) = in_memory();
    let segment = Segment::open(&fs, &path).unwrap();
    assert_eq!(ask(&segment), 0);

    let rows: Vec<(u32, String)> = (0..segment.rows()).filter_map(|row| Some((row, id(row)?))).collect();
    let mut asked: Vec<(SiteId, &str)> = rows.iter().map(|(row, id)| (site(*row), id.as_str())).collect();
    asked.push((SITES[0], "absent"));
    let expected: Vec<FoundId> =
        (0..).zip(&rows).map(|(number, (row, _))| FoundId { number, sequence: sequence(first(*row)), row: first(*row) }).collect();
    let batch = IdBatch::new(IdKey::derive(SECRET), asked);
    assert_eq!(segment.find_event_ids(&batch).unwrap(), expected);

    let (mut ids, mut hashes) = (Vec::new(), Vec::new());
    let all = 0..segment.rows();
    segment
        .event_ids(all.clone(), |row, id| {
            ids.push((row, id.to_owned()));
            Ok(())
        })
        .unwrap();
    assert_eq!(ids, rows);
    segment
        .event_id_hashes(IdKey::derive(SECRET), all, |row, hash| {
            hashes.push((row, hash));
            Ok(())
        })
        .unwrap();
    assert_eq!(hashes.len(), rows.len());
    // On both sites the same ids: their hashes differ.
    hashes.sort_unstable_by_key(|(_, hash)| *hash);
    hashes.dedup_by_key(|(_, hash)| *hash);
    assert_eq!(hashes.len(), rows.len() - SITES.len());
}

#[test]
fn damage_is_an_error_or_changes_no_answer() {
    let (fs, path) = in_memory();
    let bytes = fs.live(&path).unwrap();
    let mut found = 0;
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        fs.install(&path, &damaged);
        found += Segment::open(&fs, &path).map_or(1, |segment| ask(&segment).min(1));
    }
    // Of the other bytes, nobody who looks for ids takes notice.
    assert!(found > bytes.len() / 2, "{found} of {}", bytes.len());
}

#[test]
fn a_segment_that_something_else_cut_is_poisoned_and_finds_no_id_absent() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(&RealFs::default(), dir.path());
    let segment: Arc<Segment> = Segment::open(&RealFs::default(), &path).unwrap();
    assert_eq!(ask(&segment), 0);
    assert!(!segment.is_poisoned());
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    let id = id(1).unwrap();
    assert!(matches!(segment.find_event_id(SITES[0], &id), Err(Error::Io { operation: "read", .. })));
    assert!(segment.is_poisoned());
    let batch = IdBatch::new(IdKey::derive(SECRET), vec![(SITES[0], &id)]);
    assert!(segment.find_event_ids(&batch).is_err());
    assert!(segment.event_id(1, &mut String::new()).is_err());
    assert!(segment.event_ids(0..1, |_, _| Ok(())).is_err());
}
