//! The file system as this crate needs it: the seam where faults are put in.
//!
//! Everything durable goes through [`FileSystem`] and [`File`]. [`RealFs`] is the operating system; the double
//! behind the feature `double` keeps live and durable bytes apart, so that a power cut is a value in a test.
//!
//! Contract of every implementation:
//!
//! * bytes written are durable only once a later [`File::sync_data`] of that file returned ok;
//! * a created, renamed or removed name is durable only once a later [`FileSystem::sync_dir`] of its folder did;
//! * a sync that could not begin, for want of a descriptor, has failed nothing: [`is_out_of_descriptors`];
//! * a sync that failed says nothing about any later sync: the operating system may answer ok to the next one and
//!   yet have lost the bytes. Callers treat the first failure as final.
//!
//! Only [`read_exact_at`] and [`write_all_at`] loop over short transfers; the traits are as raw as the calls below
//! them.

use std::collections::HashMap;
use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::statvfs;
use rustix::io::Errno;

use crate::map::Map;

#[cfg(any(test, feature = "double"))]
pub mod double;
mod read_only;

pub use read_only::ReadOnlyFs;

/// Rights of a folder that is created: its owner only, for it holds what visitors did.
const DIRECTORY_MODE: u32 = 0o700;

/// Rights of a file that is created.
const FILE_MODE: u32 = 0o600;

/// Names and folders: what can be created, found, renamed, removed and made durable.
pub trait FileSystem: Send + Sync + fmt::Debug {
    /// Creates one folder; one that exists is fine. Its parent must exist.
    ///
    /// # Errors
    ///
    /// What the operating system says; `NotADirectory` if the name is taken by something else.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder, sorted by their bytes.
    ///
    /// Names that are not UTF-8 are left out: no name of ours is such a one.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Creates an empty file for reading and writing.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if the name is taken; what the operating system says.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is none; what the operating system says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Gives a file another name, in one step; a file that had that name before is gone.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes the name of a file; whoever has it open can go on reading.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    ///
    /// What the operating system says. Final: see the contract above.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// The space of the disk that `path` is on.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// How much space a disk has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// In all.
    pub total: u64,
    /// For users without privileges.
    pub free: u64,
}

/// One open file.
pub trait File: Send + Sync + fmt::Debug {
    /// The length in bytes.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the length is zero.
    ///
    /// # Errors
    ///
    /// As [`File::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads into `buf` from `offset` on; may read less, and reads nothing at the end of the file.
    ///
    /// # Errors
    ///
    /// What the operating system says, `Interrupted` among it.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes `buf` at `offset`; may write less. Never moves or shortens what stands elsewhere.
    ///
    /// # Errors
    ///
    /// What the operating system says, `Interrupted` among it.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file, or extends it by zeros that take no space.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the bytes and the length durable.
    ///
    /// # Errors
    ///
    /// What the operating system says. Final: see the contract of the module.
    fn sync_data(&self) -> io::Result<()>;

    /// A read-only view of the first `capacity` bytes, which the file may still have to grow to.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn map(self: Arc<Self>, capacity: u64) -> io::Result<Map>;
}

/// Fills `buf` from `offset` on.
///
/// # Errors
///
/// `UnexpectedEof` if the file ends first; what [`File::read_at`] says, but for `Interrupted`, which is tried again.
pub fn read_exact_at(file: &dyn File, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match file.read_at(buf, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buf = &mut buf[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `buf` at `offset`.
///
/// # Errors
///
/// `WriteZero` if two calls in a row write nothing; what [`File::write_at`] says, but for `Interrupted`, which is
/// tried again. Any part of `buf` may have been written then.
pub fn write_all_at(file: &dyn File, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
    let mut stalled = false;
    while !buf.is_empty() {
        match file.write_at(buf, offset) {
            Ok(0) if stalled => return Err(io::ErrorKind::WriteZero.into()),
            Ok(0) => stalled = true,
            Ok(written) => {
                stalled = false;
                buf = &buf[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether there was no descriptor to open a file or folder with: nothing has changed, and it passes by itself.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// The file system of the operating system.
///
/// A folder is open from before the first change of names in it on, and stays so: where no descriptor is left, a change fails before
/// anything has changed, and its sync needs none.
#[derive(Debug, Default)]
pub struct RealFs {
    folders: Mutex<HashMap<PathBuf, Arc<std::fs::File>>>,
}

impl RealFs {
    /// The folder at `path`, open.
    fn folder(&self, path: &Path) -> io::Result<Arc<std::fs::File>> {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let named = std::fs::metadata(if path.as_os_str().is_empty() { Path::new(".") } else { path })?;
        if let Some(open) = folders.get(path) {
            let open_one = open.metadata()?;
            // Another one may have its name by now.
            if (open_one.dev(), open_one.ino()) == (named.dev(), named.ino()) {
                return Ok(Arc::clone(open));
            }
        }
        let open = Arc::new(std::fs::File::open(if path.as_os_str().is_empty() { Path::new(".") } else { path })?);
        folders.insert(path.to_owned(), Arc::clone(&open));
        Ok(open)
    }

    /// Makes sure that the folder of `path` is open.
    fn open_folder_of(&self, path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), |folder| self.folder(folder).map(drop))
    }
}

/// The names in a folder.
fn list(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // A link to a disk that is not mounted is a file that is missing.
        if entry.file_type()?.is_symlink() && !entry.path().exists() {
            continue;
        }
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The space of the disk that `path` is on.
fn space(path: &Path) -> io::Result<Space> {
    let disk = statvfs(path)?;
    Ok(Space { total: disk.f_blocks.saturating_mul(disk.f_frsize), free: disk.f_bavail.saturating_mul(disk.f_frsize) })
}

/// Opens what is a file. What is none, a directory above all, has an error of the kind `IsADirectory`.
fn open_file(options: &OpenOptions, path: &Path) -> io::Result<Arc<dyn File>> {
    // Before it is opened: that may wait for the other end of a pipe.
    if std::fs::metadata(path)?.is_file() {
        Ok(Arc::new(RealFile(options.open(path)?)))
    } else {
        Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory or a pipe, and no file"))
    }
}

impl FileSystem for RealFs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !path.is_dir() {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
            }
            result => result?,
        }
        self.folder(path).map(drop)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open_folder_of(path)?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        open_file(OpenOptions::new().read(true).write(true), path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.open_folder_of(from)?;
        self.open_folder_of(to)?;
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.open_folder_of(path)?;
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.folder(path)?.sync_all()
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        space(path)
    }
}

#[derive(Debug)]
struct RealFile(std::fs::File);

impl File for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&self.0, buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(&self.0, buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn map(self: Arc<Self>, capacity: u64) -> io::Result<Map> {
        Ok(Map::mapped(&self.0, capacity)?.unwrap_or_else(|| Map::copied(self)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A file whose calls answer what the script says.
    #[derive(Debug)]
    struct Scripted {
        answers: Mutex<Vec<io::Result<usize>>>,
        calls: Mutex<Vec<(usize, u64)>>,
    }

    impl Scripted {
        fn new(mut answers: Vec<io::Result<usize>>) -> Scripted {
            answers.reverse();
            Scripted { answers: Mutex::new(answers), calls: Mutex::default() }
        }

        fn answer(&self, len: usize, offset: u64) -> io::Result<usize> {
            self.calls.lock().unwrap().push((len, offset));
            self.answers.lock().unwrap().pop().unwrap()
        }
    }

    impl File for Scripted {
        fn len(&self) -> io::Result<u64> {
            Ok(0)
        }
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            self.answer(buf.len(), offset)
        }
        fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
            self.answer(buf.len(), offset)
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }
        fn map(self: Arc<Self>, _: u64) -> io::Result<Map> {
            Ok(Map::copied(self))
        }
    }

    fn interrupted() -> io::Result<usize> {
        Err(io::ErrorKind::Interrupted.into())
    }

    #[test]
    fn short_and_interrupted_writes_go_on_where_they_stopped() {
        let file = Scripted::new(vec![Ok(3), interrupted(), Ok(0), Ok(6), Ok(1)]);
        write_all_at(&file, &[7; 10], 100).unwrap();
        assert_eq!(*file.calls.lock().unwrap(), [(10, 100), (7, 103), (7, 103), (7, 103), (1, 109)]);
    }

    #[test]
    fn a_write_that_stalls_twice_is_an_error() {
        let file = Scripted::new(vec![Ok(3), Ok(0), Ok(0)]);
        assert_eq!(write_all_at(&file, &[7; 10], 0).unwrap_err().kind(), io::ErrorKind::WriteZero);
    }

    #[test]
    fn short_and_interrupted_reads_go_on_where_they_stopped() {
        let file = Scripted::new(vec![Ok(3), interrupted(), Ok(7)]);
        read_exact_at(&file, &mut [0; 10], 100).unwrap();
        assert_eq!(*file.calls.lock().unwrap(), [(10, 100), (7, 103), (7, 103)]);
        let file = Scripted::new(vec![Ok(3), Ok(0)]);
        assert_eq!(read_exact_at(&file, &mut [0; 10], 0).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_created_belongs_to_its_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("data");
        RealFs::default().create_dir(&dir).unwrap();
        RealFs::default().create_dir(&dir).unwrap();
        RealFs::default().create(&dir.join("b")).unwrap();
        RealFs::default().create(&dir.join("a")).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&dir.join("a")), 0o600);
        assert_eq!(RealFs::default().list(&dir).unwrap(), ["a", "b"]);
        assert_eq!(RealFs::default().create(&dir.join("a")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(RealFs::default().open(&dir.join("c")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(RealFs::default().create_dir(&dir.join("a")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn what_is_no_file_is_not_opened_and_a_link_to_nothing_is_not_there() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        std::fs::create_dir(path("folder")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        for name in ["folder", "pipe"] {
            assert_eq!(RealFs::default().open(&path(name)).unwrap_err().kind(), io::ErrorKind::IsADirectory);
            assert_eq!(ReadOnlyFs.open(&path(name)).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        }
        RealFs::default().create(&path("file")).unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        std::os::unix::fs::symlink(path("gone"), path("dangling")).unwrap();
        assert_eq!(RealFs::default().list(root.path()).unwrap(), ["file", "folder", "link", "pipe"]);
        assert_eq!(RealFs::default().open(&path("dangling")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_folder_is_synced_under_the_name_it_has_now() {
        let root = tempfile::tempdir().unwrap();
        let (fs, dir) = (RealFs::default(), root.path().join("folder"));
        fs.create_dir(&dir).unwrap();
        let first = fs.folder(&dir).unwrap();
        assert!(Arc::ptr_eq(&first, &fs.folder(&dir).unwrap()), "it stays open");
        std::fs::rename(&dir, root.path().join("elsewhere")).unwrap();
        assert_eq!(fs.sync_dir(&dir).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs.create_dir(&dir).unwrap();
        fs.create(&dir.join("file")).unwrap();
        fs.sync_dir(&dir).unwrap();
        assert!(!Arc::ptr_eq(&first, &fs.folder(&dir).unwrap()));
    }

    #[test]
    fn a_disk_has_some_space() {
        let space = RealFs::default().space(Path::new("/")).unwrap();
        assert!(space.total > 0 && space.free <= space.total, "{space:?}");
        assert_eq!(RealFs::default().space(Path::new("/nowhere/at/all")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_mapping_sees_what_is_written_after_it_was_made() {
        let root = tempfile::tempdir().unwrap();
        let file = RealFs::default().create(&root.path().join("f")).unwrap();
        let map = Arc::clone(&file).map(1 << 20).unwrap();
        write_all_at(&*file, b"hello", 5000).unwrap();
        assert_eq!(map.read(5000, 5, &mut Vec::new()).unwrap(), b"hello");
        assert_eq!(file.len().unwrap(), 5005);
    }
}
