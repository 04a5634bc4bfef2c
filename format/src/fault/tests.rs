#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::thread;

use memmap2::{MmapOptions, MmapRaw};

use super::*;
use crate::map::Map;

/// Set in the child process: which scenario it is to run.
const CHILD: &str = "HITKEEP_TEST_FAULT";

/// What a child prints when it is still there at the end.
const SURVIVED: &str = "the scenario ended";

/// Runs `scenario` in a process of its own, because signals belong to processes. `name` is the test that calls this.
fn in_child(name: &str, scenario: fn()) -> Output {
    if std::env::var_os(CHILD).is_some() {
        scenario();
        println!("{SURVIVED}");
        // Here, in the child, the test is over.
        std::process::exit(0);
    }
    let test = format!("fault::tests::{name}");
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", &test, "--nocapture"]).env(CHILD, "1").output().unwrap()
}

fn assert_survives(name: &str, scenario: fn()) {
    let child = in_child(name, scenario);
    let printed = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && printed.contains(SURVIVED), "{} {printed} {}", child.status, String::from_utf8_lossy(&child.stderr));
}

fn assert_dies(name: &str, scenario: fn()) {
    let child = in_child(name, scenario);
    assert_eq!(child.status.signal(), Some(libc::SIGBUS), "{}", String::from_utf8_lossy(&child.stderr));
}

/// A file whose every page begins with the byte 7.
fn file_of(pages: usize) -> File {
    let file = tempfile::tempfile().unwrap();
    let page = {
        let mut page = vec![0; page_size()];
        page[0] = 7;
        page
    };
    for number in 0..pages {
        std::os::unix::fs::FileExt::write_all_at(&file, &page, (number * page_size()) as u64).unwrap();
    }
    file
}

fn map(file: &File) -> Map {
    Map::mapped(file, file.metadata().unwrap().len()).unwrap().unwrap()
}

/// The first byte of a page.
fn touch(map: &Map, page: usize) -> u8 {
    map.read((page * page_size()) as u64, 1, &mut Vec::new()).unwrap()[0]
}

#[test]
fn bad_pages_of_two_mappings_in_two_threads_cost_these_mappings_only() {
    assert_survives("bad_pages_of_two_mappings_in_two_threads_cost_these_mappings_only", || {
        let files = [file_of(5), file_of(5), file_of(5)];
        let maps = files.each_ref().map(map);
        for file in &files[..2] {
            file.set_len(page_size() as u64).unwrap();
        }
        thread::scope(|scope| {
            for map in &maps[..2] {
                // From the last page to the first, so that each page is a fault of its own.
                scope.spawn(|| {
                    assert!(!map.is_poisoned());
                    assert_eq!([4, 3, 2].map(|page| touch(map, page)), [0; 3]);
                    assert!(map.is_poisoned());
                });
            }
        });
        assert_eq!(maps.each_ref().map(Map::is_poisoned), [true, true, false]);
        // What stands before the bad page is still the file's, and so is what else is mapped.
        assert_eq!(maps.each_ref().map(|map| touch(map, 0)), [7; 3]);
        assert_eq!(touch(&maps[2], 4), 7);
        drop(maps);
        // The entries are used again.
        assert!(!map(&files[2]).is_poisoned());
    });
}

/// Linux allows 65,530 mappings a process. A mapping for each bad page splits the rest in two: there is room for 32,748.
#[test]
fn more_bad_pages_than_the_system_allows_mappings_are_survived() {
    assert_survives("more_bad_pages_than_the_system_allows_mappings_are_survived", || {
        const PAGES: usize = 40_000;
        let file = tempfile::tempfile().unwrap();
        file.set_len((2 * PAGES * page_size()) as u64).unwrap();
        let map = map(&file);
        file.set_len(0).unwrap();
        for page in (0..PAGES).rev() {
            assert_eq!(touch(&map, 2 * page), 0);
        }
        assert!(map.is_poisoned());
    });
}

#[test]
fn a_bad_page_of_a_mapping_that_is_not_watched_ends_the_process() {
    assert_dies("a_bad_page_of_a_mapping_that_is_not_watched_ends_the_process", || {
        let file = file_of(2);
        let watched = map(&file);
        let other: MmapRaw = MmapOptions::new().len(2 * page_size()).map_raw_read_only(&file).unwrap();
        file.set_len(page_size() as u64).unwrap();
        assert_eq!(touch(&watched, 1), 0);
        // SAFETY: inside the mapping; that this page has no bytes any more is what is tried.
        unsafe { other.as_ptr().add(page_size()).read_volatile() };
    });
}

#[test]
fn a_signal_that_somebody_sends_ends_the_process() {
    assert_dies("a_signal_that_somebody_sends_ends_the_process", || {
        let _watched = map(&file_of(1));
        // SAFETY: `raise` has no preconditions.
        unsafe { libc::raise(libc::SIGBUS) };
    });
}

#[test]
fn a_full_table_takes_no_range_until_one_is_dropped() {
    static SMALL: Table<2> = Table::new();
    let unit = page_size();
    let first = SMALL.claim(unit, 1).unwrap();
    let _second = SMALL.claim(3 * unit, unit).unwrap();
    assert!(SMALL.claim(9 * unit, unit).is_none());
    first.0.poisoned.store(true, Ordering::Relaxed);
    drop(first);
    assert!(!SMALL.claim(9 * unit, unit).unwrap().is_poisoned());
}

#[test]
fn ranges_come_back_in_whole_pages_and_too_large_ones_are_refused() {
    let (page, top) = (page_size(), 1 << (START_BITS + 12));
    let range = |start, len| pack(start, len).map(unpack);
    assert_eq!(range(page, 1), Some((page, 2 * page)));
    assert_eq!(range(top - page, page + 1), Some((top - page, top + page)));
    assert_eq!(range(page, (1 << 40) - page), Some((page, 1 << 40)));
    for (start, len) in [(page, 0), (page, 1 << 40), (top, page), (0, page), (page, usize::MAX)] {
        assert_eq!(range(start, len), None, "{start:x} {len:x}");
    }
    assert_eq!(unpack(0), (0, 0));
}
