//! Writes the rows in the segment's order.

use format::sealed::{Codes, Field, Finished, NO_SESSION, Provenance, Row, SegmentWriter};
use format::{SiteId, UnixMicros};

use super::columns::{self, ColumnPlan, ColumnRule};
use super::compare::Hashes;
use super::properties::{CutProperties, KeyRows, Properties};
use super::survey::{NO_NUMBER, RunRows, Survey};
use super::{Input, ROWS_BETWEEN_LOOKS, Target};
use crate::error::Error;

/// Writes the segment, up to its trailer.
///
/// # Errors
///
/// As [`SegmentWriter`]; [`Error::Stopped`].
pub(super) fn write(
    target: Target<'_>,
    survey: Survey,
    input: &impl Input,
    provenance: &Provenance,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Finished, Error> {
    let Survey { runs, times, texts, fields, properties, sessions, row_sessions, event_ids, sum, .. } = survey;
    let (columns, cut) = plan(&runs, properties, target.columns, &sum.hashes);
    let texts = texts.sort();
    let (sessions, session_codes) = sessions.sort();
    let fields: Vec<(Field, &[u32])> = fields.used().collect();
    let mut writer = SegmentWriter::create(target.fs, target.dir, target.header, target.id_secret)?;
    for (field, _) in &fields {
        writer.dictionary(*field, texts.of_room(*field as u32))?;
    }
    let shapes = cut.shapes.of_room(0);
    if shapes.len() > 0 {
        writer.dictionary(Field::Shape, shapes)?;
    }
    writer.sessions(sessions.into_iter())?;
    for (RunRows { run, rows, .. }, columns) in runs.iter().zip(&columns) {
        writer.run(run.site, run.kind, &run.name)?;
        for column in columns {
            writer.property(&column.key, cut.values.of_room(column.number))?;
        }
        let mut properties = vec![0; columns.len()];
        for (written, row) in (0u32..).zip(rows) {
            if written.is_multiple_of(ROWS_BETWEEN_LOOKS) && is_stopped() {
                return Err(Error::Stopped);
            }
            let at = *row as usize;
            let mut codes: Codes = [0; Field::ALL.len()];
            for (field, numbers) in &fields {
                let number = numbers.get(at).and_then(|number| number.checked_sub(1));
                codes[*field as usize] = number.map_or(0, |number| texts.code(number));
            }
            properties.fill(0);
            codes[Field::Shape as usize] = cut.codes(*row, &mut properties);
            let session = row_sessions[at];
            writer.push(&Row {
                time: UnixMicros::new(times[at]).expect("it was a record's"),
                sequence: input.sequence(*row),
                session: if session == NO_NUMBER { NO_SESSION } else { session_codes[session as usize] },
                codes,
                properties: &properties,
                event_id: event_ids.of(*row),
            })?;
        }
    }
    Ok(writer.finish(provenance)?)
}

/// The columns of each run, and the properties without their values.
fn plan(runs: &[RunRows], properties: Properties, rule: ColumnRule, hashes: &Hashes) -> (Vec<Vec<ColumnPlan>>, CutProperties) {
    let sites: Vec<(SiteId, u32)> =
        runs.iter().map(|run| (run.run.site, u32::try_from(run.rows.len()).expect("rows are counted in 32 bits"))).collect();
    // Runs were numbered as they appeared, and are now sorted.
    let mut places = vec![0; runs.len()];
    for (place, run) in (0..).zip(runs) {
        places[run.number as usize] = place;
    }
    let keys = properties.keys().map(|key| KeyRows { run: places[key.run as usize], ..key });
    let columns = columns::choose(&sites, keys, rule);
    let mut column_of_key = vec![None; properties.key_count()];
    for columns in &columns {
        for (at, column) in (0..).zip(columns) {
            column_of_key[column.number as usize] = Some(at);
        }
    }
    let cut = properties.with_columns(|key| column_of_key[key as usize], hashes);
    (columns, cut)
}
