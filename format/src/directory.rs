//! Opening a data directory: one process, undamaged or with its damage named, and nothing unlinked that might matter.
//!
//! Invariants of [`DataDirectory::open`], in the order it works:
//!
//! * Nothing is written before the lock is held, and nothing is changed before catalog and manifest have been read: a directory that is
//!   refused is left as it was, but for folders that were missing.
//! * A catalog that is damaged, or gone from a directory in use, refuses the start. A manifest that is, does not: it is made anew from what is
//!   still readable of it, from every segment whose own footer is valid, and from every log whose own header is; the damaged file is
//!   copied to `lost+found/` before, and by that copy what was lost is named at every later start. Of a log and a segment that was sealed
//!   from it, the segment is live; of segments that were made of the same, all are or none. What is taken up is durable before it is named.
//! * Catalog and manifest are written anew before the first file is moved or removed.
//! * A file in `logs/` is removed only if it is a temporary one, or a log that an undamaged manifest never named and to which nothing was
//!   ever appended, or one that an undamaged manifest says is replaced, nothing of it was lost, and the segment that has its rows can be
//!   read or was itself replaced.
//! * A file in `segments/` is removed only if it is a temporary one, or a segment that an undamaged manifest never named and that is not
//!   finished, or all of whose sources are live and there, or one that such a manifest says is replaced or dropped, and the segments that
//!   have its rows can be read.
//! * What else the manifest does not name moves to `lost+found/`, which is listed at every start and never emptied.
//! * It may be killed anywhere and run again.

mod place;
pub(crate) mod strays;

use std::collections::BTreeSet;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::{CatalogFile, CatalogRead};
use crate::error::{Corruption, Damage, Error};
use crate::fs::{FileSystem, RealFs};
use crate::lock::DirectoryLock;
use crate::manifest::contents::Contents;
use crate::manifest::{Identity, LiveLog, LiveSegment, Lost, Manifest};
use crate::paired::{FileKind, Loaded, PairedFile};
use crate::units::{ByteOffset, LogId, SegmentId, Sequence};

use strays::Strays;

/// The folder of logs.
pub(crate) const LOGS: &str = "logs";

/// The folder of segments.
pub(crate) const SEGMENTS: &str = "segments";

/// The folder of files that nothing explains.
pub(crate) const LOST_AND_FOUND: &str = "lost+found";

/// A data directory that is open.
#[derive(Debug)]
pub struct DataDirectory {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    _lock: Option<DirectoryLock>,
}

/// What opening a data directory gives.
#[derive(Debug)]
pub struct Opened {
    /// The directory; it stays locked while this lives.
    pub directory: DataDirectory,
    /// Which logs and segments are live.
    pub manifest: Manifest,
    /// Where changes of the catalog go.
    pub catalog: CatalogFile,
    /// The changes that the catalog holds, in their order.
    pub catalog_changes: Vec<Vec<u8>>,
    /// What is lost: of the manifest, now or by a copy in `lost+found/`; of logs that were sealed and are kept there; the logs and segments
    /// that the manifest names and that are gone.
    pub damage: Vec<Damage>,
    /// The names in `lost+found/`.
    pub lost_and_found: Vec<String>,
    /// What was found and put right, as sentences for the operator.
    pub notes: Vec<String>,
}

impl DataDirectory {
    /// Opens the data directory at `path` for this process; makes it if it is not there. Its parent must exist.
    ///
    /// # Errors
    ///
    /// [`Error::NetworkFileSystem`], [`Error::Incoherent`], [`Error::Locked`]; as [`DataDirectory::open_on`].
    pub fn open(path: &Path) -> Result<Opened, Error> {
        let fs = Arc::new(RealFs::default());
        fs.create_dir(path).map_err(Error::io("create", path))?;
        place::require_local(path)?;
        let lock = DirectoryLock::acquire(path)?;
        place::require_coherent(path)?;
        open(fs, path, Some(lock))
    }

    /// Opens a data directory on any file system, unlocked: for tests, on the double.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the catalog is damaged, or if a file is of a newer version; [`Error::Missing`] if the catalog is gone;
    /// [`Error::Full`] if there is no space to put right what has to be; [`Error::TooLarge`]; [`Error::Io`].
    pub fn open_on(fs: Arc<dyn FileSystem>, path: &Path) -> Result<Opened, Error> {
        open(fs, path, None)
    }

    /// The file system it is on.
    pub fn fs(&self) -> &Arc<dyn FileSystem> {
        &self.fs
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where its logs are.
    pub fn logs_path(&self) -> PathBuf {
        self.path.join(LOGS)
    }

    /// Where its segments are.
    pub fn segments_path(&self) -> PathBuf {
        self.path.join(SEGMENTS)
    }
}

/// Moves a log of which something is lost from the data directory at `path` to its `lost+found/`, durably, and says under which name. The
/// manifest has to name what is lost, and a segment that has the rest.
///
/// # Errors
///
/// [`Error::Io`].
pub fn set_aside(fs: &dyn FileSystem, path: &Path, log: LogId) -> Result<String, Error> {
    Strays::find(fs, path)?.set_aside(log)
}

fn open(fs: Arc<dyn FileSystem>, path: &Path, lock: Option<DirectoryLock>) -> Result<Opened, Error> {
    let disk = &*fs;
    make_folders(disk, path)?;
    let catalog = CatalogRead::read(disk, path)?;
    let mut manifest = ManifestRead::read(disk, path)?;
    let mut strays = Strays::find(disk, path)?;
    if !catalog.exists() && (manifest.exists() || strays.has_any()) {
        return Err(Error::Missing { path: path.join(FileKind::Catalog.file_name()) });
    }
    if !manifest.exists() && (!catalog.is_empty() || strays.has_any()) {
        // The manifest was there before the first change and the first log.
        manifest.damage.push(Damage { from: ByteOffset::new(0), end: ByteOffset::new(0), ..manifest_damage() });
    }
    let mut notes = [catalog.notes(), manifest.notes()].concat();
    let is_damaged = !manifest.damage.is_empty();
    if is_damaged {
        notes.extend(adopt(&mut manifest.contents, &mut strays)?);
        notes.extend(strays.keep_copy(&path.join(FileKind::Manifest.file_name()))?);
        // Nothing may go, and nothing may at the next start if this one is killed.
        manifest.contents.forget_removed(&[], &[]);
    }
    strays.forget(&mut manifest.contents);
    let replaced = strays.replaced_logs(&mut manifest.contents, &mut notes)?;
    // A first start has none, nor may a damaged manifest have one.
    if manifest.contents.identity.is_none() {
        manifest.contents.identity = Some(new_identity(path)?);
    }

    let (catalog, changes) = catalog.settle(&fs, path)?;
    let mut damage = manifest.damage.clone();
    for lost in strays.manifest_copies().flat_map(|copy| damage_of_copy(disk, copy)) {
        // A start that was killed has kept a copy of what is still damaged now.
        if !damage.contains(&lost) {
            damage.push(lost);
        }
    }
    damage.extend(missing_logs(&manifest.contents, &strays));
    damage.extend(missing_segments(&manifest.contents, &strays));
    let next_log = manifest.contents.next_log().max(strays.next_log());
    damage.extend(manifest.contents.lost.values().flatten().map(Lost::damage));
    let (mut contents, file) = manifest.settle(disk, path)?;
    notes.extend(strays.clear(&contents, &replaced, is_damaged)?);
    strays.forget(&mut contents);
    let next_segment = contents.next_segment().max(strays.next_segment());
    Ok(Opened {
        manifest: Manifest::new(file, contents, next_log, next_segment),
        catalog,
        catalog_changes: changes.into_iter().map(|change| change.payload).collect(),
        damage,
        lost_and_found: strays.lost_and_found()?,
        notes,
        directory: DataDirectory { path: path.to_owned(), _lock: lock, fs },
    })
}

/// Takes up what a damaged manifest does not name: segments first, because a log that one was sealed from is not live beside it.
///
/// Of segments that were made of the same, all or none: where one was never finished, the others do not have all rows of their sources.
/// Sources are removed only after the change that names all of them, so where a source is gone they were live.
fn adopt(contents: &mut Contents, strays: &mut Strays<'_>) -> Result<Vec<String>, Error> {
    let mut notes = Vec::new();
    let readable = strays.readable_segments()?;
    let ids: BTreeSet<SegmentId> = readable.iter().map(LiveSegment::id).collect();
    let is_told = |contents: &Contents, id: &SegmentId| ids.contains(id) || contents.was_named(*id);
    for segment in readable {
        let id = segment.id();
        let are_all_there = segment.siblings.iter().all(|sibling| is_told(contents, sibling));
        if !are_all_there && segment.segments.iter().all(|source| strays.has_segment(*source)) {
            notes.push(format!("segment {id} was not taken up: what it was made of is there, and not all that was made of it"));
            continue;
        }
        if contents.adopt_segment(segment) {
            strays.settle_segment(id)?;
            notes.push(format!("segment {id} was taken up from its own footer"));
        }
    }
    for header in strays.readable_logs()? {
        let id = header.id;
        if contents.adopt(LiveLog { header: header.clone(), closed: None }) {
            // One that is known to be closed was named.
            if contents.logs.get(&id).is_some_and(|log| log.closed.is_none()) {
                strays.settle_log(&header)?;
            }
            notes.push(format!("log {id} was taken up from its own header"));
        }
    }
    Ok(notes)
}

/// Makes the folders that are missing, and makes sure of those that are there: the crash may have come between making and syncing.
fn make_folders(fs: &dyn FileSystem, path: &Path) -> Result<(), Error> {
    fs.create_dir(path).map_err(Error::io("create", path))?;
    for folder in [LOGS, SEGMENTS] {
        let path = path.join(folder);
        fs.create_dir(&path).map_err(Error::io("create", &path))?;
    }
    fs.sync_dir(path).map_err(Error::io("sync", path))?;
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    match fs.sync_dir(parent) {
        // Who may not even read the parent did not make this folder.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result.map_err(Error::io("sync", parent)),
    }
}

fn new_identity(path: &Path) -> Result<Identity, Error> {
    let mut identity = Identity { epoch: [0; 16], secret: [0; 16] };
    for bytes in [&mut identity.epoch, &mut identity.secret] {
        getrandom::fill(bytes).map_err(|error| Error::io("make an identity for", path)(io::Error::other(error)))?;
    }
    Ok(identity)
}

fn manifest_damage() -> Damage {
    let sequences = (Sequence::FIRST, Sequence::FIRST);
    Damage {
        file: FileKind::Manifest.file_name().to_owned(),
        from: ByteOffset::new(0),
        end: ByteOffset::new(0),
        sequences,
        times: (None, None),
    }
}

/// What is lost of a manifest that an earlier start made anew, by the copy it kept. A copy that cannot be read still says that there was
/// damage, and stops no start.
fn damage_of_copy(fs: &dyn FileSystem, copy: PathBuf) -> Vec<Damage> {
    let len = || fs.open(&copy).and_then(|file| file.len()).unwrap_or(0);
    match Loaded::read_at(fs, copy.clone(), FileKind::Manifest) {
        Ok(loaded) => loaded.as_ref().map(Loaded::damage).unwrap_or_default(),
        Err(_) => vec![Damage { end: ByteOffset::new(len()), ..manifest_damage() }],
    }
}

/// The logs that are named and have no file.
fn missing_logs(contents: &Contents, strays: &Strays<'_>) -> Vec<Damage> {
    let missing = contents.logs.values().filter(|log| !strays.has_log(log.header.id));
    let damage = missing.map(|LiveLog { header, closed }| {
        let end = closed.map_or(ByteOffset::new(header.durable_len), |closed| closed.end.end);
        let sequence_end = closed.map_or(header.base_sequence, |closed| closed.end.sequence_end);
        let file = format!("{LOGS}/{}", header.id.file_name());
        // A log is begun when the one before it is closed.
        let next = contents.logs.range((Bound::Excluded(header.id), Bound::Unbounded)).next();
        let times = (Some(header.created), next.map(|(_, next)| next.header.created));
        Damage { file, from: ByteOffset::new(0), end, sequences: (header.base_sequence, sequence_end), times }
    });
    damage.collect()
}

/// The segments that are named and have no file.
fn missing_segments(contents: &Contents, strays: &Strays<'_>) -> Vec<Damage> {
    let missing = contents.segments.values().filter(|segment| !strays.has_segment(segment.id()));
    missing.map(LiveSegment::damage).collect()
}

/// What stands in a manifest's file, read but not yet written anew.
struct ManifestRead {
    loaded: Option<Loaded>,
    contents: Contents,
    damage: Vec<Damage>,
    is_unreadable: bool,
}

impl ManifestRead {
    fn read(fs: &dyn FileSystem, dir: &Path) -> Result<ManifestRead, Error> {
        let path = dir.join(FileKind::Manifest.file_name());
        let loaded = match Loaded::read(fs, dir, FileKind::Manifest) {
            // A newer program's manifest is not damaged, and must not be made anew.
            Err(Error::Corrupt { source, .. }) if !matches!(source, Corruption::Version { .. }) => {
                let len = fs.open(&path).and_then(|file| file.len()).map_err(Error::io("read", &path))?;
                let damage = Damage { end: ByteOffset::new(len), ..manifest_damage() };
                return Ok(ManifestRead { loaded: None, contents: Contents::default(), damage: vec![damage], is_unreadable: true });
            }
            result => result?,
        };
        let changes = loaded.as_ref().map_or(&[][..], |loaded| &loaded.changes);
        let contents = Contents::fold(changes).map_err(|(offset, source)| Error::Corrupt { path, offset, source })?;
        let damage = loaded.as_ref().map(Loaded::damage).unwrap_or_default();
        Ok(ManifestRead { loaded, contents, damage, is_unreadable: false })
    }

    fn exists(&self) -> bool {
        self.loaded.is_some() || self.is_unreadable
    }

    fn notes(&self) -> Vec<String> {
        let name = FileKind::Manifest.file_name();
        let mut notes: Vec<String> =
            self.damage.iter().map(|lost| format!("{name} is damaged from byte {} to {}", lost.from, lost.end)).collect();
        if let Some(loaded) = &self.loaded {
            notes.extend(loaded.notes());
        }
        notes
    }

    fn settle(self, fs: &dyn FileSystem, dir: &Path) -> Result<(Contents, PairedFile), Error> {
        let payloads = self.contents.payloads();
        let file = match self.loaded {
            Some(loaded) => loaded.settle(fs, dir, &payloads)?,
            None => PairedFile::replace(fs, dir, FileKind::Manifest, &payloads)?,
        };
        Ok((self.contents, file))
    }
}

#[cfg(all(test, not(loom)))]
mod crash_tests;
#[cfg(all(test, not(loom)))]
mod damage_tests;
#[cfg(all(test, not(loom)))]
mod fate_tests;
#[cfg(all(test, not(loom)))]
mod lost_change_tests;
#[cfg(all(test, not(loom)))]
pub(crate) mod samples;
#[cfg(all(test, not(loom)))]
mod settle_tests;
