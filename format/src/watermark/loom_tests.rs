//! Two threads, one property each. With `weak_publish` or `weak_observe` both must fail.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::*;

#[test]
fn a_row_below_the_watermark_is_seen_as_it_was_written() {
    loom::model(|| {
        let shared = Arc::new((Watermark::new(ByteOffset::new(128)), AtomicU64::new(0)));
        let writer = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            writer.1.store(7, Ordering::Relaxed);
            writer.0.publish(1, ByteOffset::new(256));
        });
        if shared.0.rows() == 1 {
            assert_eq!(shared.1.load(Ordering::Relaxed), 7);
        }
        thread.join().unwrap();
    });
}

#[test]
fn who_sees_the_rows_sees_an_end_that_covers_them() {
    loom::model(|| {
        let watermark = Arc::new(Watermark::new(ByteOffset::new(128)));
        let writer = Arc::clone(&watermark);
        let thread = thread::spawn(move || {
            writer.publish(1, ByteOffset::new(256));
            writer.publish(2, ByteOffset::new(384));
        });
        let rows = u64::from(watermark.rows());
        assert!(watermark.committed_end().value() >= 128 + 128 * rows);
        thread.join().unwrap();
    });
}
