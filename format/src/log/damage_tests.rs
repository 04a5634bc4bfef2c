//! Every truncation and every flipped bit of a log: all that was acknowledged, or damage named by file and byte; never a silent change.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::recovery::{Recovered, recover};
use super::*;
use crate::fs::double::MemFs;
use crate::fs::{File, FileSystem};
use crate::map::Map;
use crate::record::{Kind, Record, Source};
use crate::units::{LogId, Sequence, SiteId, UnixMicros};

const BATCHES: u64 = 8;
const EVENTS: u64 = 40;
const EVENTS_PER_BATCH: u64 = EVENTS / BATCHES;

/// Bytes that a test damages in place.
#[derive(Debug)]
struct Bytes(Mutex<Vec<u8>>);

impl File for Bytes {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let bytes = self.0.lock().unwrap();
        let rest = bytes.get(offset as usize..).unwrap_or(&[]);
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
    fn write_at(&self, _: &[u8], _: u64) -> std::io::Result<usize> {
        unreachable!("reading a log changes nothing")
    }
    fn set_len(&self, _: u64) -> std::io::Result<()> {
        unreachable!("reading a log changes nothing")
    }
    fn sync_data(&self) -> std::io::Result<()> {
        unreachable!("reading a log changes nothing")
    }
    fn map(self: Arc<Self>, _: u64) -> std::io::Result<Map> {
        Ok(Map::copied(self))
    }
}

/// A log of 40 events in 8 batches, each synced, as it stands on the disk.
struct Sample {
    header: LogHeader,
    bytes: Vec<u8>,
    /// The end of each batch.
    ends: Vec<u64>,
    /// Where the log ends, with the idle commit frame if there is one.
    end: u64,
    proven: bool,
}

fn name(sequence: u64) -> String {
    format!("{sequence}-{}", "x".repeat(370 + sequence as usize % 8))
}

/// The folder of the logs in these tests.
const DIR: &str = "/logs";

/// A log that begins with sequence 100, and the disk it is on.
fn empty_log(capacity_bytes: u64) -> (MemFs, LogHeader, LogWriter) {
    let fs = MemFs::new(1);
    fs.create_dir(Path::new(DIR)).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    let header = LogHeader {
        id: LogId::FIRST,
        salt: [9; 16],
        epoch: [8; 16],
        base_sequence: Sequence::new(100),
        created: UnixMicros::EPOCH,
        durable_len: 4096,
        answers_before_sync: false,
    };
    let options = LogOptions { capacity_bytes, step_bytes: 4096 };
    let log = LogWriter::create(&fs, Path::new(DIR), header.clone(), options).unwrap();
    (fs, header, log)
}

/// When a batch of a sample is written.
fn clock(batch: u64) -> UnixMicros {
    UnixMicros::new(1_000 + batch as i64).unwrap()
}

fn sample(proven: bool) -> Sample {
    let (fs, header, mut log) = empty_log(1 << 16);
    let mut ends = Vec::new();
    for batch in 0..BATCHES {
        for at in 0..EVENTS_PER_BATCH {
            let name = name(100 + batch * EVENTS_PER_BATCH + at);
            let site = SiteId::new([1; 16]);
            let record = Record { name: &name, ..Record::new(Kind::Event, Source::Server, site, UnixMicros::EPOCH, UnixMicros::EPOCH) };
            let mut payload = Vec::new();
            record.encode(&mut payload).unwrap();
            log.push(&payload);
        }
        ends.push(log.append(clock(batch)).unwrap().end.value());
        log.sync().unwrap();
    }
    if proven {
        log.prove(clock(BATCHES), false).unwrap();
    }
    let end = log.end().value();
    assert!(end >= 16 * 1024, "the log is at least 16 KiB long");
    let bytes = fs.durable(&Path::new(DIR).join(header.id.file_name())).unwrap();
    Sample { header, bytes, ends, end, proven }
}

/// What a log gives: the sequences in it, and what recovery says.
fn read(sample: &Sample, file: &dyn File) -> (Vec<u64>, Recovered) {
    let mut sequences = Vec::new();
    let recovered = recover(file, &sample.header, None, &mut |row| {
        let sequence = row.sequence.value();
        assert_eq!(row.record.name, name(sequence), "an event is what it was");
        assert_eq!(row.ordinal.value() as usize, sequences.len());
        sequences.push(sequence);
    })
    .unwrap();
    (sequences, recovered)
}

/// Checks one damaged log; `at` is the first byte that was changed, `cut` says that everything from there on is gone.
fn check(sample: &Sample, file: &dyn File, at: u64, cut: bool) {
    let (sequences, recovered) = read(sample, file);
    assert!(sequences.is_sorted_by(|a, b| a < b), "at {at}: each event once, in order");
    assert!(recovered.next_sequence.value() >= 100 + EVENTS || recovered.damage.is_empty(), "at {at}: no sequence is given out twice");
    for damage in &recovered.damage {
        assert_eq!(damage.file, "logs/0000000000000001.log");
        assert!(damage.from < damage.end && damage.end.value() > at, "at {at}: {damage:?} has the damaged byte in it or behind it");
    }
    let start_of = |batch: usize| if batch == 0 { HEADER_LEN_BYTES as u64 } else { sample.ends[batch - 1] };
    for batch in 0..BATCHES as usize {
        let expected: Vec<u64> = (0..EVENTS_PER_BATCH).map(|n| 100 + batch as u64 * EVENTS_PER_BATCH + n).collect();
        let kept = expected.iter().filter(|sequence| sequences.contains(sequence)).count();
        assert!(kept == 0 || kept == expected.len(), "at {at}: a batch is kept whole or not at all");
        let is_hit = at < sample.ends[batch] && (cut || at >= start_of(batch));
        assert!(kept > 0 || is_hit, "at {at}: batch {batch} was lost and is not damaged");
        let is_named = expected.iter().all(|sequence| {
            recovered.damage.iter().any(|damage| {
                let (since, until) = damage.times;
                let is_then =
                    since.is_some_and(|since| since <= clock(batch as u64)) && until.is_none_or(|until| clock(batch as u64) <= until);
                is_then && damage.sequences.0.value() <= *sequence && *sequence < damage.sequences.1.value()
            })
        });
        let is_undecidable = batch as u64 == BATCHES - 1 && !sample.proven && !cut;
        assert!(kept > 0 || is_named || is_undecidable, "at {at}: batch {batch} was lost in silence");
    }
}

#[test]
fn every_truncation_is_harmless_or_named() {
    for proven in [true, false] {
        let sample = sample(proven);
        let file = Bytes(Mutex::new(sample.bytes.clone()));
        assert!(read(&sample, &file).1.damage.is_empty());
        for len in (0..sample.bytes.len()).rev() {
            file.0.lock().unwrap().truncate(len);
            check(&sample, &file, len as u64, true);
            assert!(!read(&sample, &file).1.damage.is_empty(), "a file of {len} bytes was cut by something else");
        }
    }
}

/// What is left of the file says only how long it was when its last whole batch was written.
#[test]
fn a_log_that_was_cut_far_before_its_end_gives_no_sequence_out_again() {
    let (fs, header, mut log) = empty_log(1 << 20);
    let mut payload = Vec::new();
    Record::new(Kind::Event, Source::Server, SiteId::new([1; 16]), UnixMicros::EPOCH, UnixMicros::EPOCH).encode(&mut payload).unwrap();
    for _ in 0..100 {
        for _ in 0..50 {
            log.push(&payload);
        }
        log.append(UnixMicros::EPOCH).unwrap();
        log.sync().unwrap();
    }
    let mut bytes = fs.live(&Path::new(DIR).join(header.id.file_name())).unwrap();
    bytes.truncate(8192);
    let recovered = recover(&Bytes(Mutex::new(bytes)), &header, None, &mut |_| {}).unwrap();
    assert!(recovered.rows > 0 && recovered.damage.len() == 1);
    assert!(recovered.next_sequence >= log.next_sequence(), "{} is given out again", recovered.next_sequence);
    assert!(recovered.damage[0].sequences.1 >= log.next_sequence(), "all of them may be lost");
}

#[test]
fn every_flipped_bit_is_harmless_or_named() {
    for proven in [true, false] {
        let sample = sample(proven);
        let file = Bytes(Mutex::new(sample.bytes.clone()));
        let end = sample.end as usize + 64;
        for bit in 0..end * 8 {
            file.0.lock().unwrap()[bit / 8] ^= 1 << (bit % 8);
            check(&sample, &file, bit as u64 / 8, false);
            file.0.lock().unwrap()[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn a_frame_or_a_page_at_another_place_is_named() {
    let sample = sample(true);
    let page = 4096;
    let mut swapped = sample.bytes.clone();
    let (first, second) = swapped[page..3 * page].split_at_mut(page);
    first.swap_with_slice(second);
    check_pages(&sample, swapped, page as u64);
    let mut repeated = sample.bytes.clone();
    repeated.copy_within(page..2 * page, 2 * page);
    check_pages(&sample, repeated, 2 * page as u64);
}

/// Like [`check`], for damage in more than one batch: whatever is missing is named.
fn check_pages(sample: &Sample, bytes: Vec<u8>, from: u64) {
    let (sequences, recovered) = read(sample, &Bytes(Mutex::new(bytes)));
    for sequence in 100..100 + EVENTS {
        let named = recovered.damage.iter().any(|d| d.sequences.0.value() <= sequence && sequence < d.sequences.1.value());
        assert!(sequences.contains(&sequence) || named, "sequence {sequence} was lost in silence");
    }
    assert!(recovered.damage.iter().all(|damage| damage.end.value() > from));
}

/// Found by the fuzz target `log_recovery`: the frame has a right checksum, and the sequence after its own does not exist.
#[test]
fn a_commit_frame_with_a_sequence_that_cannot_be_is_no_batch() {
    let sample = sample(false);
    let checksum = sample.header.checksum();
    let mut bytes = sample.bytes[..sample.ends[0] as usize].to_vec();
    let batch_start = bytes.len() as u64 + 64;
    bytes.resize(batch_start as usize, 0xff);
    let commit_at = {
        let mut payload = Vec::new();
        Record::new(Kind::Event, Source::Server, SiteId::new([1; 16]), UnixMicros::EPOCH, UnixMicros::EPOCH).encode(&mut payload).unwrap();
        crate::frame::encode(&mut bytes, &checksum, batch_start, crate::frame::FrameKind::Record, &payload);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes.len() as u64
    };
    let commit = CommitFrame {
        batch_start,
        first_sequence: Sequence::new(u64::MAX),
        frames: 1,
        records: 1,
        durable_end: batch_start,
        durable_len: 4096,
        written: UnixMicros::EPOCH,
        clean: false,
    };
    commit.encode(&mut bytes, &checksum, commit_at);
    let file = Bytes(Mutex::new(bytes));
    let mut rows = 0;
    let recovered = recover(&file, &sample.header, None, &mut |_| rows += 1).unwrap();
    assert_eq!(rows, EVENTS_PER_BATCH);
    assert!(!recovered.damage.is_empty(), "what the frame calls durable is missing, and is named");
}
