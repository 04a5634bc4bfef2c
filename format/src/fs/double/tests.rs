#![allow(clippy::unwrap_used)]

use super::*;
use crate::fs::write_all_at;

fn path(name: &str) -> PathBuf {
    Path::new("/").join(name)
}

fn fault(op: Op, nth: u64, kind: FaultKind) -> Fault {
    Fault { op: Some(op), nth, forever: false, kind }
}

/// A disk with one durable, empty file `/f`.
fn with_file() -> (MemFs, Arc<dyn File>) {
    let fs = MemFs::new(1);
    let file = fs.create(&path("f")).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    (fs, file)
}

#[test]
fn a_power_cut_takes_what_was_not_synced() {
    let (fs, file) = with_file();
    write_all_at(&*file, b"synced", 0).unwrap();
    file.sync_data().unwrap();
    write_all_at(&*file, b"later!", 0).unwrap();
    assert_eq!(fs.crash(&mut |_| 0).live(&path("f")).unwrap(), b"synced");
    assert_eq!(fs.crash(&mut |_| 1).live(&path("f")).unwrap(), b"later!");
    assert_eq!(fs.kill().live(&path("f")).unwrap(), b"later!");
    assert_eq!(fs.live(&path("f")).unwrap(), b"later!");
}

#[test]
fn a_power_cut_keeps_any_sectors_and_tears_others() {
    let (fs, file) = with_file();
    file.set_len(2000).unwrap();
    file.sync_data().unwrap();
    write_all_at(&*file, &[7; 1500], 100).unwrap();
    // The pieces are 100..512, 512..1024, 1024..1536 and 1536..1600: dropped, kept, torn after ten bytes, dropped.
    let mut choices = vec![0, 10, 2, 1, 0];
    let crashed = fs.crash(&mut |_| choices.pop().unwrap()).live(&path("f")).unwrap();
    let held: Vec<usize> = (0..2000).filter(|at| crashed[*at] == 7).collect();
    assert_eq!(held, (512..1034).collect::<Vec<_>>());
}

#[test]
fn a_new_length_is_kept_or_not() {
    let (fs, file) = with_file();
    write_all_at(&*file, b"0123456789", 0).unwrap();
    file.sync_data().unwrap();
    file.set_len(4).unwrap();
    assert_eq!(fs.crash(&mut |_| 0).live(&path("f")).unwrap(), b"0123456789");
    assert_eq!(fs.crash(&mut |_| 1).live(&path("f")).unwrap(), b"0123");
}

#[test]
fn names_are_durable_after_the_sync_of_their_folder() {
    let fs = MemFs::new(1);
    fs.create_dir(&path("d")).unwrap();
    let file = fs.create(&path("d/a")).unwrap();
    file.sync_data().unwrap();
    fs.sync_dir(&path("d")).unwrap();
    assert!(fs.crash(&mut |_| 0).files().is_empty(), "the folder itself has no durable name");
    fs.sync_dir(Path::new("/")).unwrap();
    fs.rename(&path("d/a"), &path("d/b")).unwrap();
    assert_eq!(fs.crash(&mut |_| 0).files(), [path("d/a")]);
    assert_eq!(fs.crash(&mut |_| 1).files(), [path("d/b")]);
    fs.sync_dir(&path("d")).unwrap();
    assert_eq!(fs.crash(&mut |_| 0).files(), [path("d/b")]);
    fs.remove(&path("d/b")).unwrap();
    assert_eq!(fs.crash(&mut |_| 0).files(), [path("d/b")]);
    fs.sync_dir(&path("d")).unwrap();
    assert!(fs.crash(&mut |_| 1).files().is_empty());
}

#[test]
fn a_file_renamed_into_another_folder_is_never_in_both() {
    let fs = MemFs::new(1);
    fs.create_dir(&path("a")).unwrap();
    fs.create_dir(&path("b")).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    fs.create(&path("a/f")).unwrap();
    fs.rename(&path("a/f"), &path("b/f")).unwrap();
    fs.sync_dir(&path("b")).unwrap();
    assert_eq!(fs.crash(&mut |_| 0).files(), [path("b/f")]);
    assert_eq!(fs.crash(&mut |_| 1).files(), [path("b/f")]);
}

#[test]
fn what_a_failed_sync_lost_no_later_sync_brings_back_unless_it_is_written_again() {
    let mut lost = 0;
    for seed in 0..20 {
        let fs = MemFs::new(seed);
        let file = fs.create(&path("f")).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        write_all_at(&*file, &[7; 512], 0).unwrap();
        fs.fail(fault(Op::SyncData, 0, FaultKind::Io));
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
        assert_eq!(fs.live(&path("f")).unwrap(), [7; 512], "the cache still shows it");
        let after_failure = fs.durable(&path("f")).unwrap();
        file.sync_data().unwrap();
        assert_eq!(fs.durable(&path("f")).unwrap(), after_failure, "clean pages are not written again");
        assert_eq!(fs.kill().crash(&mut |_| 1).live(&path("f")).unwrap(), after_failure);
        lost += u32::from(after_failure != [7; 512]);
        write_all_at(&*file, &[7; 512], 0).unwrap();
        file.sync_data().unwrap();
        assert_eq!(fs.durable(&path("f")).unwrap(), [7; 512]);
    }
    assert!((5..20).contains(&lost), "{lost} of 20: seeds decide");
}

#[test]
fn the_chosen_call_fails_once_or_from_then_on() {
    let (fs, file) = with_file();
    fs.fail(fault(Op::Write, 1, FaultKind::Full));
    assert_eq!(file.write_at(b"abc", 0).unwrap(), 3);
    assert_eq!(file.write_at(b"abc", 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.write_at(b"abc", 0).unwrap(), 3);
    fs.fail(Fault { forever: true, ..fault(Op::Write, 0, FaultKind::Short) });
    assert_eq!(file.write_at(b"abc", 0).unwrap(), 2);
    assert_eq!(file.write_at(b"a", 0).unwrap(), 1);
    fs.heal();
    assert_eq!(file.write_at(b"abc", 0).unwrap(), 3);
    assert_eq!(fs.calls(Some(Op::Write)), 6);
}

#[test]
fn after_a_power_cut_nothing_has_any_effect() {
    let (fs, file) = with_file();
    fs.fail(fault(Op::Write, 0, FaultKind::PowerCut));
    file.write_at(b"during", 0).unwrap_err();
    file.write_at(b"after!", 0).unwrap_err();
    file.sync_data().unwrap_err();
    fs.create(&path("g")).unwrap_err();
    assert_eq!(fs.crash(&mut |_| 0).live(&path("f")).unwrap(), b"");
    assert_eq!(fs.crash(&mut |_| 1).live(&path("f")).unwrap(), b"during");
    assert_eq!(fs.crash(&mut |_| 1).files(), [path("f")]);
}
