//! Events, and logs that hold them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use format::fs::FileSystem;
use format::fs::double::MemFs;
use format::sealed::SegmentHeader;
use format::{
    ByteOffset, Kind, Level, LogHeader, LogId, LogOptions, LogWriter, Record, Segment, SegmentId, Sequence, SessionId, SiteId, Source,
    UnixMicros,
};
use query::{ActiveIndex, ActiveWriter, ClosedLog, ColumnRule, Snapshot, Target};

pub(crate) const HOUR: i64 = 3_600_000_000;

/// An event as a test states it. `properties` are keys (plain words) with a value's JSON and the text the contract has for it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) site: u8,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) path: Option<String>,
    pub(crate) time: i64,
    pub(crate) session: Option<u8>,
    pub(crate) event_id: Option<String>,
    pub(crate) properties: Vec<(&'static str, &'static str, Option<&'static str>)>,
    pub(crate) visit: Visit,
}

/// What an event says of its session, beside the path.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Visit {
    pub(crate) host: Option<&'static str>,
    pub(crate) referrer: Option<&'static str>,
    pub(crate) user_agent: Option<&'static str>,
    pub(crate) language: Option<&'static str>,
    pub(crate) width: Option<u32>,
    pub(crate) utm_source: Option<&'static str>,
    pub(crate) qr: Option<u8>,
    pub(crate) country: Option<[u8; 2]>,
}

impl Event {
    pub(crate) fn new(name: &str, session: Option<u8>, time: i64) -> Event {
        Event {
            site: 1,
            kind: Kind::Event,
            name: name.to_owned(),
            path: None,
            time,
            session,
            event_id: None,
            properties: Vec::new(),
            visit: Visit::default(),
        }
    }

    pub(crate) fn properties_text(&self) -> String {
        if self.properties.is_empty() {
            return String::new();
        }
        let entries: Vec<String> = self.properties.iter().map(|(key, json, _)| format!("\"{key}\": {json}")).collect();
        format!("{{ {} }}", entries.join(", "))
    }

    /// The contract's text of the property, unless it is missing or null.
    pub(crate) fn text_at(&self, key: &str) -> Option<&'static str> {
        self.properties.iter().rev().find(|(found, ..)| *found == key).and_then(|(.., text)| *text)
    }
}

pub(crate) fn site(site: u8) -> SiteId {
    SiteId::new([site; 16])
}

pub(crate) fn instant(micros: i64) -> UnixMicros {
    UnixMicros::new(micros).unwrap()
}

/// A log in memory with its index, appended to as the appender does it.
pub(crate) struct Log {
    pub(crate) fs: MemFs,
    pub(crate) path: PathBuf,
    pub(crate) writer: LogWriter,
    pub(crate) active: ActiveWriter,
    pub(crate) index: Arc<ActiveIndex>,
    pub(crate) end: ByteOffset,
}

impl Log {
    pub(crate) fn new(id: u64, base_sequence: u64) -> Log {
        let fs = MemFs::new(id);
        let dir = Path::new("/");
        let header = LogHeader {
            id: LogId::new(id),
            salt: [id as u8; 16],
            epoch: [7; 16],
            base_sequence: Sequence::new(base_sequence),
            created: UnixMicros::EPOCH,
            durable_len: 0,
            answers_before_sync: false,
        };
        let writer = LogWriter::create(&fs, dir, header, LogOptions { capacity_bytes: 64 << 20, step_bytes: 1 << 16 }).unwrap();
        let (active, index) = ActiveWriter::new(Arc::clone(writer.reader()));
        let end = writer.end();
        Log { path: dir.join(LogId::new(id).file_name()), fs, writer, active, index, end }
    }

    /// Appends one batch and indexes it; readers do not see it yet. Returns the offsets of the records.
    pub(crate) fn append(&mut self, events: &[Event]) -> Vec<ByteOffset> {
        let properties: Vec<String> = events.iter().map(Event::properties_text).collect();
        let records: Vec<Record<'_>> = events.iter().zip(&properties).map(|(event, properties)| record(event, properties)).collect();
        let mut payload = Vec::new();
        let push = |record: &Record<'_>| {
            payload.clear();
            record.encode(&mut payload).unwrap();
            self.writer.push(&payload)
        };
        let offsets: Vec<ByteOffset> = records.iter().map(push).collect();
        let appended = self.writer.append(UnixMicros::EPOCH).unwrap();
        self.writer.sync().unwrap();
        for (n, (record, offset)) in (0..).zip(records.iter().zip(&offsets)) {
            self.active.push(appended.first_sequence.after(n), *offset, &record.head());
        }
        self.end = appended.end;
        offsets
    }

    pub(crate) fn publish(&self) {
        self.active.publish(self.end);
    }

    /// The log as a segment in a file system of its own, committed and opened again.
    pub(crate) fn seal(&self, columns: ColumnRule) -> Arc<Segment> {
        let fs = MemFs::new(2);
        seal_into(&fs, Path::new("/"), &self.closed(), columns)
    }

    /// The rows to be sealed.
    pub(crate) fn closed(&self) -> ClosedLog {
        ClosedLog::new(Arc::clone(&self.index), self.active.sequences())
    }

    /// Changes one byte of the file, as a failing medium would.
    pub(crate) fn damage(&self, offset: ByteOffset) {
        let file = self.fs.open(&self.path).unwrap();
        let mut byte = [0];
        format::fs::read_exact_at(&*file, &mut byte, offset.value()).unwrap();
        format::fs::write_all_at(&*file, &[byte[0] ^ 1], offset.value()).unwrap();
    }
}

/// Seals a log into the segment of the same number, commits it, and opens it again.
pub(crate) fn seal_into(fs: &MemFs, dir: &Path, log: &ClosedLog, columns: ColumnRule) -> Arc<Segment> {
    let id = SegmentId::new(log.id().value());
    let header = SegmentHeader { id, salt: [id.value() as u8; 16], epoch: [7; 16], created: UnixMicros::EPOCH };
    let target = Target { fs, dir, header: &header, id_secret: [9; 16], columns, level: Level::Arrived };
    let sealed = query::seal(target, log, Some(log.id()), &|| false).unwrap();
    sealed.finished.commit().unwrap();
    Segment::open(fs, &dir.join(id.file_name())).unwrap()
}

/// One log that holds `events`, all published.
pub(crate) fn snapshot_of(events: &[Event]) -> Snapshot {
    let mut log = Log::new(1, 1);
    log.append(events);
    log.publish();
    Snapshot::new(&[log.index], &[])
}

pub(crate) fn record<'a>(event: &'a Event, properties: &'a str) -> Record<'a> {
    Record {
        name: &event.name,
        path: event.path.as_deref(),
        session: event.session.map(|session| SessionId::new([session; 16])),
        event_id: event.event_id.as_deref(),
        host: event.visit.host,
        referrer: event.visit.referrer,
        user_agent: event.visit.user_agent,
        language: event.visit.language,
        viewport_width: event.visit.width,
        utm_source: event.visit.utm_source,
        qr: event.visit.qr.map(|qr| [qr; 16]),
        country: event.visit.country,
        properties,
        ..Record::new(event.kind, Source::Server, site(event.site), instant(event.time), UnixMicros::EPOCH)
    }
}
