//! A writer that reserves and a helper that grows. With `weak_wake` they must fail: a wake-up is lost and the model stands still.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::*;

#[test]
fn a_reservation_is_granted_when_its_end_is_prepared() {
    loom::model(|| {
        let shared = Arc::new((Growth::new(1, 4, 1), AtomicU64::new(1)));
        let helper = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let grow = |_, end| {
                    shared.1.store(end, Ordering::Relaxed);
                    Ok(())
                };
                shared.0.run(grow, || ());
            })
        };
        for end in [2, 3] {
            let inline = |_, end| {
                shared.1.store(end, Ordering::Relaxed);
                Ok(())
            };
            assert_eq!(shared.0.reserve(end, inline), Ok(()));
            assert!(shared.1.load(Ordering::Relaxed) >= end);
        }
        shared.0.stop();
        helper.join().unwrap();
    });
}

#[test]
fn a_full_disk_is_reported_and_then_tried_again() {
    loom::model(|| {
        let growth = Arc::new(Growth::new(1, 3, 1));
        let helper = {
            let growth = Arc::clone(&growth);
            let mut first = true;
            thread::spawn(move || {
                let grow = |_, _| if std::mem::take(&mut first) { Err(GrowthFailure::Full(28)) } else { Ok(()) };
                growth.run(grow, || ());
            })
        };
        while growth.reserve(3, |_, _| Ok(())).is_err() {}
        assert!(growth.prepared_end() >= 3);
        growth.stop();
        helper.join().unwrap();
    });
}
