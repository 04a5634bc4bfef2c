//! Numbers as their differences: a byte says whether they are compressed, then come zigzag varints.

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

/// Calls `each` for each of `count` values; nothing if `bytes` hold fewer or more.
pub(super) fn decode(bytes: &[u8], count: usize, base: Base, mut each: impl FnMut(u64)) -> Option<()> {
    let (form, rest) = bytes.split_first()?;
    let mut unpacked = Vec::new();
    let mut varints = match *form {
        PLAIN => rest,
        PACKED => {
            compress::unpack(rest, count.checked_mul(MAX_VARINT_BYTES)?, &mut unpacked)?;
            &unpacked
        }
        _ => return None,
    };
    let mut before = 0u64;
    for _ in 0..count {
        let value = before.wrapping_add(varint::unzigzag(varint::take(&mut varints)?) as u64);
        before = base.after(before, value);
        each(value);
    }
    varints.is_empty().then_some(())
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
                decode(&bytes, values.len(), base, |value| decoded.push(value)).unwrap();
                prop_assert_eq!(&decoded, &values);
                prop_assert_eq!(decode(&bytes, values.len() + 1, base, |_| {}), None);
                if let Some(fewer) = values.len().checked_sub(1) {
                    prop_assert_eq!(decode(&bytes, fewer, base, |_| {}), None);
                }
            }
        }

        #[test]
        fn whatever_the_bytes_there_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), count in 0usize..100) {
            let _ = decode(&bytes, count, Base::Last, |_| {});
            let _ = decode(&bytes, count, Base::Highest, |_| {});
        }
    }
}
