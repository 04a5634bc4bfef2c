//! Writes the rows in the segment's order.

use format::Record;
use format::sealed::{Codes, Field, Finished, NO_SESSION, Provenance, Row, SegmentWriter};

use super::columns::{self, ColumnPlan, Plan};
use super::survey::Survey;
use super::{Input, Rows, Target};
use crate::error::Error;
use crate::fields;
use crate::shape;

/// Writes the segment, up to its trailer.
///
/// # Errors
///
/// As [`Rows::for_each`] and [`SegmentWriter`].
pub(super) fn write(target: Target<'_>, plan: &Plan, rows: &Rows<'_, impl Input>, provenance: &Provenance) -> Result<Finished, Error> {
    let survey = &plan.survey;
    let mut writer = SegmentWriter::create(target.fs, target.dir, target.header, target.id_secret)?;
    for field in Field::ALL {
        let dictionary = &survey.dictionaries[field as usize];
        if !dictionary.is_empty() {
            writer.dictionary(field, dictionary.entries().into_iter())?;
        }
    }
    writer.sessions(survey.sessions.ids().iter().copied())?;
    let mut coder = Coder { survey, shape: Vec::new() };
    let mut at = 0;
    for (run, columns) in survey.runs.iter().zip(&plan.columns) {
        writer.run(run.run.site, run.run.kind, &run.run.name)?;
        for column in columns {
            writer.property(&column.key, column.values.entries().into_iter())?;
        }
        let places = &survey.order[at..at + run.rows as usize];
        at += places.len();
        let mut properties = vec![0; columns.len()];
        rows.for_each(places.iter().map(|place| place.row), |_, sequence, record| {
            let codes = coder.codes(record, columns, &mut properties);
            let session = record.session.map_or(NO_SESSION, |session| survey.sessions.code(session));
            let event_id = record.event_id;
            Ok(writer.push(&Row { time: record.time, sequence, session, codes, properties: &properties, event_id })?)
        })?;
    }
    Ok(writer.finish(provenance)?)
}

/// Turns records into codes.
struct Coder<'a> {
    survey: &'a Survey,
    shape: Vec<u8>,
}

impl Coder<'_> {
    /// The codes of a record's fields; those of its properties go to `properties`.
    fn codes(&mut self, record: &Record<'_>, columns: &[ColumnPlan], properties: &mut [u32]) -> Codes {
        let dictionaries = &self.survey.dictionaries;
        let mut codes: Codes = [0; Field::ALL.len()];
        fields::for_each(record, |field, entry| codes[field as usize] = dictionaries[field as usize].code(entry));
        properties.fill(0);
        if !record.properties.is_empty() {
            let mut values = Vec::new();
            self.shape.clear();
            shape::split(record.properties, |key| columns::find(columns, key), &mut self.shape, &mut values);
            codes[Field::Shape as usize] = dictionaries[Field::Shape as usize].code(&self.shape);
            for (column, value) in values {
                properties[column] = columns[column].values.code(value.as_bytes());
            }
        }
        codes
    }
}
