//! The sessions of a segment: their ids by code, and their codes by id.

use std::ops::Range;

use crate::error::Error;
use crate::units::SessionId;

use super::bits;
use super::blocks::Input;
use super::output::Output;
use super::section::{STREAM_BLOCK_BYTES, Section};

const ID_LEN_BYTES: u64 = 16;

/// Writes the ids of all sessions, then their codes in the order of their ids; gives their number.
///
/// Keeps 8 bytes a session: four of its id and its code. Where those four are the same, the ids are read back.
///
/// # Errors
///
/// [`Error::Full`], [`Error::Io`].
///
/// # Panics
///
/// If an id is there twice, or there are 2^32 - 1 of them.
pub(super) fn write(output: &mut Output, ids: impl Iterator<Item = SessionId>) -> Result<u32, Error> {
    let mut order = Vec::new();
    for id in ids {
        let code = u32::try_from(order.len()).ok().filter(|code| *code < u32::MAX).expect("a segment has fewer than 2^32 - 1 sessions");
        output.append(Section::SESSION_IDS, &id.bytes())?;
        order.push(u64::from_be_bytes(id.bytes()[..8].try_into().expect("eight bytes")) >> 32 << 32 | u64::from(code));
    }
    order.sort_unstable();
    for same in order.chunk_by_mut(|left, right| left >> 32 == right >> 32).filter(|same| same.len() > 1) {
        let mut ids = Vec::with_capacity(same.len());
        for entry in same.iter() {
            let mut id = [0; ID_LEN_BYTES as usize];
            output.read_back(Section::SESSION_IDS, u64::from(*entry as u32) * ID_LEN_BYTES, &mut id)?;
            ids.push((id, *entry));
        }
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0].0 != pair[1].0), "no session is there twice");
        for (entry, (_, sorted)) in same.iter_mut().zip(ids) {
            *entry = sorted;
        }
    }
    let width = bits::width_of(order.len() as u64);
    let mut packed = Vec::new();
    // Eight numbers fill bytes, whatever their width.
    for numbers in order.chunks(8) {
        packed.clear();
        bits::pack(numbers.iter().map(|entry| u64::from(*entry as u32)), width, &mut packed);
        output.append(Section::SESSION_ORDER, &packed)?;
    }
    output.close(Section::SESSION_IDS)?;
    output.close(Section::SESSION_ORDER)?;
    Ok(order.len() as u32)
}

/// The id of session `code`, which is one of `count`.
///
/// # Errors
///
/// [`Error::Corrupt`], [`Error::Io`].
pub(super) fn id(input: &Input, code: u32, scratch: &mut Vec<u8>) -> Result<SessionId, Error> {
    Ok(SessionId::new(input.array(Section::SESSION_IDS, u64::from(code) * ID_LEN_BYTES, scratch)?))
}

/// Appends the ids of the sessions `codes` to `out`. Quickest where codes that follow each other are near each other.
///
/// # Errors
///
/// As [`id`].
pub(super) fn ids(input: &Input, codes: &[u32], out: &mut Vec<SessionId>) -> Result<(), Error> {
    const IDS_OF_BLOCK: u32 = STREAM_BLOCK_BYTES as u32 / ID_LEN_BYTES as u32;
    let mut scratch = Vec::new();
    let len_bytes = input.len(Section::SESSION_IDS);
    out.reserve(codes.len());
    for near in codes.chunk_by(|code, next| code / IDS_OF_BLOCK == next / IDS_OF_BLOCK) {
        let start = u64::from(near[0] / IDS_OF_BLOCK) * STREAM_BLOCK_BYTES as u64;
        let block = input.read(Section::SESSION_IDS, start..len_bytes.min(start + STREAM_BLOCK_BYTES as u64), &mut scratch)?;
        let (ids, _) = block.as_chunks::<{ ID_LEN_BYTES as usize }>();
        for code in near {
            let id = ids.get((code % IDS_OF_BLOCK) as usize).ok_or_else(|| input.undecodable_at(Section::SESSION_IDS, start))?;
            out.push(SessionId::new(*id));
        }
    }
    Ok(())
}

/// The code of a session id among `count` sessions.
///
/// # Errors
///
/// As [`id`].
pub(super) fn find(input: &Input, count: u32, wanted: SessionId) -> Result<Option<u32>, Error> {
    let mut scratch = Vec::new();
    let width = bits::width_of(u64::from(count));
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        let code = code_at(input, middle, width, &mut scratch)?;
        if code >= count {
            return Err(out_of_order(input, middle, width));
        }
        match id(input, code, &mut scratch)?.cmp(&wanted) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Equal => return Ok(Some(code)),
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    Ok(None)
}

/// Appends the codes at `places` in the order of ids, of `count` sessions, to `out`.
///
/// # Errors
///
/// As [`id`].
pub(super) fn codes_at(input: &Input, count: u32, places: Range<u32>, out: &mut Vec<u32>) -> Result<(), Error> {
    let mut scratch = Vec::new();
    let width = bits::width_of(u64::from(count));
    for place in places {
        let code = code_at(input, place, width, &mut scratch)?;
        if code >= count {
            return Err(out_of_order(input, place, width));
        }
        out.push(code);
    }
    Ok(())
}

fn out_of_order(input: &Input, place: u32, width: u32) -> Error {
    input.undecodable_at(Section::SESSION_ORDER, u64::from(place) * u64::from(width) / 8)
}

/// The code at `place` in the order of ids.
fn code_at(input: &Input, place: u32, width: u32, scratch: &mut Vec<u8>) -> Result<u32, Error> {
    let bit = u64::from(place) * u64::from(width);
    let end = (bit + u64::from(width)).div_ceil(8);
    let bytes = input.read(Section::SESSION_ORDER, bit / 8..end, scratch)?;
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    Ok((u64::from_le_bytes(word) >> (bit % 8) & ((1 << width) - 1)) as u32)
}
