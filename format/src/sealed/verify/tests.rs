//! A wrong index under checksums that match is reported by its name, and so is every bit that no checksum matches any more.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use proptest::prelude::*;

use super::verify;
use crate::findings::{Findings, MAX_PROBLEMS};
use crate::fs::FileSystem;
use crate::fs::double::{Fault, FaultKind, MemFs, Op};
use crate::record::Kind;
use crate::sealed::blocks::Block;
use crate::sealed::compress::Packer;
use crate::sealed::footer::Footer;
use crate::sealed::header::Trailer;
use crate::sealed::section::Section;
use crate::sealed::{Field, Level, NO_SESSION, Provenance, Row, SegmentHeader, SegmentWriter, TRAILER_LEN_BYTES};
use crate::units::{SegmentId, Sequence, SessionId, SiteId, UnixMicros};

const DIR: &str = "/segments";
const MINUTE_US: i64 = 60_000_000;

fn header() -> SegmentHeader {
    SegmentHeader { id: SegmentId::new(9), salt: *b"salt of segments", epoch: [9; 16], created: UnixMicros::EPOCH }
}

fn path() -> PathBuf {
    Path::new(DIR).join(header().id.file_name())
}

/// The bytes of a segment with every column and every index there is: a site with pageviews and an event with a property, and another
/// site, of `rows` rows in all.
fn image(rows: u32) -> Vec<u8> {
    let fs = MemFs::new(1);
    fs.create_dir(Path::new(DIR)).unwrap();
    let mut writer = SegmentWriter::create(&fs, Path::new(DIR), &header(), *b"a secret of ids!").unwrap();
    let paths = ["/", "/cart", "/pricing", "/pricing/pro"];
    writer.dictionary(Field::Path, paths.iter().map(|path| path.as_bytes())).unwrap();
    writer.dictionary(Field::Shape, [b"{\"plan\":\0}".as_slice()].into_iter()).unwrap();
    // A session begins with every third row, and comes back in later ones, some of them hours later.
    let session = |row: u32| {
        if row % 7 == 6 && !row.is_multiple_of(3) {
            NO_SESSION
        } else {
            row / 3 - if row.is_multiple_of(3) { 0 } else { (row / 3).min(row % 11) }
        }
    };
    let sessions = rows.div_ceil(3);
    writer.sessions((0..sessions).map(|code| SessionId::new(u128::from(code.wrapping_mul(0x9e37_79b9)).to_be_bytes()))).unwrap();
    let site = |row: u32| SiteId::new([u8::from(row >= rows * 3 / 4); 16]);
    let kind = |row: u32| if row % 3 == 2 { Kind::Event } else { Kind::Pageview };
    for of_site in [site(0), site(rows - 1)] {
        for of_kind in [Kind::Event, Kind::Pageview] {
            let is_event = of_kind == Kind::Event;
            writer.run(of_site, of_kind, if is_event { "signup" } else { "" }).unwrap();
            if is_event {
                writer.property("plan", [b"\"free\"".as_slice(), b"\"pro\""].into_iter()).unwrap();
            }
            for row in (0..rows).filter(|row| (site(*row), kind(*row)) == (of_site, of_kind)) {
                let mut codes = [0; Field::ALL.len()];
                codes[Field::Path as usize] = row % 5;
                codes[Field::Shape as usize] = u32::from(is_event);
                let id = format!("id-{row}");
                let row = Row {
                    time: UnixMicros::new(i64::from(row) * 17 * MINUTE_US).unwrap(),
                    sequence: Sequence::new(u64::from(row) + 1),
                    session: session(row),
                    codes,
                    properties: if is_event { &[1 + row % 2] } else { &[] },
                    event_id: (row % 4 != 1).then_some(&id),
                };
                writer.push(&row).unwrap();
            }
        }
    }
    let received = [(1, 0), (5, 1)].map(|(sequence, minute)| (Sequence::new(sequence), UnixMicros::new(minute * MINUTE_US).unwrap()));
    let sequences = (Sequence::new(1), Sequence::new(u64::from(rows) + 1));
    let provenance =
        Provenance { log: None, segments: Vec::new(), siblings: Vec::new(), level: Level::Arrived, sequences, received: received.to_vec() };
    writer.finish(&provenance).unwrap().commit().unwrap();
    fs.live(&path()).unwrap()
}

fn holding(image: &[u8]) -> MemFs {
    let fs = MemFs::new(1);
    fs.install(&path(), image);
    fs
}

fn findings(image: &[u8]) -> Findings {
    let mut findings = Findings::default();
    let mut read = 0;
    let segment = verify(&holding(image), &path(), &mut findings, &mut |bytes| read += bytes);
    if findings.is_empty() {
        assert!(segment.is_some());
        assert_eq!(read, image.len() as u64 * 2, "all of it was read, and the columns once more");
    }
    findings
}

/// The parts that are reported.
fn parts(image: &[u8]) -> Vec<String> {
    let mut parts: Vec<String> = findings(image).problems().iter().map(|problem| problem.part.clone()).collect();
    parts.dedup();
    parts
}

/// Changes a segment and makes all checksums match again. `change` is given the footer and the bytes before it.
fn resealed(image: &[u8], change: impl FnOnce(&mut Footer, &mut [u8])) -> Vec<u8> {
    let checksum = header().checksum();
    let trailer_at = image.len() - TRAILER_LEN_BYTES;
    let trailer = Trailer::decode(image[trailer_at..].try_into().unwrap(), &checksum, header().id, trailer_at as u64).unwrap();
    let footer_at = trailer.footer_offset as usize;
    let mut footer = Footer::decode(&image[footer_at..trailer_at], footer_at as u64).unwrap();
    let mut image = image[..footer_at].to_vec();
    change(&mut footer, &mut image);
    for (_, blocks) in &mut footer.sections {
        for block in blocks.iter_mut().filter(|block| block.len_bytes > 0) {
            let bytes = &image[block.offset as usize..][..block.len_bytes as usize];
            block.crc = checksum.at(block.offset, [bytes, &[]]);
        }
    }
    let bytes = footer.encode(&mut Packer::new()).unwrap();
    let footer_crc = checksum.at(footer_at as u64, [&bytes, &[]]);
    let trailer = Trailer { footer_len_bytes: bytes.len() as u64, footer_crc, ..trailer };
    image.extend(bytes);
    image.extend(trailer.encode(&checksum));
    image
}

/// The first block of a section.
fn block_of(footer: &Footer, section: Section) -> Block {
    let (_, blocks) = footer.sections.iter().find(|(of, _)| *of == section).unwrap();
    blocks[0]
}

/// Changes the bytes of the first block of a section.
fn edited(image: &[u8], section: Section, edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
    resealed(image, |footer, image| {
        let block = block_of(footer, section);
        edit(&mut image[block.offset as usize..][..block.len_bytes as usize]);
    })
}

#[test]
fn nothing_is_wrong_with_what_was_written() {
    // Rows of one block and of several, with bitmaps of sessions and without.
    for rows in [8, 40, 700, 20_000, 60_000] {
        let image = image(rows);
        assert_eq!(findings(&image).problems(), [], "{rows} rows");
        assert_eq!(findings(&resealed(&image, |_, _| {})).problems(), [], "{rows} rows");
    }
}

#[test]
fn the_first_segment_ever_written_is_whole() {
    let golden = include_bytes!("../../../testdata/tiny.seg");
    let path = Path::new(DIR).join(SegmentId::new(0x12).file_name());
    let (fs, mut findings) = (MemFs::new(1), Findings::default());
    fs.install(&path, golden);
    verify(&fs, &path, &mut findings, &mut |_| {});
    assert_eq!(findings.problems(), []);
}

#[test]
fn every_flipped_bit_is_reported() {
    let mut image = image(24);
    assert!(image.len() < 8 * 1024, "{} bytes are a few KiB", image.len());
    for bit in 0..image.len() * 8 {
        image[bit / 8] ^= 1 << (bit % 8);
        let findings = findings(&image);
        let at = bit as u64 / 8;
        let is_near = |from: u64, end: Option<u64>| from <= at && end.is_none_or(|end| at < end);
        let places = findings.problems().iter().filter_map(|problem| Some((problem.place.from?.value(), problem.place.end)));
        assert!(places.into_iter().any(|(from, end)| is_near(from, end.map(crate::units::ByteOffset::value))), "bit {bit}: {findings:?}");
        image[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn every_length_but_the_whole_one_is_reported() {
    let image = image(24);
    for len in 0..image.len() {
        assert!(!findings(&image[..len]).is_empty(), "cut to {len}");
    }
    assert!(!findings(&[image.as_slice(), &[0]].concat()).is_empty(), "a byte more");
}

#[test]
fn a_wrong_index_is_reported_by_its_name() {
    let (small, large) = (image(700), image(20_000));
    let flip = |at: usize| move |bytes: &mut [u8]| bytes[at] ^= 1;
    // In the directory: bytes of the second run.
    let of_run = |at: usize| move |bytes: &mut [u8]| bytes[96 + at] ^= 1;
    let last = |bytes: &mut [u8]| *bytes.last_mut().unwrap() ^= 1;
    let cases: [(&str, Vec<u8>); 19] = [
        ("has_prev", edited(&small, Section::HAS_PREV, flip(20))),
        ("has_prev", edited(&small, Section::HAS_PREV, flip(68))),
        ("has_prev", edited(&small, Section::HAS_PREV, last)),
        ("has_next", edited(&small, Section::HAS_NEXT, flip(30))),
        ("has_next", edited(&small, Section::HAS_NEXT, flip(68))),
        ("long links", edited(&small, Section::LONG_LINKS, flip(1))),
        ("session bitmap", edited(&large, Section::RUN_SESSIONS, |bytes| bytes[bytes.len() - 2] ^= 1)),
        ("session order", edited(&small, Section::SESSION_ORDER, flip(7))),
        ("path postings", edited(&small, Section::POSTINGS, flip(30))),
        ("path postings", edited(&small, Section::POSTINGS, last)),
        ("path postings", edited(&small, Section::POSTING_GROUPS, flip(0))),
        ("event id index", edited(&small, Section::ID_INDEX, flip(2))),
        ("event id index", edited(&small, Section::ID_DIRECTORY, flip(20))),
        // The key of the hashes.
        ("event id filter", edited(&small, Section::ID_DIRECTORY, flip(3))),
        ("event id filter", edited(&small, Section::ID_FILTER, flip(9))),
        ("run directory", edited(&small, Section::RUNS, of_run(32))),
        ("run directory", edited(&small, Section::RUNS, of_run(48))),
        ("long links", edited(&small, Section::RUNS, of_run(64))),
        ("run directory", edited(&small, Section::RUNS, of_run(16))),
    ];
    for (number, (part, image)) in cases.into_iter().enumerate() {
        let parts = parts(&image);
        assert!(parts.iter().any(|found| found == part), "case {number}: {part} is not among {parts:?}");
    }
}

#[test]
fn a_wrong_column_is_reported_by_its_name_or_by_the_indexes_it_contradicts() {
    let small = image(700);
    let cases: [(&str, Vec<u8>); 7] = [
        // "/cart": the entry behind the first one, which has three bytes.
        ("path: dictionary", edited(&small, Section::text(Field::Path), |bytes| bytes[5] = b'z')),
        ("property columns", edited(&small, Section::PROPERTIES, |bytes| bytes[32] ^= 1)),
        ("values of property `plan`", edited(&small, Section::PROPERTY_TEXTS, |bytes| bytes[3] = b'x')),
        ("times", edited(&small, Section::TIMES, |bytes| bytes[3 * 12 + 4] ^= 1)),
        ("session order", edited(&small, Section::SESSION_IDS, |bytes| bytes[16] = 0xff)),
        ("receive times", resealed(&small, |footer, _| footer.provenance.received.reverse())),
        ("sequences", resealed(&small, |footer, _| footer.provenance.sequences.1 = Sequence::new(700))),
    ];
    for (part, image) in cases {
        let parts = parts(&image);
        assert!(parts.iter().any(|found| found == part), "{part} is not among {parts:?}");
    }
}

#[test]
fn bytes_that_belong_to_nothing_or_to_two_are_reported() {
    let small = image(40);
    let unknown = resealed(&small, |footer, _| {
        let (_, blocks) = footer.sections.pop().unwrap();
        footer.sections.push((Section::with_number(250), blocks));
    });
    // What stands in a section that nobody knows is left alone; here the filter is missing then.
    assert!(!parts(&unknown).contains(&"blocks".to_owned()));
    let nothing = resealed(&small, |footer, _| drop(footer.sections.pop()));
    assert!(parts(&nothing).contains(&"blocks".to_owned()));
    let twice = resealed(&small, |footer, _| {
        let block = footer.sections[0].1[0];
        footer.sections.push((Section::with_number(250), vec![block]));
    });
    assert_eq!(parts(&twice), ["blocks"]);
}

/// A file that is damaged all over: it is read to the end, and what is told has a bound.
#[test]
fn problems_are_told_up_to_a_bound_and_counted_beyond() {
    let image = edited(&image(20_000), Section::SESSION_ORDER, |bytes| bytes.fill(0));
    let findings = findings(&image);
    assert_eq!(findings.problems().len(), MAX_PROBLEMS);
    assert!(findings.further() > 5_000, "{}", findings.further());
}

#[test]
fn an_error_of_the_disk_is_a_problem_of_its_block() {
    let fs = holding(&image(100));
    // On the double a mapping reads as well: thousands of calls.
    for nth in (0..60).chain((60..).step_by(997)) {
        fs.fail(Fault { op: Some(Op::Read), nth, forever: false, kind: FaultKind::Io });
        let mut findings = Findings::default();
        verify(&fs, &path(), &mut findings, &mut |_| {});
        fs.heal();
        if findings.is_empty() {
            assert!(nth > 60, "every read may fail");
            break;
        }
    }
}

#[test]
fn a_file_under_the_name_of_another_is_reported() {
    let (fs, other) = (MemFs::new(1), Path::new(DIR).join(SegmentId::new(8).file_name()));
    fs.install(&other, &image(8));
    let mut findings = Findings::default();
    verify(&fs, &other, &mut findings, &mut |_| {});
    assert_eq!(findings.problems().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Bytes that nobody wrote, under checksums that match.
    #[test]
    fn whatever_the_bytes_there_is_no_panic(section: prop::sample::Index, edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
        let image = resealed(IMAGE.get_or_init(|| image(100)), |footer, image| {
            let (_, blocks) = section.get(&footer.sections);
            let block = blocks[0];
            let bytes = &mut image[block.offset as usize..][..block.len_bytes as usize];
            for (at, byte) in edits {
                bytes[at.index(block.len_bytes as usize)] = byte;
            }
        });
        verify(&holding(&image), &path(), &mut Findings::default(), &mut |_| {});
    }
}
