//! Any one change of a manifest that is lost, while what was replaced still has its files.

#![allow(clippy::unwrap_used)]

use super::samples::{
    add_merged, add_segment, closed, create_log, data, manifest_path, open_on, path_of, provenance, sample, segment_header, write_segment,
};
use super::*;
use crate::fs::double::{Fault, FaultKind, MemFs, Op};
use crate::manifest::Replacement;
use crate::sealed::Provenance;

fn path(id: u64) -> PathBuf {
    path_of(&SegmentId::new(id).file_name())
}

/// Before its trailer: where that is damaged as well, a segment that nothing names looks like one that was never finished.
fn damage_footer(fs: &MemFs) {
    let mut bytes = fs.live(&path(4)).unwrap();
    let at = bytes.len() - 70;
    bytes[at] ^= 1;
    fs.install(&path(4), &bytes);
}

/// Segments 1 and 2 have become 3 and 4, of which 4 may have been dropped since. The start after that has written the manifest anew, with
/// a change for each segment, and was killed before it could remove a file.
fn merged(is_dropped: bool) -> MemFs {
    let (fs, _) = sample();
    let mut opened = open_on(&fs).unwrap();
    let sources = [1, 2].map(SegmentId::new).to_vec();
    let added = [(3, 4), (4, 3)].map(|(id, sibling)| {
        let provenance = Provenance { segments: sources.clone(), ..provenance(None, id * 1000) };
        let provenance = Provenance { siblings: vec![SegmentId::new(sibling)], ..provenance };
        write_segment(&fs, &segment_header(id), &provenance).unwrap().commit().unwrap();
        LiveSegment::new(&segment_header(id), &provenance, 1, fs.live(&path(id)).unwrap().len() as u64)
    });
    opened.manifest.replace(&Replacement { segments: sources, added: added.to_vec(), ..Replacement::default() }).unwrap();
    if is_dropped {
        opened.manifest.replace(&Replacement { segments: vec![SegmentId::new(4)], ..Replacement::default() }).unwrap();
    }
    drop(opened);
    // Two temporary files that are not there come first.
    fs.fail(Fault { op: Some(Op::Remove), nth: 2, forever: false, kind: FaultKind::Io });
    open_on(&fs).unwrap_err();
    assert!((1..=4).all(|id| fs.live(&path(id)).is_some()));
    fs.kill()
}

/// Starts, or starts twice, and the first is killed when the manifest is written anew and no file has been moved yet.
fn start(fs: &MemFs, is_killed: bool) -> Opened {
    if !is_killed {
        return open_on(fs).unwrap();
    }
    // Catalog and manifest come first.
    fs.fail(Fault { op: Some(Op::Rename), nth: 2, forever: false, kind: FaultKind::Io });
    let first = open_on(fs);
    fs.heal();
    first.unwrap_or_else(|_| open_on(fs).unwrap())
}

/// What was replaced never comes back, what has its rows stays, and nothing is removed.
#[test]
fn whichever_change_is_lost_what_a_merge_made_is_live_and_what_it_was_made_of_is_not() {
    type Harm = (&'static str, bool, fn(&MemFs), &'static [u64]);
    let harms: [Harm; 4] = [
        ("none", false, |_| {}, &[3, 4]),
        ("an output is damaged", false, damage_footer, &[3]),
        ("a source is removed", false, |fs| fs.remove(&path(1)).unwrap(), &[3, 4]),
        ("an output was dropped and is removed", true, |fs| fs.remove(&path(4)).unwrap(), &[3]),
    ];
    for (harm, is_dropped, apply, live) in harms {
        let merged = merged(is_dropped);
        let changes = Loaded::read(&merged, data(), FileKind::Manifest).unwrap().unwrap().changes;
        assert!(changes.len() > 5);
        for (number, is_killed) in (0..changes.len()).flat_map(|number| [(number, false), (number, true)]) {
            let context = format!("{harm}, change {number} is lost, first start killed: {is_killed}");
            let fs = merged.kill();
            apply(&fs);
            let before: Vec<u64> = (1..=4).filter(|id| fs.live(&path(*id)).is_some()).collect();
            let mut manifest = fs.live(&manifest_path()).unwrap();
            // The first byte of its payload.
            manifest[changes[number].offset.value() as usize + 9] ^= 1;
            fs.install(&manifest_path(), &manifest);
            let opened = start(&fs, is_killed);
            assert_eq!(opened.damage.iter().filter(|lost| lost.file == "manifest.log").count(), 1, "{context}");
            let found: Vec<u64> = opened.manifest.segments().map(|segment| segment.id().value()).collect();
            // One that cannot be read is live if the manifest names it.
            let found: Vec<u64> = found.into_iter().filter(|id| live.contains(id) || *id != 4 || is_dropped).collect();
            assert_eq!(found, live, "{context}");
            let is_there = |id: &u64| fs.live(&path(*id)).is_some() || opened.lost_and_found.contains(&SegmentId::new(*id).file_name());
            assert!(before.iter().all(is_there), "{context}: {:?}", opened.notes);
        }
    }
}

/// A log was sealed, and its segment merged; then the log's name came back.
#[test]
fn beside_a_damaged_manifest_a_log_that_is_known_to_be_replaced_is_set_aside() {
    for is_killed in [false, true] {
        let fs = MemFs::new(1);
        let mut opened = open_on(&fs).unwrap();
        let log = create_log(&mut opened, 100).unwrap().id;
        opened.manifest.log_closed(log, closed(512, 150)).unwrap();
        add_segment(&mut opened, log).unwrap();
        let added = vec![add_merged(&fs, 2, &[SegmentId::new(1)])];
        opened.manifest.replace(&Replacement { segments: vec![SegmentId::new(1)], added, ..Replacement::default() }).unwrap();
        drop(opened);
        fs.remove(&path(1)).unwrap();
        let mut manifest = fs.live(&manifest_path()).unwrap();
        manifest[70] ^= 1;
        fs.install(&manifest_path(), &manifest);
        let opened = start(&fs, is_killed);
        assert_eq!((opened.manifest.logs().count(), opened.manifest.segments().count()), (0, 1));
        assert!(opened.lost_and_found.contains(&log.file_name()), "{:?}", opened.notes);
    }
}
