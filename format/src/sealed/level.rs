//! What a segment is to compaction.

use std::fmt;

/// Where the rows of a segment lie in time, beside those of other segments. Compaction decides by it what to merge, and a segment says
/// it itself, so that it is known after every start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Sealed from a log or loaded, or made of such: it may overlap with any other.
    Arrived,
    /// Apart in time from every other settled one.
    Settled,
    /// The one with rows whose time is far from now.
    Outliers,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Arrived => "arrived",
            Level::Settled => "settled",
            Level::Outliers => "outliers",
        })
    }
}

impl Level {
    /// The number that stands in files.
    pub(crate) fn number(self) -> u8 {
        match self {
            Level::Arrived => 0,
            Level::Settled => 1,
            Level::Outliers => 2,
        }
    }

    /// The level with this number.
    pub(crate) fn with_number(number: u8) -> Option<Level> {
        [Level::Arrived, Level::Settled, Level::Outliers].into_iter().find(|level| level.number() == number)
    }
}
