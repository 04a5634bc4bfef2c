//! Distinct texts under numbers, so that a row is a few numbers while a segment is prepared.
//!
//! Texts stand in *rooms*: a text is told apart from others of its room. Numbers come in order of appearance, over all rooms; codes
//! come from the order of bytes, when all are there.

use std::ops::Range;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Distinct texts and their numbers. Memory: 29 bytes a text, and its own.
#[derive(Debug, Default)]
pub(super) struct Texts {
    table: HashTable<u32>,
    /// By number.
    entries: Vec<Text>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Text {
    hash: u64,
    end: usize,
    room: u32,
}

impl Texts {
    /// The number of `text`, whose hash is `hash`, in `room`; a new one if it has none.
    pub(super) fn number(&mut self, room: u32, hash: u64, text: &[u8]) -> u32 {
        let Texts { table, entries, bytes } = self;
        let is_same = |number: &u32| entries[*number as usize].room == room && text_of(entries, bytes, *number) == text;
        let hash = hash ^ u64::from(room).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match table.entry(hash, is_same, |number| entries[*number as usize].hash) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                let number = u32::try_from(entries.len()).expect("a segment has fewer than 2^32 texts");
                place.insert(number);
                bytes.extend_from_slice(text);
                entries.push(Text { hash, end: bytes.len(), room });
                number
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The text with this number.
    pub(super) fn get(&self, number: u32) -> &[u8] {
        text_of(&self.entries, &self.bytes, number)
    }

    /// The room of a text.
    pub(super) fn room(&self, number: u32) -> u32 {
        self.entries[number as usize].room
    }

    /// All texts, by room and bytes.
    pub(super) fn sort(self) -> SortedTexts {
        let mut order: Vec<u32> = (0..).take(self.len()).collect();
        order.sort_unstable_by_key(|number| (self.room(*number), self.get(*number)));
        let mut codes = vec![0; order.len()];
        let (mut room, mut code) = (None, 0);
        for number in &order {
            code = if room == Some(self.room(*number)) { code + 1 } else { 1 };
            room = Some(self.room(*number));
            codes[*number as usize] = code;
        }
        SortedTexts { texts: self, order, codes }
    }
}

fn text_of<'b>(entries: &[Text], bytes: &'b [u8], number: u32) -> &'b [u8] {
    let number = number as usize;
    let start = number.checked_sub(1).map_or(0, |before| entries[before].end);
    &bytes[start..entries[number].end]
}

/// Texts, and their codes.
#[derive(Debug)]
pub(super) struct SortedTexts {
    texts: Texts,
    order: Vec<u32>,
    codes: Vec<u32>,
}

impl SortedTexts {
    /// The code of a text in its room, from 1 on by the bytes of the texts there.
    pub(super) fn code(&self, number: u32) -> u32 {
        self.codes[number as usize]
    }

    /// The texts of a room in the order of their codes.
    pub(super) fn of_room(&self, room: u32) -> impl ExactSizeIterator<Item = &[u8]> {
        self.order[self.places(room)].iter().map(|number| self.texts.get(*number))
    }

    fn places(&self, room: u32) -> Range<usize> {
        let start = self.order.partition_point(|number| self.texts.room(*number) < room);
        start..self.order.partition_point(|number| self.texts.room(*number) <= room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_bytes_of_texts_in_a_room() {
        let mut texts = Texts::default();
        // One hash for all: texts are compared.
        let numbers = [(1, "b"), (1, ""), (0, "b"), (1, "a"), (1, "b"), (1, "aa"), (0, "b")].map(|(room, text)| {
            let number = texts.number(room, 7 ^ u64::from(room), text.as_bytes());
            assert_eq!((texts.get(number), texts.room(number)), (text.as_bytes(), room));
            number
        });
        assert_eq!(numbers, [0, 1, 2, 3, 0, 4, 2]);
        let sorted = texts.sort();
        assert_eq!(sorted.of_room(1).collect::<Vec<_>>(), [&b""[..], b"a", b"aa", b"b"]);
        assert_eq!(sorted.of_room(0).collect::<Vec<_>>(), [b"b"]);
        assert_eq!(sorted.of_room(2).len(), 0);
        assert_eq!(numbers.map(|number| sorted.code(number)), [4, 1, 1, 2, 4, 3, 1]);
    }
}
