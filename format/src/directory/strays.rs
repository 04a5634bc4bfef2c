//! The files in `logs/`, `segments/` and `lost+found/`: which are ours, which may go, and where the others are kept.

mod settle;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::checksum;
use crate::error::{Corruption, Error};
use crate::fs::{FileSystem, read_exact_at, write_all_at};
use crate::log::{HEADER_LEN_BYTES, LogHeader};
use crate::manifest::LiveSegment;
use crate::manifest::contents::Contents;
use crate::paired::FileKind;
use crate::sealed::Segment;
use crate::units::{LogId, SegmentId};

use super::{LOGS, LOST_AND_FOUND, SEGMENTS};

/// Identities from here on were never given out; a file may bear any name.
const ID_END: u64 = 1 << 62;

/// Bytes that are looked at in one go.
const PIECE_BYTES: usize = 64 * 1024;

/// What stands in the folders of a data directory.
pub(super) struct Strays<'a> {
    fs: &'a dyn FileSystem,
    parent: &'a Path,
    logs: Folder,
    segments: Folder,
    lost_path: PathBuf,
    /// The names in `lost+found/`.
    lost: Vec<String>,
    /// Segments that were live and gave their place back to the log they were made of, because they cannot be read.
    doubted: BTreeSet<SegmentId>,
}

/// A folder of files that the manifest may name.
struct Folder {
    path: PathBuf,
    /// What stands in it.
    names: Vec<String>,
}

impl Folder {
    fn list(fs: &dyn FileSystem, parent: &Path, name: &str) -> Result<Folder, Error> {
        let path = parent.join(name);
        let names = fs.list(&path).map_err(Error::io("list", &path))?;
        Ok(Folder { path, names })
    }
}

/// What the file of a segment says of itself.
enum Told {
    /// What it is; its blocks were not looked at.
    Whole(LiveSegment),
    /// It does not end in a trailer: it is not finished, or was cut.
    Unfinished,
    /// It says nothing that could be believed.
    Unreadable,
}

/// What becomes of a file that the manifest does not name.
enum Fate {
    /// It goes, and this is why.
    Goes(String),
    /// It moves to `lost+found/`.
    IsKept,
}

impl<'a> Strays<'a> {
    /// Lists the folders. Changes nothing.
    pub(super) fn find(fs: &'a dyn FileSystem, path: &'a Path) -> Result<Strays<'a>, Error> {
        let lost_path = path.join(LOST_AND_FOUND);
        let lost = list_lost(fs, &lost_path)?;
        let (logs, segments) = (Folder::list(fs, path, LOGS)?, Folder::list(fs, path, SEGMENTS)?);
        Ok(Strays { fs, parent: path, logs, segments, lost_path, lost, doubted: BTreeSet::new() })
    }

    pub(super) fn has_log(&self, id: LogId) -> bool {
        self.logs.names.contains(&id.file_name())
    }

    pub(super) fn has_segment(&self, id: SegmentId) -> bool {
        self.segments.names.contains(&id.file_name())
    }

    /// Whether there is any file that may be a log or a segment.
    pub(super) fn has_any(&self) -> bool {
        self.logs.names.iter().any(|name| log_id(name).is_some()) || self.segments.names.iter().any(|name| segment_id(name).is_some())
    }

    /// The lowest identity above every name of a log.
    pub(super) fn next_log(&self) -> LogId {
        self.names_and_lost(&self.logs).filter_map(log_id).max().map_or(LogId::FIRST, LogId::next)
    }

    /// The lowest identity above every name of a segment that may not go. Called when those that may have gone.
    pub(super) fn next_segment(&self) -> SegmentId {
        self.names_and_lost(&self.segments).filter_map(segment_id).max().map_or(SegmentId::FIRST, SegmentId::next)
    }

    fn names_and_lost<'s>(&'s self, folder: &'s Folder) -> impl Iterator<Item = &'s str> {
        // In `lost+found/` a name may have something behind it that keeps it apart.
        let lost = self.lost.iter().filter_map(|name| name.get(..LogId::FIRST.file_name().len()));
        folder.names.iter().map(String::as_str).chain(lost)
    }

    /// The headers of all logs whose file says itself who it is.
    pub(super) fn readable_logs(&self) -> Result<Vec<LogHeader>, Error> {
        let mut headers = Vec::new();
        for id in self.logs.names.iter().filter_map(|name| log_id(name)) {
            headers.extend(self.log_header(id)?);
        }
        Ok(headers)
    }

    /// What the file of a log says itself, if it does.
    fn log_header(&self, id: LogId) -> Result<Option<LogHeader>, Error> {
        let path = self.logs.path.join(id.file_name());
        let file = match self.fs.open(&path).map_err(Error::io("open", &path)) {
            Err(error) if error.is_no_file() => return Ok(None),
            file => file?,
        };
        let mut bytes = [0; HEADER_LEN_BYTES];
        match read_exact_at(&*file, &mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result.map_err(Error::io("read", &path))?,
        }
        Ok(LogHeader::decode(&bytes).ok().filter(|header| header.id == id))
    }

    /// All segments whose file says itself what it is, in the order of their identities.
    pub(super) fn readable_segments(&self) -> Result<Vec<LiveSegment>, Error> {
        let mut segments = Vec::new();
        for id in self.segments.names.iter().filter_map(|name| segment_id(name)) {
            if let Told::Whole(segment) = self.told(id)? {
                segments.push(segment);
            }
        }
        segments.sort_by_key(LiveSegment::id);
        Ok(segments)
    }

    /// What the file of a segment says of itself.
    fn told(&self, id: SegmentId) -> Result<Told, Error> {
        let path = self.segments.path.join(id.file_name());
        let segment = match Segment::open(self.fs, &path) {
            Err(Error::Corrupt { source, .. }) => return Ok(if is_unfinished(&source) { Told::Unfinished } else { Told::Unreadable }),
            Err(error) if error.is_no_file() => return Ok(Told::Unreadable),
            result => result?,
        };
        if segment.header().id != id {
            return Ok(Told::Unreadable);
        }
        let len_bytes = self.fs.open(&path).and_then(|file| file.len()).map_err(Error::io("read", &path))?;
        Ok(Told::Whole(LiveSegment::new(segment.header(), segment.provenance(), segment.rows(), len_bytes)))
    }

    /// Forgets of `contents` which files may go that are gone, and what was lost of logs that nobody keeps any more.
    pub(super) fn forget(&self, contents: &mut Contents) {
        contents.forget_removed(&self.logs.names, &self.segments.names);
        let is_kept = |id: &LogId| self.lost.iter().any(|name| name.starts_with(&id.file_name()));
        contents.lost.retain(|id, _| self.has_log(*id) || is_kept(id));
    }

    /// The logs that are still there though they are not live any more: the end of the daemon came before they were removed. If the
    /// segment that has their rows cannot be read, it is not live any more, and the log is.
    pub(super) fn replaced_logs(&mut self, contents: &mut Contents, notes: &mut Vec<String>) -> Result<BTreeSet<LogId>, Error> {
        let mut replaced = BTreeSet::new();
        for id in self.logs.names.iter().filter_map(|name| log_id(name)) {
            let Some(segment) = contents.replaced_by(id).map(LiveSegment::id) else {
                replaced.extend(contents.gone_logs.get(&id));
                continue;
            };
            if self.is_readable(segment)? {
                replaced.insert(id);
            } else if let Some(header) = self.log_header(id)? {
                contents.revive(header);
                self.doubted.insert(segment);
                notes
                    .push(format!("segment {segment} cannot be read; the log {id} that it was made of is still there and takes its place"));
            }
        }
        Ok(replaced)
    }

    fn is_readable(&self, id: SegmentId) -> Result<bool, Error> {
        Ok(self.has_segment(id) && matches!(self.told(id)?, Told::Whole(_)))
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

    /// Removes what may go, moves what else the manifest does not name, and says so. A damaged manifest lets nothing go. `replaced` are
    /// logs that are not live any more.
    pub(super) fn clear(&mut self, contents: &Contents, replaced: &BTreeSet<LogId>, is_damaged: bool) -> Result<Vec<String>, Error> {
        let (mut notes, mut fates) = (Vec::new(), Vec::new());
        for name in &self.logs.names {
            if log_id(name).is_none_or(|id| !contents.logs.contains_key(&id)) {
                fates.push((LOGS, name.clone(), if is_damaged { Fate::IsKept } else { self.fate_of_log(name, contents, replaced)? }));
            }
        }
        for name in &self.segments.names {
            if segment_id(name).is_none_or(|id| !contents.segments.contains_key(&id)) {
                fates.push((SEGMENTS, name.clone(), if is_damaged { Fate::IsKept } else { self.fate_of_segment(name, contents)? }));
            }
        }
        for (folder, name, fate) in fates {
            if let Fate::Goes(why) = fate {
                let path = self.parent.join(folder).join(&name);
                self.fs.remove(&path).map_err(Error::io("remove", &path))?;
                notes.push(why);
            } else {
                let kept = self.move_to_lost_and_found(folder, &name)?;
                let is_lost = folder == LOGS && log_id(&name).is_some_and(|id| contents.lost.contains_key(&id));
                let why = if is_lost { "some of which is lost" } else { "which the manifest does not name" };
                notes.push(format!("moved {folder}/{name}, {why}, to {LOST_AND_FOUND}/{kept}"));
            }
        }
        // Where a file is now must be durable before it is not there any more.
        if self.lost_path_exists()? {
            self.fs.sync_dir(&self.lost_path).map_err(Error::io("sync", &self.lost_path))?;
        }
        for folder in [&mut self.logs, &mut self.segments] {
            self.fs.sync_dir(&folder.path).map_err(Error::io("sync", &folder.path))?;
            folder.names = self.fs.list(&folder.path).map_err(Error::io("list", &folder.path))?;
        }
        Ok(notes)
    }

    /// A temporary file may go, a log that was being made when the manifest, undamaged, had not yet named it, and one that was sealed
    /// whole.
    fn fate_of_log(&self, name: &str, contents: &Contents, replaced: &BTreeSet<LogId>) -> Result<Fate, Error> {
        let id = log_id(name);
        if let Some(id) = id.filter(|id| replaced.contains(id)) {
            let is_whole = !contents.lost.contains_key(&id);
            let goes = || Fate::Goes(format!("removed {LOGS}/{name}, whose events are in a segment"));
            return Ok(if is_whole { goes() } else { Fate::IsKept });
        }
        let is_newer = id.is_some_and(|id| id >= contents.next_log());
        // Identity alone would also fit a log whose manifest was replaced by an older copy.
        let may_go = name.ends_with(".tmp") || is_newer && self.holds_no_batch(name)?;
        Ok(if may_go { Fate::Goes(format!("removed the unfinished {LOGS}/{name}")) } else { Fate::IsKept })
    }

    /// A temporary file may go, a segment that the manifest, undamaged, says was replaced or dropped, and one that was being made and
    /// that it had not yet named.
    fn fate_of_segment(&self, name: &str, contents: &Contents) -> Result<Fate, Error> {
        let Some(id) = segment_id(name).filter(|id| *id >= SegmentId::FIRST) else {
            let is_temporary = name.ends_with(".tmp");
            return Ok(if is_temporary { Fate::Goes(format!("removed {SEGMENTS}/{name}")) } else { Fate::IsKept });
        };
        if contents.gone_segments.contains(&id) {
            for heir in contents.segments.values().filter(|segment| segment.segments.contains(&id)) {
                if !self.is_readable(heir.id())? {
                    return Ok(Fate::IsKept);
                }
            }
            return Ok(Fate::Goes(format!("removed {SEGMENTS}/{name}, which was replaced or dropped")));
        }
        let may_go = match self.told(id)? {
            Told::Unfinished => !self.doubted.contains(&id),
            // Complete, and never acknowledged: all that it was made of is live and there. The look at the files tells a manifest that
            // was replaced by an older copy.
            Told::Whole(segment) => {
                let has_log = |log| contents.logs.contains_key(&log) && self.has_log(log);
                let has_segment = |id: &SegmentId| contents.segments.contains_key(id) && self.has_segment(*id);
                let has_sources = segment.log.is_some() || !segment.segments.is_empty();
                has_sources && segment.log.is_none_or(has_log) && segment.segments.iter().all(has_segment)
            }
            Told::Unreadable => false,
        };
        Ok(if may_go { Fate::Goes(format!("removed the unfinished {SEGMENTS}/{name}")) } else { Fate::IsKept })
    }

    /// Whether nothing but zeros stands behind the header.
    fn holds_no_batch(&self, name: &str) -> Result<bool, Error> {
        let path = self.logs.path.join(name);
        let file = match self.fs.open(&path).map_err(Error::io("open", &path)) {
            Err(error) if error.is_no_file() => return Ok(false),
            file => file?,
        };
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

    /// Moves a log to `lost+found/`, durably, and says under which name.
    pub(super) fn set_aside(&mut self, log: LogId) -> Result<String, Error> {
        let kept = self.move_to_lost_and_found(LOGS, &log.file_name())?;
        for path in [&self.lost_path, &self.logs.path] {
            self.fs.sync_dir(path).map_err(Error::io("sync", path))?;
        }
        Ok(kept)
    }

    fn move_to_lost_and_found(&mut self, folder: &str, name: &str) -> Result<String, Error> {
        self.make_lost_path()?;
        let mut kept = name.to_owned();
        let mut copies = 0;
        while self.lost.contains(&kept) {
            copies += 1;
            kept = format!("{name}.{copies}");
        }
        let from = self.parent.join(folder).join(name);
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

/// Whether this may be said of a segment that was never synced, which may lack its head as well as its end.
pub(crate) fn is_unfinished(source: &Corruption) -> bool {
    matches!(source, Corruption::Trailer | Corruption::CutShort { .. } | Corruption::Header | Corruption::Magic { .. })
}

fn log_id(name: &str) -> Option<LogId> {
    LogId::from_file_name(name).filter(|id| id.value() < ID_END)
}

fn segment_id(name: &str) -> Option<SegmentId> {
    SegmentId::from_file_name(name).filter(|id| id.value() < ID_END)
}

/// The names in `lost+found/`; none if it is not there, or belongs to somebody else: where a disk is mounted at the data directory, the
/// system may have made one.
fn list_lost(fs: &dyn FileSystem, path: &Path) -> Result<Vec<String>, Error> {
    match fs.list(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Ok(Vec::new()),
        result => result.map_err(Error::io("list", path)),
    }
}
