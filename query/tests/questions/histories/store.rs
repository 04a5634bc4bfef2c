//! A data directory that is opened, recovered and served as the daemon does it, on the file system that forgets what was not synced.
//!
//! What the daemon does aside is done in steps, between which anything else may happen: segments are built, then they take the place of
//! what they were made of, then that is removed.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use format::directory::{DataDirectory, Opened};
use format::fs::FileSystem;
use format::fs::double::MemFs;
use format::log::recovery::{ClosedEnd, Recovered};
use format::manifest::{Closed, LiveLog, LiveSegment, Replacement};
use format::sealed::SegmentHeader;
use format::{Error, Level, LogFile, LogHeader, LogId, LogOptions, LogWriter, Record, Segment, SegmentId, Sequence, SiteId, UnixMicros};
use query::{
    ActiveIndex, ActiveWriter, ClosedLog, ColumnRule, Division, Input, Keep, Sealed, SegmentRows, SharedSessions, Snapshot, Target,
};

pub(super) const DIR: &str = "/data";
const OPTIONS: LogOptions = LogOptions { capacity_bytes: 1 << 20, step_bytes: 4096 };

/// Encoded records.
pub(super) type Rows = BTreeMap<Sequence, Vec<u8>>;

/// A data directory that is open and served.
pub(super) struct Store {
    opened: Opened,
    writer: LogWriter,
    /// That of the writer.
    open: Log,
    closed: Vec<Log>,
    segments: Vec<Arc<Segment>>,
    /// What was found when it was asked last: other segments may be there since.
    shared: Cell<Arc<SharedSessions>>,
    next_segment: SegmentId,
    /// What is built and not live, the oldest first.
    built: VecDeque<Exchange>,
    /// By exchange, the files that are not live any more and still there.
    replaced: VecDeque<Vec<PathBuf>>,
}

/// What has happened to a directory that a crash alone does not do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    /// Its manifest was damaged: from then on every start names that, and files may have been set aside.
    pub(super) was_damaged: bool,
    /// A folder's sync failed, and no later one makes up for it: names that were removed, and forgotten since, may come back with a power
    /// cut, and are set aside then.
    pub(super) removals_failed: bool,
}

struct Log {
    writer: ActiveWriter,
    index: Arc<ActiveIndex>,
}

/// Segments, and what they take the place of.
struct Exchange {
    logs: Vec<LogId>,
    segments: Vec<SegmentId>,
    added: Vec<Sealed>,
}

/// How a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing was done, and it may be tried again.
    Passing,
    /// The process ends.
    Final,
}

/// What an error of the file system means to work that is done aside.
///
/// # Panics
///
/// If it is no error of the file system: nothing else is to go wrong.
fn judge(error: &Error) -> Trouble {
    match error {
        error if error.is_failed_sync() => Trouble::Final,
        Error::Full { .. } | Error::Io { .. } => Trouble::Passing,
        other => panic!("{other}"),
    }
}

fn judge_build(error: query::Error) -> Trouble {
    match error {
        query::Error::Record(source) | query::Error::Segment { source, .. } => judge(&source),
        other => panic!("{other}"),
    }
}

impl Log {
    fn new(log: &LogWriter) -> Log {
        let (writer, index) = ActiveWriter::new(Arc::clone(log.reader()));
        Log { writer, index }
    }

    fn closed(&self) -> ClosedLog {
        ClosedLog::new(Arc::clone(&self.index), self.writer.sequences())
    }
}

/// A log that a start has read.
struct Read {
    live: LiveLog,
    file: LogFile,
    found: Recovered,
    log: Log,
}

impl Store {
    /// Opens the directory, its segments and its logs.
    pub(super) fn open(fs: &MemFs, past: Past) -> Result<Store, Error> {
        let Past { was_damaged, removals_failed } = past;
        let mut opened = DataDirectory::open_on(Arc::new(fs.clone()), Path::new(DIR))?;
        assert!(was_damaged || opened.damage.is_empty(), "a crash is not corruption: {:?}", opened.damage);
        let is_explained = was_damaged || removals_failed || opened.lost_and_found.is_empty();
        assert!(is_explained, "a crash leaves nothing that is not explained: {:?}", opened.notes);
        let (segments, logs) = (open_segments(fs, &opened, was_damaged)?, read_logs(fs, &opened, was_damaged)?);
        let mut next = Sequence::FIRST;
        for log in opened.manifest.logs() {
            next = next.max(log.closed.map_or(log.header.base_sequence, |closed| closed.end.sequence_end));
        }
        next = opened.manifest.segments().map(|segment| segment.sequences.1).fold(next, Sequence::max);
        next = logs.iter().map(|read| read.found.next_sequence).fold(next, Sequence::max);
        let epoch = opened.manifest.identity().epoch;
        let goes_on = |read: &Read| read.live.closed.is_none() && read.found.next_sequence == next && read.live.header.epoch == epoch;
        let newest = logs.last().is_some_and(goes_on).then(|| logs.len() - 1);
        let (mut closed, mut going_on) = (Vec::new(), None);
        for (number, Read { live, file, found, log }) in logs.into_iter().enumerate() {
            if newest == Some(number) {
                going_on = Some((file.writer(fs, &found, OPTIONS)?, log));
                continue;
            }
            if live.closed.is_none() {
                assert!(was_damaged, "one log is open");
                let end = ClosedEnd { end: found.end, sequence_end: found.next_sequence };
                opened.manifest.log_closed(live.header.id, Closed { end, is_damaged: false })?;
            }
            closed.push(log);
        }
        let (writer, open) = match going_on {
            Some(going_on) => going_on,
            None => {
                let writer = create(fs, &mut opened, next)?;
                let log = Log::new(&writer);
                (writer, log)
            }
        };
        let next_segment = opened.manifest.next_segment();
        Ok(Store {
            opened,
            writer,
            open,
            closed,
            segments,
            shared: Cell::default(),
            next_segment,
            built: VecDeque::new(),
            replaced: VecDeque::new(),
        })
    }

    pub(super) fn next_sequence(&self) -> Sequence {
        self.writer.next_sequence()
    }

    /// What a question sees.
    pub(super) fn snapshot(&self) -> Snapshot {
        let logs: Vec<Arc<ActiveIndex>> = self.closed.iter().chain([&self.open]).map(|log| Arc::clone(&log.index)).collect();
        let found = SharedSessions::find(&self.segments, &|| false).unwrap();
        Snapshot::new(&logs, &self.segments).with_shared(self.shared.replace(Arc::new(found)))
    }

    /// All rows that are live.
    ///
    /// # Panics
    ///
    /// If a row is there twice.
    pub(super) fn rows(&self) -> Result<Rows, query::Error> {
        let mut rows = Rows::new();
        let mut push = |sequence, record: &Record<'_>| {
            let mut bytes = Vec::new();
            record.encode(&mut bytes).unwrap();
            assert_eq!(rows.insert(sequence, bytes), None, "a row is live once");
        };
        let mut scratch = Vec::new();
        for log in self.closed.iter().chain([&self.open]).map(Log::closed) {
            for row in 0..log.rows() {
                push(log.sequence(row), &log.record(row, &mut scratch)?);
            }
        }
        for segment in &self.segments {
            let mut rows = SegmentRows::new(segment)?;
            while let Some((sequence, record)) = rows.next()? {
                push(sequence, &record);
            }
        }
        Ok(rows)
    }

    /// The first row with this id, by the indexes of ids.
    pub(super) fn first_with_id(&self, site: SiteId, id: &str) -> Option<Sequence> {
        let in_logs = self.closed.iter().chain([&self.open]).filter_map(|log| log.writer.first_with_id(site, id));
        let in_segments = self.segments.iter().filter_map(|segment| segment.find_event_id(site, id).unwrap());
        in_logs.chain(in_segments.map(|(_, sequence)| sequence)).min()
    }

    /// Appends a batch, synced, and lets readers see it.
    pub(super) fn append<'a>(&mut self, records: impl Iterator<Item = &'a [u8]> + Clone) -> Result<(), Trouble> {
        let offsets: Vec<_> = records.clone().map(|record| self.writer.push(record)).collect();
        let appended = self.writer.append(UnixMicros::EPOCH).and_then(|appended| self.writer.sync().map(|()| appended));
        let appended = appended.map_err(|error| if matches!(error, Error::Full { .. }) { Trouble::Passing } else { Trouble::Final })?;
        for ((n, offset), record) in (0..).zip(offsets).zip(records) {
            self.open.writer.push(appended.first_sequence.after(n), offset, &Record::decode(record).unwrap().head());
        }
        self.open.writer.publish(appended.end);
        Ok(())
    }

    /// Closes the log and begins another one.
    pub(super) fn rotate(&mut self, fs: &MemFs) -> Result<(), Trouble> {
        let mut rotate = || {
            self.writer.prove(UnixMicros::EPOCH, false)?;
            let sequence_end = self.writer.next_sequence();
            let end = ClosedEnd { end: self.writer.end(), sequence_end };
            self.opened.manifest.log_closed(self.writer.id(), Closed { end, is_damaged: false })?;
            self.writer = create(fs, &mut self.opened, sequence_end)?;
            Ok(())
        };
        rotate().map_err(|_: Error| Trouble::Final)?;
        self.closed.push(std::mem::replace(&mut self.open, Log::new(&self.writer)));
        Ok(())
    }

    /// Ends the log as a process does that is told to end.
    pub(super) fn drain(&mut self) {
        self.writer.prove(UnixMicros::EPOCH, true).unwrap();
    }

    fn segment_header(&mut self) -> SegmentHeader {
        let id = self.next_segment;
        self.next_segment = id.next();
        let epoch = self.opened.manifest.identity().epoch;
        SegmentHeader { id, salt: [id.value() as u8; 16], epoch, created: UnixMicros::EPOCH }
    }

    /// Builds a segment of a closed log that nothing was built of.
    pub(super) fn seal(&mut self, fs: &MemFs, number: usize, columns: ColumnRule) -> Result<(), Trouble> {
        let is_free = |log: &ClosedLog| !self.built.iter().any(|built| built.logs.contains(&log.id()));
        let free: Vec<ClosedLog> = self.closed.iter().map(Log::closed).filter(is_free).collect();
        let Some(log) = free.get(number % free.len().max(1)) else { return Ok(()) };
        let (dir, header) = (self.opened.directory.segments_path(), self.segment_header());
        let target = Target { fs, dir: &dir, header: &header, id_secret: [9; 16], columns, level: Level::Arrived };
        let sealed = query::seal(target, log, Some(log.id()), &|| false).map_err(judge_build)?;
        self.built.push_back(Exchange { logs: vec![log.id()], segments: Vec::new(), added: vec![sealed] });
        Ok(())
    }

    /// The live segments that nothing was built of.
    pub(super) fn free_segments(&self) -> Vec<Arc<Segment>> {
        let is_free = |segment: &&Arc<Segment>| !self.built.iter().any(|built| built.segments.contains(&segment.header().id));
        self.segments.iter().filter(is_free).cloned().collect()
    }

    /// Whether something is built and not live.
    pub(super) fn has_built(&self) -> bool {
        !self.built.is_empty()
    }

    /// Builds segments of others. Before that, what earlier ones have replaced is removed.
    ///
    /// # Panics
    ///
    /// If a row stays that is not to be kept.
    pub(super) fn merge(
        &mut self,
        fs: &MemFs,
        inputs: &[Arc<Segment>],
        (division, levels): (&Division, &[Level]),
        columns: ColumnRule,
        keep: &dyn Fn(SiteId) -> Keep,
    ) -> Result<(), Trouble> {
        self.remove_replaced(fs)?;
        let dir = self.opened.directory.segments_path();
        let headers: Vec<SegmentHeader> = (0..division.outputs()).map(|_| self.segment_header()).collect();
        let target = |(header, level)| Target { fs, dir: &dir, header, id_secret: [9; 16], columns, level };
        let levels = levels.iter().copied().chain(std::iter::repeat(Level::Arrived));
        let targets: Vec<Target<'_>> = headers.iter().zip(levels).map(target).collect();
        let outputs = query::merge(&targets, division, inputs, keep, &|| false).map_err(judge_build)?;
        let added: Vec<Sealed> = outputs.into_iter().flatten().collect();
        for Sealed { segment, .. } in &added {
            let mut rows = SegmentRows::new(segment).map_err(|error| judge(&error))?;
            while let Some((_, record)) = rows.next().map_err(|error| judge(&error))? {
                let is_kept = match keep(record.site) {
                    Keep::All => true,
                    Keep::Since(cutoff) => record.time >= cutoff,
                    Keep::Nothing => false,
                };
                assert!(is_kept, "a merge keeps nothing that is to go");
            }
        }
        self.built.push_back(Exchange { logs: Vec::new(), segments: inputs.iter().map(|input| input.header().id).collect(), added });
        Ok(())
    }

    /// Puts what was built in the place of what it was built of; the segments that were built first need not be the first.
    pub(super) fn exchange(&mut self, fs: &MemFs, number: usize) -> Result<(), Trouble> {
        let Some(exchange) = self.built.remove(number % self.built.len().max(1)) else { return Ok(()) };
        if let Err(error) = self.commit(fs, &exchange) {
            self.built.push_back(exchange);
            return Err(if matches!(error, Error::Full { .. }) { Trouble::Passing } else { Trouble::Final });
        }
        let Exchange { logs, segments, added } = exchange;
        let (logs_path, segments_path) = (self.opened.directory.logs_path(), self.opened.directory.segments_path());
        let files = logs.iter().map(|log| logs_path.join(log.file_name()));
        self.replaced.push_back(files.chain(segments.iter().map(|segment| segments_path.join(segment.file_name()))).collect());
        self.closed.retain(|log| !logs.contains(&log.index.log().id()));
        self.segments.retain(|segment| !segments.contains(&segment.header().id));
        self.segments.extend(added.into_iter().map(|sealed| sealed.segment));
        Ok(())
    }

    fn commit(&mut self, fs: &MemFs, Exchange { logs, segments, added }: &Exchange) -> Result<(), Error> {
        let live = |Sealed { finished, segment }: &Sealed| {
            finished.commit()?;
            let path = segment.path();
            let len_bytes = fs.open(path).and_then(|file| file.len()).map_err(Error::io("read", path))?;
            Ok(LiveSegment::new(segment.header(), segment.provenance(), segment.rows(), len_bytes))
        };
        let added = added.iter().map(live).collect::<Result<_, Error>>()?;
        self.opened.manifest.replace(&Replacement { logs: logs.clone(), segments: segments.clone(), added, lost: Vec::new() })
    }

    /// Removes the files that are not live any more. One that cannot be removed stays until the next start.
    pub(super) fn remove_replaced(&mut self, fs: &MemFs) -> Result<(), Trouble> {
        while let Some(files) = self.replaced.pop_front() {
            for path in &files {
                fs.remove(path).map_err(|error| judge(&Error::io("remove", path)(error)))?;
            }
            for dir in [self.opened.directory.logs_path(), self.opened.directory.segments_path()] {
                fs.sync_dir(&dir).map_err(|error| judge(&Error::io("sync", &dir)(error)))?;
            }
        }
        Ok(())
    }
}

/// Opens what the manifest names. A file that is gone was named as damage.
fn open_segments(fs: &MemFs, opened: &Opened, was_damaged: bool) -> Result<Vec<Arc<Segment>>, Error> {
    let mut segments = Vec::new();
    for live in opened.manifest.segments() {
        match Segment::open(fs, &opened.directory.segments_path().join(live.id().file_name())) {
            Err(Error::Io { source, .. }) if was_damaged && source.kind() == io::ErrorKind::NotFound => {}
            segment => segments.push(segment?),
        }
        assert!(segments.last().is_none_or(|segment| segment.header().id != live.id() || *segment.header() == live.header));
    }
    Ok(segments)
}

/// Reads and indexes what the manifest names. A file that is gone was named as damage.
fn read_logs(fs: &MemFs, opened: &Opened, was_damaged: bool) -> Result<Vec<Read>, Error> {
    let mut reads = Vec::new();
    for live in opened.manifest.logs().cloned() {
        let file = match LogFile::open(fs, &opened.directory.logs_path(), live.header.clone(), OPTIONS) {
            Err(Error::Io { source, .. }) if was_damaged && source.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        let (mut writer, index) = ActiveWriter::new(Arc::clone(file.reader()));
        let found = file.recover(live.closed.map(|closed| closed.end), &mut |row| {
            writer.push(row.sequence, row.offset, &row.record.head());
        })?;
        assert_eq!(found.damage, [], "a crash is not corruption");
        if live.closed.is_none() && !found.clean {
            file.repair(&found)?;
        }
        writer.publish(found.end);
        reads.push(Read { live, file, found, log: Log { writer, index } });
    }
    Ok(reads)
}

fn create(fs: &MemFs, opened: &mut Opened, base_sequence: Sequence) -> Result<LogWriter, Error> {
    let id = opened.manifest.next_log();
    let epoch = opened.manifest.identity().epoch;
    let header = LogHeader {
        id,
        salt: [id.value() as u8; 16],
        epoch,
        base_sequence,
        created: UnixMicros::EPOCH,
        durable_len: 0,
        answers_before_sync: false,
    };
    let writer = LogWriter::create(fs, &opened.directory.logs_path(), header, OPTIONS)?;
    opened.manifest.log_created(writer.header())?;
    Ok(writer)
}
