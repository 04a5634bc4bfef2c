//! Two threads, one property. With `weak_chain` or `weak_follow` it must fail.

use loom::thread;

use super::*;

#[test]
fn an_entry_below_the_length_is_seen_whole() {
    loom::model(|| {
        let mut writer = ChainWriter::<2, u64>::default();
        let chain = Arc::clone(writer.chain());
        let thread = thread::spawn(move || {
            for n in 1..=2 {
                writer.push([n, n + 10], |entries| entries[0][0]);
            }
        });
        let len = chain.len();
        let mut seen = 0;
        for slab in chain.slabs(len) {
            for [first, second] in slab.entries() {
                seen += 1;
                assert_eq!((first, second), (seen, seen + 10));
            }
        }
        assert_eq!(seen, len as u64);
        thread.join().unwrap();
    });
}
