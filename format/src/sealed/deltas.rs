//! Numbers as their differences: a byte says whether they are compressed, then come zigzag varints.

use std::ops::Range;

use super::compress::{self, Packer};
use super::varint;

/// The longest varint of a difference.
const MAX_VARINT_BYTES: usize = 10;

const PLAIN: u8 = 0;
const PACKED: u8 = 1;

/// What a value is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// The value before it; 0 before the first.
    Last,
    /// The highest value before it; at least 0. For values that grow but for some which lag behind: one of these does not disturb the
    /// next.
    Highest,
}

impl Base {
    #[inline(always)]
    fn after(self, base: u64, value: u64) -> u64 {
        match self {
            Base::Last => value,
            Base::Highest => value.max(base),
        }
    }
}

/// Appends `values` as their differences from `base`.
pub(super) fn encode(values: impl Iterator<Item = u64>, base: Base, packer: &mut Packer, out: &mut Vec<u8>) {
    let mut varints = Vec::new();
    let mut before = 0u64;
    for value in values {
        varint::put(&mut varints, varint::zigzag(value.wrapping_sub(before) as i64));
        before = base.after(before, value);
    }
    let at = out.len();
    out.push(PACKED);
    packer.pack(&varints, out);
    if out.len() - at > varints.len() {
        out.truncate(at);
        out.push(PLAIN);
        out.extend_from_slice(&varints);
    }
}

/// Calls `each` for those of `count` values that are in `wanted`; nothing if `bytes` hold fewer than these or, if the last one is wanted,
/// more.
pub(super) fn decode(bytes: &[u8], count: usize, wanted: Range<usize>, base: Base, each: impl FnMut(u64)) -> Option<()> {
    let (form, rest) = bytes.split_first()?;
    match *form {
        PLAIN => decode_varints(rest, count, wanted, base, each),
        PACKED => compress::unpacked(rest, count.checked_mul(MAX_VARINT_BYTES)?, |bytes| decode_varints(bytes, count, wanted, base, each)),
        _ => None,
    }
}

fn decode_varints(mut varints: &[u8], count: usize, wanted: Range<usize>, base: Base, each: impl FnMut(u64)) -> Option<()> {
    let mut before = 0;
    // One loop for each base: which it is must not be asked for every value.
    match base {
        Base::Last => {
            decode_some(&mut varints, wanted.start, Base::Last, &mut before, |_| {})?;
            decode_some(&mut varints, wanted.len(), Base::Last, &mut before, each)?;
        }
        Base::Highest => {
            decode_some(&mut varints, wanted.start, Base::Highest, &mut before, |_| {})?;
            decode_some(&mut varints, wanted.len(), Base::Highest, &mut before, each)?;
        }
    }
    (wanted.end < count || varints.is_empty()).then_some(())
}

/// Calls `each` for the next `count` values, the first of which is compared with `before`. Most differences have one byte.
#[inline(always)]
fn decode_some(varints: &mut &[u8], count: usize, base: Base, before: &mut u64, mut each: impl FnMut(u64)) -> Option<()> {
    let (mut rest, mut compared) = (*varints, *before);
    for _ in 0..count {
        let difference = match rest {
            [byte, behind @ ..] if *byte < 0x80 => {
                rest = behind;
                u64::from(*byte)
            }
            [low, high, behind @ ..] if *high < 0x80 => {
                rest = behind;
                u64::from(low & 0x7f) | u64::from(*high) << 7
            }
            _ => varint::take(&mut rest)?,
        };
        let value = compared.wrapping_add(varint::unzigzag(difference) as u64);
        compared = base.after(compared, value);
        each(value);
    }
    (*varints, *before) = (rest, compared);
    Some(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(values in proptest::collection::vec(prop_oneof![0u64..100, any::<u64>()], 0..300)) {
            for base in [Base::Last, Base::Highest] {
                let mut bytes = Vec::new();
                encode(values.iter().copied(), base, &mut Packer::new(), &mut bytes);
                let mut decoded = Vec::new();
                decode(&bytes, values.len(), 0..values.len(), base, |value| decoded.push(value)).unwrap();
                prop_assert_eq!(&decoded, &values);
                let part = values.len() / 3..values.len() / 2;
                decoded.clear();
                decode(&bytes, values.len(), part.clone(), base, |value| decoded.push(value)).unwrap();
                prop_assert_eq!(&decoded, &values[part]);
                prop_assert_eq!(decode(&bytes, values.len() + 1, 0..values.len() + 1, base, |_| {}), None);
                if let Some(fewer) = values.len().checked_sub(1) {
                    prop_assert_eq!(decode(&bytes, fewer, 0..fewer, base, |_| {}), None);
                }
            }
        }

        #[test]
        fn whatever_the_bytes_there_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), count in 0usize..100) {
            let _ = decode(&bytes, count, count / 2..count, Base::Last, |_| {});
            let _ = decode(&bytes, count, count / 2..count, Base::Highest, |_| {});
        }
    }
}
