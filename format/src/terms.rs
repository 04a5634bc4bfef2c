//! An append-only map that readers search without a lock: which chain belongs to a term.
//!
//! A tree in which each node holds one key; a search compares the key at a node and, if it is another, goes on to the child that
//! the next two bits of the hash name. It grows without being rebuilt, so a reader never sees it in between. One writer inserts.
//!
//! Invariants:
//!
//! * A node, once linked, is never unlinked or changed.
//! * No key stands in it twice: only the one writer inserts, and only after a search of its own.
//!
//! The hand-over of a node is that of std's `OnceLock`: there is no ordering of our own here.

use std::sync::{Arc, OnceLock};

/// Children of a node: two bits of the hash.
const FANOUT: usize = 4;
const FANOUT_BITS: u32 = FANOUT.ilog2();

/// Entry points: the first eight bits of the hash, so that small maps are flat.
const ROOTS: usize = 256;
const ROOT_BITS: u32 = ROOTS.ilog2();

/// Where a node is, or will be.
type Link<K, V> = OnceLock<Box<Node<K, V>>>;

/// The readers' side of a map from `K` to `V`. The caller hashes: keyed, because terms come from clients.
#[derive(Debug)]
pub struct Terms<K, V> {
    roots: Box<[Link<K, V>]>,
}

#[derive(Debug)]
struct Node<K, V> {
    hash: u64,
    key: K,
    value: V,
    children: [Link<K, V>; FANOUT],
}

impl<K, V> Default for Terms<K, V> {
    fn default() -> Self {
        Terms { roots: (0..ROOTS).map(|_| OnceLock::new()).collect() }
    }
}

impl<K, V> Terms<K, V> {
    /// The value of the key that `is_key` accepts, among those with this hash.
    pub fn find(&self, hash: u64, is_key: impl Fn(&K) -> bool) -> Option<&V> {
        self.search(hash, is_key).ok()
    }

    /// The value of the key, or the empty link where it would be.
    fn search(&self, hash: u64, is_key: impl Fn(&K) -> bool) -> Result<&V, &Link<K, V>> {
        let mut link = &self.roots[hash as usize % ROOTS];
        let mut bits = hash >> ROOT_BITS;
        while let Some(node) = link.get() {
            if node.hash == hash && is_key(&node.key) {
                return Ok(&node.value);
            }
            link = &node.children[bits as usize % FANOUT];
            bits = bits.rotate_right(FANOUT_BITS);
        }
        Err(link)
    }

    /// All keys and values, in no order. What is inserted meanwhile may be among them.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut waiting: Vec<&Node<K, V>> = self.roots.iter().filter_map(OnceLock::get).map(Box::as_ref).collect();
        std::iter::from_fn(move || {
            let node = waiting.pop()?;
            waiting.extend(node.children.iter().filter_map(OnceLock::get).map(Box::as_ref));
            Some((&node.key, &node.value))
        })
    }
}

/// The writer's side of a map; there is one.
#[derive(Debug)]
pub struct TermsWriter<K, V> {
    terms: Arc<Terms<K, V>>,
}

impl<K, V> Default for TermsWriter<K, V> {
    fn default() -> Self {
        TermsWriter { terms: Arc::default() }
    }
}

impl<K, V> TermsWriter<K, V> {
    /// The readers' side.
    pub fn terms(&self) -> &Arc<Terms<K, V>> {
        &self.terms
    }

    /// The value of the key that `is_key` accepts, made by `insert` if there is none.
    pub fn find_or_insert(&mut self, hash: u64, is_key: impl Fn(&K) -> bool, insert: impl FnOnce() -> (K, V)) -> &V {
        let link = match self.terms.search(hash, is_key) {
            Ok(value) => return value,
            Err(link) => link,
        };
        let node = link.get_or_init(|| {
            let (key, value) = insert();
            Box::new(Node { hash, key, value, children: std::array::from_fn(|_| OnceLock::new()) })
        });
        &node.value
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Spreads small numbers over 64 bits (the multiplier is 2^64 divided by the golden ratio).
    fn hash(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn every_key_is_found_and_none_twice() {
        let mut writer = TermsWriter::<u64, u64>::default();
        for _ in 0..2 {
            for n in 0..10_000 {
                assert_eq!(*writer.find_or_insert(hash(n), |key| *key == n, || (n, n + 1)), n + 1);
            }
        }
        let terms = Arc::clone(writer.terms());
        let mut keys: Vec<u64> = terms.iter().map(|(key, _)| *key).collect();
        keys.sort_unstable();
        assert_eq!(keys, (0..10_000).collect::<Vec<_>>());
        assert_eq!(terms.find(hash(3), |key| *key == 3), Some(&4));
        assert_eq!(terms.find(hash(10_000), |key| *key == 10_000), None);
    }

    #[test]
    fn keys_with_one_hash_are_told_apart() {
        let mut writer = TermsWriter::<u64, u64>::default();
        for n in 0..100 {
            writer.find_or_insert(5, |key| *key == n, || (n, n));
        }
        for n in 0..100 {
            assert_eq!(writer.terms().find(5, |key| *key == n), Some(&n));
        }
    }
}
