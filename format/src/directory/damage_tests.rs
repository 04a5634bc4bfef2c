//! Every flipped bit of a manifest, and what becomes of files that nothing names.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::fs::double::{Dice, MemFs};
use crate::log::recovery::ClosedEnd;
use crate::log::{LogHeader, LogOptions, LogWriter};
use crate::manifest::{Closed, Lost, Replacement};
use crate::record::Kind;
use crate::sealed::{Codes, Field, Finished, Level, Provenance, Row, SegmentHeader, SegmentWriter};
use crate::units::{LogId, SegmentId, SiteId, UnixMicros};

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
        created: UnixMicros::new(base as i64).unwrap(),
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

/// Writes a segment of one row, complete but for its trailer.
pub(super) fn write_segment(fs: &dyn FileSystem, header: &SegmentHeader, provenance: &Provenance) -> Result<Finished, Error> {
    let codes: Codes = [0; Field::ALL.len()];
    let row = Row { time: UnixMicros::EPOCH, sequence: provenance.sequences.0, session: 0, codes, properties: &[], event_id: None };
    let row = Row { session: crate::sealed::NO_SESSION, ..row };
    let mut writer = SegmentWriter::create(fs, &data().join(SEGMENTS), header, [3; 16])?;
    writer.run(SiteId::new([1; 16]), Kind::Event, "signup")?;
    writer.push(&row)?;
    let finished = writer.finish(provenance)?;
    Ok(finished)
}

pub(super) fn segment_header(id: u64) -> SegmentHeader {
    SegmentHeader { id: SegmentId::new(id), salt: [id as u8; 16], epoch: [4; 16], created: UnixMicros::EPOCH }
}

pub(super) fn provenance(log: Option<LogId>, sequence: u64) -> Provenance {
    let sequences = (Sequence::new(sequence), Sequence::new(sequence + 1));
    let received = vec![(sequences.0, UnixMicros::EPOCH)];
    Provenance { log, segments: Vec::new(), siblings: Vec::new(), level: Level::Arrived, sequences, received }
}

/// Puts a segment in the place of a closed log, as the sealer and the appender do, but for the log's file.
pub(super) fn add_segment(opened: &mut Opened, log: LogId) -> Result<(), Error> {
    add_segment_of(opened, log, Vec::new())
}

/// The same of a log that lacks something.
fn add_segment_of(opened: &mut Opened, log: LogId, lost: Vec<Lost>) -> Result<(), Error> {
    let fs = Arc::clone(opened.directory.fs());
    let header = SegmentHeader { epoch: opened.manifest.identity().epoch, ..segment_header(opened.manifest.next_segment().value()) };
    let provenance = provenance(Some(log), log.value() * 100);
    write_segment(&*fs, &header, &provenance)?.commit()?;
    let path = opened.directory.segments_path().join(header.id.file_name());
    let len_bytes = fs.open(&path).and_then(|file| file.len()).map_err(Error::io("read", &path))?;
    let added = vec![LiveSegment::new(&header, &provenance, 1, len_bytes)];
    opened.manifest.replace(&Replacement { logs: vec![log], added, lost, ..Replacement::default() })
}

/// Writes a complete segment that says it was made of `sources`.
pub(crate) fn add_merged(fs: &MemFs, id: u64, sources: &[SegmentId]) -> LiveSegment {
    let provenance = Provenance { segments: sources.to_vec(), ..provenance(None, id * 1000) };
    write_segment(fs, &segment_header(id), &provenance).unwrap().commit().unwrap();
    let len_bytes = fs.live(&data().join(SEGMENTS).join(SegmentId::new(id).file_name())).unwrap().len() as u64;
    LiveSegment::new(&segment_header(id), &provenance, 1, len_bytes)
}

/// Seals a closed log.
pub(super) fn seal(opened: &mut Opened, log: LogId) -> Result<(), Error> {
    add_segment(opened, log)?;
    let (fs, path) = (opened.directory.fs(), opened.directory.logs_path());
    fs.remove(&path.join(log.file_name())).map_err(Error::io("remove", &path))?;
    fs.sync_dir(&path).map_err(Error::io("sync", &path))
}

/// What is live.
pub(super) type Live = (Vec<LiveLog>, Vec<LiveSegment>);

fn live(opened: &Opened) -> Live {
    (opened.manifest.logs().cloned().collect(), opened.manifest.segments().cloned().collect())
}

/// A directory with ten logs, nine of them closed, of which the first two are sealed: twenty-two changes in the manifest.
pub(super) fn sample() -> (MemFs, Live) {
    let fs = MemFs::new(1);
    let mut opened = open_on(&fs).unwrap();
    for number in 1..=10 {
        let header = create_log(&mut opened, number * 100).unwrap();
        if number < 10 {
            opened.manifest.log_closed(header.id, closed(512, number * 100 + 50)).unwrap();
        }
        if number < 3 {
            seal(&mut opened, header.id).unwrap();
        }
    }
    let live = live(&opened);
    assert_eq!((live.0.len(), live.1.len()), (8, 2));
    (fs.kill(), live)
}

pub(super) fn manifest_path() -> PathBuf {
    data().join("manifest.log")
}

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

pub(super) fn path_of(name: &str) -> PathBuf {
    data().join(if name.contains(".seg") { "segments" } else { "logs" }).join(name)
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
