//! Dictionaries that are made: from distinct entries to codes in their order.

use std::hash::RandomState;

use format::SessionId;
use hashbrown::HashMap;

/// Byte strings and their codes.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    codes: HashMap<Box<[u8]>, u32, RandomState>,
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

    /// The code of an entry that was added.
    pub(crate) fn code(&self, entry: &[u8]) -> u32 {
        self.codes[entry]
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

    pub(crate) fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }
}

/// Sessions and their codes.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// The time of its first row; then its code.
    codes: HashMap<SessionId, i64, RandomState>,
    ids: Vec<SessionId>,
}

impl Sessions {
    /// Notes a row of a session.
    pub(super) fn add(&mut self, session: SessionId, time: i64) {
        let first = self.codes.entry(session).or_insert(time);
        *first = time.min(*first);
    }

    /// Gives codes to the sessions, from 0 on by the time of their first row. Nothing is added later.
    pub(super) fn number(&mut self) {
        let mut sessions: Vec<(i64, SessionId)> = self.codes.iter().map(|(session, first)| (*first, *session)).collect();
        sessions.sort_unstable();
        self.ids = sessions.into_iter().map(|(_, session)| session).collect();
        for (code, session) in (0..).zip(&self.ids) {
            self.codes.insert(*session, code);
        }
    }

    /// The code of a session that was added.
    pub(super) fn code(&self, session: SessionId) -> u32 {
        u32::try_from(self.codes[&session]).expect("there are no more sessions than rows")
    }

    /// The sessions in the order of their codes.
    pub(super) fn ids(&self) -> &[SessionId] {
        &self.ids
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
        assert_eq!(["", "a", "aa", "b"].map(|entry| dictionary.code(entry.as_bytes())), [1, 2, 3, 4]);
    }

    #[test]
    fn codes_follow_the_first_rows_of_sessions() {
        let session = |id| SessionId::new([id; 16]);
        let mut sessions = Sessions::default();
        for (id, time) in [(1, 50), (2, 20), (3, 60), (1, 30), (3, -5), (2, 90)] {
            sessions.add(session(id), time);
        }
        sessions.number();
        assert_eq!(sessions.ids(), [session(3), session(2), session(1)]);
        assert_eq!([1, 2, 3].map(|id| sessions.code(session(id))), [2, 1, 0]);
    }
}
