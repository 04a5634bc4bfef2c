//! Merging: rows of several segments come back as those of one, whatever is merged with what, and nothing that was left out stays.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use format::fs::double::{Fault, FaultKind, MemFs, Op};
use format::sealed::{Field, Provenance, SegmentHeader};
use format::{Level, Record, Segment, SegmentId, Sequence, SessionId, SiteId, UnixMicros};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use query::{Aged, ColumnRule, Compaction, Division, Error, Keep, LiveSegment, Sealed, SegmentRows, Snapshot, Target, left_out};

use crate::events::{Event, HOUR, Log, instant};
use crate::full_scan::{ask, column_rule, file, question};
use crate::model::Model;
use crate::sealing::{MINUTE, Rows, SITES, made};

const DIR: &str = "/";

fn header(id: u64) -> SegmentHeader {
    SegmentHeader { id: SegmentId::new(id), salt: [id as u8; 16], epoch: [7; 16], created: UnixMicros::EPOCH }
}

/// Merges into segments from the number `id` on.
fn merge_with(
    fs: &MemFs,
    id: u64,
    (inputs, division, levels): (&[Arc<Segment>], &Division, &[Level]),
    columns: ColumnRule,
    keep: &dyn Fn(SiteId) -> Keep,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Vec<Option<Sealed>>, Error> {
    let headers: Vec<SegmentHeader> = (id..).take(division.outputs()).map(header).collect();
    let target = |(number, header)| {
        let level = levels.get(number).copied().unwrap_or(Level::Arrived);
        Target { fs, dir: Path::new(DIR), header, id_secret: [9; 16], columns, level }
    };
    query::merge(&headers.iter().enumerate().map(target).collect::<Vec<_>>(), division, inputs, keep, is_stopped)
}

/// Merges, commits and opens again; by output.
fn merged(
    id: u64,
    inputs: &[Arc<Segment>],
    division: &Division,
    columns: ColumnRule,
    keep: &dyn Fn(SiteId) -> Keep,
) -> Vec<Option<Arc<Segment>>> {
    merged_as(id, (inputs, division, &[]), columns, keep)
}

/// The same, for outputs of some levels.
fn merged_as(
    id: u64,
    merge: (&[Arc<Segment>], &Division, &[Level]),
    columns: ColumnRule,
    keep: &dyn Fn(SiteId) -> Keep,
) -> Vec<Option<Arc<Segment>>> {
    let fs = MemFs::new(id);
    let outputs = merge_with(&fs, id, merge, columns, keep, &|| false).unwrap();
    let written: Vec<SegmentId> = outputs.iter().flatten().map(|sealed| sealed.segment.header().id).collect();
    assert_eq!(fs.files().len(), written.len());
    for Sealed { segment, .. } in outputs.iter().flatten() {
        let Provenance { log, segments, siblings, .. } = segment.provenance();
        let others: Vec<SegmentId> = written.iter().copied().filter(|id| *id != segment.header().id).collect();
        assert_eq!((log, siblings), (&None, &others), "each names those that became live with it");
        assert!(segments.iter().eq(merge.0.iter().map(|input| &input.header().id)));
    }
    let open = |Sealed { finished, .. }: Sealed| {
        finished.commit().unwrap();
        Segment::open(&fs, finished.path()).unwrap()
    };
    outputs.into_iter().map(|output| output.map(open)).collect()
}

fn seal(id: u64, rows: &Rows, columns: ColumnRule) -> Arc<Segment> {
    let fs = MemFs::new(id);
    let target = Target { fs: &fs, dir: Path::new(DIR), header: &header(id), id_secret: [9; 16], columns, level: Level::Arrived };
    let Sealed { finished, .. } = query::seal(target, rows, None, &|| false).unwrap();
    finished.commit().unwrap();
    Segment::open(&fs, finished.path()).unwrap()
}

/// Encoded records by sequence.
type Stored = BTreeMap<Sequence, Vec<u8>>;

/// The rows of a segment are those of `stored`, in order, and it has nothing that they do not have.
fn check(segment: &Segment, stored: &Stored) -> Result<(), TestCaseError> {
    let mut expected: Vec<(Sequence, Record<'_>)> =
        stored.iter().map(|(sequence, bytes)| (*sequence, Record::decode(bytes).unwrap())).collect();
    expected.sort_by(|(one_at, one), (other_at, other)| {
        (one.site, one.kind, one.name, one.time, one_at).cmp(&(other.site, other.kind, other.name, other.time, other_at))
    });
    let minute = |instant: UnixMicros| instant.micros().div_euclid(MINUTE);
    let mut rows = SegmentRows::new(segment).unwrap();
    for (sequence, record) in &expected {
        let (found, row) = rows.next().unwrap().unwrap();
        prop_assert_eq!(found, *sequence);
        prop_assert_eq!(minute(row.received), minute(record.received));
        prop_assert_eq!(&row, &Record { received: row.received, ..record.clone() });
    }
    prop_assert!(rows.next().unwrap().is_none());
    check_dictionaries(segment, &expected)
}

/// Sessions are in the order of their first rows, and every entry is one of a row.
fn check_dictionaries(segment: &Segment, expected: &[(Sequence, Record<'_>)]) -> Result<(), TestCaseError> {
    let mut first: BTreeMap<SessionId, UnixMicros> = BTreeMap::new();
    for (_, record) in expected {
        if let Some(session) = record.session {
            let time = first.entry(session).or_insert(record.time);
            *time = record.time.min(*time);
        }
    }
    let mut sessions: Vec<(UnixMicros, SessionId)> = first.into_iter().map(|(session, time)| (time, session)).collect();
    sessions.sort();
    let found: Vec<SessionId> = (0..segment.sessions()).map(|code| segment.session_id(code).unwrap()).collect();
    prop_assert_eq!(found, sessions.into_iter().map(|(_, session)| session).collect::<Vec<_>>());
    for field in Field::ALL {
        let (mut codes, mut used) = (Vec::new(), vec![false; segment.entries(field) as usize + 1]);
        segment.codes(field, 0..segment.rows(), &mut codes).unwrap();
        codes.iter().for_each(|code| used[*code as usize] = true);
        prop_assert!(used[1..].iter().all(|is_used| *is_used), "{:?}", field);
    }
    for run in segment.runs().unwrap() {
        for column in 0..segment.property_keys(&run).unwrap().len() {
            let mut codes = Vec::new();
            let mut used = vec![false; segment.property_entries(&run, column).unwrap() as usize + 1];
            segment.property_codes(&run, column, run.rows.clone(), &mut codes).unwrap();
            codes.iter().for_each(|code| used[*code as usize] = true);
            prop_assert!(used[1..].iter().all(|is_used| *is_used));
        }
    }
    Ok(())
}

/// The columns are those that a seal of the same rows has, and the shapes too.
fn check_columns(segment: &Segment, stored: &Stored, columns: ColumnRule) -> Result<(), TestCaseError> {
    let sealed = seal(99, &Rows(stored.iter().map(|(sequence, bytes)| (*sequence, bytes.clone())).collect()), columns);
    let runs = segment.runs().unwrap();
    prop_assert_eq!(&runs, &sealed.runs().unwrap());
    for run in &runs {
        prop_assert_eq!(segment.property_keys(run).unwrap(), sealed.property_keys(run).unwrap());
        for column in 0..segment.property_keys(run).unwrap().len() {
            prop_assert_eq!(segment.property_values(run, column).unwrap(), sealed.property_values(run, column).unwrap());
        }
    }
    for field in Field::ALL {
        prop_assert_eq!(segment.entries(field), sealed.entries(field));
        let codes = |segment: &Segment| {
            let mut codes = Vec::new();
            segment.codes(field, 0..segment.rows(), &mut codes).unwrap();
            codes
        };
        prop_assert_eq!(codes(segment), codes(&sealed), "{:?}", field);
    }
    Ok(())
}

/// An instant: any, the ends of time, or (by a small number) that of a row, or the one behind it.
#[derive(Clone, Copy, Debug)]
enum When {
    At(i64),
    OfRow(usize),
    BehindRow(usize),
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        2 => (0..MINUTE).prop_map(When::At),
        1 => (-1_000 * MINUTE..1_000 * MINUTE).prop_map(When::At),
        1 => select(vec![UnixMicros::MIN.micros(), UnixMicros::MAX.micros(), -1]).prop_map(When::At),
        3 => (0..300usize).prop_map(When::OfRow),
        1 => (0..300usize).prop_map(When::BehindRow),
    ]
}

impl When {
    /// The instant, among rows that have `times`.
    fn instant(self, times: &[UnixMicros]) -> UnixMicros {
        let of_row = |number: usize| times.get(number % times.len().max(1)).copied().unwrap_or(UnixMicros::EPOCH);
        match self {
            When::At(micros) => instant(micros),
            When::OfRow(number) => of_row(number),
            When::BehindRow(number) => UnixMicros::new(of_row(number).micros() + 1).unwrap_or(UnixMicros::MAX),
        }
    }
}

/// What stays of a site: all, nothing, or what is at an instant and later.
fn keep() -> impl Strategy<Value = Result<Keep, When>> {
    prop_oneof![3 => Just(Ok(Keep::All)), 2 => when().prop_map(Err), 1 => Just(Ok(Keep::Nothing))]
}

/// Which live segments are merged (by small numbers), the columns, what stays of each site, and the first output and cuts of others.
type Step = (Vec<usize>, ColumnRule, [Result<Keep, When>; 3], (usize, Vec<(When, usize)>));

fn step() -> impl Strategy<Value = Step> {
    let keeps = prop_oneof![2 => Just([Ok(Keep::All); 3]), 1 => [keep(), keep(), keep()]];
    let division = prop_oneof![2 => Just((0, Vec::new())), 3 => (0..3usize, vec((when(), 0..3usize), 0..5))];
    (vec(0..8usize, 1..5), column_rule(), keeps, division)
}

/// Cuts that are the same instant count once.
fn divide((first, cuts): &(usize, Vec<(When, usize)>), times: &[UnixMicros]) -> Division {
    let cuts: BTreeMap<UnixMicros, usize> = cuts.iter().map(|(when, output)| (when.instant(times), *output)).collect();
    Division::new(*first, &cuts.into_iter().collect::<Vec<_>>())
}

/// Sites are numbered as they are in the rows.
fn keep_of(keeps: [Keep; 3]) -> impl Fn(SiteId) -> Keep {
    move |site| keeps[SITES.iter().position(|known| *known == site).unwrap()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn rows_of_a_merge_are_the_rows_of_its_inputs(
        logs in vec((vec(made(), 0..60), column_rule(), -MINUTE..3 * MINUTE), 1..6),
        steps in vec(step(), 1..5),
    ) {
        let mut live: Vec<(Arc<Segment>, Stored)> = Vec::new();
        let mut sequence = 5;
        for (id, (made, columns, received)) in (1..).zip(&logs) {
            let rows = Rows::from_made(made, &mut sequence, *received);
            live.push((seal(id, &rows, *columns), rows.0.into_iter().collect()));
        }
        for (id, (numbers, columns, keeps, cuts)) in (1..).zip(steps) {
            let (mut inputs, mut stored) = (Vec::new(), Stored::new());
            for number in numbers {
                if !live.is_empty() {
                    let (segment, rows) = live.swap_remove(number % live.len());
                    inputs.push(segment);
                    stored.extend(rows);
                }
            }
            let times: Vec<UnixMicros> = stored.values().map(|bytes| Record::decode(bytes).unwrap().time).collect();
            let keep = keep_of(keeps.map(|keep| keep.unwrap_or_else(|when| Keep::Since(when.instant(&times)))));
            let division = divide(&cuts, &times);
            let stays = |bytes: &[u8]| {
                let record = Record::decode(bytes).unwrap();
                match keep(record.site) {
                    Keep::All => true,
                    Keep::Since(cutoff) => record.time >= cutoff,
                    Keep::Nothing => false,
                }
            };
            let mut out: Vec<UnixMicros> =
                stored.values().filter(|bytes| !stays(bytes)).map(|bytes| Record::decode(bytes).unwrap().time).collect();
            out.sort_unstable();
            let told: Vec<Aged> = inputs.iter().map(|input| left_out(input, &keep).unwrap()).collect();
            prop_assert_eq!(told.iter().map(|aged| aged.rows).sum::<u64>(), out.len() as u64);
            prop_assert_eq!(told.iter().filter_map(|aged| aged.times).map(|(first, _)| first).min(), out.first().copied());
            prop_assert_eq!(told.iter().filter_map(|aged| aged.times).map(|(_, last)| last).max(), out.last().copied());
            stored.retain(|_, bytes| stays(bytes));
            let ids: Vec<SegmentId> = inputs.iter().map(|input| input.header().id).collect();
            let of_inputs = || inputs.iter().map(|input| input.provenance().sequences).filter(|(first, end)| first < end);
            let bounds = (of_inputs().map(|(first, _)| first).min(), of_inputs().map(|(_, end)| end).max());
            for (output, segment) in merged(id * 10, &inputs, &division, columns, &keep).into_iter().enumerate() {
                let is_here = |bytes: &[u8]| division.output_of(Record::decode(bytes).unwrap().time) == output;
                let stored: Stored = stored.iter().filter(|(_, bytes)| is_here(bytes)).map(|(at, bytes)| (*at, bytes.clone())).collect();
                prop_assert_eq!(segment.is_none(), stored.is_empty());
                if let Some(segment) = segment {
                    check(&segment, &stored)?;
                    check_columns(&segment, &stored, columns)?;
                    prop_assert_eq!(&segment.provenance().segments, &ids);
                    prop_assert_eq!(Some(segment.provenance().sequences), bounds.0.zip(bounds.1));
                    live.push((segment, stored));
                }
            }
        }
    }

    #[test]
    fn answers_over_merged_segments_equal_a_full_scan(
        files in vec(file(), 1..6),
        groups in vec((vec(0..8usize, 1..4), column_rule(), vec(-2i64..80, 0..3)), 1..4),
        questions in vec(question(), 8),
    ) {
        let mut model = Model { events: Vec::new() };
        let (mut indexes, mut segments) = (Vec::new(), Vec::new());
        for (id, (events, sealed)) in (1..).zip(&files) {
            let mut log = Log::new(id, model.events.len() as u64 + 1);
            log.append(events);
            log.publish();
            model.events.extend(events.iter().cloned());
            match sealed {
                Some(columns) => segments.push(log.seal(*columns)),
                None => indexes.push(log.index),
            }
        }
        for (id, (numbers, columns, mut cuts)) in (1..).zip(groups) {
            let mut inputs = Vec::new();
            for number in numbers {
                if !segments.is_empty() {
                    inputs.push(segments.swap_remove(number % segments.len()));
                }
            }
            if !inputs.is_empty() {
                cuts.sort_unstable();
                cuts.dedup();
                let cuts: Vec<(UnixMicros, usize)> = cuts.iter().zip(1..).map(|(hour, output)| (instant(hour * HOUR), output)).collect();
                segments.extend(merged(id * 10, &inputs, &Division::new(0, &cuts), columns, &|_| Keep::All).into_iter().flatten());
            }
        }
        let snapshot = Snapshot::new(&indexes, &segments);
        prop_assert_eq!(snapshot.rows(), model.events.len() as u64);
        for question in &questions {
            ask(&snapshot, &model, question)?;
        }
    }
}

/// What compaction is told of a segment with these rows.
fn check_described(segment: &Segment, stored: &Stored) -> Result<(), TestCaseError> {
    let mut times: Vec<UnixMicros> = stored.values().map(|bytes| Record::decode(bytes).unwrap().time).collect();
    times.sort_unstable();
    let described = LiveSegment::read(segment).unwrap().unwrap();
    let level = segment.provenance().level;
    prop_assert_eq!((described.id, described.level, described.rows), (segment.header().id, level, times.len() as u64));
    prop_assert_eq!(described.times, (times[0], times[times.len() - 1]));
    // So few rows are all looked at.
    times.truncate(256);
    prop_assert_eq!(described.sample, times);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// The plan of compaction is done with segments until it has nothing left to do.
    #[test]
    fn compaction_keeps_rows_and_settles_them_apart(logs in vec(vec(made(), 1..40), 1..16), settled_rows in 10..100u64) {
        let measures = Compaction { settled_rows, gather: 4, slack: 2 };
        let near = instant(-100 * MINUTE)..instant(100 * MINUTE);
        let (mut live, mut next, mut sequence): (Vec<(Arc<Segment>, Stored)>, _, _) = (Vec::new(), 1, 5);
        for (made, left) in logs.iter().zip((0..logs.len()).rev()) {
            let rows = Rows::from_made(made, &mut sequence, 0);
            live.push((seal(next, &rows, ColumnRule::default()), rows.0.into_iter().collect()));
            next += 1;
            for (segment, stored) in &live {
                check_described(segment, stored)?;
            }
            let read = |(segment, _): &(Arc<Segment>, Stored)| LiveSegment::read(segment).unwrap().unwrap();
            while let Some(merge) = measures.next(&live.iter().map(read).collect::<Vec<_>>(), near.clone(), left == 0) {
                let (mut inputs, mut stored) = (Vec::new(), Stored::new());
                for (segment, rows) in live.extract_if(.., |(segment, _)| merge.inputs.contains(&segment.header().id)) {
                    inputs.push(segment);
                    stored.extend(rows);
                }
                let outputs = merged_as(next, (&inputs, &merge.division, &merge.levels), ColumnRule::default(), &|_| Keep::All);
                next += outputs.len() as u64;
                for ((output, segment), level) in outputs.into_iter().enumerate().zip(merge.levels) {
                    let is_here = |bytes: &[u8]| merge.division.output_of(Record::decode(bytes).unwrap().time) == output;
                    let stored: Stored = stored.iter().filter(|(_, bytes)| is_here(bytes)).map(|(at, bytes)| (*at, bytes.clone())).collect();
                    if let Some(segment) = segment {
                        check(&segment, &stored)?;
                        prop_assert_eq!(segment.provenance().level, level);
                        live.push((segment, stored));
                    }
                }
            }
        }
        prop_assert_eq!(live.iter().map(|(_, stored)| stored.len()).sum::<usize>(), logs.iter().map(Vec::len).sum::<usize>());
        let settled = live.iter().filter(|(segment, _)| segment.provenance().level == Level::Settled);
        let rows = settled.map(|(_, stored)| stored.len() as u64).sum();
        prop_assert!(live.len() <= measures.live_max(rows), "{} segments for {rows} rows", live.len());
    }
}

/// Two segments with all there is to be merged: sessions of both, columns that differ, ids, cut rows; and their division in two.
fn two_segments() -> ([Arc<Segment>; 2], Division) {
    let plan = |value| vec![("plan", value, None), ("seats", "5", None)];
    let event = |n: i64| Event {
        event_id: Some(format!("id-{n}")),
        properties: plan(["\"a\"", "\"b\""][n as usize % 2]),
        ..Event::new("signup", Some((n % 7) as u8), n * 1_000)
    };
    let segments = [(1, 1..60, 1), (2, 30..90, 100)].map(|(id, times, min_rows)| {
        let mut log = Log::new(id, id * 1_000);
        log.append(&times.map(event).collect::<Vec<Event>>());
        log.publish();
        log.seal(ColumnRule { min_rows, ..ColumnRule::default() })
    });
    (segments, Division::new(0, &[(instant(20_000), 1), (instant(50_000), 0)]))
}

#[test]
fn a_call_that_fails_leaves_no_segment() {
    let (inputs, division) = two_segments();
    let merge = |fs: &MemFs| merge_with(fs, 5, (&inputs, &division, &[]), ColumnRule::default(), &|_| Keep::All, &|| false);
    let whole = MemFs::new(1);
    merge(&whole).unwrap();
    let mut failed = 0;
    for op in [Op::Write, Op::SyncData] {
        assert!(whole.calls(Some(op)) > 0);
        for (nth, kind) in (0..whole.calls(Some(op))).flat_map(|nth| [(nth, FaultKind::Io), (nth, FaultKind::Full)]) {
            let fs = MemFs::new(1);
            fs.fail(Fault { op: Some(op), nth, forever: false, kind });
            let error = merge(&fs).unwrap_err();
            fs.heal();
            assert!(matches!(error, Error::Record(_)), "{error}");
            assert!(fs.files().is_empty(), "{op:?} {nth}");
            failed += 1;
        }
    }
    for nth in 0..whole.calls(None) {
        let fs = MemFs::new(1);
        fs.fail(Fault { op: None, nth, forever: false, kind: FaultKind::Io });
        let merged = merge(&fs);
        fs.heal();
        assert_eq!(fs.files().len(), if merged.is_ok() { 2 } else { 0 }, "call {nth}");
        failed += usize::from(merged.is_err());
    }
    assert!(failed > 4);
}

#[test]
fn merging_stops_when_it_is_told_to() {
    let (inputs, division) = two_segments();
    let looks = Cell::new(0);
    let count = || {
        looks.set(looks.get() + 1);
        false
    };
    merge_with(&MemFs::new(1), 5, (&inputs, &division, &[]), ColumnRule::default(), &|_| Keep::All, &count).unwrap();
    // Inputs, numbering, surveys, shapes, dictionaries, runs, rows, reading back: each of them looks.
    assert!(looks.get() > 60, "{}", looks.get());
    for stop_at in 0..looks.replace(0) {
        let fs = MemFs::new(1);
        looks.set(0);
        let is_stopped = || {
            looks.set(looks.get() + 1);
            looks.get() > stop_at
        };
        let merged = merge_with(&fs, 5, (&inputs, &division, &[]), ColumnRule::default(), &|_| Keep::All, &is_stopped);
        assert!(matches!(merged, Err(Error::Stopped)), "{stop_at}");
        assert!(fs.files().is_empty());
    }
}

/// Damage is named by file, whichever block it is in, and nothing is written in its place: what cannot be read is not merged away.
#[test]
fn a_damaged_input_is_named_and_leaves_no_segment() {
    let (inputs, division) = two_segments();
    let sealed = MemFs::new(1);
    let rows = Rows((5..).zip(rows_of(&inputs[0])).map(|(sequence, bytes)| (Sequence::new(sequence), bytes)).collect());
    let target = Target {
        fs: &sealed,
        dir: Path::new(DIR),
        header: &header(3),
        id_secret: [9; 16],
        columns: ColumnRule::default(),
        level: Level::Arrived,
    };
    let Sealed { finished, .. } = query::seal(target, &rows, None, &|| false).unwrap();
    finished.commit().unwrap();
    let bytes = sealed.live(finished.path()).unwrap();
    let (mut refused, mut merged) = (0, 0);
    for at in (0..bytes.len()).step_by(7) {
        let damaged = MemFs::new(2);
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        damaged.install(finished.path(), &bytes);
        let Ok(segment) = Segment::open(&damaged, finished.path()) else { continue };
        let fs = MemFs::new(3);
        let inputs = [Arc::clone(&inputs[1]), segment];
        match merge_with(&fs, 5, (&inputs, &division, &[]), ColumnRule::default(), &|_| Keep::All, &|| false) {
            Err(Error::Segment { segment, source: format::Error::Corrupt { path, .. } }) => {
                assert_eq!((segment, path.as_path()), (SegmentId::new(3), finished.path()), "byte {at}");
                assert!(fs.files().is_empty(), "byte {at}");
                refused += 1;
            }
            // What a merge does not read, since it is made anew: links, postings, bitmaps, the index of ids.
            Ok(outputs) => {
                let rows: u32 = outputs.iter().flatten().map(|output| output.segment.rows()).sum();
                assert_eq!(rows, inputs[0].rows() + inputs[1].rows());
                merged += 1;
            }
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(refused > 50 && merged > 20, "{refused} refused, {merged} merged");
}

/// The records of a segment, encoded.
fn rows_of(segment: &Segment) -> Vec<Vec<u8>> {
    let (mut rows, mut all) = (SegmentRows::new(segment).unwrap(), Vec::new());
    while let Some((_, record)) = rows.next().unwrap() {
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        all.push(bytes);
    }
    all
}
