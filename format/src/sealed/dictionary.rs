//! Dictionaries: distinct byte strings in byte order, found by number and by bisection.
//!
//! Entries stand in groups of [`GROUP_ENTRIES`]: of each the bytes that it shares with the one before it in its group, and the rest. A
//! second stream has the place of each group in the text.

use std::ops::Range;

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
pub(super) fn write(
    output: &mut Output,
    text: Section,
    groups: Section,
    entries: impl Iterator<Item = impl AsRef<[u8]>>,
) -> Result<u32, Error> {
    let (mut count, mut before, mut encoded) = (0u32, Vec::new(), Vec::new());
    for entry in entries {
        let entry = entry.as_ref();
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

    /// The bytes of its text.
    ///
    /// # Errors
    ///
    /// As [`Dictionary::entry`].
    pub(super) fn len_bytes(&self, input: &Input) -> Result<u64, Error> {
        if self.entries == 0 {
            return Ok(0);
        }
        let start = u64::from_le_bytes(input.array(self.groups, self.groups_start, &mut Vec::new())?);
        self.text_end.checked_sub(start).ok_or_else(|| input.undecodable_at(self.text, start))
    }

    /// All entries, in order.
    ///
    /// # Errors
    ///
    /// As [`Entries::next`].
    pub(super) fn all(self, input: &Input) -> Result<Vec<Vec<u8>>, Error> {
        let (mut all, mut entries) = (Vec::new(), Entries::new(input, self));
        while let Some(entry) = entries.next()? {
            all.push(entry.to_vec());
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
        let place = self.place(input, group, scratch)?;
        let start = place.start;
        let mut bytes = input.read(self.text, place, scratch)?;
        for _ in 0..(self.entries - group * GROUP_ENTRIES).min(GROUP_ENTRIES) {
            let (shared, rest) = take(&mut bytes, entry.len()).ok_or_else(|| input.undecodable_at(self.text, start))?;
            entry.truncate(shared);
            entry.extend_from_slice(rest);
            if stop(entry) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Where a group stands in the text.
    fn place(&self, input: &Input, group: u32, scratch: &mut Vec<u8>) -> Result<Range<u64>, Error> {
        let at = self.groups_start + u64::from(group) * PLACE_LEN_BYTES;
        let is_last = (group + 1) * GROUP_ENTRIES >= self.entries;
        let start = u64::from_le_bytes(input.array(self.groups, at, scratch)?);
        let end = if is_last { self.text_end } else { u64::from_le_bytes(input.array(self.groups, at + PLACE_LEN_BYTES, scratch)?) };
        if end.checked_sub(start).is_none_or(|len| len > u64::from(GROUP_ENTRIES) * (MAX_ENTRY_BYTES as u64 + 20)) {
            return Err(input.undecodable_at(self.text, start));
        }
        Ok(start..end)
    }
}

/// Takes the next entry of a group off `bytes`: how much it shares with the one before it, which has `before` bytes, and the rest.
fn take<'b>(bytes: &mut &'b [u8], before: usize) -> Option<(usize, &'b [u8])> {
    let shared = varint::take(bytes).and_then(|shared| usize::try_from(shared).ok()).filter(|shared| *shared <= before)?;
    Some((shared, varint::take_bytes(bytes)?))
}

/// The entries of a dictionary, one after the other in the order of their codes. Memory: a group of them.
#[derive(Debug)]
pub struct Entries<'s> {
    input: &'s Input,
    dictionary: Dictionary,
    /// The code of the last one given, or 0.
    code: u32,
    entry: Vec<u8>,
    /// What is left of a group, and where it began.
    group: Vec<u8>,
    at: usize,
    group_start: u64,
}

impl<'s> Entries<'s> {
    /// Before the first one.
    pub(super) fn new(input: &'s Input, dictionary: Dictionary) -> Entries<'s> {
        Entries { input, dictionary, code: 0, entry: Vec::new(), group: Vec::new(), at: 0, group_start: 0 }
    }

    /// The next entry, whose code is one more than that of the one before and for the first one is 1.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`], also if entries do not grow; [`Error::Io`].
    #[allow(clippy::should_implement_trait)] // An entry is lent.
    pub fn next(&mut self) -> Result<Option<&[u8]>, Error> {
        if self.code == self.dictionary.entries {
            return Ok(None);
        }
        // Nothing is shared with another group.
        let is_first = self.code.is_multiple_of(GROUP_ENTRIES);
        if is_first {
            self.open_group()?;
        }
        let mut bytes = &self.group[self.at..];
        let taken = take(&mut bytes, if is_first { 0 } else { self.entry.len() });
        let grows = |(shared, rest): &(usize, &[u8])| self.code == 0 || **rest > self.entry[*shared..];
        let Some((shared, rest)) = taken.filter(grows) else {
            return Err(self.input.undecodable_at(self.dictionary.text, self.group_start));
        };
        self.entry.truncate(shared);
        self.entry.extend_from_slice(rest);
        self.at = self.group.len() - bytes.len();
        self.code += 1;
        Ok(Some(&self.entry))
    }

    fn open_group(&mut self) -> Result<(), Error> {
        let mut scratch = Vec::new();
        let place = self.dictionary.place(self.input, self.code / GROUP_ENTRIES, &mut scratch)?;
        self.group_start = place.start;
        self.at = 0;
        self.group.clear();
        self.group.extend_from_slice(self.input.read(self.dictionary.text, place, &mut scratch)?);
        Ok(())
    }
}
