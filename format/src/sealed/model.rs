//! The reference of the tests: a segment is a list of rows; every question reads every row.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Entries, Field, Finished, Level, NO_SESSION, Posting, Provenance, Row, Run, Segment, SegmentHeader, SegmentWriter};
use crate::error::Error;
use crate::fs::double::MemFs;
use crate::record::Kind;
use crate::units::{LogId, SegmentId, Sequence, SessionId, SiteId, UnixMicros};

const SECRET: [u8; 16] = *b"a secret of ids!";
pub(super) const DIR: &str = "/segments";

/// The fields that rows of the model have values in.
pub(super) const FIELDS: [Field; 4] = [Field::Path, Field::UserAgent, Field::Country, Field::Shape];

/// What a row says. Rows sort as those of a segment do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ModelRow {
    pub(super) site: u8,
    pub(super) kind: u8,
    pub(super) name: String,
    pub(super) time: i64,
    pub(super) sequence: u64,
    pub(super) session: Option<u8>,
    /// By [`FIELDS`].
    pub(super) fields: [Option<String>; 4],
    /// By the run's keys, which are `k0` and so on.
    pub(super) properties: Vec<Option<String>>,
}

/// The rows of a segment, in order.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) rows: Vec<ModelRow>,
    /// The ids of sessions, by code.
    pub(super) sessions: Vec<SessionId>,
}

/// Sessions have ids that differ in the first bytes, in the last ones, and whose order is not that of their codes.
pub(super) fn session_id(number: u8) -> SessionId {
    let mut bytes = [0; 16];
    bytes[usize::from(number % 2) * 15] = number.wrapping_mul(77);
    bytes[8] = number;
    SessionId::new(bytes)
}

fn kind_of(kind: u8) -> Kind {
    [Kind::Event, Kind::Pageview, Kind::Vital][usize::from(kind)]
}

fn distinct_of(values: impl Iterator<Item = Option<String>>) -> Vec<String> {
    values.flatten().collect::<BTreeSet<String>>().into_iter().collect()
}

fn code_in(entries: &[String], value: Option<&String>) -> u32 {
    value.map_or(0, |value| entries.iter().position(|entry| entry == value).unwrap() as u32 + 1)
}

impl Model {
    pub(super) fn new(mut rows: Vec<ModelRow>) -> Model {
        for (number, row) in rows.iter_mut().enumerate() {
            row.sequence = row.sequence * 10_000_000 + number as u64;
        }
        rows.sort();
        // All rows of a run have the columns of its first.
        let mut first: Option<ModelRow> = None;
        for row in &mut rows {
            match &first {
                Some(first) if (first.site, first.kind, &first.name) == (row.site, row.kind, &row.name) => {
                    row.properties.resize(first.properties.len(), None);
                }
                _ => first = Some(row.clone()),
            }
        }
        let mut by_time: Vec<&ModelRow> = rows.iter().collect();
        by_time.sort_by_key(|row| row.time);
        let mut seen = HashSet::new();
        let sessions = by_time.iter().filter_map(|row| row.session).filter(|session| seen.insert(*session)).map(session_id).collect();
        Model { rows, sessions }
    }

    pub(super) fn provenance(&self) -> Provenance {
        let sequences = self.rows.iter().map(|row| row.sequence);
        Provenance {
            log: Some(LogId::new(7)),
            segments: vec![SegmentId::new(3), SegmentId::new(4)],
            siblings: vec![SegmentId::new(0x13)],
            level: Level::Settled,
            sequences: (Sequence::new(sequences.clone().min().unwrap_or(1)), Sequence::new(sequences.max().unwrap_or(0) + 1)),
            received: vec![(Sequence::new(1), UnixMicros::new(1_700_000_040_000_000).unwrap())],
        }
    }

    pub(super) fn header() -> SegmentHeader {
        SegmentHeader { id: SegmentId::new(0x12), salt: *b"salt of segments", epoch: [9; 16], created: UnixMicros::EPOCH }
    }

    pub(super) fn path() -> PathBuf {
        Path::new(DIR).join(Model::header().id.file_name())
    }

    pub(super) fn entries(&self, field: usize) -> Vec<String> {
        distinct_of(self.rows.iter().map(|row| row.fields[field].clone()))
    }

    fn session_code(&self, row: &ModelRow) -> u32 {
        let position = |number| self.sessions.iter().position(|id| *id == session_id(number)).unwrap() as u32;
        row.session.map_or(NO_SESSION, position)
    }

    pub(super) fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            let (site, kind) = (SiteId::new([row.site; 16]), kind_of(row.kind));
            let (number, time) = (number as u32, UnixMicros::new(row.time).unwrap());
            match runs.last_mut().filter(|run| (run.site, run.kind, run.name.as_str()) == (site, kind, row.name.as_str())) {
                Some(run) => {
                    run.rows.end = number + 1;
                    run.times.1 = time;
                }
                None => {
                    let times = (time, time);
                    let place = runs.len() as u32;
                    runs.push(Run { site, kind, name: row.name.clone(), rows: number..number + 1, times, number: place });
                }
            }
        }
        runs
    }

    /// The distinct values of a run's property column.
    fn values(&self, run: &Run, column: usize) -> Vec<String> {
        distinct_of(run.rows.clone().map(|row| self.rows[row as usize].properties[column].clone()))
    }

    /// Writes the segment, without its trailer.
    pub(super) fn write(&self, fs: &MemFs) -> Finished {
        let mut writer = SegmentWriter::create(fs, Path::new(DIR), &Model::header(), SECRET).unwrap();
        let entries: Vec<Vec<String>> = (0..FIELDS.len()).map(|field| self.entries(field)).collect();
        for (field, entries) in FIELDS.iter().zip(&entries) {
            writer.dictionary(*field, entries.iter().map(String::as_bytes)).unwrap();
        }
        writer.sessions(self.sessions.iter().copied()).unwrap();
        for run in self.runs() {
            writer.run(run.site, run.kind, &run.name).unwrap();
            let columns = self.rows[run.rows.start as usize].properties.len();
            let values: Vec<Vec<String>> = (0..columns).map(|column| self.values(&run, column)).collect();
            for (column, values) in values.iter().enumerate() {
                writer.property(&format!("k{column}"), values.iter().map(String::as_bytes)).unwrap();
            }
            for row in &self.rows[run.rows.start as usize..run.rows.end as usize] {
                let mut codes = [0; Field::ALL.len()];
                for (field, number) in FIELDS.iter().zip(0..) {
                    codes[*field as usize] = code_in(&entries[number], row.fields[number].as_ref());
                }
                let properties: Vec<u32> =
                    row.properties.iter().zip(&values).map(|(value, values)| code_in(values, value.as_ref())).collect();
                let (time, sequence) = (UnixMicros::new(row.time).unwrap(), Sequence::new(row.sequence));
                let session = self.session_code(row);
                writer.push(&Row { time, sequence, session, codes, properties: &properties, event_id: None }).unwrap();
            }
        }
        writer.finish(&self.provenance()).unwrap()
    }

    /// A file system with the committed segment.
    pub(super) fn committed(&self) -> MemFs {
        let fs = MemFs::new(1);
        crate::fs::FileSystem::create_dir(&fs, Path::new(DIR)).unwrap();
        self.write(&fs).commit().unwrap();
        fs
    }

    /// The sessions in these rows; each row without one counts as one.
    fn distinct(&self, rows: impl Iterator<Item = u32>) -> u64 {
        let (mut seen, mut count) = (HashSet::new(), 0);
        for row in rows {
            count += u64::from(self.rows[row as usize].session.is_none_or(|session| seen.insert(session)));
        }
        count
    }
}

/// Compares answers. Of a damaged segment an answer may be an error that says where.
pub(super) struct Judge {
    pub(super) is_damaged: bool,
    pub(super) errors: usize,
}

impl Judge {
    fn same<T: PartialEq + Debug>(&mut self, answer: Result<T, Error>, expected: &T, question: &str) {
        match answer {
            Ok(answer) => assert_eq!(answer, *expected, "{question}"),
            Err(Error::Corrupt { path, .. }) if self.is_damaged => {
                assert_eq!(path, Model::path());
                self.errors += 1;
            }
            Err(error) => panic!("{question}: {error}: {:?}", std::error::Error::source(&error)),
        }
    }
}

/// What a method appends to a list.
fn listed<T>(read: impl FnOnce(&mut Vec<T>) -> Result<(), Error>) -> Result<Vec<T>, Error> {
    let mut out = Vec::new();
    read(&mut out).map(|()| out)
}

/// Asks a segment all it can answer. `cuts` choose rows, edges and times.
pub(super) fn compare(segment: &Arc<Segment>, model: &Model, cuts: &[u32], judge: &mut Judge) {
    let runs = model.runs();
    assert_eq!(segment.rows() as usize, model.rows.len());
    assert_eq!(segment.sessions() as usize, model.sessions.len());
    assert_eq!(*segment.provenance(), model.provenance());
    assert_eq!(*segment.header(), Model::header());
    judge.same(segment.runs(), &runs, "runs");
    judge.same((0..=runs.len() as u32).map(|number| segment.run(number)).collect(), &listed_runs(&runs), "run");
    for (field, number) in FIELDS.iter().zip(0..) {
        let entries = model.entries(number);
        assert_eq!(segment.entries(*field) as usize, entries.len());
        let bytes = entries.iter().map(|entry| entry.as_bytes().to_vec()).collect();
        judge.same(all_entries(segment.read_entries(*field)), &bytes, "read_entries");
        for (code, entry) in (1..).zip(&entries) {
            judge.same(listed(|out| segment.entry(*field, code, out)), &entry.as_bytes().to_vec(), "entry");
            judge.same(segment.find_entry(*field, entry.as_bytes()), &Some(code), "find_entry");
            judge.same(segment.find_entry(*field, format!("{entry}!").as_bytes()), &None, "find_entry of what is not there");
        }
        judge.same(segment.find_entry(*field, b""), &entries.iter().any(String::is_empty).then_some(1), "find_entry of nothing");
    }
    for (code, id) in (0..).zip(&model.sessions) {
        judge.same(segment.session_id(code), id, "session_id");
        judge.same(segment.find_session(*id), &Some(code), "find_session");
    }
    let mut by_id: Vec<u32> = (0..).take(model.sessions.len()).collect();
    by_id.sort_by_key(|code| model.sessions[*code as usize]);
    for places in cuts.chunks(2).map(|cut| cut_rows(cut, 0..by_id.len() as u32)) {
        let codes = by_id[places.start as usize..places.end as usize].to_vec();
        judge.same(listed(|out| segment.sessions_by_id(places, out)), &codes, "sessions_by_id");
    }
    judge.same(segment.find_session(SessionId::new([0xee; 16])), &None, "find_session of what is not there");
    for rows in cuts.chunks(2).map(|cut| cut_rows(cut, 0..model.rows.len() as u32)) {
        let of = &model.rows[rows.start as usize..rows.end as usize];
        judge.same(listed(|out| segment.times(rows.clone(), out)), &of.iter().map(|row| row.time).collect(), "times");
        let sequences = of.iter().map(|row| Sequence::new(row.sequence)).collect();
        judge.same(listed(|out| segment.sequences(rows.clone(), out)), &sequences, "sequences");
        let codes = of.iter().map(|row| model.session_code(row)).collect();
        judge.same(listed(|out| segment.session_codes(rows.clone(), out)), &codes, "session_codes");
        for (field, number) in FIELDS.iter().zip(0..) {
            let entries = model.entries(number);
            let codes = of.iter().map(|row| code_in(&entries, row.fields[number].as_ref())).collect();
            judge.same(listed(|out| segment.codes(*field, rows.clone(), out)), &codes, "codes");
        }
        judge.same(listed(|out| segment.codes(Field::Host, rows.clone(), out)), &vec![0; rows.len()], "codes of a field without any");
    }
    for run in &runs {
        compare_run(segment, model, run, cuts, judge);
    }
}

/// The runs, and none behind them.
fn listed_runs(runs: &[Run]) -> Vec<Option<Run>> {
    runs.iter().cloned().map(Some).chain([None]).collect()
}

/// All that stands in a dictionary.
fn all_entries(mut entries: Entries<'_>) -> Result<Vec<Vec<u8>>, Error> {
    let mut all = Vec::new();
    while let Some(entry) = entries.next()? {
        all.push(entry.to_vec());
    }
    Ok(all)
}

/// Rows within `bounds`.
fn cut_rows(cut: &[u32], bounds: std::ops::Range<u32>) -> std::ops::Range<u32> {
    let len = bounds.end - bounds.start + 1;
    let place = |number: u32| bounds.start + number % len;
    let (left, right) = (place(cut[0]), place(*cut.last().unwrap()));
    left.min(right)..left.max(right)
}

fn compare_run(segment: &Arc<Segment>, model: &Model, run: &Run, cuts: &[u32], judge: &mut Judge) {
    judge.same(segment.find_run(run.site, run.kind, &run.name), &Some(run.clone()), "find_run");
    judge.same(segment.find_run(run.site, run.kind, &format!("{}!", run.name)), &None, "find_run of what is not there");
    let of_kind = model.runs().into_iter().filter(|other| (other.site, other.kind) == (run.site, run.kind)).collect();
    judge.same(segment.runs_of(run.site, run.kind), &of_kind, "runs_of");

    let time_of = |row: u32| model.rows[row as usize].time;
    let mut times: Vec<i64> =
        cuts.iter().map(|cut| time_of(cut_rows(&[*cut], run.rows.start..run.rows.end - 1).start) + i64::from(cut % 3) - 1).collect();
    times.sort_unstable();
    let bound = |rows: std::ops::Range<u32>, time| rows.clone().find(|row| time_of(*row) >= time).unwrap_or(rows.end);
    let bounds: Vec<u32> = times.iter().map(|time| bound(run.rows.clone(), *time)).collect();
    judge.same(listed(|out| segment.lower_bounds(run.rows.clone(), times.iter().copied(), out)), &bounds, "lower_bounds");
    for (rows, time) in cuts.chunks(2).map(|cut| cut_rows(cut, run.rows.clone())).zip(&times) {
        judge.same(segment.lower_bound(rows.clone(), *time), &bound(rows.clone(), *time), "lower_bound");
    }

    let codes: BTreeSet<u32> = run.rows.clone().map(|row| model.session_code(&model.rows[row as usize])).collect();
    let codes: Vec<u32> = codes.into_iter().filter(|code| *code != NO_SESSION).collect();
    judge.same(segment.run_sessions(run).map(|sessions| sessions.iter().collect()), &codes, "run_sessions");

    let edges: Vec<u32> = bounds;
    let distinct: Vec<u64> = edges.windows(2).map(|edges| model.distinct(edges[0]..edges[1])).collect();
    let counts = |count: &dyn Fn(&mut [u64]) -> Result<(), Error>| {
        let mut out = vec![0; edges.len().saturating_sub(1)];
        count(&mut out).map(|()| out)
    };
    judge.same(counts(&|out| segment.distinct_sessions(run, &edges, &times, out)), &distinct, "distinct_sessions");

    let columns = model.rows[run.rows.start as usize].properties.len();
    judge.same(segment.property_keys(run), &(0..columns).map(|column| format!("k{column}")).collect(), "property_keys");
    for column in 0..columns {
        let values = model.values(run, column);
        let texts = values.iter().map(|value| value.as_bytes().to_vec()).collect();
        // What names a column may be damaged: then asking for it is an error, too.
        judge.same(segment.property_values(run, column), &texts, "property_values");
        judge.same(segment.read_property_values(run, column).and_then(all_entries), &texts, "read_property_values");
        for rows in cuts.chunks(2).map(|cut| cut_rows(cut, run.rows.clone())) {
            let codes = rows.clone().map(|row| code_in(&values, model.rows[row as usize].properties[column].as_ref())).collect();
            judge.same(listed(|out| segment.property_codes(run, column, rows.clone(), out)), &codes, "property_codes");
        }
    }
    for path in model.entries(0) {
        let rows: Vec<u32> = run.rows.clone().filter(|row| model.rows[*row as usize].fields[0].as_ref() == Some(&path)).collect();
        let is_posted = run.kind == Kind::Pageview && !rows.is_empty();
        let posting = segment.path_posting(run, &path);
        let found = posting.as_ref().ok().and_then(Option::clone);
        judge.same(posting.map(|posting| posting.map(|posting| posting.len())), &is_posted.then_some(rows.len() as u32), "path_posting");
        let Some(posting) = found else { continue };
        compare_posting(segment, model, &posting, &rows, (&edges, &times), judge);
    }
    judge.same(segment.path_posting(run, "/nowhere").map(|posting| posting.is_some()), &false, "path_posting of what is not there");
}

fn compare_posting(
    segment: &Arc<Segment>,
    model: &Model,
    posting: &Posting,
    rows: &[u32],
    (edges, times): (&[u32], &[i64]),
    judge: &mut Judge,
) {
    for edge in edges {
        assert_eq!(posting.rank(*edge) as usize, rows.partition_point(|row| row < edge), "rank");
    }
    for pair in edges.windows(2) {
        let expected: Vec<u32> = rows.iter().copied().filter(|row| (pair[0]..pair[1]).contains(row)).collect();
        assert_eq!(posting.rows(pair[0]..pair[1]).collect::<Vec<u32>>(), expected, "rows of a posting");
    }
    let distinct: Vec<u64> =
        edges.windows(2).map(|pair| model.distinct(rows.iter().copied().filter(|row| (pair[0]..pair[1]).contains(row)))).collect();
    let mut counts = vec![0; edges.len().saturating_sub(1)];
    let counted = posting.distinct_sessions(segment, edges, times, &mut counts).map(|()| counts);
    judge.same(counted, &distinct, "distinct_sessions of a posting");
}
