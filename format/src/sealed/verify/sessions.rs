//! Sessions: their ids in order, and their codes by the time of their first row.

use crate::findings::{Findings, Place};
use crate::sealed::section::Section;
use crate::sealed::{NO_SESSION, Segment, bits};
use crate::units::SessionId;

use super::told;

const ORDER: &str = "session order";

/// The order of ids has each session once: ids that grow are as many codes that differ.
///
/// Whether there are as many ids as sessions: nothing else about sessions can be checked if not.
pub(super) fn check_order(segment: &Segment, findings: &mut Findings) -> bool {
    let (input, count) = (segment.input(), segment.sessions());
    let width = bits::width_of(u64::from(count));
    let packed_len = bits::packed_len_bytes(count as usize, width) as u64;
    for (section, part, len) in [(Section::SESSION_IDS, "session ids", u64::from(count) * 16), (Section::SESSION_ORDER, ORDER, packed_len)]
    {
        if input.len(section) != len {
            findings.add(part, Place::file(), format_args!("{} bytes for {count} sessions", input.len(section)));
            return false;
        }
    }
    let (mut codes, mut before): (Vec<u32>, Option<SessionId>) = (Vec::new(), None);
    for place in 0..count {
        codes.clear();
        let read = segment.sessions_by_id(place..place + 1, &mut codes);
        let Some(code) = told(read, ORDER, Place::file(), findings).and_then(|()| codes.first().copied()) else {
            before = None;
            continue;
        };
        let Some(id) = told(segment.session_id(code), "session ids", Place::file(), findings) else {
            before = None;
            continue;
        };
        if before.is_some_and(|before| before >= id) {
            findings.add(ORDER, Place::file(), format_args!("session {code} at place {place} is not above the one before"));
        }
        before = Some(id);
    }
    true
}

/// Codes follow the times of first rows, so that they grow along a run. Memory: 8 bytes a session.
pub(super) struct FirstTimes(Vec<i64>);

impl FirstTimes {
    pub(super) fn new(segment: &Segment) -> FirstTimes {
        FirstTimes(vec![i64::MAX; segment.sessions() as usize])
    }

    pub(super) fn note(&mut self, session: u32, time: i64) {
        if session != NO_SESSION {
            let first = &mut self.0[session as usize];
            *first = time.min(*first);
        }
    }

    /// All rows were noted.
    pub(super) fn check(&self, findings: &mut Findings) {
        for (code, pair) in (1u32..).zip(self.0.windows(2)) {
            if pair[0] > pair[1] {
                findings.add("session codes", Place::file(), format_args!("session {code} begins before the one before it"));
            }
        }
        if self.0.last() == Some(&i64::MAX) {
            findings.add("session codes", Place::file(), format_args!("session {} has no row", self.0.len() - 1));
        }
    }
}
