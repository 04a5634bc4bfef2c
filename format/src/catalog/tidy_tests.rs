//! Writing a catalog anew that has become long.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::directory::{DataDirectory, Opened};
use crate::fs::double::{Dice, Fault, FaultKind, MemFs};

const DIR: &str = "/data";

fn open_on(fs: &MemFs) -> Opened {
    DataDirectory::open_on(Arc::new(fs.clone()), Path::new(DIR)).unwrap()
}

/// As long as the JSON of a goal.
fn change(number: usize) -> Vec<u8> {
    format!("{{\"at\":\"2026-01-01T00:00:00Z\",\"number\":{number},\"rest\":\"{:0300}\"}}", number * 7).into_bytes()
}

/// A directory whose catalog is just too long, and how many changes it has.
fn grown() -> (MemFs, Opened, usize) {
    let fs = MemFs::new(1);
    let mut opened = open_on(&fs);
    let mut number = 0;
    while opened.catalog.file.len_bytes() < TIDY_BYTES {
        assert!(!opened.catalog.tidy().unwrap(), "it is short");
        opened.catalog.append(&change(number)).unwrap();
        number += 1;
    }
    (fs, opened, number)
}

fn has(fs: &MemFs, count: usize) -> bool {
    open_on(fs).catalog_changes.into_iter().eq((0..count).map(change))
}

#[test]
fn a_long_catalog_becomes_short_and_every_change_stays() {
    let (fs, mut opened, mut count) = grown();
    assert!(opened.catalog.tidy().unwrap());
    assert!(opened.catalog.file.len_bytes() * TIDY_FACTOR < TIDY_BYTES);
    assert!(!opened.catalog.tidy().unwrap(), "once is enough");
    opened.catalog.append(&change(count)).unwrap();
    count += 1;
    let fs = fs.crash(&mut |_| 0);
    assert!(has(&fs, count));
    let fs = fs.crash(&mut |_| 0);
    assert!(open_on(&fs).catalog.file.len_bytes() * TIDY_FACTOR < TIDY_BYTES, "a start leaves it short");
    assert!(has(&fs, count));
}

#[test]
fn whatever_fails_while_it_is_written_anew_no_change_is_lost() {
    let (grown, _, count) = grown();
    let long = || {
        let (fs, changes) = (grown.kill(), (0..count).map(change).collect::<Vec<_>>());
        let mut opened = open_on(&fs);
        // The start has made it short.
        opened.catalog.file = PairedFile::replace(&fs, Path::new(DIR), FileKind::Catalog, &changes).unwrap();
        (fs, opened)
    };
    let calls = {
        let (fs, mut opened) = long();
        let before = fs.calls(None);
        assert!(opened.catalog.tidy().unwrap());
        fs.calls(None) - before
    };
    assert!(calls > 6, "{calls} calls");
    for (nth, kind) in (0..calls).flat_map(|nth| [FaultKind::PowerCut, FaultKind::Io, FaultKind::Full].map(|kind| (nth, kind))) {
        let (fs, mut opened) = long();
        fs.fail(Fault { op: None, nth, forever: false, kind });
        let outcome = opened.catalog.tidy();
        let mut dice = Dice::new(nth);
        for state in [fs.crash(&mut |_| 0), fs.crash(&mut |_| 1), fs.crash(&mut |n| dice.below(n)), fs.kill()] {
            assert!(has(&state, count), "call {nth} {kind:?}: {outcome:?}");
        }
        if matches!(outcome, Ok(_) | Err(Error::Full { .. })) && kind != FaultKind::PowerCut {
            fs.heal();
            opened.catalog.append(&change(count)).unwrap();
            assert!(has(&fs.crash(&mut |_| 0), count + 1), "call {nth} {kind:?}: it goes on, {outcome:?}");
        }
    }
}

#[test]
fn a_pack_that_nobody_has_made_stops_the_start() {
    let fs = MemFs::new(1);
    drop(open_on(&fs));
    PairedFile::replace(&fs, Path::new(DIR), FileKind::Catalog, &[change(0), vec![1, 2, 3]]).unwrap();
    let error = DataDirectory::open_on(Arc::new(fs.clone()), Path::new(DIR)).unwrap_err();
    assert!(matches!(error, Error::Corrupt { offset, .. } if offset.value() > 0), "{error}");
}
