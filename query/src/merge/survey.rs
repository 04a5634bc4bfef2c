//! What the output will be made of, from one reading of the columns that say so.

use format::sealed::Field;
use format::{Segment, Sequence, UnixMicros};
use hashbrown::HashMap;

use super::columns::Columns;
use super::runs::{MergedRuns, Part};
use super::sessions::Sessions;
use super::tally::Tally;
use super::texts::{WANTED, table};
use super::{Inputs, Tables, of};
use crate::block::{Block, Wanted};
use crate::error::Error;
use crate::rows::Slots;
use crate::seal::{Candidates, ColumnRule};
use crate::shape::ShapeEntries;

/// What is known before shapes are cut.
pub(super) struct Survey {
    /// With the time of their first row.
    pub(super) sessions: Sessions,
    /// By input: which entries of its dictionaries rows that stay have; without the shapes.
    pub(super) tables: Vec<Tables>,
    pub(super) columns: Columns,
    /// When rows that stay were received.
    pub(super) received: Vec<(Sequence, UnixMicros)>,
}

/// Reads the sessions, times and shapes of all rows that stay, and of inputs that are cut all fields.
///
/// # Errors
///
/// If an input cannot be read; [`Error::Stopped`].
pub(super) fn survey(inputs: &Inputs<'_>, rule: ColumnRule) -> Result<Survey, Error> {
    let mut sessions = Sessions::number(inputs)?;
    let mut parts: Vec<OfInput<'_>> = (0..inputs.segments.len()).map(|input| OfInput::new(inputs, input)).collect();
    let mut candidates = Candidates::new(rule);
    let mut tally = Tally::default();
    let mut runs = MergedRuns::new(inputs)?;
    let mut number = 0;
    while let Some(run) = runs.next()? {
        let mut keys: HashMap<String, u32> = HashMap::default();
        for part in &run.parts {
            tally.clear();
            let of_input = &mut parts[part.input];
            of_input.read(inputs, part, &mut sessions, &mut tally)?;
            // A run of fewer rows has no key that enough of them have.
            if run.rows() < rule.min_rows {
                continue;
            }
            for (code, rows) in tally.counts().filter(|(code, _)| *code != 0) {
                for key in of_input.keys(code)? {
                    *keys.entry_ref(key.as_str()).or_insert(0) += rows;
                }
            }
        }
        candidates.add(run.site, number, run.rows(), keys);
        number += 1;
    }
    let mut received: Vec<(Sequence, UnixMicros)> = Vec::new();
    for (part, segment) in parts.iter().zip(inputs.segments) {
        let pairs = segment.provenance().received.iter().zip(&part.is_received);
        received.extend(pairs.filter(|(_, is_needed)| **is_needed).map(|(pair, _)| *pair));
    }
    received.sort_unstable();
    let tables = parts.into_iter().map(|part| part.tables).collect();
    Ok(Survey { sessions, tables, columns: Columns::new(candidates.choose()), received })
}

/// An input that is read.
struct OfInput<'a> {
    segment: &'a Segment,
    block: Block<'a>,
    /// Keys that may get a column, by shape.
    keys: Slots<Vec<String>>,
    received: &'a [(Sequence, UnixMicros)],
    /// By pair of the above: whether a row that stays was received then.
    is_received: Vec<bool>,
    tables: Tables,
    is_cut: bool,
}

impl<'a> OfInput<'a> {
    fn new(inputs: &'a Inputs<'a>, input: usize) -> OfInput<'a> {
        let segment = &*inputs.segments[input];
        let is_cut = inputs.is_cut[input];
        // What nothing is left out of has rows for each of its entries.
        let fields = if is_cut { Field::ALL.to_vec() } else { vec![Field::Shape] };
        let wanted = Wanted { has_times: segment.sessions() > 0, has_sessions: true, has_sequences: is_cut, fields, ..Wanted::default() };
        let received = &segment.provenance().received[..];
        OfInput {
            segment,
            block: Block::new(segment, wanted),
            keys: Slots::default(),
            received,
            is_received: vec![!is_cut; received.len()],
            tables: Field::ALL.map(|field| table(segment.entries(field), !is_cut && field != Field::Shape)),
            is_cut,
        }
    }

    /// The keys that stand once in properties of this shape.
    fn keys(&mut self, shape: u32) -> Result<&[String], Error> {
        let OfInput { segment, keys, .. } = self;
        let read = keys.get_or_read(shape, |keys| {
            keys.clear();
            ShapeEntries::of(segment, shape)?.for_each_single(|key, _, _| keys.push(key.to_owned()));
            Ok::<_, format::Error>(())
        });
        of(segment, read.map(Vec::as_slice))
    }

    /// Reads the rows of a part that stay.
    fn read(&mut self, inputs: &Inputs<'_>, part: &Part, sessions: &mut Sessions, tally: &mut Tally) -> Result<(), Error> {
        for rows in part.kept.blocks() {
            inputs.go_on()?;
            of(&inputs.segments[part.input], self.block.reach(rows.start))?;
            let at = self.block.places(rows);
            if self.block.wanted().has_sessions {
                sessions.note(part.input, &self.block.sessions[at.clone()], &self.block.times[at.clone()]);
            }
            for field in &self.block.wanted().fields {
                let codes = &self.block.codes[*field as usize][at.clone()];
                if *field == Field::Shape {
                    codes.iter().for_each(|code| _ = tally.add(*code));
                } else {
                    codes.iter().for_each(|code| self.tables[*field as usize][*code as usize] = WANTED);
                }
            }
            if self.is_cut {
                for sequence in &self.block.sequences[at] {
                    let behind = self.received.partition_point(|(first, _)| first <= sequence);
                    if let Some(at) = behind.checked_sub(1) {
                        self.is_received[at] = true;
                    }
                }
            }
        }
        Ok(())
    }
}
