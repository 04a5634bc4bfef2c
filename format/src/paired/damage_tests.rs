//! Every flipped bit and every length of a file, and the damage that needs two wounds to show.

#![allow(clippy::unwrap_used)]

use super::load::{Found, parse};
use super::*;
use crate::error::Corruption;

const KIND: FileKind = FileKind::Catalog;
const CHANGES: usize = 20;

/// The bytes of a file with twenty proven changes of many lengths, as they stand on disk.
fn file() -> (Vec<u8>, Vec<Vec<u8>>) {
    let len = |at: usize| if at % 7 == 5 { 1200 } else { at * 7 % 40 };
    let payloads: Vec<Vec<u8>> = (0..CHANGES).map(|at| vec![at as u8 + 1; len(at)]).collect();
    let mut image = Image::of_file(KIND, *b"0123456789abcdef", &payloads).bytes;
    image.resize(STEP_BYTES as usize, 0);
    (image, payloads)
}

fn used_end(image: &[u8]) -> usize {
    // A proof ends in three zeros.
    (image.iter().rposition(|byte| *byte != 0).unwrap() + 1).next_multiple_of(8)
}

/// Where the change with this number starts.
fn start_of(number: usize, payloads: &[Vec<u8>]) -> usize {
    payloads[..number].iter().fold(HEADER_LEN_BYTES as u64, |at, payload| pair_end(at, payload)) as usize
}

/// Whether every change is there, or missing in a range that is named as lost; and nothing else is there.
fn judge(found: &Found, payloads: &[Vec<u8>]) -> usize {
    let mut there = found.changes.iter().peekable();
    let mut missing = 0;
    for (number, payload) in payloads.iter().enumerate() {
        let start = start_of(number, payloads) as u64;
        if there.next_if(|change| change.offset.value() == start && change.payload == *payload).is_none() {
            missing += 1;
            let named = found.lost.iter().any(|lost| lost.from.value() <= start && start < lost.end.value());
            assert!(named, "change {number} is missing without a word");
        }
    }
    assert!(there.next().is_none(), "a change that nobody made");
    missing
}

#[test]
fn an_undamaged_file_holds_every_change_and_nothing_else() {
    let (image, payloads) = file();
    let (_, found) = parse(&image, KIND).unwrap();
    assert_eq!(judge(&found, &payloads), 0);
    assert!(found.lost.is_empty() && found.mended.is_empty() && found.torn_bytes == 0 && !found.is_last_unproven);
}

#[test]
fn every_flipped_bit_loses_nothing_or_is_named() {
    let (mut image, payloads) = file();
    let used_bits = used_end(&image) * 8;
    let (mut refused, mut lost, mut mended, mut completed, mut torn) = (0, 0, 0, 0, 0);
    // Behind the used part all bits of a byte are alike.
    for bit in (0..used_bits).chain((used_bits..image.len() * 8).step_by(8)) {
        image[bit / 8] ^= 1 << (bit % 8);
        match parse(&image, KIND) {
            Err(_) => {
                assert!(bit < HEADER_LEN_BYTES * 8, "bit {bit}");
                refused += 1;
            }
            Ok((_, found)) => {
                let missing = judge(&found, &payloads);
                assert_eq!(missing, found.lost.len(), "bit {bit}: one change for each range");
                assert!(missing <= 1, "bit {bit}");
                let in_the_tail = bit >= used_bits;
                lost += missing;
                mended += found.mended.len();
                completed += usize::from(found.is_last_unproven);
                torn += usize::from(in_the_tail && found.torn_bytes > 0);
                assert!(in_the_tail || missing + found.mended.len() + usize::from(found.is_last_unproven) > 0, "bit {bit} is not noticed");
            }
        }
        image[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(refused, HEADER_LEN_BYTES * 8);
    let change_bits: usize = payloads.iter().map(|payload| (crate::frame::HEADER_LEN_BYTES + payload.len()) * 8).sum();
    assert_eq!(lost, change_bits, "a flip in a change loses that change, and nothing else loses any");
    assert_eq!(completed, layout::PROOF_LEN_BYTES * 8, "a flip in the last proof leaves its change whole");
    assert_eq!(mended + completed, used_bits - HEADER_LEN_BYTES * 8 - change_bits);
    assert_eq!(torn, image.len() - used_bits / 8);
}

#[test]
fn every_length_is_named_as_too_short() {
    let (image, payloads) = file();
    for len in 0..image.len() {
        match parse(&image[..len], KIND) {
            Err(Corruption::Header) => assert!(len < HEADER_LEN_BYTES),
            Err(other) => panic!("{other} at {len}"),
            Ok((_, found)) => {
                let missing = judge(&found, &payloads);
                assert!(matches!(found.lost.last().unwrap().source, Corruption::CutShort { durable_len: STEP_BYTES, .. }), "{len}");
                let whole = (0..CHANGES).filter(|number| {
                    let end = start_of(*number, &payloads) + crate::frame::HEADER_LEN_BYTES + payloads[*number].len();
                    end <= len
                });
                assert_eq!(CHANGES - missing, whole.count(), "length {len}: what is whole is kept");
            }
        }
    }
}

#[test]
fn a_proven_change_that_was_overwritten_by_another_is_lost() {
    let (mut image, payloads) = file();
    let checksum = FileChecksum::new(*b"0123456789abcdef");
    let mut other = Vec::new();
    layout::encode_change(&mut other, &checksum, start_of(3, &payloads) as u64, &vec![99; payloads[3].len()]);
    image[start_of(3, &payloads)..][..other.len()].copy_from_slice(&other);
    let (_, found) = parse(&image, KIND).unwrap();
    assert!(matches!(found.lost.as_slice(), [Lost { source: Corruption::Proof, .. }]));
    assert_eq!(judge(&found, &payloads), 1);
}

#[test]
fn no_lost_sector_takes_a_change_without_a_word() {
    let (image, payloads) = file();
    for sector in 1..image.len() / layout::PROOF_ALIGNMENT {
        for garbage in [0, 0xff] {
            let mut damaged = image.clone();
            damaged[sector * layout::PROOF_ALIGNMENT..][..layout::PROOF_ALIGNMENT].fill(garbage);
            let (_, found) = parse(&damaged, KIND).unwrap();
            assert!(judge(&found, &payloads) <= 1, "sector {sector}");
        }
    }
}

#[test]
fn damage_over_many_changes_is_one_range_up_to_the_next_whole_one() {
    let (mut image, payloads) = file();
    image[start_of(4, &payloads) + 3..start_of(9, &payloads) - 1].fill(0);
    let (_, found) = parse(&image, KIND).unwrap();
    assert_eq!(judge(&found, &payloads), 5);
    let range = |lost: &Lost| (lost.from.value() as usize, lost.end.value() as usize);
    assert_eq!(found.lost.iter().map(range).collect::<Vec<_>>(), [(start_of(4, &payloads), start_of(9, &payloads))]);
}

#[test]
fn a_frame_of_another_file_or_place_never_passes() {
    let (mut image, payloads) = file();
    // The right salt, and the wrong offset.
    let (from, to) = (start_of(1, &payloads), start_of(2, &payloads));
    let pair = image[from..to].to_vec();
    let end = used_end(&image);
    image[end..end + pair.len()].copy_from_slice(&pair);
    let (_, found) = parse(&image, KIND).unwrap();
    assert_eq!(judge(&found, &payloads), 0);
    assert!(found.torn_bytes > 0);
}
