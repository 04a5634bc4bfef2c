//! A file system in memory that forgets what was not synced, and fails where it is told to. For tests only.
//!
//! It keeps what programs see (*live*) and what the medium holds (*durable*) apart, for the bytes of each file and for each name:
//!
//! * a write or a new length is live at once, and durable after the next sync of that file that returns ok;
//! * a created, renamed or removed name is live at once, and durable after the next sync of its folder that returns ok;
//! * a sync that fails leaves all of it live, but *clean*: some of it may be durable, and no later sync makes the rest so, unless it is
//!   written again. This is what Linux does;
//! * [`MemFs::crash`] is a power cut: of what was not synced any part may be on the medium, in any order, torn inside a sector;
//! * [`MemFs::kill`] is the end of the process: everything live stays.
//!
//! Both give another file system and leave the old one as it was, so one run can be cut in many ways. All of it is deterministic: what
//! is left to chance comes from the seed or from the caller's choices.

mod disk;
mod fault;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use disk::{Disk, FileId, Verdict};
pub use fault::{Dice, Fault, FaultKind, Op};

use super::{File, FileSystem, Space};
use crate::map::Map;

/// The file system; clones share one disk.
#[derive(Clone, Debug)]
pub struct MemFs {
    disk: Arc<Mutex<Disk>>,
}

impl MemFs {
    /// An empty disk with the folder `/`; `seed` decides what a failed sync or write leaves behind.
    pub fn new(seed: u64) -> MemFs {
        MemFs::holding(Disk::new(Dice::new(seed)))
    }

    fn holding(disk: Disk) -> MemFs {
        MemFs { disk: Arc::new(Mutex::new(disk)) }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().expect("no test panics while it holds the disk")
    }

    /// What may be there after a power cut at this moment, without any fault set.
    ///
    /// `choose(n)` answers with a number below `n` and decides, for each new name, new length and piece of at most one sector that was not
    /// synced: 0 drops it, 1 keeps it, and 2, for pieces, tears it; `choose(len + 1)` then says after how many bytes. So `|_| 0` drops
    /// everything that was not synced, and `|_| 1` keeps it.
    pub fn crash(&self, choose: &mut dyn FnMut(u64) -> u64) -> MemFs {
        MemFs::holding(self.disk().crashed(choose))
    }

    /// What is there after the process ended: all that is live, without any fault set. What was open in it has no effect any more.
    pub fn kill(&self) -> MemFs {
        MemFs::holding(self.disk().killed())
    }

    /// From now on, lets calls fail as `fault` says, counted from now on, until [`MemFs::heal`].
    pub fn fail(&self, fault: Fault) {
        self.disk().faults.set(fault);
    }

    /// Takes back [`MemFs::fail`].
    pub fn heal(&self) {
        self.disk().faults.clear();
    }

    /// How long all files together may be, in bytes, from now on: a write that makes them longer answers ENOSPC. Endless before.
    pub fn resize(&self, bytes: u64) {
        self.disk().resize(bytes);
    }

    /// How many calls of a kind, or of any kind, were made so far, failed ones among them.
    pub fn calls(&self, op: Option<Op>) -> u64 {
        self.disk().faults.calls(op)
    }

    /// Puts a file there, durable, with the folders above it: how a test lays out a directory or damages it.
    pub fn install(&self, path: &Path, bytes: &[u8]) {
        self.disk().install(path, bytes);
    }

    /// The live bytes of a file, if there is such a file.
    pub fn live(&self, path: &Path) -> Option<Vec<u8>> {
        self.disk().live_bytes(path)
    }

    /// The bytes that would be in this file if nothing unsynced reached the medium; none if its name would be gone.
    pub fn durable(&self, path: &Path) -> Option<Vec<u8>> {
        self.disk().durable_bytes(path)
    }

    /// The paths of all live files, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        self.disk().live_files()
    }

    fn open_file(&self, id: FileId) -> Arc<dyn File> {
        Arc::new(MemFile { fs: self.clone(), id })
    }
}

/// Runs `effect` unless a fault says otherwise; a call that the power cut interrupts may have had its effect.
fn change<T>(disk: &mut Disk, op: Op, effect: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
    match disk.verdict(op) {
        Verdict::Go | Verdict::Short => effect(disk),
        Verdict::Fail(error) => Err(error),
        Verdict::Cut { first } => {
            if first {
                effect(disk)?;
            }
            Err(fault::io_error())
        }
    }
}

impl FileSystem for MemFs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        change(&mut self.disk(), Op::CreateDir, |disk| disk.create_dir(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        change(&mut self.disk(), Op::List, |disk| disk.list(dir))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let id = change(&mut self.disk(), Op::Create, |disk| disk.create(path))?;
        Ok(self.open_file(id))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let id = change(&mut self.disk(), Op::Open, |disk| disk.open(path))?;
        Ok(self.open_file(id))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        change(&mut self.disk(), Op::Rename, |disk| disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        change(&mut self.disk(), Op::Remove, |disk| disk.remove(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        match disk.verdict(Op::SyncDir) {
            Verdict::Go | Verdict::Short => disk.sync_dir(path),
            Verdict::Fail(error) => {
                disk.lose_names(path);
                Err(error)
            }
            Verdict::Cut { .. } => Err(fault::io_error()),
        }
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        Ok(self.disk().space())
    }
}

#[derive(Debug)]
struct MemFile {
    fs: MemFs,
    id: FileId,
}

impl File for MemFile {
    fn len(&self) -> io::Result<u64> {
        change(&mut self.fs.disk(), Op::Len, |disk| Ok(disk.file(self.id).live.len() as u64))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.fs.disk();
        let wanted = match disk.verdict(Op::Read) {
            Verdict::Go => buf.len(),
            Verdict::Short => buf.len().div_ceil(2),
            Verdict::Fail(error) => return Err(error),
            Verdict::Cut { .. } => return Err(fault::io_error()),
        };
        let live = &disk.file(self.id).live;
        let start = usize::try_from(offset).map_or(live.len(), |offset| offset.min(live.len()));
        let read = wanted.min(live.len() - start);
        buf[..read].copy_from_slice(&live[start..start + read]);
        Ok(read)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.fs.disk();
        let (written, result) = match disk.verdict(Op::Write) {
            Verdict::Go => (buf.len(), Ok(buf.len())),
            Verdict::Short => (buf.len().div_ceil(2), Ok(buf.len().div_ceil(2))),
            // A write that fails may have copied some of its bytes before.
            Verdict::Fail(error) => (disk.dice_below(buf.len()), Err(error)),
            Verdict::Cut { first } => (if first { buf.len() } else { 0 }, Err(fault::io_error())),
        };
        if !disk.has_room(self.id, offset + written as u64) {
            return Err(fault::full_error());
        }
        disk.file_mut(self.id).write(&buf[..written], offset);
        result
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        change(&mut self.fs.disk(), Op::SetLen, |disk| {
            disk.file_mut(self.id).set_len(len);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.fs.disk();
        match disk.verdict(Op::SyncData) {
            Verdict::Go | Verdict::Short => {
                disk.file_mut(self.id).sync();
                Ok(())
            }
            Verdict::Fail(error) => {
                disk.lose_bytes(self.id);
                Err(error)
            }
            Verdict::Cut { .. } => Err(fault::io_error()),
        }
    }

    fn map(self: Arc<Self>, _capacity: u64) -> io::Result<Map> {
        change(&mut self.fs.disk(), Op::Map, |_| Ok(()))?;
        Ok(Map::copied(self))
    }
}

#[cfg(test)]
mod tests;
