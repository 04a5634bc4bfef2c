//! The shop's events as the records that a log would hold, all in memory; and views of them.

use std::fmt::Write;

use format::Sequence;
use format::{Kind, Record, SessionId, SiteId, Source, UnixMicros};
use query::Input;

use super::shop::{Random, Shop};

/// The one site of the bench.
pub(crate) const SITE: SiteId = SiteId::new(*b"the shop's site!");

/// Encoded records, in the order they were received.
pub(crate) struct Arena {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    first: Sequence,
}

impl Arena {
    /// The next `events` of `shop`, or as many as it has; the first one has the sequence `first`.
    pub(crate) fn fill(shop: &mut Shop, events: u64, first: Sequence) -> Arena {
        let mut arena = Arena { bytes: Vec::new(), ends: Vec::new(), first };
        for _ in 0..events {
            let Some(event) = shop.next() else { break };
            let time = UnixMicros::new(event.time).expect("a time of the year");
            let kind = if event.name.is_empty() { Kind::Pageview } else { Kind::Event };
            let mut record = Record::new(kind, Source::Import, SITE, time, time);
            record.name = event.name;
            record.session = Some(SessionId::new(event.session));
            record.host = Some("shop.example");
            record.path = Some(event.path);
            record.referrer = event.referrer;
            record.user_agent = Some(event.user_agent);
            record.utm_source = event.utm_source;
            record.properties = event.properties;
            record.encode(&mut arena.bytes).expect("an event is shorter than a record may be");
            arena.ends.push(arena.bytes.len());
        }
        arena
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        row.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[row]
    }
}

impl Input for Arena {
    fn rows(&self) -> u32 {
        u32::try_from(self.ends.len()).expect("a segment's rows")
    }

    fn sequence(&self, row: u32) -> Sequence {
        self.first.after(u64::from(row))
    }

    fn record<'b>(&'b self, row: u32, _: &'b mut Vec<u8>) -> Result<Record<'b>, query::Error> {
        Ok(Record::decode(&self.bytes[self.range(row as usize)]).expect("a record that was encoded here"))
    }
}

/// How many rows in a row go to one of [`Shares`]: what a bulk load reads at once.
const SHARE_ROWS: u32 = 8192;

/// One of `all` shares of the events, that all lie over the whole year: what a load in several streams makes.
pub(crate) struct Shares<'a> {
    pub(crate) arena: &'a Arena,
    pub(crate) number: u32,
    pub(crate) all: u32,
}

impl Shares<'_> {
    /// The row of the arena.
    fn row(&self, row: u32) -> u32 {
        (row / SHARE_ROWS * self.all + self.number) * SHARE_ROWS + row % SHARE_ROWS
    }
}

impl Input for Shares<'_> {
    fn rows(&self) -> u32 {
        let round = self.all * SHARE_ROWS;
        let rest = (self.arena.rows() % round).saturating_sub(self.number * SHARE_ROWS).min(SHARE_ROWS);
        self.arena.rows() / round * SHARE_ROWS + rest
    }

    fn sequence(&self, row: u32) -> Sequence {
        self.arena.sequence(self.row(row))
    }

    fn record<'b>(&'b self, row: u32, scratch: &'b mut Vec<u8>) -> Result<Record<'b>, query::Error> {
        self.arena.record(self.row(row), scratch)
    }
}

/// Which event ids clients choose.
#[derive(Clone, Copy)]
pub(crate) enum Ids {
    /// Random UUIDs.
    Uuid,
    /// Those of hk.js: 14 letters, 80 random bits.
    Tracker,
}

impl Ids {
    /// The id of a row.
    pub(crate) fn of(self, row: u32) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut random = Random::new(u64::from(row));
        let number = u128::from(random.next()) << 64 | u128::from(random.next());
        let mut id = String::new();
        match self {
            Ids::Uuid => {
                for (shift, digits) in [(96, 8), (80, 4), (64, 4), (48, 4), (0, 12)] {
                    let dash = if shift == 96 { "" } else { "-" };
                    write!(id, "{dash}{:0digits$x}", number >> shift & ((1 << (4 * digits)) - 1)).expect("a String takes every text");
                }
            }
            Ids::Tracker => {
                let number = number >> 48 << 4;
                (0..14).rev().for_each(|letter| id.push(char::from(LETTERS[(number >> (6 * letter)) as usize & 63])));
            }
        }
        id
    }
}

/// The events, each with an id.
pub(crate) struct WithIds<'a> {
    pub(crate) arena: &'a Arena,
    pub(crate) ids: Ids,
}

impl Input for WithIds<'_> {
    fn rows(&self) -> u32 {
        self.arena.rows()
    }

    fn sequence(&self, row: u32) -> Sequence {
        self.arena.sequence(row)
    }

    fn record<'b>(&'b self, row: u32, scratch: &'b mut Vec<u8>) -> Result<Record<'b>, query::Error> {
        *scratch = self.ids.of(row).into_bytes();
        let mut record = Record::decode(&self.arena.bytes[self.arena.range(row as usize)]).expect("a record that was encoded here");
        record.event_id = std::str::from_utf8(scratch).ok();
        Ok(record)
    }
}
