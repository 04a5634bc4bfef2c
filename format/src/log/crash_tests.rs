//! A log against a plain model, through crashes, kills and failing calls, on the file system that forgets what was not synced.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::error::Error;
use crate::fs::FileSystem;
use crate::fs::double::{Dice, Fault, FaultKind, MemFs, Op};
use crate::record::{Kind, Record, Source};
use crate::units::{LogId, Sequence, SiteId, UnixMicros};

const DIR: &str = "/logs";
const OPTIONS: LogOptions = LogOptions { capacity_bytes: 1 << 20, step_bytes: 4096 };

#[derive(Clone, Debug)]
enum Action {
    /// A batch of records of some length, synced, as `--sync always` does.
    Commit { records: u8, len: u16 },
    /// The same with a call that fails.
    Fail { op: Op, nth: u64, kind: FaultKind, records: u8 },
    /// What an idle daemon does.
    Prove,
    /// What a drained daemon does, then a start.
    Drain,
    /// The end of the process at this moment, then a start.
    Kill,
    /// A power cut: any part of what was not synced, then a start.
    PowerCut { seed: u64 },
    /// A power cut, and a start in which a call fails and which is then cut again.
    FaultInRecovery { seed: u64, nth: u64, kind: FaultKind },
}

fn fault_kind() -> impl Strategy<Value = FaultKind> {
    prop_oneof![Just(FaultKind::Io), Just(FaultKind::Full), Just(FaultKind::PowerCut)]
}

fn action() -> impl Strategy<Value = Action> {
    let op = prop_oneof![Just(Op::SyncData), Just(Op::Write)];
    prop_oneof![
        6 => (1..5u8, 0..3000u16).prop_map(|(records, len)| Action::Commit { records, len }),
        2 => (op, 0..3u64, fault_kind(), 1..4u8).prop_map(|(op, nth, kind, records)| Action::Fail { op, nth, kind, records }),
        1 => Just(Action::Prove),
        1 => Just(Action::Drain),
        1 => Just(Action::Kill),
        2 => any::<u64>().prop_map(|seed| Action::PowerCut { seed }),
        1 => (any::<u64>(), 0..12u64, fault_kind()).prop_map(|(seed, nth, kind)| Action::FaultInRecovery { seed, nth, kind }),
    ]
}

/// The reference: the names of the events that were acknowledged, and of the one batch whose outcome nobody knows.
#[derive(Default)]
struct Model {
    acknowledged: Vec<String>,
    unknown: Vec<String>,
    made: usize,
}

struct Run {
    fs: MemFs,
    header: LogHeader,
    log: Option<LogWriter>,
    model: Model,
}

impl Run {
    fn start(&mut self) -> Result<(), Error> {
        let file = LogFile::open(&self.fs, Path::new(DIR), self.header.clone(), OPTIONS)?;
        let mut names = Vec::new();
        let mut last = Sequence::new(0);
        let recovered = file.recover(None, &mut |row| {
            assert!(row.sequence > last, "sequences increase");
            last = row.sequence;
            names.push(row.record.name.to_owned());
        })?;
        assert_eq!(recovered.damage, [], "a crash is not corruption");
        if !recovered.clean {
            file.repair(&recovered)?;
        }
        let mut possible = self.model.acknowledged.clone();
        if names != possible {
            possible.extend(self.model.unknown.iter().cloned());
        }
        assert_eq!(names, possible, "everything acknowledged, and of the unknown batch all or nothing");
        self.log = Some(file.writer(&self.fs, &recovered, OPTIONS)?);
        // From here on it is served, so it must stay.
        self.model.acknowledged = names;
        self.model.unknown.clear();
        Ok(())
    }

    /// Commits a batch; what it holds is acknowledged only if both calls said so.
    fn commit(&mut self, records: u8, len: u16) {
        let Some(log) = &mut self.log else { return };
        let mut names = Vec::new();
        for _ in 0..records {
            let name = format!("{}-{}", self.model.made, "x".repeat(len.into()));
            self.model.made += 1;
            let site = SiteId::new([1; 16]);
            let record = Record { name: &name, ..Record::new(Kind::Event, Source::Server, site, UnixMicros::EPOCH, UnixMicros::EPOCH) };
            let mut payload = Vec::new();
            record.encode(&mut payload).unwrap();
            log.push(&payload);
            names.push(name);
        }
        match log.append(UnixMicros::EPOCH).and_then(|_| log.sync()) {
            Ok(()) => self.model.acknowledged.extend(names),
            // The log is as it was and goes on.
            Err(Error::Full { .. }) => {}
            Err(_) => {
                self.model.unknown = names;
                assert!(matches!(log.append(UnixMicros::EPOCH), Err(Error::Poisoned { .. })), "a failure is final");
                self.log = None;
            }
        }
    }

    fn restart(&mut self, fs: MemFs) {
        self.log = None;
        self.fs = fs;
        self.start().unwrap();
    }

    fn take(&mut self, action: Action) {
        match action {
            Action::Commit { records, len } => self.commit(records, len),
            Action::Fail { op, nth, kind, records } => {
                self.fs.fail(Fault { op: Some(op), nth, kind, forever: false });
                self.commit(records, 700);
                self.fs.heal();
            }
            Action::Prove | Action::Drain => {
                let is_drain = matches!(action, Action::Drain);
                if let Some(log) = &mut self.log {
                    log.prove(UnixMicros::EPOCH, is_drain).unwrap();
                }
                if is_drain {
                    self.restart(self.fs.kill());
                }
            }
            Action::Kill => self.restart(self.fs.kill()),
            Action::PowerCut { seed } => {
                let mut dice = Dice::new(seed);
                self.restart(self.fs.crash(&mut |n| dice.below(n)));
            }
            Action::FaultInRecovery { seed, nth, kind } => {
                let mut dice = Dice::new(seed);
                self.log = None;
                self.fs = self.fs.crash(&mut |n| dice.below(n));
                self.fs.fail(Fault { op: None, nth, kind, forever: false });
                let _ = self.start();
                self.log = None;
                self.restart(self.fs.crash(&mut |n| dice.below(n)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn what_was_acknowledged_survives(actions in vec(action(), 1..40)) {
        let fs = MemFs::new(7);
        fs.create_dir(Path::new(DIR)).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        let header = LogHeader {
            id: LogId::FIRST,
            salt: [9; 16],
            epoch: [8; 16],
            base_sequence: Sequence::FIRST,
            created: UnixMicros::EPOCH,
            durable_len: 4096,
            answers_before_sync: false,
        };
        let log = LogWriter::create(&fs, Path::new(DIR), header.clone(), OPTIONS).unwrap();
        let mut run = Run { fs, header, log: Some(log), model: Model::default() };
        for action in actions {
            run.take(action);
        }
        run.restart(run.fs.crash(&mut |_| 0));
    }
}
