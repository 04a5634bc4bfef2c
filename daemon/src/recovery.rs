//! What a start finds in the logs: indexes of all of them, one to go on with, and the names of what is lost.
//!
//! Invariants:
//!
//! * nothing is served before every log is read, and before what an unclean end left in the open log is durable again;
//! * a log of which something is lost is closed: its whole batches are served, and nothing is appended to it;
//! * sequences go on above every one that any log, or the manifest, has ever named.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use format::directory::DataDirectory;
use format::log::LogFile;
use format::log::recovery::{ClosedEnd, Recovered as Found};
use format::manifest::{Closed, LiveLog, Manifest};
use format::{Damage, Error, LogOptions, LogWriter, Sequence};
use query::{ActiveIndex, ActiveWriter};

use crate::appender::{Names, Recovered};
use crate::rotation::Rotation;

/// A start that takes longer says what it is doing.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the daemon goes on with.
pub(crate) struct Start {
    /// For the committer.
    pub(crate) recovered: Recovered,
    /// For the committer: where the next log comes from.
    pub(crate) rotation: Rotation,
    /// For the store, oldest first.
    pub(crate) indexes: Vec<Arc<ActiveIndex>>,
    /// What is lost.
    pub(crate) damage: Vec<Damage>,
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
pub(crate) fn recover(directory: DataDirectory, manifest: Manifest, options: LogOptions) -> Result<Start, Error> {
    let begun = Instant::now();
    let logs: Vec<LiveLog> = manifest.logs().cloned().collect();
    let mut names = Names::default();
    let mut reads = read_all(&directory, &logs, options, &names)?;
    for read in &mut reads {
        names.merge(std::mem::take(&mut read.names));
    }
    let rows: u64 = reads.iter().map(|read| u64::from(read.found.rows)).sum();
    if begun.elapsed() > PATIENCE {
        let seconds = begun.elapsed().as_secs_f64();
        tracing::info!(events = rows, logs = reads.len(), seconds, "read the logs");
    }
    let named = logs.iter().map(|log| match log.closed {
        Some(closed) => closed.end.sequence_end,
        // Its file is gone: how many it had given out is unknown, and no log holds more rows than this.
        None if reads.iter().all(|read| read.live.header.id != log.header.id) => log.header.base_sequence.after(u32::MAX.into()),
        None => log.header.base_sequence,
    });
    let found = reads.iter().map(|read| read.found.next_sequence);
    let next = named.chain(found).max().unwrap_or(Sequence::FIRST);
    let damage: Vec<Damage> = reads.iter().flat_map(|read| read.found.damage.iter().cloned()).collect();

    let mut rotation = Rotation::new(directory, manifest, options);
    let goes_on =
        reads.last().is_some_and(|read| read.live.closed.is_none() && read.found.damage.is_empty() && read.found.next_sequence == next);
    let last = if goes_on { reads.pop() } else { None };
    let mut indexes: Vec<Arc<ActiveIndex>> = reads.iter().map(|read| Arc::clone(&read.index)).collect();
    for read in reads.iter().filter(|read| read.live.closed.is_none()) {
        let end = ClosedEnd { end: read.found.end, sequence_end: read.found.next_sequence };
        rotation.close(read.live.header.id, Closed { end, is_damaged: !read.found.damage.is_empty() })?;
    }
    let earlier = reads.into_iter().map(|read| read.writer).collect();
    let (log, index, readers) = match last {
        Some(read) => (rotation.resume(read.file, &read.found)?, read.writer, read.index),
        None => {
            let log: LogWriter = rotation.create(next)?;
            let (writer, readers) = ActiveWriter::new(Arc::clone(log.reader()));
            (log, writer, readers)
        }
    };
    indexes.push(readers);
    Ok(Start { recovered: Recovered { log, index, earlier, names }, rotation, indexes, damage })
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
    use format::fs::double::MemFs;
    use format::{Kind, LogId, Record, SiteId, Source, UnixMicros};

    use super::*;

    const DIR: &str = "/data";
    const OPTIONS: LogOptions = LogOptions { capacity_bytes: 1 << 20, step_bytes: 4096 };

    fn start(fs: &MemFs) -> (Start, Vec<Damage>) {
        let opened = DataDirectory::open_on(Arc::new(fs.clone()), Path::new(DIR)).unwrap();
        (recover(opened.directory, opened.manifest, OPTIONS).unwrap(), opened.damage)
    }

    /// Somebody removed the newest log. What it had given out is unknown; a client holds those sequences.
    #[test]
    fn sequences_of_a_log_whose_file_is_gone_are_not_given_out_again() {
        let fs = MemFs::new(1);
        fs.create_dir(Path::new(DIR)).unwrap();
        let (mut first, _) = start(&fs);
        let log = &mut first.recovered.log;
        let mut payload = Vec::new();
        Record::new(Kind::Event, Source::Server, SiteId::new([1; 16]), UnixMicros::EPOCH, UnixMicros::EPOCH).encode(&mut payload).unwrap();
        log.push(&payload);
        log.append(UnixMicros::EPOCH).unwrap();
        log.sync().unwrap();
        let given_out = log.next_sequence();
        drop(first);
        fs.remove(&Path::new(DIR).join("logs").join(LogId::FIRST.file_name())).unwrap();
        let (second, damage) = start(&fs);
        assert!(second.recovered.log.next_sequence() >= given_out);
        assert_eq!(damage.len(), 1, "the log that is gone is named");
    }
}
