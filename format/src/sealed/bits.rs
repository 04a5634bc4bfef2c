//! Numbers of a fixed width in bits, one behind the other, the lowest bit first; and ranks over single bits.

use std::ops::Range;

/// The bits that `max` needs; 0 for 0.
pub(super) fn width_of(max: u64) -> u32 {
    u64::BITS - max.leading_zeros()
}

/// The bytes that `count` numbers of `width` bits take.
pub(super) fn packed_len_bytes(count: usize, width: u32) -> usize {
    (count as u64 * u64::from(width)).div_ceil(8) as usize
}

/// Appends `values`, each below 2^`width`, and zeros up to a full byte.
pub(super) fn pack(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let mut open = 0u128;
    let mut open_bits = 0;
    for value in values {
        debug_assert!(width_of(value) <= width, "{value} is wider than {width} bits");
        open |= u128::from(value) << open_bits;
        open_bits += width;
        while open_bits >= 8 {
            out.push(open as u8);
            open >>= 8;
            open_bits -= 8;
        }
    }
    if open_bits > 0 {
        out.push(open as u8);
    }
}

/// The `index`th number of `width` bits, at most 64. Bits behind the end of `bytes` read as 0.
#[inline]
pub(super) fn unpack(bytes: &[u8], index: usize, width: u32) -> u64 {
    let at = index as u64 * u64::from(width);
    let (byte, shift) = ((at / 8) as usize, (at % 8) as u32);
    let mask = if width >= 64 { u64::MAX } else { (1 << width) - 1 };
    if width <= 56
        && let Some(word) = bytes.get(byte..byte + 8)
    {
        return u64::from_le_bytes(word.try_into().expect("eight bytes")) >> shift & mask;
    }
    let mut word = [0; 16];
    let rest = bytes.get(byte..).unwrap_or(&[]);
    let len = rest.len().min(16);
    word[..len].copy_from_slice(&rest[..len]);
    (u128::from_le_bytes(word) >> shift) as u64 & mask
}

/// Appends the numbers `range` of `width` bits, at most 32, to `out`: what [`unpack`] gives for each.
pub(super) fn unpack_all(bytes: &[u8], range: Range<usize>, width: u32, out: &mut Vec<u32>) {
    let from = out.len();
    out.resize(from + range.len(), 0);
    let (mut next, mut rest) = (range.start, &mut out[from..]);
    if (1..=16).contains(&width) {
        // Eight numbers fill bytes, whatever their width; four of them lie in one word, and the others in one that begins with a byte
        // or in the middle of it.
        let head = (next.next_multiple_of(8) - next).min(rest.len());
        let (before, behind) = rest.split_at_mut(head);
        before.iter_mut().enumerate().for_each(|(at, number)| *number = unpack(bytes, next + at, width) as u32);
        next += head;
        let windows = bytes.get(next / 8 * width as usize..).unwrap_or(&[]).windows(16).step_by(width as usize);
        let (mask, middle, shift) = (u32::MAX >> (u32::BITS - width), width as usize / 2, width % 2 * 4);
        let mut done = 0;
        for (eight, window) in behind.chunks_exact_mut(8).zip(windows) {
            let word = |at: usize| u64::from_le_bytes(window[at..at + 8].try_into().expect("eight bytes"));
            let (low, high) = (word(0), word(middle) >> shift);
            let (first, second) = eight.split_at_mut(4);
            for ((first, second), shift) in first.iter_mut().zip(second).zip((0..).step_by(width as usize)) {
                *first = (low >> shift) as u32 & mask;
                *second = (high >> shift) as u32 & mask;
            }
            done += 8;
        }
        next += done;
        rest = &mut behind[done..];
    }
    rest.iter_mut().enumerate().for_each(|(at, number)| *number = unpack(bytes, next + at, width) as u32);
}

/// Where the `index`th set bit of `word` stands, which has more than `index`.
#[inline]
pub(super) fn select(word: u64, index: u32) -> u32 {
    let (mut word, mut left, mut place) = (word, index, 0);
    for half in [32, 16, 8] {
        let ones = (word & ((1 << half) - 1)).count_ones();
        if left >= ones {
            left -= ones;
            word >>= half;
            place += half;
        }
    }
    for _ in 0..left {
        word &= word.wrapping_sub(1);
    }
    place + word.trailing_zeros()
}

/// The `index`th word of 64 bits of `bytes`, zeros behind its end.
#[inline]
pub(super) fn word(bytes: &[u8], index: usize) -> u64 {
    let at = index * 8;
    if let Some(word) = bytes.get(at..at + 8) {
        return u64::from_le_bytes(word.try_into().expect("eight bytes"));
    }
    let mut word = [0; 8];
    let rest = bytes.get(at..).unwrap_or(&[]);
    word[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(word)
}

/// Bits in memory, set in any order.
#[derive(Clone, Debug, Default)]
pub(super) struct BitSet(Vec<u64>);

impl BitSet {
    /// All of `len` bits unset.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Sets a bit.
    pub(super) fn set(&mut self, bit: u32) {
        let word = bit as usize / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (bit % 64);
    }

    /// Whether a bit is set.
    pub(super) fn get(&self, bit: u32) -> bool {
        self.0.get(bit as usize / 64).is_some_and(|word| word >> (bit % 64) & 1 != 0)
    }
}

/// A bit vector in memory that counts the bits below a place.
#[derive(Clone, Debug)]
pub(super) struct RankedBits {
    words: Vec<u64>,
    /// The bits set before each word.
    before: Vec<u32>,
}

impl RankedBits {
    /// The first `len` bits of `bytes`.
    pub(super) fn new(bytes: &[u8], len: usize) -> RankedBits {
        let mut words: Vec<u64> = (0..len.div_ceil(64)).map(|index| word(bytes, index)).collect();
        if let Some(last) = words.last_mut()
            && !len.is_multiple_of(64)
        {
            *last &= (1 << (len % 64)) - 1;
        }
        let mut count = 0;
        let before = words
            .iter()
            .map(|word| {
                let before = count;
                count += word.count_ones();
                before
            })
            .collect();
        RankedBits { words, before }
    }

    /// How many bits below `bit` are set.
    pub(super) fn rank(&self, bit: u32) -> u32 {
        let index = bit as usize / 64;
        match self.words.get(index) {
            Some(word) => self.before[index] + (word & ((1 << (bit % 64)) - 1)).count_ones(),
            None => self.ones(),
        }
    }

    /// How many bits are set.
    pub(super) fn ones(&self) -> u32 {
        self.words.last().map_or(0, |word| self.before[self.words.len() - 1] + word.count_ones())
    }

    /// The bits, by words.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// The word that holds the `index`th unset bit, and how many unset bits are before it; the last word if there is none.
    pub(super) fn word_of_zero(&self, index: u64) -> (usize, u64) {
        let zeros_before = |word: usize| word as u64 * 64 - u64::from(self.before[word]);
        let word = partition(self.words.len(), |word| zeros_before(word) <= index).saturating_sub(1);
        (word, self.before.get(word).map_or(0, |_| zeros_before(word)))
    }

    /// The place of the `index`th set bit, if there are as many.
    pub(super) fn place_of_one(&self, index: u32) -> Option<u32> {
        if index >= self.ones() {
            return None;
        }
        let word = partition(self.words.len(), |word| self.before[word] <= index) - 1;
        Some(word as u32 * 64 + select(self.words[word], index - self.before[word]))
    }
}

/// The first of `0..len` for which `is_before` is false, which is true up to there.
fn partition(len: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low.midpoint(high);
        if is_before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_numbers_come_back(width in 0u32..=64, raw in proptest::collection::vec(any::<u64>(), 0..200)) {
            let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
            let values: Vec<u64> = raw.iter().map(|value| value & mask).collect();
            let mut bytes = Vec::new();
            pack(values.iter().copied(), width, &mut bytes);
            prop_assert_eq!(bytes.len(), packed_len_bytes(values.len(), width));
            for (index, value) in values.iter().enumerate() {
                prop_assert_eq!(unpack(&bytes, index, width), *value);
            }
        }

        #[test]
        fn numbers_unpacked_together_are_those_unpacked_one_by_one(
            width in 0u32..=32,
            raw in proptest::collection::vec(any::<u64>(), 0..200),
            cut in (0usize..200, 0usize..200),
        ) {
            let mut bytes = Vec::new();
            pack(raw.iter().map(|value| value & ((1 << width) - 1)), width, &mut bytes);
            let start = cut.0.min(raw.len());
            let range = start..cut.1.clamp(start, raw.len());
            let expected: Vec<u32> = range.clone().map(|index| unpack(&bytes, index, width) as u32).collect();
            let mut out = vec![7];
            unpack_all(&bytes, range, width, &mut out);
            prop_assert_eq!(&out[1..], &expected);
        }

        #[test]
        fn ranks_and_places_are_those_of_a_plain_count(bits in proptest::collection::vec(any::<bool>(), 0..300)) {
            let mut bytes = Vec::new();
            pack(bits.iter().map(|bit| u64::from(*bit)), 1, &mut bytes);
            let ranked = RankedBits::new(&bytes, bits.len());
            for end in 0..=bits.len() {
                prop_assert_eq!(ranked.rank(end as u32) as usize, bits[..end].iter().filter(|bit| **bit).count());
            }
            let places: Vec<u32> = (0..bits.len() as u32).filter(|bit| bits[*bit as usize]).collect();
            for (index, place) in places.iter().enumerate() {
                prop_assert_eq!(ranked.place_of_one(index as u32), Some(*place));
            }
            prop_assert_eq!(ranked.place_of_one(places.len() as u32), None);
        }
    }
}
