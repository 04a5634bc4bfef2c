//! What becomes of files that the manifest does not name, beside one that is whole and one that is damaged.

#![allow(clippy::unwrap_used)]

use super::samples::{data, manifest_path, open_on, path_of, provenance, sample, segment_header, write_segment};
use super::*;
use crate::fs::double::MemFs;
use crate::log::LogHeader;
use crate::sealed::Provenance;
use crate::units::{LogId, SegmentId, UnixMicros};

/// What becomes of a file in `logs/` or `segments/`.
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
        fs.install(&path_of(name), bytes);
    }
    let opened = open_on(&fs).unwrap();
    let durable = fs.crash(&mut |_| 0);
    for (name, bytes, fate) in cases {
        let found = match (durable.live(&path_of(name)), fate) {
            (Some(_), _) => Fate::Stays,
            (None, Fate::Kept(kept)) if durable.live(&data().join("lost+found").join(kept)).as_ref() == Some(bytes) => Fate::Kept(kept),
            (None, _) => Fate::Removed,
        };
        assert_eq!(&found, fate, "{name}, manifest damaged: {manifest_is_damaged}");
        let is_set_aside = opened.lost_and_found.iter().any(|kept| kept.starts_with(name));
        assert!(*fate != Fate::Removed || !is_set_aside, "{name} is removed, not set aside");
        if let Fate::Kept(kept) = fate {
            assert!(opened.lost_and_found.iter().any(|name| name == kept), "{kept} is reported");
        }
    }
    assert_eq!(durable.live(&data().join("lost+found/taken.txt")).unwrap(), b"older");
    let ids_seen = if cases.iter().any(|(name, ..)| *name == "0000000000000044.log") { 0x45 } else { 11 };
    assert_eq!(opened.manifest.next_log(), LogId::new(ids_seen), "no identity is given out twice");
    let again = open_on(&durable.kill()).unwrap();
    assert_eq!(again.manifest.next_log(), LogId::new(ids_seen), "nor that of a log that was set aside");
    let is_named = |id: u64| durable.files().iter().any(|path| path.ends_with(format!("{id:016x}.seg")));
    let next = opened.manifest.next_segment().value();
    assert!(next > 2 && !(next..next + 64).any(is_named), "no identity is given out twice: {next}");
}

/// The bytes of a segment made of these logs and segments, without its trailer and with it.
fn segment(id: u64, log: Option<u64>, segments: &[u64]) -> (Vec<u8>, Vec<u8>) {
    let segments = segments.iter().copied().map(SegmentId::new).collect();
    segment_with(id, &Provenance { segments, ..provenance(log.map(LogId::new), 1000) })
}

/// The same of a segment that says this of itself.
fn segment_with(id: u64, provenance: &Provenance) -> (Vec<u8>, Vec<u8>) {
    let fs = MemFs::new(1);
    open_on(&fs).unwrap();
    let finished = write_segment(&fs, &segment_header(id), provenance).unwrap();
    let path = data().join(SEGMENTS).join(SegmentId::new(id).file_name());
    let unfinished = fs.live(&path).unwrap();
    finished.commit().unwrap();
    (unfinished, fs.live(&path).unwrap())
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
            ("0000000000000003.log", header(3), Fate::Stays),
            // Its events are in segment 1.
            ("0000000000000001.log", header(1), Fate::Removed),
        ],
    );
}

#[test]
fn only_segments_that_were_never_acknowledged_are_removed() {
    let mut damaged = segment(10, Some(5), &[]).1;
    // In the footer, before the trailer.
    let at = damaged.len() - 70;
    damaged[at] ^= 1;
    fates(
        false,
        &[
            ("0000000000000003.seg.tmp", vec![1; 9], Fate::Removed),
            ("0000000000000003.seg", segment(3, Some(4), &[]).0, Fate::Removed),
            ("0000000000000004.seg", vec![], Fate::Removed),
            ("0000000000000005.seg", segment(5, Some(5), &[]).1, Fate::Removed),
            ("0000000000000006.seg", segment(6, None, &[1, 2]).1, Fate::Removed),
            ("0000000000000007.seg", segment(7, Some(1), &[]).1, Fate::Kept("0000000000000007.seg")),
            ("0000000000000008.seg", segment(8, None, &[1, 7]).1, Fate::Kept("0000000000000008.seg")),
            ("0000000000000009.seg", segment(9, None, &[]).1, Fate::Kept("0000000000000009.seg")),
            ("000000000000000a.seg", damaged, Fate::Kept("000000000000000a.seg")),
            ("000000000000000b.seg", segment(12, Some(5), &[]).1, Fate::Kept("000000000000000b.seg")),
            ("0000000000000000.seg", segment(3, Some(4), &[]).0, Fate::Kept("0000000000000000.seg")),
            ("mine.segments", vec![7], Fate::Kept("mine.segments")),
        ],
    );
    // The log that it was made of is there and not live.
    fates(
        false,
        &[
            ("0000000000000007.seg", segment(7, Some(1), &[]).1, Fate::Kept("0000000000000007.seg")),
            ("0000000000000001.log", header(1), Fate::Removed),
        ],
    );
}

#[test]
fn beside_a_damaged_manifest_segments_are_taken_up_and_nothing_is_removed() {
    fates(
        true,
        &[
            ("0000000000000003.seg.tmp", vec![1; 9], Fate::Kept("0000000000000003.seg.tmp")),
            ("0000000000000003.seg", segment(3, Some(4), &[]).0, Fate::Kept("0000000000000003.seg")),
            ("0000000000000005.seg", segment(5, Some(5), &[]).1, Fate::Stays),
            // The segment has its events.
            ("0000000000000005.log", header(5), Fate::Kept("0000000000000005.log")),
        ],
    );
    fates(
        true,
        &[
            ("0000000000000006.seg", segment(6, None, &[]).1, Fate::Kept("0000000000000006.seg")),
            ("0000000000000007.seg", segment(7, None, &[6]).1, Fate::Stays),
        ],
    );
}

/// A merge of the two sealed segments into segments 3 and 4, up to some step; then the power fails, and the manifest is damaged.
#[test]
fn beside_a_damaged_manifest_all_that_was_made_of_the_same_is_taken_up_or_none() {
    let path = |id: u64| path_of(&SegmentId::new(id).file_name());
    let made = |id: u64, sibling: u64| {
        let provenance = Provenance { segments: [1, 2].map(SegmentId::new).to_vec(), ..provenance(None, id * 1000) };
        segment_with(id, &Provenance { siblings: vec![SegmentId::new(sibling)], ..provenance })
    };
    let ((unfinished_3, whole_3), (unfinished_4, whole_4)) = (made(3, 4), made(4, 3));
    let damaged_4 = [&whole_4[..whole_4.len() - 1], &[whole_4[whole_4.len() - 1] ^ 1]].concat();
    for (third, fourth, gone, live) in [
        (&unfinished_3, Some(&unfinished_4), None, [1, 2].as_slice()),
        (&whole_3, Some(&unfinished_4), None, &[1, 2]),
        (&unfinished_3, Some(&whole_4), None, &[1, 2]),
        (&whole_3, None, None, &[1, 2]),
        (&whole_3, Some(&whole_4), None, &[3, 4]),
        // Both were live, or nothing would have been removed.
        (&whole_3, Some(&whole_4), Some(1), &[3, 4]),
        (&whole_3, Some(&damaged_4), Some(2), &[3]),
        (&whole_3, None, Some(1), &[3]),
    ] {
        let (fs, _) = sample();
        let mut manifest = fs.live(&manifest_path()).unwrap();
        manifest[70] ^= 1;
        fs.install(&manifest_path(), &manifest);
        fs.install(&path(3), third);
        fourth.into_iter().for_each(|bytes| fs.install(&path(4), bytes));
        gone.into_iter().for_each(|id| fs.remove(&path(id)).unwrap());
        for start in 0..2 {
            let opened = open_on(&fs).unwrap();
            let found: Vec<u64> = opened.manifest.segments().map(|segment| segment.id().value()).collect();
            assert_eq!(found, live, "third {}, fourth {:?}, gone {gone:?}, start {start}", third.len(), fourth.map(Vec::len));
        }
    }
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
