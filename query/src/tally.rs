//! Counts rows and distinct sessions by group, over several logs and segments.
//!
//! Within a file a session is its code; across files it is its id, since each gives out codes of its own. So a group whose rows lie
//! in one part is counted by that part, and any other by the union of ids: cardinalities are never added, unless it is known which
//! sessions the files share (`shared`), so that none is counted twice. Where few sessions come beside many, as those of an open log beside
//! years of segments, only the few are read, and looked up among the many (`few`). A row that is a session of its own is counted and
//! remembered no further.

use format::{Segment, SessionId};
use hashbrown::{DefaultHashBuilder, HashSet};

use crate::active::ActiveIndex;
use crate::error::Error;
use crate::few::{self, Wanted};
use crate::posting::NO_SESSION;
use crate::shared::{Shared, SharedSessions};

const _: () = assert!(NO_SESSION == format::sealed::NO_SESSION);

/// How often something happened, and to how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Point {
    /// Distinct sessions.
    pub conversions: u64,
    /// Occurrences.
    pub total: u64,
}

/// Distinct sessions of one group after the other, by id.
///
/// Clients choose ids: the hash has a key of its own in each table.
#[derive(Debug, Default)]
pub(crate) struct SessionIds {
    ids: HashSet<SessionId, DefaultHashBuilder>,
    /// Ids that are not yet looked up. They lie all over the files, and a processor waits for many of them at once if it asks for
    /// many before it looks the first one up.
    read: Vec<SessionId>,
    /// Rows without one.
    alone: u64,
    seen: Vec<u64>,
}

impl SessionIds {
    /// How many ids are read before they are looked up, or a few more: what caches hold beside the table.
    const MOST_READ: usize = 4096;

    /// Forgets all; so many will come, or fewer.
    fn begin(&mut self, sessions: u64) {
        let capacity = usize::try_from(sessions).unwrap_or(0);
        // To empty a table costs its size, which must not be that of the largest group for all others.
        if self.ids.capacity() / 16 > capacity {
            self.ids = HashSet::default();
        }
        self.ids.clear();
        self.ids.reserve(capacity);
        self.alone = 0;
    }

    /// Adds what stands behind session codes of `file`, in any order; sorts out those that come twice, and [`NO_SESSION`].
    pub(crate) fn add(&mut self, file: File<'_>, codes: &mut Vec<u32>) -> Result<(), Error> {
        let rows = codes.len();
        codes.retain(|code| *code != NO_SESSION);
        self.alone += (rows - codes.len()) as u64;
        let distinct = keep_distinct(codes, &mut self.seen);
        self.add_distinct(file, &codes[..distinct])
    }

    /// Adds what stands behind session codes of `file`, none of which is [`NO_SESSION`].
    fn add_distinct(&mut self, file: File<'_>, codes: &[u32]) -> Result<(), Error> {
        for codes in codes.chunks(Self::MOST_READ) {
            file.session_ids(codes, &mut self.read)?;
            if self.read.len() >= Self::MOST_READ {
                self.ids.extend(self.read.drain(..));
            }
        }
        Ok(())
    }

    fn count(&mut self) -> u64 {
        self.ids.extend(self.read.drain(..));
        self.ids.len() as u64 + self.alone
    }

    /// Takes all ids out, each once, and the number of rows without one.
    fn take(&mut self) -> (Vec<SessionId>, u64) {
        self.ids.extend(self.read.drain(..));
        (self.ids.drain().collect(), std::mem::take(&mut self.alone))
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

    /// The ids behind session codes of the file, appended to `out`.
    pub(crate) fn session_ids(self, codes: &[u32], out: &mut Vec<SessionId>) -> Result<(), Error> {
        match self {
            File::Log(index) => out.extend(codes.iter().map(|code| index.session_id(*code))),
            File::Segment(segment) => {
                let in_segment = |source| Error::Segment { segment: segment.header().id, source };
                segment.session_ids(codes, out).map_err(in_segment)?;
            }
        }
        Ok(())
    }

    /// The id behind a session code of the file.
    pub(crate) fn session_id(self, code: u32) -> Result<SessionId, Error> {
        match self {
            File::Log(index) => Ok(index.session_id(code)),
            File::Segment(segment) => segment.session_id(code).map_err(|source| Error::Segment { segment: segment.header().id, source }),
        }
    }
}

/// The rows of one file, in groups. A group that it does not know has no row in it.
pub(crate) trait Part {
    /// The file.
    fn file(&self) -> File<'_>;

    /// How many rows a group has.
    fn rows(&self, group: usize) -> u64;

    /// How many distinct sessions these rows have; each row without one is one.
    fn sessions(&self, group: usize) -> u64;

    /// Adds the sessions of a group. Cheapest for growing groups.
    fn add_ids(&mut self, group: usize, ids: &mut SessionIds) -> Result<(), Error>;

    /// Marks those of `wanted` that a row of a group has.
    fn mark(&mut self, group: usize, wanted: &mut Wanted) -> Result<(), Error>;

    /// Appends the numbers of those sessions of a group that other segments have too, as `shared` knows them of the file; each once.
    fn add_shared(&self, group: usize, shared: &Shared, numbers: &mut Vec<u32>);
}

/// The counts of groups `0..groups`, growing file by file.
pub(crate) struct Tally<'i> {
    groups: usize,
    /// Groups of the rows of the file that is being read, and their session codes.
    open: (Vec<u32>, Vec<u32>),
    parts: Vec<Box<dyn Part + 'i>>,
    shared: &'i SharedSessions,
}

impl<'i> Tally<'i> {
    /// Nothing counted in any of `groups` groups.
    pub(crate) fn new(groups: usize, shared: &'i SharedSessions) -> Tally<'i> {
        Tally { groups, open: (Vec::new(), Vec::new()), parts: Vec::new(), shared }
    }

    /// One group more; its number is returned.
    pub(crate) fn add_group(&mut self) -> u32 {
        self.groups += 1;
        u32::try_from(self.groups - 1).expect("there are fewer groups than rows")
    }

    /// Counts a row of the file that is being read: its group and its session code.
    pub(crate) fn add(&mut self, group: u32, session: u32) {
        self.open.0.push(group);
        self.open.1.push(session);
    }

    /// Counts rows of the file that is being read; those of [`NO_GROUP`] are not counted.
    pub(crate) fn add_rows(&mut self, groups: &[u32], sessions: &[u32]) {
        debug_assert_eq!(groups.len(), sessions.len(), "every row has both");
        self.open.0.extend_from_slice(groups);
        self.open.1.extend_from_slice(sessions);
    }

    /// Makes room for so many rows more of the file that is being read.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.open.0.reserve(rows);
        self.open.1.reserve(rows);
    }

    /// Ends the file that was being read.
    pub(crate) fn end(&mut self, file: File<'i>) {
        let (groups, codes) = std::mem::take(&mut self.open);
        if groups.is_empty() {
            return;
        }
        self.parts.push(match BitsByGroup::new(file, &groups, &codes, self.groups) {
            Some(bits) => Box::new(bits),
            None => Box::new(CodesByGroup::new(file, &groups, &codes, self.groups)),
        });
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
    pub(crate) fn points(mut self) -> Result<Vec<Point>, Error> {
        debug_assert!(self.open.0.is_empty(), "every file is ended");
        let shared = self.shared_by_part();
        let mut with_rows = Vec::with_capacity(self.parts.len());
        let mut numbers = Vec::new();
        let mut ids = SessionIds::default();
        let point = |group| {
            with_rows.clear();
            let (mut total, mut sessions) = (0, 0);
            for (number, part) in self.parts.iter().enumerate() {
                let rows = part.rows(group);
                if rows > 0 {
                    with_rows.push(number);
                    total += rows;
                    sessions += part.sessions(group);
                }
            }
            if with_rows.len() <= 1 {
                return Ok(Point { conversions: sessions, total });
            }
            if let Some((few, many)) = few::divide(&self.parts, &with_rows, group, |number| shared[number].is_some()) {
                numbers.clear();
                for number in &many {
                    shared[*number].iter().for_each(|shared| self.parts[*number].add_shared(group, shared, &mut numbers));
                }
                let of_many: u64 = many.iter().map(|number| self.parts[*number].sessions(group)).sum();
                ids.begin(sessions - of_many);
                few.iter().try_for_each(|number| self.parts[*number].add_ids(group, &mut ids))?;
                let (few, alone) = ids.take();
                let new = few::count_absent(few, &mut self.parts, &many, group)?;
                return Ok(Point { conversions: of_many - count_repeated(&mut numbers) + alone + new, total });
            }
            ids.begin(sessions);
            with_rows.iter().try_for_each(|number| self.parts[*number].add_ids(group, &mut ids))?;
            Ok(Point { conversions: ids.count(), total })
        };
        (0..self.groups).map(point).collect()
    }

    /// By part: what is known of the sessions that its file shares. Nothing if another part is of the same file, since two parts of one
    /// file have sessions in common that no other file has.
    fn shared_by_part(&self) -> Vec<Option<&'i Shared>> {
        let is_alone = |file: File<'_>| self.parts.iter().filter(|part| part.file().is(file)).count() == 1;
        let shared_of = |file: File<'_>| match file {
            File::Segment(segment) if is_alone(file) => self.shared.of(segment),
            _ => None,
        };
        self.parts.iter().map(|part| shared_of(part.file())).collect()
    }
}

/// How many of `numbers` are there because others of the same value are.
fn count_repeated(numbers: &mut Vec<u32>) -> u64 {
    let all = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    (all - numbers.len()) as u64
}

/// The group of rows that are not counted.
pub(crate) const NO_GROUP: u32 = u32::MAX;

/// Rows of one file that were read one by one: a bit for each group and each code between the lowest and the highest.
struct BitsByGroup<'i> {
    file: File<'i>,
    lowest: u32,
    /// Words of a group.
    words: usize,
    bits: Vec<u64>,
    /// Rows and sessions of each group.
    counts: Vec<(u64, u64)>,
}

impl<'i> BitsByGroup<'i> {
    /// Words of bits for each row, above which sorting is cheaper.
    const MAX_WORDS: usize = 4;

    /// Words of bits in all, 16 MiB of them: memory is worth sparing.
    const MOST_WORDS: usize = 1 << 21;

    /// Counts that are added to in turn: one that was just written is slow to read.
    const LANES: usize = 4;

    /// None if the bits were many more than the rows, or a row has no session.
    fn new(file: File<'i>, groups: &[u32], codes: &[u32], count: usize) -> Option<BitsByGroup<'i>> {
        let (lowest, highest) = (codes.iter().copied().min()?, codes.iter().copied().max()?);
        let words = (highest - lowest) as usize / 64 + 1;
        // Rows that are not counted have a group behind all others.
        let needed = words.checked_mul(count + 1)?;
        if highest == NO_SESSION || needed > codes.len().saturating_mul(Self::MAX_WORDS).min(Self::MOST_WORDS) {
            return None;
        }
        let mut bits = vec![0u64; needed];
        // Rows in the lower half, sessions in the upper one: no file has 2^32 rows.
        let mut counts = vec![0u64; (count + 1) * Self::LANES];
        for (groups, codes) in groups.chunks(Self::LANES).zip(codes.chunks(Self::LANES)) {
            for (lane, (group, code)) in groups.iter().zip(codes).enumerate() {
                let (group, place) = ((*group as usize).min(count), code.wrapping_sub(lowest));
                let word = &mut bits[group.wrapping_mul(words).wrapping_add(place as usize / 64)];
                let is_new = *word >> (place % 64) & 1 ^ 1;
                *word |= 1 << (place % 64);
                let sum = &mut counts[group.wrapping_mul(Self::LANES).wrapping_add(lane)];
                *sum = sum.wrapping_add(is_new << 32 | 1);
            }
        }
        let both = |lanes: &[u64]| lanes.iter().fold((0, 0), |(rows, sessions), sum| (rows + (sum & 0xffff_ffff), sessions + (sum >> 32)));
        let counts = counts.chunks(Self::LANES).take(count).map(both).collect();
        Some(BitsByGroup { file, lowest, words, bits, counts })
    }

    /// The session codes of a group.
    fn codes(&self, group: usize) -> Vec<u32> {
        let mut codes = Vec::new();
        for (first, word) in (self.lowest..).step_by(64).zip(&self.bits[group * self.words..(group + 1) * self.words]) {
            let mut left = *word;
            while left != 0 {
                codes.push(first + left.trailing_zeros());
                left &= left - 1;
            }
        }
        codes
    }
}

impl Part for BitsByGroup<'_> {
    fn mark(&mut self, group: usize, wanted: &mut Wanted) -> Result<(), Error> {
        wanted.meet(&self.codes(group));
        Ok(())
    }

    fn file(&self) -> File<'_> {
        self.file
    }

    fn rows(&self, group: usize) -> u64 {
        // A file that was read before a group came up has no row of it.
        self.counts.get(group).map_or(0, |(rows, _)| *rows)
    }

    fn sessions(&self, group: usize) -> u64 {
        self.counts.get(group).map_or(0, |(_, sessions)| *sessions)
    }

    fn add_ids(&mut self, group: usize, ids: &mut SessionIds) -> Result<(), Error> {
        ids.add_distinct(self.file, &self.codes(group))
    }

    fn add_shared(&self, group: usize, shared: &Shared, numbers: &mut Vec<u32>) {
        numbers.extend(self.codes(group).into_iter().filter_map(|code| shared.number(code)));
    }
}

/// Rows of one file that were read one by one: each group's session codes, each once.
pub(crate) struct CodesByGroup<'i> {
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
    fn new(file: File<'i>, groups: &[u32], codes: &[u32], count: usize) -> CodesByGroup<'i> {
        let mut by_group = CodesByGroup::empty(file, count);
        by_group.sort(groups, codes);
        by_group.make_distinct();
        by_group
    }

    /// No rows yet in any of `count` groups.
    pub(crate) fn empty(file: File<'i>, count: usize) -> CodesByGroup<'i> {
        CodesByGroup { file, groups: vec![Group::default(); count], codes: Vec::new() }
    }

    /// Adds the rows that are `met`, by their session codes, to a group: the last that rows were added to, or a later one.
    pub(crate) fn add(&mut self, group: usize, met: &[bool], codes: &[u32]) {
        let at = self.codes.len();
        self.codes.resize(at + codes.len(), 0);
        // Without a branch, which no processor could foretell.
        let (mut next, mut alone) = (0, 0u64);
        let kept = &mut self.codes[at..];
        for (met, code) in met.iter().zip(codes) {
            kept[next] = *code;
            let has_session = *code != NO_SESSION;
            next += usize::from(met & has_session);
            alone += u64::from(met & !has_session);
        }
        self.codes.truncate(at + next);
        let group = &mut self.groups[group];
        if group.rows == group.alone {
            group.start = at;
        }
        group.end = at + next;
        group.rows += next as u64 + alone;
        group.alone += alone;
    }

    /// Ends the adding.
    pub(crate) fn ended(mut self) -> CodesByGroup<'i> {
        self.make_distinct();
        self
    }

    /// Puts the codes into the order of groups.
    fn sort(&mut self, groups: &[u32], codes: &[u32]) {
        let rows = || groups.iter().zip(codes).filter(|(group, _)| **group != NO_GROUP);
        for (group, code) in rows() {
            let group = &mut self.groups[*group as usize];
            group.rows += 1;
            group.alone += u64::from(*code == NO_SESSION);
        }
        let mut next = 0;
        for group in &mut self.groups {
            (group.start, group.end) = (next, next);
            next += (group.rows - group.alone) as usize;
        }
        self.codes = vec![0; next];
        for (group, code) in rows().filter(|(_, code)| **code != NO_SESSION) {
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
    fn mark(&mut self, group: usize, wanted: &mut Wanted) -> Result<(), Error> {
        let Group { start, end, .. } = self.group(group);
        wanted.meet(&self.codes[start..end]);
        Ok(())
    }

    fn file(&self) -> File<'_> {
        self.file
    }

    fn rows(&self, group: usize) -> u64 {
        self.group(group).rows
    }

    fn sessions(&self, group: usize) -> u64 {
        let Group { alone, start, end, .. } = self.group(group);
        alone + (end - start) as u64
    }

    fn add_ids(&mut self, group: usize, ids: &mut SessionIds) -> Result<(), Error> {
        let Group { alone, start, end, .. } = self.group(group);
        ids.alone += alone;
        ids.add_distinct(self.file, &self.codes[start..end])
    }

    fn add_shared(&self, group: usize, shared: &Shared, numbers: &mut Vec<u32>) {
        let Group { start, end, .. } = self.group(group);
        numbers.extend(self.codes[start..end].iter().filter_map(|code| shared.number(*code)));
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
