//! Reading a whole segment again: every byte, and every index against the columns it was made from.
//!
//! A checksum vouches for bytes since they were written. What went wrong before, in memory or in a program, it vouches for as well;
//! so what the indexes say is worked out once more from the columns, in the plainest way, and compared.
//!
//! Invariants:
//!
//! * Every byte of the file lies in the header, a block, the footer or the trailer, each with a checksum; what lies between is a problem.
//! * A problem ends nothing but the check of what it makes unreadable.
//! * Memory: 12 bytes a session, 8 bytes a row and 2 bits of the largest run (of pageviews; of other runs only the bits), 8 bytes a long
//!   link of one run, 1.5 bytes an event id, and the sequences as a bitmap: two bytes each at most where they are dense.
//!
//! Parts, in the order they work: `blocks` (every byte), `directory` (runs and whose parts are whose), `dictionaries`, `columns` (all codes),
//! `sessions`, `rows` (times, sequences, session codes; with `links` and the bitmaps of sessions), `postings`, and the event ids,
//! which check themselves.

mod blocks;
mod columns;
mod dictionaries;
mod directory;
mod links;
mod postings;
mod rows;
mod sessions;
#[cfg(all(test, not(loom)))]
mod tests;

use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::findings::{Findings, Place};
use crate::fs::FileSystem;

use super::Segment;
use super::header::HEADER_LEN_BYTES;

/// Reads the segment at `path` wholly and adds what is wrong to `findings`. Gives the segment, for who knows more of what its columns
/// mean; none if it cannot be opened.
///
/// `progress` is called with the bytes that were read since the call before: twice as many in all as the file has, because columns are
/// read once more after the blocks.
pub fn verify(fs: &dyn FileSystem, path: &Path, findings: &mut Findings, progress: &mut dyn FnMut(u64)) -> Option<Arc<Segment>> {
    let segment = match Segment::open(fs, path) {
        Ok(segment) => segment,
        Err(error) => {
            findings.unreadable("header, footer and trailer", Place::file(), &error);
            return None;
        }
    };
    let is_named = path.file_name().is_some_and(|name| name == segment.header().id.file_name().as_str());
    if !is_named {
        findings.add("header", Place::bytes(0, HEADER_LEN_BYTES as u64), format_args!("it is segment {}", segment.header().id));
    }
    blocks::check(&segment, findings, progress);
    provenance(&segment, findings);
    let runs = directory::check(&segment, findings);
    dictionaries::check(&segment, findings);
    columns::check(&segment, &runs, findings);
    if sessions::check_order(&segment, findings) {
        rows::check(&segment, &runs, findings, progress);
        postings::check(&segment, &runs, findings);
    }
    segment.verify_event_ids(findings);
    if segment.is_poisoned() {
        findings.add("file", Place::file(), "a page of it cannot be read; what else is said of it may come from that");
    }
    Some(segment)
}

/// Checks what the footer says of the segment's origin.
fn provenance(segment: &Segment, findings: &mut Findings) {
    let provenance = segment.provenance();
    if provenance.sequences.0 > provenance.sequences.1 {
        findings.add("sequences", Place::file(), "the lowest is above the highest");
    }
    if let Some(at) = provenance.received.windows(2).position(|pair| pair[0].0 >= pair[1].0) {
        let sequence = provenance.received[at + 1].0;
        findings.add("receive times", Place::file(), format_args!("the one for sequence {sequence} does not grow"));
    }
}

/// What `result` gives; an error is told as one of `part`.
fn told<T>(result: Result<T, Error>, part: &str, place: Place, findings: &mut Findings) -> Option<T> {
    result.inspect_err(|error| findings.unreadable(part, place, error)).ok()
}
