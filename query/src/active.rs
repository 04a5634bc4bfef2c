//! The index of one unsealed log, kept in memory: which rows a term has, who made them, and where their records are.
//!
//! One writer (the appender) pushes rows, any number of readers follow without a lock. A row is pushed to
//!
//! * the posting of its (site, kind, name), and of its (site, path) if it is a pageview;
//! * the column of byte offsets, by ordinal;
//! * the session dictionary, if its session is new there: an id has one code in a log, and codes are compared within a log only;
//! * the writer's own map of event ids.
//!
//! Invariants:
//!
//! * Rows are pushed in the order of their ordinals, which start at 0 and have no gap.
//! * Everything written for a row happened before the log's watermark passed it, and no reader looks at a row above the watermark
//!   it has loaded. `format` owns that hand-over, and those of the chains and maps.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use format::column::{Column, ColumnWriter};
use format::terms::{Terms, TermsWriter};
use format::{ByteOffset, Kind, LogReader, RecordHead, Sequence, SessionId, SiteId};

use crate::ids::Ids;
use crate::posting::{NO_SESSION, PostingChain, PostingWriter, Row};
use crate::sessions::Sessions;

/// What a posting is about. A path is apart from the names of pageviews, which are mostly empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Name(Kind),
    Path,
}

/// A term and whose it is.
#[derive(Debug)]
struct Key {
    site: SiteId,
    field: Field,
    text: Box<str>,
}

impl Key {
    fn is(&self, site: SiteId, field: Field, text: &str) -> bool {
        self.field == field && *self.text == *text && self.site == site
    }
}

fn hash(hasher: &RandomState, site: SiteId, field: Field, text: &str) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(&site.bytes());
    hasher.write_u8(match field {
        Field::Name(kind) => kind as u8,
        Field::Path => u8::MAX,
    });
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// The readers' side of a term, and which of the writer's postings it is.
#[derive(Debug)]
struct Entry {
    chain: PostingChain,
    slot: usize,
}

/// The appender's side of an index.
#[derive(Debug)]
pub struct ActiveWriter {
    index: Arc<ActiveIndex>,
    names: Postings,
    paths: Postings,
    offsets: ColumnWriter<1>,
    sessions: Sessions,
    ids: Ids,
    sequences: Sequences,
}

impl ActiveWriter {
    /// An empty index of the log behind `reader`, and its readers' side.
    pub fn new(reader: Arc<LogReader>) -> (ActiveWriter, Arc<ActiveIndex>) {
        let (names, paths) = (Postings::default(), Postings::default());
        let offsets = ColumnWriter::default();
        let sessions = Sessions::default();
        let index = Arc::new(ActiveIndex {
            log: reader,
            hasher: RandomState::new(),
            names: Arc::clone(names.terms.terms()),
            paths: Arc::clone(paths.terms.terms()),
            offsets: Arc::clone(offsets.column()),
            session_ids: Arc::clone(sessions.ids()),
        });
        let ids = Ids::default();
        (ActiveWriter { index: Arc::clone(&index), names, paths, offsets, sessions, ids, sequences: Sequences::default() }, index)
    }

    /// Adds the next row of the log: the record whose frame stands at `offset`.
    ///
    /// A row is pushed when its batch has been written, and never taken back. Costs a keyed hash for each of the name, the session,
    /// the event id and a pageview's path; allocates only for what is new, and when a slab or a part is full.
    ///
    /// # Panics
    ///
    /// Past 2^32 - 1 rows, which no log holds.
    pub fn push(&mut self, sequence: Sequence, offset: ByteOffset, record: &RecordHead<'_>) {
        let ordinal = self.offsets.push([offset.value()]);
        let session = record.session.map_or(NO_SESSION, |session| self.sessions.code(session));
        let row = Row { ordinal, session, time: record.time.micros() };
        let hasher = &self.index.hasher;
        self.names.push(hasher, record.site, Field::Name(record.kind), record.name, row);
        if let (Kind::Pageview, Some(path)) = (record.kind, record.path) {
            self.paths.push(hasher, record.site, Field::Path, path, row);
        }
        if let Some(id) = record.event_id {
            self.ids.insert(record.site, id, ordinal);
        }
        self.sequences.push(ordinal, sequence);
    }

    /// Lets readers see all pushed rows, whose frames end at or before `end`: publishes the log's watermark.
    pub fn publish(&self, end: ByteOffset) {
        self.index.log.watermark().publish(self.rows(), end);
    }

    /// The sequence of the first row with this id on this site, among those pushed, published or not. Exact.
    pub fn first_with_id(&self, site: SiteId, event_id: &str) -> Option<Sequence> {
        self.ids.first(site, event_id).map(|ordinal| self.sequences.of(ordinal))
    }

    /// The number of rows pushed.
    pub fn rows(&self) -> u32 {
        self.offsets.rows()
    }

    /// About how much memory the index takes, in bytes, with what is the writer's alone.
    pub fn len_bytes(&self) -> usize {
        self.offsets.rows() as usize * size_of::<u64>()
            + self.names.len_bytes()
            + self.paths.len_bytes()
            + self.sessions.len_bytes()
            + self.ids.len_bytes()
    }

    /// The sequences of the rows pushed, for whoever seals the log when it is closed.
    pub fn sequences(&self) -> Sequences {
        self.sequences.clone()
    }
}

/// The readers' side of an index. A [`Snapshot`](crate::Snapshot) asks it.
#[derive(Debug)]
pub struct ActiveIndex {
    log: Arc<LogReader>,
    hasher: RandomState,
    names: Arc<Terms<Key, Entry>>,
    paths: Arc<Terms<Key, Entry>>,
    offsets: Arc<Column<1>>,
    session_ids: Arc<Column<2>>,
}

impl ActiveIndex {
    /// The number of rows that readers see now.
    pub fn rows(&self) -> u32 {
        self.log.watermark().rows()
    }

    /// The log that is indexed.
    pub fn log(&self) -> &Arc<LogReader> {
        &self.log
    }

    /// The rows of one name.
    pub(crate) fn name(&self, site: SiteId, kind: Kind, name: &str) -> Option<&PostingChain> {
        self.find(&self.names, site, Field::Name(kind), name)
    }

    /// The pageviews of one path.
    pub(crate) fn path(&self, site: SiteId, path: &str) -> Option<&PostingChain> {
        self.find(&self.paths, site, Field::Path, path)
    }

    /// All names of a kind on a site, in no order.
    pub(crate) fn names(&self, site: SiteId, kind: Kind) -> impl Iterator<Item = (&str, &PostingChain)> {
        let is_wanted = move |key: &Key| key.site == site && key.field == Field::Name(kind);
        self.names.iter().filter(move |(key, _)| is_wanted(key)).map(|(key, entry)| (&*key.text, &entry.chain))
    }

    /// All rows of a site, by kind and name, in no order.
    pub(crate) fn names_of(&self, site: SiteId) -> impl Iterator<Item = &PostingChain> {
        self.names.iter().filter(move |(key, _)| key.site == site).map(|(_, entry)| &entry.chain)
    }

    /// All rows, by site, kind and name, in no order.
    pub(crate) fn all_names(&self) -> impl Iterator<Item = &PostingChain> {
        self.names.iter().map(|(_, entry)| &entry.chain)
    }

    /// Where the record of a published row starts.
    pub(crate) fn offset(&self, ordinal: u32) -> ByteOffset {
        let [offset] = self.offsets.value(ordinal).expect("every published row has an offset");
        ByteOffset::new(offset)
    }

    /// The id behind the session code of a published row, as a number.
    pub(crate) fn session_id(&self, code: u32) -> SessionId {
        let [high, low] = self.session_ids.value(code).expect("every session code of a published row has an id");
        SessionId::new((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }

    fn find<'i>(&'i self, terms: &'i Terms<Key, Entry>, site: SiteId, field: Field, text: &str) -> Option<&'i PostingChain> {
        terms.find(hash(&self.hasher, site, field, text), |key| key.is(site, field, text)).map(|entry| &entry.chain)
    }
}

/// The writer's side of a map from terms to postings.
#[derive(Debug, Default)]
struct Postings {
    terms: TermsWriter<Key, Entry>,
    writers: Vec<PostingWriter>,
    rows: usize,
    /// Of all terms together.
    text_bytes: usize,
}

/// What a term takes beside its text: key, entry, writer, chain, the first slab, and their allocations' heads.
const TERM_BYTES: usize = 320;

/// What a row of a posting takes: two words.
const POSTING_ROW_BYTES: usize = 16;

impl Postings {
    fn push(&mut self, hasher: &RandomState, site: SiteId, field: Field, text: &str, row: Row) {
        let Postings { terms, writers, rows, text_bytes } = self;
        *rows += 1;
        let insert = || {
            *text_bytes += text.len();
            writers.push(PostingWriter::default());
            let slot = writers.len() - 1;
            (Key { site, field, text: text.into() }, Entry { chain: writers[slot].chain(), slot })
        };
        let slot = terms.find_or_insert(hash(hasher, site, field, text), |key| key.is(site, field, text), insert).slot;
        self.writers[slot].push(row);
    }

    fn len_bytes(&self) -> usize {
        self.writers.len() * TERM_BYTES + self.text_bytes + self.rows * POSTING_ROW_BYTES
    }
}

/// The sequence of each row of a log: one run, unless sequences were left out.
#[derive(Clone, Debug, Default)]
pub struct Sequences {
    /// First row and its sequence, of each run in which both grow together.
    runs: Vec<(u32, Sequence)>,
}

impl Sequences {
    fn push(&mut self, ordinal: u32, sequence: Sequence) {
        let goes_on = self.runs.last().is_some_and(|(row, first)| first.after(u64::from(ordinal - row)) == sequence);
        if !goes_on {
            self.runs.push((ordinal, sequence));
        }
    }

    /// The sequence of a row that was pushed.
    pub(crate) fn of(&self, ordinal: u32) -> Sequence {
        let run = self.runs.partition_point(|(row, _)| *row <= ordinal) - 1;
        let (row, first) = self.runs[run];
        first.after(u64::from(ordinal - row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_with_gaps_are_told_by_row() {
        let given = [5, 6, 7, 20, 21, 23, 1_000];
        let mut sequences = Sequences::default();
        for (row, sequence) in (0..).zip(given) {
            sequences.push(row, Sequence::new(sequence));
        }
        assert_eq!(sequences.runs.len(), 4);
        for (row, sequence) in (0..).zip(given) {
            assert_eq!(sequences.of(row), Sequence::new(sequence));
        }
    }
}
