#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::{Block, Entry, Spill, aside_bytes};
use crate::checksum::FileChecksum;
use crate::error::Error;
use crate::fs::FileSystem;
use crate::fs::double::MemFs;
use crate::record::Kind;
use crate::sealed::{Field, Level, NO_SESSION, Provenance, Row, SegmentHeader, SegmentWriter};
use crate::units::{SegmentId, Sequence, SessionId, SiteId, UnixMicros};

const DIR: &str = "/segments";
const PATHS: u32 = 40;
const SESSIONS: u32 = 300;

fn hash(number: u64) -> u64 {
    let mixed = (number ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 29).wrapping_mul(0x94d0_49bb_1331_11eb) >> 16
}

/// The bytes of a segment with several runs, paths, sessions and ids, written with at most so many entries of an index in memory.
fn written(held_entries: Option<usize>) -> Vec<u8> {
    let fs = MemFs::new(1);
    fs.create_dir(Path::new(DIR)).unwrap();
    let header = SegmentHeader { id: SegmentId::FIRST, salt: [1; 16], epoch: [2; 16], created: UnixMicros::EPOCH };
    let mut writer = SegmentWriter::create(&fs, Path::new(DIR), &header, [3; 16]).unwrap();
    if let Some(held) = held_entries {
        writer.hold(held);
    }
    writer.dictionary(Field::Path, (0..PATHS).map(|path| format!("/{path:02}").into_bytes())).unwrap();
    writer.sessions((0..SESSIONS).map(|session| SessionId::new(u128::from(session).to_be_bytes()))).unwrap();
    for (site, rows) in [(0, 3000), (1, 5), (2, 900)] {
        writer.run(SiteId::new([site; 16]), Kind::Pageview, "").unwrap();
        for number in 0..rows {
            let random = hash(u64::from(site) << 32 | number);
            let mut codes = [0; Field::ALL.len()];
            // A third of them one path, some none, and the others rare ones.
            codes[Field::Path as usize] = if random.is_multiple_of(3) { 7 } else { (random >> 8) as u32 % (PATHS + 1) };
            let session = if random.is_multiple_of(11) { NO_SESSION } else { (random >> 20) as u32 % SESSIONS };
            let id = format!("id-{random}");
            let time = UnixMicros::new(number as i64 * 200_000_000).unwrap();
            let event_id = (!random.is_multiple_of(5)).then_some(id.as_str());
            writer.push(&Row { time, sequence: Sequence::new(number), session, codes, properties: &[], event_id }).unwrap();
        }
    }
    let provenance = Provenance {
        log: None,
        segments: Vec::new(),
        siblings: Vec::new(),
        level: Level::Arrived,
        sequences: (Sequence::FIRST, Sequence::FIRST),
        received: Vec::new(),
    };
    let finished = writer.finish(&provenance).unwrap();
    finished.commit().unwrap();
    assert_eq!(fs.list(Path::new(DIR)).unwrap(), [header.id.file_name()], "nothing else has a name");
    let file = fs.open(finished.path()).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    crate::fs::read_exact_at(&*file, &mut bytes, 0).unwrap();
    bytes
}

#[test]
fn a_segment_is_the_same_whatever_stood_aside() {
    let expected = written(None);
    for held in [1, 2, 7, 64, 1000, 2999, 3000, 3001] {
        assert!(written(Some(held)) == expected, "{held}");
    }
}

/// Two pieces, aside.
fn aside(fs: &MemFs) -> (Spill<'_>, Vec<(Block, Vec<Entry>)>) {
    fs.create_dir(Path::new(DIR)).unwrap();
    let mut spill = Spill::new(fs, &Path::new(DIR).join("1.seg"), FileChecksum::new([5; 16]));
    let pieces = [vec![[1, 2, 3], [u32::MAX, 0, 5]], vec![[7; 3]]];
    let pieces = pieces.map(|entries| (spill.push(&entries).unwrap(), entries));
    (spill, pieces.into())
}

#[test]
fn pieces_come_back_in_any_order() {
    let fs = MemFs::new(1);
    let (mut spill, pieces) = aside(&fs);
    for (piece, entries) in pieces.iter().rev() {
        let mut read = vec![[9; 3]];
        spill.read(piece, &mut read).unwrap();
        assert_eq!(read[1..], *entries);
    }
}

#[test]
fn every_flipped_bit_aside_is_found() {
    let fs = MemFs::new(1);
    let (mut spill, pieces) = aside(&fs);
    let (piece, _) = &pieces[1];
    for bit in 0..piece.len_bytes * 8 {
        let file = std::sync::Arc::clone(spill.file.as_ref().unwrap());
        let (at, mut byte) = (piece.offset + u64::from(bit / 8), [0]);
        crate::fs::read_exact_at(&*file, &mut byte, at).unwrap();
        let flipped = [byte[0] ^ 1 << (bit % 8)];
        file.write_at(&flipped, at).unwrap();
        let mut read = Vec::new();
        assert!(matches!(spill.read(piece, &mut read), Err(Error::Corrupt { .. })), "{bit}");
        assert!(read.is_empty());
        file.write_at(&byte, at).unwrap();
    }
}

#[test]
fn a_segment_of_few_rows_puts_nothing_aside() {
    assert_eq!((aside_bytes(0), aside_bytes((1 << 19) - 1)), (0, 0));
    assert_eq!(aside_bytes(1 << 19), 24 << 19);
}
