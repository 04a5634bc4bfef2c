//! The directory of runs, searched where it stands.

use std::ops::Range;

use crate::error::Error;
use crate::record::Kind;
use crate::units::{SiteId, UnixMicros};

use super::blocks::Input;
use super::header::field;
use super::section::Section;

/// Bytes of an entry. One more than there are runs: the last says where the others end.
pub(super) const ENTRY_LEN_BYTES: usize = 96;

const KIND_AT: usize = 16;
const NAME_LEN_AT: usize = 20;
const NAME_AT: usize = 24;
const FIRST_TIME_AT: usize = 32;
const LAST_TIME_AT: usize = 40;
const FIRST_ROW_AT: usize = 48;
const FIRST_PROPERTY_AT: usize = 52;
const LONG_LINKS_AT: usize = 56;
const POSTINGS_AT: usize = 60;
const LONG_LINKS_START_AT: usize = 64;
const SESSIONS_START_AT: usize = 72;
const POSTINGS_START_AT: usize = 80;
const POSTING_GROUPS_START_AT: usize = 88;
const _: () = assert!(POSTING_GROUPS_START_AT + 8 == ENTRY_LEN_BYTES);

/// The longest name, in bytes: what reading one may ask for. Far above that of a record.
pub(super) const MAX_NAME_BYTES: usize = 128 * 1024;

/// The rows of one (site, kind, name).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The site.
    pub site: SiteId,
    /// The kind.
    pub kind: Kind,
    /// The name.
    pub name: String,
    /// Its rows, never empty.
    pub rows: Range<u32>,
    /// The times of its first and last row.
    pub times: (UnixMicros, UnixMicros),
    /// Its place among the runs.
    pub number: u32,
}

/// What the directory says of a run, in raw numbers. Each start is the end of the run before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) site: [u8; 16],
    pub(super) kind: u8,
    /// The name, in the stream of names.
    pub(super) name_start: u64,
    pub(super) name_len_bytes: u32,
    pub(super) times: (i64, i64),
    pub(super) first_row: u32,
    /// In the directory of property columns.
    pub(super) first_property: u32,
    pub(super) long_links: u32,
    pub(super) postings: u32,
    pub(super) long_links_start: u64,
    pub(super) sessions_start: u64,
    pub(super) postings_start: u64,
    /// In bytes.
    pub(super) posting_groups_start: u64,
}

impl Entry {
    pub(super) fn encode(&self) -> [u8; ENTRY_LEN_BYTES] {
        let mut bytes = [0; ENTRY_LEN_BYTES];
        bytes[..KIND_AT].copy_from_slice(&self.site);
        bytes[KIND_AT] = self.kind;
        let mut put = |at: usize, number: &[u8]| bytes[at..at + number.len()].copy_from_slice(number);
        put(NAME_LEN_AT, &self.name_len_bytes.to_le_bytes());
        put(NAME_AT, &self.name_start.to_le_bytes());
        put(FIRST_TIME_AT, &self.times.0.to_le_bytes());
        put(LAST_TIME_AT, &self.times.1.to_le_bytes());
        put(FIRST_ROW_AT, &self.first_row.to_le_bytes());
        put(FIRST_PROPERTY_AT, &self.first_property.to_le_bytes());
        put(LONG_LINKS_AT, &self.long_links.to_le_bytes());
        put(POSTINGS_AT, &self.postings.to_le_bytes());
        put(LONG_LINKS_START_AT, &self.long_links_start.to_le_bytes());
        put(SESSIONS_START_AT, &self.sessions_start.to_le_bytes());
        put(POSTINGS_START_AT, &self.postings_start.to_le_bytes());
        put(POSTING_GROUPS_START_AT, &self.posting_groups_start.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; ENTRY_LEN_BYTES]) -> Entry {
        let number = |at: usize| u32::from_le_bytes(field(bytes, at));
        let place = |at: usize| u64::from_le_bytes(field(bytes, at));
        let time = |at: usize| i64::from_le_bytes(field(bytes, at));
        Entry {
            site: field(bytes, 0),
            kind: bytes[KIND_AT],
            name_start: place(NAME_AT),
            name_len_bytes: number(NAME_LEN_AT),
            times: (time(FIRST_TIME_AT), time(LAST_TIME_AT)),
            first_row: number(FIRST_ROW_AT),
            first_property: number(FIRST_PROPERTY_AT),
            long_links: number(LONG_LINKS_AT),
            postings: number(POSTINGS_AT),
            long_links_start: place(LONG_LINKS_START_AT),
            sessions_start: place(SESSIONS_START_AT),
            postings_start: place(POSTINGS_START_AT),
            posting_groups_start: place(POSTING_GROUPS_START_AT),
        }
    }
}

/// The directory of `runs` runs over `rows` rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs<'s> {
    pub(super) input: &'s Input,
    pub(super) runs: u32,
    pub(super) rows: u32,
}

impl Runs<'_> {
    /// The entry of a run, or the one behind the last.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`], [`Error::Io`].
    pub(super) fn entry(&self, number: u32) -> Result<Entry, Error> {
        let at = u64::from(number) * ENTRY_LEN_BYTES as u64;
        Ok(Entry::decode(&self.input.array(Section::RUNS, at, &mut Vec::new())?))
    }

    /// A run.
    ///
    /// # Errors
    ///
    /// As [`Runs::entry`].
    pub(super) fn run(&self, number: u32) -> Result<Run, Error> {
        let (entry, next) = (self.entry(number)?, self.entry(number + 1)?);
        let damage = || self.input.undecodable_at(Section::RUNS, u64::from(number) * ENTRY_LEN_BYTES as u64);
        let mut scratch = Vec::new();
        let name = self.name(&entry, &mut scratch)?;
        let times = UnixMicros::new(entry.times.0).zip(UnixMicros::new(entry.times.1));
        let rows = entry.first_row..next.first_row;
        if rows.is_empty() || rows.end > self.rows {
            return Err(damage());
        }
        Ok(Run {
            site: SiteId::new(entry.site),
            kind: kind_of(entry.kind).ok_or_else(damage)?,
            name: std::str::from_utf8(name).map_err(|_| damage())?.to_owned(),
            rows,
            times: times.ok_or_else(damage)?,
            number,
        })
    }

    /// The site and the rows of the run that `row` is in.
    ///
    /// # Errors
    ///
    /// As [`Runs::entry`].
    pub(super) fn around(&self, row: u32) -> Result<(SiteId, Range<u32>), Error> {
        // Of runs `low..=high`, the last one that starts at or below the row.
        let (mut low, mut high) = (0, self.runs.saturating_sub(1));
        while low < high {
            let middle = high - (high - low) / 2;
            if self.entry(middle)?.first_row <= row {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        let (entry, next) = (self.entry(low)?, self.entry(low + 1)?);
        let rows = entry.first_row..next.first_row;
        if !rows.contains(&row) {
            return Err(self.input.undecodable_at(Section::RUNS, u64::from(low) * ENTRY_LEN_BYTES as u64));
        }
        Ok((SiteId::new(entry.site), rows))
    }

    /// The number of the first run at or behind (site, kind, name).
    ///
    /// # Errors
    ///
    /// As [`Runs::entry`].
    pub(super) fn lower_bound(&self, site: SiteId, kind: u8, name: &[u8]) -> Result<u32, Error> {
        let (mut low, mut high, mut scratch) = (0, self.runs, Vec::new());
        while low < high {
            let middle = low.midpoint(high);
            let entry = self.entry(middle)?;
            let order = (entry.site, entry.kind).cmp(&(site.bytes(), kind));
            if order.is_lt() || order.is_eq() && self.name(&entry, &mut scratch)? < name {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn name<'b>(&'b self, entry: &Entry, scratch: &'b mut Vec<u8>) -> Result<&'b [u8], Error> {
        let end = entry.name_start.checked_add(u64::from(entry.name_len_bytes));
        let Some(end) = end.filter(|_| entry.name_len_bytes as usize <= MAX_NAME_BYTES) else {
            return Err(self.input.undecodable(Section::NAMES, 0));
        };
        self.input.read(Section::NAMES, entry.name_start..end, scratch)
    }
}

fn kind_of(byte: u8) -> Option<Kind> {
    [Kind::Event, Kind::Pageview, Kind::Vital].into_iter().find(|kind| *kind as u8 == byte)
}
