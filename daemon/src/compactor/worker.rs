//! The compactor's thread: one merge after the other.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use format::fs::Space;
use format::sealed::{SegmentHeader, aside_bytes};
use format::{ByteOffset, Corruption, Error, Level, Segment, SegmentId, UnixMicros};
use query::{ColumnRule, Division, LiveSegment, Missing, Sealed, SharedSessions, Target, left_out};

use super::clock::Clock;
use super::pace::Paced;
use super::{Policy, Rules};
use crate::appender::{Appender, Exchange};
use crate::sealer::Place;
use crate::space::{has_room_for_merge, has_room_to_shorten_to};
use crate::store::Store;
use crate::{instant, priority};

/// Rows that are older are outliers: twenty years.
const PAST_MICROS: i64 = 20 * 8_766 * 3_600_000_000;

/// Rows that are further in the future are outliers: two days, for clocks that go wrong by time zones.
const FUTURE_MICROS: i64 = 48 * 3_600_000_000;

/// A segment is written anew when one row in so many has expired.
const EXPIRED_PART: u64 = 4;

/// The times that are no outliers.
pub(super) fn near() -> Range<UnixMicros> {
    let now = instant::now();
    instant::later(now, -PAST_MICROS)..instant::later(now, FUTURE_MICROS)
}

/// What the thread owns.
pub(super) struct Worker {
    policy: Policy,
    place: Place,
    appender: Appender,
    store: Arc<Store>,
    is_stopped: Arc<AtomicBool>,
    /// What is known of live segments; nothing of one without rows.
    described: HashMap<SegmentId, Option<LiveSegment>>,
    /// Those that cannot be read.
    unreadable: HashSet<SegmentId>,
    /// Whether the operator was told that there is no space, and not yet that there is.
    is_full: bool,
    /// Nothing is tried before this.
    resting_until: Option<Instant>,
    clock: Clock,
    /// Whether the operator was told that the wall clock is not believed.
    is_doubted: bool,
}

/// Segments to be merged, or one to be written anew or dropped.
struct Plan {
    inputs: Vec<Arc<Segment>>,
    division: Division,
    /// By output; none if no row stays.
    levels: Vec<Level>,
    /// Which rows stay.
    rules: Rules,
}

impl Worker {
    pub(super) fn new(policy: Policy, place: Place, appender: Appender, store: Arc<Store>, is_stopped: Arc<AtomicBool>) -> Worker {
        let clock = Clock::new(policy.last_commit);
        Worker {
            policy,
            place,
            appender,
            store,
            is_stopped,
            described: HashMap::new(),
            unreadable: HashSet::new(),
            is_full: false,
            resting_until: None,
            clock,
            is_doubted: false,
        }
    }

    /// Merges what there is to merge until it is stopped.
    ///
    /// # Errors
    ///
    /// What is final.
    pub(super) fn run(mut self) -> Result<(), Error> {
        // Threads inherit it.
        priority::as_compacting_thread();
        let (mut seen, mut quiet_since) = (self.store.arrivals().count(), Instant::now());
        // Whether there may be something to do, and whether nothing had arrived for long when that was looked at.
        let (mut is_due, mut was_idle, mut looked_at) = (true, false, Instant::now());
        while !self.is_stopped() {
            let count = self.store.arrivals().count();
            if count != seen {
                (seen, quiet_since, is_due) = (count, Instant::now(), true);
            }
            let now = Instant::now();
            let until_idle = (quiet_since + self.policy.idle).saturating_duration_since(now);
            let is_idle = until_idle.is_zero();
            // What expires and what is removed is found out by looking.
            is_due |= is_idle && !was_idle || now - looked_at >= self.policy.idle;
            was_idle = is_idle;
            let resting = self.resting_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
            if is_due && resting.is_zero() {
                (self.resting_until, looked_at) = (None, now);
                if let Some(plan) = self.plan(is_idle)? {
                    self.merge(plan)?;
                    continue;
                }
                is_due = self.resting_until.is_some();
                self.find_shared();
            }
            let timeout = [resting, until_idle].into_iter().filter(|time| !time.is_zero()).min();
            self.store.arrivals().wait(seen, timeout.unwrap_or(self.policy.idle));
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        // Relaxed: a hint, with nothing handed over.
        self.is_stopped.load(Ordering::Relaxed)
    }

    fn rest(&mut self, time: Duration) {
        self.resting_until = Some(Instant::now() + time);
    }

    /// What to do next.
    ///
    /// # Errors
    ///
    /// What is final.
    fn plan(&mut self, is_idle: bool) -> Result<Option<Plan>, Error> {
        let Some(segments) = self.segments_without_sources()? else { return Ok(None) };
        self.described.retain(|id, _| segments.iter().any(|segment| segment.header().id == *id));
        let described: Vec<LiveSegment> = segments.iter().filter_map(|segment| self.describe(segment)).collect();
        let rules = self.rules();
        // An error counts as enough space.
        let space = (self.policy.space)().ok();
        let (mut plan, mut is_short) = (self.drop_next(&segments, &rules), false);
        if let (None, Some(merge)) = (&plan, self.policy.measures.next(&described, near(), is_idle)) {
            let inputs: Vec<_> = segments.iter().filter(|segment| merge.inputs.contains(&segment.header().id)).cloned().collect();
            // Outputs are as long as the inputs at most, or nearly; what is put aside is given back with each of them.
            let bytes: u64 = inputs.iter().map(|segment| segment.len_bytes()).sum();
            let bytes = bytes + aside_bytes(inputs.iter().map(|segment| u64::from(segment.rows())).sum());
            is_short = space.is_some_and(|space| !has_room_for_merge(space, bytes));
            plan = (!is_short).then(|| Plan { inputs, division: merge.division, levels: merge.levels, rules: rules.clone() });
        }
        let Some(plan) = plan.or_else(|| self.rewrite_next(&segments, &rules, space, &mut is_short)) else {
            if is_short {
                self.note_full(None);
            }
            return Ok(None);
        };
        let Place { fs, logs_path, segments_path, .. } = &self.place;
        for path in [logs_path, segments_path] {
            fs.sync_dir(path).map_err(Error::io("sync", path))?;
        }
        Ok(Some(plan))
    }

    /// Which rows stay, at this time.
    fn rules(&mut self) -> Rules {
        let now = instant::now();
        let rules = (self.policy.rules)(now);
        let is_believed = self.clock.is_believed(now, Instant::now());
        if !is_believed && rules.let_expire() && !std::mem::replace(&mut self.is_doubted, true) {
            tracing::warn!("the clock is days ahead of the last event: nothing is removed for its age until it has run for a day");
        }
        self.is_doubted &= !is_believed;
        if is_believed { rules } else { rules.of_any_age() }
    }

    /// A segment of which no row stays, or that has none.
    fn drop_next(&mut self, segments: &[Arc<Segment>], rules: &Rules) -> Option<Plan> {
        let empty = segments.iter().find(|segment| segment.rows() == 0).cloned();
        let segment = empty.or_else(|| {
            let is_left_out =
                |segment: &Segment, rules: &Rules| Ok(left_out(segment, &|site| rules.keep(site))?.rows == u64::from(segment.rows()));
            self.find(segments, rules, is_left_out)
        })?;
        Some(Plan { inputs: vec![segment], division: Division::whole(), levels: Vec::new(), rules: rules.clone() })
    }

    /// A segment that is worth writing anew: a quarter of its rows are too old, or some have been for thirty days, or their site is gone.
    /// If there is no room to shorten one, that `is_short`, and another may be shorter.
    fn rewrite_next(&mut self, segments: &[Arc<Segment>], rules: &Rules, space: Option<Space>, is_short: &mut bool) -> Option<Plan> {
        let overdue = rules.overdue();
        let lacks_room = Cell::new(false);
        let segment = self.find(segments, rules, |segment, rules| {
            let (rows, all) = (left_out(segment, &|site| rules.keep(site))?.rows, u64::from(segment.rows()));
            if rows == 0 || rows * EXPIRED_PART < all && left_out(segment, &|site| overdue.keep(site))?.rows == 0 {
                return Ok(false);
            }
            // Rows are about equally long.
            let len = segment.len_bytes().saturating_mul(all - rows) / all + aside_bytes(all - rows);
            let has_room = space.is_none_or(|space| has_room_to_shorten_to(space, len));
            lacks_room.set(lacks_room.get() || !has_room);
            Ok(has_room)
        });
        *is_short |= lacks_room.get();
        let segment = segment?;
        let levels = vec![segment.provenance().level];
        Some(Plan { inputs: vec![segment], division: Division::whole(), levels, rules: rules.clone() })
    }

    /// The first segment that `is_wanted`. One that cannot be read is left alone from now on.
    fn find(
        &mut self,
        segments: &[Arc<Segment>],
        rules: &Rules,
        is_wanted: impl Fn(&Segment, &Rules) -> Result<bool, query::Error>,
    ) -> Option<Arc<Segment>> {
        if rules.keep_all() {
            return None;
        }
        for segment in segments {
            match is_wanted(segment, rules) {
                Ok(true) => return Some(Arc::clone(segment)),
                Ok(false) => {}
                Err(error) => self.lose(segment, error),
            }
        }
        None
    }

    /// The live segments that can be merged: whose sources are gone. `None` if some have to be removed first that could not be.
    fn segments_without_sources(&mut self) -> Result<Option<Vec<Arc<Segment>>>, Error> {
        // Before the folders: a log that is created and sealed after they were listed would seem to be gone.
        let mut segments = self.store.segments();
        let Place { fs, logs_path, segments_path, .. } = &self.place;
        let (Ok(logs), Ok(files)) = (fs.list(logs_path), fs.list(segments_path)) else {
            self.rest(self.place.pause);
            return Ok(None);
        };
        let replaced: HashSet<SegmentId> = segments.iter().flat_map(|segment| segment.provenance().segments.iter().copied()).collect();
        let left: Vec<SegmentId> = replaced.into_iter().filter(|id| files.contains(&id.file_name())).collect();
        if !left.is_empty() {
            self.remove(&left)?;
            self.rest(self.place.pause);
            return Ok(None);
        }
        // The sealer removes a log, or sets it aside, and then says that something has arrived.
        segments.retain(|segment| segment.provenance().log.is_none_or(|log| !logs.contains(&log.file_name())));
        segments.retain(|segment| !self.unreadable.contains(&segment.header().id));
        Ok(Some(segments))
    }

    /// What compaction has to know of a segment. One that cannot be read is left alone from now on.
    fn describe(&mut self, segment: &Arc<Segment>) -> Option<LiveSegment> {
        let id = segment.header().id;
        if let Some(described) = self.described.get(&id) {
            return described.clone();
        }
        match LiveSegment::read(segment) {
            Ok(described) => {
                self.described.insert(id, described.clone());
                described
            }
            Err(error) => {
                self.lose(segment, error);
                None
            }
        }
    }

    /// Finds the sessions that settled segments have in common, if other segments are settled than when that was done last. Those that
    /// arrived are no part of it: they lie over each other, share most of their sessions, and are soon merged.
    fn find_shared(&mut self) {
        let mut settled = self.store.segments();
        settled.retain(|segment| segment.provenance().level == Level::Settled && !self.unreadable.contains(&segment.header().id));
        if self.store.shared().is_of(&settled) {
            return;
        }
        let begun = Instant::now();
        match SharedSessions::find(&settled, &|| self.is_stopped()) {
            Ok(shared) => {
                self.store.share(shared);
                tracing::debug!(segments = settled.len(), seconds = begun.elapsed().as_secs_f64(), "found what segments share");
            }
            Err(error) => {
                let is_of =
                    |segment: &&Arc<Segment>| matches!(&error, query::Error::Segment { segment: id, .. } if *id == segment.header().id);
                if let Some(segment) = settled.iter().find(is_of) {
                    self.lose(segment, error);
                }
            }
        }
    }

    /// Names a segment that cannot be read.
    fn lose(&mut self, segment: &Arc<Segment>, error: query::Error) {
        self.unreadable.insert(segment.header().id);
        // It is live: only this thread would make it go.
        let _ = self.store.lose(vec![Missing::new(Arc::clone(segment), Some(error))]);
    }

    /// Merges, commits, and removes what was merged; or says when to try again.
    fn merge(&mut self, plan: Plan) -> Result<(), Error> {
        let begun = Instant::now();
        let paced = Paced::new(Arc::clone(&self.place.fs), self.policy.bytes_per_second, Arc::clone(&self.is_stopped));
        let added = match self.write(&plan, &paced)? {
            Some(Ok(added)) => added,
            Some(Err(error)) => return self.judge(&plan, error),
            None => {
                self.rest(self.place.patience);
                return Ok(());
            }
        };
        paced.release();
        let inputs: Vec<SegmentId> = plan.inputs.iter().map(|segment| segment.header().id).collect();
        let outputs: Vec<String> = added.iter().map(|sealed| sealed.segment.header().id.to_string()).collect();
        let rows: u64 = added.iter().map(|sealed| u64::from(sealed.segment.rows())).sum();
        let exchange = Arc::new(Exchange { segments: inputs.clone(), added, ..Exchange::default() });
        drop(plan);
        loop {
            match self.appender.exchange(&exchange) {
                Some(Ok(())) => break,
                Some(Err(error)) => {
                    self.note_full(Some(&error));
                    if !self.pause() {
                        return Ok(());
                    }
                }
                None => return Ok(()),
            }
        }
        drop(exchange);
        if std::mem::take(&mut self.is_full) {
            tracing::info!("there is space to merge segments again");
        }
        let names: Vec<String> = inputs.iter().map(ToString::to_string).collect();
        let seconds = begun.elapsed().as_secs_f64();
        match outputs.is_empty() {
            true => tracing::info!(segment = names.join(" "), seconds, "dropped a segment: nothing in it is kept"),
            false => tracing::info!(merged = names.join(" "), into = outputs.join(" "), rows, seconds, "merged segments"),
        }
        self.remove(&inputs)
    }

    fn note_full(&mut self, error: Option<&Error>) {
        if !std::mem::replace(&mut self.is_full, true) {
            tracing::warn!(error = error.map(|error| error as &dyn std::error::Error), "no space to merge segments");
        }
        self.rest(self.place.pause);
    }

    /// Waits while the disk is full; `false` if the daemon ends.
    fn pause(&self) -> bool {
        let until = Instant::now() + self.place.pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if self.is_stopped() || left.is_zero() {
                return !self.is_stopped();
            }
            self.store.arrivals().wait(self.store.arrivals().count(), left);
        }
    }

    /// Writes the outputs, their names too, syncs them, and compares them with the inputs. `None` if that panicked, which is a bug.
    ///
    /// # Errors
    ///
    /// If the system has no thread and no salt to give.
    fn write(&self, plan: &Plan, fs: &Paced) -> Result<Option<Result<Vec<Sealed>, query::Error>>, Error> {
        if plan.levels.is_empty() {
            return Ok(Some(Ok(Vec::new())));
        }
        let Place { segments_path: dir, epoch, secret, ids, .. } = &self.place;
        let mut headers = Vec::with_capacity(plan.levels.len());
        for _ in &plan.levels {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).map_err(|error| Error::io("make a salt in", dir)(io::Error::other(error)))?;
            headers.push(SegmentHeader { id: ids.take(), salt, epoch: *epoch, created: instant::now() });
        }
        let target = |(header, level)| Target { fs, dir, header, id_secret: *secret, columns: ColumnRule::default(), level };
        let targets: Vec<Target<'_>> = headers.iter().zip(plan.levels.iter().copied()).map(target).collect();
        let inputs = match self.opened_anew(&plan.inputs) {
            Ok(inputs) => inputs,
            Err(error) => return Ok(Some(Err(error))),
        };
        let stopped = &*self.is_stopped;
        let is_stopped = || stopped.load(Ordering::Relaxed);
        let work = || query::merge(&targets, &plan.division, &inputs, &|site| plan.rules.keep(site), &is_stopped);
        // On a thread of its own, so that a panic is the end of one merge.
        let joined = thread::scope(|scope| {
            let thread = thread::Builder::new().name("merging".to_owned()).spawn_scoped(scope, work);
            thread.map(ScopedJoinHandle::join).map_err(Error::io("start a thread to merge in", dir))
        })?;
        let Ok(merged) = joined else {
            tracing::error!("merging panicked: the segments stay as they are");
            return Ok(None);
        };
        Ok(Some(merged.map(|outputs| outputs.into_iter().flatten().collect())))
    }

    /// Opens segments once more, so that each of their blocks is verified as it is read. Since it was verified for a question a file may
    /// have been changed, and a merge would make of that what nobody could tell from the truth.
    fn opened_anew(&self, segments: &[Arc<Segment>]) -> Result<Vec<Arc<Segment>>, query::Error> {
        let Place { fs, segments_path: dir, .. } = &self.place;
        let open = |segment: &Arc<Segment>| {
            let path = dir.join(segment.header().id.file_name());
            let opened = Segment::open(&**fs, &path).and_then(|opened| match opened.header() == segment.header() {
                true => Ok(opened),
                // Another file stands in its place.
                false => Err(Error::Corrupt { path, offset: ByteOffset::new(0), source: Corruption::Header }),
            });
            opened.map_err(|source| query::Error::Segment { segment: segment.header().id, source })
        };
        segments.iter().map(open).collect()
    }

    /// What a failure to merge means.
    ///
    /// # Errors
    ///
    /// `error`, if it is final.
    fn judge(&mut self, plan: &Plan, error: query::Error) -> Result<(), Error> {
        match error {
            query::Error::Stopped => {}
            query::Error::Record(error @ Error::Full { .. }) => self.note_full(Some(&error)),
            query::Error::Record(error) | query::Error::Segment { source: error, .. } if error.is_out_of_descriptors() => {
                self.note_full(Some(&error));
            }
            query::Error::Record(source) if source.is_failed_sync() => return Err(source),
            query::Error::Segment { segment: id, .. } | query::Error::BadShape { segment: id, .. }
                if plan.inputs.iter().any(|segment| segment.header().id == id) =>
            {
                let input = plan.inputs.iter().find(|segment| segment.header().id == id).expect("it is one of them");
                self.lose(input, error);
            }
            error => {
                tracing::error!(error = &error as &dyn std::error::Error, "segments cannot be merged for now, and stay as they are");
                self.rest(self.place.patience);
            }
        }
        Ok(())
    }

    /// Removes segments that are not live any more. Who has them open can go on reading.
    fn remove(&self, ids: &[SegmentId]) -> Result<(), Error> {
        let Place { fs, segments_path: dir, .. } = &self.place;
        for id in ids {
            match fs.remove(&dir.join(id.file_name())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    // It is tried again, and takes space until then.
                    tracing::warn!(segment = %id, error = &error as &dyn std::error::Error, "cannot remove a segment that was merged");
                }
                _ => {}
            }
        }
        fs.sync_dir(dir).map_err(Error::io("sync", dir))
    }
}
