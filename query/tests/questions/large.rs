//! Segments that lie over each other in time and share sessions, with runs and lists of ids of several blocks: every way to count them
//! equals a plain count of their rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use format::fs::double::MemFs;
use format::sealed::SegmentHeader;
use format::{Kind, Level, Record, Segment, SegmentId, Sequence, SessionId, Source, UnixMicros};
use query::{Buckets, ColumnRule, Condition, Dimension, Point, PropertyKey, SharedSessions, Snapshot, Span, Target, Term, Unit, Zone};

use crate::events::{HOUR, instant, site};
use crate::examples::ALL;
use crate::sealing::Rows;

/// Rows of each segment, half of them pageviews: runs of three blocks.
const ROWS: u64 = 80_000;
const HOURS: u64 = 60;
/// Sessions of all rows; their ids fill several blocks, too.
const SESSIONS: u64 = 20_000;

const PATHS: [&str; 3] = ["/", "/a", "/b"];
const REFERRERS: [Option<&str>; 3] = [None, Some("https://a.example/x"), Some("https://b.example/")];
const AGENTS: [Option<&str>; 3] = [None, Some("Firefox/1"), Some("Chrome/1")];
const PLANS: [Option<&str>; 3] = [None, Some("pro"), Some("free")];

/// A row as the plain count sees it.
struct Row {
    kind: Kind,
    time: i64,
    session: Option<u64>,
    path: &'static str,
    referrer: Option<&'static str>,
    agent: Option<&'static str>,
    plan: Option<&'static str>,
}

/// A number that looks random, the same for the same input.
fn hash(number: u64) -> u64 {
    let mixed = (number ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 29).wrapping_mul(0x94d0_49bb_1331_11eb) >> 20
}

/// Rows whose sessions mostly lie near each other in time; some come back much later, and some early rows have none: other blocks have
/// no such row.
fn row(number: u64) -> Row {
    let random = |of: u64| hash(number * 16 + of);
    let time = random(0) % (HOURS * HOUR as u64);
    let near = time * SESSIONS / (HOURS * HOUR as u64);
    let session = match random(1) % 40 {
        0 if time < HOURS * HOUR as u64 / 4 => None,
        1 => Some(random(2) % SESSIONS),
        _ => Some((near + random(2) % 30) % SESSIONS),
    };
    let pick = |of: u64| (random(of) % 11).saturating_sub(8) as usize;
    // A browser seldom changes within a session, and at times it does.
    let agent = if random(5).is_multiple_of(50) { random(6) % 3 } else { session.map_or(0, |session| hash(session) % 3) };
    Row {
        kind: if number.is_multiple_of(2) { Kind::Event } else { Kind::Pageview },
        time: time as i64,
        session,
        path: PATHS[pick(3)],
        referrer: REFERRERS[pick(4)],
        agent: AGENTS[agent as usize],
        plan: PLANS[(random(7) % 3) as usize],
    }
}

fn segment(id: u64, rows: &[Row]) -> Arc<Segment> {
    let encode = |(number, row): (u64, &Row)| {
        let properties = row.plan.map_or(String::new(), |plan| format!("{{\"plan\":\"{plan}\"}}"));
        let record = Record {
            name: if row.kind == Kind::Event { "signup" } else { "" },
            path: Some(row.path),
            session: row.session.map(|session| SessionId::new(u128::from(hash(session) << 32 | session).to_be_bytes())),
            referrer: row.referrer,
            user_agent: row.agent,
            properties: &properties,
            ..Record::new(row.kind, Source::Server, site(1), instant(row.time), UnixMicros::EPOCH)
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        (Sequence::new(id * ROWS + number), bytes)
    };
    let rows = Rows((0..).zip(rows).map(encode).collect());
    let fs = MemFs::new(1);
    let header = SegmentHeader { id: SegmentId::new(id), salt: [1; 16], epoch: [7; 16], created: UnixMicros::EPOCH };
    let columns = ColumnRule::default();
    let target = Target { fs: &fs, dir: Path::new("/"), header: &header, id_secret: [9; 16], columns, level: Level::Arrived };
    let sealed = query::seal(target, &rows, None, &|| false).unwrap();
    sealed.finished.commit().unwrap();
    Segment::open(&fs, sealed.finished.path()).unwrap()
}

/// What is asked of rows and of their sessions, plainly and as conditions.
struct Asked {
    conditions: Vec<Condition>,
    of_row: fn(&Row) -> bool,
    /// Each has to be met by a row of the session.
    of_session: Vec<fn(&Row) -> bool>,
}

fn asked() -> Vec<Asked> {
    let property = |value: &str| Condition::Property { key: PropertyKey::parse("plan").unwrap(), value: value.to_owned() };
    let session = |dimension, value: &str| Condition::Session { dimension, value: value.to_owned() };
    let all = |_: &Row| true;
    vec![
        Asked { conditions: vec![], of_row: all, of_session: vec![] },
        Asked { conditions: vec![property("pro")], of_row: |row| row.plan == Some("pro"), of_session: vec![] },
        Asked { conditions: vec![session(Dimension::Path, "/b")], of_row: all, of_session: vec![|row| row.path == "/b"] },
        Asked {
            conditions: vec![session(Dimension::ReferrerHost, "A.example"), property("free")],
            of_row: |row| row.plan == Some("free"),
            of_session: vec![|row| row.referrer == REFERRERS[1]],
        },
        Asked {
            conditions: vec![session(Dimension::Referrer, "(Direct)"), session(Dimension::Browser, "firefox")],
            of_row: all,
            of_session: vec![|row| row.kind == Kind::Pageview && row.referrer.is_none(), |row| row.agent == AGENTS[1]],
        },
        Asked {
            conditions: vec![session(Dimension::Browser, "(Unknown)")],
            of_row: all,
            of_session: vec![|row| row.kind == Kind::Pageview && row.agent.is_none()],
        },
    ]
}

/// The rows in `span` that meet all that is asked.
fn selected<'r>(rows: &[&'r Row], span: (i64, i64), asked: &Asked) -> Vec<&'r Row> {
    let in_span = || rows.iter().copied().filter(|row| span.0 <= row.time && row.time < span.1);
    let sessions = |carries: fn(&Row) -> bool| in_span().filter(move |row| carries(row)).filter_map(|row| row.session).collect();
    let carriers: Vec<BTreeSet<u64>> = asked.of_session.iter().map(|carries| sessions(*carries)).collect();
    let is_of_session = |row: &Row| match row.session {
        Some(session) => carriers.iter().all(|sessions| sessions.contains(&session)),
        None => asked.of_session.iter().all(|carries| carries(row)),
    };
    in_span().filter(|row| (asked.of_row)(row) && is_of_session(row)).collect()
}

fn is_of(term: Term<'_>, row: &Row) -> bool {
    match term {
        Term::Event(_) => row.kind == Kind::Event,
        Term::Path(path) => row.kind == Kind::Pageview && row.path == path,
        Term::Pageviews => row.kind == Kind::Pageview,
    }
}

fn point<'r>(rows: impl Iterator<Item = &'r Row>) -> Point {
    let (mut sessions, mut alone, mut total) = (BTreeSet::new(), 0, 0);
    for row in rows {
        total += 1;
        match row.session {
            Some(session) => drop(sessions.insert(session)),
            None => alone += 1,
        }
    }
    Point { conversions: sessions.len() as u64 + alone, total }
}

#[test]
fn segments_over_each_other_answer_as_a_plain_count_of_their_rows() {
    let mut rows: Vec<Vec<Row>> = (0..2).map(|segment| (segment * ROWS..(segment + 1) * ROWS).map(row).collect()).collect();
    // Few sessions beside many, most of which have some of them.
    rows.push((2 * ROWS..2 * ROWS + 200).map(row).collect());
    let segments: Vec<Arc<Segment>> = (1..).zip(&rows).map(|(id, rows)| segment(id, rows)).collect();
    let end = HOURS as i64 * HOUR;
    // Which files are asked, and how many of the segments were looked through.
    for (files, known) in [(&[0usize][..], 0), (&[0, 1], 0), (&[0, 1], 2), (&[2, 0], 0), (&[0, 1, 2], 2), (&[2, 1, 0], 0)] {
        let asked_of: Vec<Arc<Segment>> = files.iter().map(|file| Arc::clone(&segments[*file])).collect();
        let shared = SharedSessions::find(&segments[..known], &|| false).unwrap();
        let snapshot = Snapshot::new(&[], &asked_of).with_shared(Arc::new(shared));
        let rows: Vec<&Row> = files.iter().flat_map(|file| &rows[*file]).collect();
        for (from, until) in [(0, end), (5 * HOUR + 7, 50 * HOUR + 11)] {
            let span = Span::until(instant(from), instant(until));
            for asked in asked() {
                let selected = selected(&rows, (from, until), &asked);
                for term in [Term::Event("signup"), Term::Pageviews, Term::Path("/a")] {
                    let all = Buckets::whole(span);
                    let of_all = snapshot.series(site(1), term, span, &all, &asked.conditions).unwrap().value;
                    assert_eq!(
                        of_all,
                        [point(selected.iter().copied().filter(|row| is_of(term, row)))],
                        "{term:?}, {:?}",
                        asked.conditions
                    );
                    for unit in [Unit::Hour, Unit::Day] {
                        let buckets = Buckets::cut(instant(0), instant(end - 1), unit, &Zone::utc()).unwrap();
                        let points = snapshot.series(site(1), term, span, &buckets, &asked.conditions).unwrap().value;
                        let length = if unit == Unit::Hour { HOUR } else { 24 * HOUR };
                        let mut by_bucket: BTreeMap<usize, Vec<&Row>> = BTreeMap::new();
                        for row in selected.iter().filter(|row| is_of(term, row)) {
                            by_bucket.entry((row.time / length) as usize).or_default().push(row);
                        }
                        let expected = |bucket| point(by_bucket.get(&bucket).into_iter().flatten().copied());
                        assert!(points.iter().copied().eq((0..points.len()).map(expected)), "{term:?} by {unit:?}, {:?}", asked.conditions);
                    }
                }
                let key = PropertyKey::parse("plan").unwrap();
                let breakdown = snapshot.breakdown(site(1), "signup", &key, span, &asked.conditions, 9).unwrap().value;
                for plan in ["pro", "free"] {
                    let of_plan = |row: &&&Row| row.kind == Kind::Event && row.plan == Some(plan);
                    let Point { conversions, total } = point(selected.iter().filter(of_plan).copied());
                    let found = breakdown.iter().find(|row| row.name == plan).map_or((0, 0), |row| (row.sessions, row.total));
                    assert_eq!(found, (conversions, total), "{plan}, {:?}", asked.conditions);
                }
            }
        }
        let names = snapshot.names(site(1), ALL, &[]).unwrap().value;
        assert_eq!(names[0].count, rows.iter().filter(|row| row.kind == Kind::Event).count() as u64);
    }
}
