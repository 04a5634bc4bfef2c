//! The session dictionary of one unsealed log: an id has one code, given out in the order of first appearance.
//!
//! Codes are compared within a log only; logs are compared by ids. Readers know the column of ids, since they only ask for the id
//! of a code; the map from ids to codes is the writer's alone.

use std::hash::RandomState;
use std::sync::Arc;

use format::SessionId;
use format::column::{Column, ColumnWriter};
use hashbrown::HashTable;

use crate::hash::ShortHash;

/// The writer's side.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    hasher: RandomState,
    codes: HashTable<(ShortHash, u32)>,
    ids: ColumnWriter<2>,
}

impl Sessions {
    /// The readers' side: code to id, in two words.
    pub(crate) fn ids(&self) -> &Arc<Column<2>> {
        self.ids.column()
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn len_bytes(&self) -> usize {
        self.codes.capacity() * (size_of::<(ShortHash, u32)>() + 1) + self.codes.len() * size_of::<SessionId>()
    }

    /// The code of a session; a new one if it has none.
    pub(crate) fn code(&mut self, session: SessionId) -> u32 {
        let Sessions { hasher, codes, ids } = self;
        let id = words(session);
        let hash = ShortHash::of(hasher, 0, &session.bytes());
        let is_session = |entry: &(ShortHash, u32)| entry.0 == hash && ids.column().value(entry.1) == Some(id);
        codes.entry(hash.spread(), is_session, |entry| entry.0.spread()).or_insert_with(|| (hash, ids.push(id))).get().1
    }
}

fn words(session: SessionId) -> [u64; 2] {
    let id = u128::from_be_bytes(session.bytes());
    [(id >> 64) as u64, id as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_given_out_once_in_order_of_appearance() {
        let session = |n: u32| SessionId::new((u128::from(n) * 0x0123_4567_89ab_cdef_0011_2233).to_be_bytes());
        let mut sessions = Sessions::default();
        for _ in 0..2 {
            for n in 0..50_000 {
                assert_eq!(sessions.code(session(n)), n);
            }
        }
        for n in 0..50_000 {
            assert_eq!(sessions.ids().value(n), Some(words(session(n))));
        }
    }
}
