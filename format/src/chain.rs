//! Append-only chains that readers follow without a lock.
//!
//! A chain is a linked list of slabs, each with room for a fixed number of entries; an entry is `N` words. The first slabs are
//! small, so that a term seen once costs little; from the fifth on each holds [`SLAB_MAX_ENTRIES`]. One writer appends, any number
//! of readers follow. When a slab is full the writer leaves a summary of it, made once and kept with the slab.
//!
//! Invariants:
//!
//! * `len` only grows, and an entry below `len` never changes.
//! * Every entry below `len`, the slab it stands in, and the summary of every full slab below `len` were written before `len`
//!   passed them.
//! * A slab's capacity depends on its place alone, so readers and the writer agree on where an entry stands.
//!
//! The second is a Release store in [`ChainWriter::push`] paired with an Acquire load in [`Chain::len`]; `loom_tests` checks the
//! pair. Words are atomics read and written Relaxed: their order comes from that pair. The links and summaries are std's `OnceLock`.

use std::sync::{Arc, OnceLock};

use crate::sync::{AtomicU64, Ordering};

#[cfg(not(weak_chain))]
const PUBLISH: Ordering = Ordering::Release;
#[cfg(weak_chain)]
const PUBLISH: Ordering = Ordering::Relaxed;

#[cfg(not(weak_follow))]
const FOLLOW: Ordering = Ordering::Acquire;
#[cfg(weak_follow)]
const FOLLOW: Ordering = Ordering::Relaxed;

/// Entries in the first slab: one where a model must see the second slab soon.
#[cfg(not(loom))]
const SLAB_MIN_ENTRIES: usize = 4;
#[cfg(loom)]
const SLAB_MIN_ENTRIES: usize = 1;

/// Entries in every slab from the fifth on.
pub const SLAB_MAX_ENTRIES: usize = 1024;

/// How much larger each of the first slabs is than the one before.
const SLAB_GROWTH: usize = 4;

/// The readers' side of a chain of `N`-word entries with summaries `S`.
#[derive(Debug)]
pub struct Chain<const N: usize, S> {
    len: AtomicU64,
    head: OnceLock<Arc<Slab<N, S>>>,
}

#[derive(Debug)]
struct Slab<const N: usize, S> {
    entries: Box<[[AtomicU64; N]]>,
    summary: OnceLock<S>,
    next: OnceLock<Arc<Slab<N, S>>>,
}

impl<const N: usize, S> Slab<N, S> {
    fn new(capacity: usize) -> Slab<N, S> {
        Slab {
            entries: (0..capacity).map(|_| std::array::from_fn(|_| AtomicU64::new(0))).collect(),
            summary: OnceLock::new(),
            next: OnceLock::new(),
        }
    }

    fn entry(&self, at: usize) -> [u64; N] {
        std::array::from_fn(|word| self.entries[at][word].load(Ordering::Relaxed))
    }
}

impl<const N: usize, S> Drop for Slab<N, S> {
    /// Frees the slabs behind this one in a loop: a long chain freed by recursion would overflow the stack.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut slab) = next.and_then(Arc::into_inner) {
            next = slab.next.take();
        }
    }
}

impl<const N: usize, S> Default for Chain<N, S> {
    fn default() -> Self {
        Chain { len: AtomicU64::new(0), head: OnceLock::new() }
    }
}

impl<const N: usize, S> Chain<N, S> {
    /// The number of entries that may be read. It may grow while the caller looks; what is below stays.
    pub fn len(&self) -> usize {
        // Acquire: partner of the store in `push`.
        usize::try_from(self.len.load(FOLLOW)).expect("a chain lies in memory")
    }

    /// Whether there is nothing to read yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slabs that hold the first `len` entries, `len` at most what [`Chain::len`] said.
    pub fn slabs(&self, len: usize) -> Slabs<'_, N, S> {
        Slabs { next: self.head.get(), left: len }
    }

    /// The first `len` entries, `len` at most what [`Chain::len`] said.
    pub fn entries(&self, len: usize) -> impl Iterator<Item = [u64; N]> + '_ {
        self.slabs(len).flat_map(|view| view.entries())
    }
}

/// Walks the slabs of a chain; made by [`Chain::slabs`].
#[derive(Debug)]
pub struct Slabs<'a, const N: usize, S> {
    next: Option<&'a Arc<Slab<N, S>>>,
    left: usize,
}

impl<'a, const N: usize, S> Iterator for Slabs<'a, N, S> {
    type Item = SlabView<'a, N, S>;

    fn next(&mut self) -> Option<SlabView<'a, N, S>> {
        if self.left == 0 {
            return None;
        }
        let slab = self.next?;
        let len = self.left.min(slab.entries.len());
        self.left -= len;
        self.next = slab.next.get();
        Some(SlabView { slab, len })
    }
}

/// The readable entries of one slab.
#[derive(Debug)]
pub struct SlabView<'a, const N: usize, S> {
    slab: &'a Slab<N, S>,
    len: usize,
}

impl<'a, const N: usize, S> SlabView<'a, N, S> {
    /// The entries, in the order they were pushed.
    pub fn entries(&self) -> impl Iterator<Item = [u64; N]> + use<'a, N, S> {
        let slab = self.slab;
        (0..self.len).map(move |at| slab.entry(at))
    }

    /// What the writer noted when the slab became full, if all of it is readable.
    pub fn summary(&self) -> Option<&'a S> {
        if self.len == self.slab.entries.len() { self.slab.summary.get() } else { None }
    }
}

/// The writer's side of a chain; there is one.
#[derive(Debug)]
pub struct ChainWriter<const N: usize, S> {
    chain: Arc<Chain<N, S>>,
    open: Option<Arc<Slab<N, S>>>,
    open_len: usize,
    len: u64,
}

impl<const N: usize, S> Default for ChainWriter<N, S> {
    fn default() -> Self {
        ChainWriter { chain: Arc::default(), open: None, open_len: 0, len: 0 }
    }
}

impl<const N: usize, S> ChainWriter<N, S> {
    /// The readers' side.
    pub fn chain(&self) -> &Arc<Chain<N, S>> {
        &self.chain
    }

    /// Appends one entry; when that fills the slab, `summarize` is called with all of the slab's entries.
    pub fn push(&mut self, entry: [u64; N], summarize: impl FnOnce(&[[u64; N]]) -> S) {
        let slab = self.slab_with_room();
        let at = self.open_len;
        for (word, value) in slab.entries[at].iter().zip(entry) {
            word.store(value, Ordering::Relaxed);
        }
        self.open_len += 1;
        if self.open_len == slab.entries.len() {
            let entries: Vec<[u64; N]> = (0..self.open_len).map(|at| slab.entry(at)).collect();
            let unset = slab.summary.set(summarize(&entries));
            debug_assert!(unset.is_ok(), "a slab becomes full once");
        }
        self.len += 1;
        // Release: partner of the load in `Chain::len`.
        self.chain.len.store(self.len, PUBLISH);
    }

    fn slab_with_room(&mut self) -> Arc<Slab<N, S>> {
        let full = match &self.open {
            Some(slab) if self.open_len < slab.entries.len() => return Arc::clone(slab),
            full => full.as_ref(),
        };
        let capacity = full.map_or(SLAB_MIN_ENTRIES, |slab| (slab.entries.len() * SLAB_GROWTH).min(SLAB_MAX_ENTRIES));
        let slab = Arc::new(Slab::new(capacity));
        let link = full.map_or(&self.chain.head, |slab| &slab.next);
        let unset = link.set(Arc::clone(&slab));
        debug_assert!(unset.is_ok(), "only the last slab has no successor");
        self.open = Some(Arc::clone(&slab));
        self.open_len = 0;
        slab
    }
}

#[cfg(all(test, loom))]
mod loom_tests;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_order_across_slabs() {
        let mut writer = ChainWriter::<2, u64>::default();
        let chain = Arc::clone(writer.chain());
        for n in 0..5000 {
            writer.push([n, n * n], |entries| entries.iter().map(|[first, _]| first).sum());
        }
        let read: Vec<_> = chain.entries(chain.len()).collect();
        assert_eq!(read, (0..5000).map(|n| [n, n * n]).collect::<Vec<_>>());
        assert_eq!(chain.entries(7).count(), 7);
    }

    #[test]
    fn a_slab_has_its_summary_when_all_of_it_is_readable() {
        let mut writer = ChainWriter::<1, u64>::default();
        for n in 0..24 {
            writer.push([n], |entries| entries.iter().map(|[n]| n).sum());
        }
        let chain = Arc::clone(writer.chain());
        let summaries: Vec<_> = chain.slabs(24).map(|slab| slab.summary().copied()).collect();
        assert_eq!(summaries, [Some(1 + 2 + 3), Some((4..20).sum()), None]);
        assert!(chain.slabs(19).nth(1).expect("the second slab").summary().is_none());
    }

    #[test]
    fn a_chain_of_many_slabs_is_freed_without_recursion() {
        let mut writer = ChainWriter::<1, ()>::default();
        for n in 0..20_000_000 {
            writer.push([n], |_| ());
        }
        std::thread::Builder::new()
            .stack_size(64 * 1024)
            .spawn(move || drop(writer))
            .expect("a thread")
            .join()
            .expect("freeing a chain fits into a small stack");
    }
}
