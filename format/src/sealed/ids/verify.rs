//! Is what index and filter say of event ids what the column says?
//!
//! Each id is looked for as readers do. If each is found at its row, and the index has as many entries as there are ids, it has no
//! other ones: no two of them can be the same.

use crate::error::Error;
use crate::findings::{Findings, Place};
use crate::sealed::section::Section;

use super::stream::Source;
use super::{Ids, Rows, filter, index};

const COLUMN: &str = "event ids";
const INDEX: &str = "event id index";
const FILTER: &str = "event id filter";

/// Rows whose ids are looked for together.
const ROWS_AT_ONCE: u32 = 64 * 1024;

impl<S: Source> Ids<'_, S> {
    /// Reads all ids and tells what is wrong with them. Memory: the filter, 1.5 bytes an id.
    pub(in crate::sealed) fn verify(&self, of_rows: &mut impl Rows, findings: &mut Findings) {
        let streams = [Section::IDS, Section::ID_OFFSETS, Section::ID_DIRECTORY, Section::ID_FILTER];
        let key = match index::key(self.source) {
            Ok(Some(key)) => key,
            Ok(None) => {
                if streams.iter().any(|stream| self.source.len(*stream) > 0) {
                    findings.add(INDEX, Place::file(), format_args!("there are ids and none"));
                }
                return;
            }
            Err(error) => return findings.unreadable(INDEX, Place::file(), &error),
        };
        let entries = match index::check_order(self.source, self.rows) {
            Ok(Ok(entries)) => entries,
            Ok(Err(at)) => return findings.add(INDEX, Place::file(), format_args!("entry {at} is not behind the one before")),
            Err(error) => return findings.unreadable(INDEX, Place::file(), &error),
        };
        let mut expected = filter::Rebuilt::new(entries);
        let (mut ids, mut is_whole, mut row) = (0u32, true, 0);
        while row < self.rows {
            let rows = row..self.rows.min(row.saturating_add(ROWS_AT_ONCE));
            row = rows.end;
            let mut hashes = Vec::new();
            let read = self.hashes(key, rows.clone(), of_rows, |row, hash| {
                hashes.push((hash, row));
                Ok(())
            });
            if let Err(error) = read {
                findings.unreadable(COLUMN, Place::row(rows.start), &error);
                is_whole = false;
                continue;
            }
            ids += hashes.len() as u32;
            hashes.iter().for_each(|(hash, _)| expected.add(*hash));
            hashes.sort_unstable();
            if let Err(error) = self.look_for(&hashes, entries, findings) {
                findings.unreadable(INDEX, Place::row(rows.start), &error);
            }
        }
        if !is_whole {
            return;
        }
        if ids != entries {
            findings.add(INDEX, Place::file(), format_args!("it has {entries} entries for {ids} ids"));
        }
        match expected.is_equal(self.source) {
            Ok(true) => {}
            Ok(false) => findings.add(FILTER, Place::file(), format_args!("it is not that of the ids")),
            Err(error) => findings.unreadable(FILTER, Place::file(), &error),
        }
    }

    /// Looks for sorted hashes, each with its row.
    fn look_for(&self, hashes: &[(u64, u32)], entries: u32, findings: &mut Findings) -> Result<(), Error> {
        let mut found: Vec<u32> = index::candidates(self.source, self.rows, hashes)?
            .into_iter()
            .filter_map(|(row, number)| (row == number).then_some(row))
            .collect();
        found.sort_unstable();
        for hash in hashes.iter().filter(|(_, row)| found.binary_search(row).is_err()) {
            let is_filtered = filter::passing(self.source, entries, &[*hash])?.is_empty();
            let part = if is_filtered { FILTER } else { INDEX };
            findings.add(part, Place::row(hash.1), format_args!("the id of the row is not in it"));
        }
        Ok(())
    }
}
