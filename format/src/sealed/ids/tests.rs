//! Ids against a plain map, on streams in memory whose bytes can be damaged, above and below their checksums.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::checksum::FileChecksum;
use crate::error::Corruption;
use crate::frame::FrameDamage;
use crate::fs::double::MemFs;
use crate::sealed::section::Section;
use crate::units::ByteOffset;

const KEY: IdKey = IdKey(*b"0123456789abcdef");
const BLOCK_BYTES: usize = 64 * 1024;
const STREAMS: [Section; 5] = [Section::IDS, Section::ID_OFFSETS, Section::ID_INDEX, Section::ID_DIRECTORY, Section::ID_FILTER];

/// The place of a stream among [`STREAMS`].
fn place(stream: Section) -> usize {
    STREAMS.iter().position(|known| *known == stream).unwrap()
}

/// The streams of a segment, and the checksums of their blocks once they are sealed.
#[derive(Clone, Debug, Default)]
struct Memory {
    bytes: [Vec<u8>; STREAMS.len()],
    checksums: Option<[Vec<u32>; STREAMS.len()]>,
}

fn checksums(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks(BLOCK_BYTES).map(crate::checksum::plain).collect()
}

fn corrupt(at: u64) -> Error {
    Error::Corrupt { path: PathBuf::new(), offset: ByteOffset::new(at), source: Corruption::Payload { what: "ids" } }
}

impl Sink for Memory {
    fn append(&mut self, stream: Section, bytes: &[u8]) -> Result<(), Error> {
        self.bytes[place(stream)].extend_from_slice(bytes);
        Ok(())
    }
}

impl Source for Memory {
    fn len(&self, stream: Section) -> u64 {
        self.bytes[place(stream)].len() as u64
    }

    fn read<'b>(&'b self, stream: Section, range: Range<u64>, _: &'b mut Vec<u8>) -> Result<&'b [u8], Error> {
        let bytes = &self.bytes[place(stream)];
        let Some(read) = bytes.get(range.start as usize..range.end as usize) else {
            return Err(Error::Corrupt { path: PathBuf::new(), offset: ByteOffset::new(range.start), source: FrameDamage::Short.into() });
        };
        let blocks = range.start as usize / BLOCK_BYTES..(range.end as usize).div_ceil(BLOCK_BYTES);
        match &self.checksums {
            Some(sealed) if sealed[place(stream)][blocks.clone()] != checksums(bytes)[blocks] => Err(corrupt(range.start)),
            _ => Ok(read),
        }
    }

    fn undecodable(&self, _: Section, at: u64) -> Error {
        corrupt(at)
    }
}

/// Rows as a plain list: site, sequence, id.
#[derive(Clone, Debug, Default)]
struct Model(Vec<(u8, u64, Option<String>)>);

fn site(number: u8) -> SiteId {
    SiteId::new([number; 16])
}

impl Rows for &Model {
    fn site(&mut self, row: u32) -> Result<SiteId, Error> {
        Ok(site(self.0[row as usize].0))
    }

    fn sequence(&mut self, row: u32) -> Result<Sequence, Error> {
        Ok(Sequence::new(self.0[row as usize].1))
    }
}

impl Model {
    fn rows(&self) -> u32 {
        self.0.len() as u32
    }

    fn ids(&self) -> impl Iterator<Item = (u32, SiteId, Sequence, &str)> {
        let rows = (0..).zip(&self.0);
        rows.filter_map(|(row, (number, sequence, id))| Some((row, site(*number), Sequence::new(*sequence), id.as_deref()?)))
    }

    /// The first row by sequence of each (site, id).
    fn firsts(&self) -> HashMap<(SiteId, &str), (Sequence, u32)> {
        let mut firsts = HashMap::new();
        for (row, site, sequence, id) in self.ids() {
            let first = firsts.entry((site, id)).or_insert((sequence, row));
            *first = (*first).min((sequence, row));
        }
        firsts
    }

    fn write(&self) -> Memory {
        let mut memory = Memory::default();
        let (fs, mut builder, mut packer) = (MemFs::new(1), IdBuilder::new(KEY), Packer::new());
        let mut spill = Spill::new(&fs, std::path::Path::new("/segment"), FileChecksum::new([5; 16]));
        for (row, site, _, id) in self.ids() {
            builder.push((&mut memory, &mut packer, &mut spill), site, row, id).unwrap();
        }
        builder.finish(&mut memory, &mut packer, &mut spill, self.rows()).unwrap();
        memory
    }

    /// What `memory` answers otherwise than this model. Errors are not wrong; with `is_blind` it may also miss ids and read other ones,
    /// but not find a wrong row.
    fn wrong_answers(&self, memory: &Memory, is_blind: bool) -> Vec<String> {
        self.wrong_answers_of(memory, is_blind, 1)
    }

    /// The same, of every `step`th row.
    fn wrong_answers_of(&self, memory: &Memory, is_blind: bool, step: usize) -> Vec<String> {
        let mut wrong = Vec::new();
        let ids = Ids::new(memory, self.rows());
        let firsts = self.firsts();
        let mut text = String::new();
        for (row, (number, _, id)) in (0..).zip(&self.0).step_by(step) {
            let read = ids.read(row, &mut text);
            let is_right = read.as_ref().is_ok_and(|has_id| has_id.then_some(&text) == id.as_ref());
            if !is_right && !is_blind && read.is_ok() {
                wrong.push(format!("row {row} has {id:?}, read {read:?} {text}"));
            }
            let Some(id) = id else { continue };
            let first = firsts[&(site(*number), id.as_str())];
            match ids.find(site(*number), id, &mut &*self) {
                Ok(Some((row, sequence))) if (sequence, row) == first => {}
                // With a row hidden, another one with the same id is the first.
                Ok(Some((row, _))) if is_blind && self.0[row as usize].2.as_ref() == Some(id) && self.0[row as usize].0 == *number => {}
                Err(_) => {}
                Ok(None) if is_blind => {}
                found => wrong.push(format!("{id} is at {first:?}, found {found:?}")),
            }
        }
        for absent in ["absent", "00000000-0000-4000-8000-ffffffffffff", "absentabsentaA"] {
            match ids.find(site(0), absent, &mut &*self) {
                Ok(None) | Err(_) => {}
                found => wrong.push(format!("{absent}: {found:?}")),
            }
        }
        wrong
    }
}

/// An id of some form, the same for the same numbers.
fn id(form: u8, number: u32) -> String {
    let mut out = String::new();
    match form % 4 {
        0 => Form::Uuid(u128::from(number).wrapping_mul(0x1234_5678_9abc_def0_fedc_ba98_7654_3211).to_be_bytes()).write(&mut out),
        1 => Form::Tracker(*u128::from(number).wrapping_mul(0x1234_5678_9abc_def0_fedc_ba98_7654_3211).to_be_bytes().last_chunk().unwrap())
            .write(&mut out),
        2 => out = format!("order-{number}"),
        _ => out = "ü".repeat(number as usize % 200),
    }
    out
}

/// Stretches of rows with ids of one form, and stretches where they are mixed.
fn model() -> impl Strategy<Value = Model> {
    let stretch = (0..6u8, vec((0..8u8, any::<u16>(), 0..500u32), 0..400));
    vec(stretch, 0..6).prop_map(|stretches| {
        let mut rows = Vec::new();
        for (kind, stretch) in stretches {
            for (form, sequence, number) in stretch {
                let form = if kind < 4 { kind } else { form };
                let id = (kind != 5 && form < 6).then(|| id(form, number));
                // Sites grow along a segment.
                let site = (rows.len() / 300) as u8;
                rows.push((site, u64::from(sequence) << 32 | rows.len() as u64, id));
            }
        }
        Model(rows)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn ids_answer_as_a_plain_map_does(model in model()) {
        let memory = model.write();
        prop_assert_eq!(model.wrong_answers(&memory, false), Vec::<String>::new());
        let ids = Ids::new(&memory, model.rows());
        let mut text = String::new();
        for row in 0..model.rows() {
            prop_assert!(ids.read(row, &mut text).is_ok());
        }

        // A batch of all ids, on the right site and on a wrong one, under the key of the segment and under another one.
        let firsts = model.firsts();
        let mut asked: Vec<(SiteId, &str)> = model.ids().map(|(_, site, _, id)| (site, id)).collect();
        asked.extend(model.ids().map(|(_, _, _, id)| (site(99), id)));
        let expected: Vec<FoundId> = (0..).zip(&asked).filter_map(|(number, key)| {
            let (sequence, row) = *firsts.get(key)?;
            Some(FoundId { number, sequence, row })
        }).collect();
        for key in [KEY, IdKey::derive([7; 16])] {
            let batch = IdBatch::new(key, asked.clone());
            prop_assert_eq!(&ids.find_batch(&batch, &mut &model).unwrap(), &expected);
        }

        let mut visited = Vec::new();
        ids.each(0..model.rows(), |row, id| { visited.push((row, id.to_owned())); Ok(()) }).unwrap();
        prop_assert_eq!(visited, model.ids().map(|(row, _, _, id)| (row, id.to_owned())).collect::<Vec<_>>());
        let mut hashes = Vec::new();
        ids.hashes(KEY, 0..model.rows(), &mut &model, |row, hash| { hashes.push((row, hash)); Ok(()) }).unwrap();
        prop_assert_eq!(hashes, model.ids().map(|(row, site, _, id)| (row, KEY.hash(site, id))).collect::<Vec<_>>());
    }
}

/// Two groups, the first of all forms and the second of one.
fn small() -> Model {
    let mixed = (0..256).map(|number| (1, 1000 - u64::from(number), (number % 5 == 0).then(|| id((number / 5 % 4) as u8, number))));
    let uniform = (0..40).map(|number| (2, number.into(), Some(id(0, number))));
    Model(mixed.chain(uniform).collect())
}

/// Every bit of every stream, flipped once; `look` says what was wrong then.
fn flip_every_bit(memory: &Memory, mut look: impl FnMut(&Memory) -> Vec<String>) {
    for stream in STREAMS {
        for bit in 0..memory.bytes[place(stream)].len() * 8 {
            let mut damaged = memory.clone();
            damaged.bytes[place(stream)][bit / 8] ^= 1 << (bit % 8);
            assert_eq!(look(&damaged), Vec::<String>::new(), "bit {bit} of {stream:?}");
        }
    }
}

#[test]
fn every_flipped_bit_is_an_error_or_changes_no_answer() {
    let model = small();
    let mut memory = model.write();
    memory.checksums = Some(memory.bytes.each_ref().map(|bytes| checksums(bytes)));
    assert_eq!(model.wrong_answers(&memory, false), Vec::<String>::new());
    flip_every_bit(&memory, |damaged| model.wrong_answers_of(damaged, false, 3));
}

#[test]
fn a_flipped_bit_that_no_checksum_finds_gives_no_panic_and_no_wrong_row() {
    let model = small();
    let memory = model.write();
    flip_every_bit(&memory, |damaged| model.wrong_answers_of(damaged, true, 3));
}

#[test]
fn streams_whose_lengths_do_not_agree_are_refused() {
    let model = small();
    let memory = model.write();
    for stream in STREAMS {
        for len in [0, 1, memory.bytes[place(stream)].len() - 1, memory.bytes[place(stream)].len() + 1] {
            let mut damaged = memory.clone();
            damaged.bytes[place(stream)].resize(len, 0);
            assert_eq!(model.wrong_answers(&damaged, true), Vec::<String>::new(), "{len} bytes of {stream:?}");
            let (.., site, _, id) = model.ids().last().unwrap();
            let found = Ids::new(&damaged, model.rows()).find(site, id, &mut &model);
            // Without an index, or without groups, there are no ids.
            let says_none = len == 0 && matches!(stream, Section::ID_INDEX | Section::ID_OFFSETS);
            let is_longer = stream == Section::IDS && len > memory.bytes[place(stream)].len();
            assert!(found.is_err() || says_none && found.unwrap().is_none() || is_longer, "{len} bytes of {stream:?}");
        }
    }
}

#[test]
fn golden_bytes() {
    let ids = ["00112233-4455-6677-8899-aabbccddeeff", "ABCDEFGHIJKLMA", "order-1"];
    let mut rows: Vec<_> = ids.iter().map(|id| (1, 1, Some((*id).to_owned()))).collect();
    rows.insert(1, (1, 1, None));
    let [column, groups, index, directory, filter] = Model(rows).write().bytes;
    let mut golden = vec![0b1111, 0b1001];
    golden.extend([0; 31]);
    golden.push(0b1100);
    golden.extend([0; 31]);
    golden.extend([0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]);
    golden.extend([0, 16, 131, 16, 81, 135, 32, 146, 139, 48]);
    golden.extend(b"\x00\x07order-1");
    assert_eq!(column, golden);
    assert_eq!(groups, [0u64.to_le_bytes(), 100u64.to_le_bytes()].concat());
    // One bucket; hashes by another implementation of SipHash-1-3.
    assert_eq!(index, [12, 94, 0, 0, 0, 20, 101, 3, 0, 0, 238, 147, 2, 0, 0]);
    assert_eq!(directory, [KEY.0.as_slice(), &[0, 0, 0, 0, 3, 0, 0, 0]].concat());
    let words = [0x40108u32, 0x88_0008, 0x2004, 0x8081, 0x82_4000, 0x520_0000, 0x2_0020, 0x10_1020];
    assert_eq!(filter, words.map(u32::to_le_bytes).concat());
    let derived = u128::from_be_bytes(IdKey::derive([7; 16]).0);
    assert_eq!(derived, 0xefe0_bf7e_9b50_5936_5550_5729_f34e_d1ed);
}

#[test]
fn rows_whose_hashes_are_equal_are_told_apart_by_site_and_id() {
    let model = Model([(1, "b"), (2, "a"), (1, "a")].map(|(site, id)| (site, 1, Some(id.to_owned()))).to_vec());
    let mut memory = Memory::default();
    let (fs, mut builder, mut packer) = (MemFs::new(1), IdBuilder::new(KEY), Packer::new());
    let mut spill = Spill::new(&fs, std::path::Path::new("/segment"), FileChecksum::new([5; 16]));
    for (row, _, _, id) in model.ids() {
        builder.index.push(&mut spill, KEY.hash(site(1), "a"), row).unwrap();
        builder.column.push(&mut memory, &mut packer, row, Form::of(id)).unwrap();
    }
    builder.finish(&mut memory, &mut packer, &mut spill, model.rows()).unwrap();
    assert_eq!(Ids::new(&memory, model.rows()).find(site(1), "a", &mut &model).unwrap(), Some((2, Sequence::new(1))));
}

#[test]
fn a_segment_without_ids_has_no_bytes_for_them() {
    let model = Model(vec![(1, 1, None); 1000]);
    let memory = model.write();
    assert!(memory.bytes.iter().all(Vec::is_empty));
    assert_eq!(model.wrong_answers(&memory, false), Vec::<String>::new());
}

#[test]
fn rows_above_the_24th_bit_are_found() {
    struct Far;
    impl Rows for Far {
        fn site(&mut self, _: u32) -> Result<SiteId, Error> {
            Ok(site(1))
        }
        fn sequence(&mut self, row: u32) -> Result<Sequence, Error> {
            Ok(Sequence::new(row.into()))
        }
    }
    const ROWS: u32 = (1 << 24) + 1000;
    let mut memory = Memory::default();
    let (fs, mut builder, mut packer) = (MemFs::new(1), IdBuilder::new(KEY), Packer::new());
    let mut spill = Spill::new(&fs, std::path::Path::new("/segment"), FileChecksum::new([5; 16]));
    let rows = [0, (1 << 24) - 1, 1 << 24, ROWS - 1];
    for row in rows {
        builder.push((&mut memory, &mut packer, &mut spill), site(1), row, &id(2, row)).unwrap();
    }
    builder.finish(&mut memory, &mut packer, &mut spill, ROWS).unwrap();
    for row in rows {
        let found = Ids::new(&memory, ROWS).find(site(1), &id(2, row), &mut Far).unwrap();
        assert_eq!(found, Some((row, Sequence::new(row.into()))));
    }
}

#[test]
fn an_id_longer_than_is_taken_today_comes_back() {
    let long = |len: usize| (1, len as u64, Some("x".repeat(len)));
    let model = Model([127, 128, 254, 255, 256, 65_536, 128 * 1024].into_iter().map(long).collect());
    assert_eq!(model.wrong_answers(&model.write(), false), Vec::<String>::new());
}

/// What the design promises: 24 bytes for a UUID, 18 for an id of the tracker.
#[test]
fn ids_cost_what_was_promised() {
    const ROWS: u32 = 200_000;
    let cost = |form: u8| {
        let memory = Model((0..ROWS).map(|row| (1, row.into(), Some(id(form, row + 1)))).collect()).write();
        memory.bytes.map(|bytes| bytes.len() as f64 / f64::from(ROWS))
    };
    for (form, most) in [(0, 24.0), (1, 18.0), (2, 18.0)] {
        let parts = cost(form);
        let all: f64 = parts.iter().sum();
        println!("form {form}: {all:.3} bytes an id: {parts:.3?}");
        assert!(all <= most, "{all}");
    }
}

#[test]
fn few_absent_ids_pass_the_filter() {
    const ROWS: u32 = 100_000;
    let memory = Model((0..ROWS).map(|row| (1, row.into(), Some(id(2, row)))).collect()).write();
    let mut hashes: Vec<Hashed> = (0..ROWS).map(|row| (KEY.hash(site(2), &id(2, row)), row)).collect();
    hashes.sort_unstable();
    let passed = filter::passing(&memory, ROWS, &hashes).unwrap().len();
    println!("{passed} of {ROWS} pass");
    assert!(passed > 0 && passed < ROWS as usize / 100);
}
