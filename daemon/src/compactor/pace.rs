//! Writing no faster than allowed, so that what compaction writes does not delay the syncs of events.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use format::fs::{File, FileSystem, Space};
use format::map::Map;

/// How long a writer rests between two looks at whether to stop.
const STEP: Duration = Duration::from_millis(50);

/// A file system on which the files that are created are written to slowly. Everything else is as fast as below.
#[derive(Debug)]
pub(super) struct Paced {
    below: Arc<dyn FileSystem>,
    pace: Arc<Pace>,
}

/// How fast, and since when.
#[derive(Debug)]
struct Pace {
    bytes_per_second: u64,
    /// When everything that was written would have been, at that speed.
    paid_at: Mutex<Instant>,
    /// Nobody is held up any more.
    is_over: AtomicBool,
    is_stopped: Arc<AtomicBool>,
}

impl Paced {
    /// `below`, slowed down until [`Paced::release`] or `is_stopped`.
    pub(super) fn new(below: Arc<dyn FileSystem>, bytes_per_second: u64, is_stopped: Arc<AtomicBool>) -> Paced {
        let pace = Pace { bytes_per_second, paid_at: Mutex::new(Instant::now()), is_over: AtomicBool::new(false), is_stopped };
        Paced { below, pace: Arc::new(pace) }
    }

    /// What is written from now on is written at once: it is the committer that writes trailers.
    pub(super) fn release(&self) {
        // Relaxed: the hand-over to the committer orders it.
        self.pace.is_over.store(true, Ordering::Relaxed);
    }
}

impl Pace {
    /// Rests for as long as `bytes` should have taken.
    fn wrote(&self, bytes: usize) {
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        let now = Instant::now();
        let cost = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / self.bytes_per_second.max(1));
        let until = {
            let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
            *paid_at = (*paid_at).max(now) + cost;
            *paid_at
        };
        while !self.is_stopped.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(STEP));
        }
    }
}

impl FileSystem for Paced {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.below.create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.below.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let below = self.below.create(path)?;
        Ok(Arc::new(PacedFile { below, pace: Arc::clone(&self.pace) }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.below.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.below.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.below.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.below.sync_dir(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.below.space(path)
    }
}

/// A file that was created on it.
#[derive(Debug)]
struct PacedFile {
    below: Arc<dyn File>,
    pace: Arc<Pace>,
}

impl File for PacedFile {
    fn len(&self) -> io::Result<u64> {
        self.below.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.below.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let written = self.below.write_at(buf, offset)?;
        self.pace.wrote(written);
        Ok(written)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.below.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.below.sync_data()
    }

    fn map(self: Arc<Self>, capacity: u64) -> io::Result<Map> {
        Arc::clone(&self.below).map(capacity)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use format::fs::double::MemFs;

    use super::*;

    #[test]
    fn so_many_bytes_a_second_are_written_until_it_is_released_or_stopped() {
        let is_stopped = Arc::<AtomicBool>::default();
        let fs = Paced::new(Arc::new(MemFs::new(1)), 1_000_000, Arc::clone(&is_stopped));
        let file = fs.create(Path::new("/file")).unwrap();
        let write = |count: u64| {
            let begun = Instant::now();
            (0..count).for_each(|at| assert_eq!(file.write_at(&[1; 10_000], at * 10_000).unwrap(), 10_000));
            begun.elapsed()
        };
        assert!(write(20) >= Duration::from_millis(200));
        fs.release();
        let released = write(2_000);
        assert!(released < Duration::from_secs(10), "20 s at that pace: {released:?}");
        let fs = Paced::new(Arc::new(MemFs::new(1)), 1, Arc::clone(&is_stopped));
        let file = fs.create(Path::new("/file")).unwrap();
        is_stopped.store(true, Ordering::Relaxed);
        file.write_at(&[1; 1_000_000], 0).unwrap();
    }
}
