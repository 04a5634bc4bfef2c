//! The file system of the operating system for those who only look: nothing can be changed through it.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{File, FileSystem, Space, open_file};

/// Opens files for reading and refuses everything else, so that a directory can be read that may not be written: another user's, or a
/// copy on a medium that is mounted read-only.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOnlyFs;

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl FileSystem for ReadOnlyFs {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        super::list(dir)
    }

    fn create(&self, _: &Path) -> io::Result<Arc<dyn File>> {
        refused()
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        open_file(OpenOptions::new().read(true), path)
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        super::space(path)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_it_opens_can_be_read_and_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"kept").unwrap();
        let mut readable = std::fs::metadata(&path).unwrap().permissions();
        readable.set_readonly(true);
        std::fs::set_permissions(&path, readable).unwrap();
        let file = ReadOnlyFs.open(&path).unwrap();
        let mut bytes = [0; 4];
        super::super::read_exact_at(&*file, &mut bytes, 0).unwrap();
        assert_eq!(bytes, *b"kept");
        assert!(file.write_at(b"lost", 0).is_err() && file.set_len(0).is_err());
        assert!(ReadOnlyFs.remove(&path).is_err() && ReadOnlyFs.rename(&path, &dir.path().join("other")).is_err());
        assert!(ReadOnlyFs.create(&dir.path().join("new")).is_err() && ReadOnlyFs.create_dir(&dir.path().join("folder")).is_err());
        assert_eq!(ReadOnlyFs.list(dir.path()).unwrap(), ["file"]);
        assert_eq!(ReadOnlyFs.open(dir.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(std::fs::read(&path).unwrap(), b"kept");
    }
}
