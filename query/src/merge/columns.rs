//! The property columns of the output, and those of an input's run beside them.

use format::Segment;

use super::of;
use super::runs::Part;
use crate::error::Error;

/// Which keys have a column.
#[derive(Debug)]
pub(super) struct Columns {
    /// By number of the output's run, in the order of keys.
    keys: Vec<(u32, String)>,
}

impl Columns {
    /// Sorted pairs of a run and a key.
    pub(super) fn new(keys: Vec<(u32, String)>) -> Columns {
        Columns { keys }
    }

    /// Those of a run.
    pub(super) fn of(&self, run: u32) -> RunColumns<'_> {
        let start = self.keys.partition_point(|(of, _)| *of < run);
        let end = self.keys.partition_point(|(of, _)| *of <= run);
        RunColumns(&self.keys[start..end])
    }
}

/// The columns of a run of the output, in the order of keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunColumns<'a>(&'a [(u32, String)]);

impl<'a> RunColumns<'a> {
    pub(super) fn keys(self) -> impl ExactSizeIterator<Item = &'a str> {
        self.0.iter().map(|(_, key)| key.as_str())
    }

    /// The column of a key.
    pub(super) fn find(self, key: &str) -> Option<usize> {
        self.0.binary_search_by(|(_, column)| column.as_str().cmp(key)).ok()
    }
}

/// The columns of an input's run.
#[derive(Clone, Debug)]
pub(super) struct PartColumns {
    keys: Vec<String>,
    /// By column: that of the output with the same key.
    pub(super) to: Vec<Option<usize>>,
    /// Whether the output has the same ones, so that shapes stay as they are.
    pub(super) are_same: bool,
}

impl PartColumns {
    /// Those of `part`, whose run in the output has `columns`.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub(super) fn read(segment: &Segment, part: &Part, columns: RunColumns<'_>) -> Result<PartColumns, Error> {
        let keys = of(segment, segment.property_keys(&part.run))?;
        let to = keys.iter().map(|key| columns.find(key)).collect();
        Ok(PartColumns { are_same: columns.keys().eq(keys.iter().map(String::as_str)), to, keys })
    }

    /// The column of a key.
    pub(super) fn find(&self, key: &str) -> Option<usize> {
        self.keys.iter().position(|column| column == key)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}
