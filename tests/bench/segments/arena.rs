//! The shop's events as the records that a log would hold, all in memory.

use format::Sequence;
use format::{Kind, Record, SessionId, SiteId, Source, UnixMicros};
use query::Input;

use super::shop::Shop;

/// The one site of the bench.
pub(crate) const SITE: SiteId = SiteId::new(*b"the shop's site!");

/// Encoded records, in the order they were received.
pub(crate) struct Arena {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Arena {
    /// All events of `shop`.
    pub(crate) fn fill(mut shop: Shop) -> Arena {
        let mut arena = Arena { bytes: Vec::new(), ends: Vec::new() };
        while let Some(event) = shop.next() {
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
        Sequence::FIRST.after(u64::from(row))
    }

    fn record<'b>(&'b self, row: u32, _: &'b mut Vec<u8>) -> Result<Record<'b>, query::Error> {
        Ok(Record::decode(&self.bytes[self.range(row as usize)]).expect("a record that was encoded here"))
    }
}
