//! What a start finds: the segments, indexes of all logs, one log to go on with, and the names of what is lost.
//!
//! Invariants:
//!
//! * nothing is served before every log is read, and before what an unclean end left in the open log is durable again;
//! * a log of which something is lost is closed: its whole batches are served, nothing is appended to it, and it is sealed at once;
//! * sequences go on above every one that any log or segment, or the manifest, has ever named;
//! * of a segment only the head, the end and the footer are read, and of its footer who has which names;
//! * a log of an earlier epoch, or one that promised otherwise than this run does, is closed.
//!
//! With `--sync os` a power cut may take whole batches that were answered for, and leaves no trace of them: neither of the events nor of
//! how many sequences they had. So whether it happened is not looked for; whether it can have happened is known beforehand. The header of
//! each log, which is durable before the first record, says whether its records are answered for before their sync. If the newest log
//! says so and does not end in a `clean` frame, a new epoch begins; and whoever goes on with such a log first syncs a frame that is not
//! clean, or a cut could leave the clean one as the last. The new epoch is in the manifest before the next log is created, and that log
//! bears it. An epoch that no log bears yet was begun by a start that came no further, and is not begun again.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use format::directory::DataDirectory;
use format::log::LogFile;
use format::log::recovery::{ClosedEnd, Recovered as Found};
use format::manifest::{Closed, LiveLog, Lost, Manifest};
use format::{Damage, Error, Kind, LogHeader, LogOptions, LogWriter, Segment, Sequence, UnixMicros};
use query::{ActiveIndex, ActiveWriter};

use crate::appender::{Names, Recovered, Unsealed};
use crate::config::SyncMode;
use crate::instant;
use crate::rotation::Rotation;
use crate::store::Files;

/// A start that takes longer says what it is doing.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the daemon goes on with.
pub(crate) struct Start {
    /// For the committer.
    pub(crate) recovered: Recovered,
    /// For the committer: where the next log comes from.
    pub(crate) rotation: Rotation,
    /// For the store.
    pub(crate) files: Files,
    /// What is lost.
    pub(crate) damage: Vec<Damage>,
    /// When something was last committed, or a log begun.
    pub(crate) last_commit: UnixMicros,
}

/// A log that was read.
struct Read {
    live: LiveLog,
    file: LogFile,
    found: Found,
    writer: ActiveWriter,
    index: Arc<ActiveIndex>,
    names: Names,
}

/// Reads all live logs and makes them ready.
///
/// # Errors
///
/// What the file system says. Damage is no error.
pub(crate) fn recover(directory: DataDirectory, manifest: Manifest, options: LogOptions, sync: SyncMode) -> Result<Start, Error> {
    let begun = Instant::now();
    let logs: Vec<LiveLog> = manifest.logs().cloned().collect();
    let mut names = Names::default();
    let (segments, mut damage) = open_segments(&directory, &manifest, &mut names)?;
    let mut reads = read_all(&directory, &logs, options, &names)?;
    for read in &mut reads {
        names.merge(std::mem::take(&mut read.names));
    }
    let begun_logs = logs.iter().map(|log| log.header.created);
    let made_segments = manifest.segments().map(|segment| segment.header.created);
    let commits = reads.iter().filter_map(|read| read.found.last_written).chain(begun_logs).chain(made_segments).max();
    let rows: u64 = reads.iter().map(|read| u64::from(read.found.rows)).sum();
    if begun.elapsed() > PATIENCE {
        let seconds = begun.elapsed().as_secs_f64();
        tracing::info!(events = rows, logs = reads.len(), seconds, "read the logs");
    }
    let sealed = manifest.segments().map(|segment| segment.sequences.1);
    let named = logs.iter().map(|log| match log.closed {
        Some(closed) => closed.end.sequence_end,
        // Its file is gone: how many it had given out is unknown, and no log holds more rows than this.
        None if reads.iter().all(|read| read.live.header.id != log.header.id) => log.header.base_sequence.after(u32::MAX.into()),
        None => log.header.base_sequence,
    });
    let found = reads.iter().map(|read| read.found.next_sequence);
    let next = sealed.chain(named).chain(found).max().unwrap_or(Sequence::FIRST);
    damage.extend(reads.iter().flat_map(|read| read.found.damage.iter().cloned()));

    let mut rotation = Rotation::new(directory, manifest, options, sync);
    let newest = logs.last().map(|log| &log.header);
    let is_clean = |log: &LogHeader| reads.last().is_some_and(|read| read.live.header.id == log.id && read.found.drained);
    if let Some(log) = newest.filter(|log| log.answers_before_sync && log.epoch == rotation.epoch() && !is_clean(log)) {
        rotation.begin_epoch()?;
        tracing::warn!(
            log = %log.id,
            next_sequence = next.value(),
            "the last run left syncs to the system and did not end cleanly: of what it answered with Hitkeep-Durable: no, events may be \
             lost and their sequences given out again; a new epoch begins"
        );
    }
    let goes_on = reads.last().is_some_and(|read| {
        let is_open = read.live.closed.is_none() && read.found.damage.is_empty();
        is_open && read.found.next_sequence == next && rotation.suits(&read.live.header)
    });
    let last = if goes_on { reads.pop() } else { None };
    for read in reads.iter().filter(|read| read.live.closed.is_none()) {
        let end = ClosedEnd { end: read.found.end, sequence_end: read.found.next_sequence };
        rotation.close(read.live.header.id, Closed { end, is_damaged: !read.found.damage.is_empty() })?;
    }
    let unsealed = |read: Read| {
        let lost = Lost::of(read.live.header.id, &read.found.damage);
        Unsealed { writer: read.writer, index: read.index, lost, is_kept: false }
    };
    let earlier: Vec<Unsealed> = reads.into_iter().map(unsealed).collect();
    let (log, index, readers) = match last {
        Some(read) => (rotation.resume(read.file, &read.found)?, read.writer, read.index),
        None => {
            let log: LogWriter = rotation.create(next)?;
            let (writer, readers) = ActiveWriter::new(Arc::clone(log.reader()));
            (log, writer, readers)
        }
    };
    let logs = earlier.iter().map(|log| &log.index).chain([&readers]).cloned().collect();
    let files = Files { segments: segments.clone(), logs, ..Files::default() };
    Ok(Start {
        recovered: Recovered { log, index, readers, earlier, segments, names },
        rotation,
        files,
        damage,
        last_commit: commits.unwrap_or_else(instant::now),
    })
}

/// Opens the segments that can be read, and names those that cannot.
fn open_segments(directory: &DataDirectory, manifest: &Manifest, names: &mut Names) -> Result<(Vec<Arc<Segment>>, Vec<Damage>), Error> {
    let (mut segments, mut damage) = (Vec::new(), Vec::new());
    for live in manifest.segments() {
        let path = directory.segments_path().join(live.id().file_name());
        let opened = Segment::open(&**directory.fs(), &path).and_then(|segment| {
            let runs = segment.runs()?;
            Ok((segment, runs))
        });
        match opened {
            Ok((segment, _)) if segment.header() != &live.header => {
                tracing::error!(file = %path.display(), "a segment is another one than the manifest names");
                damage.push(live.damage());
            }
            Ok((segment, runs)) => {
                runs.iter().filter(|run| run.kind == Kind::Event).for_each(|run| names.note_name(run.site, &run.name));
                segments.push(segment);
            }
            // Its directory has named it already.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) if matches!(error, Error::Corrupt { .. }) || error.is_no_file() => {
                tracing::error!(error = &error as &dyn std::error::Error, "a segment is lost");
                damage.push(live.damage());
            }
            Err(error) => return Err(error),
        }
    }
    Ok((segments, damage))
}

/// Reads the logs on as many threads as there are processors, each log on one of them.
fn read_all(directory: &DataDirectory, logs: &[LiveLog], options: LogOptions, names: &Names) -> Result<Vec<Read>, Error> {
    let waiting: Mutex<VecDeque<(usize, &LiveLog)>> = Mutex::new(logs.iter().enumerate().collect());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || -> Result<Vec<(usize, Read)>, Error> {
        let mut reads = Vec::new();
        while let Some((number, live)) = next() {
            if let Some(read) = read(directory, live, options, Names::like(names))? {
                reads.push((number, read));
            }
        }
        Ok(reads)
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(logs.len());
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("reading a log does not panic, whatever its bytes")).collect()
    });
    let mut reads = Vec::with_capacity(logs.len());
    for result in results {
        reads.extend(result?);
    }
    reads.sort_by_key(|(number, _)| *number);
    Ok(reads.into_iter().map(|(_, read)| read).collect())
}

/// Reads one log and lets readers see it. `None` if its file is gone, which the directory has named already.
fn read(directory: &DataDirectory, live: &LiveLog, options: LogOptions, mut names: Names) -> Result<Option<Read>, Error> {
    let begun = Instant::now();
    let file = match LogFile::open(&**directory.fs(), &directory.logs_path(), live.header.clone(), options) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let (mut writer, index) = ActiveWriter::new(Arc::clone(file.reader()));
    let found = file.recover(live.closed.map(|closed| closed.end), &mut |row| {
        let record = row.record.head();
        names.note(&record);
        writer.push(row.sequence, row.offset, &record);
    })?;
    if live.closed.is_none() && !found.clean {
        // After an unclean end the page cache may show what is not on the disk.
        file.repair(&found)?;
    }
    writer.publish(found.end);
    report(live, &found, begun.elapsed());
    Ok(Some(Read { live: live.clone(), file, found, writer, index, names }))
}

fn report(live: &LiveLog, found: &Found, took: Duration) {
    let log = live.header.id;
    if found.torn_bytes > 0 && live.closed.is_none() {
        tracing::warn!(%log, bytes = found.torn_bytes, "left behind a torn tail, of which nothing was acknowledged");
    }
    for lost in &found.damage {
        let (first, end) = lost.sequences;
        tracing::error!(
            file = lost.file,
            from = lost.from.value(),
            end = lost.end.value(),
            first_sequence = first.value(),
            sequence_end = end.value(),
            "part of a log is lost"
        );
    }
    if took > PATIENCE {
        tracing::info!(%log, events = found.rows, seconds = took.as_secs_f64(), "read a log");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use format::fs::FileSystem;
    use format::fs::double::{Dice, Fault, FaultKind, MemFs};
    use format::{Kind, LogId, Record, SiteId, Source, UnixMicros};

    use super::*;

    const DIR: &str = "/data";
    const OPTIONS: LogOptions = LogOptions { capacity_bytes: 1 << 20, step_bytes: 4096 };

    fn start(fs: &MemFs, sync: SyncMode) -> (Start, Vec<Damage>) {
        try_start(fs, sync).unwrap()
    }

    fn try_start(fs: &MemFs, sync: SyncMode) -> Result<(Start, Vec<Damage>), Error> {
        let opened = DataDirectory::open_on(Arc::new(fs.clone()), Path::new(DIR))?;
        Ok((recover(opened.directory, opened.manifest, OPTIONS, sync)?, opened.damage))
    }

    fn new_directory() -> MemFs {
        let fs = MemFs::new(1);
        fs.create_dir(Path::new(DIR)).unwrap();
        fs
    }

    /// Appends one event, and syncs it if `sync` has answers wait for that.
    fn store(start: &mut Start, sync: SyncMode) {
        let log = &mut start.recovered.log;
        let mut payload = Vec::new();
        Record::new(Kind::Event, Source::Server, SiteId::new([1; 16]), UnixMicros::EPOCH, UnixMicros::EPOCH).encode(&mut payload).unwrap();
        log.push(&payload);
        log.append(UnixMicros::EPOCH).unwrap();
        if sync != SyncMode::Os {
            log.sync().unwrap();
        }
    }

    /// Somebody removed the newest log. What it had given out is unknown; a client holds those sequences.
    #[test]
    fn sequences_of_a_log_whose_file_is_gone_are_not_given_out_again() {
        let fs = new_directory();
        let (mut first, _) = start(&fs, SyncMode::Always);
        store(&mut first, SyncMode::Always);
        let given_out = first.recovered.log.next_sequence();
        drop(first);
        fs.remove(&Path::new(DIR).join("logs").join(LogId::FIRST.file_name())).unwrap();
        let (second, damage) = start(&fs, SyncMode::Always);
        assert!(second.recovered.log.next_sequence() >= given_out);
        assert_eq!(damage.len(), 1, "the log that is gone is named");
    }

    #[test]
    fn an_unclean_end_of_a_run_that_left_syncs_to_the_system_begins_a_new_epoch_in_a_new_log() {
        use SyncMode::{Always, Interval, Os};
        let interval = Interval(Duration::from_millis(50));
        for (before, is_clean, after, is_new_epoch, is_new_log) in [
            (Always, false, Always, false, false),
            (interval, false, Always, false, false),
            (Always, false, Os, false, true),
            (Os, true, Os, false, false),
            (Os, true, Always, false, true),
            (Os, false, Os, true, true),
            (Os, false, Always, true, true),
            (Os, false, interval, true, true),
        ] {
            // A power cut takes what was not synced, all of it: nothing that is left says that there was anything.
            for is_power_cut in [false, true] {
                let context = format!("{before:?}, clean: {is_clean}, {after:?}, power cut: {is_power_cut}");
                let fs = new_directory();
                let (mut first, _) = start(&fs, before);
                store(&mut first, before);
                if is_clean {
                    first.recovered.log.prove(UnixMicros::EPOCH, true).unwrap();
                }
                let (epoch, secret, log) = (first.rotation.epoch(), first.rotation.secret(), first.recovered.log.id());
                drop(first);
                let fs = if is_power_cut { fs.crash(&mut |_| 0) } else { fs.kill() };
                let (second, damage) = start(&fs, after);
                assert!(damage.is_empty() && second.damage.is_empty(), "{context}");
                let header = second.recovered.log.header();
                assert_eq!(header.epoch, second.rotation.epoch(), "{context}: a log bears the epoch of its sequences");
                assert_eq!(header.answers_before_sync, after == Os, "{context}");
                assert_eq!((header.epoch != epoch, header.id != log), (is_new_epoch, is_new_log), "{context}");
                assert_eq!(second.rotation.secret(), secret, "{context}: hashes stay what they are");
                let rows: u32 = second.files.logs.iter().map(|index| index.rows()).sum();
                assert_eq!(rows, u32::from(before != Os || is_clean || !is_power_cut), "{context}: what is left is served");
            }
        }
    }

    /// A clean end stays the last thing on the disk if a power cut takes all that the next run appended.
    #[test]
    fn a_clean_end_of_an_earlier_run_does_not_hide_what_a_later_one_lost() {
        let fs = new_directory();
        let (mut first, _) = start(&fs, SyncMode::Os);
        store(&mut first, SyncMode::Os);
        first.recovered.log.prove(UnixMicros::EPOCH, true).unwrap();
        let (epoch, log) = (first.rotation.epoch(), first.recovered.log.id());
        drop(first);
        let (mut second, _) = start(&fs, SyncMode::Os);
        assert_eq!((second.rotation.epoch(), second.recovered.log.id()), (epoch, log), "it is gone on with");
        store(&mut second, SyncMode::Os);
        drop(second);
        let (third, _) = start(&fs.crash(&mut |_| 0), SyncMode::Os);
        assert_ne!((third.rotation.epoch(), third.recovered.log.id()), (epoch, log));
        assert_eq!(third.files.logs[0].rows(), 1, "the first event was synced by the drain");
    }

    /// The thread that grows a log may be in the midst of a step when the daemon drains.
    #[test]
    fn a_log_that_grew_behind_its_clean_end_was_drained() {
        let fs = new_directory();
        let (mut first, _) = start(&fs, SyncMode::Os);
        store(&mut first, SyncMode::Os);
        first.recovered.log.prove(UnixMicros::EPOCH, true).unwrap();
        let epoch = first.rotation.epoch();
        drop(first);
        let fs = fs.kill();
        let path = Path::new(DIR).join("logs").join(LogId::FIRST.file_name());
        let mut bytes = fs.live(&path).unwrap();
        bytes.resize(bytes.len() + 4096, 0);
        fs.install(&path, &bytes);
        assert_eq!(start(&fs, SyncMode::Os).0.rotation.epoch(), epoch);
    }

    #[test]
    fn a_start_that_begins_an_epoch_can_be_cut_at_any_call() {
        let fs = new_directory();
        let (mut first, _) = start(&fs, SyncMode::Os);
        store(&mut first, SyncMode::Os);
        let (epoch, secret) = (first.rotation.epoch(), first.rotation.secret());
        drop(first);
        let unclean = fs.kill();
        let undisturbed = unclean.kill();
        drop(start(&undisturbed, SyncMode::Always));
        // The thread that grows the log makes calls of its own, so this is about their number.
        let calls = undisturbed.calls(None) - unclean.calls(None);
        let mut epochs_begun = 0;
        for nth in 0..calls {
            let fs = unclean.kill();
            fs.fail(Fault { op: None, nth, forever: false, kind: FaultKind::PowerCut });
            drop(try_start(&fs, SyncMode::Always));
            let mut dice = Dice::new(nth);
            for state in [fs.crash(&mut |_| 0), fs.crash(&mut |_| 1), fs.crash(&mut |n| dice.below(n))] {
                let opened = DataDirectory::open_on(Arc::new(state.clone()), Path::new(DIR)).unwrap();
                let begun = opened.manifest.identity().epoch;
                drop(opened);
                let (again, _) = start(&state, SyncMode::Always);
                let header = again.recovered.log.header();
                assert_eq!((header.epoch, again.rotation.secret()), (again.rotation.epoch(), secret), "call {nth}");
                assert_ne!(header.epoch, epoch, "call {nth}");
                assert!(begun == epoch || begun == header.epoch, "call {nth}: one that was begun is not begun again");
                epochs_begun += u32::from(begun != epoch);
            }
        }
        assert!(epochs_begun > 0, "some cuts come after the epoch was begun");
    }
}
