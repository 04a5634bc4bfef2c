//! The files in `logs/` and `lost+found/`: which are logs, which may go, and where the others are kept.

use std::io;
use std::path::{Path, PathBuf};

use crate::checksum;
use crate::error::Error;
use crate::fs::{FileSystem, read_exact_at, write_all_at};
use crate::log::{HEADER_LEN_BYTES, LogHeader};
use crate::manifest::contents::Contents;
use crate::paired::FileKind;
use crate::units::LogId;

use super::LOST_AND_FOUND;

/// Identities from here on were never given out; a file may bear any name.
const ID_END: LogId = LogId::new(1 << 62);

/// Bytes that are looked at in one go.
const PIECE_BYTES: usize = 64 * 1024;

/// What stands in the folders of a data directory.
pub(super) struct Strays<'a> {
    fs: &'a dyn FileSystem,
    logs_path: &'a Path,
    lost_path: PathBuf,
    parent: &'a Path,
    /// The names in `logs/`.
    names: Vec<String>,
    /// The names in `lost+found/`.
    lost: Vec<String>,
}

impl<'a> Strays<'a> {
    /// Lists both folders. Changes nothing.
    pub(super) fn find(fs: &'a dyn FileSystem, path: &'a Path, logs_path: &'a Path) -> Result<Strays<'a>, Error> {
        let names = fs.list(logs_path).map_err(Error::io("list", logs_path))?;
        let lost_path = path.join(LOST_AND_FOUND);
        let lost = list_lost(fs, &lost_path)?;
        Ok(Strays { fs, logs_path, lost_path, parent: path, names, lost })
    }

    pub(super) fn has(&self, id: LogId) -> bool {
        self.names.contains(&id.file_name())
    }

    /// Whether there is any file that may be a log.
    pub(super) fn has_logs(&self) -> bool {
        self.names.iter().any(|name| log_id(name).is_some())
    }

    /// The lowest identity above every name in both folders.
    pub(super) fn next_log(&self) -> LogId {
        // In `lost+found/` a name may have something behind it that keeps it apart.
        let lost = self.lost.iter().filter_map(|name| name.get(..LogId::FIRST.file_name().len()));
        let last = self.names.iter().map(String::as_str).chain(lost).filter_map(log_id).max();
        last.map_or(LogId::FIRST, LogId::next)
    }

    /// The headers of all logs whose file says itself who it is.
    pub(super) fn readable_logs(&self) -> Result<Vec<LogHeader>, Error> {
        let mut headers = Vec::new();
        for id in self.names.iter().filter_map(|name| log_id(name)) {
            let path = self.logs_path.join(id.file_name());
            let file = self.fs.open(&path).map_err(Error::io("open", &path))?;
            let mut bytes = [0; HEADER_LEN_BYTES];
            match read_exact_at(&*file, &mut bytes, 0) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
                result => result.map_err(Error::io("read", &path))?,
            }
            headers.extend(LogHeader::decode(&bytes).ok().filter(|header| header.id == id));
        }
        Ok(headers)
    }

    /// The copies that [`Strays::keep_copy`] made of damaged manifests at earlier starts.
    pub(super) fn manifest_copies(&self) -> impl Iterator<Item = PathBuf> {
        let is_checksum = |suffix: &str| suffix.len() == 8 && suffix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_copy = move |name: &&String| {
            let suffix = name.strip_prefix(FileKind::Manifest.file_name()).and_then(|suffix| suffix.strip_prefix('.'));
            suffix.is_some_and(is_checksum)
        };
        self.lost.iter().filter(is_copy).map(|name| self.lost_path.join(name))
    }

    /// Copies a damaged file to `lost+found/`, under a name that follows from its content, so that a second try makes no second copy.
    /// Returns what was done; nothing if there is no such file.
    pub(super) fn keep_copy(&mut self, path: &Path) -> Result<Option<String>, Error> {
        let file = match self.fs.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.map_err(Error::io("open", path))?,
        };
        let len = file.len().map_err(Error::io("read", path))?;
        let mut bytes = vec![0; usize::try_from(len).expect("bounded when it was loaded")];
        read_exact_at(&*file, &mut bytes, 0).map_err(Error::io("read", path))?;
        let original = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{original}.{:08x}", checksum::plain(&bytes));
        let copy_path = self.lost_path.join(&name);
        self.make_lost_path()?;
        let copy = match self.fs.create(&copy_path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.fs.open(&copy_path),
            result => result,
        };
        let copy = copy.map_err(Error::io("create", &copy_path))?;
        write_all_at(&*copy, &bytes, 0).map_err(Error::io("write", &copy_path))?;
        copy.sync_data().map_err(Error::io("sync", &copy_path))?;
        self.fs.sync_dir(&self.lost_path).map_err(Error::io("sync", &self.lost_path))?;
        Ok(Some(format!("a copy of the damaged {original} is {LOST_AND_FOUND}/{name}")))
    }

    /// Removes what may go, moves what else the manifest does not name, and says so. A damaged manifest lets nothing go.
    pub(super) fn clear(&mut self, contents: &Contents, is_damaged: bool) -> Result<Vec<String>, Error> {
        let mut notes = Vec::new();
        for name in std::mem::take(&mut self.names) {
            if log_id(&name).is_some_and(|id| contents.logs.contains_key(&id)) {
                continue;
            }
            if !is_damaged && self.may_go(&name, contents)? {
                let path = self.logs_path.join(&name);
                self.fs.remove(&path).map_err(Error::io("remove", &path))?;
                notes.push(format!("removed the unfinished logs/{name}"));
            } else {
                let kept = self.move_to_lost_and_found(&name)?;
                notes.push(format!("moved logs/{name}, which the manifest does not name, to {LOST_AND_FOUND}/{kept}"));
            }
        }
        // Where a file is now must be durable before it is not there any more.
        if self.lost_path_exists()? {
            self.fs.sync_dir(&self.lost_path).map_err(Error::io("sync", &self.lost_path))?;
        }
        self.fs.sync_dir(self.logs_path).map_err(Error::io("sync", self.logs_path))?;
        Ok(notes)
    }

    /// Whether this is a temporary file, or a log that was being made when the manifest, undamaged, had not yet named it.
    fn may_go(&self, name: &str, contents: &Contents) -> Result<bool, Error> {
        if name.ends_with(".tmp") {
            return Ok(true);
        }
        let is_newer = log_id(name).is_some_and(|id| id >= contents.next_log());
        // Identity alone would also fit a log whose manifest was replaced by an older copy.
        Ok(is_newer && self.holds_no_batch(name)?)
    }

    /// Whether nothing but zeros stands behind the header.
    fn holds_no_batch(&self, name: &str) -> Result<bool, Error> {
        let path = self.logs_path.join(name);
        let file = self.fs.open(&path).map_err(Error::io("open", &path))?;
        let len = file.len().map_err(Error::io("read", &path))?;
        let mut at = HEADER_LEN_BYTES as u64;
        let mut piece = vec![0; PIECE_BYTES];
        while at < len {
            let wanted = usize::try_from(len - at).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
            read_exact_at(&*file, &mut piece[..wanted], at).map_err(Error::io("read", &path))?;
            if piece[..wanted].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += wanted as u64;
        }
        Ok(true)
    }

    fn move_to_lost_and_found(&mut self, name: &str) -> Result<String, Error> {
        self.make_lost_path()?;
        let mut kept = name.to_owned();
        let mut copies = 0;
        while self.lost.contains(&kept) {
            copies += 1;
            kept = format!("{name}.{copies}");
        }
        let from = self.logs_path.join(name);
        self.fs.rename(&from, &self.lost_path.join(&kept)).map_err(Error::io("move", &from))?;
        self.lost.push(kept.clone());
        Ok(kept)
    }

    fn make_lost_path(&self) -> Result<(), Error> {
        self.fs.create_dir(&self.lost_path).map_err(Error::io("create", &self.lost_path))?;
        self.fs.sync_dir(self.parent).map_err(Error::io("sync", self.parent))
    }

    fn lost_path_exists(&self) -> Result<bool, Error> {
        let names = self.fs.list(self.parent).map_err(Error::io("list", self.parent))?;
        Ok(!self.lost.is_empty() && names.iter().any(|name| name == LOST_AND_FOUND))
    }

    /// The names in `lost+found/`, as they are now.
    pub(super) fn lost_and_found(&self) -> Result<Vec<String>, Error> {
        list_lost(self.fs, &self.lost_path)
    }
}

fn log_id(name: &str) -> Option<LogId> {
    LogId::from_file_name(name).filter(|id| *id < ID_END)
}

/// The names in `lost+found/`; none if it is not there, or belongs to somebody else: where a disk is mounted at the data directory, the
/// system may have made one.
fn list_lost(fs: &dyn FileSystem, path: &Path) -> Result<Vec<String>, Error> {
    match fs.list(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Ok(Vec::new()),
        result => result.map_err(Error::io("list", path)),
    }
}
