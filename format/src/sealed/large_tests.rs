//! What needs more than one block: long runs, long streams, large dictionaries, many sessions.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use super::blocks::Input;
use super::by_session::{self, BySessionWriter};
use super::compress::Packer;
use super::dictionary::{self, Dictionary};
use super::model::{Judge, Model, ModelRow, compare};
use super::output::Output;
use super::section::Section;
use super::{Field, NO_SESSION, Segment, sessions};
use crate::checksum::FileChecksum;
use crate::fs::double::MemFs;
use crate::fs::{File, FileSystem};
use crate::units::SessionId;

/// A number that looks random, the same for the same input.
fn hash(number: u64) -> u64 {
    let mixed = (number ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 29).wrapping_mul(0x94d0_49bb_1331_11eb) >> 16
}

/// Writes streams, and opens what was written.
fn written(write: impl FnOnce(&mut Output)) -> Input {
    let fs = MemFs::new(1);
    let path = Path::new("/file");
    let checksum = FileChecksum::new([5; 16]);
    let file: Arc<dyn File> = fs.create(path).unwrap();
    let mut output = Output::new(path, Arc::clone(&file), checksum.clone(), &[0; 64]);
    write(&mut output);
    let sections = output.finish().unwrap();
    output.flush().unwrap();
    let map = Arc::clone(&file).map(1).unwrap();
    Input::new(path.to_owned(), file, map, checksum, sections)
}

#[test]
fn any_range_of_a_long_stream_comes_back() {
    let bytes: Vec<u8> = (0..400_000).map(|at| hash(at) as u8).collect();
    let input = written(|output| {
        // Two streams that interleave, in pieces that no block is a multiple of.
        for piece in bytes.chunks(7001) {
            output.append(Section::NAMES, piece).unwrap();
            output.append(Section::POSTINGS, &piece[..piece.len() / 2]).unwrap();
        }
    });
    assert_eq!(input.len(Section::NAMES), 400_000);
    let mut scratch = Vec::new();
    for number in 0..2000 {
        let start = hash(number) % 400_000;
        let end = (start + hash(number + 5000) % 200_000).min(400_000);
        let (from, to) = (start as usize, end as usize);
        assert_eq!(input.read(Section::NAMES, start..end, &mut scratch).unwrap(), &bytes[from..to]);
    }
    assert!(input.read(Section::NAMES, 399_999..400_001, &mut scratch).is_err());
    assert!(input.read(Section::IDS, 0..1, &mut scratch).is_err());
}

#[test]
fn a_large_dictionary_finds_its_entries() {
    let mut entries: Vec<Vec<u8>> =
        (0..5000).map(|number| format!("/shelf/{}/{:x}", number % 7, hash(number)).into_bytes().repeat(1 + number as usize % 5)).collect();
    entries.sort_unstable();
    entries.dedup();
    let mut count = 0;
    let input = written(|output| {
        count = dictionary::write(output, Section::PROPERTY_TEXTS, Section::PROPERTY_GROUPS, entries.iter().map(Vec::as_slice)).unwrap();
    });
    assert_eq!(count as usize, entries.len());
    let text_end = input.len(Section::PROPERTY_TEXTS);
    assert!(text_end > 3 * 65_536);
    let dictionary =
        Dictionary { text: Section::PROPERTY_TEXTS, groups: Section::PROPERTY_GROUPS, groups_start: 0, text_end, entries: count };
    let mut entry = Vec::new();
    for (code, expected) in (1..).zip(&entries) {
        dictionary.entry(&input, code, &mut entry).unwrap();
        assert_eq!(entry, *expected);
        assert_eq!(dictionary.find(&input, expected).unwrap(), Some(code));
        assert_eq!(dictionary.find(&input, &[expected.as_slice(), b"\0"].concat()).unwrap(), None);
    }
    assert_eq!(dictionary.all(&input).unwrap(), entries);
    assert!(dictionary.entry(&input, 0, &mut entry).is_err() && dictionary.entry(&input, count + 1, &mut entry).is_err());
}

#[test]
fn many_sessions_are_found_by_id_also_where_ids_begin_alike() {
    let id = |number: u64| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(hash(number) << 48).to_be_bytes());
        bytes[0] = (number % 3) as u8;
        bytes[1] = 0;
        bytes[8..].copy_from_slice(&hash(number).to_be_bytes());
        SessionId::new(bytes)
    };
    let input = written(|output| {
        // Some are read back from the file, some from what is still to be written.
        assert_eq!(sessions::write(output, (0..50_000).map(id)).unwrap(), 50_000);
    });
    let mut scratch = Vec::new();
    for code in (0..50_000).step_by(7) {
        assert_eq!(sessions::id(&input, code, &mut scratch).unwrap(), id(code.into()));
        assert_eq!(sessions::find(&input, 50_000, id(code.into())).unwrap(), Some(code));
    }
    assert_eq!(sessions::find(&input, 50_000, id(50_000)).unwrap(), None);
    // Mostly neighbours, as codes of rows are, and now and then far away; the last block is not full.
    let codes: Vec<u32> = (0..50_000).map(|number| if number % 9 == 0 { hash(number) as u32 % 50_000 } else { number as u32 }).collect();
    let mut ids = vec![id(0)];
    sessions::ids(&input, &codes, &mut ids).unwrap();
    assert!(ids[1..].iter().copied().eq(codes.iter().map(|code| id(u64::from(*code)))));
    assert!(sessions::ids(&input, &[50_000], &mut ids).is_err());
}

#[test]
fn codes_of_many_sessions_come_back_by_row() {
    // On both sides of where codes are held wider.
    for entries in [9, 0xfe, 0xff, 0xfffe, 0xffff] {
        codes_of_sessions_come_back(entries);
    }
}

fn codes_of_sessions_come_back(all_entries: u32) {
    const SESSIONS: u32 = 50_000;
    // Neighbours for the most part, and a row of a session far away or of none now and then; most have the code of their session.
    let row = |number: u32| {
        let session = match hash(number.into()) % 16 {
            0 => NO_SESSION,
            1 => hash(number.into()) as u32 % SESSIONS,
            _ => number % SESSIONS,
        };
        let by = if hash(u64::from(number) + 1).is_multiple_of(8) { number } else { session };
        (
            session,
            match hash(by.into()) % 8 {
                0 => all_entries,
                _ => hash(by.into()) as u32 % (all_entries + 1),
            },
        )
    };
    let rows: Vec<(u32, u32)> = (0..70_000).map(row).collect();
    let input = written(|output| {
        let (mut writer, mut packer) = (BySessionWriter::new(Field::UserAgent, all_entries), Packer::new());
        for (session, code) in &rows {
            writer.push(*code, *session, SESSIONS, output, &mut packer).unwrap();
        }
        writer.finish(output, &mut packer).unwrap();
    });
    for number in 0..200 {
        let start = hash(number) as usize % rows.len();
        let end = (start + hash(number + 1000) as usize % 40_000).min(rows.len());
        let (sessions, codes): (Vec<u32>, Vec<u32>) = rows[start..end].iter().copied().unzip();
        let mut read = vec![77];
        let all = (70_000, SESSIONS, all_entries);
        by_session::read(&input, Field::UserAgent, all, start as u32..end as u32, &sessions, &mut read).unwrap();
        assert_eq!(read[1..], codes);
    }
    // The sessions of other rows: one that has none here cannot have the code of its session.
    let mut read = vec![77];
    let none = vec![NO_SESSION; 100];
    let all = (70_000, SESSIONS, all_entries);
    assert!(by_session::read(&input, Field::UserAgent, all, 0..100, &none, &mut read).is_err());
    assert_eq!(read, [77]);
}

#[test]
fn a_run_over_several_blocks_answers_as_the_list_of_its_rows() {
    const MINUTE_US: i64 = 60_000_000;
    let rows = (0..40_000u64).map(|number| {
        let text = |texts: &[&str], salt: u64| Some(texts[hash(number + salt) as usize % texts.len()].to_owned());
        let kind = u8::from(!number.is_multiple_of(3));
        ModelRow {
            site: 0,
            kind,
            name: String::new(),
            time: (number as i64 * MINUTE_US) / 4 + (hash(number) % 60_000) as i64 * 1000,
            sequence: number,
            session: (!number.is_multiple_of(11)).then(|| ((number / 200) as u8).wrapping_add((hash(number + 7) % 4) as u8)),
            fields: [text(&["/", "/", "/", "/a", "/b"], 1), text(&["Firefox", "Safari"], 2), None, None],
            properties: if kind == 0 { vec![text(&["1", "2", "3"], 3), None, text(&["true"], 4)] } else { Vec::new() },
        }
    });
    let model = Model::new(rows.collect());
    let fs = model.committed();
    let segment = Segment::open(&fs, &Model::path()).unwrap();
    let cuts: Vec<u32> = (0..24).map(|number| hash(number) as u32).chain([0, 16_383, 16_384, 16_385]).collect();
    compare(&segment, &model, &cuts, &mut Judge { is_damaged: false, errors: 0 });
}
