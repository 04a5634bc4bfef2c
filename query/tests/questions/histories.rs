//! Whole histories of a data directory against the model: append, rotate, seal, drain, kill, cut the power, fail calls, start again, ask.
//!
//! The directory is opened, recovered and indexed as the daemon does it, on the file system that forgets what was not synced.

use std::path::Path;
use std::sync::Arc;

use format::directory::{DataDirectory, Opened};
use format::fs::FileSystem;
use format::fs::double::{Dice, Fault, FaultKind, MemFs, Op};
use format::log::recovery::ClosedEnd;
use format::manifest::Closed;
use format::{Error, LogFile, LogHeader, LogOptions, LogWriter, Segment, Sequence, UnixMicros};
use proptest::collection::vec;
use proptest::prelude::*;
use query::{ActiveIndex, ActiveWriter, ClosedLog, ColumnRule, Snapshot};

use crate::events::{Event, record, seal_into};
use crate::full_scan::{Question, ask, column_rule, event, question};
use crate::model::Model;

const DIR: &str = "/data";
const OPTIONS: LogOptions = LogOptions { capacity_bytes: 1 << 20, step_bytes: 4096 };

#[derive(Clone, Debug)]
enum Action {
    /// A batch, synced.
    Commit(Vec<Event>),
    /// A batch during which a call fails.
    FailCommit(Vec<Event>, Op, u64, FaultKind),
    /// The log is closed and another one begun.
    Rotate,
    /// A closed log is replaced by a segment.
    Seal(usize, ColumnRule),
    /// The same, while a call fails.
    FailRotate(u64, FaultKind),
    /// A clean end and a start.
    Drain,
    /// The end of the process and a start.
    Kill,
    /// A power cut, any part of what was not synced, and a start.
    PowerCut(u64),
    /// A power cut, a start in which a call fails, another power cut, and a start.
    FaultInStart(u64, u64, FaultKind),
    /// A question.
    Ask(Question),
}

fn action() -> impl Strategy<Value = Action> {
    let kind = || prop_oneof![Just(FaultKind::Io), Just(FaultKind::Full), Just(FaultKind::PowerCut)];
    let op = prop_oneof![Just(Op::SyncData), Just(Op::Write)];
    prop_oneof![
        6 => vec(event(), 1..12).prop_map(Action::Commit),
        2 => (vec(event(), 1..4), op, 0..3u64, kind()).prop_map(|(events, op, nth, kind)| Action::FailCommit(events, op, nth, kind)),
        3 => Just(Action::Rotate),
        4 => (0..4usize, column_rule()).prop_map(|(number, columns)| Action::Seal(number, columns)),
        1 => (0..24u64, kind()).prop_map(|(nth, kind)| Action::FailRotate(nth, kind)),
        1 => Just(Action::Drain),
        1 => Just(Action::Kill),
        2 => any::<u64>().prop_map(Action::PowerCut),
        1 => (any::<u64>(), 0..60u64, kind()).prop_map(|(seed, nth, kind)| Action::FaultInStart(seed, nth, kind)),
        3 => question().prop_map(Action::Ask),
    ]
}

/// A data directory that is open and served.
struct Store {
    opened: Opened,
    writer: LogWriter,
    active: ActiveWriter,
    /// The last one is that of the open log.
    indexes: Vec<Arc<ActiveIndex>>,
    /// Of all logs but the last.
    closed: Vec<ClosedLog>,
    segments: Vec<Arc<Segment>>,
}

/// What a start found: the stored events, as far as the model can name them.
struct Start {
    store: Store,
    names: Vec<(Sequence, String)>,
}

impl Store {
    /// Opens the directory, recovers every log and indexes it.
    fn open(fs: &MemFs) -> Result<Start, Error> {
        let mut opened = DataDirectory::open_on(Arc::new(fs.clone()), Path::new(DIR))?;
        assert_eq!(opened.damage, [], "a crash is not corruption");
        assert_eq!(opened.lost_and_found, [""; 0], "a crash leaves nothing that is not explained");
        let logs_path = opened.directory.logs_path();
        let mut names = Vec::new();
        let (mut indexes, mut closed) = (Vec::new(), Vec::new());
        let mut going_on = None;
        let mut next_sequence = Sequence::FIRST;
        for log in opened.manifest.logs() {
            let file = LogFile::open(fs, &logs_path, log.header.clone(), OPTIONS)?;
            let (mut active, index) = ActiveWriter::new(Arc::clone(file.reader()));
            let recovered = file.recover(log.closed.map(|closed| closed.end), &mut |row| {
                names.push((row.sequence, row.record.tracker_version.unwrap().to_owned()));
                active.push(row.sequence, row.offset, &row.record.head());
            })?;
            assert_eq!(recovered.damage, [], "a crash is not corruption");
            if log.closed.is_none() && !recovered.clean {
                file.repair(&recovered)?;
            }
            active.publish(recovered.end);
            if log.closed.is_some() {
                closed.push(ClosedLog::new(Arc::clone(&index), active.sequences()));
            }
            indexes.push(index);
            next_sequence = recovered.next_sequence;
            if log.closed.is_none() {
                assert!(going_on.is_none(), "one log is open");
                going_on = Some((file.writer(fs, &recovered, OPTIONS)?, active));
            }
        }
        let (writer, active) = match going_on {
            Some(going_on) => going_on,
            None => {
                let writer = Self::create(fs, &mut opened, next_sequence)?;
                let (active, index) = ActiveWriter::new(Arc::clone(writer.reader()));
                indexes.push(index);
                (writer, active)
            }
        };
        Ok(Start { store: Store { opened, writer, active, indexes, closed, segments: Vec::new() }, names })
    }

    fn create(fs: &MemFs, opened: &mut Opened, base_sequence: Sequence) -> Result<LogWriter, Error> {
        let id = opened.manifest.next_log();
        let epoch = opened.manifest.identity().epoch;
        let header = LogHeader {
            id,
            salt: [id.value() as u8; 16],
            epoch,
            base_sequence,
            created: UnixMicros::EPOCH,
            durable_len: 0,
            answers_before_sync: false,
        };
        let writer = LogWriter::create(fs, &opened.directory.logs_path(), header, OPTIONS)?;
        opened.manifest.log_created(writer.header())?;
        Ok(writer)
    }

    fn rotate(&mut self, fs: &MemFs) -> Result<(), Error> {
        self.writer.prove(UnixMicros::EPOCH, false)?;
        let sequence_end = self.writer.next_sequence();
        let end = ClosedEnd { end: self.writer.end(), sequence_end };
        self.opened.manifest.log_closed(self.writer.id(), Closed { end, is_damaged: false })?;
        self.writer = Self::create(fs, &mut self.opened, sequence_end)?;
        let (active, index) = ActiveWriter::new(Arc::clone(self.writer.reader()));
        let ended = std::mem::replace(&mut self.active, active);
        self.closed.extend(self.indexes.last().map(|index| ClosedLog::new(Arc::clone(index), ended.sequences())));
        self.indexes.push(index);
        Ok(())
    }

    /// Replaces a closed log by a segment until the next start, which finds the log again.
    fn seal(&mut self, number: usize, columns: ColumnRule) {
        if !self.closed.is_empty() {
            let number = number % self.closed.len();
            self.indexes.remove(number);
            let log = self.closed.remove(number);
            self.segments.push(seal_into(&MemFs::new(4), Path::new("/"), &log, columns));
        }
    }
}

struct Run {
    fs: MemFs,
    store: Option<Store>,
    model: Model,
    /// The batch whose outcome nobody knows, and the number that the next event is marked with.
    unknown: Vec<Event>,
    marks: Vec<String>,
    unknown_marks: Vec<String>,
    made: usize,
}

impl Run {
    fn start(&mut self) -> Result<(), Error> {
        let Start { store, names } = Store::open(&self.fs)?;
        assert!(names.is_sorted_by(|(a, _), (b, _)| a < b), "sequences increase through all logs");
        let found: Vec<String> = names.into_iter().map(|(_, mark)| mark).collect();
        if found != self.marks {
            self.marks.append(&mut self.unknown_marks);
            self.model.events.append(&mut self.unknown);
        }
        assert_eq!(found, self.marks, "everything acknowledged, and of the unknown batch all or nothing");
        self.unknown.clear();
        self.unknown_marks.clear();
        self.store = Some(store);
        Ok(())
    }

    fn restart(&mut self, fs: MemFs) {
        self.store = None;
        self.fs = fs;
        self.start().unwrap();
    }

    fn commit(&mut self, events: Vec<Event>) {
        let Some(store) = &mut self.store else { return };
        let marks: Vec<String> = (self.made..).map(|n| n.to_string()).take(events.len()).collect();
        self.made += events.len();
        let properties: Vec<String> = events.iter().map(Event::properties_text).collect();
        let mut rows = Vec::new();
        for ((event, properties), mark) in events.iter().zip(&properties).zip(&marks) {
            let mut marked = record(event, properties);
            marked.tracker_version = Some(mark);
            let mut payload = Vec::new();
            marked.encode(&mut payload).unwrap();
            rows.push((store.writer.push(&payload), marked));
        }
        match store.writer.append(UnixMicros::EPOCH).and_then(|appended| store.writer.sync().map(|()| appended)) {
            Ok(appended) => {
                for (n, (offset, record)) in (0..).zip(&rows) {
                    store.active.push(appended.first_sequence.after(n), *offset, &record.head());
                }
                store.active.publish(appended.end);
                self.model.events.extend(events);
                self.marks.extend(marks);
            }
            Err(Error::Full { .. }) => {}
            Err(_) => {
                self.unknown = events;
                self.unknown_marks = marks;
                self.store = None;
            }
        }
    }

    fn take(&mut self, action: Action) -> Result<(), TestCaseError> {
        match action {
            Action::Commit(events) => self.commit(events),
            Action::FailCommit(events, op, nth, kind) => {
                self.fs.fail(Fault { op: Some(op), nth, forever: false, kind });
                self.commit(events);
                self.fs.heal();
            }
            Action::Rotate => {
                if let Some(store) = &mut self.store {
                    store.rotate(&self.fs).unwrap();
                }
            }
            Action::Seal(number, columns) => {
                if let Some(store) = &mut self.store {
                    store.seal(number, columns);
                }
            }
            Action::FailRotate(nth, kind) => {
                self.fs.fail(Fault { op: None, nth, forever: false, kind });
                let failed = self.store.as_mut().is_some_and(|store| store.rotate(&self.fs).is_err());
                self.fs.heal();
                if failed {
                    self.restart(self.fs.kill());
                }
            }
            Action::Drain => {
                if let Some(store) = &mut self.store {
                    store.writer.prove(UnixMicros::EPOCH, true).unwrap();
                }
                self.restart(self.fs.kill());
            }
            Action::Kill => self.restart(self.fs.kill()),
            Action::PowerCut(seed) => {
                let mut dice = Dice::new(seed);
                self.restart(self.fs.crash(&mut |n| dice.below(n)));
            }
            Action::FaultInStart(seed, nth, kind) => {
                let mut dice = Dice::new(seed);
                self.store = None;
                self.fs = self.fs.crash(&mut |n| dice.below(n));
                self.fs.fail(Fault { op: None, nth, forever: false, kind });
                let _ = self.start();
                self.restart(self.fs.crash(&mut |n| dice.below(n)));
            }
            Action::Ask(question) => {
                if let Some(store) = &self.store {
                    ask(&Snapshot::new(&store.indexes, &store.segments), &self.model, &question)?;
                }
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn every_history_answers_as_a_full_scan_of_what_was_acknowledged(actions in vec(action(), 1..30), last in question()) {
        let fs = MemFs::new(3);
        fs.create_dir(Path::new(DIR)).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        let model = Model { events: Vec::new() };
        let mut run = Run { fs, store: None, model, unknown: Vec::new(), marks: Vec::new(), unknown_marks: Vec::new(), made: 0 };
        run.start().unwrap();
        for action in actions {
            run.take(action)?;
        }
        run.restart(run.fs.crash(&mut |_| 0));
        run.take(Action::Ask(last))?;
    }
}
