//! Power cuts, kills and refused calls at every call, while the file is made, appended to and read back.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::fs::double::{Dice, Fault, FaultKind, MemFs, Op};

const KIND: FileKind = FileKind::Catalog;

fn dir() -> &'static Path {
    Path::new("/")
}

/// Long enough that nine of them make the file grow twice.
fn payload(number: usize) -> Vec<u8> {
    // From 1 on, or the second one would begin like a pack.
    (1..=16_000).map(|at| (at * 7 + number) as u8).collect()
}

/// Makes the file as a first start does.
fn first_start(fs: &MemFs) -> Result<PairedFile, Error> {
    PairedFile::replace(fs, dir(), KIND, &[] as &[&[u8]])
}

/// Reads the file and settles it, as every later start does.
fn later_start(fs: &MemFs) -> Result<(PairedFile, Vec<Change>), Error> {
    let loaded = Loaded::read(fs, dir(), KIND)?.unwrap().require_undamaged()?;
    assert!(loaded.mended.is_empty(), "a crash breaks no proof below another");
    let changes = loaded.changes.clone();
    Ok((loaded.settle(fs, dir(), &changes)?, changes))
}

/// Appends until a call fails and returns how many changes were acknowledged.
fn append_all(file: &mut PairedFile, from: usize, count: usize) -> usize {
    (from..from + count).take_while(|number| file.append(&payload(*number)).is_ok()).count()
}

/// What may be there after `acknowledged` changes: those, and one that was under way.
fn assert_holds(changes: &[Change], acknowledged: usize, context: &str) {
    assert!((acknowledged..=acknowledged + 1).contains(&changes.len()), "{context}: {} of {acknowledged}", changes.len());
    for (number, change) in changes.iter().enumerate() {
        assert_eq!(change.payload, payload(number), "{context}: change {number}");
    }
}

/// Some states that a power cut may leave: the extremes and a few between.
fn power_cuts(fs: &MemFs, seed: u64) -> Vec<MemFs> {
    let mut cuts = vec![fs.crash(&mut |_| 0), fs.crash(&mut |_| 1), fs.crash(&mut |n| n.min(2))];
    for round in 0..2 {
        let mut dice = Dice::new(seed * 31 + round);
        cuts.push(fs.crash(&mut |n| dice.below(n)));
    }
    cuts
}

/// A run of nine changes with `fault` in it, and how many were acknowledged; `None` if the file was never made.
fn faulty_run(seed: u64, fault: Option<Fault>) -> (MemFs, Option<usize>) {
    let fs = MemFs::new(seed);
    if let Some(fault) = fault {
        fs.fail(fault);
    }
    let acknowledged = first_start(&fs).ok().map(|mut file| append_all(&mut file, 0, 9));
    (fs, acknowledged)
}

fn calls_of_a_run() -> u64 {
    let (fs, acknowledged) = faulty_run(0, None);
    assert_eq!(acknowledged, Some(9));
    assert!(fs.live(&dir().join(KIND.file_name())).unwrap().len() as u64 > 2 * STEP_BYTES, "the file grew");
    fs.calls(None)
}

#[test]
fn a_power_cut_at_any_call_loses_nothing_acknowledged() {
    for nth in 0..calls_of_a_run() {
        let (fs, acknowledged) = faulty_run(nth, Some(Fault { op: None, nth, forever: true, kind: FaultKind::PowerCut }));
        for (cut, state) in power_cuts(&fs, nth).into_iter().enumerate() {
            let context = format!("call {nth}, cut {cut}");
            let Some(acknowledged) = acknowledged else {
                assert!(
                    Loaded::read(&state, dir(), KIND).unwrap().is_none_or(|loaded| loaded.changes.is_empty() && loaded.lost.is_empty())
                );
                continue;
            };
            let (mut file, changes) = later_start(&state).expect(&context);
            assert_holds(&changes, acknowledged, &context);
            // What the start found is durable from then on, and so is what follows.
            assert_eq!(append_all(&mut file, changes.len(), 1), 1);
            let (_, again) = later_start(&state.crash(&mut |_| 0)).expect(&context);
            assert_eq!(again.len(), changes.len() + 1, "{context}");
            assert_holds(&again, changes.len() + 1, &context);
        }
    }
}

#[test]
fn a_refused_call_loses_nothing_acknowledged_whether_the_process_or_the_power_ends() {
    let kinds = [FaultKind::Io, FaultKind::Full, FaultKind::Short];
    for (nth, forever, kind) in
        (0..calls_of_a_run()).flat_map(|nth| [(nth, false), (nth, true)]).flat_map(|(nth, forever)| kinds.map(|kind| (nth, forever, kind)))
    {
        let (fs, acknowledged) = faulty_run(nth, Some(Fault { op: None, nth, forever, kind }));
        let Some(acknowledged) = acknowledged else { continue };
        for (cut, state) in power_cuts(&fs, nth).into_iter().chain([fs.kill()]).enumerate() {
            let context = format!("call {nth}, forever {forever}, {kind:?}, cut {cut}");
            let (_file, changes) = later_start(&state).expect(&context);
            assert_holds(&changes, acknowledged, &context);
            let (_, again) = later_start(&state.crash(&mut |_| 0)).expect(&context);
            assert_eq!(again, changes, "{context}: what a start has seen stays");
        }
    }
}

#[test]
fn a_start_that_is_cut_or_refused_at_any_call_can_be_run_again() {
    // Two kinds of remains: a change without its proof, and a change that is torn.
    for sync in [2, 3] {
        let (fs, _) = faulty_run(sync, Some(Fault { op: Some(Op::SyncData), nth: 6 + sync, forever: false, kind: FaultKind::Io }));
        let killed = fs.kill();
        let (_, expected) = later_start(&killed.kill()).unwrap();
        let baseline = killed.kill();
        let before = baseline.calls(None);
        later_start(&baseline).unwrap();
        let calls = baseline.calls(None) - before;
        for (nth, kind) in (0..calls).flat_map(|nth| [FaultKind::Io, FaultKind::Full, FaultKind::PowerCut].map(|kind| (nth, kind))) {
            let state = killed.kill();
            state.fail(Fault { op: None, nth, forever: false, kind });
            let outcome = later_start(&state);
            let (_, again) = later_start(&state.kill()).unwrap();
            assert_eq!(again, expected, "call {nth} {kind:?}");
            for cut in power_cuts(&state, nth) {
                let (_, again) = later_start(&cut).unwrap();
                let least = if outcome.is_ok() { expected.len() } else { expected.len() - 1 };
                assert!(again.len() >= least && expected.starts_with(&again), "call {nth} {kind:?}");
            }
        }
    }
}

#[test]
fn no_space_is_no_end() {
    let fs = MemFs::new(1);
    let mut file = first_start(&fs).unwrap();
    assert_eq!(append_all(&mut file, 0, 5), 5);
    fs.fail(Fault { op: Some(Op::Write), nth: 0, forever: true, kind: FaultKind::Full });
    assert!(matches!(file.append(&payload(5)), Err(Error::Full { .. })), "no room to grow");
    assert!(matches!(file.append(b"short"), Err(Error::Full { .. })), "no room to write");
    fs.heal();
    assert_eq!(append_all(&mut file, 5, 3), 3);
    let (_, changes) = later_start(&fs.crash(&mut |_| 0)).unwrap();
    assert_holds(&changes, 8, "after space came back");
}

#[test]
fn after_a_failed_sync_nothing_is_appended() {
    for nth in 0..2 {
        let fs = MemFs::new(1);
        let mut file = first_start(&fs).unwrap();
        assert_eq!(append_all(&mut file, 0, 2), 2);
        fs.fail(Fault { op: Some(Op::SyncData), nth, forever: false, kind: FaultKind::Io });
        assert!(matches!(file.append(&payload(2)), Err(Error::Io { operation: "sync", .. })));
        assert!(matches!(file.append(&payload(3)), Err(Error::Poisoned { .. })));
        let (_, changes) = later_start(&fs.kill()).unwrap();
        assert_holds(&changes, 2, "the change is there or not, and the next one is not");
    }
}

#[test]
fn a_start_on_a_full_disk_goes_on_with_the_file_as_it_is() {
    for unproven in [false, true] {
        let fs = MemFs::new(1);
        let mut file = first_start(&fs).unwrap();
        assert_eq!(append_all(&mut file, 0, 3), 3);
        if unproven {
            // The file grows, the change is written, and the power fails with its proof.
            fs.fail(Fault { op: Some(Op::Write), nth: 2, forever: true, kind: FaultKind::PowerCut });
            file.append(&payload(3)).unwrap_err();
        }
        let state = fs.crash(&mut |_| 0);
        state.fail(Fault { op: Some(Op::Create), nth: 0, forever: true, kind: FaultKind::Full });
        let (mut file, changes) = later_start(&state).unwrap();
        assert_holds(&changes, 3, "full disk");
        assert_eq!(changes.len(), if unproven { 4 } else { 3 });
        assert_eq!(append_all(&mut file, changes.len(), 2), 2);
        let (_, again) = later_start(&state.crash(&mut |_| 0)).unwrap();
        assert_holds(&again, changes.len() + 2, "full disk");
    }
}

#[test]
fn what_is_too_large_is_refused_and_nothing_else() {
    let fs = MemFs::new(1);
    let mut file = first_start(&fs).unwrap();
    let large = vec![0; MAX_CHANGE_BYTES + 1];
    assert!(matches!(file.append(&large), Err(Error::TooLarge { .. })));
    let mut held = 0;
    while file.append(&large[1..]).is_ok() {
        held += 1;
    }
    assert_eq!(held, MAX_FILE_BYTES as usize / MAX_CHANGE_BYTES - 1);
    file.append(b"small").unwrap();
    assert_eq!(Loaded::read(&fs, dir(), KIND).unwrap().unwrap().changes.len(), held + 1);
}
