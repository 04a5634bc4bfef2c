//! Reading a paired file back, and telling a torn tail from corruption.
//!
//! With `E` the end of the pairs that follow each other from the header on, and `D` the place of the last valid proof frame anywhere in
//! the file, found by looking into every sector, also behind damage:
//!
//! * `E` > `D`: what follows was never answered. A whole change there is kept: whoever asked for it was told that its outcome is unknown.
//! * `E` ≤ `D`: the bytes from `E` to the next change that its proof vouches for are corruption; reading resumes there.
//! * A whole change whose own proof is broken below `D` is kept: the next change was only written after that proof was synced.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use crate::checksum::FileChecksum;
use crate::error::{Corruption, Damage, Error};
use crate::frame;
use crate::fs::{File, FileSystem, read_exact_at, write_all_at};
use crate::units::{ByteOffset, Sequence};

use super::layout::{self, ChangeFrame, HEADER_LEN_BYTES, Header, PROOF_ALIGNMENT, PROOF_LEN_BYTES, Proof};
use super::{FileKind, MAX_FILE_BYTES, PairedFile, check_len, full_or, pack};

/// One change of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// Where its frame starts.
    pub offset: ByteOffset,
    /// What was appended.
    pub payload: Vec<u8>,
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Payloads can hold secrets.
        write!(f, "Change({}, {} bytes)", self.offset, self.payload.len())
    }
}

impl AsRef<[u8]> for Change {
    fn as_ref(&self) -> &[u8] {
        &self.payload
    }
}

/// A range that is lost, and what is wrong with its first bytes.
#[derive(Debug)]
pub struct Lost {
    /// The first byte that is not vouched for.
    pub from: ByteOffset,
    /// The byte behind the last one.
    pub end: ByteOffset,
    /// Why.
    pub source: Corruption,
}

/// What a paired file holds.
pub struct Loaded {
    /// The changes, in the order they were appended. Those of the catalog that stand in one frame have its offset.
    pub changes: Vec<Change>,
    /// What is lost of those that were proven; empty if nothing is.
    pub lost: Vec<Lost>,
    /// Proof frames and padding that were damaged, though every change is there.
    pub mended: Vec<Range<ByteOffset>>,
    /// Bytes of a torn tail, up to the last that is not zero.
    pub torn_bytes: u64,
    /// Whether the last change had no proof.
    pub is_last_unproven: bool,
    path: PathBuf,
    kind: FileKind,
    file: Arc<dyn File>,
    image: Vec<u8>,
    checksum: FileChecksum,
    /// The end of the last pair, or where the proof of an unproven change belongs.
    end: u64,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("path", &self.path).field("changes", &self.changes.len()).finish_non_exhaustive()
    }
}

impl Loaded {
    /// Reads the file of this kind in `dir`; none if there is no such file. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the header is damaged or of another version: nothing in the file can be verified then. [`Error::TooLarge`];
    /// [`Error::Io`]. Damage behind the header is not an error but part of the answer.
    pub fn read(fs: &dyn FileSystem, dir: &Path, kind: FileKind) -> Result<Option<Loaded>, Error> {
        Loaded::read_at(fs, dir.join(kind.file_name()), kind)
    }

    /// Reads a file of this kind wherever it is: [`Loaded::read`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn read_at(fs: &dyn FileSystem, path: PathBuf, kind: FileKind) -> Result<Option<Loaded>, Error> {
        let file = match fs.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.map_err(Error::io("open", &path))?,
        };
        let len = file.len().map_err(Error::io("read", &path))?;
        check_len(&path, len, MAX_FILE_BYTES)?;
        let mut image = vec![0; usize::try_from(len).expect("below the limit of a file")];
        read_exact_at(&*file, &mut image, 0).map_err(Error::io("read", &path))?;
        let (checksum, mut found) = match parse(&image, kind) {
            Ok(found) => found,
            Err(source) => return Err(Error::Corrupt { path, offset: ByteOffset::new(0), source }),
        };
        if kind == FileKind::Catalog {
            found.unpack();
        }
        Ok(Some(Loaded {
            changes: found.changes,
            lost: found.lost,
            mended: found.mended,
            torn_bytes: found.torn_bytes,
            is_last_unproven: found.is_last_unproven,
            path,
            kind,
            file,
            checksum,
            end: found.end,
            image,
        }))
    }

    /// What is lost, as reports name it.
    pub fn damage(&self) -> Vec<Damage> {
        let none = (Sequence::FIRST, Sequence::FIRST);
        let damage = |lost: &Lost| Damage {
            file: self.kind.file_name().to_owned(),
            from: lost.from,
            end: lost.end,
            sequences: none,
            times: (None, None),
        };
        self.lost.iter().map(damage).collect()
    }

    /// What was not as it should be though nothing is lost, as sentences for the operator.
    pub fn notes(&self) -> Vec<String> {
        let name = self.kind.file_name();
        let mut notes: Vec<String> = self
            .mended
            .iter()
            .map(|range| format!("{name} was damaged from byte {} to {}; nothing is lost", range.start, range.end))
            .collect();
        if self.torn_bytes > 0 {
            notes.push(format!("{name} ended in {} bytes of a change that was never answered; they are dropped", self.torn_bytes));
        }
        notes
    }

    /// Refuses a file of which anything is lost.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] with the first range.
    pub fn require_undamaged(mut self) -> Result<Loaded, Error> {
        if self.lost.is_empty() {
            return Ok(self);
        }
        let first = self.lost.swap_remove(0);
        Err(Error::Corrupt { path: self.path, offset: first.from, source: first.source })
    }

    /// Writes the file anew with `payloads`; then it takes appends.
    ///
    /// `payloads` are the changes of this file, or others that add up to the same. If there is no space for a second file and nothing in
    /// this one is damaged, it is written in place with the changes it has.
    ///
    /// # Errors
    ///
    /// As [`PairedFile::replace`]; [`Error::Full`] only if the file cannot be left as it is.
    pub fn settle(self, fs: &dyn FileSystem, dir: &Path, payloads: &[impl AsRef<[u8]>]) -> Result<PairedFile, Error> {
        match PairedFile::replace(fs, dir, self.kind, payloads) {
            Err(Error::Full { .. }) if self.lost.is_empty() && self.mended.is_empty() => self.rewrite_in_place(),
            result => result,
        }
    }

    /// Makes what was read durable without taking space: the same bytes, zeros for a torn tail, and the proof that is missing.
    fn rewrite_in_place(mut self) -> Result<PairedFile, Error> {
        let end = usize::try_from(self.end).expect("below the limit of a file");
        self.image.get_mut(end..).unwrap_or_default().fill(0);
        let refused = |source| full_or("write", &self.path, source);
        write_all_at(&*self.file, &self.image, 0).map_err(refused)?;
        self.file.sync_data().map_err(Error::io("sync", &self.path))?;
        let mut file = PairedFile {
            path: self.path,
            file: self.file,
            checksum: self.checksum,
            end: self.end,
            durable_len: self.image.len() as u64,
            poisoned: false,
        };
        if let Some(last) = self.changes.last().filter(|_| self.is_last_unproven) {
            // The change was complete in a file that was not: its proof may pass the end.
            let change_crc = layout::decode_change(&self.image, &file.checksum, last.offset.value()).map_or(0, |change| change.crc);
            file.grow(self.end + PROOF_LEN_BYTES as u64)?;
            let mut proof = Vec::new();
            Proof { change_offset: last.offset.value(), durable_len: file.durable_len, change_crc }.encode(
                &mut proof,
                &file.checksum,
                self.end,
            );
            write_all_at(&*file.file, &proof, self.end).map_err(|source| full_or("write", &file.path, source))?;
            file.file.sync_data().map_err(Error::io("sync", &file.path))?;
            file.end += PROOF_LEN_BYTES as u64;
        }
        Ok(file)
    }
}

/// What the bytes of a whole file hold.
pub(super) fn parse(image: &[u8], kind: FileKind) -> Result<(FileChecksum, Found), Corruption> {
    let header = Header::decode(image, kind)?;
    let checksum = FileChecksum::new(header.salt);
    let found = Walk::new(image, &checksum).run(header.durable_len);
    Ok((checksum, found))
}

/// What a walk over a file finds; see [`Loaded`].
#[derive(Default)]
pub(super) struct Found {
    pub(super) changes: Vec<Change>,
    pub(super) lost: Vec<Lost>,
    pub(super) mended: Vec<Range<ByteOffset>>,
    pub(super) torn_bytes: u64,
    pub(super) is_last_unproven: bool,
    end: u64,
}

impl Found {
    /// Puts what packs hold in their place. One that cannot be unpacked is lost.
    fn unpack(&mut self) {
        let mut changes = Vec::with_capacity(self.changes.len());
        for Change { offset, payload } in std::mem::take(&mut self.changes) {
            let end = ByteOffset::new(offset.value() + (frame::HEADER_LEN_BYTES + payload.len()) as u64);
            match pack::unpacked(payload) {
                Some(payloads) => changes.extend(payloads.into_iter().map(|payload| Change { offset, payload })),
                None => self.lost.push(Lost { from: offset, end, source: Corruption::Payload { what: "catalog" } }),
            }
        }
        self.changes = changes;
    }
}

/// One pass over the bytes of a file.
struct Walk<'a> {
    image: &'a [u8],
    checksum: &'a FileChecksum,
    /// Every valid proof frame and where it stands, in file order.
    proofs: Vec<(u64, Proof)>,
    found: Found,
}

impl<'a> Walk<'a> {
    fn new(image: &'a [u8], checksum: &'a FileChecksum) -> Walk<'a> {
        let mut proofs = Vec::new();
        for at in (PROOF_ALIGNMENT..image.len()).step_by(PROOF_ALIGNMENT) {
            proofs.extend(Proof::decode(&image[at..], checksum, at as u64).map(|proof| (at as u64, proof)));
        }
        Walk { image, checksum, proofs, found: Found { end: HEADER_LEN_BYTES as u64, ..Found::default() } }
    }

    fn change_at(&self, offset: u64) -> Result<ChangeFrame<'a>, Corruption> {
        layout::decode_change(self.image, self.checksum, offset)
    }

    fn run(mut self, header_durable_len: u64) -> Found {
        let last_proof_at = self.proofs.last().map_or(0, |(at, _)| *at);
        while self.found.end <= last_proof_at {
            match self.change_at(self.found.end) {
                Ok(change) => self.keep_below_a_proof(&change),
                Err(source) => self.lose(source),
            }
        }
        if let Ok(change) = self.change_at(self.found.end) {
            self.push(&change);
            self.found.is_last_unproven = true;
            self.found.end = change.proof_at();
        }
        self.judge_the_end(header_durable_len);
        self.found
    }

    /// Takes over a whole change that has a valid proof behind it: its own, or a later one.
    fn keep_below_a_proof(&mut self, change: &ChangeFrame<'a>) {
        let start = self.found.end;
        let proof_at = change.proof_at();
        let pair_end = proof_at + PROOF_LEN_BYTES as u64;
        match self.proofs.binary_search_by_key(&proof_at, |(at, _)| *at) {
            Ok(found) if self.proofs[found].1 != self.proof_of(start, change, self.proofs[found].1.durable_len) => {
                self.found.lost.push(Lost { from: ByteOffset::new(start), end: ByteOffset::new(pair_end), source: Corruption::Proof });
            }
            Ok(_) => {
                self.push(change);
                let padding = &self.image[change.end as usize..proof_at as usize];
                if padding.iter().any(|byte| *byte != 0) {
                    self.found.mended.push(ByteOffset::new(change.end)..ByteOffset::new(proof_at));
                }
            }
            Err(_) => {
                self.push(change);
                self.found.mended.push(ByteOffset::new(change.end)..ByteOffset::new(pair_end));
            }
        }
        self.found.end = pair_end;
    }

    fn proof_of(&self, change_offset: u64, change: &ChangeFrame<'_>, durable_len: u64) -> Proof {
        Proof { change_offset, durable_len, change_crc: change.crc }
    }

    /// Steps over damage, to the next change that its own proof vouches for.
    fn lose(&mut self, source: Corruption) {
        let start = self.found.end;
        let next = self.proofs.iter().find(|(at, _)| *at >= start).expect("the last proof stands above");
        let (proof_at, proof) = *next;
        let is_whole = proof.change_offset > start
            && self.change_at(proof.change_offset).is_ok_and(|change| change.proof_at() == proof_at && change.crc == proof.change_crc);
        let end = if is_whole { proof.change_offset } else { proof_at + PROOF_LEN_BYTES as u64 };
        self.found.lost.push(Lost { from: ByteOffset::new(start), end: ByteOffset::new(end), source });
        self.found.end = end;
    }

    fn push(&mut self, change: &ChangeFrame<'_>) {
        let offset = ByteOffset::new(self.found.end);
        self.found.changes.push(Change { offset, payload: change.payload.to_vec() });
    }

    /// Decides what stands behind the last pair.
    fn judge_the_end(&mut self, header_durable_len: u64) {
        let len_bytes = self.image.len() as u64;
        // The proof of a whole change may lie behind the end of the file.
        let end = self.found.end.min(len_bytes);
        let tail = &self.image[usize::try_from(end).expect("at most the image's length")..];
        self.found.torn_bytes = tail.iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1);
        let durable_len = self.proofs.iter().map(|(_, proof)| proof.durable_len).fold(header_durable_len, u64::max);
        if len_bytes < durable_len {
            let source = Corruption::CutShort { len_bytes, durable_len };
            self.found.lost.push(Lost { from: ByteOffset::new(end), end: ByteOffset::new(durable_len), source });
        }
    }
}
