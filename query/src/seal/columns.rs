//! Which properties get columns, and the dictionaries of shapes and values that follow from it.

use format::SiteId;
use format::sealed::Field;

use super::dictionary::Dictionary;
use super::survey::{RunRows, Survey};
use super::{Input, Rows};
use crate::error::Error;
use crate::shape;

/// Which keys get a column. Any rule gives the same answers; tests have others, so that small inputs have both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnRule {
    /// A key of fewer rows of the run is read out of the shapes: a column has to be worth its place in the directory.
    pub min_rows: u32,
    /// Of all rows of the run, one in so many has the key.
    pub min_share: u32,
    /// The most columns of a site, whatever keys its clients make up.
    pub max_of_site: usize,
}

impl Default for ColumnRule {
    fn default() -> ColumnRule {
        ColumnRule { min_rows: 64, min_share: 100, max_of_site: 256 }
    }
}

/// All that is known before the first row is written.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) survey: Survey,
    /// By number of the run, in the order of their keys.
    pub(super) columns: Vec<Vec<ColumnPlan>>,
}

/// The property column of a run.
#[derive(Debug)]
pub(super) struct ColumnPlan {
    pub(super) key: String,
    pub(super) values: Dictionary,
}

/// The column of a key among those of a run.
pub(super) fn find(columns: &[ColumnPlan], key: &str) -> Option<usize> {
    columns.binary_search_by(|column| column.key.as_str().cmp(key)).ok()
}

/// Chooses columns and reads the rows with properties once more, for their shapes and values.
///
/// # Errors
///
/// As [`Rows::for_each`].
pub(super) fn plan(mut survey: Survey, rows: &Rows<'_, impl Input>, rule: ColumnRule) -> Result<Plan, Error> {
    let mut columns = choose(&mut survey.runs, rule);
    let mut shapes = Dictionary::default();
    let mut text = Vec::new();
    let mut at = 0;
    for (run, columns) in survey.runs.iter().zip(&mut columns) {
        let places = &survey.order[at..at + run.rows as usize];
        at += places.len();
        if !run.has_properties {
            continue;
        }
        rows.for_each(places.iter().map(|place| place.row), |_, _, record| {
            if !record.properties.is_empty() {
                let mut values = Vec::new();
                text.clear();
                shape::split(record.properties, |key| find(columns, key), &mut text, &mut values);
                shapes.add(&text);
                for (column, value) in values {
                    columns[column].values.add(value.as_bytes());
                }
            }
            Ok(())
        })?;
        columns.iter_mut().for_each(|column| column.values.number());
    }
    shapes.number();
    survey.dictionaries[Field::Shape as usize] = shapes;
    Ok(Plan { survey, columns })
}

/// The columns of each run. Leaves the runs without their keys.
fn choose(runs: &mut [RunRows], rule: ColumnRule) -> Vec<Vec<ColumnPlan>> {
    let mut columns: Vec<Vec<ColumnPlan>> = runs.iter().map(|_| Vec::new()).collect();
    let mut candidates = Candidates::new(rule);
    for (number, run) in (0..).zip(runs.iter_mut()) {
        candidates.add(run.run.site, number, run.rows, std::mem::take(&mut run.keys));
    }
    for (number, key) in candidates.choose() {
        columns[number as usize].push(ColumnPlan { key, values: Dictionary::default() });
    }
    columns
}

/// Keys that may get a column.
#[derive(Debug)]
pub(crate) struct Candidates {
    rule: ColumnRule,
    /// With the rows that have it, and the run.
    keys: Vec<(SiteId, u32, u32, String)>,
}

impl Candidates {
    /// None.
    pub(crate) fn new(rule: ColumnRule) -> Candidates {
        Candidates { rule, keys: Vec::new() }
    }

    /// Those of a run's keys, with the rows that have them, that enough of its rows have.
    pub(crate) fn add(&mut self, site: SiteId, run: u32, rows: u32, keys: impl IntoIterator<Item = (String, u32)>) {
        let least = self.rule.min_rows.max(rows.div_ceil(self.rule.min_share));
        let worthy = keys.into_iter().filter(|(_, rows)| *rows >= least);
        self.keys.extend(worthy.map(|(key, rows)| (site, rows, run, key)));
    }

    /// Those that get a column, by run, in the order of keys: of each site the keys that most rows have.
    pub(crate) fn choose(mut self) -> Vec<(u32, String)> {
        // By site, then those of most rows, and the same ones whatever order the keys came in.
        self.keys.sort_unstable_by(|one, other| (one.0, other.1, one.2, &one.3).cmp(&(other.0, one.1, other.2, &other.3)));
        let mut chosen = Vec::new();
        for of_site in self.keys.chunk_by_mut(|one, other| one.0 == other.0) {
            chosen.extend(of_site.iter_mut().take(self.rule.max_of_site).map(|(_, _, run, key)| (*run, std::mem::take(key))));
        }
        chosen.sort_unstable();
        chosen
    }
}

#[cfg(test)]
mod tests {
    use format::Kind;

    use super::*;
    use crate::seal::survey::RunName;

    fn run(site: u8, name: &str, rows: u32, keys: &[(&str, u32)]) -> RunRows {
        let run = RunName { site: SiteId::new([site; 16]), kind: Kind::Event, name: name.into() };
        RunRows { run, rows, has_properties: true, keys: keys.iter().map(|(key, rows)| ((*key).to_owned(), *rows)).collect() }
    }

    fn keys(columns: &[ColumnPlan]) -> Vec<&str> {
        columns.iter().map(|column| column.key.as_str()).collect()
    }

    #[test]
    fn a_key_gets_a_column_from_64_rows_and_a_hundredth_on() {
        let mut runs = [
            run(1, "few", 64, &[("all", 64), ("most", 63)]),
            run(1, "many", 10_000, &[("b", 100), ("a", 9_000), ("c", 99)]),
            run(1, "odd", 10_001, &[("a", 101), ("b", 100)]),
        ];
        let columns = choose(&mut runs, ColumnRule::default());
        assert_eq!(columns.iter().map(|columns| keys(columns)).collect::<Vec<_>>(), [vec!["all"], vec!["a", "b"], vec!["a"]]);
        assert_eq!([find(&columns[1], "a"), find(&columns[1], "b"), find(&columns[1], "c")], [Some(0), Some(1), None]);
    }

    #[test]
    fn a_site_has_columns_for_the_256_keys_of_most_rows() {
        let generated: Vec<(String, u32)> = (0..300).map(|n| (format!("key-{n:03}"), 1_000 - n)).collect();
        let generated: Vec<(&str, u32)> = generated.iter().map(|(key, rows)| (key.as_str(), *rows)).collect();
        let mut runs = [run(1, "a", 1_000, &generated), run(1, "b", 1_000, &[("x", 900), ("y", 700)]), run(2, "a", 1_000, &[("y", 100)])];
        let columns = choose(&mut runs, ColumnRule::default());
        assert_eq!(columns[0].len(), 255);
        assert_eq!(columns[0].last().map(|column| column.key.as_str()), Some("key-254"));
        assert_eq!(keys(&columns[1]), ["x"]);
        assert_eq!(keys(&columns[2]), ["y"]);
    }
}
