//! Which output a row goes to, by its time.

use std::ops::Range;

use format::UnixMicros;

/// The line of time cut into pieces, each of which is one output's. An output may have several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Division {
    /// Where a piece begins, growing, and its output; the first is there from the beginning of time.
    pieces: Vec<(i64, usize)>,
}

impl Division {
    /// All rows are those of output 0.
    pub fn whole() -> Division {
        Division { pieces: vec![(i64::MIN, 0)] }
    }

    /// Rows before the first of `cuts` are those of output `first`, and those from a cut up to the next one are its output's.
    ///
    /// # Panics
    ///
    /// If cuts do not grow.
    pub fn new(first: usize, cuts: &[(UnixMicros, usize)]) -> Division {
        assert!(cuts.windows(2).all(|pair| pair[0].0 < pair[1].0), "cuts grow");
        Division { pieces: [(i64::MIN, first)].into_iter().chain(cuts.iter().map(|(at, output)| (at.micros(), *output))).collect() }
    }

    /// How many outputs there are, at least.
    pub fn outputs(&self) -> usize {
        self.pieces.iter().map(|(_, output)| output + 1).max().unwrap_or(0)
    }

    /// The output of rows at `time`.
    pub fn output_of(&self, time: UnixMicros) -> usize {
        let behind = self.pieces.partition_point(|(from, _)| *from <= time.micros());
        self.pieces[behind - 1].1
    }

    /// The times of an output's rows, in order: from the first of a range up to its end, or without an end.
    pub(super) fn times_of(&self, output: usize) -> impl Iterator<Item = Range<i64>> {
        let ends = self.pieces.iter().skip(1).map(|(from, _)| *from).chain([i64::MAX]);
        self.pieces.iter().zip(ends).filter(move |((_, of), _)| *of == output).map(|((from, _), end)| *from..end)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(micros: i64) -> UnixMicros {
        UnixMicros::new(micros).unwrap()
    }

    #[test]
    fn a_cut_is_the_first_instant_of_the_piece_behind_it() {
        let division = Division::new(2, &[(at(-5), 0), (at(0), 1), (at(7), 2)]);
        assert_eq!([-6, -5, -1, 0, 6, 7].map(|time| division.output_of(at(time))), [2, 0, 0, 1, 1, 2]);
        assert_eq!(division.output_of(UnixMicros::MIN), 2);
        assert_eq!(division.times_of(2).collect::<Vec<_>>(), [i64::MIN..-5, 7..i64::MAX]);
        assert_eq!((division.times_of(1).next(), division.times_of(1).count()), (Some(0..7), 1));
        assert_eq!(division.outputs(), 3);
        assert_eq!(Division::whole().output_of(UnixMicros::MAX), 0);
    }
}
