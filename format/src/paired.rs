//! Files written in pairs: a change, a sync, its proof, a sync. The manifest and the catalog are such files.
//!
//! Invariants:
//!
//! * A proof frame is written only after a sync that covered its change returned; [`PairedFile::append`] returns only after a sync that
//!   covered the proof did. So nothing is answered, unlinked or acted on before both are durable.
//! * Pairs follow each other without a gap: a change starts where the proof before it ends, the first one behind the header.
//! * No sector holds a part of a change and its proof: the loss of one sector is always noticed, or loses nothing.
//! * The bytes behind the last pair are zeros and synced, up to the file's length, which grows in steps of [`STEP_BYTES`] and is named by
//!   every proof: a shorter file was cut by something else.
//! * After a sync that failed nothing is appended any more: the page cache and the disk may differ, and only a start that writes
//!   everything anew makes them equal.
//!
//! So at a start what is broken above the last proof was never answered and is cut; what is whole and unproven is kept and proven; what is
//! broken below a proof is corruption, and is named. Every start writes the file anew under a temporary name ([`PairedFile::replace`]),
//! because the page cache may show what a failed sync never brought to the disk.
//!
//! Parts, in reading order: `layout` (bytes), [`Loaded`] (reading them back), `pack` (many changes in one), [`PairedFile`] (appending).

mod layout;
mod load;
mod pack;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checksum::{FileChecksum, Salt};
use crate::error::Error;
use crate::fs::{File, FileSystem, write_all_at};
use crate::log::growth::{self, GrowthFailure};
use crate::units::ByteOffset;

use layout::{HEADER_LEN_BYTES, Header, Proof, pair_end};
pub use load::{Change, Loaded, Lost};
pub(crate) use pack::{MARK, pack};

/// The longest payload of a change, in bytes.
pub const MAX_CHANGE_BYTES: usize = 4 * 1024 * 1024;

/// The longest file, in bytes: it is read whole at a start.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// What the file grows by, in bytes: about a hundred changes.
pub const STEP_BYTES: u64 = 64 * 1024;

/// A file below this length is not worth writing anew before the next start.
pub(crate) const TIDY_BYTES: u64 = 256 * 1024;

/// How many times longer it has to be than it could be.
pub(crate) const TIDY_FACTOR: u64 = 4;

/// What a paired file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Which logs are live.
    Manifest,
    /// Which sites, goals and tokens there are.
    Catalog,
}

impl FileKind {
    /// The number in the file's header.
    fn number(self) -> u32 {
        match self {
            FileKind::Manifest => 1,
            FileKind::Catalog => 2,
        }
    }

    /// What errors call it.
    fn name(self) -> &'static str {
        match self {
            FileKind::Manifest => "manifest",
            FileKind::Catalog => "catalog",
        }
    }

    /// Its name in the data directory.
    pub fn file_name(self) -> &'static str {
        match self {
            FileKind::Manifest => "manifest.log",
            FileKind::Catalog => "catalog.log",
        }
    }
}

/// Changes with their proofs, and a header before them: the bytes of a file, or a part of them.
struct Image {
    bytes: Vec<u8>,
    checksum: FileChecksum,
}

impl Image {
    fn push_pair(&mut self, payload: &[u8], durable_len: u64) {
        let change_offset = self.bytes.len() as u64;
        let change_crc = layout::encode_change(&mut self.bytes, &self.checksum, change_offset, payload);
        let proof_at = self.bytes.len() as u64;
        Proof { change_offset, durable_len, change_crc }.encode(&mut self.bytes, &self.checksum, proof_at);
    }

    /// A whole file that holds `payloads`.
    fn of_file(kind: FileKind, salt: Salt, payloads: &[impl AsRef<[u8]>]) -> Image {
        let durable_len = PairedFile::len_bytes_of(payloads).next_multiple_of(STEP_BYTES);
        let header = Header { kind, salt, durable_len };
        let mut image = Image { bytes: header.encode().to_vec(), checksum: FileChecksum::new(salt) };
        for payload in payloads {
            image.push_pair(payload.as_ref(), durable_len);
        }
        image
    }
}

/// A paired file that is open for appending.
#[derive(Debug)]
pub struct PairedFile {
    path: PathBuf,
    file: Arc<dyn File>,
    checksum: FileChecksum,
    /// The end of the last pair.
    end: u64,
    /// The file's synced length.
    durable_len: u64,
    poisoned: bool,
}

impl PairedFile {
    /// Writes a file that holds `payloads`, and gives it the name of its kind in `dir` in one step; a file that had the name is gone.
    ///
    /// Everything in it is durable when this returns. A crash before leaves the old file or the new one.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`]; [`Error::Full`] if there is no space, with the old file untouched; else [`Error::Io`], after which either
    /// file may have the name.
    pub fn replace(fs: &dyn FileSystem, dir: &Path, kind: FileKind, payloads: &[impl AsRef<[u8]>]) -> Result<PairedFile, Error> {
        let path = dir.join(kind.file_name());
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| Error::io("make a salt for", &path)(io::Error::other(error)))?;
        for payload in payloads {
            check_len(&path, payload.as_ref().len() as u64, MAX_CHANGE_BYTES as u64)?;
        }
        let mut image = Image::of_file(kind, salt, payloads);
        let end = image.bytes.len() as u64;
        let durable_len = end.next_multiple_of(STEP_BYTES);
        check_len(&path, durable_len, MAX_FILE_BYTES)?;
        image.bytes.resize(usize::try_from(durable_len).expect("below the limit of a file"), 0);

        let temporary = dir.join(format!("{}.tmp", kind.file_name()));
        match fs.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", &temporary)(error)),
            _ => {}
        }
        let file = match write_file(fs, &temporary, &image.bytes) {
            Ok(file) => file,
            Err(source) => {
                // Given back at once, because others may need the space; the next start removes the name in any case.
                let _ = fs.remove(&temporary);
                return Err(full_or("write", &temporary, source));
            }
        };
        fs.rename(&temporary, &path).map_err(|source| full_or("rename", &temporary, source))?;
        fs.sync_dir(dir).map_err(Error::io("sync", dir))?;
        Ok(PairedFile { path, file, checksum: image.checksum, end, durable_len, poisoned: false })
    }

    /// How long a file with these payloads is, without the zeros behind them.
    pub fn len_bytes_of(payloads: &[impl AsRef<[u8]>]) -> u64 {
        payloads.iter().fold(HEADER_LEN_BYTES as u64, |at, payload| pair_end(at, payload.as_ref()))
    }

    /// How long the file is, without the zeros behind the last pair.
    pub fn len_bytes(&self) -> u64 {
        self.end
    }

    /// Appends a change; it is durable and proven when this returns its offset.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] and [`Error::Full`]: the change is not in the file, and another may be tried. Everything else is final, and
    /// whether the change is in the file shows at the next start; from then on [`Error::Poisoned`].
    pub fn append(&mut self, payload: &[u8]) -> Result<ByteOffset, Error> {
        if self.poisoned {
            return Err(Error::Poisoned { path: self.path.clone() });
        }
        check_len(&self.path, payload.len() as u64, MAX_CHANGE_BYTES as u64)?;
        let end = pair_end(self.end, payload);
        check_len(&self.path, end, MAX_FILE_BYTES)?;
        self.grow(end)?;

        let mut change = Vec::new();
        let change_crc = layout::encode_change(&mut change, &self.checksum, self.end, payload);
        if let Err(source) = write_all_at(&*self.file, &change, self.end) {
            let error = full_or("append to", &self.path, source);
            // Without space a part of the change may stand there. The next change overwrites it; a crash before leaves a torn tail.
            self.poisoned = !matches!(error, Error::Full { .. });
            return Err(error);
        }
        // From here on nothing that fails can be taken back.
        self.poisoned = true;
        self.file.sync_data().map_err(Error::io("sync", &self.path))?;
        let proof_at = self.end + change.len() as u64;
        let mut proof = Vec::new();
        Proof { change_offset: self.end, durable_len: self.durable_len, change_crc }.encode(&mut proof, &self.checksum, proof_at);
        write_all_at(&*self.file, &proof, proof_at).map_err(Error::io("append to", &self.path))?;
        self.file.sync_data().map_err(Error::io("sync", &self.path))?;
        self.poisoned = false;
        Ok(ByteOffset::new(std::mem::replace(&mut self.end, end)))
    }

    /// Makes room up to `end`: zeros, synced.
    fn grow(&mut self, end: u64) -> Result<(), Error> {
        let wanted = end.next_multiple_of(STEP_BYTES);
        if wanted <= self.durable_len {
            return Ok(());
        }
        match growth::grow_step(&*self.file, self.durable_len, wanted) {
            Ok(()) => {
                self.durable_len = wanted;
                Ok(())
            }
            Err(GrowthFailure::Full(number)) => Err(Error::Full { path: self.path.clone(), source: io::Error::from_raw_os_error(number) }),
            Err(GrowthFailure::Final(number)) => {
                self.poisoned = true;
                Err(Error::io("grow", &self.path)(io::Error::from_raw_os_error(number)))
            }
        }
    }
}

/// Creates a file with these bytes and syncs it.
fn write_file(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> io::Result<Arc<dyn File>> {
    let file = fs.create(path)?;
    write_all_at(&*file, bytes, 0)?;
    file.sync_data()?;
    Ok(file)
}

fn full_or(operation: &'static str, path: &Path, source: io::Error) -> Error {
    match growth::is_full(&source) {
        true => Error::Full { path: path.to_owned(), source },
        false => Error::Io { operation, path: path.to_owned(), source },
    }
}

fn check_len(path: &Path, len_bytes: u64, max_bytes: u64) -> Result<(), Error> {
    if len_bytes > max_bytes {
        return Err(Error::TooLarge { path: path.to_owned(), len_bytes, max_bytes });
    }
    Ok(())
}

#[cfg(all(test, not(loom)))]
mod crash_tests;
#[cfg(all(test, not(loom)))]
mod damage_tests;
