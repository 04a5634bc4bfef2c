#![allow(clippy::unwrap_used)]

use std::path::Path;

use format::fs::double::MemFs;
use format::sealed::SegmentHeader;
use format::{Level, PageHash, Record, SegmentId, SessionId, Source, TokenId, UnixMicros};

use super::*;
use crate::seal::survey::survey;
use crate::seal::{ColumnRule, Input, Rows, Target, seal};

/// Encoded records; their sequences are their numbers.
struct Records(Vec<Vec<u8>>);

impl Records {
    fn new(records: &[Record<'_>]) -> Records {
        let encode = |record: &Record<'_>| {
            let mut bytes = Vec::new();
            record.encode(&mut bytes).unwrap();
            bytes
        };
        Records(records.iter().map(encode).collect())
    }

    fn sum(&self) -> Sum {
        survey(&Rows { input: self, is_stopped: &|| false }).unwrap().sum
    }
}

impl Input for Records {
    fn rows(&self) -> u32 {
        self.0.len() as u32
    }

    fn sequence(&self, row: u32) -> Sequence {
        Sequence::new(row.into())
    }

    fn record<'b>(&'b self, row: u32, _: &'b mut Vec<u8>) -> Result<Record<'b>, Error> {
        Ok(Record::decode(&self.0[row as usize]).unwrap())
    }
}

fn at(micros: i64) -> UnixMicros {
    UnixMicros::new(micros).unwrap()
}

/// Two rows of one run, in which all differs that can.
fn rows() -> [Record<'static>; 2] {
    let one = Record {
        name: "signup",
        token: Some(TokenId::new([1; 16])),
        session: Some(SessionId::new([1; 16])),
        event_id: Some("one"),
        page: Some(PageHash::new(1)),
        host: Some("host 1"),
        path: Some("path 1"),
        query: Some("query 1"),
        referrer: Some("referrer 1"),
        user_agent: Some("agent 1"),
        language: Some("de"),
        viewport_width: Some(1),
        viewport_height: Some(2),
        screen_width: Some(3),
        screen_height: Some(4),
        utm_source: Some("source 1"),
        utm_medium: Some("medium 1"),
        utm_campaign: Some("campaign 1"),
        utm_term: Some("term 1"),
        utm_content: Some("content 1"),
        qr: Some([1; 16]),
        country: Some(*b"DE"),
        tracker_source: Some("tracker 1"),
        tracker_version: Some("1"),
        properties: r#"{"plan":"pro","n":1}"#,
        ..Record::new(Kind::Event, Source::Browser, SiteId::new([1; 16]), at(10), at(0))
    };
    let other = Record {
        token: None,
        session: None,
        event_id: None,
        page: None,
        host: None,
        path: Some("referrer 1"),
        query: None,
        referrer: Some("path 1"),
        user_agent: None,
        language: None,
        viewport_width: Some(4),
        viewport_height: None,
        screen_width: None,
        screen_height: None,
        utm_source: None,
        utm_medium: None,
        utm_campaign: None,
        utm_term: None,
        utm_content: None,
        qr: None,
        country: None,
        tracker_source: None,
        tracker_version: None,
        properties: r#"{"plan":"pro","n":2}"#,
        source: Source::Server,
        time: at(20),
        ..one.clone()
    };
    [one, other]
}

/// What may go wrong with a field: it goes over to the other row, or changes its place with that of the other row.
macro_rules! each_field {
    ($check:ident: $($field:ident),+) => {
        $({
            let [mut one, mut other] = rows();
            other.$field = one.$field;
            $check(stringify!($field), [one.clone(), other.clone()]);
            [one, other] = rows();
            std::mem::swap(&mut one.$field, &mut other.$field);
            $check(stringify!($field), [one, other]);
        })+
    };
}

#[test]
fn a_segment_is_that_of_its_rows_and_of_no_others() {
    for (min_rows, columns) in [(1, "with columns"), (100, "without columns")] {
        let fs = MemFs::new(1);
        let header = SegmentHeader { id: SegmentId::FIRST, salt: [1; 16], epoch: [2; 16], created: UnixMicros::EPOCH };
        let columns_rule = ColumnRule { min_rows, min_share: 100, max_of_site: 256 };
        let target =
            Target { fs: &fs, dir: Path::new("/"), header: &header, id_secret: [9; 16], columns: columns_rule, level: Level::Arrived };
        let segment = seal(target, &Records::new(&rows()), None, &|| false).unwrap().segment;
        let is_same = |records: &[Record<'_>]| match compare(&segment, &Records::new(records).sum(), &|| false) {
            Ok(()) => true,
            Err(Error::NotEqual { expected, found: 2, .. }) if expected == records.len() as u64 => false,
            Err(error) => panic!("{error}"),
        };
        assert!(is_same(&rows()));
        // The time of receipt is not compared.
        assert!(is_same(&rows().map(|row| Record { received: at(1), ..row })));
        let refused = |what: &str, rows: [Record<'_>; 2]| assert!(!is_same(&rows), "{what}, {columns}");
        each_field!(refused: token, session, event_id, page, host, path, query, referrer, user_agent, language, viewport_width, viewport_height);
        each_field!(refused: screen_width, screen_height, utm_source, utm_medium, utm_campaign, utm_term, utm_content, qr, country);
        each_field!(refused: tracker_source, tracker_version, properties, source, time);
        let [one, other] = rows();
        refused("kind", [Record { kind: Kind::Vital, ..one.clone() }, other.clone()]);
        refused("site", [Record { site: SiteId::new([2; 16]), ..one.clone() }, other.clone()]);
        refused("name", [Record { name: "signups", ..one.clone() }, other.clone()]);
        refused("path and referrer", [Record { path: one.referrer, referrer: one.path, ..one.clone() }, other.clone()]);
        refused("sequences", [other.clone(), one.clone()]);
        refused("twice the same", [one.clone(), one.clone()]);
        assert!(!is_same(std::slice::from_ref(&one)));
        assert!(!is_same(&[one.clone(), other.clone(), other]));
    }
}
