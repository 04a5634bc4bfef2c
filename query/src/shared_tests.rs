#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use format::fs::double::MemFs;
use format::sealed::SegmentHeader;
use format::{Kind, Level, Record, SegmentId, Sequence, SiteId, Source, UnixMicros};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::seal::{ColumnRule, Input, Target, seal};

/// The sessions of rows; a row's place is its time.
struct Sessions(Vec<Option<u8>>);

impl Input for Sessions {
    fn rows(&self) -> u32 {
        self.0.len() as u32
    }

    fn sequence(&self, row: u32) -> Sequence {
        Sequence::new(row.into())
    }

    fn record<'b>(&'b self, row: u32, _: &'b mut Vec<u8>) -> Result<Record<'b>, Error> {
        let time = UnixMicros::new(row.into()).unwrap();
        let mut record = Record::new(Kind::Event, Source::Import, SiteId::new([1; 16]), time, time);
        record.name = "signup";
        record.session = self.0[row as usize].map(id);
        Ok(record)
    }
}

fn id(session: u8) -> SessionId {
    SessionId::new([session; 16])
}

fn segment(id: u64, sessions: &[Option<u8>]) -> Arc<Segment> {
    let header = SegmentHeader { id: SegmentId::new(id), salt: [7; 16], epoch: [1; 16], created: UnixMicros::EPOCH };
    let (fs, dir, columns) = (MemFs::new(1), Path::new("/"), ColumnRule::default());
    let target = Target { fs: &fs, dir, header: &header, id_secret: [9; 16], columns, level: Level::Settled };
    seal(target, &Sessions(sessions.to_vec()), None, &|| false).unwrap().segment
}

proptest! {
    #[test]
    fn shared_sessions_are_those_that_two_segments_have_unless_they_have_too_many_rows(
        rows in vec(vec(prop::option::of(0u8..40), 0..30), 0..5),
        most_rows in 0usize..60,
    ) {
        let segments: Vec<Arc<Segment>> = (1..).zip(&rows).map(|(id, rows)| segment(id, rows)).collect();
        let mut segments_of: BTreeMap<u8, BTreeSet<usize>> = BTreeMap::new();
        for (number, rows) in rows.iter().enumerate() {
            for session in rows.iter().flatten() {
                segments_of.entry(*session).or_default().insert(number);
            }
        }
        let is_shared = |session: &u8| segments_of[session].len() > 1;
        let expected = rows.iter().flatten().flatten().filter(|session| is_shared(session)).count();
        let found = SharedSessions::find_within(&segments, &|| false, most_rows).unwrap();
        prop_assert_eq!(found.is_too_much, expected > most_rows);
        prop_assert!(found.is_of(&segments));
        let mut ids: BTreeMap<u32, SessionId> = BTreeMap::new();
        for (segment, sessions) in segments.iter().zip(&rows) {
            let Some(shared) = found.of(segment) else {
                prop_assert!(found.is_too_much);
                continue;
            };
            let codes = 0..segment.sessions();
            for (code, number) in codes.filter_map(|code| Some((code, shared.number(code)?))) {
                let id = segment.session_id(code).unwrap();
                prop_assert_eq!(*ids.entry(number).or_insert(id), id, "a number is one session");
            }
            let shared_rows: Vec<(u32, SessionId)> = shared.rows(0..segment.rows()).iter().map(|(row, number)| (*row, ids[number])).collect();
            let of_shared = (0..).zip(sessions).filter_map(|(row, session)| Some((row, id(session.filter(is_shared)?))));
            prop_assert_eq!(shared_rows, of_shared.collect::<Vec<_>>());
        }
        prop_assert_eq!(ids.values().collect::<BTreeSet<_>>().len(), ids.len(), "a session has one number");
    }
}

#[test]
fn it_says_of_which_segments_it_was_found_and_keeps_none_of_them() {
    let [one, other, third] = [1, 2, 3].map(|number| segment(number, &[Some(1)]));
    let found = SharedSessions::find(&[Arc::clone(&one), Arc::clone(&other)], &|| false).unwrap();
    assert!(found.is_of(&[Arc::clone(&other), Arc::clone(&one)]));
    for others in [&[Arc::clone(&one)][..], &[Arc::clone(&one), Arc::clone(&third)], &[one.clone(), other.clone(), third.clone()]] {
        assert!(!found.is_of(others));
    }
    assert!(found.of(&third).is_none(), "it was not looked through");
    assert_eq!(Arc::strong_count(&one), 1);
}

#[test]
fn finding_stops_when_it_is_told_to() {
    let segments = [1, 2].map(|number| segment(number, &[Some(1)]));
    assert!(matches!(SharedSessions::find(&segments, &|| true), Err(Error::Stopped)));
}
