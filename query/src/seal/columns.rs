//! Which properties get columns.

use format::SiteId;

use super::properties::KeyRows;

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

/// The property column of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColumnPlan {
    pub(super) key: String,
    /// The number of the key.
    pub(super) number: u32,
}

/// The columns of each run, in the order of their keys. `runs` are site and rows of each, in the order of the segment.
pub(super) fn choose<'k>(runs: &[(SiteId, u32)], keys: impl Iterator<Item = KeyRows<'k>>, rule: ColumnRule) -> Vec<Vec<ColumnPlan>> {
    let mut candidates = Candidates::new(rule);
    for KeyRows { run, key, number, rows } in keys {
        let (site, rows_of_run) = runs[run as usize];
        candidates.add(site, run, rows_of_run, [((key.to_owned(), number), rows)]);
    }
    let mut columns: Vec<Vec<ColumnPlan>> = runs.iter().map(|_| Vec::new()).collect();
    for (run, (key, number)) in candidates.choose() {
        columns[run as usize].push(ColumnPlan { key, number });
    }
    columns
}

/// Keys that may get a column.
#[derive(Debug)]
pub(crate) struct Candidates<K> {
    rule: ColumnRule,
    /// With the rows that have it, and the run.
    keys: Vec<(SiteId, u32, u32, K)>,
}

impl<K: Ord + Default> Candidates<K> {
    /// None.
    pub(crate) fn new(rule: ColumnRule) -> Candidates<K> {
        Candidates { rule, keys: Vec::new() }
    }

    /// Those of a run's keys, with the rows that have them, that enough of its rows have.
    pub(crate) fn add(&mut self, site: SiteId, run: u32, rows: u32, keys: impl IntoIterator<Item = (K, u32)>) {
        let least = self.rule.min_rows.max(rows.div_ceil(self.rule.min_share));
        let worthy = keys.into_iter().filter(|(_, rows)| *rows >= least);
        self.keys.extend(worthy.map(|(key, rows)| (site, rows, run, key)));
    }

    /// Those that get a column, by run, in the order of keys: of each site the keys that most rows have.
    pub(crate) fn choose(mut self) -> Vec<(u32, K)> {
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
    use super::*;

    /// Site, rows, and keys with their rows.
    type Made<'a> = (u8, u32, &'a [(&'a str, u32)]);

    /// The keys of columns, by run.
    fn chosen(runs: &[Made<'_>]) -> Vec<Vec<String>> {
        let rows: Vec<(SiteId, u32)> = runs.iter().map(|(site, rows, _)| (SiteId::new([*site; 16]), *rows)).collect();
        let keys = (0..)
            .zip(runs)
            .flat_map(|(run, (_, _, keys))| keys.iter().map(move |(key, rows)| KeyRows { run, key, number: rows * 7, rows: *rows }));
        let columns = choose(&rows, keys, ColumnRule::default());
        for (column, (_, _, keys)) in columns.iter().zip(runs).flat_map(|(columns, run)| columns.iter().map(move |column| (column, run))) {
            assert!(keys.iter().any(|(key, rows)| *key == column.key && rows * 7 == column.number), "{column:?}");
        }
        columns.into_iter().map(|columns| columns.into_iter().map(|column| column.key).collect()).collect()
    }

    #[test]
    fn a_key_gets_a_column_from_64_rows_and_a_hundredth_on() {
        let columns = chosen(&[
            (1, 64, &[("all", 64), ("most", 63)]),
            (1, 10_000, &[("b", 100), ("a", 9_000), ("c", 99)]),
            (1, 10_001, &[("a", 101), ("b", 100)]),
        ]);
        assert_eq!(columns, [vec!["all"], vec!["a", "b"], vec!["a"]]);
    }

    #[test]
    fn a_site_has_columns_for_the_256_keys_of_most_rows() {
        let generated: Vec<(String, u32)> = (0..300).map(|n| (format!("key-{n:03}"), 1_000 - n)).collect();
        let generated: Vec<(&str, u32)> = generated.iter().map(|(key, rows)| (key.as_str(), *rows)).collect();
        let columns = chosen(&[(1, 1_000, &generated), (1, 1_000, &[("x", 900), ("y", 700)]), (2, 1_000, &[("y", 100)])]);
        assert_eq!(columns[0].len(), 255);
        assert_eq!(columns[0].last().map(String::as_str), Some("key-254"));
        assert_eq!(columns[1..], [vec!["x"], vec!["y"]]);
    }
}
