//! The event ids of one unsealed log: which row was the first with an id.
//!
//! Exact: ids are compared, not their hashes. An id costs about 40 bytes when it is a UUID in its usual form (kept as 16 bytes),
//! else its length and 24. Hashes are keyed, since ids come from clients. An id longer than
//! [`MAX_EVENT_ID_BYTES`] is none: it is refused before it gets a row, and one that a file holds nevertheless is not looked for.

use std::hash::RandomState;

use format::SiteId;
use format::record::MAX_EVENT_ID_BYTES;
use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashTable};

use crate::hash::ShortHash;

/// Bytes of one part of the arena.
const PART_BYTES: usize = 64 * 1024;

/// Site code, row, form: what stands before an id in the arena.
const HEAD_BYTES: usize = 4 + 4 + 1;

/// The form of an id that is kept as the 16 bytes of a UUID. Any other form is the length of its text.
const UUID: u8 = u8::MAX;
const _: () = assert!(MAX_EVENT_ID_BYTES < UUID as usize && HEAD_BYTES + MAX_EVENT_ID_BYTES <= PART_BYTES);

/// A map from (site, id) to the row that had it first.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    hasher: RandomState,
    sites: HashMap<SiteId, u32, RandomState>,
    /// Places in the arena.
    table: HashTable<(ShortHash, u32)>,
    arena: Arena,
}

impl Ids {
    /// The row that had `id` first on `site`.
    pub(crate) fn first(&self, site: SiteId, id: &str) -> Option<u32> {
        let site = *self.sites.get(&site)?;
        let mut scratch = [0; 16];
        let key = Key::new(site, id, &mut scratch)?;
        let hash = key.hash(&self.hasher);
        let (_, place) = self.table.find(hash.spread(), |entry| entry.0 == hash && self.arena.key(entry.1) == key)?;
        Some(self.arena.row(*place))
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn len_bytes(&self) -> usize {
        self.table.capacity() * (size_of::<(ShortHash, u32)>() + 1) + self.arena.parts.len() * PART_BYTES
    }

    /// Notes that `row` has `id`, unless an earlier one had it.
    pub(crate) fn insert(&mut self, site: SiteId, id: &str, row: u32) {
        let next = u32::try_from(self.sites.len()).expect("fewer sites than rows");
        let site = *self.sites.entry(site).or_insert(next);
        let mut scratch = [0; 16];
        let Some(key) = Key::new(site, id, &mut scratch) else { return };
        let hash = key.hash(&self.hasher);
        let is_key = |entry: &(ShortHash, u32)| entry.0 == hash && self.arena.key(entry.1) == key;
        if let Entry::Vacant(vacant) = self.table.entry(hash.spread(), is_key, |entry| entry.0.spread()) {
            vacant.insert((hash, self.arena.push(key, row)));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key<'a> {
    site: u32,
    form: u8,
    bytes: &'a [u8],
}

impl<'a> Key<'a> {
    fn new(site: u32, id: &'a str, scratch: &'a mut [u8; 16]) -> Option<Key<'a>> {
        if let Some(uuid) = uuid_bytes(id) {
            *scratch = uuid;
            return Some(Key { site, form: UUID, bytes: scratch });
        }
        (id.len() <= MAX_EVENT_ID_BYTES).then_some(Key { site, form: id.len() as u8, bytes: id.as_bytes() })
    }

    fn hash(self, hasher: &RandomState) -> ShortHash {
        ShortHash::of(hasher, u64::from(self.site) << 8 | u64::from(self.form), self.bytes)
    }
}

/// The bytes of a UUID in its usual form: lower case, 8-4-4-4-12. Any other text has to come back as it was, so it is no UUID here.
fn uuid_bytes(id: &str) -> Option<[u8; 16]> {
    let text: &[u8; 36] = id.as_bytes().try_into().ok()?;
    let mut bytes = [0; 16];
    let mut digits = 0;
    for (at, char) in text.iter().enumerate() {
        let digit = match (at, char) {
            (8 | 13 | 18 | 23, b'-') => continue,
            (8 | 13 | 18 | 23, _) => return None,
            (_, b'0'..=b'9') => char - b'0',
            (_, b'a'..=b'f') => char - b'a' + 10,
            _ => return None,
        };
        bytes[digits / 2] = bytes[digits / 2] << 4 | digit;
        digits += 1;
    }
    Some(bytes)
}

/// Ids one behind the other, in parts that are never moved. A place is the number of a part and the byte in it.
#[derive(Debug, Default)]
struct Arena {
    parts: Vec<Vec<u8>>,
}

impl Arena {
    fn push(&mut self, key: Key<'_>, row: u32) -> u32 {
        let len = HEAD_BYTES + key.bytes.len();
        if self.parts.last().is_none_or(|part| part.len() + len > PART_BYTES) {
            self.parts.push(Vec::with_capacity(PART_BYTES));
        }
        let part = self.parts.len() - 1;
        let bytes = &mut self.parts[part];
        let place = part * PART_BYTES + bytes.len();
        bytes.extend(key.site.to_le_bytes());
        bytes.extend(row.to_le_bytes());
        bytes.push(key.form);
        bytes.extend(key.bytes);
        u32::try_from(place).expect("the ids of one log are less than 4 GiB")
    }

    fn head(&self, place: u32) -> (&[u8; HEAD_BYTES], &[u8]) {
        let place = place as usize;
        self.parts[place / PART_BYTES][place % PART_BYTES..].split_first_chunk().expect("an id stands at every place of the table")
    }

    fn key(&self, place: u32) -> Key<'_> {
        let ([s0, s1, s2, s3, .., form], rest) = self.head(place);
        let len = if *form == UUID { 16 } else { usize::from(*form) };
        Key { site: u32::from_le_bytes([*s0, *s1, *s2, *s3]), form: *form, bytes: &rest[..len] }
    }

    fn row(&self, place: u32) -> u32 {
        let ([.., r0, r1, r2, r3, _], _) = self.head(place);
        u32::from_le_bytes([*r0, *r1, *r2, *r3])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITES: [SiteId; 2] = [SiteId::new([1; 16]), SiteId::new([2; 16])];

    #[test]
    fn the_first_row_with_an_id_stays_the_first() {
        let mut ids = Ids::default();
        ids.insert(SITES[0], "a", 3);
        ids.insert(SITES[0], "a", 4);
        ids.insert(SITES[1], "a", 5);
        assert_eq!((ids.first(SITES[0], "a"), ids.first(SITES[1], "a"), ids.first(SITES[0], "b")), (Some(3), Some(5), None));
        assert_eq!(ids.first(SiteId::new([3; 16]), "a"), None);
    }

    #[test]
    fn ids_that_look_alike_are_told_apart() {
        let uuid = "00112233-4455-6677-8899-aabbccddeeff";
        let alike = [
            uuid.to_owned(),
            uuid.to_uppercase(),
            uuid.replace('-', ""),
            "00112233--455-6677-8899-aabbccddeeff".to_owned(),
            "0011223-34455-6677-8899-aabbccddeeff".to_owned(),
            "00112233-4455-6677-8899-aabbccddeefg".to_owned(),
            "0011223344556677".to_owned(),
            "\u{0}".repeat(16),
            uuid[..35].to_owned(),
            format!("{uuid}0"),
            "x".repeat(128),
            "x".repeat(127),
            String::new(),
        ];
        let mut ids = Ids::default();
        for (row, id) in (0..).zip(&alike) {
            assert_eq!(ids.first(SITES[0], id), None, "{id}");
            ids.insert(SITES[0], id, row);
        }
        for (row, id) in (0..).zip(&alike) {
            assert_eq!(ids.first(SITES[0], id), Some(row), "{id}");
        }
    }

    #[test]
    fn an_id_past_the_limit_is_none() {
        let mut ids = Ids::default();
        ids.insert(SITES[0], &"x".repeat(129), 1);
        assert_eq!(ids.first(SITES[0], &"x".repeat(129)), None);
    }

    #[test]
    fn a_hundred_thousand_ids_are_found_across_parts_and_growth() {
        let id = |n: u32| if n.is_multiple_of(3) { format!("order-{n}") } else { format!("{n:08x}-0000-4000-8000-00000000000{}", n % 10) };
        let mut ids = Ids::default();
        for n in 0..100_000 {
            ids.insert(SITES[n as usize % 2], &id(n), n);
        }
        for n in 0..100_000 {
            assert_eq!(ids.first(SITES[n as usize % 2], &id(n)), Some(n));
            assert_eq!(ids.first(SITES[(n as usize + 1) % 2], &id(n)), None);
        }
    }
}
