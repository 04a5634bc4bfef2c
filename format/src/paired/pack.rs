//! Many changes of the catalog in one frame: what a catalog that has become long is written anew as.
//!
//! No change of a catalog is ever left out, and each takes a sector or more; many together, compressed, take a tenth of that.
//!
//! A pack is the byte [`MARK`], then one frame of zstd over the changes, each behind its length. No other change begins with that byte:
//! they are JSON. Whoever reads a catalog's file sees the changes, and never a pack.

use crate::sealed::compress::{Packer, unpack};

/// The first byte of a pack.
pub(crate) const MARK: u8 = 1;

/// The most bytes in a pack before they are compressed: few enough to hold twice, and many enough to compress well.
const PACK_BYTES: usize = 1024 * 1024;

const LEN_BYTES: usize = 4;

/// The same changes in fewer payloads, in their order. One that is too long for a pack stays as it is.
pub(crate) fn pack(payloads: &[impl AsRef<[u8]>]) -> Vec<Vec<u8>> {
    let (mut packed, mut open) = (Vec::new(), Vec::new());
    let mut packer = Packer::new();
    let mut close = |open: &mut Vec<u8>, packed: &mut Vec<Vec<u8>>| {
        if !open.is_empty() {
            let mut payload = vec![MARK];
            packer.pack(open, &mut payload);
            packed.push(payload);
            open.clear();
        }
    };
    for payload in payloads.iter().map(AsRef::as_ref) {
        let len_bytes = LEN_BYTES + payload.len();
        if open.len() + len_bytes > PACK_BYTES {
            close(&mut open, &mut packed);
        }
        if len_bytes > PACK_BYTES {
            packed.push(payload.to_vec());
            continue;
        }
        open.extend_from_slice(&u32::try_from(payload.len()).expect("below the bound of a pack").to_le_bytes());
        open.extend_from_slice(payload);
    }
    close(&mut open, &mut packed);
    packed
}

/// The changes that a payload holds: those of a pack, or itself. Nothing if it is a pack that nobody has made.
pub(super) fn unpacked(payload: Vec<u8>) -> Option<Vec<Vec<u8>>> {
    let Some((&MARK, packed)) = payload.split_first() else { return Some(vec![payload]) };
    let (mut bytes, mut payloads) = (Vec::new(), Vec::new());
    unpack(packed, PACK_BYTES, &mut bytes)?;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (len, behind) = rest.split_first_chunk::<LEN_BYTES>()?;
        let (payload, behind) = behind.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
        payloads.push(payload.to_vec());
        rest = behind;
    }
    if payloads.is_empty() { None } else { Some(payloads) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_packed_comes_back_in_its_order() {
        let long = vec![b'x'; PACK_BYTES - LEN_BYTES + 1];
        let fits = vec![b'y'; PACK_BYTES - LEN_BYTES];
        let payloads = [b"{}".to_vec(), Vec::new(), long, b"[1]".to_vec(), fits, b"{\"a\":2}".to_vec()];
        let packed = pack(&payloads);
        assert_eq!(packed.len(), 5, "two, the long one, one, one that fills a pack, and one");
        let again: Vec<Vec<u8>> = packed.into_iter().flat_map(|payload| unpacked(payload).unwrap()).collect();
        assert!(again == payloads);
        assert!(pack(&[] as &[&[u8]]).is_empty());
    }

    #[test]
    fn what_nobody_has_packed_is_refused() {
        let whole = pack(&[b"one".to_vec(), b"two".to_vec()]).remove(0);
        assert_eq!(unpacked(whole.clone()).unwrap(), [b"one", b"two"]);
        for len in 1..whole.len() {
            assert_eq!(unpacked(whole[..len].to_vec()), None, "{len} bytes");
        }
        let of = |bytes: &[u8]| {
            let mut payload = vec![MARK];
            Packer::new().pack(bytes, &mut payload);
            unpacked(payload)
        };
        assert_eq!(of(&[3, 0, 0, 0, b'o', b'n', b'e']).unwrap(), [b"one"]);
        assert_eq!(of(&[4, 0, 0, 0, b'o', b'n', b'e']), None, "a length past the end");
        assert_eq!(of(&[3, 0, 0]), None, "half a length");
        assert_eq!(of(&vec![0; PACK_BYTES + 4]), None, "more than a pack holds");
    }
}
