//! The one change of what is live after a log is closed: files make room for segments.
//!
//! Sealing is one log for one segment, a merge several segments for one or more, retention a segment for none.

use crate::error::Damage;
use crate::units::{ByteOffset, LogId, SegmentId, Sequence};

use super::LiveSegment;

/// The most ranges that are named apart in one change, so that its length is bounded.
const MAX_LOST: usize = 256;

/// What is not live any more, and what is live instead, in one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replacement {
    /// The logs whose files may go.
    pub logs: Vec<LogId>,
    /// The segments whose files may go.
    pub segments: Vec<SegmentId>,
    /// The segments that are live from now on: complete files, with their trailers, and synced, as is their folder.
    pub added: Vec<LiveSegment>,
    /// What could not be read of the logs. Files of which this names something are set aside instead of removed.
    pub lost: Vec<Lost>,
}

/// A range of a log that was lost before the log was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The log.
    pub log: LogId,
    /// The first byte that is not vouched for.
    pub from: ByteOffset,
    /// The byte behind the last one.
    pub end: ByteOffset,
    /// The sequences that may have been in it: first, and one past the last.
    pub sequences: (Sequence, Sequence),
}

impl Lost {
    /// What `damage` names of a log, growing; ranges past a bound are named as one, with what lies between them.
    pub fn of(log: LogId, damage: &[Damage]) -> Vec<Lost> {
        let mut lost: Vec<Lost> = Vec::new();
        for range in damage {
            match lost.get_mut(MAX_LOST - 1) {
                Some(last) => {
                    last.end = last.end.max(range.end);
                    last.sequences.1 = last.sequences.1.max(range.sequences.1);
                }
                None => lost.push(Lost { log, from: range.from, end: range.end, sequences: range.sequences }),
            }
        }
        lost
    }

    /// The same, for people.
    pub fn damage(&self) -> Damage {
        let file = format!("logs/{}", self.log.file_name());
        Damage { file, from: self.from, end: self.end, sequences: self.sequences, times: (None, None) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn ranges_past_the_bound_are_one_that_holds_them_all() {
        let damage = |number: u64| Damage {
            file: String::new(),
            from: ByteOffset::new(number * 100),
            end: ByteOffset::new(number * 100 + 7),
            sequences: (Sequence::new(number * 10), Sequence::new(number * 10 + 2)),
            times: (None, None),
        };
        let few: Vec<Damage> = (1..=3).map(damage).collect();
        let lost = Lost::of(LogId::new(4), &few);
        let said: Vec<Damage> = lost.iter().map(Lost::damage).collect();
        let named = |damage: &Damage| Damage { file: "logs/0000000000000004.log".to_owned(), ..damage.clone() };
        assert_eq!(said, few.iter().map(named).collect::<Vec<_>>());

        let many: Vec<Damage> = (1..=1000).map(damage).collect();
        let lost = Lost::of(LogId::new(4), &many);
        assert_eq!(lost.len(), MAX_LOST);
        let rest = Lost {
            log: LogId::new(4),
            from: ByteOffset::new(MAX_LOST as u64 * 100),
            end: ByteOffset::new(100_007),
            sequences: (Sequence::new(MAX_LOST as u64 * 10), Sequence::new(10_002)),
        };
        assert_eq!(lost.last(), Some(&rest));
    }
}
