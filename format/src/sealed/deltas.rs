//! Numbers as their differences: a byte says whether they are compressed, then come zigzag varints.

use super::compress::{self, Packer};
use super::varint;

/// The longest varint of a difference.
const MAX_VARINT_BYTES: usize = 10;

const PLAIN: u8 = 0;
const PACKED: u8 = 1;

/// Appends `values`, each as its difference from the one before it, the first one from 0.
pub(super) fn encode(values: impl Iterator<Item = u64>, packer: &mut Packer, out: &mut Vec<u8>) {
    let mut varints = Vec::new();
    let mut before = 0u64;
    for value in values {
        varint::put(&mut varints, varint::zigzag(value.wrapping_sub(before) as i64));
        before = value;
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

/// Calls `each` for each of `count` values; nothing if `bytes` hold fewer than these or more.
pub(super) fn decode(bytes: &[u8], count: usize, each: impl FnMut(u64)) -> Option<()> {
    let (form, rest) = bytes.split_first()?;
    match *form {
        PLAIN => decode_varints(rest, count, each),
        PACKED => compress::unpacked(rest, count.checked_mul(MAX_VARINT_BYTES)?, |bytes| decode_varints(bytes, count, each)),
        _ => None,
    }
}

fn decode_varints(mut varints: &[u8], count: usize, mut each: impl FnMut(u64)) -> Option<()> {
    let mut value = 0u64;
    for _ in 0..count {
        value = value.wrapping_add(varint::unzigzag(varint::take(&mut varints)?) as u64);
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
            let mut bytes = Vec::new();
            encode(values.iter().copied(), &mut Packer::new(), &mut bytes);
            let mut decoded = Vec::new();
            decode(&bytes, values.len(), |value| decoded.push(value)).unwrap();
            prop_assert_eq!(&decoded, &values);
            prop_assert_eq!(decode(&bytes, values.len() + 1, |_| {}), None);
            if let Some(fewer) = values.len().checked_sub(1) {
                prop_assert_eq!(decode(&bytes, fewer, |_| {}), None);
            }
        }

        #[test]
        fn whatever_the_bytes_there_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), count in 0usize..100) {
            let _ = decode(&bytes, count, |_| {});
        }
    }
}
