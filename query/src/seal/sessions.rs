//! Sessions while a segment is prepared: numbers in order of appearance, then codes by the time of their first rows.

use format::SessionId;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Sessions and their numbers.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    table: HashTable<(u32, u32)>,
    /// By number: the time of its first row, and its id.
    firsts: Vec<(i64, SessionId)>,
}

impl Sessions {
    /// The number of a session, whose hash is `hash`, with a row at `time`.
    pub(super) fn number(&mut self, session: SessionId, hash: u64, time: i64) -> u32 {
        // What stands in the table is enough of a hash to grow it without fetching ids; the place comes from the low bits.
        let (tag, firsts) = (hash as u32, &mut self.firsts);
        let spread = |tag: u32| u64::from(tag) << 32 | u64::from(tag);
        let is_same = |(other, number): &(u32, u32)| *other == tag && firsts[*number as usize].1 == session;
        match self.table.entry(spread(tag), is_same, |(tag, _)| spread(*tag)) {
            Entry::Occupied(place) => {
                let number = place.get().1;
                let first = &mut firsts[number as usize].0;
                *first = time.min(*first);
                number
            }
            Entry::Vacant(place) => {
                let number = u32::try_from(firsts.len()).expect("there are no more sessions than rows");
                place.insert((tag, number));
                firsts.push((time, session));
                number
            }
        }
    }

    /// The ids in the order of codes, which begin at 0, and the code of each number.
    pub(super) fn sort(self) -> (Vec<SessionId>, Vec<u32>) {
        let mut order: Vec<u32> = (0..).take(self.firsts.len()).collect();
        order.sort_unstable_by_key(|number| self.firsts[*number as usize]);
        let mut codes = vec![0; order.len()];
        for (code, number) in (0..).zip(&order) {
            codes[*number as usize] = code;
        }
        (order.into_iter().map(|number| self.firsts[number as usize].1).collect(), codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_first_rows_of_sessions() {
        let session = |id| SessionId::new([id; 16]);
        let mut sessions = Sessions::default();
        let rows = [(1, 50), (2, 20), (3, 60), (1, 30), (3, -5), (2, 90)];
        let numbers = rows.map(|(id, time)| sessions.number(session(id), 7, time));
        assert_eq!(numbers, [0, 1, 2, 0, 2, 1]);
        let (ids, codes) = sessions.sort();
        assert_eq!(ids, [session(3), session(2), session(1)]);
        assert_eq!(codes, [2, 1, 0]);
    }
}
