//! What queries read: the segments and the indexes of the unsealed logs, what was lost to damage, and the threads that answer.
//!
//! Invariant: a row that was committed is in one segment or one log of the store, at every instant.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use format::{ByteOffset, Damage, LogId, Segment, SegmentId, UnixMicros};
use query::{ActiveIndex, Missing, SharedSessions, Snapshot, Unread};

use crate::appender::Exchange;
use crate::bell::Bell;
use crate::question::{Pool, Stop, Unanswered};

/// A range of a file that is lost. Its text names file, first byte, and the byte behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    file: String,
    from: ByteOffset,
    end: ByteOffset,
    times: (Option<UnixMicros>, Option<UnixMicros>),
}

impl From<Damage> for Lost {
    fn from(Damage { file, from, end, times, .. }: Damage) -> Lost {
        Lost { file, from, end, times }
    }
}

impl Lost {
    /// The file, relative to the data directory.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Between which instants events are missing, as far as that is known.
    pub(crate) fn times(&self) -> (Option<UnixMicros>, Option<UnixMicros>) {
        self.times
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}-{}", self.file, self.from, self.end)
    }
}

/// Everything that can be asked about, swapped in one step when a log is added or sealed.
pub(crate) struct Store {
    files: RwLock<Arc<Files>>,
    /// Grows when a question meets a file that cannot be read.
    lost: RwLock<Arc<[Lost]>>,
    /// Grows when a log is set aside.
    set_aside: RwLock<Arc<[String]>>,
    /// Rings when something was sealed, and what it was made of is gone.
    arrivals: Bell,
    pool: Pool,
}

/// Where the rows are.
#[derive(Clone, Default)]
pub(crate) struct Files {
    /// In the order of their identities.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The indexes of the unsealed logs, oldest first.
    pub(crate) logs: Vec<Arc<ActiveIndex>>,
    /// The sessions that several segments have, as far as that was found: some of these may be gone, and others have come.
    pub(crate) shared: Arc<SharedSessions>,
}

/// How much is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Totals {
    /// How many segments there are.
    pub(crate) segments: usize,
    /// How many rows are in them.
    pub(crate) rows: u64,
}

/// How much files of one kind hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Held {
    /// How many files there are.
    pub(crate) files: usize,
    /// How many rows are in them.
    pub(crate) rows: u64,
    /// How long they are together; of a log, what was appended, without what it has grown ahead.
    pub(crate) bytes: u64,
}

impl FromIterator<(u32, u64)> for Held {
    /// Of the rows and bytes of each file.
    fn from_iter<I: IntoIterator<Item = (u32, u64)>>(files: I) -> Held {
        files.into_iter().fold(Held::default(), |Held { files, rows, bytes }, (more_rows, more_bytes)| Held {
            files: files + 1,
            rows: rows + u64::from(more_rows),
            bytes: bytes + more_bytes,
        })
    }
}

impl Store {
    /// A store over what the start recovered, with what is lost and the names of the files that were set aside.
    pub(crate) fn new(files: Files, damage: Vec<Damage>, set_aside: Vec<String>, pool: Pool) -> Store {
        Store {
            files: RwLock::new(Arc::new(files)),
            lost: RwLock::new(damage.into_iter().map(Lost::from).collect()),
            set_aside: RwLock::new(set_aside.into()),
            arrivals: Bell::default(),
            pool,
        }
    }

    /// What a query sees: everything committed so far, fixed for its whole run.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let files = self.files();
        Snapshot::new(&files.logs, &files.segments).with_shared(Arc::clone(&files.shared))
    }

    /// How much is sealed now.
    pub(crate) fn sealed(&self) -> Totals {
        let files = self.files();
        Totals { segments: files.segments.len(), rows: files.segments.iter().map(|segment| u64::from(segment.rows())).sum() }
    }

    /// How much live segments and unsealed logs hold now.
    pub(crate) fn held(&self) -> (Held, Held) {
        let files = self.files();
        let of_log = |index: &Arc<ActiveIndex>| (index.rows(), index.log().watermark().committed_end().value());
        let segments = files.segments.iter().map(|segment| (segment.rows(), segment.len_bytes()));
        (segments.collect(), files.logs.iter().map(of_log).collect())
    }

    /// All segments, in the order of their identities.
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.files().segments.clone()
    }

    /// Rings when there is a new segment whose log is gone.
    pub(crate) fn arrivals(&self) -> &Bell {
        &self.arrivals
    }

    fn files(&self) -> Arc<Files> {
        // A panic while the lock is held cannot leave half a pointer, so a poisoned lock is as good as any.
        Arc::clone(&self.files.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Files)) {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut files));
    }

    /// Adds the index of a log that was just created. For the committer alone.
    pub(crate) fn add(&self, log: Arc<ActiveIndex>) {
        self.change(|files| files.logs.push(log));
    }

    /// The sessions that several segments have, as they were found last.
    pub(crate) fn shared(&self) -> Arc<SharedSessions> {
        Arc::clone(&self.files().shared)
    }

    /// Lets questions know the sessions that several segments have. For the compactor alone.
    pub(crate) fn share(&self, shared: SharedSessions) {
        let shared = Arc::new(shared);
        self.change(|files| files.shared = shared);
    }

    /// Puts segments in the place of what they were made of. For the committer alone.
    pub(crate) fn exchange(&self, exchange: &Exchange) {
        self.change(|files| {
            files.logs.retain(|index| !exchange.logs.contains(&index.log().id()));
            files.segments.retain(|segment| !exchange.segments.contains(&segment.header().id));
            files.segments.extend(exchange.added.iter().map(|sealed| Arc::clone(&sealed.segment)));
            files.segments.sort_by_key(|segment| segment.header().id);
        });
        // Whoever made the others of them has read every row: nothing of them is lost, but what a log is known to lack.
        let mut lost = self.lost.write().unwrap_or_else(PoisonError::into_inner);
        let is_gone = |lost: &Lost| {
            exchange.segments.iter().any(|id| lost.file == file_of(*id))
                || exchange.lost.is_empty() && exchange.logs.iter().any(|id| lost.file == file_of_log(*id))
        };
        if lost.iter().any(is_gone) {
            *lost = lost.iter().filter(|lost| !is_gone(lost)).cloned().collect();
        }
    }

    /// What was lost to damage: answers may lack it and say so.
    pub(crate) fn damage(&self) -> Arc<[Lost]> {
        Arc::clone(&self.lost.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes files that a question had to leave out; from now on every answer says so, because any may have to.
    ///
    /// `false` if others have taken the place of one of them meanwhile: then the answer lacks rows that are not lost, and is not to be given.
    #[must_use]
    pub(crate) fn lose(&self, missing: Vec<Missing>) -> bool {
        let mut are_lost = true;
        for Missing { file: unread, times, error } in missing {
            let (path, file) = match &unread {
                Unread::Segment(segment) => (segment.path(), file_of(segment.header().id)),
                Unread::Log(index) => (index.log().path(), file_of_log(index.log().id())),
            };
            // Locked before the look at what is live, as an exchange changes that first.
            let mut lost = self.lost.write().unwrap_or_else(PoisonError::into_inner);
            let files = self.files();
            let is_live = match &unread {
                Unread::Segment(segment) => files.segments.iter().any(|live| live.header().id == segment.header().id),
                Unread::Log(index) => files.logs.iter().any(|live| Arc::ptr_eq(live, index)),
            };
            if !is_live {
                are_lost = false;
                continue;
            }
            if lost.iter().any(|lost| lost.file == file) {
                continue;
            }
            let error = error.as_ref().map(|error| error as &dyn std::error::Error);
            match &unread {
                Unread::Segment(_) => tracing::error!(file, error, "a segment cannot be read: its events are not counted"),
                Unread::Log(_) => tracing::error!(file, error, "a log cannot be read: reports that need its records leave its events out"),
            }
            let end = ByteOffset::new(std::fs::metadata(path).map_or(0, |metadata| metadata.len()));
            let times = (times.map(|ends| ends.0), times.map(|ends| ends.1));
            *lost = lost.iter().cloned().chain([Lost { file, from: ByteOffset::new(0), end, times }]).collect();
        }
        are_lost
    }

    /// The files in `lost+found/`: what nothing explains, and logs of which something is lost.
    pub(crate) fn set_aside(&self) -> Arc<[String]> {
        Arc::clone(&self.set_aside.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes a file that was moved to `lost+found/`.
    pub(crate) fn note_set_aside(&self, name: String) {
        let mut set_aside = self.set_aside.write().unwrap_or_else(PoisonError::into_inner);
        *set_aside = set_aside.iter().cloned().chain([name]).collect();
    }

    /// Answers a question on one of the query threads.
    ///
    /// Dropping the future stops the question at its next step.
    ///
    /// # Errors
    ///
    /// [`Unanswered`].
    pub(crate) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Snapshot, &Stop) -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let store = Arc::clone(self);
        let stopped_when = |stop: &Stop| {
            let stop = stop.clone();
            move || stop.is_due()
        };
        self.pool.run(move |stop| question(&store.snapshot().stopped_when(stopped_when(stop)), stop)).await
    }
}

/// What the file of a segment is called in messages.
fn file_of(id: SegmentId) -> String {
    format!("segments/{}", id.file_name())
}

/// What a log is called in messages.
fn file_of_log(id: LogId) -> String {
    format!("logs/{}", id.file_name())
}
