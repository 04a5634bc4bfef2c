//! Posting lists of one unsealed log: a term's rows, in the order they arrived.
//!
//! A posting is a chain of entries (ordinal, session code, time). A full slab carries its summary: the roaring bitmap of its ordinals
//! and the times it lies between. Rows are counted by the bitmaps, slabs outside a span are skipped, and only the open slab
//! and those that a span or a snapshot cuts are read entry by entry.

use std::sync::Arc;

use format::chain::{Chain, ChainWriter, SlabView};
use roaring::RoaringBitmap;

use crate::bucket::Span;

/// The session code of a row that is a session of its own.
pub(crate) const NO_SESSION: u32 = u32::MAX;

/// One row of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) ordinal: u32,
    /// A code of the log's session dictionary, or [`NO_SESSION`].
    pub(crate) session: u32,
    pub(crate) time: i64,
}

impl Row {
    fn to_words(self) -> [u64; 2] {
        [u64::from(self.ordinal) << 32 | u64::from(self.session), self.time.cast_unsigned()]
    }

    fn from_words([ordinal_and_session, time]: [u64; 2]) -> Row {
        let (ordinal, session) = ((ordinal_and_session >> 32) as u32, ordinal_and_session as u32);
        Row { ordinal, session, time: time.cast_signed() }
    }
}

/// What the writer notes of a slab when it is full.
#[derive(Debug)]
pub(crate) struct Summary {
    ordinals: RoaringBitmap,
    /// From the earliest row to just behind the latest.
    times: Span,
}

impl Summary {
    fn of(entries: &[[u64; 2]]) -> Summary {
        let rows = entries.iter().copied().map(Row::from_words);
        let from = rows.clone().map(|row| row.time).min().unwrap_or_default();
        let last = rows.clone().map(|row| row.time).max().unwrap_or_default();
        let mut ordinals = RoaringBitmap::from_sorted_iter(rows.map(|row| row.ordinal)).expect("ordinals grow along a chain");
        ordinals.optimize();
        Summary { ordinals, times: Span { from, end: last + 1 } }
    }
}

/// The writer's side of a term's rows.
#[derive(Debug, Default)]
pub(crate) struct PostingWriter(ChainWriter<2, Summary>);

impl PostingWriter {
    /// Appends a row; its ordinal is larger than those before.
    pub(crate) fn push(&mut self, row: Row) {
        self.0.push(row.to_words(), Summary::of);
    }

    /// The readers' side.
    pub(crate) fn chain(&self) -> PostingChain {
        Arc::clone(self.0.chain())
    }
}

/// The readers' side of a term's rows.
pub(crate) type PostingChain = Arc<Chain<2, Summary>>;

type Slab<'a> = SlabView<'a, 2, Summary>;

/// The rows of a term that one snapshot sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Posting<'a> {
    chain: &'a Chain<2, Summary>,
    /// Rows of the log below this ordinal are seen.
    rows: u32,
}

impl<'a> Posting<'a> {
    /// What a snapshot of the log's first `rows` rows sees.
    pub(crate) fn new(chain: &'a Chain<2, Summary>, rows: u32) -> Posting<'a> {
        Posting { chain, rows }
    }

    /// The rows whose time is in `span`, by growing ordinal.
    pub(crate) fn rows(self, span: Span) -> impl Iterator<Item = Row> + use<'a> {
        self.slabs(span).flat_map(move |slab| self.rows_of(&slab, span))
    }

    /// How many rows have a time in `span`.
    pub(crate) fn count(self, span: Span) -> u64 {
        let in_slab = |slab| match self.whole(&slab, span) {
            Some(ordinals) => ordinals.len(),
            None => self.rows_of(&slab, span).count() as u64,
        };
        self.slabs(span).map(in_slab).sum()
    }

    /// The slabs that may have rows in `span`.
    fn slabs(self, span: Span) -> impl Iterator<Item = Slab<'a>> + use<'a> {
        let may_have = move |slab: &Slab<'a>| slab.summary().is_none_or(|summary| !summary.times.intersect(span).is_empty());
        self.chain.slabs(self.chain.len()).filter(may_have)
    }

    /// The ordinals of a full slab, if all its rows are seen and in `span`.
    fn whole(self, slab: &Slab<'a>, span: Span) -> Option<&'a RoaringBitmap> {
        let Summary { ordinals, times } = slab.summary()?;
        let is_seen = ordinals.max().is_some_and(|last| last < self.rows);
        (is_seen && times.intersect(span) == *times).then_some(ordinals)
    }

    fn rows_of(self, slab: &Slab<'a>, span: Span) -> impl Iterator<Item = Row> + use<'a> {
        slab.entries().map(Row::from_words).filter(move |row| row.ordinal < self.rows && span.contains(row.time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALWAYS: Span = Span { from: i64::MIN, end: i64::MAX };

    /// 2,000 rows, every third ordinal, times that go forth and back.
    fn rows() -> Vec<Row> {
        (0..2_000u32).map(|n| Row { ordinal: n * 3, session: n % 7, time: i64::from(n * 37 % 1_000) - 500 }).collect()
    }

    #[test]
    fn a_row_comes_back_from_its_words() {
        for row in [Row { ordinal: 0, session: NO_SESSION, time: -1 }, Row { ordinal: u32::MAX - 1, session: 0, time: i64::MIN }] {
            assert_eq!(Row::from_words(row.to_words()), row);
        }
    }

    #[test]
    fn every_way_of_reading_sees_the_same_rows() {
        let mut writer = PostingWriter::default();
        rows().into_iter().for_each(|row| writer.push(row));
        let chain = writer.chain();
        let spans =
            [ALWAYS, Span { from: -500, end: 500 }, Span { from: -10, end: 10 }, Span { from: 499, end: 500 }, Span { from: 5, end: 5 }];
        for seen in [0, 1, 3, 12, 13, 700, 3_000, 6_000] {
            let posting = Posting::new(&chain, seen);
            for span in spans {
                let expected: Vec<Row> = rows().into_iter().filter(|row| row.ordinal < seen && span.contains(row.time)).collect();
                assert_eq!(posting.rows(span).collect::<Vec<_>>(), expected, "{seen} {span:?}");
                assert_eq!(posting.count(span), expected.len() as u64, "{seen} {span:?}");
            }
        }
    }
}
