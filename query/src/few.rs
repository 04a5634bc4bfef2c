//! Few sessions beside many: those of an open log beside years of segments.
//!
//! To unite all ids would read those of the many for the sake of the few. Instead the many are counted as they are without the few, and
//! each of the few is looked up: its code by its id in the segment, and whether one of the counted rows there has that code. What is in
//! none of the many is new.

use format::SessionId;

use crate::bits::Bits;
use crate::error::Error;
use crate::tally::{File, Part};

/// Looking up one id in one segment takes as long as uniting so many ids, about. A look is a bisection of ids that lie in no order.
const LOOK_SESSIONS: u64 = 16;

/// Session codes of one segment that are asked for.
pub(crate) struct Wanted {
    left: Bits,
}

impl Wanted {
    fn new(codes: impl Iterator<Item = u32>, end: u32) -> Wanted {
        let mut left = Bits::below(end);
        codes.for_each(|code| left.insert(code));
        Wanted { left }
    }

    /// Notes that rows have these codes, among them perhaps [`NO_SESSION`](crate::posting::NO_SESSION).
    pub(crate) fn meet(&mut self, codes: &[u32]) {
        for code in codes {
            self.left.remove(*code);
        }
    }

    /// Notes that rows have those codes of which `has` says so.
    pub(crate) fn meet_if(&mut self, has: impl Fn(u32) -> bool) {
        let met: Vec<u32> = self.left.iter().filter(|code| has(*code)).collect();
        met.into_iter().for_each(|code| self.left.remove(code));
    }
}

/// Divides `parts`, all of which have rows of a group, into few sessions and many, if that is quicker than uniting all: `(few, many)`.
///
/// The many are the parts whose sessions can be counted together, as `is_known` says, or the largest one alone.
pub(crate) fn divide(
    parts: &[Box<dyn Part + '_>],
    with_rows: &[usize],
    group: usize,
    is_known: impl Fn(usize) -> bool,
) -> Option<(Vec<usize>, Vec<usize>)> {
    let sessions = |number: &usize| parts[*number].sessions(group);
    let sum = |numbers: &[usize]| numbers.iter().map(sessions).sum::<u64>();
    let known: Vec<usize> = with_rows.iter().copied().filter(|number| is_known(*number)).collect();
    let in_segments = with_rows.iter().copied().filter(|number| matches!(parts[*number].file(), File::Segment(_)));
    let largest = vec![in_segments.max_by_key(sessions)?];
    let many = if sum(&known) >= sum(&largest) { known } else { largest };
    let few: Vec<usize> = with_rows.iter().copied().filter(|number| !many.contains(number)).collect();
    let looks = sum(&few) * many.len() as u64;
    (looks * LOOK_SESSIONS < sum(&many)).then_some((few, many))
}

/// How many of `ids` no row of a group has in the parts `many`.
///
/// # Errors
///
/// [`Error::Segment`].
pub(crate) fn count_absent(mut ids: Vec<SessionId>, parts: &mut [Box<dyn Part + '_>], many: &[usize], group: usize) -> Result<u64, Error> {
    // Neighbours are found by the same last steps.
    ids.sort_unstable();
    for number in many {
        let File::Segment(segment) = parts[*number].file() else { continue };
        let find = |id: &SessionId| segment.find_session(*id).map_err(|error| Error::from(error).in_segment(segment));
        let codes: Vec<Option<u32>> = ids.iter().map(find).collect::<Result<_, Error>>()?;
        if codes.iter().all(Option::is_none) {
            continue;
        }
        let mut wanted = Wanted::new(codes.iter().copied().flatten(), segment.sessions());
        parts[*number].mark(group, &mut wanted)?;
        // A code that is not among those left was met.
        let is_absent = |code: &Option<u32>| code.is_none_or(|code| wanted.left.contains(code));
        let mut kept = codes.iter().map(is_absent);
        ids.retain(|_| kept.next().unwrap_or(true));
    }
    Ok(ids.len() as u64)
}
