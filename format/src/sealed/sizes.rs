//! How many bytes the parts of a segment take.

use crate::error::Error;

use super::properties::Property;
use super::section::Section;
use super::{Run, Segment};

/// A part of a segment and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartSize {
    /// What it is.
    pub title: String,
    /// Blocks with bytes.
    pub blocks: u64,
    /// Bytes of all of them.
    pub len_bytes: u64,
}

/// A property column of a run and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertySize {
    /// Its key.
    pub key: String,
    /// Distinct values.
    pub values: u32,
    /// Bytes of its codes.
    pub codes_len_bytes: u64,
    /// Bytes of its values, without their places.
    pub values_len_bytes: u64,
}

impl Segment {
    /// All parts that have bytes, by the number of their section: together with header, footer and trailer the whole file.
    pub fn part_sizes(&self) -> Vec<PartSize> {
        let mut sizes: Vec<(Section, PartSize)> = Vec::new();
        for (section, block) in self.input().all_blocks() {
            if sizes.last().is_none_or(|(of, _)| *of != section) {
                sizes.push((section, PartSize { title: section.title(), blocks: 0, len_bytes: 0 }));
            }
            if let Some((_, size)) = sizes.last_mut() {
                size.blocks += 1;
                size.len_bytes += u64::from(block.len_bytes);
            }
        }
        sizes.into_iter().map(|(_, size)| size).collect()
    }

    /// The property columns of a run, in the order they were named.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`], [`Error::Io`].
    pub fn property_sizes(&self, run: &Run) -> Result<Vec<PropertySize>, Error> {
        let (directory, input) = (self.directory(), self.input());
        let columns = directory.entry(run.number)?.first_property..directory.entry(run.number + 1)?.first_property;
        let size = |number| {
            let property = Property::read(input, number)?;
            let rows = run.rows.end - run.rows.start;
            Ok(PropertySize {
                key: property.key(input)?,
                values: property.dictionary.entries,
                codes_len_bytes: property.block_numbers(rows).map(|number| input.block_len(Section::PROPERTY_CODES, number)).sum(),
                values_len_bytes: property.dictionary.len_bytes(input)?,
            })
        };
        columns.map(size).collect()
    }
}
