//! What one query sees: the segments, and the unsealed logs with how far each is committed. Fixed for the query's whole run.

use std::sync::Arc;

use format::{Kind, Record, Segment, SiteId, UnixMicros};

use crate::active::ActiveIndex;
use crate::answer::{self, Answer, Files};
use crate::bucket::Span;
use crate::error::Error;
use crate::posting::Posting;
use crate::shared::SharedSessions;

/// What a goal counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Term<'a> {
    /// Events of this name, byte for byte.
    Event(&'a str),
    /// Pageviews of this path, byte for byte; a path has no query.
    Path(&'a str),
    /// All pageviews: they have no name.
    Pageviews,
}

/// How many records are read between two looks at whether to stop: about a millisecond's work.
const RECORDS_BETWEEN_LOOKS: u32 = 1024;

/// The rows that were committed when it was made.
pub struct Snapshot {
    /// Newest first.
    logs: Vec<LogView>,
    segments: Vec<Arc<Segment>>,
    shared: Arc<SharedSessions>,
    is_stopped: Box<dyn Fn() -> bool + Send>,
}

/// One log of a snapshot.
#[derive(Debug)]
pub(crate) struct LogView {
    pub(crate) index: Arc<ActiveIndex>,
    /// Rows below this ordinal are seen.
    rows: u32,
}

impl Snapshot {
    /// What readers see of `logs`, oldest first, and `segments` at this moment. No row is in two of them.
    ///
    /// The newest watermark is loaded first: whoever sees a row of a log then sees all rows of the older ones, so a snapshot never
    /// has a gap in the order of commits.
    pub fn new(logs: &[Arc<ActiveIndex>], segments: &[Arc<Segment>]) -> Snapshot {
        let logs = logs.iter().rev().map(|index| LogView { rows: index.rows(), index: Arc::clone(index) }).collect();
        Snapshot { logs, segments: segments.to_vec(), shared: Arc::default(), is_stopped: Box::new(|| false) }
    }

    /// The same, whose questions end with [`Error::Stopped`] soon after `is_stopped` has become true: before the next file, or within
    /// about a thousand records, or some ten thousand rows of a segment.
    pub fn stopped_when(self, is_stopped: impl Fn() -> bool + Send + 'static) -> Snapshot {
        Snapshot { is_stopped: Box::new(is_stopped), ..self }
    }

    /// The same, which knows the sessions that several segments have. Answers are the same without, and take longer where buckets have
    /// rows in several segments.
    pub fn with_shared(self, shared: Arc<SharedSessions>) -> Snapshot {
        Snapshot { shared, ..self }
    }

    /// The sessions that several segments have, as far as that is known.
    pub(crate) fn shared(&self) -> &SharedSessions {
        &self.shared
    }

    /// The number of rows it sees, of all sites and kinds.
    pub fn rows(&self) -> u64 {
        let in_logs: u64 = self.logs.iter().map(|log| u64::from(log.rows)).sum();
        in_logs + self.segments.iter().map(|segment| u64::from(segment.rows())).sum::<u64>()
    }

    /// Asks `question` of all files that can be read.
    pub(crate) fn answer<'s, T>(&'s self, question: impl Fn(Files<'s, '_>) -> Result<T, Error>) -> Result<Answer<T>, Error> {
        answer::over(&self.logs, &self.segments, question)
    }

    /// Calls `visit` with each of `segments`; an error of reading becomes one of that segment.
    pub(crate) fn for_each<'s>(
        &self,
        segments: &[&'s Segment],
        mut visit: impl FnMut(&'s Segment) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for segment in segments {
            self.go_on()?;
            visit(segment).map_err(|error| error.in_segment(segment))?;
        }
        Ok(())
    }

    /// # Errors
    ///
    /// [`Error::Stopped`] if nobody waits for the answer any more.
    pub(crate) fn go_on(&self) -> Result<(), Error> {
        if (self.is_stopped)() { Err(Error::Stopped) } else { Ok(()) }
    }
}

impl LogView {
    /// The rows of a term.
    pub(crate) fn posting(&self, site: SiteId, term: Term<'_>) -> Option<Posting<'_>> {
        let chain = match term {
            Term::Event(name) => self.index.name(site, Kind::Event, name),
            Term::Path(path) => self.index.path(site, path),
            Term::Pageviews => self.index.name(site, Kind::Pageview, ""),
        };
        chain.map(|chain| Posting::new(chain, self.rows))
    }

    /// The times of the first and the last row, of any site. Looks at all.
    pub(crate) fn times(&self) -> Option<(UnixMicros, UnixMicros)> {
        let rows = || self.index.all_names().flat_map(|chain| Posting::new(chain, self.rows).rows(Span::EVER)).map(|row| row.time);
        Some((UnixMicros::new(rows().min()?)?, UnixMicros::new(rows().max()?)?))
    }

    /// The rows of each kind and name of the site, in no order.
    pub(crate) fn postings(&self, site: SiteId) -> impl Iterator<Item = Posting<'_>> {
        self.index.names_of(site).map(|chain| Posting::new(chain, self.rows))
    }

    /// The names of a kind on the site and the rows of each, in no order.
    pub(crate) fn names(&self, site: SiteId, kind: Kind) -> impl Iterator<Item = (&str, Posting<'_>)> {
        self.index.names(site, kind).map(|(name, chain)| (name, Posting::new(chain, self.rows)))
    }
}

/// Reads the records of rows, one after the other.
pub(crate) struct RecordReader<'a> {
    snapshot: &'a Snapshot,
    log: &'a LogView,
    scratch: Vec<u8>,
    /// Records to read before the next look.
    left: u32,
}

impl<'a> RecordReader<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, log: &'a LogView) -> RecordReader<'a> {
        RecordReader { snapshot, log, scratch: Vec::new(), left: 0 }
    }

    /// What `look` finds in the record of row `ordinal`. Its error is one of the record's properties.
    pub(crate) fn read<T>(&mut self, ordinal: u32, look: impl FnOnce(&Record<'_>) -> Result<T, serde_json::Error>) -> Result<T, Error> {
        if self.left == 0 {
            self.snapshot.go_on()?;
            self.left = RECORDS_BETWEEN_LOOKS;
        }
        self.left -= 1;
        let offset = self.log.index.offset(ordinal);
        let log = self.log.index.log();
        let record = log.record(offset, &mut self.scratch).map_err(|source| Error::Log { log: log.id(), offset, source })?;
        look(&record).map_err(|source| Error::BadProperties { log: log.id(), offset, source })
    }
}
