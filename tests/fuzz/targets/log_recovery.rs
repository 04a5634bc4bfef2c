//! Recovery of a log that somebody else wrote.
//!
//! Random bytes alone never pass a checksum, so the input is a recipe: raw bytes, frames with a right checksum around
//! any payload, records, and commit frames that say anything. A checksum is no signature: whatever the file claims,
//! recovery must neither panic, nor take memory by what a length says, nor change its mind the second time.

#![no_main]

use std::path::Path;

use format::fs::double::MemFs;
use format::fs::{File, FileSystem};
use format::log::recovery::{Recovered, recover, repair};
use format::log::{ALIGNMENT, CommitFrame, LogHeader};
use format::{Kind, LogId, Record, Sequence, SiteId, Source, UnixMicros, frame, frame::FrameKind};
use libfuzzer_sys::fuzz_target;

const SALT: [u8; 16] = *b"a salt, 16 bytes";
const MAX_FILE_BYTES: usize = 1 << 20;

/// Reads the recipe from the front; past its end everything is zero.
struct Recipe<'a>(&'a [u8]);

impl<'a> Recipe<'a> {
    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        head
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        let read = self.bytes(8);
        bytes[..read.len()].copy_from_slice(read);
        u64::from_le_bytes(bytes)
    }
}

/// The file that a recipe makes, and the header the manifest would name.
fn cook(recipe: &mut Recipe<'_>) -> (LogHeader, Vec<u8>) {
    let header = LogHeader {
        id: LogId::new(1),
        salt: SALT,
        epoch: [7; 16],
        base_sequence: Sequence::new(u64::from(recipe.byte())),
        created: UnixMicros::MIN,
        durable_len: u64::from(recipe.byte()) * 64,
        answers_before_sync: false,
    };
    let checksum = header.checksum();
    let mut file = header.encode().to_vec();
    let mut batch_start = file.len() as u64;
    let (mut frames, mut records, mut sequence) = (0, 0, header.base_sequence.value());
    while !recipe.0.is_empty() && file.len() < MAX_FILE_BYTES {
        match recipe.byte() % 8 {
            0 => {
                let len = usize::from(recipe.byte());
                file.extend_from_slice(recipe.bytes(len));
            }
            1 => {
                let kinds = [FrameKind::Record, FrameKind::Commit, FrameKind::Change, FrameKind::Proof];
                let kind = kinds[usize::from(recipe.byte()) % kinds.len()];
                let len = usize::from(recipe.byte());
                let offset = file.len() as u64;
                frame::encode(&mut file, &checksum, offset, kind, recipe.bytes(len));
                frames += 1;
                records += u32::from(kind == FrameKind::Record);
            }
            2 | 3 => {
                let time = UnixMicros::new(recipe.number().cast_signed()).unwrap_or(UnixMicros::MAX);
                let record = Record { name: "n", ..Record::new(Kind::Event, Source::Bulk, SiteId::new([1; 16]), time, time) };
                let mut payload = Vec::new();
                record.encode(&mut payload).expect("a small record can be encoded");
                let offset = file.len() as u64;
                frame::encode(&mut file, &checksum, offset, FrameKind::Record, &payload);
                frames += 1;
                records += 1;
            }
            4 => file.resize(file.len() + usize::from(recipe.byte()) * ALIGNMENT, 0),
            choice => {
                // The end of the batch: as a writer would write it, or with one thing said wrong.
                file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
                let offset = file.len() as u64;
                let mut commit = CommitFrame {
                    batch_start,
                    first_sequence: Sequence::new(sequence),
                    frames,
                    records,
                    durable_end: batch_start,
                    durable_len: 0,
                    written: UnixMicros::MIN,
                    clean: recipe.byte().is_multiple_of(8),
                };
                if choice == 7 {
                    match recipe.byte() % 6 {
                        0 => commit.batch_start = recipe.number(),
                        1 => commit.first_sequence = Sequence::new(recipe.number()),
                        2 => commit.frames = recipe.number() as u32,
                        3 => commit.records = recipe.number() as u32,
                        4 => commit.durable_end = recipe.number(),
                        _ => commit.durable_len = recipe.number(),
                    }
                }
                commit.encode(&mut file, &checksum, offset);
                sequence = sequence.saturating_add(u64::from(records));
                (batch_start, frames, records) = (file.len() as u64, 0, 0);
            }
        }
    }
    (header, file)
}

/// What recovery makes of the file, with each row as (sequence, offset).
fn read(file: &dyn File, header: &LogHeader) -> (Recovered, Vec<(u64, u64)>) {
    let mut rows = Vec::new();
    let recovered = recover(file, header, None, &mut |row| rows.push((row.sequence.value(), row.offset.value())))
        .expect("a file in memory can be read");
    (recovered, rows)
}

fuzz_target!(|input: &[u8]| {
    let _ = Record::decode(input);
    let (header, bytes) = cook(&mut Recipe(input));
    let fs = MemFs::new(1);
    let path = Path::new("/log");
    fs.install(path, &bytes);
    let file = fs.open(path).expect("the file was installed");

    let (recovered, rows) = read(&*file, &header);
    assert_eq!(rows.len(), recovered.rows as usize);
    assert!(rows.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1), "rows are in commit order");
    assert!(rows.last().is_none_or(|last| last.0 < recovered.next_sequence.value()), "a sequence would be given out twice");
    assert!(recovered.end.value() <= recovered.len_bytes.max(bytes.len() as u64));

    repair(&*file, &recovered).expect("a file in memory can be written");
    let (again, same_rows) = read(&*file, &header);
    assert_eq!(rows, same_rows, "a second start finds what the first one found");
    assert_eq!(recovered.damage, again.damage);
    assert_eq!(recovered.end, again.end);
});
