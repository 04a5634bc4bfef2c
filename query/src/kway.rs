//! Sorted lists read as one, without holding them.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::error::Error;

/// A list whose keys grow.
pub(crate) trait Sorted {
    type Key: Ord;
    /// What stands at a key.
    type Item;

    /// The next key, or none behind the last.
    fn next(&mut self) -> Next<Self>;

    /// What to say of keys that do not grow.
    fn out_of_order(&self) -> Error;
}

/// A key and what stands at it, or none behind the last.
pub(crate) type Next<S> = Result<Option<(<S as Sorted>::Key, <S as Sorted>::Item)>, Error>;

/// Lists read as one: each key comes once, with all that stands at it.
pub(crate) struct KWay<S: Sorted> {
    sources: Vec<S>,
    heads: BinaryHeap<Reverse<Head<S::Key, S::Item>>>,
}

/// What a list has next.
struct Head<K, T> {
    key: K,
    source: usize,
    item: T,
}

impl<K: Ord, T> Ord for Head<K, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key).then(self.source.cmp(&other.source))
    }
}

impl<K: Ord, T> PartialOrd for Head<K, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord, T> PartialEq for Head<K, T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<K: Ord, T> Eq for Head<K, T> {}

impl<S: Sorted> KWay<S> {
    /// Before the lowest key of all.
    pub(crate) fn new(mut sources: Vec<S>) -> Result<KWay<S>, Error> {
        let mut heads = BinaryHeap::with_capacity(sources.len());
        for (source, list) in sources.iter_mut().enumerate() {
            if let Some((key, item)) = list.next()? {
                heads.push(Reverse(Head { key, source, item }));
            }
        }
        Ok(KWay { sources, heads })
    }

    /// The lists, by the numbers that [`KWay::next`] names them with.
    pub(crate) fn sources(&mut self) -> &mut [S] {
        &mut self.sources
    }

    /// The next key, or none behind the last. `same` gets what stands at it, with the numbers of the lists, which grow.
    pub(crate) fn next(&mut self, same: &mut Vec<(usize, S::Item)>) -> Result<Option<S::Key>, Error> {
        same.clear();
        let mut lowest = None;
        while let Some(mut head) = self.heads.peek_mut() {
            if lowest.as_ref().is_some_and(|lowest| head.0.key != *lowest) {
                break;
            }
            let source = &mut self.sources[head.0.source];
            let (key, item) = match source.next()? {
                Some((key, _)) if key <= head.0.key => return Err(source.out_of_order()),
                Some((key, item)) => (std::mem::replace(&mut head.0.key, key), std::mem::replace(&mut head.0.item, item)),
                None => {
                    let Reverse(Head { key, source, item }) = PeekMut::pop(head);
                    same.push((source, item));
                    lowest.get_or_insert(key);
                    continue;
                }
            };
            same.push((head.0.source, item));
            lowest.get_or_insert(key);
        }
        Ok(lowest)
    }
}

/// Gives `take` what `next` gives, up to its end or its first error, which is returned then.
pub(crate) fn feed<T>(
    mut next: impl FnMut() -> Result<Option<T>, Error>,
    take: impl FnOnce(&mut dyn Iterator<Item = T>) -> Result<(), format::Error>,
) -> Result<(), Error> {
    let mut failed = None;
    let taken = take(&mut std::iter::from_fn(|| match next() {
        Ok(next) => next,
        Err(error) => {
            failed = Some(error);
            None
        }
    }));
    failed.map_or(Ok(taken?), Err)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    struct List(Vec<u32>);

    impl Sorted for List {
        type Key = u32;
        type Item = usize;

        fn next(&mut self) -> Result<Option<(u32, usize)>, Error> {
            Ok((!self.0.is_empty()).then(|| (self.0.remove(0), self.0.len())))
        }

        fn out_of_order(&self) -> Error {
            Error::Stopped
        }
    }

    #[test]
    fn each_key_comes_once_with_all_that_have_it() {
        let mut lists = KWay::new(vec![List(vec![1, 4, 5]), List(vec![]), List(vec![1, 2, 5, 6]), List(vec![5])]).unwrap();
        let (mut all, mut same) = (Vec::new(), Vec::new());
        while let Some(key) = lists.next(&mut same).unwrap() {
            all.push((key, same.clone()));
        }
        let expected =
            [(1, vec![(0, 2), (2, 3)]), (2, vec![(2, 2)]), (4, vec![(0, 1)]), (5, vec![(0, 0), (2, 1), (3, 0)]), (6, vec![(2, 0)])];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_list_that_does_not_grow_is_refused() {
        for list in [vec![1, 1], vec![2, 1]] {
            let mut lists = KWay::new(vec![List(list), List(vec![3])]).unwrap();
            assert!(matches!(lists.next(&mut Vec::new()), Err(Error::Stopped)));
        }
    }

    #[test]
    fn what_is_fed_ends_at_the_first_error() {
        let mut list = [Ok(Some(1)), Ok(Some(2)), Err(Error::Stopped)].into_iter();
        let mut taken = Vec::new();
        let fed = feed(
            || list.next().unwrap(),
            |items| {
                taken.extend(items);
                Ok(())
            },
        );
        assert!(matches!(fed, Err(Error::Stopped)));
        assert_eq!(taken, [1, 2]);
    }
}
