//! Every flipped bit of a manifest, and what becomes of files that nothing names.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::fs::double::{Dice, MemFs};
use crate::log::recovery::ClosedEnd;
use crate::log::{LogHeader, LogOptions, LogWriter};
use crate::manifest::Closed;
use crate::units::{LogId, UnixMicros};

pub(super) const OPTIONS: LogOptions = LogOptions { capacity_bytes: 1024, step_bytes: 512 };

pub(super) fn data() -> &'static Path {
    Path::new("/data")
}

pub(super) fn open_on(fs: &MemFs) -> Result<Opened, Error> {
    DataDirectory::open_on(Arc::new(fs.clone()), data())
}

/// Makes the next log, as the appender does.
pub(super) fn create_log(opened: &mut Opened, base: u64) -> Result<LogHeader, Error> {
    let header = LogHeader {
        id: opened.manifest.next_log(),
        salt: [base as u8; 16],
        epoch: opened.manifest.identity().epoch,
        base_sequence: Sequence::new(base),
        created: UnixMicros::EPOCH,
        durable_len: 512,
        answers_before_sync: false,
    };
    LogWriter::create(&**opened.directory.fs(), &opened.directory.logs_path(), header.clone(), OPTIONS)?;
    opened.manifest.log_created(&header)?;
    Ok(header)
}

pub(super) fn closed(end: u64, sequence_end: u64) -> Closed {
    Closed { end: ClosedEnd { end: ByteOffset::new(end), sequence_end: Sequence::new(sequence_end) }, is_damaged: false }
}

/// A directory with ten logs, nine of them closed: twenty changes in the manifest.
fn sample() -> (MemFs, Vec<LiveLog>) {
    let fs = MemFs::new(1);
    let mut opened = open_on(&fs).unwrap();
    for number in 1..=10 {
        let header = create_log(&mut opened, number * 100).unwrap();
        if number < 10 {
            opened.manifest.log_closed(header.id, closed(512, number * 100 + 50)).unwrap();
        }
    }
    let logs = opened.manifest.logs().cloned().collect();
    (fs.kill(), logs)
}

fn manifest_path() -> PathBuf {
    data().join("manifest.log")
}

fn log_files(fs: &MemFs) -> Vec<PathBuf> {
    fs.files().into_iter().filter(|path| path.starts_with("/data/logs")).collect()
}

/// Opens the sample with these bytes as its manifest; every log must be live, and what is lost must be named and kept.
fn judge(sample: &(MemFs, Vec<LiveLog>), manifest: &[u8]) -> Opened {
    judge_and_reopen(sample, manifest, true)
}

fn judge_and_reopen(sample: &(MemFs, Vec<LiveLog>), manifest: &[u8], reopen: bool) -> Opened {
    let (undamaged, logs) = sample;
    let fs = undamaged.kill();
    fs.install(&manifest_path(), manifest);
    let opened = open_on(&fs).unwrap();
    assert_eq!(log_files(&fs), log_files(undamaged), "no log is touched");
    assert_eq!(opened.manifest.next_log(), LogId::new(11));
    let live: Vec<&LiveLog> = opened.manifest.logs().collect();
    if opened.damage.is_empty() {
        assert!(live.into_iter().eq(logs), "nothing is said to be lost");
        assert!(opened.lost_and_found.is_empty());
    } else {
        assert!(live.iter().map(|log| &log.header).eq(logs.iter().map(|log| &log.header)), "every log says itself who it is");
        let differ = live.iter().zip(logs).filter(|(live, log)| live.closed.is_some() && live.closed != log.closed);
        assert_eq!(differ.count(), 0, "an end is right or forgotten");
        let copy = data().join("lost+found").join(&opened.lost_and_found[0]);
        assert_eq!(fs.live(&copy).unwrap(), manifest, "the damaged bytes are kept");
    }
    if reopen && !opened.damage.is_empty() {
        let again = open_on(&fs.crash(&mut |_| 0)).unwrap();
        assert_eq!((&again.damage, &again.lost_and_found), (&opened.damage, &opened.lost_and_found), "said again, and kept");
        assert!(again.manifest.logs().eq(opened.manifest.logs()));
        assert_eq!(again.manifest.identity(), opened.manifest.identity());
    }
    opened
}

#[test]
fn every_flipped_bit_of_a_manifest_keeps_every_log() {
    let sample = sample();
    let manifest = sample.0.live(&manifest_path()).unwrap();
    let used = manifest.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    assert_eq!(judge(&sample, &manifest).damage, []);
    let frames = frame_ranges(&sample.0);
    let is_in_a_frame = |bit: usize| frames.iter().any(|range| range.contains(&(bit / 8)));
    let bits = (0..used * 8).filter(|bit| bit % 64 == 0 || is_in_a_frame(*bit));
    let bits: Vec<usize> = bits.chain((used * 8..manifest.len() * 8).step_by(4093)).collect();
    let named = std::thread::scope(|scope| {
        let halves = bits.chunks(bits.len().div_ceil(2)).map(|half| {
            let (sample, mut manifest) = ((sample.0.kill(), sample.1.clone()), manifest.clone());
            scope.spawn(move || {
                let mut named = 0;
                for bit in half {
                    manifest[bit / 8] ^= 1 << (bit % 8);
                    // One bit of each byte is enough to see that the second start says the same.
                    named += usize::from(!judge_and_reopen(&sample, &manifest, bit % 8 == 0).damage.is_empty());
                    manifest[bit / 8] ^= 1 << (bit % 8);
                }
                named
            })
        });
        halves.collect::<Vec<_>>().into_iter().map(|half| half.join().unwrap()).sum::<usize>()
    });
    // The header, and twenty changes without their padding and proofs.
    let change_bytes = 9 + 33 + 10 * (9 + 129) + sample.1[..9].iter().map(|log| 9 + closing_len(log)).sum::<usize>();
    assert_eq!(named, (64 + change_bytes) * 8);
}

/// The bytes of the manifest's header, changes and proofs; between them are zeros.
fn frame_ranges(fs: &MemFs) -> Vec<std::ops::Range<usize>> {
    let loaded = Loaded::read(fs, data(), FileKind::Manifest).unwrap().unwrap();
    let changes = loaded.changes.iter().flat_map(|change| {
        let start = change.offset.value() as usize;
        let end = start + 9 + change.payload.len();
        let proof = end.next_multiple_of(512);
        [start..end, proof..proof + 48]
    });
    changes.chain(std::iter::once(0..64)).collect()
}

/// How many bytes the payload that closed this log has: numbers below 251 take one byte, others three.
fn closing_len(log: &LiveLog) -> usize {
    let len = |number: u64| if number < 251 { 1 } else { 3 };
    let end = log.closed.unwrap().end;
    2 + len(log.header.id.value()) + len(end.end.value()) + len(end.sequence_end.value())
}

#[test]
fn a_manifest_of_any_length_keeps_every_log() {
    let sample = sample();
    let manifest = sample.0.live(&manifest_path()).unwrap();
    let used = manifest.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for len in (0..used).step_by(7).chain((used..manifest.len()).step_by(1021)) {
        let opened = judge(&sample, &manifest[..len]);
        let ends = if len < 64 { len } else { 65536 };
        assert_eq!(opened.damage.last().map(|lost| lost.end), Some(ByteOffset::new(ends as u64)), "length {len}");
    }
}

#[test]
fn a_manifest_that_is_gone_is_made_anew_and_named() {
    let (fs, logs) = sample();
    fs.remove(&manifest_path()).unwrap();
    let before = open_on(&sample().0).unwrap().manifest.identity().clone();
    let opened = open_on(&fs).unwrap();
    assert_eq!(opened.damage.len(), 1);
    assert!(opened.manifest.logs().map(|log| &log.header).eq(logs.iter().map(|log| &log.header)));
    assert_ne!(opened.manifest.identity(), &before, "a new epoch: ends are forgotten");
    assert!(open_on(&fs.crash(&mut |_| 0)).unwrap().damage.is_empty());
}

/// The new manifest is whole: only the copy knows that some of the old one is gone.
#[test]
fn what_is_lost_of_a_manifest_is_named_until_its_copy_is_taken_away() {
    let (fs, logs) = sample();
    let mut manifest = fs.live(&manifest_path()).unwrap();
    manifest[70] ^= 1;
    fs.install(&manifest_path(), &manifest);
    let first = open_on(&fs).unwrap();
    let [lost] = &first.damage[..] else { panic!("{:?}", first.damage) };
    assert_eq!((lost.file.as_str(), lost.from.value()), ("manifest.log", 64));
    let lost_path = data().join("lost+found");
    fs.install(&lost_path.join("manifest.log.notes"), b"not a copy");
    for _ in 0..2 {
        assert_eq!(open_on(&fs).unwrap().damage, first.damage);
    }
    fs.remove(&data().join("logs").join(logs[4].header.id.file_name())).unwrap();
    assert_eq!(open_on(&fs).unwrap().damage.len(), 2, "beside what else is lost");
    fs.install(&lost_path.join("manifest.log.0123abcd"), b"no manifest");
    let ends: Vec<u64> = open_on(&fs).unwrap().damage.iter().map(|lost| lost.end.value()).collect();
    assert!(ends.len() == 3 && ends.contains(&11), "a copy that cannot be read is lost as a whole: {ends:?}");
    fs.remove(&lost_path.join("manifest.log.0123abcd")).unwrap();
    fs.remove(&lost_path.join(&first.lost_and_found[0])).unwrap();
    assert_eq!(open_on(&fs).unwrap().damage.len(), 1);
}

#[test]
fn a_manifest_of_a_newer_program_is_left_alone() {
    let (fs, _) = sample();
    let mut manifest = fs.live(&manifest_path()).unwrap();
    manifest[8] = 2;
    let crc = crate::checksum::plain(&manifest[..60]);
    manifest[60..64].copy_from_slice(&crc.to_le_bytes());
    fs.install(&manifest_path(), &manifest);
    let before = fs.files();
    assert!(matches!(open_on(&fs), Err(Error::Corrupt { source: Corruption::Version { found: 2, known: 1 }, .. })));
    assert_eq!((fs.live(&manifest_path()).unwrap(), fs.files()), (manifest, before));
}

#[test]
fn a_catalog_that_is_damaged_or_gone_stops_the_start_and_changes_nothing() {
    let path = data().join("catalog.log");
    let fs = MemFs::new(1);
    open_on(&fs).unwrap().catalog.append(b"a token is revoked").unwrap();
    let catalog = fs.live(&path).unwrap();
    let mut damaged = catalog.clone();
    damaged[70] ^= 1;
    fs.install(&path, &damaged);
    let error = open_on(&fs).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { offset, .. } if offset.value() == 64));
    assert_eq!(error.to_string(), "/data/catalog.log is corrupt at byte 64");
    assert_eq!(fs.live(&path).unwrap(), damaged);
    fs.remove(&path).unwrap();
    assert!(matches!(open_on(&fs), Err(Error::Missing { .. })));
    fs.install(&path, &catalog);
    assert_eq!(open_on(&fs).unwrap().catalog_changes, [b"a token is revoked"]);
}

#[test]
fn a_log_that_is_named_and_gone_is_named_as_lost() {
    let (fs, _) = sample();
    fs.remove(&data().join("logs/0000000000000003.log")).unwrap();
    let opened = open_on(&fs).unwrap();
    let lost = Damage {
        file: "logs/0000000000000003.log".to_owned(),
        from: ByteOffset::new(0),
        end: ByteOffset::new(512),
        sequences: (Sequence::new(300), Sequence::new(350)),
    };
    assert_eq!(opened.damage, [lost]);
    assert_eq!(opened.manifest.logs().count(), 10);
}

#[test]
fn random_damage_of_real_files_is_named_or_harmless() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("data");
    let mut opened = DataDirectory::open(&path).unwrap();
    for number in 1..=5 {
        opened.catalog.append(format!("change {number}").as_bytes()).unwrap();
        let header = create_log(&mut opened, number * 100).unwrap();
        opened.manifest.log_closed(header.id, closed(512, number * 100 + 50)).unwrap();
    }
    let headers: Vec<LogHeader> = opened.manifest.logs().map(|log| log.header.clone()).collect();
    let changes: Vec<Vec<u8>> = (1..=5).map(|number| format!("change {number}").into_bytes()).collect();
    drop(opened);
    let undamaged = ["manifest.log", "catalog.log"].map(|name| (path.join(name), std::fs::read(path.join(name)).unwrap()));
    let mut dice = Dice::new(3);
    let (mut refused, mut named) = (0, 0);
    for case in 0..500 {
        for (path, bytes) in &undamaged {
            std::fs::write(path, bytes).unwrap();
        }
        // What earlier cases lost is named as long as its copy is there.
        let _ = std::fs::remove_dir_all(path.join("lost+found"));
        let (hit, mut bytes) = undamaged[dice.below(2) as usize].clone();
        match dice.below(4) {
            0 => bytes.truncate(dice.below(bytes.len() as u64) as usize),
            1 => bytes[dice.below(2000) as usize..][..512].fill(dice.below(256) as u8),
            _ => bytes[dice.below(2000) as usize] ^= 1 << dice.below(8),
        }
        std::fs::write(&hit, bytes).unwrap();
        match DataDirectory::open(&path) {
            Err(Error::Corrupt { path, .. }) => {
                assert_eq!((&path, path.ends_with("catalog.log")), (&hit, true), "case {case}");
                refused += 1;
            }
            Err(error) => panic!("case {case}: {error}"),
            Ok(opened) => {
                assert_eq!(opened.catalog_changes, changes, "case {case}");
                assert!(opened.manifest.logs().map(|log| &log.header).eq(&headers), "case {case}");
                assert!(opened.damage.is_empty() || hit.ends_with("manifest.log"), "case {case}");
                named += usize::from(!opened.damage.is_empty());
            }
        }
    }
    assert!(refused > 50 && named > 50, "{refused} refused, {named} named: the damage hits");
}

/// What becomes of a file in `logs/`.
#[derive(Debug, PartialEq)]
enum Fate {
    Stays,
    Removed,
    Kept(&'static str),
}

fn fates(manifest_is_damaged: bool, cases: &[(&str, Vec<u8>, Fate)]) {
    let (fs, _) = sample();
    if manifest_is_damaged {
        let mut manifest = fs.live(&manifest_path()).unwrap();
        manifest[70] ^= 1;
        fs.install(&manifest_path(), &manifest);
    }
    fs.install(&data().join("lost+found/taken.txt"), b"older");
    for (name, bytes, _) in cases {
        fs.install(&data().join("logs").join(name), bytes);
    }
    let opened = open_on(&fs).unwrap();
    let durable = fs.crash(&mut |_| 0);
    for (name, bytes, fate) in cases {
        let in_logs = durable.live(&data().join("logs").join(name));
        let found = match (in_logs, fate) {
            (Some(_), _) => Fate::Stays,
            (None, Fate::Kept(kept)) if durable.live(&data().join("lost+found").join(kept)).as_ref() == Some(bytes) => Fate::Kept(kept),
            (None, _) => Fate::Removed,
        };
        assert_eq!(&found, fate, "{name}, manifest damaged: {manifest_is_damaged}");
        if let Fate::Kept(kept) = fate {
            assert!(opened.lost_and_found.iter().any(|name| name == kept), "{kept} is reported");
        }
    }
    assert_eq!(durable.live(&data().join("lost+found/taken.txt")).unwrap(), b"older");
    let ids_seen = if cases.iter().any(|(name, ..)| *name == "0000000000000044.log") { 0x45 } else { 11 };
    assert_eq!(opened.manifest.next_log(), LogId::new(ids_seen), "no identity is given out twice");
}

fn header(id: u64) -> Vec<u8> {
    let header = LogHeader {
        id: LogId::new(id),
        salt: [9; 16],
        epoch: [0; 16],
        base_sequence: Sequence::new(id),
        created: UnixMicros::EPOCH,
        durable_len: 512,
        answers_before_sync: false,
    };
    header.encode().to_vec()
}

#[test]
fn only_what_was_never_acknowledged_is_removed() {
    let unfinished = [header(11), vec![0; 512]].concat();
    let appended_to = [header(0x44), vec![0; 512], vec![1], vec![0; 99]].concat();
    fates(
        false,
        &[
            ("000000000000000b.log.tmp", vec![1; 9], Fate::Removed),
            ("000000000000000b.log", unfinished.clone(), Fate::Removed),
            ("000000000000000c.log", vec![], Fate::Removed),
            ("0000000000000044.log", appended_to.clone(), Fate::Kept("0000000000000044.log")),
            ("0000000000000000.log", unfinished.clone(), Fate::Kept("0000000000000000.log")),
            ("ffffffffffffffff.log", unfinished.clone(), Fate::Kept("ffffffffffffffff.log")),
            ("taken.txt", vec![3], Fate::Kept("taken.txt.1")),
            ("0000000000000001.log", header(1), Fate::Stays),
        ],
    );
}

#[test]
fn beside_a_damaged_manifest_nothing_is_removed() {
    let unfinished = [header(11), vec![0; 512]].concat();
    let appended_to = [header(0x44), vec![0; 512], vec![1], vec![0; 99]].concat();
    fates(
        true,
        &[
            ("000000000000000c.log.tmp", vec![1; 9], Fate::Kept("000000000000000c.log.tmp")),
            ("000000000000000b.log", unfinished.clone(), Fate::Stays),
            ("0000000000000044.log", appended_to, Fate::Stays),
            ("0000000000000012.log", vec![], Fate::Kept("0000000000000012.log")),
            ("0000000000000013.log", unfinished, Fate::Kept("0000000000000013.log")),
            ("taken.txt", vec![3], Fate::Kept("taken.txt.1")),
        ],
    );
}
