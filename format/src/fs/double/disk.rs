//! What is live and what is durable.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

pub(super) use super::fault::Verdict;
use super::fault::{Dice, Faults, Op};
use crate::fs::Space;

/// The unit a medium writes whole or not, unless it tears even that.
const SECTOR_BYTES: usize = 512;

/// More than tests write.
const ENDLESS: u64 = 1 << 50;

/// Which file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId(usize);

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Folder,
    File(FileId),
}

type Names = BTreeMap<PathBuf, Entry>;

/// A change of names that was not synced.
#[derive(Clone, Debug)]
enum NameChange {
    Add { path: PathBuf, entry: Entry },
    Remove { path: PathBuf, entry: Entry },
    Rename { from: PathBuf, to: PathBuf, entry: Entry },
}

impl NameChange {
    fn entry(&self) -> Entry {
        match self {
            NameChange::Add { entry, .. } | NameChange::Remove { entry, .. } | NameChange::Rename { entry, .. } => *entry,
        }
    }

    fn touches(&self, folder: &Path) -> bool {
        match self {
            NameChange::Add { path, .. } | NameChange::Remove { path, .. } => path.parent() == Some(folder),
            NameChange::Rename { from, to, .. } => from.parent() == Some(folder) || to.parent() == Some(folder),
        }
    }

    fn apply(&self, names: &mut Names) {
        match self {
            NameChange::Add { path, entry } => {
                names.insert(path.clone(), *entry);
            }
            NameChange::Remove { path, entry } => {
                names.retain(|name, held| name != path || held != entry);
            }
            NameChange::Rename { from, to, entry } => {
                names.retain(|name, held| name != from || held != entry);
                names.insert(to.clone(), *entry);
            }
        }
    }
}

/// A change of a file that was not synced.
#[derive(Clone, Debug)]
enum ByteChange {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

impl ByteChange {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            ByteChange::Write { offset, bytes } => put(content, *offset, bytes),
            ByteChange::SetLen(len) => content.resize(*len, 0),
        }
    }

    /// Applies what `choose` keeps of it; see [`super::MemFs::crash`].
    fn apply_some(&self, content: &mut Vec<u8>, choose: &mut dyn FnMut(u64) -> u64) {
        let ByteChange::Write { offset, bytes } = self else {
            if choose(2) == 1 {
                self.apply(content);
            }
            return;
        };
        let mut start = 0;
        while start < bytes.len() {
            let sector_end = (offset + start) / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES;
            let end = bytes.len().min(sector_end - offset);
            let piece = &bytes[start..end];
            match choose(3) {
                0 => {}
                1 => put(content, offset + start, piece),
                _ => {
                    let cut = choose(piece.len() as u64 + 1);
                    put(content, offset + start, &piece[..usize::try_from(cut).expect("below a sector")]);
                }
            }
            start = end;
        }
    }
}

/// The bytes of one file.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub(super) live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<ByteChange>,
}

impl Content {
    fn change(&mut self, change: ByteChange) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let offset = usize::try_from(offset).expect("files in memory are small");
        self.change(ByteChange::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.change(ByteChange::SetLen(usize::try_from(len).expect("files in memory are small")));
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    fn sync_some(&mut self, choose: &mut dyn FnMut(u64) -> u64) {
        for change in self.pending.drain(..) {
            change.apply_some(&mut self.durable, choose);
        }
    }
}

/// All files and names.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    files: Vec<Content>,
    live: Names,
    durable: Names,
    pending: Vec<NameChange>,
    dice: Dice,
    /// How long all files together may be.
    capacity: u64,
    pub(super) faults: Faults,
}

fn error(kind: io::ErrorKind) -> io::Error {
    kind.into()
}

impl Disk {
    pub(super) fn new(dice: Dice) -> Disk {
        let root = Names::from([(PathBuf::from("/"), Entry::Folder)]);
        Disk {
            files: Vec::new(),
            live: root.clone(),
            durable: root,
            pending: Vec::new(),
            dice,
            capacity: ENDLESS,
            faults: Faults::default(),
        }
    }

    pub(super) fn resize(&mut self, bytes: u64) {
        self.capacity = bytes;
    }

    /// What files without a name take is given back at once.
    pub(super) fn space(&self) -> Space {
        let used: usize = self.live.values().map(|entry| self.len(*entry)).sum();
        Space { total: self.capacity, free: self.capacity.saturating_sub(used as u64) }
    }

    fn len(&self, entry: Entry) -> usize {
        match entry {
            Entry::Folder => 0,
            Entry::File(id) => self.file(id).live.len(),
        }
    }

    /// Whether a file may become so long.
    pub(super) fn has_room(&self, id: FileId, len: u64) -> bool {
        let growth = len.saturating_sub(self.file(id).live.len() as u64);
        growth == 0 || self.capacity == ENDLESS || growth <= self.space().free
    }

    pub(super) fn verdict(&mut self, op: Op) -> Verdict {
        self.faults.verdict(op)
    }

    pub(super) fn dice_below(&mut self, n: usize) -> usize {
        usize::try_from(self.dice.below(n as u64)).expect("below a length")
    }

    pub(super) fn file(&self, id: FileId) -> &Content {
        &self.files[id.0]
    }

    pub(super) fn file_mut(&mut self, id: FileId) -> &mut Content {
        &mut self.files[id.0]
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    fn require_folder(&self, path: Option<&Path>) -> io::Result<()> {
        match path.and_then(|path| self.live.get(path)) {
            Some(Entry::Folder) => Ok(()),
            Some(Entry::File(_)) => Err(error(io::ErrorKind::NotADirectory)),
            None => Err(error(io::ErrorKind::NotFound)),
        }
    }

    fn require_file(&self, path: &Path) -> io::Result<FileId> {
        match self.live.get(path) {
            Some(Entry::File(id)) => Ok(*id),
            Some(Entry::Folder) => Err(error(io::ErrorKind::IsADirectory)),
            None => Err(error(io::ErrorKind::NotFound)),
        }
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        match self.live.get(path) {
            Some(Entry::Folder) => return Ok(()),
            Some(Entry::File(_)) => return Err(error(io::ErrorKind::NotADirectory)),
            None => self.require_folder(path.parent())?,
        }
        self.change(NameChange::Add { path: path.to_owned(), entry: Entry::Folder });
        Ok(())
    }

    pub(super) fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.require_folder(Some(dir))?;
        let names = self.live.keys().filter(|path| path.parent() == Some(dir)).filter_map(|path| path.file_name()?.to_str());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<FileId> {
        self.require_folder(path.parent())?;
        if self.live.contains_key(path) {
            return Err(error(io::ErrorKind::AlreadyExists));
        }
        let id = FileId(self.files.len());
        self.files.push(Content::default());
        self.change(NameChange::Add { path: path.to_owned(), entry: Entry::File(id) });
        Ok(id)
    }

    pub(super) fn open(&self, path: &Path) -> io::Result<FileId> {
        self.require_file(path)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let id = self.require_file(from)?;
        self.require_folder(to.parent())?;
        if self.live.get(to) == Some(&Entry::Folder) {
            return Err(error(io::ErrorKind::IsADirectory));
        }
        self.change(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), entry: Entry::File(id) });
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let id = self.require_file(path)?;
        self.change(NameChange::Remove { path: path.to_owned(), entry: Entry::File(id) });
        Ok(())
    }

    /// Takes out the changes that a sync of `folder` covers: its own, and earlier ones of the same files, which a journal writes first.
    fn take_pending(&mut self, folder: &Path) -> Vec<NameChange> {
        let mut covered: Vec<bool> = self.pending.iter().map(|change| change.touches(folder)).collect();
        for at in (0..covered.len()).rev() {
            let entry = self.pending[at].entry();
            covered[at] |=
                entry != Entry::Folder && (at + 1..covered.len()).any(|later| covered[later] && self.pending[later].entry() == entry);
        }
        let mut covered = covered.into_iter();
        self.pending.extract_if(.., |_| covered.next().unwrap_or(false)).collect()
    }

    pub(super) fn sync_dir(&mut self, folder: &Path) -> io::Result<()> {
        self.require_folder(Some(folder))?;
        for change in self.take_pending(folder) {
            change.apply(&mut self.durable);
        }
        Ok(())
    }

    /// A sync of a folder that failed.
    pub(super) fn lose_names(&mut self, folder: &Path) {
        for change in self.take_pending(folder) {
            if self.dice.below(2) == 1 {
                change.apply(&mut self.durable);
            }
        }
    }

    /// A sync of a file that failed.
    pub(super) fn lose_bytes(&mut self, id: FileId) {
        let dice = &mut self.dice;
        self.files[id.0].sync_some(&mut |n| dice.below(n));
    }

    pub(super) fn crashed(&self, choose: &mut dyn FnMut(u64) -> u64) -> Disk {
        let mut names = self.durable.clone();
        for change in &self.pending {
            if choose(2) == 1 {
                change.apply(&mut names);
            }
        }
        // A name whose folder is not there is not there either; parents sort before what is in them.
        let mut disk = Disk::new(self.dice.clone());
        disk.capacity = self.capacity;
        for (path, entry) in names {
            if !path.parent().is_none_or(|parent| disk.live.contains_key(parent)) {
                continue;
            }
            let entry = match entry {
                Entry::Folder => Entry::Folder,
                Entry::File(id) => {
                    let mut content = self.files[id.0].clone();
                    content.sync_some(choose);
                    content.live.clone_from(&content.durable);
                    disk.files.push(content);
                    Entry::File(FileId(disk.files.len() - 1))
                }
            };
            disk.live.insert(path, entry);
        }
        disk.durable.clone_from(&disk.live);
        disk
    }

    pub(super) fn killed(&self) -> Disk {
        Disk { faults: Faults::default(), ..self.clone() }
    }

    pub(super) fn install(&mut self, path: &Path, bytes: &[u8]) {
        let content = Content { live: bytes.to_vec(), durable: bytes.to_vec(), pending: Vec::new() };
        let entry = Entry::File(FileId(self.files.len()));
        self.files.push(content);
        for folder in path.ancestors().skip(1) {
            self.live.insert(folder.to_owned(), Entry::Folder);
            self.durable.insert(folder.to_owned(), Entry::Folder);
        }
        self.live.insert(path.to_owned(), entry);
        self.durable.insert(path.to_owned(), entry);
    }

    pub(super) fn live_bytes(&self, path: &Path) -> Option<Vec<u8>> {
        self.require_file(path).ok().map(|id| self.file(id).live.clone())
    }

    pub(super) fn durable_bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let present = path.ancestors().skip(1).all(|folder| self.durable.contains_key(folder));
        match self.durable.get(path).filter(|_| present)? {
            Entry::File(id) => Some(self.file(*id).durable.clone()),
            Entry::Folder => None,
        }
    }

    pub(super) fn live_files(&self) -> Vec<PathBuf> {
        self.live.iter().filter(|(_, entry)| **entry != Entry::Folder).map(|(path, _)| path.clone()).collect()
    }
}
