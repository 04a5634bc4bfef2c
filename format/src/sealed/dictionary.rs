//! Dictionaries: distinct byte strings in byte order, found by number and by bisection.
//!
//! Entries stand in groups of [`GROUP_ENTRIES`]: of each the bytes that it shares with the one before it in its group, and the rest. A
//! second stream has the place of each group in the text.

use crate::error::Error;

use super::blocks::Input;
use super::output::Output;
use super::section::Section;
use super::varint;

/// Entries of a group; the last one has fewer. Any entry is found by reading half a group.
const GROUP_ENTRIES: u32 = 16;

/// Bytes of a group's place.
const PLACE_LEN_BYTES: u64 = 8;

/// The longest entry, in bytes: what reading one may ask for. Far above any text of a record.
const MAX_ENTRY_BYTES: usize = 1 << 20;

/// The two streams of a dictionary, and its part of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dictionary {
    pub(super) text: Section,
    pub(super) groups: Section,
    /// Where its places of groups begin, in bytes.
    pub(super) groups_start: u64,
    /// The end of its text: where the last group ends.
    pub(super) text_end: u64,
    pub(super) entries: u32,
}

/// Writes a dictionary behind what stands in the streams, and gives its number of entries.
///
/// # Errors
///
/// [`Error::Full`], [`Error::Io`].
///
/// # Panics
///
/// If entries are not growing, or one is longer than a mebibyte.
pub(super) fn write<'e>(
    output: &mut Output,
    text: Section,
    groups: Section,
    entries: impl Iterator<Item = &'e [u8]>,
) -> Result<u32, Error> {
    let (mut count, mut before, mut encoded) = (0u32, Vec::new(), Vec::new());
    for entry in entries {
        assert!(count == 0 || *before < *entry, "the entries of a dictionary grow");
        assert!(entry.len() <= MAX_ENTRY_BYTES, "an entry is at most a mebibyte long");
        let shared = if count % GROUP_ENTRIES == 0 {
            output.append(groups, &output.len(text).to_le_bytes())?;
            0
        } else {
            entry.iter().zip(&before).take_while(|(left, right)| left == right).count()
        };
        encoded.clear();
        varint::put(&mut encoded, shared as u64);
        varint::put(&mut encoded, (entry.len() - shared) as u64);
        encoded.extend_from_slice(&entry[shared..]);
        output.append(text, &encoded)?;
        before.clear();
        before.extend_from_slice(entry);
        count = count.checked_add(1).filter(|count| *count < u32::MAX).expect("a dictionary has fewer than 2^32 - 1 entries");
    }
    Ok(count)
}

impl Dictionary {
    /// The entry of code `code`, copied to `out`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`], also if there is no such code; [`Error::Io`].
    pub(super) fn entry(&self, input: &Input, code: u32, out: &mut Vec<u8>) -> Result<(), Error> {
        let Some(index) = code.checked_sub(1).filter(|index| *index < self.entries) else { return Err(input.undecodable(self.text, 0)) };
        let mut scratch = Vec::new();
        let mut last = index % GROUP_ENTRIES + 1;
        out.clear();
        self.walk(input, index / GROUP_ENTRIES, out, &mut scratch, |_| {
            last -= 1;
            last == 0
        })?;
        Ok(())
    }

    /// All entries, in order.
    ///
    /// # Errors
    ///
    /// As [`Dictionary::entry`].
    pub(super) fn all(&self, input: &Input) -> Result<Vec<Vec<u8>>, Error> {
        let (mut all, mut entry, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        for group in 0..self.entries.div_ceil(GROUP_ENTRIES) {
            entry.clear();
            self.walk(input, group, &mut entry, &mut scratch, |entry| {
                all.push(entry.to_vec());
                false
            })?;
        }
        Ok(all)
    }

    /// The code of `wanted`, if it is an entry.
    ///
    /// # Errors
    ///
    /// As [`Dictionary::entry`].
    pub(super) fn find(&self, input: &Input, wanted: &[u8]) -> Result<Option<u32>, Error> {
        let (mut entry, mut scratch) = (Vec::new(), Vec::new());
        // The last group whose first entry is not above the wanted one.
        let (mut low, mut high) = (0, self.entries.div_ceil(GROUP_ENTRIES));
        while low < high {
            let middle = low.midpoint(high);
            entry.clear();
            self.walk(input, middle, &mut entry, &mut scratch, |_| true)?;
            if entry.as_slice() <= wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let Some(group) = low.checked_sub(1) else { return Ok(None) };
        let (mut code, mut is_found) = (group * GROUP_ENTRIES, false);
        entry.clear();
        self.walk(input, group, &mut entry, &mut scratch, |entry| {
            code += 1;
            is_found = entry == wanted;
            entry >= wanted
        })?;
        Ok(is_found.then_some(code))
    }

    /// Calls `stop` with each entry of a group until it says so; `entry` holds the last one then.
    fn walk(
        &self,
        input: &Input,
        group: u32,
        entry: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
        mut stop: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Error> {
        let at = self.groups_start + u64::from(group) * PLACE_LEN_BYTES;
        let is_last = (group + 1) * GROUP_ENTRIES >= self.entries;
        let start = u64::from_le_bytes(input.array(self.groups, at, scratch)?);
        let end = if is_last { self.text_end } else { u64::from_le_bytes(input.array(self.groups, at + PLACE_LEN_BYTES, scratch)?) };
        let damage = || input.undecodable_at(self.text, start);
        if end.checked_sub(start).is_none_or(|len| len > u64::from(GROUP_ENTRIES) * (MAX_ENTRY_BYTES as u64 + 20)) {
            return Err(damage());
        }
        let mut bytes = input.read(self.text, start..end, scratch)?;
        for _ in 0..(self.entries - group * GROUP_ENTRIES).min(GROUP_ENTRIES) {
            let shared = varint::take(&mut bytes).and_then(|shared| usize::try_from(shared).ok()).filter(|shared| *shared <= entry.len());
            let rest = varint::take_bytes(&mut bytes);
            let (Some(shared), Some(rest)) = (shared, rest) else { return Err(damage()) };
            entry.truncate(shared);
            entry.extend_from_slice(rest);
            if stop(entry) {
                return Ok(());
            }
        }
        Ok(())
    }
}
