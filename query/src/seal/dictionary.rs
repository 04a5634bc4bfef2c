//! Dictionaries that are made: from distinct entries to codes in their order.

use hashbrown::HashMap;

/// Byte strings and their codes.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    codes: HashMap<Box<[u8]>, u32>,
}

impl Dictionary {
    /// Notes an entry.
    pub(crate) fn add(&mut self, entry: &[u8]) {
        if !self.codes.contains_key(entry) {
            self.codes.insert(entry.into(), 0);
        }
    }

    /// Gives codes to the entries, from 1 on by their bytes. Nothing is added later.
    pub(crate) fn number(&mut self) {
        let mut entries: Vec<(&[u8], &mut u32)> = self.codes.iter_mut().map(|(entry, code)| (&**entry, code)).collect();
        entries.sort_unstable_by_key(|(entry, _)| *entry);
        for (code, (_, place)) in (1..).zip(entries) {
            *place = code;
        }
    }

    /// The code of an entry, if it was added.
    pub(crate) fn find(&self, entry: &[u8]) -> Option<u32> {
        self.codes.get(entry).copied()
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.codes.len()).expect("there are fewer than 2^32 entries")
    }

    /// The entries in the order of their codes.
    pub(crate) fn entries(&self) -> Vec<&[u8]> {
        let mut entries: Vec<(u32, &[u8])> = self.codes.iter().map(|(entry, code)| (*code, &**entry)).collect();
        entries.sort_unstable_by_key(|(code, _)| *code);
        entries.into_iter().map(|(_, entry)| entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_bytes_of_entries() {
        let mut dictionary = Dictionary::default();
        for entry in ["b", "", "a", "b", "aa"] {
            dictionary.add(entry.as_bytes());
        }
        dictionary.number();
        assert_eq!(dictionary.entries(), [&b""[..], b"a", b"aa", b"b"]);
        assert_eq!(["", "a", "aa", "b"].map(|entry| dictionary.find(entry.as_bytes())), [1, 2, 3, 4].map(Some));
    }
}
