//! Columns of codes: those of fields, and those of properties with what the directory says of them.

use crate::findings::{Findings, Place};
use crate::sealed::codes::BLOCK_ROWS;
use crate::sealed::properties::{ENTRY_LEN_BYTES, Property};
use crate::sealed::section::Section;
use crate::sealed::{Field, Segment};

use super::directory::WholeRun;
use super::rows::block_at;
use super::{dictionaries, told};

const PROPERTIES: &str = "property columns";

/// Decodes every block; a code that has no entry is an error of reading.
pub(super) fn check(segment: &Segment, runs: &[WholeRun], findings: &mut Findings) {
    let mut codes = Vec::new();
    for field in Field::ALL {
        let part = Section::codes(field).title();
        let mut row = 0;
        while row < segment.rows() && (segment.entries(field) > 0 || segment.input().blocks(Section::codes(field)) > 0) {
            let rows = block_at(row, segment.rows());
            row = rows.end;
            codes.clear();
            told(segment.codes(field, rows.clone(), &mut codes), &part, Place::row(rows.start), findings);
        }
    }
    check_block_counts(segment, findings);
    let mut first_block = 0;
    for run in runs {
        check_properties(segment, run, first_block, findings);
        first_block = run.columns().saturating_mul(run.blocks_of_column()).saturating_add(first_block);
    }
    let blocks = segment.input().blocks(Section::PROPERTY_CODES);
    if blocks > first_block as usize {
        findings.add(PROPERTIES, Place::file(), format_args!("{blocks} blocks of codes for {first_block}"));
    }
}

/// Lists have no more blocks than rows fill.
fn check_block_counts(segment: &Segment, findings: &mut Findings) {
    let expected = (segment.rows() as usize).div_ceil(BLOCK_ROWS);
    let of_rows = [Section::TIMES, Section::SEQUENCES, Section::SESSION_CODES];
    for section in Field::ALL.map(Section::codes).into_iter().chain(of_rows) {
        let blocks = segment.input().blocks(section);
        if blocks > expected {
            findings.add(&section.title(), Place::file(), format_args!("{blocks} blocks for {expected}"));
        }
    }
}

impl WholeRun {
    fn columns(&self) -> u32 {
        self.next.first_property.saturating_sub(self.entry.first_property)
    }

    /// Blocks of a property column, whose rows are counted from the run's first.
    fn blocks_of_column(&self) -> u32 {
        (self.run.rows.end - self.run.rows.start).div_ceil(BLOCK_ROWS as u32)
    }
}

fn check_properties(segment: &Segment, run: &WholeRun, first_block: u32, findings: &mut Findings) {
    let place = Place::run(run.run.number);
    let (mut keys, texts) = (Vec::new(), segment.input().len(Section::PROPERTY_TEXTS));
    // The directory of runs was told to be wrong.
    if u64::from(run.next.first_property) > segment.input().len(Section::PROPERTIES) / ENTRY_LEN_BYTES as u64 {
        return;
    }
    for column in 0..run.columns() {
        let read = Property::read(segment.input(), run.entry.first_property + column);
        let Some(property) = told(read, PROPERTIES, place.clone(), findings) else { continue };
        let Some(key) = told(property.key(segment.input()), PROPERTIES, place.clone(), findings) else { continue };
        if (property.first_block, property.stride) != (first_block.saturating_add(column), run.columns()) {
            findings.add(PROPERTIES, place.clone(), format_args!("the blocks of `{key}` are not where those of its run are"));
            continue;
        }
        let part = format!("values of property `{key}`");
        let at = column as usize;
        dictionaries::growing(&part, place.clone(), (property.dictionary.entries, texts), findings, |code, out| {
            segment.property_value(&run.run, at, code, out)
        });
        check_codes(segment, run, at, &key, findings);
        keys.push(key);
    }
    keys.sort_unstable();
    for pair in keys.windows(2).filter(|pair| pair[0] == pair[1]) {
        findings.add(PROPERTIES, place.clone(), format_args!("`{}` has several", pair[0]));
    }
}

fn check_codes(segment: &Segment, run: &WholeRun, column: usize, key: &str, findings: &mut Findings) {
    let mut codes = Vec::new();
    // Blocks are cut from the first row of the run on.
    for start in run.rows().step_by(BLOCK_ROWS) {
        let rows = start..run.run.rows.end.min(start.saturating_add(BLOCK_ROWS as u32));
        codes.clear();
        let read = segment.property_codes(&run.run, column, rows.clone(), &mut codes);
        told(read, &format!("codes of property `{key}`"), Place::run(run.run.number).at_row(rows.start), findings);
    }
}
