//! Codes that mostly grow, as their steps: from the code before, or from the highest before. A byte holds the zigzag of a step; what
//! does not fit into one stands behind all of them.
//!
//! Not varints: where one begins hangs on the one before it, and a processor that guesses wrong for one code in ten spends most of its
//! time on these.

use std::ops::Range;

use super::compress::{self, Packer};
use super::varint;

/// What a code is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// The code before it; 0 before the first.
    Last,
    /// The highest code before it; 0 before the first. For codes that grow but for some which lag behind: one of these does not disturb
    /// the next.
    Highest,
}

const PLAIN: u8 = 0;
const PACKED: u8 = 1;

/// The byte of a step whose zigzag is as much or more: how much more is a varint behind.
const FAR: u8 = 255;

/// Appends `codes` as their steps from `base`.
pub(super) fn encode(codes: &[u32], base: Base, packer: &mut Packer, out: &mut Vec<u8>) {
    let (mut near, mut far) = (Vec::with_capacity(codes.len()), Vec::new());
    let mut compared = 0;
    for code in codes.iter().map(|code| i64::from(*code)) {
        let step = varint::zigzag(code - compared);
        match step.checked_sub(u64::from(FAR)) {
            None => near.push(step as u8),
            Some(more) => {
                near.push(FAR);
                varint::put(&mut far, more);
            }
        }
        compared = if base == Base::Last { code } else { compared.max(code) };
    }
    let mut packed = Vec::new();
    packer.pack_letters(&near, &mut packed);
    if packed.len() < near.len() {
        out.push(PACKED);
        varint::put(out, packed.len() as u64);
        out.extend_from_slice(&packed);
    } else {
        out.push(PLAIN);
        out.extend_from_slice(&near);
    }
    out.extend_from_slice(&far);
}

/// Appends those of `count` codes that are in `wanted` to `out`; nothing is said of what is there then if they cannot be decoded.
pub(super) fn decode(bytes: &[u8], count: usize, wanted: Range<usize>, base: Base, out: &mut Vec<u32>) -> Option<()> {
    let (form, mut rest) = bytes.split_first()?;
    // One loop for each base: which it is must not be asked for every code.
    let decode = |near: &[u8], far| match base {
        Base::Last => add_up(near, far, wanted, |_, code, _| code, out),
        Base::Highest => add_up(near, far, wanted, |compared, _, step| compared.wrapping_add(step.max(0)), out),
    };
    match *form {
        PLAIN => {
            let (near, far) = rest.split_at_checked(count)?;
            decode(near, far)
        }
        PACKED => {
            let packed = varint::take_bytes(&mut rest)?;
            compress::unpacked(packed, count, |near| if near.len() == count { decode(near, rest) } else { None })
        }
        _ => None,
    }
}

/// Appends the codes in `wanted`; `next` says what the next code is compared with, from what this one was, it and its step.
///
/// The highest code is kept as a sum, too, for a sum waits for nothing but the one before it.
#[inline(always)]
fn add_up(near: &[u8], mut far: &[u8], wanted: Range<usize>, next: impl Fn(i64, i64, i64) -> i64, out: &mut Vec<u32>) -> Option<()> {
    let mut compared = 0i64;
    let mut code = |near: u8| {
        let zigzag = if near == FAR { varint::take(&mut far)?.wrapping_add(u64::from(FAR)) } else { u64::from(near) };
        let step = varint::unzigzag(zigzag);
        let code = compared.wrapping_add(step);
        compared = next(compared, code, step);
        Some(code)
    };
    for near in near.get(..wanted.start)? {
        code(*near)?;
    }
    let (at, wanted_near) = (out.len(), near.get(wanted.clone())?);
    out.resize(at + wanted_near.len(), 0);
    let mut all = 0;
    for (out, near) in out[at..].iter_mut().zip(wanted_near) {
        let code = code(*near)?;
        all |= code;
        *out = code as u32;
    }
    (u32::try_from(all).is_ok() && (wanted.end < near.len() || far.is_empty())).then_some(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(codes in proptest::collection::vec(prop_oneof![0u32..100, 0u32..400, any::<u32>()], 0..300)) {
            for base in [Base::Last, Base::Highest] {
                let mut bytes = Vec::new();
                encode(&codes, base, &mut Packer::new(), &mut bytes);
                let decoded = |count, wanted| {
                    let mut out = vec![7];
                    decode(&bytes, count, wanted, base, &mut out).map(|()| out.split_off(1))
                };
                prop_assert_eq!(decoded(codes.len(), 0..codes.len()), Some(codes.clone()));
                let part = codes.len() / 3..codes.len() / 2;
                prop_assert_eq!(decoded(codes.len(), part.clone()), Some(codes[part].to_vec()));
                bytes.push(0);
                prop_assert_eq!(decode(&bytes, codes.len(), 0..codes.len(), base, &mut Vec::new()), None);
            }
        }

        #[test]
        fn whatever_the_bytes_there_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), count in 0usize..100, plain: bool) {
            let bytes = if plain { [&[PLAIN], bytes.as_slice()].concat() } else { bytes };
            let _ = decode(&bytes, count, count / 2..count, Base::Last, &mut Vec::new());
            let _ = decode(&bytes, count, count / 2..count, Base::Highest, &mut Vec::new());
        }
    }

    #[test]
    fn a_code_that_no_code_can_be_is_refused() {
        for base in [Base::Last, Base::Highest] {
            // One below 0, and one above all: a step of 2^32, whose zigzag is 2^33.
            assert_eq!(decode(&[PLAIN, 1], 1, 0..1, base, &mut Vec::new()), None);
            let mut above = vec![PLAIN, FAR];
            varint::put(&mut above, (1 << 33) - u64::from(FAR));
            assert_eq!(decode(&above, 1, 0..1, base, &mut Vec::new()), None);
        }
    }
}
