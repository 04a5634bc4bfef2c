//! Data directories on the double, and what stands in them, for the tests here.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::fs::double::MemFs;
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
pub(super) fn add_segment_of(opened: &mut Opened, log: LogId, lost: Vec<Lost>) -> Result<(), Error> {
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

pub(super) fn live(opened: &Opened) -> Live {
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

pub(super) fn path_of(name: &str) -> PathBuf {
    data().join(if name.contains(".seg") { "segments" } else { "logs" }).join(name)
}
