//! Random damage of logs on a real disk, larger than a bit: all that was proven is there as it was, or named by file, byte and sequence.
//!
//! A plain model beside it says which batches must be there: those whose bytes are as they were. Of the others only those may be missing
//! in silence that no commit frame is left to prove, and that nothing was cut off from: they look like a torn tail.

#![allow(clippy::unwrap_used)]

use std::ops::Range;
use std::path::Path;

use super::recovery::{ClosedEnd, Recovered};
use super::*;
use crate::fs::RealFs;
use crate::fs::double::Dice;
use crate::record::{Kind, Record, Source};
use crate::units::{ByteOffset, LogId, Sequence, SiteId, UnixMicros};

const CASES: u64 = 500;
const BATCHES: u64 = 60;
const FIRST: u64 = 100;
const OPTIONS: LogOptions = LogOptions { capacity_bytes: 1 << 20, step_bytes: 16 * 1024 };
const PAGE_BYTES: u64 = 4096;
const SECTOR_BYTES: u64 = 512;

/// How a log was left.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    /// Killed: nothing proves the last batch.
    Killed,
    /// Idle: a commit frame without records proves it.
    Proven,
    /// Rotated: the manifest names its end.
    Closed,
}

struct Batch {
    bytes: Range<u64>,
    sequences: Range<u64>,
}

/// A log as it was before the damage.
struct Sample {
    left: Left,
    header: LogHeader,
    bytes: Vec<u8>,
    /// In file order; the one that only proves has no records.
    batches: Vec<Batch>,
}

impl Sample {
    fn write(dir: &Path, left: Left, dice: &mut Dice) -> Sample {
        let header = LogHeader {
            id: LogId::new(left as u64 + 1),
            salt: [left as u8 + 9; 16],
            epoch: [8; 16],
            base_sequence: Sequence::new(FIRST),
            created: UnixMicros::EPOCH,
            durable_len: OPTIONS.step_bytes,
            answers_before_sync: false,
        };
        let mut log = LogWriter::create(&RealFs::default(), dir, header.clone(), OPTIONS).unwrap();
        let mut batches: Vec<Batch> = Vec::new();
        for _ in 0..BATCHES {
            let (start, first) = (log.end().value(), log.next_sequence().value());
            for sequence in first..=first + dice.below(5) {
                log.push(&payload(sequence));
            }
            let end = log.append(UnixMicros::EPOCH).unwrap().end.value();
            log.sync().unwrap();
            batches.push(Batch { bytes: start..end, sequences: first..log.next_sequence().value() });
        }
        let (start, next) = (log.end().value(), log.next_sequence().value());
        if left == Left::Proven {
            log.prove(UnixMicros::EPOCH, false).unwrap();
            batches.push(Batch { bytes: start..log.end().value(), sequences: next..next });
        }
        let bytes = std::fs::read(dir.join(header.id.file_name())).unwrap();
        Sample { left, header, bytes, batches }
    }

    fn end(&self) -> u64 {
        self.batches.last().unwrap().bytes.end
    }

    fn closed(&self) -> Option<ClosedEnd> {
        let sequence_end = Sequence::new(self.batches.last().unwrap().sequences.end);
        (self.left == Left::Closed).then(|| ClosedEnd { end: ByteOffset::new(self.end()), sequence_end })
    }

    /// Whether these bytes are as they were.
    fn is_intact(&self, damaged: &[u8], range: &Range<u64>) -> bool {
        let range = range.start as usize..range.end as usize;
        damaged.get(range.clone()) == Some(&self.bytes[range])
    }

    /// Up to where something that is still readable proves this log.
    fn proven_end(&self, damaged: &[u8]) -> u64 {
        if self.left == Left::Closed || damaged.len() < self.bytes.len() {
            return self.end();
        }
        let commit_frame = |batch: &Batch| batch.bytes.end - COMMIT_FRAME_LEN_BYTES as u64..batch.bytes.end;
        // Each batch was synced before the next was written, whose commit frame says so.
        self.batches.iter().rfind(|batch| self.is_intact(damaged, &commit_frame(batch))).map_or(0, |batch| batch.bytes.start)
    }
}

/// The record of a sequence: no two are alike, and some are longer than a page.
fn payload(sequence: u64) -> Vec<u8> {
    let mut dice = Dice::new(sequence);
    let len = if dice.below(20) == 0 { dice.below(9000) } else { dice.below(600) };
    let properties: String = (0..len).map(|_| char::from(b'a' + dice.below(26) as u8)).collect();
    let name = format!("event {sequence}");
    let mut record = Record::new(Kind::Event, Source::Server, SiteId::new([1; 16]), UnixMicros::EPOCH, UnixMicros::EPOCH);
    record.name = &name;
    record.properties = &properties;
    let mut payload = Vec::new();
    record.encode(&mut payload).unwrap();
    payload
}

/// Damages `bytes` in one way, at a place below `end` or little behind it.
fn damage(bytes: &mut Vec<u8>, end: u64, dice: &mut Dice) -> &'static str {
    let at = dice.below((end + PAGE_BYTES).min(bytes.len() as u64));
    let rest = bytes.len() as u64 - at;
    match dice.below(5) {
        0 => {
            bytes[at as usize] ^= 1 << dice.below(8);
            "a flipped bit"
        }
        1 => {
            let sector = at - at % SECTOR_BYTES;
            bytes[sector as usize..][..SECTOR_BYTES as usize].fill(0);
            "a sector of zeros"
        }
        2 => {
            bytes.truncate(at as usize);
            "a truncation"
        }
        3 => {
            let from = dice.below(end / PAGE_BYTES) * PAGE_BYTES;
            let to = at - at % PAGE_BYTES;
            bytes.copy_within(from as usize..(from + PAGE_BYTES) as usize, to as usize);
            "a page of another place"
        }
        _ => {
            let len = (1 + dice.below(2000)).min(rest);
            bytes[at as usize..(at + len) as usize].fill_with(|| dice.roll() as u8);
            "garbage"
        }
    }
}

/// Opens the log and gives the sequences in it, each of which must be the event that it was.
fn read(dir: &Path, sample: &Sample) -> (LogFile, Vec<u64>, Recovered) {
    let log = LogFile::open(&RealFs::default(), dir, sample.header.clone(), OPTIONS).unwrap();
    let mut sequences = Vec::new();
    let recovered = log.recover(sample.closed(), &mut |row| {
        let mut found = Vec::new();
        row.record.encode(&mut found).unwrap();
        assert!(found == payload(row.sequence.value()), "event {} is not what it was", row.sequence);
        sequences.push(row.sequence.value());
    });
    (log, sequences, recovered.unwrap())
}

/// What the model says of a log that was read; whether anything is missing, and whether anything was named.
fn check(sample: &Sample, damaged: &[u8], sequences: &[u64], recovered: &Recovered) -> (bool, bool) {
    let file = format!("logs/{}", sample.header.id.file_name());
    assert!(recovered.damage.iter().all(|lost| lost.file == file && lost.from < lost.end), "{:?}", recovered.damage);
    assert!(sequences.is_sorted_by(|a, b| a < b), "each event once, in order");
    let proven_end = sample.proven_end(damaged);
    let mut is_missing = false;
    for batch in &sample.batches {
        let kept = batch.sequences.clone().filter(|sequence| sequences.binary_search(sequence).is_ok()).count();
        let is_kept = kept as u64 == batch.sequences.end - batch.sequences.start;
        assert!(is_kept || kept == 0, "a batch is kept whole or not at all");
        assert!(is_kept || !sample.is_intact(damaged, &batch.bytes), "the batch at {:?} was lost and is not damaged", batch.bytes);
        if is_kept {
            continue;
        }
        is_missing = true;
        if batch.bytes.end > proven_end {
            continue;
        }
        // Of a log that was cut, only the manifest could say where it ended.
        let is_end_known = sample.left == Left::Closed || damaged.len() == sample.bytes.len();
        let is_named = recovered.damage.iter().any(|lost| {
            let (bytes, numbers) = (lost.from.value()..lost.end.value(), lost.sequences.0.value()..lost.sequences.1.value());
            bytes.start <= batch.bytes.start
                && (batch.bytes.end <= bytes.end || !is_end_known)
                && numbers.start <= batch.sequences.start
                && batch.sequences.end <= numbers.end
        });
        assert!(is_named, "the batch at {:?} was lost in silence: {:?}", batch.bytes, recovered.damage);
    }
    let proven = sample.batches.iter().rfind(|batch| batch.bytes.end <= proven_end);
    let given_out = proven.map_or(FIRST, |batch| batch.sequences.end).max(sequences.last().map_or(FIRST, |last| last + 1));
    assert!(recovered.next_sequence.value() >= given_out, "sequence {} is given out again", recovered.next_sequence);
    (is_missing, !recovered.damage.is_empty())
}

#[test]
fn random_damage_of_real_logs_is_named_or_harmless() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path();
    let mut dice = Dice::new(11);
    let samples = [Left::Killed, Left::Proven, Left::Closed].map(|left| Sample::write(dir, left, &mut dice));
    let (mut missing, mut named) = (0, 0);
    for case in 0..CASES {
        let sample = &samples[dice.below(samples.len() as u64) as usize];
        let mut damaged = sample.bytes.clone();
        let kind = damage(&mut damaged, sample.end(), &mut dice);
        println!("case {case}: {kind} in a log that was left {:?}", sample.left);
        std::fs::write(dir.join(sample.header.id.file_name()), &damaged).unwrap();
        let (log, sequences, recovered) = read(dir, sample);
        let (is_missing, is_named) = check(sample, &damaged, &sequences, &recovered);
        missing += usize::from(is_missing);
        named += usize::from(is_named);
        if case % 5 == 0 {
            log.repair(&recovered).unwrap();
            let (_, again, repaired) = read(dir, sample);
            assert_eq!((again, repaired.damage, repaired.next_sequence), (sequences, recovered.damage, recovered.next_sequence));
        }
    }
    assert!(missing > 200 && named > 200 && named < CASES as usize - 20, "{missing} missing, {named} named of {CASES}");
}
