//! Tables for people: aligned columns without lines, so that `awk` and eyes can both read them.

use comfy_table::{CellAlignment, Table, presets};

/// A table with a heading; `rows` in their order. Every line ends in a newline and in no spaces.
pub(crate) fn of<const COLUMNS: usize>(heading: [&str; COLUMNS], rows: impl IntoIterator<Item = [String; COLUMNS]>) -> String {
    lines(&table(heading, rows))
}

/// As [`of`], with numbers, aligned to the right, from the column `first` on.
pub(crate) fn of_numbers<const COLUMNS: usize>(
    heading: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
    first: usize,
) -> String {
    let mut table = table(heading, rows);
    for column in table.column_iter_mut().skip(first) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    lines(&table)
}

fn table<const COLUMNS: usize>(heading: [&str; COLUMNS], rows: impl IntoIterator<Item = [String; COLUMNS]>) -> Table {
    let mut table = Table::new();
    // Text from a client may hold anything; a cell is one line of visible characters.
    let rows = rows.into_iter().map(|row| row.map(|cell| cell.replace(char::is_control, " ")));
    table.load_style(presets::NOTHING).set_header(heading).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn lines(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_on_the_right() {
        let rows = [["a", "1"], ["bcd", "234567"]].map(|row| row.map(str::to_owned));
        assert_eq!(of(["name", "n"], rows.clone()), "name  n\na     1\nbcd   234567\n");
        assert_eq!(of_numbers(["name", "n"], rows, 1), "name       n\na          1\nbcd   234567\n");
    }

    #[test]
    fn no_cell_can_move_the_cursor() {
        assert_eq!(of(["name"], [["a\u{1b}[2J\nb".to_owned()]]), "name\na [2J b\n");
    }
}
