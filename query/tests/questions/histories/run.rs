//! One history as it goes on: a store, and a plain account of what was acknowledged, which every start and every answer is compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use format::fs::FileSystem;
use format::fs::double::{Dice, Fault, FaultKind, MemFs, Op};
use format::{Record, Sequence, SiteId, UnixMicros};
use proptest::prelude::TestCaseError;
use query::{ColumnRule, Compaction, Division, Keep, LiveSegment};

use super::store::{DIR, Past, Rows, Store, Trouble};
use crate::events::{Event, HOUR, instant, record, site};
use crate::full_scan::{EVENT_IDS, Question, ask, ask_age};
use crate::model::Model;

/// How many sites there are; they count from 1.
pub(super) const SITES: usize = 3;

/// The cutoff of a site that is removed.
pub(super) const REMOVED: i64 = i64::MAX;

/// A call that fails, and how the process ends if that is final.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) op: Option<Op>,
    pub(super) nth: u64,
    pub(super) kind: FaultKind,
    pub(super) end: End,
    /// A bit of the manifest that changes then.
    pub(super) damaged: Option<usize>,
}

/// How a process ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// Everything it did stays.
    Kill,
    /// What was not synced is gone.
    PowerCut,
    /// Any part of what was not synced is gone.
    AnyPowerCut(u64),
}

impl End {
    fn of(self, fs: &MemFs) -> MemFs {
        match self {
            End::Kill => fs.kill(),
            End::PowerCut => fs.crash(&mut |_| 0),
            End::AnyPowerCut(seed) => {
                let mut dice = Dice::new(seed);
                fs.crash(&mut |n| dice.below(n))
            }
        }
    }
}

impl Failure {
    fn fault(&self) -> Fault {
        Fault { op: self.op, nth: self.nth, forever: false, kind: self.kind }
    }

    fn is_power_cut(&self) -> bool {
        self.kind == FaultKind::PowerCut
    }

    /// Whether the call may be the sync of a folder, and the folder goes on.
    fn may_fail_sync_dir(&self) -> bool {
        !self.is_power_cut() && self.op.is_none_or(|op| op == Op::SyncDir)
    }
}

/// What became of an attempt.
#[derive(PartialEq, Eq)]
enum Outcome {
    Done,
    /// It failed, and the store goes on.
    NotDone,
    /// It failed, the process ended, and another one has found out what was done.
    Restarted,
}

/// An event that was handed over, and the record that says so: each has a number of its own in it.
struct Row {
    event: Event,
    bytes: Vec<u8>,
}

impl Row {
    fn new(event: Event, number: u64) -> Row {
        let (properties, mark) = (event.properties_text(), number.to_string());
        let mut bytes = Vec::new();
        Record { tracker_version: Some(&mark), ..record(&event, &properties) }.encode(&mut bytes).unwrap();
        Row { event, bytes }
    }
}

pub(super) struct Run {
    fs: MemFs,
    store: Store,
    /// All that were ever acknowledged.
    stored: BTreeMap<Sequence, Row>,
    /// The batch whose outcome is not known.
    unknown: BTreeMap<Sequence, Row>,
    /// Those of `stored` that were cut off and are not there any more.
    gone: BTreeSet<Sequence>,
    /// By site, the time before which nothing is kept.
    cutoffs: [i64; SITES],
    /// How many events were made.
    made: u64,
    past: Past,
}

impl Run {
    /// Makes a data directory.
    pub(super) fn begin() -> Run {
        let fs = MemFs::new(3);
        fs.create_dir(Path::new(DIR)).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        Run {
            store: Store::open(&fs, Past::default()).unwrap(),
            fs,
            stored: BTreeMap::new(),
            unknown: BTreeMap::new(),
            gone: BTreeSet::new(),
            cutoffs: [i64::MIN; SITES],
            made: 0,
            past: Past::default(),
        }
    }

    fn is_kept(&self, event: &Event) -> bool {
        event.time >= self.cutoffs[usize::from(event.site) - 1]
    }

    /// What merges keep.
    fn keep(&self) -> impl Fn(SiteId) -> Keep + use<> {
        let cutoffs = self.cutoffs;
        move |of| match (1..).zip(cutoffs).find(|(number, _)| site(*number) == of) {
            Some((_, REMOVED)) => Keep::Nothing,
            Some((_, i64::MIN)) | None => Keep::All,
            Some((_, cutoff)) => Keep::Since(instant(cutoff)),
        }
    }

    /// Everything acknowledged is there, once, but for what is cut off; of the unknown batch all or nothing; and nothing else.
    fn check_rows(&mut self, found: &Rows) {
        let mut unknown = std::mem::take(&mut self.unknown);
        if unknown.keys().any(|sequence| found.contains_key(sequence)) {
            self.stored.append(&mut unknown);
        }
        for (sequence, bytes) in found {
            let row = self.stored.get(sequence).expect("nothing is there that was not acknowledged");
            assert_eq!(Record::decode(bytes).unwrap(), Record::decode(&row.bytes).unwrap(), "{sequence:?}");
            assert!(!self.gone.contains(sequence), "{:?} was cut off, and has come back", row.event);
        }
        for (sequence, row) in self.stored.iter().filter(|(sequence, _)| !found.contains_key(sequence)) {
            assert!(!self.is_kept(&row.event), "{sequence:?} is lost: {:?}", row.event);
            self.gone.insert(*sequence);
        }
    }

    /// The indexes of ids know what is there.
    fn check_ids(&self, found: &Rows) {
        let mut first: BTreeMap<(SiteId, &str), Sequence> = BTreeMap::new();
        for (sequence, bytes) in found {
            let Record { site, event_id, .. } = Record::decode(bytes).unwrap();
            if let Some(id) = event_id {
                first.entry((site, id)).or_insert(*sequence);
            }
        }
        for (of, id) in (1..=SITES as u8).flat_map(|number| EVENT_IDS.map(|id| (site(number), id))) {
            assert_eq!(self.store.first_with_id(of, id), first.get(&(of, id)).copied());
        }
    }

    fn start_on(&mut self, fs: MemFs) {
        self.fs = fs;
        self.store = Store::open(&self.fs, self.past).unwrap();
        let found = self.store.rows().unwrap();
        self.check_rows(&found);
        self.check_ids(&found);
        let last = self.stored.last_key_value().map(|(sequence, _)| *sequence);
        assert!(last < Some(self.store.next_sequence()), "no sequence is given out twice");
    }

    /// Ends the process and starts another.
    pub(super) fn restart(&mut self, end: End) {
        self.start_on(end.of(&self.fs));
    }

    /// The same, after an end that was asked for.
    pub(super) fn drain(&mut self) {
        self.store.drain();
        self.restart(End::Kill);
    }

    /// The same; a first start fails.
    pub(super) fn restart_twice(&mut self, failure: &Failure) {
        let fs = failure.end.of(&self.fs);
        fs.fail(failure.fault());
        match Store::open(&fs, self.past) {
            Ok(_) => {}
            Err(format::Error::Io { .. } | format::Error::Full { .. }) => self.past.removals_failed |= failure.may_fail_sync_dir(),
            Err(error) => panic!("{error}"),
        }
        self.start_on(failure.end.of(&fs));
    }

    /// The same, with a manifest that lost a bit: what is cut off may come back, if its files are still there.
    pub(super) fn damage_manifest(&mut self, end: End, at: usize) {
        let fs = end.of(&self.fs);
        let path = Path::new(DIR).join("manifest.log");
        let mut bytes = fs.live(&path).unwrap();
        // Behind the last change stand zeros, that say nothing.
        let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes[at % len] ^= 1 << (at % 8);
        fs.install(&path, &bytes);
        self.past.was_damaged = true;
        self.gone.clear();
        self.start_on(fs);
    }

    /// Does `work`, while a call may fail.
    fn attempt(&mut self, failure: Option<Failure>, work: impl FnOnce(&mut Store, &MemFs) -> Result<(), Trouble>) -> Outcome {
        if let Some(failure) = failure {
            self.fs.fail(failure.fault());
        }
        let outcome = work(&mut self.store, &self.fs);
        self.fs.heal();
        self.past.removals_failed |= outcome.is_err() && failure.is_some_and(|failure| failure.may_fail_sync_dir());
        match (outcome, failure) {
            (Ok(()), _) => Outcome::Done,
            (Err(trouble), None) => panic!("{trouble:?} trouble, and nothing was to fail"),
            (Err(trouble), Some(failure)) if failure.is_power_cut() || trouble == Trouble::Final => {
                // Without power nothing goes on.
                let end = if failure.is_power_cut() && matches!(failure.end, End::Kill) { End::PowerCut } else { failure.end };
                match failure.damaged {
                    Some(at) => self.damage_manifest(end, at),
                    None => self.restart(end),
                }
                Outcome::Restarted
            }
            (Err(_), Some(_)) => Outcome::NotDone,
        }
    }

    /// Hands events over. Those that are cut off are not taken.
    pub(super) fn commit(&mut self, mut events: Vec<Event>, failure: Option<Failure>) {
        events.retain(|event| self.is_kept(event));
        if events.is_empty() {
            return;
        }
        let first = self.store.next_sequence();
        let rows: Vec<Row> = (self.made..).zip(events).map(|(number, event)| Row::new(event, number)).collect();
        self.made += rows.len() as u64;
        let payloads: Vec<Vec<u8>> = rows.iter().map(|row| row.bytes.clone()).collect();
        self.unknown = (0..).map(|n| first.after(n)).zip(rows).collect();
        match self.attempt(failure, |store, _| store.append(payloads.iter().map(Vec::as_slice))) {
            Outcome::Done => self.stored.append(&mut self.unknown),
            Outcome::NotDone => self.unknown.clear(),
            Outcome::Restarted => {}
        }
    }

    pub(super) fn rotate(&mut self, failure: Option<Failure>) {
        self.attempt(failure, Store::rotate);
    }

    /// Does `build` and so many of the steps behind it: the exchange, and the removal of what was replaced.
    fn go_on(
        &mut self,
        steps: usize,
        number: usize,
        failure: Option<Failure>,
        build: impl FnOnce(&mut Store, &MemFs) -> Result<(), Trouble>,
    ) -> Outcome {
        let work = |store: &mut Store, fs: &MemFs| {
            build(store, fs)?;
            if steps > 0 {
                store.exchange(fs, number)?;
            }
            if steps > 1 { store.remove_replaced(fs) } else { Ok(()) }
        };
        let outcome = self.attempt(failure, work);
        if steps > 0 {
            let found = self.store.rows().unwrap();
            self.check_rows(&found);
        }
        outcome
    }

    pub(super) fn finish(&mut self, number: usize, failure: Option<Failure>) {
        self.go_on(2, number, failure, |_, _| Ok(()));
    }

    pub(super) fn seal(&mut self, number: usize, columns: ColumnRule, steps: usize, failure: Option<Failure>) {
        self.go_on(steps, number, failure, |store, fs| store.seal(fs, number, columns));
    }

    /// Merges segments, by small numbers, and divides them at `cuts`, times with outputs.
    pub(super) fn merge(&mut self, numbers: &[usize], cuts: &[(i64, usize)], columns: ColumnRule, steps: usize, failure: Option<Failure>) {
        let mut free = self.store.free_segments();
        let mut inputs = Vec::new();
        for number in numbers {
            if !free.is_empty() {
                inputs.push(free.swap_remove(number % free.len()));
            }
        }
        if inputs.is_empty() {
            return;
        }
        // Cuts that are the same instant count once.
        let cuts: BTreeMap<i64, usize> = cuts.iter().copied().collect();
        let cuts: Vec<(UnixMicros, usize)> = cuts.into_iter().map(|(time, output)| (instant(time), output)).collect();
        let (division, keep) = (Division::new(0, &cuts), self.keep());
        self.go_on(steps, numbers[0], failure, |store, fs| store.merge(fs, &inputs, (&division, &[]), columns, &keep));
    }

    /// Merges as the plan of compaction says, until it has nothing to do, or a merge is not done. The plan is for all segments, so
    /// nothing else may be under way.
    pub(super) fn compact(&mut self, measures: Compaction, is_idle: bool, mut failure: Option<Failure>) {
        let near = instant(-100 * HOUR)..instant(100 * HOUR);
        while !self.store.has_built() {
            let free = self.store.free_segments();
            let live: Vec<LiveSegment> = free.iter().filter_map(|segment| LiveSegment::read(segment).unwrap()).collect();
            let Some(merge) = measures.next(&live, near.clone(), is_idle) else { return };
            let inputs: Vec<_> = free.into_iter().filter(|segment| merge.inputs.contains(&segment.header().id)).collect();
            let (levels, keep) = (&merge.levels, self.keep());
            let outcome = self
                .go_on(2, 0, failure.take(), |store, fs| store.merge(fs, &inputs, (&merge.division, levels), ColumnRule::default(), &keep));
            if outcome != Outcome::Done {
                return;
            }
        }
    }

    /// Hides what is older than `cutoff` from now on; a cutoff never goes back.
    pub(super) fn expire(&mut self, number: u8, cutoff: i64) {
        let known = &mut self.cutoffs[usize::from(number) - 1];
        *known = cutoff.max(*known);
    }

    /// Asks, and compares the answers with those of the model.
    pub(super) fn ask(&self, question: &Question) -> Result<(), TestCaseError> {
        let kept = self.stored.values().map(|row| &row.event).filter(|event| self.is_kept(event));
        let model = Model { events: kept.cloned().collect() };
        let cutoff = self.cutoffs[usize::from(question.site) - 1];
        let snapshot = self.store.snapshot();
        if cutoff == i64::MIN {
            ask_age(&snapshot, &model, question)?;
        }
        ask(&snapshot, &model, &question.since(cutoff))
    }
}
