//! Every flipped bit and every length of a small segment: the right rows, or an error that names the file and an offset in it.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use super::model::{DIR, Judge, Model, ModelRow, compare};
use super::{HEADER_LEN_BYTES, Segment, SegmentHeader, TRAILER_LEN_BYTES};
use crate::error::{Corruption, Error};
use crate::fs::FileSystem;
use crate::fs::double::{Fault, FaultKind, MemFs, Op};

const MINUTE_US: i64 = 60_000_000;

/// Two sites, three kinds, runs with and without sessions, paths and properties.
fn model() -> Model {
    let text = |text: &str| Some(text.to_owned());
    let rows = (0u8..32).map(|number| {
        let kind = [1, 1, 0, 2][usize::from(number) % 4];
        ModelRow {
            site: number / 22,
            kind,
            name: if kind == 1 { String::new() } else { ["signup", "cart", "LCP"][usize::from(number) % 3].to_owned() },
            time: 1_700_000_000_000_000 + i64::from(number) * i64::from(number) * 3 * MINUTE_US + i64::from(number % 2),
            sequence: 1,
            session: (number % 7 != 6).then_some(number % 5),
            fields: [text(["/", "/pricing", "/pricing/pro"][usize::from(number) % 3]), text("Firefox"), None, text("{\"plan\":\0}")],
            properties: if kind == 0 { vec![text(["\"pro\"", "\"free\""][usize::from(number) % 2]), None] } else { Vec::new() },
        }
    });
    Model::new(rows.collect())
}

const CUTS: [u32; 8] = [0, 31, 3, 30, 11, 20, 7, 22];

fn image(model: &Model) -> Vec<u8> {
    model.committed().live(&Model::path()).unwrap()
}

fn holding(image: &[u8]) -> MemFs {
    let fs = MemFs::new(1);
    fs.install(&Model::path(), image);
    fs
}

/// Opens a damaged image and asks it all; gives the number of questions that ended in an error, or nothing if it was not opened.
fn errors(image: &[u8], model: &Model) -> Option<usize> {
    match Segment::open(&holding(image), &Model::path()) {
        Ok(segment) => {
            let mut judge = Judge { is_damaged: true, errors: 0 };
            compare(&segment, model, &CUTS, &mut judge);
            Some(judge.errors)
        }
        Err(Error::Corrupt { path, offset, .. }) => {
            assert_eq!(path, Model::path());
            assert!(offset.value() <= image.len() as u64);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_flipped_bit_is_refused_or_named_by_whoever_reads_it() {
    let model = model();
    let mut image = image(&model);
    assert_eq!(errors(&image, &model), Some(0));
    let footer_offset = u64::from_le_bytes(image[image.len() - TRAILER_LEN_BYTES + 16..][..8].try_into().unwrap()) as usize;
    assert!(footer_offset > 1000 && image.len() < 16 * 1024, "a few KiB: {footer_offset} of {}", image.len());
    let mut unread = Vec::new();
    for bit in 0..image.len() * 8 {
        image[bit / 8] ^= 1 << (bit % 8);
        let errors = errors(&image, &model);
        image[bit / 8] ^= 1 << (bit % 8);
        let is_in_blocks = (HEADER_LEN_BYTES..footer_offset).contains(&(bit / 8));
        assert_eq!(errors.is_some(), is_in_blocks, "bit {bit}: header, footer and trailer are checked before anything is read");
        if errors == Some(0) {
            unread.push(bit);
        }
    }
    assert_eq!(unread, [0; 0], "no byte is without meaning");
}

#[test]
fn every_length_but_the_whole_one_is_refused() {
    let model = model();
    let image = image(&model);
    for len in 0..image.len() {
        assert_eq!(errors(&image[..len], &model), None, "cut to {len}");
    }
    assert_eq!(errors(&[image.as_slice(), &[0]].concat(), &model), None, "a byte more");
}

#[test]
fn a_segment_that_is_not_committed_is_read_by_its_writer_alone() {
    let model = model();
    let fs = MemFs::new(1);
    fs.create_dir(Path::new(DIR)).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    let finished = model.write(&fs);
    let segment = finished.open(&fs).unwrap();
    compare(&segment, &model, &CUTS, &mut Judge { is_damaged: false, errors: 0 });
    let opened = Segment::open(&fs, &Model::path());
    assert!(matches!(opened, Err(Error::Corrupt { source: Corruption::Trailer, .. })), "{opened:?}");

    finished.commit().unwrap();
    compare(&segment, &model, &CUTS, &mut Judge { is_damaged: false, errors: 0 });
    let committed: Arc<Segment> = Segment::open(&fs.crash(&mut |_| 0), &Model::path()).unwrap();
    compare(&committed, &model, &CUTS, &mut Judge { is_damaged: false, errors: 0 });
}

#[test]
fn a_power_cut_before_the_commit_leaves_no_segment_and_after_it_a_whole_one() {
    let model = model();
    for cut in 0.. {
        let fs = MemFs::new(cut);
        fs.create_dir(Path::new(DIR)).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        let finished = model.write(&fs);
        fs.fail(Fault { op: None, nth: cut, forever: false, kind: FaultKind::PowerCut });
        let is_committed = finished.commit().is_ok();
        for kept in [0, 1] {
            let after = fs.crash(&mut |_| kept);
            match Segment::open(&after, &Model::path()) {
                Ok(segment) => compare(&segment, &model, &CUTS, &mut Judge { is_damaged: false, errors: 0 }),
                Err(error) => assert!(!is_committed, "{error}"),
            }
        }
        if is_committed {
            assert!(cut > 0);
            break;
        }
    }
}

#[test]
fn an_error_of_the_disk_is_no_answer() {
    let model = model();
    let fs = model.committed();
    let segment = Segment::open(&fs, &Model::path()).unwrap();
    fs.fail(Fault { op: Some(Op::Read), nth: 0, forever: false, kind: FaultKind::Io });
    assert!(matches!(segment.runs(), Err(Error::Io { .. })));
    fs.heal();
    compare(&segment, &model, &CUTS, &mut Judge { is_damaged: false, errors: 0 });
}

#[test]
fn a_full_disk_is_told_from_a_broken_one() {
    let fs = MemFs::new(1);
    fs.create_dir(Path::new(DIR)).unwrap();
    let header: SegmentHeader = Model::header();
    let writer = super::SegmentWriter::create(&fs, Path::new(DIR), &header, [0; 16]).unwrap();
    fs.fail(Fault { op: Some(Op::Write), nth: 0, forever: false, kind: FaultKind::Full });
    assert!(matches!(writer.finish(&model().provenance()), Err(Error::Full { .. })));
}
