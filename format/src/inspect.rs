//! One file of a data directory, opened for whoever wants to know what is in it; also if it is damaged or alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Corruption, Error};
use crate::fs::{FileSystem, read_exact_at};
use crate::log::recovery::{self, Recovered};
use crate::log::{HEADER_LEN_BYTES, LogHeader};
use crate::manifest::contents::Contents;
use crate::manifest::{LiveLog, LiveSegment};
use crate::paired::{FileKind, Loaded};
use crate::sealed::Segment;
use crate::units::{ByteOffset, Sequence, UnixMicros};

/// How many first bytes say what a file is.
const MAGIC_LEN_BYTES: usize = 8;

/// A file, by what it is.
#[derive(Debug)]
pub enum Inspected {
    /// A segment; its blocks are verified when they are read.
    Segment(Arc<Segment>),
    /// A log.
    Log(Box<LogSummary>),
    /// A manifest or a catalog.
    Paired(Box<PairedSummary>),
}

/// What is in a log.
#[derive(Debug)]
pub struct LogSummary {
    /// Its own header, without what a manifest says of its end.
    pub header: LogHeader,
    /// Batches, damage and tail.
    pub recovered: Recovered,
    /// Records by the number of their [`Kind`](crate::Kind).
    pub by_kind: [u64; 3],
    /// First and last sequence.
    pub sequences: Option<(Sequence, Sequence)>,
    /// The earliest and the latest time of an event.
    pub times: Option<(UnixMicros, UnixMicros)>,
}

/// What is in a manifest or a catalog.
#[derive(Debug)]
pub struct PairedSummary {
    /// Which of them.
    pub kind: FileKind,
    /// All pairs.
    pub loaded: Loaded,
    /// The file's length.
    pub len_bytes: u64,
    /// The logs that a manifest names.
    pub logs: Vec<LiveLog>,
    /// The segments that it names.
    pub segments: Vec<LiveSegment>,
}

/// Opens the file at `path`, whatever its name, and finds out what it is by its first bytes.
///
/// # Errors
///
/// [`Error::NotOurs`]; [`Error::Corrupt`] if it is damaged where nothing can be said of the rest; [`Error::TooLarge`]; [`Error::Io`].
pub fn inspect(fs: &dyn FileSystem, path: &Path) -> Result<Inspected, Error> {
    let file = fs.open(path).map_err(Error::io("open", path))?;
    let len_bytes = file.len().map_err(Error::io("read", path))?;
    let mut magic = [0; MAGIC_LEN_BYTES];
    if len_bytes >= MAGIC_LEN_BYTES as u64 {
        read_exact_at(&*file, &mut magic, 0).map_err(Error::io("read", path))?;
    }
    match &magic {
        b"hkeepseg" => Segment::open(fs, path).map(Inspected::Segment),
        b"hkeeplog" => log(fs, path).map(|log| Inspected::Log(Box::new(log))),
        b"hkeepair" => paired(fs, path, len_bytes).map(|paired| Inspected::Paired(Box::new(paired))),
        _ => Err(Error::NotOurs { path: path.to_owned() }),
    }
}

fn log(fs: &dyn FileSystem, path: &Path) -> Result<LogSummary, Error> {
    let file = fs.open(path).map_err(Error::io("open", path))?;
    let corrupt = |source| Error::Corrupt { path: path.to_owned(), offset: ByteOffset::new(0), source };
    let len_bytes = file.len().map_err(Error::io("read", path))?;
    if len_bytes < HEADER_LEN_BYTES as u64 {
        return Err(corrupt(Corruption::CutShort { len_bytes, durable_len: HEADER_LEN_BYTES as u64 }));
    }
    let mut bytes = [0; HEADER_LEN_BYTES];
    read_exact_at(&*file, &mut bytes, 0).map_err(Error::io("read", path))?;
    let header = LogHeader::decode(&bytes).map_err(corrupt)?;
    let (mut by_kind, mut sequences, mut times) = ([0; 3], None, None);
    let recovered = recovery::recover(&*file, &header, None, &mut |row| {
        by_kind[row.record.kind as usize] += 1;
        sequences = Some(sequences.map_or((row.sequence, row.sequence), |(first, _)| (first, row.sequence)));
        let time = row.record.time;
        times = Some(times.map_or((time, time), |(first, last): (UnixMicros, UnixMicros)| (first.min(time), last.max(time))));
    });
    Ok(LogSummary { recovered: recovered.map_err(Error::io("read", path))?, header, by_kind, sequences, times })
}

fn paired(fs: &dyn FileSystem, path: &Path, len_bytes: u64) -> Result<PairedSummary, Error> {
    let not_found = || Error::io("open", path)(std::io::ErrorKind::NotFound.into());
    let read = |kind| Loaded::read_at(fs, PathBuf::from(path), kind).and_then(|loaded| loaded.ok_or_else(not_found));
    let (kind, loaded) = match read(FileKind::Manifest) {
        // A catalog is no manifest.
        Err(Error::Corrupt { source: Corruption::Magic { .. }, .. }) => (FileKind::Catalog, read(FileKind::Catalog)?),
        manifest => (FileKind::Manifest, manifest?),
    };
    let contents = match kind {
        FileKind::Manifest => {
            Contents::fold(&loaded.changes).map_err(|(offset, source)| Error::Corrupt { path: path.to_owned(), offset, source })?
        }
        FileKind::Catalog => Contents::default(),
    };
    let (logs, segments) = (contents.logs.into_values().collect(), contents.segments.into_values().collect());
    Ok(PairedSummary { kind, loaded, len_bytes, logs, segments })
}
