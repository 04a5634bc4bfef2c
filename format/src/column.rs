//! An append-only column with random access: row number to value, for readers without a lock.
//!
//! Like a [`crate::chain`], but its parts double in size under a fixed directory, so that any row is found in two steps. One
//! column costs the directory, so there are a few per log, not one per term.
//!
//! There is no length here: a reader asks for rows below a watermark that was published after they were pushed, and that
//! hand-over orders the Relaxed words below. The parts are linked by std's `OnceLock`.

use std::sync::{Arc, OnceLock};

use crate::sync::{AtomicU64, Ordering};

/// Rows in the first part.
const FIRST_ROWS: usize = 64;

/// Parts that double from [`FIRST_ROWS`]: enough for 2^32 rows.
const PARTS: usize = 27;

type Part<const N: usize> = Box<[[AtomicU64; N]]>;

/// The readers' side of a column of `N`-word values.
#[derive(Debug)]
pub struct Column<const N: usize> {
    parts: [OnceLock<Part<N>>; PARTS],
}

/// The part that holds `row`, and the row's place in it.
fn place(row: u32) -> (usize, usize) {
    let scaled = row as usize / FIRST_ROWS + 1;
    let part = scaled.ilog2() as usize;
    let first_row = ((1 << part) - 1) * FIRST_ROWS;
    (part, row as usize - first_row)
}

impl<const N: usize> Default for Column<N> {
    fn default() -> Self {
        Column { parts: std::array::from_fn(|_| OnceLock::new()) }
    }
}

impl<const N: usize> Column<N> {
    /// The value of `row`, if it was pushed and handed over to this thread.
    pub fn value(&self, row: u32) -> Option<[u64; N]> {
        let (part, at) = place(row);
        let words = self.parts[part].get()?.get(at)?;
        Some(std::array::from_fn(|word| words[word].load(Ordering::Relaxed)))
    }
}

/// The writer's side of a column; there is one.
#[derive(Debug, Default)]
pub struct ColumnWriter<const N: usize> {
    column: Arc<Column<N>>,
    rows: u32,
}

impl<const N: usize> ColumnWriter<N> {
    /// The readers' side.
    pub fn column(&self) -> &Arc<Column<N>> {
        &self.column
    }

    /// The number of rows pushed.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Appends a row and returns its number.
    ///
    /// # Panics
    ///
    /// Past 2^32 - 1 rows, which no log holds.
    pub fn push(&mut self, value: [u64; N]) -> u32 {
        let row = self.rows;
        let (part, at) = place(row);
        let words =
            self.column.parts[part].get_or_init(|| (0..FIRST_ROWS << part).map(|_| std::array::from_fn(|_| AtomicU64::new(0))).collect());
        for (word, value) in words[at].iter().zip(value) {
            word.store(value, Ordering::Relaxed);
        }
        self.rows = row.checked_add(1).expect("a log holds fewer than 2^32 rows");
        row
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_row_comes_back() {
        let mut writer = ColumnWriter::<2>::default();
        for row in 0..10_000u32 {
            assert_eq!(writer.push([row.into(), u64::MAX - u64::from(row)]), row);
        }
        let column = Arc::clone(writer.column());
        for row in 0..10_000u32 {
            assert_eq!(column.value(row), Some([row.into(), u64::MAX - u64::from(row)]));
        }
        assert_eq!(column.value(u32::MAX), None);
    }

    #[test]
    fn the_directory_reaches_the_last_row() {
        assert_eq!(place(0), (0, 0));
        assert_eq!(place(FIRST_ROWS as u32), (1, 0));
        assert!(place(u32::MAX).0 < PARTS);
    }
}
