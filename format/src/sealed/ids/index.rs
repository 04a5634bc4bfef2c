//! The index of event ids: from a hash to the rows that may have the id.
//!
//! Entries are sorted by hash. With `n` of them there are `n / 8` *buckets*, rounded up: bucket and *remainder* of a hash are the upper
//! bits and the next 16 bits of its product with the number of buckets, so both are in the order of the hashes. An entry is its
//! remainder and its row; a directory says where each bucket starts. How many entries there are follows from the length of the
//! stream, and all other numbers follow from that.
//!
//! An absent hash meets one of its bucket's eight remainders by chance in one of 8,192 cases; then the id itself is compared.

use crate::error::Error;
use crate::sealed::blocks::Block;
use crate::sealed::section::Section;
use crate::sealed::spill::{Entry, Spill};

use super::filter::{self, FilterBuilder};
use super::stream::{Sink, Source};
use super::{Hashed, IdKey};

/// Entries of a bucket, on average.
const BUCKET_ENTRIES: u32 = 8;

const REMAINDER_BYTES: u64 = 2;

/// Up to this many rows, an entry's row has 3 bytes, else 4.
const NARROW_ROWS: u32 = 1 << 24;

/// Behind the key, a directory has one place for each bucket and one for the end of the last one.
const PLACE_BYTES: u64 = 4;

/// Hashes are gathered by their upper bits, so that they are sorted in caches, and part by part where there are many.
const PARTS: usize = 256;

/// The numbers that follow from how many rows and entries there are.
#[derive(Clone, Copy, Debug)]
struct Layout {
    rows: u32,
    ids: u32,
    buckets: u32,
    entry_bytes: u64,
}

impl Layout {
    fn new(rows: u32, ids: u32) -> Layout {
        Layout { rows, ids, buckets: ids.div_ceil(BUCKET_ENTRIES), entry_bytes: entry_bytes(rows) }
    }

    /// Bucket and remainder of a hash.
    fn place(&self, hash: u64) -> (u32, u16) {
        let product = u128::from(hash) * u128::from(self.buckets);
        ((product >> 64) as u32, (product >> 48) as u16)
    }

    fn directory_bytes(&self) -> u64 {
        IdKey::LEN_BYTES as u64 + (u64::from(self.buckets) + 1) * PLACE_BYTES
    }
}

fn entry_bytes(rows: u32) -> u64 {
    REMAINDER_BYTES + if rows <= NARROW_ROWS { 3 } else { 4 }
}

/// Writes index, directory and filter.
#[derive(Debug)]
pub(super) struct IndexBuilder {
    parts: Vec<Part>,
    /// In memory.
    held: usize,
    ids: u32,
}

/// Ids whose hashes have the same upper bits.
#[derive(Clone, Debug, Default)]
struct Part {
    /// The upper and the lower half of a hash, and the row: 12 bytes, where a `u64` beside a `u32` would take 16.
    held: Vec<Entry>,
    /// More of the same.
    aside: Vec<Block>,
}

impl Default for IndexBuilder {
    fn default() -> Self {
        IndexBuilder { parts: vec![Part::default(); PARTS], held: 0, ids: 0 }
    }
}

impl IndexBuilder {
    pub(super) fn is_empty(&self) -> bool {
        self.ids == 0
    }

    /// Takes the hash of a row's id.
    ///
    /// # Errors
    ///
    /// Those of [`Spill::push`].
    pub(super) fn push(&mut self, spill: &mut Spill<'_>, hash: u64, row: u32) -> Result<(), Error> {
        if spill.is_due(self.held) {
            for part in self.parts.iter_mut().filter(|part| !part.held.is_empty()) {
                part.aside.push(spill.push(&part.held)?);
                part.held.clear();
            }
            self.held = 0;
        }
        let part = &mut self.parts[(hash >> 56) as usize].held;
        if part.len() == part.capacity() {
            // Not doubled: that would take up to twice the memory.
            part.reserve_exact(part.len() / 4 + 4);
        }
        part.push([(hash >> 32) as u32, hash as u32, row]);
        self.held += 1;
        self.ids += 1;
        Ok(())
    }

    /// Writes all of it, for a segment of `rows` rows; a part's memory is freed when it is written.
    pub(super) fn finish(self, sink: &mut impl Sink, spill: &mut Spill<'_>, key: IdKey, rows: u32) -> Result<(), Error> {
        let layout = Layout::new(rows, self.ids);
        let mut filter = FilterBuilder::new(self.ids);
        sink.append(Section::ID_DIRECTORY, &key.0)?;
        // Buckets whose start is written, and entries.
        let (mut started, mut written) = (0, 0u32);
        for Part { held: mut part, aside } in self.parts {
            for piece in &aside {
                spill.read(piece, &mut part)?;
            }
            part.sort_unstable();
            for [upper, lower, row] in part {
                let hash = u64::from(upper) << 32 | u64::from(lower);
                let (bucket, remainder) = layout.place(hash);
                while started <= bucket {
                    sink.append(Section::ID_DIRECTORY, &written.to_le_bytes())?;
                    started += 1;
                }
                let mut entry = [0; 6];
                entry[..2].copy_from_slice(&remainder.to_le_bytes());
                entry[2..].copy_from_slice(&row.to_le_bytes());
                sink.append(Section::ID_INDEX, &entry[..layout.entry_bytes as usize])?;
                filter.push(sink, hash)?;
                written += 1;
            }
        }
        while started <= layout.buckets {
            sink.append(Section::ID_DIRECTORY, &written.to_le_bytes())?;
            started += 1;
        }
        filter.finish(sink)
    }
}

/// The key of the hashes in `source`; none if there are no ids.
pub(super) fn key(source: &impl Source) -> Result<Option<IdKey>, Error> {
    if source.len(Section::ID_INDEX) == 0 {
        return Ok(None);
    }
    Ok(Some(IdKey(source.array(Section::ID_DIRECTORY, 0, &mut Vec::new())?)))
}

/// The rows that may have one of the ids with these hashes, which are sorted; each with the number of its id.
pub(super) fn candidates(source: &impl Source, rows: u32, hashes: &[Hashed]) -> Result<Vec<(u32, u32)>, Error> {
    let mut candidates = Vec::new();
    let Some(layout) = layout(source, rows)? else { return Ok(candidates) };
    let mut scratch = Vec::new();
    for (hash, number) in filter::passing(source, layout.ids, hashes)? {
        look_up(source, layout, hash, &mut scratch, |row| candidates.push((row, number)))?;
    }
    Ok(candidates)
}

/// How many entries the index has, if its directory and its entries grow; else where the first one stands that does not.
pub(super) fn check_order(source: &impl Source, rows: u32) -> Result<Result<u32, u32>, Error> {
    let Some(layout) = layout(source, rows)? else { return Ok(Ok(0)) };
    let mut scratch = Vec::new();
    let mut place = |bucket: u32| -> Result<u32, Error> {
        let at = IdKey::LEN_BYTES as u64 + u64::from(bucket) * PLACE_BYTES;
        Ok(u32::from_le_bytes(source.array(Section::ID_DIRECTORY, at, &mut scratch)?))
    };
    let (mut start, mut entries) = (place(0)?, Vec::new());
    if start != 0 || place(layout.buckets)? != layout.ids {
        return Ok(Err(start));
    }
    for bucket in 1..=layout.buckets {
        let end = place(bucket)?;
        if start > end || end > layout.ids {
            return Ok(Err(end));
        }
        let bytes = u64::from(start) * layout.entry_bytes..u64::from(end) * layout.entry_bytes;
        let mut before = None;
        for (at, entry) in (start..).zip(source.read(Section::ID_INDEX, bytes, &mut entries)?.chunks_exact(layout.entry_bytes as usize)) {
            // A remainder says no more of the order of two hashes than its own bits.
            let remainder = u16::from_le_bytes([entry[0], entry[1]]);
            if before > Some(remainder) {
                return Ok(Err(at));
            }
            before = Some(remainder);
        }
        start = end;
    }
    Ok(Ok(layout.ids))
}

/// What stands in `source`, if its lengths agree.
fn layout(source: &impl Source, rows: u32) -> Result<Option<Layout>, Error> {
    let len = source.len(Section::ID_INDEX);
    if len == 0 {
        return Ok(None);
    }
    let undecodable = |stream| source.undecodable(stream, 0);
    let ids = u32::try_from(len / entry_bytes(rows)).ok().filter(|ids| *ids <= rows && len.is_multiple_of(entry_bytes(rows)));
    let layout = Layout::new(rows, ids.ok_or_else(|| undecodable(Section::ID_INDEX))?);
    if source.len(Section::ID_DIRECTORY) != layout.directory_bytes() {
        return Err(undecodable(Section::ID_DIRECTORY));
    }
    if source.len(Section::ID_FILTER) != filter::len_bytes(layout.ids) {
        return Err(undecodable(Section::ID_FILTER));
    }
    Ok(Some(layout))
}

fn look_up(source: &impl Source, layout: Layout, hash: u64, scratch: &mut Vec<u8>, mut visit: impl FnMut(u32)) -> Result<(), Error> {
    let (bucket, remainder) = layout.place(hash);
    let at = IdKey::LEN_BYTES as u64 + u64::from(bucket) * PLACE_BYTES;
    let places: [u8; 2 * PLACE_BYTES as usize] = source.array(Section::ID_DIRECTORY, at, scratch)?;
    let (places, _) = places.as_chunks();
    let [start, end] = [0, 1].map(|at| u32::from_le_bytes(places[at]));
    if start > end || end > layout.ids {
        return Err(source.undecodable(Section::ID_DIRECTORY, at));
    }
    let (start, end) = (u64::from(start) * layout.entry_bytes, u64::from(end) * layout.entry_bytes);
    let entries = source.read(Section::ID_INDEX, start..end, scratch)?;
    for entry in entries.chunks_exact(layout.entry_bytes as usize) {
        if entry[..2] != remainder.to_le_bytes() {
            continue;
        }
        let mut row = [0; 4];
        row[..entry.len() - 2].copy_from_slice(&entry[2..]);
        let row = u32::from_le_bytes(row);
        if row >= layout.rows {
            return Err(source.undecodable(Section::ID_INDEX, start));
        }
        visit(row);
    }
    Ok(())
}
