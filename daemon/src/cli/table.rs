//! Tables for people: aligned columns without lines, so that `awk` and eyes can both read them.

use comfy_table::{Table, presets};

/// A table with a heading; `rows` in their order. Every line ends in a newline and in no spaces.
pub(crate) fn of<const COLUMNS: usize>(heading: [&str; COLUMNS], rows: impl IntoIterator<Item = [String; COLUMNS]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(heading).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    lines(&table)
}

fn lines(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
