//! Damage of manifest and catalog, and files that are named and gone: every log and segment that can be read stays.

#![allow(clippy::unwrap_used)]

use super::samples::{
    Live, add_merged, add_segment, add_segment_of, closed, create_log, data, live, manifest_path, open_on, path_of, sample, seal,
};
use super::*;
use crate::fs::double::{Dice, MemFs};
use crate::log::LogHeader;
use crate::manifest::{Closed, Lost, Replacement};
use crate::units::{LogId, SegmentId, UnixMicros};

/// The files of logs and segments.
fn named_files(fs: &MemFs) -> Vec<PathBuf> {
    fs.files().into_iter().filter(|path| path.starts_with("/data/logs") || path.starts_with("/data/segments")).collect()
}

/// Opens the sample with these bytes as its manifest; every log and segment must be live, and what is lost must be named and kept.
fn judge(sample: &(MemFs, Live), manifest: &[u8]) -> Opened {
    judge_and_reopen(sample, manifest, true)
}

fn judge_and_reopen(sample: &(MemFs, Live), manifest: &[u8], reopen: bool) -> Opened {
    let (undamaged, (logs, segments)) = sample;
    let fs = undamaged.kill();
    fs.install(&manifest_path(), manifest);
    let opened = open_on(&fs).unwrap();
    assert_eq!(named_files(&fs), named_files(undamaged), "no log or segment is touched");
    assert_eq!((opened.manifest.next_log(), opened.manifest.next_segment()), (LogId::new(11), SegmentId::new(3)));
    assert!(opened.manifest.segments().eq(segments), "every segment says itself what it is");
    let named: Vec<&LiveLog> = opened.manifest.logs().collect();
    if opened.damage.is_empty() {
        assert!(named.into_iter().eq(logs), "nothing is said to be lost");
        assert!(opened.lost_and_found.is_empty());
    } else {
        assert!(named.iter().map(|log| &log.header).eq(logs.iter().map(|log| &log.header)), "every log says itself who it is");
        let differ = named.iter().zip(logs).filter(|(named, log)| named.closed.is_some() && named.closed != log.closed);
        assert_eq!(differ.count(), 0, "an end is right or forgotten");
        let copy = data().join("lost+found").join(&opened.lost_and_found[0]);
        assert_eq!(fs.live(&copy).unwrap(), manifest, "the damaged bytes are kept");
    }
    if reopen && !opened.damage.is_empty() {
        let again = open_on(&fs.crash(&mut |_| 0)).unwrap();
        assert_eq!((&again.damage, &again.lost_and_found), (&opened.damage, &opened.lost_and_found), "said again, and kept");
        assert_eq!(live(&again), live(&opened));
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
    // The header, and the changes without their padding and proofs: the directory, ten creations, nine closings, two segments.
    let closings = (1..10).map(|number| 9 + closing_len(number));
    let change_bytes = 9 + 33 + 10 * (9 + 129) + closings.sum::<usize>() + 2 * (9 + SEGMENT_ADDED_BYTES);
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
fn closing_len(number: u64) -> usize {
    let len = |number: u64| if number < 251 { 1 } else { 3 };
    2 + len(number) + len(512) + len(number * 100 + 50)
}

/// Of the payload that added one of the two segments: number, one log, no segments, one segment; its id, salt, epoch, time, rows, two
/// sequences and the length of the file (which is above 250), a log, no segments, no siblings, its level; nothing lost.
const SEGMENT_ADDED_BYTES: usize = 1 + 2 + 1 + 1 + 1 + 16 + 16 + 1 + 1 + 1 + 1 + 3 + 2 + 1 + 1 + 1 + 1;

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
    let (fs, (logs, segments)) = sample();
    fs.remove(&manifest_path()).unwrap();
    let before = open_on(&sample().0).unwrap().manifest.identity().clone();
    let opened = open_on(&fs).unwrap();
    assert_eq!(opened.damage.len(), 1);
    assert!(opened.manifest.logs().map(|log| &log.header).eq(logs.iter().map(|log| &log.header)));
    assert!(opened.manifest.segments().eq(&segments));
    assert_ne!(opened.manifest.identity(), &before, "a new epoch: ends are forgotten");
    assert!(open_on(&fs.crash(&mut |_| 0)).unwrap().damage.is_empty());
}

/// The new manifest is whole: only the copy knows that some of the old one is gone.
#[test]
fn what_is_lost_of_a_manifest_is_named_until_its_copy_is_taken_away() {
    let (fs, (logs, _)) = sample();
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
        times: (UnixMicros::new(300), UnixMicros::new(400)),
    };
    assert_eq!(opened.damage, [lost]);
    assert_eq!(opened.manifest.logs().count(), 8);
}

#[test]
fn a_segment_that_is_named_and_gone_is_named_as_lost_at_every_start() {
    let (fs, (_, segments)) = sample();
    fs.remove(&data().join("segments/0000000000000002.seg")).unwrap();
    let lost = Damage {
        file: "segments/0000000000000002.seg".to_owned(),
        from: ByteOffset::new(0),
        end: ByteOffset::new(segments[1].len_bytes),
        sequences: (Sequence::new(200), Sequence::new(201)),
        times: (None, None),
    };
    for _ in 0..2 {
        let opened = open_on(&fs).unwrap();
        assert_eq!(opened.damage, std::slice::from_ref(&lost));
        assert!(opened.manifest.segments().eq(&segments));
        assert_eq!(opened.manifest.next_segment(), SegmentId::new(3));
    }
}

/// The end came between the manifest's change and the removal of the log, and then the segment's file was damaged.
#[test]
fn a_log_takes_the_place_of_a_segment_that_cannot_be_read() {
    for gone in [false, true] {
        let fs = MemFs::new(1);
        let mut opened = open_on(&fs).unwrap();
        let header = create_log(&mut opened, 100).unwrap();
        opened.manifest.log_closed(header.id, closed(512, 150)).unwrap();
        add_segment(&mut opened, header.id).unwrap();
        let path = data().join("segments/0000000000000001.seg");
        let mut bytes = fs.live(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        if gone {
            fs.remove(&path).unwrap();
        } else {
            fs.install(&path, &bytes);
        }
        for _ in 0..2 {
            let opened = open_on(&fs).unwrap();
            assert_eq!(opened.damage, [], "nothing is lost");
            assert!(opened.manifest.logs().map(|log| &log.header).eq([&header]));
            assert_eq!((opened.manifest.segments().count(), opened.manifest.next_segment()), (0, SegmentId::new(2)));
            assert_eq!(opened.lost_and_found.len(), usize::from(!gone));
        }
    }
}

/// The end came between the manifest's change and the removal of the files.
#[test]
fn segments_that_were_replaced_or_dropped_are_removed_at_the_next_start() {
    let path = |id: u64| data().join(SEGMENTS).join(SegmentId::new(id).file_name());
    for (is_dropped, unreadable, stay) in [(false, None, vec![3, 4]), (true, None, vec![4]), (false, Some(4), vec![3, 4])] {
        let (fs, (_, segments)) = sample();
        let mut opened = open_on(&fs).unwrap();
        let sources: Vec<SegmentId> = segments.iter().map(LiveSegment::id).collect();
        // Two for two, and named in another order than they were begun.
        let added = [4, 3].map(|id| add_merged(&fs, id, &sources)).to_vec();
        opened.manifest.replace(&Replacement { segments: sources, added, ..Replacement::default() }).unwrap();
        if is_dropped {
            opened.manifest.replace(&Replacement { segments: vec![SegmentId::new(3)], ..Replacement::default() }).unwrap();
        }
        drop(opened);
        if let Some(id) = unreadable {
            fs.install(&path(id), b"damaged");
        }
        let opened = open_on(&fs).unwrap();
        assert!(opened.manifest.segments().map(|segment| segment.id().value()).eq(stay.iter().copied()));
        assert_eq!(opened.manifest.next_segment(), SegmentId::new(5));
        let left: Vec<u64> = (1..=4).filter(|id| fs.live(&path(*id)).is_some()).collect();
        assert_eq!(left, stay);
        let kept = if unreadable.is_some() { vec!["0000000000000001.seg", "0000000000000002.seg"] } else { vec![] };
        assert_eq!(opened.lost_and_found, kept, "what has no readable heir is kept");
    }
}

#[test]
fn a_log_that_lacks_something_is_set_aside_and_its_loss_is_named_until_it_is_taken_away() {
    for by_the_next_start in [false, true] {
        let fs = MemFs::new(1);
        let mut opened = open_on(&fs).unwrap();
        let header = create_log(&mut opened, 100).unwrap();
        opened.manifest.log_closed(header.id, Closed { is_damaged: true, ..closed(512, 150) }).unwrap();
        let lost = Damage {
            file: "logs/0000000000000001.log".to_owned(),
            from: ByteOffset::new(200),
            end: ByteOffset::new(300),
            sequences: (Sequence::new(120), Sequence::new(130)),
            times: (None, None),
        };
        add_segment_of(&mut opened, header.id, Lost::of(header.id, std::slice::from_ref(&lost))).unwrap();
        let bytes = fs.live(&opened.directory.logs_path().join(header.id.file_name())).unwrap();
        if !by_the_next_start {
            assert_eq!(set_aside(&fs, data(), header.id).unwrap(), header.id.file_name());
        }
        let fs = fs.crash(&mut |_| 0);
        for start in 0..3 {
            let opened = open_on(&fs).unwrap();
            assert_eq!(opened.damage, std::slice::from_ref(&lost), "start {start}");
            assert_eq!(opened.lost_and_found, [header.id.file_name()], "start {start}");
            assert_eq!((opened.manifest.logs().count(), opened.manifest.segments().count()), (0, 1));
        }
        let kept = data().join("lost+found").join(header.id.file_name());
        assert_eq!(fs.live(&kept), Some(bytes));
        fs.remove(&kept).unwrap();
        assert_eq!(open_on(&fs).unwrap().damage, []);
    }
}

/// Somebody put back a copy of the manifest from before a log was sealed.
#[test]
fn a_segment_outlives_an_older_manifest() {
    let fs = MemFs::new(1);
    let mut opened = open_on(&fs).unwrap();
    let header = create_log(&mut opened, 100).unwrap();
    opened.manifest.log_closed(header.id, closed(512, 150)).unwrap();
    let older = fs.live(&manifest_path()).unwrap();
    seal(&mut opened, header.id).unwrap();
    drop(opened);
    fs.install(&manifest_path(), &older);
    let opened = open_on(&fs).unwrap();
    assert_eq!(opened.lost_and_found, ["0000000000000001.seg"]);
    assert_eq!((opened.damage.len(), opened.manifest.next_segment()), (1, SegmentId::new(2)));
}

/// Somebody put back a copy of the manifest from before a merge.
#[test]
fn what_a_merge_made_outlives_an_older_manifest() {
    let (fs, (_, segments)) = sample();
    let mut opened = open_on(&fs).unwrap();
    let older = fs.live(&manifest_path()).unwrap();
    let sources: Vec<SegmentId> = segments.iter().map(LiveSegment::id).collect();
    let added = vec![add_merged(&fs, 3, &sources)];
    opened.manifest.replace(&Replacement { segments: sources.clone(), added, ..Replacement::default() }).unwrap();
    drop(opened);
    sources.iter().for_each(|id| fs.remove(&path_of(&id.file_name())).unwrap());
    fs.install(&manifest_path(), &older);
    let opened = open_on(&fs).unwrap();
    assert_eq!(opened.lost_and_found, ["0000000000000003.seg"]);
    assert_eq!((opened.damage.len(), opened.manifest.next_segment()), (2, SegmentId::new(4)));
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
