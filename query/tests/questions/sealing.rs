//! Sealing: rows come back as they were, and what goes wrong on the way is an error and leaves no file.

use std::cell::Cell;
use std::path::Path;

use format::fs::double::{Fault, FaultKind, MemFs};
use format::sealed::SegmentHeader;
use format::{Kind, Level, PageHash, Record, SegmentId, Sequence, SessionId, SiteId, Source, TokenId, UnixMicros};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use query::{ColumnRule, Error, Input, Sealed, SegmentRows, Target};

use crate::events::instant;
use crate::full_scan::column_rule;

pub(crate) const MINUTE: i64 = 60_000_000;

/// The sites of rows.
pub(crate) const SITES: [SiteId; 3] = [SiteId::new([0; 16]), SiteId::new([1; 16]), SiteId::new([255; 16])];

/// Encoded records and their sequences.
pub(crate) struct Rows(pub(crate) Vec<(Sequence, Vec<u8>)>);

impl Input for Rows {
    fn rows(&self) -> u32 {
        self.0.len() as u32
    }

    fn sequence(&self, row: u32) -> Sequence {
        self.0[row as usize].0
    }

    fn record<'b>(&'b self, row: u32, _: &'b mut Vec<u8>) -> Result<Record<'b>, Error> {
        Ok(Record::decode(&self.0[row as usize].1).unwrap())
    }
}

fn header() -> SegmentHeader {
    SegmentHeader { id: SegmentId::FIRST, salt: [1; 16], epoch: [7; 16], created: UnixMicros::EPOCH }
}

fn seal(fs: &MemFs, input: &impl Input, columns: ColumnRule) -> Result<Sealed, Error> {
    query::seal(
        Target { fs, dir: Path::new("/"), header: &header(), id_secret: [9; 16], columns, level: Level::Arrived },
        input,
        None,
        &|| false,
    )
}

/// Bytes from which a record is made: which fields it has, and small numbers that pick their values.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    has: u32,
    pick: [u8; 8],
    time: i64,
    received: i64,
    properties: String,
    gap: u64,
}

pub(crate) fn made() -> impl Strategy<Value = Made> {
    let json = select(vec!["1", "1.0", "\"a\"", "\"\\u0061\"", "null", "[1, 2]", "{\"a\" : 1}", "\"\"", "\"\u{7f}ä\""]);
    let entry = (select(vec!["a", "b", "\\u0061", "ä", ""]), json).prop_map(|(key, value)| format!("\"{key}\": {value}"));
    let object = vec(entry, 0..5).prop_map(|entries| format!("{{{} }}", entries.join(",")));
    let properties =
        prop_oneof![8 => object, 2 => Just(String::new()), 1 => select(vec!["[1]", "{", "\u{0}", "{}x"]).prop_map(str::to_owned)];
    let time = prop_oneof![4 => 0..MINUTE, 1 => select(vec![UnixMicros::MIN.micros(), UnixMicros::MAX.micros(), -1]), 2 => -1_000 * MINUTE..1_000 * MINUTE];
    let gap = prop_oneof![5 => Just(1u64), 1 => 1u64..1_000];
    (any::<u32>(), any::<[u8; 8]>(), time, 0..MINUTE / 2, properties, gap).prop_map(|(has, pick, time, received, properties, gap)| Made {
        has,
        pick,
        time,
        received,
        properties,
        gap,
    })
}

impl Made {
    /// The record; `TEXTS` has what its texts are picked from.
    fn record(&self, received: i64) -> Record<'_> {
        const TEXTS: [&str; 6] = ["", "/", "/a", "/ä\u{10ffff}", "\u{0}", "a longer text that others do not begin with"];
        let pick = |at: usize, of: usize| usize::from(self.pick[at]) % of;
        let text = |bit: u32, at: usize| (self.has >> bit & 1 == 1).then(|| TEXTS[(pick(at, 6) + bit as usize) % 6]);
        let size = |bit: u32| (self.has >> bit & 1 == 1).then(|| u32::from(self.pick[3]) << (bit % 24));
        let kind = [Kind::Event, Kind::Pageview, Kind::Vital][pick(0, 3)];
        let source = [Source::Browser, Source::Server, Source::Bulk, Source::Import][pick(1, 4)];
        Record {
            name: TEXTS[pick(2, 6)],
            token: (self.has & 1 == 1).then(|| TokenId::new([self.pick[3] & 3; 16])),
            session: (self.has >> 1 & 1 == 1).then(|| SessionId::new([self.pick[4] & 31; 16])),
            event_id: text(2, 5).filter(|id| !id.is_empty()),
            page: (self.has >> 3 & 1 == 1).then(|| PageHash::new(u64::from(self.pick[5]) << 56 | 5)),
            host: text(4, 6),
            path: text(5, 7),
            query: text(6, 0),
            referrer: text(7, 1),
            user_agent: text(8, 2),
            language: text(9, 3),
            viewport_width: size(10),
            viewport_height: size(11),
            screen_width: size(12),
            screen_height: size(13),
            utm_source: text(14, 4),
            utm_medium: text(15, 5),
            utm_campaign: text(16, 6),
            utm_term: text(17, 7),
            utm_content: text(18, 0),
            qr: (self.has >> 19 & 1 == 1).then_some([self.pick[6]; 16]),
            country: (self.has >> 20 & 1 == 1).then_some([b'D', self.pick[7]]),
            tracker_source: text(21, 1),
            tracker_version: text(22, 2),
            properties: &self.properties,
            ..Record::new(kind, source, SITES[pick(4, 3)], instant(self.time), instant(received))
        }
    }
}

impl Rows {
    /// Rows behind `sequence`, which goes on; the first are received at `received`.
    pub(crate) fn from_made(made: &[Made], sequence: &mut u64, mut received: i64) -> Rows {
        let encode = |made: &Made| {
            *sequence += made.gap;
            received += made.received;
            let mut bytes = Vec::new();
            made.record(received).encode(&mut bytes).unwrap();
            (Sequence::new(*sequence), bytes)
        };
        Rows(made.iter().map(encode).collect())
    }
}

fn rows_of(made: &[Made]) -> Rows {
    Rows::from_made(made, &mut 5, 0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn records_come_back_in_the_order_of_the_segment(made in vec(made(), 0..120), columns in column_rule()) {
        let rows = rows_of(&made);
        let Sealed { finished, segment } = seal(&MemFs::new(1), &rows, columns).unwrap();
        finished.commit().unwrap();
        let mut expected: Vec<(Sequence, Record<'_>)> =
            rows.0.iter().map(|(sequence, bytes)| (*sequence, Record::decode(bytes).unwrap())).collect();
        expected.sort_by(|(one_at, one), (other_at, other)| {
            (one.site, one.kind, one.name, one.time, one_at).cmp(&(other.site, other.kind, other.name, other.time, other_at))
        });
        let mut found = SegmentRows::new(&segment).unwrap();
        for (sequence, record) in expected {
            let (found_sequence, row) = found.next().unwrap().unwrap();
            prop_assert_eq!(found_sequence, sequence);
            let minute = |instant: UnixMicros| instant.micros().div_euclid(MINUTE);
            prop_assert_eq!(minute(row.received), minute(record.received));
            prop_assert_eq!(&row, &Record { received: row.received, ..record });
        }
        prop_assert!(found.next().unwrap().is_none());
        let ends = rows.0.first().zip(rows.0.last()).map(|(first, last)| (first.0, last.0.after(1)));
        prop_assert_eq!(segment.provenance().sequences, ends.unwrap_or((Sequence::FIRST, Sequence::FIRST)));
    }

    #[test]
    fn a_call_that_fails_leaves_no_segment(made in vec(made(), 1..30), nth in 0..60u64, full in any::<bool>()) {
        let fs = MemFs::new(1);
        let kind = if full { FaultKind::Full } else { FaultKind::Io };
        fs.fail(Fault { op: None, nth, forever: false, kind });
        let sealed = seal(&fs, &rows_of(&made), ColumnRule::default());
        fs.heal();
        match sealed {
            Ok(_) => prop_assert_eq!(fs.files().len(), 1),
            Err(Error::Record(_)) => prop_assert!(fs.files().is_empty()),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

fn some_rows() -> Rows {
    let mut bytes = Vec::new();
    Record { event_id: Some("one"), ..Record::new(Kind::Event, Source::Server, SiteId::new([1; 16]), instant(0), instant(0)) }
        .encode(&mut bytes)
        .unwrap();
    Rows((1..10).map(|n| (Sequence::new(n), bytes.clone())).collect())
}

/// Rows of which the last has another sequence from the second time on.
struct Changing(Rows, Cell<u32>);

impl Input for Changing {
    fn rows(&self) -> u32 {
        self.0.rows()
    }

    fn sequence(&self, row: u32) -> Sequence {
        let is_last = row + 1 == self.rows();
        self.1.set(self.1.get() + u32::from(is_last));
        self.0.sequence(row).after(u64::from(is_last && self.1.get() > 1))
    }

    fn record<'b>(&'b self, row: u32, scratch: &'b mut Vec<u8>) -> Result<Record<'b>, Error> {
        self.0.record(row, scratch)
    }
}

#[test]
fn a_segment_that_differs_from_its_log_is_refused() {
    let fs = MemFs::new(1);
    let changing = Changing(some_rows(), Cell::new(0));
    let error = seal(&fs, &changing, ColumnRule::default()).unwrap_err();
    assert!(matches!(error, Error::NotEqual { expected: 9, found: 9, .. }), "{error}");
    assert!(fs.files().is_empty());
}

#[test]
fn sealing_stops_when_it_is_told_to() {
    let fs = MemFs::new(1);
    let header = header();
    let target =
        Target { fs: &fs, dir: Path::new("/"), header: &header, id_secret: [9; 16], columns: ColumnRule::default(), level: Level::Arrived };
    for stop_at in 0..3 {
        let looks = Cell::new(0);
        let is_stopped = || {
            looks.set(looks.get() + 1);
            looks.get() > stop_at
        };
        let sealed = query::seal(target, &some_rows(), None, &is_stopped);
        assert!(matches!(sealed, Err(Error::Stopped)), "{stop_at}");
        assert!(fs.files().is_empty());
    }
}
