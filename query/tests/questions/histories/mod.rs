//! Whole histories of a data directory against a plain model: append, rotate, seal, merge, compact, expire, fail calls, kill, cut the
//! power between any two steps, damage the manifest, start again, ask.
//!
//! Parts: what happens (here), the directory as the daemon serves it (`store`), and what has to be there (`run`, with the model).

mod run;
mod store;

use format::fs::double::{FaultKind, Op};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use query::{ColumnRule, Compaction};

use crate::events::{Event, HOUR};
use crate::full_scan::{Question, column_rule, event, question};
use run::{End, Failure, REMOVED, Run};

/// How many histories there are, unless `HITKEEP_TEST_HISTORIES` says so.
const HISTORIES: u32 = 10_000;

#[derive(Clone, Debug)]
enum Action {
    /// A batch.
    Commit(Vec<Event>, Option<Failure>),
    /// The log is closed and another one begun.
    Rotate(Option<Failure>),
    /// A segment is built of a closed log, and so many steps more.
    Seal(usize, ColumnRule, usize, Option<Failure>),
    /// Segments are built of others, with what is not cut off, divided at times; and so many steps more.
    Merge(Vec<usize>, Vec<(i64, usize)>, ColumnRule, usize, Option<Failure>),
    /// Segments are merged as it is planned.
    Compact(Compaction, bool, Option<Failure>),
    /// Something that was built takes its place, and what was replaced is removed.
    Finish(usize, Option<Failure>),
    /// A site keeps nothing that is older.
    Expire(u8, i64),
    /// A clean end and a start.
    Drain,
    /// The end of the process and a start.
    Restart(End),
    /// The same, and a call fails in the start, and another start.
    RestartTwice(Failure),
    /// The end of the process, a bit of the manifest that changes, and a start.
    DamageManifest(End, usize),
    /// A question.
    Ask(Question),
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![2 => Just(End::Kill), 1 => Just(End::PowerCut), 3 => any::<u64>().prop_map(End::AnyPowerCut)]
}

fn kind() -> impl Strategy<Value = FaultKind> {
    select(vec![FaultKind::Io, FaultKind::Full, FaultKind::PowerCut, FaultKind::PowerCut])
}

/// Mostly none; else mostly one of the few calls that change something.
fn failure() -> impl Strategy<Value = Option<Failure>> {
    let op = select(vec![Op::Write, Op::SyncData, Op::SyncData, Op::SyncDir, Op::Create, Op::Remove]);
    let call = prop_oneof![5 => (op.prop_map(Some), 0..5u64), 1 => (Just(None), 0..80u64)];
    let damaged = prop::option::weighted(0.2, 0..4096usize);
    let failure = (call, kind(), end(), damaged).prop_map(|((op, nth), kind, end, damaged)| Failure { op, nth, kind, end, damaged });
    prop::option::weighted(0.3, failure)
}

/// An edge of an hour among the times of most events, or an instant beside it.
fn edge() -> impl Strategy<Value = i64> {
    (-3i64..9, -1i64..2).prop_map(|(hour, beside)| hour * HOUR + beside)
}

/// Mostly all.
fn steps() -> impl Strategy<Value = usize> {
    prop_oneof![1 => 0..2usize, 3 => Just(2)]
}

fn action() -> impl Strategy<Value = Action> {
    let merge = (vec(0..8usize, 1..5), vec((edge(), 0..3usize), 0..4), column_rule(), steps(), failure());
    let measures = (5..40u64, 2..4usize, 0..3usize);
    let compaction = measures.prop_map(|(settled_rows, gather, slack)| Compaction { settled_rows, gather, slack });
    prop_oneof![
        8 => (vec(event(), 1..10), failure()).prop_map(|(events, failure)| Action::Commit(events, failure)),
        5 => failure().prop_map(Action::Rotate),
        7 => (0..4usize, column_rule(), steps(), failure())
            .prop_map(|(log, columns, steps, failure)| Action::Seal(log, columns, steps, failure)),
        4 => merge.prop_map(|(inputs, cuts, columns, steps, failure)| Action::Merge(inputs, cuts, columns, steps, failure)),
        2 => (compaction, any::<bool>(), failure()).prop_map(|(measures, is_idle, failure)| Action::Compact(measures, is_idle, failure)),
        2 => (0..4usize, failure()).prop_map(|(number, failure)| Action::Finish(number, failure)),
        1 => (1..3u8, prop_oneof![7 => edge(), 1 => Just(REMOVED)]).prop_map(|(site, cutoff)| Action::Expire(site, cutoff)),
        1 => Just(Action::Drain),
        2 => end().prop_map(Action::Restart),
        1 => (0..80u64, kind(), end()).prop_map(|(nth, kind, end)| Action::RestartTwice(Failure { op: None, nth, kind, end, damaged: None })),
        1 => (end(), 0..4096usize).prop_map(|(end, at)| Action::DamageManifest(end, at)),
        3 => question().prop_map(Action::Ask),
    ]
}

fn take(run: &mut Run, action: Action) -> Result<(), TestCaseError> {
    match action {
        Action::Commit(events, failure) => run.commit(events, failure),
        Action::Rotate(failure) => run.rotate(failure),
        Action::Seal(log, columns, steps, failure) => run.seal(log, columns, steps, failure),
        Action::Merge(inputs, cuts, columns, steps, failure) => run.merge(&inputs, &cuts, columns, steps, failure),
        Action::Compact(measures, is_idle, failure) => run.compact(measures, is_idle, failure),
        Action::Finish(number, failure) => run.finish(number, failure),
        Action::Expire(site, cutoff) => run.expire(site, cutoff),
        Action::Drain => run.drain(),
        Action::Restart(end) => run.restart(end),
        Action::RestartTwice(failure) => run.restart_twice(&failure),
        Action::DamageManifest(end, at) => run.damage_manifest(end, at),
        Action::Ask(question) => run.ask(&question)?,
    }
    Ok(())
}

fn histories() -> u32 {
    std::env::var("HITKEEP_TEST_HISTORIES").map_or(HISTORIES, |histories| histories.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(histories()))]

    #[test]
    fn every_history_answers_as_a_full_scan_of_what_was_acknowledged(
        actions in vec(action(), 1..30),
        questions in vec(question(), 3),
    ) {
        let mut run = Run::begin();
        for action in actions {
            take(&mut run, action)?;
        }
        for question in &questions {
            run.ask(question)?;
        }
        run.restart(End::PowerCut);
        for question in &questions {
            run.ask(question)?;
        }
    }
}
