//! Whether a data directory stands on a file system that keeps our promises.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::error::Error;
use crate::log::growth::is_full;
use crate::map::Map;

/// File systems between machines, by the number that `statfs` answers with.
///
/// Source: `linux/magic.h` and the file systems' own headers. FUSE is not among them: it is local as often as not, and the test for
/// coherence finds those that are not.
const NETWORK_FILE_SYSTEMS: [(u32, &str); 9] = [
    (0x0000_6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x0000_517b, "SMB"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x0bd0_0bd0, "Lustre"),
];

/// Refuses network file systems.
///
/// # Errors
///
/// [`Error::NetworkFileSystem`]; [`Error::Io`].
pub(super) fn require_local(dir: &Path) -> Result<(), Error> {
    let found = rustix::fs::statfs(dir).map_err(|errno| Error::io("ask for the file system of", dir)(errno.into()))?;
    // All magic numbers have 32 bits; some architectures extend their sign.
    match network_name(found.f_type as u32) {
        Some(kind) => Err(Error::NetworkFileSystem { path: dir.to_owned(), kind }),
        None => Ok(()),
    }
}

fn network_name(number: u32) -> Option<&'static str> {
    NETWORK_FILE_SYSTEMS.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

const PAGE_BYTES: usize = 4096;

/// Refuses file systems where a mapping does not show what was written after it was made.
///
/// On a full disk there is no page to try it with; the directory was tried when it was not full.
///
/// # Errors
///
/// [`Error::Incoherent`]; [`Error::Io`].
pub(super) fn require_coherent(dir: &Path) -> Result<(), Error> {
    let path = dir.join("coherence.tmp");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).mode(0o600);
    let outcome = options.open(&path).and_then(|file| {
        file.write_all_at(&[0; PAGE_BYTES], 0)?;
        // Where nothing is mapped any more, no mapping can be stale.
        let Some(map) = Map::mapped(&file, PAGE_BYTES as u64)? else { return Ok(true) };
        shows_what_is_written(&file, &map)
    });
    let removed = std::fs::remove_file(&path);
    match outcome {
        Ok(true) => removed.map_err(Error::io("remove", &path)),
        Ok(false) => Err(Error::Incoherent { path: dir.to_owned() }),
        Err(error) if is_full(&error) => Ok(()),
        Err(error) => Err(Error::io("try a mapping of", &path)(error)),
    }
}

/// Whether the first page of `map` follows two different writes to `file`.
fn shows_what_is_written(file: &File, map: &Map) -> std::io::Result<bool> {
    let mut scratch = Vec::new();
    for byte in [0x5a, 0xa5] {
        let page = [byte; PAGE_BYTES];
        file.write_all_at(&page, 0)?;
        if map.read(0, PAGE_BYTES, &mut scratch)? != page {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn network_file_systems_are_named_and_local_ones_are_not() {
        assert_eq!(network_name(0x6969), Some("NFS"));
        assert_eq!(network_name(0x0102_1997), Some("9p"));
        for local in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x6573_5546] {
            assert_eq!(network_name(local), None, "{local:x}");
        }
    }

    #[test]
    fn a_mapping_that_does_not_follow_is_noticed() {
        let (written, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        written.set_len(PAGE_BYTES as u64).unwrap();
        other.set_len(PAGE_BYTES as u64).unwrap();
        let follows = Map::mapped(&written, PAGE_BYTES as u64).unwrap().unwrap();
        let stale = Map::mapped(&other, PAGE_BYTES as u64).unwrap().unwrap();
        assert!(shows_what_is_written(&written, &follows).unwrap());
        assert!(!shows_what_is_written(&written, &stale).unwrap());
    }

    #[test]
    fn a_local_directory_is_fine_and_left_empty() {
        let dir = tempfile::tempdir().unwrap();
        require_local(dir.path()).unwrap();
        require_coherent(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
