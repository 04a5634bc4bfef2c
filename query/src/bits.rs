//! Sets of session codes, which are dense and grow along a file.

use std::ops::Range;

/// A set of small numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// None of the numbers below `end`.
    pub(crate) fn below(end: u32) -> Bits {
        Bits(vec![0; end.div_ceil(64) as usize])
    }

    /// Adds those of `numbers` for which there is room, that of [`Bits::below`] or more.
    pub(crate) fn insert_within(&mut self, numbers: &[u32]) {
        for number in numbers {
            if let Some(word) = self.0.get_mut(*number as usize / 64) {
                *word |= 1 << (number % 64);
            }
        }
    }

    pub(crate) fn insert(&mut self, number: u32) {
        let word = number as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    #[inline]
    pub(crate) fn remove(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut(number as usize / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    #[inline]
    pub(crate) fn contains(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// The bits of the numbers in `range`, which are below the end of [`Bits::below`] and begin a word.
    pub(crate) fn words(&self, range: Range<u32>) -> &[u64] {
        debug_assert!(range.start.is_multiple_of(64), "a word is not cut");
        &self.0[range.start as usize / 64..range.end.div_ceil(64) as usize]
    }

    /// Leaves what is in `other` as well.
    pub(crate) fn intersect(&mut self, other: &Bits) {
        self.0.truncate(other.0.len());
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
    }

    /// The numbers, growing.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        (0u32..).zip(&self.0).flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(at * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(one in prop::collection::btree_set(0u32..300, 0..40), other in prop::collection::btree_set(0u32..300, 0..40)) {
            let of = |numbers: &BTreeSet<u32>| {
                let mut bits = Bits::default();
                numbers.iter().rev().for_each(|number| bits.insert(*number));
                bits
            };
            let mut within = Bits::below(256);
            within.insert_within(&one.iter().copied().chain([u32::MAX]).collect::<Vec<u32>>());
            prop_assert!(within.iter().eq(one.range(..256).copied()));
            let mut both = of(&one);
            prop_assert!(both.iter().eq(one.iter().copied()));
            both.intersect(&of(&other));
            prop_assert!(both.iter().eq(one.intersection(&other).copied()));
            prop_assert!((0..400).all(|number| both.contains(number) == (one.contains(&number) && other.contains(&number))));
        }
    }
}
