//! Counts by code, for one part of the rows after the other.

/// How often codes came since the last [`Tally::clear`], which costs no more than they were.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Vec<u32>,
    seen: Vec<u32>,
}

impl Tally {
    /// Counts a code; whether it is the first time.
    pub(super) fn add(&mut self, code: u32) -> bool {
        if self.counts.len() <= code as usize {
            self.counts.resize(code as usize + 1, 0);
        }
        let count = &mut self.counts[code as usize];
        *count += 1;
        if *count == 1 {
            self.seen.push(code);
        }
        *count == 1
    }

    /// The codes that came, and how often.
    pub(super) fn counts(&mut self) -> impl Iterator<Item = (u32, u32)> {
        // Neighbours in a dictionary stand together.
        self.seen.sort_unstable();
        self.seen.iter().map(|code| (*code, self.counts[*code as usize]))
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        for code in self.seen.drain(..) {
            self.counts[code as usize] = 0;
        }
    }
}
