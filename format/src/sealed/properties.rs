//! The property columns of runs: a directory, and for each column its values and the codes of its rows.

use crate::error::Error;

use super::blocks::Input;
use super::codes::{self, Column};
use super::dictionary::Dictionary;
use super::header::field;
use super::runs::MAX_NAME_BYTES;
use super::section::Section;

/// Bytes of an entry of the directory.
pub(super) const ENTRY_LEN_BYTES: usize = 40;
const KEY_LEN_AT: usize = 8;
const ENTRIES_AT: usize = 12;
const GROUPS_START_AT: usize = 16;
const TEXT_END_AT: usize = 24;
const FIRST_BLOCK_AT: usize = 32;
const STRIDE_AT: usize = 36;
const _: () = assert!(STRIDE_AT + 4 == ENTRY_LEN_BYTES);

/// A property column of a run.
#[derive(Clone, Debug)]
pub(super) struct Property {
    /// Its key, in the stream of names.
    pub(super) key_start: u64,
    pub(super) key_len_bytes: u32,
    /// Its values.
    pub(super) dictionary: Dictionary,
    /// The number of its first block, and from one of its blocks to the next: as many as the run has columns.
    pub(super) first_block: u32,
    pub(super) stride: u32,
}

impl Property {
    /// The entry in the directory.
    pub(super) fn encode(&self) -> [u8; ENTRY_LEN_BYTES] {
        let mut bytes = [0; ENTRY_LEN_BYTES];
        let mut put = |at: usize, number: &[u8]| bytes[at..at + number.len()].copy_from_slice(number);
        put(0, &self.key_start.to_le_bytes());
        put(KEY_LEN_AT, &self.key_len_bytes.to_le_bytes());
        put(ENTRIES_AT, &self.dictionary.entries.to_le_bytes());
        put(GROUPS_START_AT, &self.dictionary.groups_start.to_le_bytes());
        put(TEXT_END_AT, &self.dictionary.text_end.to_le_bytes());
        put(FIRST_BLOCK_AT, &self.first_block.to_le_bytes());
        put(STRIDE_AT, &self.stride.to_le_bytes());
        bytes
    }

    /// The entry with this number in the directory.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`], [`Error::Io`].
    pub(super) fn read(input: &Input, number: u32) -> Result<Property, Error> {
        let at = u64::from(number) * ENTRY_LEN_BYTES as u64;
        let bytes: [u8; ENTRY_LEN_BYTES] = input.array(Section::PROPERTIES, at, &mut Vec::new())?;
        let number = |at: usize| u32::from_le_bytes(field(&bytes, at));
        let place = |at: usize| u64::from_le_bytes(field(&bytes, at));
        Ok(Property {
            key_start: place(0),
            key_len_bytes: number(KEY_LEN_AT),
            dictionary: Dictionary {
                text: Section::PROPERTY_TEXTS,
                groups: Section::PROPERTY_GROUPS,
                groups_start: place(GROUPS_START_AT),
                text_end: place(TEXT_END_AT),
                entries: number(ENTRIES_AT),
            },
            first_block: number(FIRST_BLOCK_AT),
            stride: number(STRIDE_AT),
        })
    }

    /// Its key.
    ///
    /// # Errors
    ///
    /// As [`Property::read`].
    pub(super) fn key(&self, input: &Input) -> Result<String, Error> {
        let damage = || input.undecodable_at(Section::NAMES, self.key_start);
        let end = self.key_start.checked_add(u64::from(self.key_len_bytes)).filter(|_| self.key_len_bytes as usize <= MAX_NAME_BYTES);
        let mut scratch = Vec::new();
        let key = input.read(Section::NAMES, self.key_start..end.ok_or_else(damage)?, &mut scratch)?;
        Ok(std::str::from_utf8(key).map_err(|_| damage())?.to_owned())
    }

    /// The numbers of its blocks in a run of `rows` rows.
    pub(super) fn block_numbers(&self, rows: u32) -> impl Iterator<Item = usize> {
        let (first, stride) = (self.first_block as usize, self.stride as usize);
        (0..(rows as usize).div_ceil(codes::BLOCK_ROWS)).map(move |number| first + number * stride)
    }

    /// Its codes in a run of `rows` rows.
    pub(super) fn column(&self, rows: u32) -> codes::Column {
        Column {
            section: Section::PROPERTY_CODES,
            first_block: self.first_block as usize,
            stride: self.stride as usize,
            rows,
            max: self.dictionary.entries,
        }
    }
}
