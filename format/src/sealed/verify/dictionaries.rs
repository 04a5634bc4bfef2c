//! Dictionaries: entries in byte order, each once.

use crate::error::Error;
use crate::findings::{Findings, Place};
use crate::sealed::section::Section;
use crate::sealed::{Field, Segment};

use super::told;

pub(super) fn check(segment: &Segment, findings: &mut Findings) {
    for field in Field::ALL {
        let part = format!("{}: dictionary", field.name());
        let len = segment.input().len(Section::text(field));
        growing(&part, Place::file(), (segment.entries(field), len), findings, |code, out| segment.entry(field, code, out));
    }
}

/// Reads all entries, which stand in a text of at most so many bytes; each is above the one before.
pub(super) fn growing(
    part: &str,
    place: Place,
    (entries, text_len_bytes): (u32, u64),
    findings: &mut Findings,
    read: impl Fn(u32, &mut Vec<u8>) -> Result<(), Error>,
) {
    // What nobody wrote must not keep anybody busy: an entry has two bytes at least.
    if u64::from(entries) * 2 > text_len_bytes {
        return findings.add(part, place, format_args!("{entries} entries in {text_len_bytes} bytes"));
    }
    let (mut before, mut entry, mut is_known) = (Vec::new(), Vec::new(), false);
    for code in 1..=entries {
        if told(read(code, &mut entry), part, place.clone(), findings).is_none() {
            is_known = false;
            continue;
        }
        if is_known && entry <= before {
            findings.add(part, place.clone(), format_args!("entry {code} is not above the one before"));
        }
        std::mem::swap(&mut before, &mut entry);
        is_known = true;
    }
}
