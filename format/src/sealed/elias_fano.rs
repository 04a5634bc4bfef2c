//! Growing numbers in little more than the fewest bits: low bits packed, high bits counted in unary (Elias and Fano, 1971–74).
//!
//! `count` numbers up to `max` take about log2(`max` / `count`) + 2 bits each. Number `i` sets bit `(number >> width) + i` of the high
//! bits, so the number of zeros before a set bit is the high part, and that of ones the index.

use super::bits;

/// How many low bits are packed: those that a number has on average from the one before it.
pub(super) fn width(count: usize, max: u64) -> u32 {
    bits::width_of(max / (count.max(1) as u64)).saturating_sub(1)
}

/// Appends growing numbers: low bits, then high bits up to the last one that is set.
pub(super) fn encode(numbers: impl Iterator<Item = u64> + Clone, width: u32, out: &mut Vec<u8>) {
    let mask = (1 << width) - 1;
    bits::pack(numbers.clone().map(|number| number & mask), width, out);
    let at = out.len();
    for (index, number) in numbers.enumerate() {
        let bit = (number >> width) as usize + index;
        if out.len() <= at + bit / 8 {
            out.resize(at + bit / 8 + 1, 0);
        }
        out[at + bit / 8] |= 1 << (bit % 8);
    }
}

/// A few growing numbers, read where they stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct EliasFano<'b> {
    count: usize,
    width: u32,
    low: &'b [u8],
    high: &'b [u8],
}

impl<'b> EliasFano<'b> {
    /// What [`encode`] made `bytes` of; nothing if they are too short for the low bits.
    #[inline]
    pub(super) fn new(bytes: &'b [u8], count: usize, width: u32) -> Option<EliasFano<'b>> {
        let (low, high) = bytes.split_at_checked(bits::packed_len_bytes(count, width))?;
        Some(EliasFano { count, width, low, high })
    }

    /// The `index`th number; nothing if there are fewer.
    pub(super) fn get(&self, index: usize) -> Option<u64> {
        let mut left = index as u32;
        for number in 0..self.high.len().div_ceil(8) {
            let word = bits::word(self.high, number);
            if left < word.count_ones() {
                let place = number as u64 * 64 + u64::from(bits::select(word, left));
                return Some(place.checked_sub(index as u64)? << self.width | bits::unpack(self.low, index, self.width));
            }
            left -= word.count_ones();
        }
        None
    }

    /// Calls `each` for each number; nothing if there are fewer than there should be.
    pub(super) fn each(&self, mut each: impl FnMut(u64)) -> Option<()> {
        let mut index = 0;
        for number in 0..self.high.len().div_ceil(8) {
            let mut word = bits::word(self.high, number);
            while word != 0 && index < self.count {
                let place = number as u64 * 64 + u64::from(word.trailing_zeros());
                each((place - index as u64) << self.width | bits::unpack(self.low, index, self.width));
                word &= word - 1;
                index += 1;
            }
        }
        (index == self.count).then_some(())
    }

    /// How many numbers are below `bound`.
    #[inline]
    pub(super) fn rank(&self, bound: u64) -> usize {
        let (high, low) = (bound >> self.width, bound & ((1 << self.width) - 1));
        // Behind the zero number `high - 1` stand the numbers with this high part.
        let mut place = 0u64;
        if high > 0 {
            let mut left = high - 1;
            let mut word_number = 0;
            loop {
                if word_number >= self.high.len().div_ceil(8) {
                    return self.count;
                }
                let word = bits::word(self.high, word_number);
                let zeros = u64::from(word.count_zeros());
                if left < zeros {
                    place = word_number as u64 * 64 + u64::from(bits::select(!word, left as u32)) + 1;
                    break;
                }
                left -= zeros;
                word_number += 1;
            }
        }
        let mut index = (place - high) as usize;
        while index < self.count && self.bit(place) && bits::unpack(self.low, index, self.width) < low {
            index += 1;
            place += 1;
        }
        index.min(self.count)
    }

    fn bit(&self, place: u64) -> bool {
        self.high.get((place / 8) as usize).is_some_and(|byte| byte >> (place % 8) & 1 != 0)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_and_ranks_are_those_of_the_list(
            mut numbers in proptest::collection::vec(prop_oneof![0u64..50, 0u64..1 << 40], 1..200),
            bounds in proptest::collection::vec(0u64..1 << 41, 20),
        ) {
            numbers.sort_unstable();
            let width = width(numbers.len(), *numbers.last().unwrap());
            let mut bytes = Vec::new();
            encode(numbers.iter().copied(), width, &mut bytes);
            let read = EliasFano::new(&bytes, numbers.len(), width).unwrap();
            let mut all = Vec::new();
            read.each(|number| all.push(number)).unwrap();
            prop_assert_eq!(&all, &numbers);
            for (index, number) in numbers.iter().enumerate() {
                prop_assert_eq!(read.get(index), Some(*number));
            }
            prop_assert_eq!(read.get(numbers.len()), None);
            for bound in bounds.into_iter().chain(numbers.iter().flat_map(|number| [*number, number + 1])) {
                prop_assert_eq!(read.rank(bound), numbers.partition_point(|number| *number < bound));
            }
        }

        #[test]
        fn whatever_the_bytes_there_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), count in 0usize..128, width in 0u32..60, bound: u64) {
            if let Some(read) = EliasFano::new(&bytes, count, width) {
                let _ = (read.get(count / 2), read.each(|_| {}), read.rank(bound >> 4));
            }
        }
    }
}
