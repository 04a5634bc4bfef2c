//! Every byte of the file: blocks with their checksums, end to end from the header to the footer.

use crate::findings::{Findings, Place};
use crate::sealed::Segment;
use crate::sealed::header::HEADER_LEN_BYTES;

/// Reads all blocks, also those of sections that this program does not know, and looks for bytes that belong to none or to several.
pub(super) fn check(segment: &Segment, findings: &mut Findings, progress: &mut dyn FnMut(u64)) {
    let input = segment.input();
    let mut blocks: Vec<(u64, u64)> = Vec::new();
    progress(HEADER_LEN_BYTES as u64 + segment.len_bytes() - segment.footer_offset());
    for (section, block) in input.all_blocks() {
        let end = block.offset + u64::from(block.len_bytes);
        blocks.push((block.offset, end));
        if let Err(error) = input.verify_again(section, block) {
            let place = Place::bytes(block.offset, end);
            findings.unreadable(&section.title(), place, &error);
        }
        progress(u64::from(block.len_bytes));
    }
    blocks.sort_unstable();
    let mut behind = HEADER_LEN_BYTES as u64;
    for (start, end) in blocks.into_iter().chain([(segment.footer_offset(), segment.footer_offset())]) {
        if start > behind {
            findings.add("blocks", Place::bytes(behind, start), "these bytes belong to nothing");
        } else if start < behind {
            findings.add("blocks", Place::bytes(start, behind), "these bytes belong to several blocks");
        }
        behind = behind.max(end);
    }
}
