//! Counts rows and distinct sessions by group, over several logs and segments.
//!
//! Within a file a session is its code; across files it is its id, since each gives out codes of its own. So a group whose rows lie
//! in one part is counted by that part, and any other by the union of ids: cardinalities are never added. A row that is a session
//! of its own is counted and remembered no further.

use std::hash::RandomState;

use format::Segment;
use hashbrown::HashSet;

use crate::active::ActiveIndex;
use crate::error::Error;
use crate::posting::NO_SESSION;

const _: () = assert!(NO_SESSION == format::sealed::NO_SESSION);

/// How often something happened, and to how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Point {
    /// Distinct sessions.
    pub conversions: u64,
    /// Occurrences.
    pub total: u64,
}

/// Distinct sessions by id.
#[derive(Debug, Default)]
pub(crate) struct SessionIds {
    ids: HashSet<u128, RandomState>,
    /// Rows without one.
    alone: u64,
}

impl SessionIds {
    /// Adds what stands behind session codes of `file`.
    pub(crate) fn add(&mut self, file: File<'_>, codes: &[u32]) -> Result<(), Error> {
        for code in codes {
            if *code == NO_SESSION {
                self.alone += 1;
            } else {
                self.ids.insert(file.session_id(*code)?);
            }
        }
        Ok(())
    }

    fn count(&self) -> u64 {
        self.ids.len() as u64 + self.alone
    }
}

/// Where session codes have a meaning.
#[derive(Clone, Copy, Debug)]
pub(crate) enum File<'i> {
    Log(&'i ActiveIndex),
    Segment(&'i Segment),
}

impl File<'_> {
    /// Whether both are the same file.
    pub(crate) fn is(self, other: File<'_>) -> bool {
        match (self, other) {
            (File::Log(one), File::Log(other)) => std::ptr::eq(one, other),
            (File::Segment(one), File::Segment(other)) => std::ptr::eq(one, other),
            _ => false,
        }
    }

    /// The id behind a session code of the file.
    pub(crate) fn session_id(self, code: u32) -> Result<u128, Error> {
        match self {
            File::Log(index) => Ok(index.session_id(code)),
            File::Segment(segment) => match segment.session_id(code) {
                Ok(id) => Ok(u128::from_be_bytes(id.bytes())),
                Err(source) => Err(Error::Segment { segment: segment.header().id, source }),
            },
        }
    }
}

/// The rows of one file, in groups. A group that it does not know has no row in it.
pub(crate) trait Part {
    /// How many rows a group has.
    fn rows(&self, group: usize) -> u64;

    /// How many distinct sessions these rows have; each row without one is one.
    fn sessions(&self, group: usize) -> u64;

    /// Adds the sessions of a group.
    fn add_ids(&self, group: usize, ids: &mut SessionIds) -> Result<(), Error>;
}

/// The counts of groups `0..groups`, growing file by file.
pub(crate) struct Tally<'i> {
    groups: usize,
    /// Group and session code of the rows of the file that is being read.
    open: Vec<(u32, u32)>,
    parts: Vec<Box<dyn Part + 'i>>,
}

impl<'i> Tally<'i> {
    /// Nothing counted in any of `groups` groups.
    pub(crate) fn new(groups: usize) -> Tally<'i> {
        Tally { groups, open: Vec::new(), parts: Vec::new() }
    }

    /// One group more; its number is returned.
    pub(crate) fn add_group(&mut self) -> u32 {
        self.groups += 1;
        u32::try_from(self.groups - 1).expect("there are fewer groups than rows")
    }

    /// Counts a row of the file that is being read: its group and its session code.
    pub(crate) fn add(&mut self, group: u32, session: u32) {
        self.open.push((group, session));
    }

    /// Makes room for so many rows more of the file that is being read.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.open.reserve(rows);
    }

    /// Ends the file that was being read.
    pub(crate) fn end(&mut self, file: File<'i>) {
        let rows = std::mem::take(&mut self.open);
        if !rows.is_empty() {
            self.parts.push(Box::new(CodesByGroup::new(file, &rows, self.groups)));
        }
    }

    /// Counts rows that are in groups already.
    pub(crate) fn add_part(&mut self, part: impl Part + 'i) {
        self.parts.push(Box::new(part));
    }

    /// The counts of all groups.
    ///
    /// # Errors
    ///
    /// [`Error::Segment`] if session ids cannot be read.
    pub(crate) fn points(self) -> Result<Vec<Point>, Error> {
        debug_assert!(self.open.is_empty(), "every file is ended");
        let mut with_rows = Vec::with_capacity(self.parts.len());
        let point = |group| {
            with_rows.clear();
            with_rows.extend(self.parts.iter().filter(|part| part.rows(group) > 0));
            let total = with_rows.iter().map(|part| part.rows(group)).sum();
            let conversions = match with_rows[..] {
                [] => 0,
                [part] => part.sessions(group),
                _ => {
                    let mut ids = SessionIds::default();
                    with_rows.iter().try_for_each(|part| part.add_ids(group, &mut ids))?;
                    ids.count()
                }
            };
            Ok(Point { conversions, total })
        };
        (0..self.groups).map(point).collect()
    }
}

/// Rows of one file that were read one by one: each group's session codes, each once.
struct CodesByGroup<'i> {
    file: File<'i>,
    groups: Vec<Group>,
    codes: Vec<u32>,
}

#[derive(Clone, Copy, Default)]
struct Group {
    rows: u64,
    /// Rows without a session.
    alone: u64,
    /// Where its distinct codes start, and end.
    start: usize,
    end: usize,
}

impl<'i> CodesByGroup<'i> {
    fn new(file: File<'i>, rows: &[(u32, u32)], groups: usize) -> CodesByGroup<'i> {
        let mut by_group = CodesByGroup { file, groups: vec![Group::default(); groups], codes: Vec::new() };
        by_group.sort(rows);
        by_group.make_distinct();
        by_group
    }

    /// Puts the codes into the order of groups.
    fn sort(&mut self, rows: &[(u32, u32)]) {
        let (mut is_sorted, mut before) = (true, 0);
        for (group, code) in rows {
            is_sorted &= before <= *group;
            before = *group;
            let group = &mut self.groups[*group as usize];
            group.rows += 1;
            if *code == NO_SESSION {
                group.alone += 1;
            }
        }
        let mut next = 0;
        for group in &mut self.groups {
            (group.start, group.end) = (next, next);
            next += (group.rows - group.alone) as usize;
        }
        let of_sessions = rows.iter().filter(|(_, code)| *code != NO_SESSION);
        if is_sorted {
            self.codes.reserve(next);
            self.codes.extend(of_sessions.map(|(_, code)| *code));
            self.groups.iter_mut().for_each(|group| group.end += (group.rows - group.alone) as usize);
            return;
        }
        self.codes = vec![0; next];
        for (group, code) in of_sessions {
            let place = &mut self.groups[*group as usize].end;
            self.codes[*place] = *code;
            *place += 1;
        }
    }

    /// Leaves each code once in each group.
    fn make_distinct(&mut self) {
        let (mut kept, mut seen) = (0, Vec::new());
        for group in &mut self.groups {
            let rows = group.start..group.end;
            group.start = kept;
            group.end = kept + keep_distinct(&mut self.codes[rows.clone()], &mut seen);
            self.codes.copy_within(rows.start..rows.start + (group.end - kept), kept);
            kept = group.end;
        }
        self.codes.truncate(kept);
    }

    fn group(&self, group: usize) -> Group {
        // A file that was read before a group came up has no row of it.
        self.groups.get(group).copied().unwrap_or_default()
    }
}

/// Moves each of `codes` once to the front, and tells how many these are; `seen` is scratch.
///
/// Codes of rows that lie near each other in time are near each other, so mostly a bit for each code between the lowest and the highest
/// is little memory.
fn keep_distinct(codes: &mut [u32], seen: &mut Vec<u64>) -> usize {
    /// Words of bits for each code, above which sorting is cheaper.
    const MAX_WORDS: usize = 4;
    let Some(lowest) = codes.iter().copied().min() else { return 0 };
    let highest = codes.iter().copied().max().unwrap_or(lowest);
    let words = (highest - lowest) as usize / 64 + 1;
    let mut kept = 0;
    if words > codes.len() * MAX_WORDS {
        codes.sort_unstable();
        for at in 0..codes.len() {
            if at == 0 || codes[at] != codes[kept - 1] {
                codes[kept] = codes[at];
                kept += 1;
            }
        }
        return kept;
    }
    seen.clear();
    seen.resize(words, 0);
    for at in 0..codes.len() {
        let code = codes[at];
        let (word, bit) = ((code - lowest) as usize / 64, (code - lowest) % 64);
        let is_new = seen[word] >> bit & 1 == 0;
        seen[word] |= 1 << bit;
        codes[kept] = code;
        kept += usize::from(is_new);
    }
    kept
}

impl Part for CodesByGroup<'_> {
    fn rows(&self, group: usize) -> u64 {
        self.group(group).rows
    }

    fn sessions(&self, group: usize) -> u64 {
        let Group { alone, start, end, .. } = self.group(group);
        alone + (end - start) as u64
    }

    fn add_ids(&self, group: usize, ids: &mut SessionIds) -> Result<(), Error> {
        let Group { alone, start, end, .. } = self.group(group);
        ids.alone += alone;
        ids.add(self.file, &self.codes[start..end])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn of_codes_far_apart_and_near_each_is_kept_once(far in 0u32..40, codes in proptest::collection::vec(0u32..60, 0..100)) {
            let mut codes: Vec<u32> = codes.into_iter().map(|code| code << (far % 26)).collect();
            let expected: BTreeSet<u32> = codes.iter().copied().collect();
            let kept = keep_distinct(&mut codes, &mut vec![u64::MAX; 3]);
            prop_assert_eq!(kept, expected.len());
            prop_assert_eq!(codes[..kept].iter().copied().collect::<BTreeSet<u32>>(), expected);
        }
    }
}
