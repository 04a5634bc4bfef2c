//! Writes a segment: dictionaries and sessions first, then run by run its rows, in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::checksum::FileChecksum;
use crate::error::Error;
use crate::fs::{File, FileSystem};
use crate::log::growth::is_full;
use crate::record::Kind;
use crate::units::{Sequence, SessionId, SiteId, UnixMicros};

use super::block_writer::BlockWriter;
use super::by_session::BySessionWriter;
use super::codes::{CodeWriter, Order};
use super::compress::Packer;
use super::dictionary::{self, Dictionary};
use super::footer::{Footer, MAX_FOOTER_BYTES, Provenance};
use super::header::{SegmentHeader, Trailer};
use super::ids::{IdBuilder, IdKey};
use super::links::LinkWriter;
use super::output::{Output, write_all};
use super::postings::PostingWriter;
use super::properties::Property;
use super::runs::{Entry, MAX_NAME_BYTES};
use super::section::Section;
use super::sequences;
use super::sessions;
use super::spill::{ASIDE_BYTES, Spill};
use super::times;
use super::{Codes, Field, NO_SESSION, Segment};

/// Rows from which on a run has a bitmap of its sessions; that of a smaller one is made from its rows in as little time as it is read.
pub(super) const BITMAP_ROWS: u32 = 4096;

/// A row to be written.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// When it happened.
    pub time: UnixMicros,
    /// Its place in the commit order.
    pub sequence: Sequence,
    /// The code of its session, or [`NO_SESSION`].
    pub session: u32,
    /// The codes of its fields.
    pub codes: Codes,
    /// The codes of its run's property columns, in the order they were named for the run; 0: no value.
    pub properties: &'a [u32],
    /// The client's id.
    pub event_id: Option<&'a str>,
}

/// Writes one segment: dictionaries and sessions first, then run by run its rows, in order.
///
/// Memory: a block of each column; 12 bytes a session, and 1, 2 or 4 for each field that is kept by session; 4 bytes a row of the path
/// with the most rows in a run of pageviews; 20 bits a row of the largest run; and 20 MiB. With more than half a million event ids or rows in a run of
/// pageviews, 12 bytes for each stand aside on the disk meanwhile.
#[derive(Debug)]
pub struct SegmentWriter<'f> {
    header: SegmentHeader,
    checksum: FileChecksum,
    output: Output,
    packer: Packer,
    spill: Spill<'f>,
    entries: [Option<u32>; Field::ALL.len()],
    sessions: Option<u32>,
    rows: u32,
    runs: u32,
    properties: u32,
    codes: Vec<(Field, CodeWriter)>,
    by_session: Vec<(Field, BySessionWriter)>,
    times: BlockWriter<i64>,
    sequences: BlockWriter<u64>,
    session_codes: CodeWriter,
    links: LinkWriter,
    postings: PostingWriter,
    ids: IdBuilder,
    run: Option<OpenRun>,
}

#[derive(Debug)]
struct OpenRun {
    site: SiteId,
    kind: Kind,
    name: String,
    first_row: u32,
    first_time: Option<UnixMicros>,
    last: Option<(UnixMicros, Sequence)>,
    first_property_block: u32,
    properties: Vec<OpenProperty>,
    sessions: RoaringBitmap,
}

#[derive(Debug)]
struct OpenProperty {
    key_start: u64,
    key_len_bytes: u32,
    dictionary: Dictionary,
    codes: CodeWriter,
}

impl<'f> SegmentWriter<'f> {
    /// Creates `<id>.seg` in `dir`, and makes the name durable. `id_secret` keys the hashes of event ids.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Full`].
    pub fn create(fs: &'f dyn FileSystem, dir: &Path, header: &SegmentHeader, id_secret: [u8; 16]) -> Result<SegmentWriter<'f>, Error> {
        let path = dir.join(header.id.file_name());
        // No inode left is no space as well.
        let file = fs.create(&path).map_err(|source| match is_full(&source) {
            true => Error::Full { path: path.clone(), source },
            false => Error::io("create", &path)(source),
        })?;
        fs.sync_dir(dir).map_err(Error::io("sync", dir))?;
        let checksum = header.checksum();
        Ok(SegmentWriter {
            output: Output::new(&path, file, checksum.clone(), &header.encode()),
            spill: Spill::new(fs, &path, checksum.clone()),
            header: header.clone(),
            checksum,
            packer: Packer::new(),
            entries: [None; Field::ALL.len()],
            sessions: None,
            rows: 0,
            runs: 0,
            properties: 0,
            codes: Vec::new(),
            by_session: Vec::new(),
            times: times::writer(),
            sequences: sequences::writer(),
            session_codes: CodeWriter::new(Section::SESSION_CODES, Order::Growing),
            links: LinkWriter::new(),
            postings: PostingWriter::default(),
            ids: IdBuilder::new(IdKey::derive(id_secret)),
            run: None,
        })
    }

    /// Sets another bound on what an index holds in memory.
    #[cfg(all(test, not(loom)))]
    pub(super) fn hold(&mut self, entries: usize) {
        self.spill.hold(entries);
    }

    /// The dictionary of a field: distinct entries in byte order. Called at most once a field, before the first run; a field without
    /// one has no values.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Full`].
    ///
    /// # Panics
    ///
    /// If it is called at another time, entries do not grow, or one is longer than a mebibyte.
    pub fn dictionary(&mut self, field: Field, entries: impl Iterator<Item = impl AsRef<[u8]>>) -> Result<(), Error> {
        assert!(self.run.is_none() && self.entries[field as usize].is_none(), "a field has one dictionary, before the first run");
        let (text, groups) = (Section::text(field), Section::groups(field));
        let count = dictionary::write(&mut self.output, text, groups, entries)?;
        self.output.close(text)?;
        self.output.close(groups)?;
        self.entries[field as usize] = Some(count);
        if count > 0 && field.is_of_session() {
            self.by_session.push((field, BySessionWriter::new(field, count)));
        } else if count > 0 {
            self.codes.push((field, CodeWriter::new(Section::codes(field), Order::Any)));
        }
        Ok(())
    }

    /// The sessions in the order of their codes: by the time of their first row, so that codes along a run grow. Called at most once,
    /// before the first run.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Full`].
    ///
    /// # Panics
    ///
    /// If it is called at another time, or a session is there twice.
    pub fn sessions(&mut self, ids: impl Iterator<Item = SessionId>) -> Result<(), Error> {
        assert!(self.run.is_none() && self.sessions.is_none(), "sessions are given once, before the first run");
        let count = sessions::write(&mut self.output, ids)?;
        self.sessions = Some(count);
        Ok(())
    }

    /// Begins the next run; runs are sorted by site, kind and name. One without rows is left out.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Full`].
    ///
    /// # Panics
    ///
    /// If runs are out of order, or the name is longer than a record.
    pub fn run(&mut self, site: SiteId, kind: Kind, name: &str) -> Result<(), Error> {
        assert!(name.len() <= MAX_NAME_BYTES, "a name is no longer than a record");
        if let Some(run) = &self.run {
            assert!((run.site, run.kind, run.name.as_str()) < (site, kind, name), "runs are sorted by site, kind and name");
        }
        self.end_run()?;
        if self.rows == 0 {
            // Not before: what the caller made the sessions of may be gone by now.
            self.links.sessions(self.sessions.unwrap_or(0));
            self.postings.sessions(self.sessions.unwrap_or(0));
        }
        self.run = Some(OpenRun {
            site,
            kind,
            name: name.to_owned(),
            first_row: self.rows,
            first_time: None,
            last: None,
            first_property_block: self.output.blocks(Section::PROPERTY_CODES),
            properties: Vec::new(),
            sessions: RoaringBitmap::new(),
        });
        Ok(())
    }

    /// A property column of the run just begun, before its first row: its key, and its distinct values in byte order, opaque here.
    /// Code `n` of the column is entry `n - 1`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Full`].
    ///
    /// # Panics
    ///
    /// If it is called at another time, values do not grow, or one is longer than a mebibyte.
    pub fn property(&mut self, key: &str, values: impl Iterator<Item = impl AsRef<[u8]>>) -> Result<(), Error> {
        let run = self.run.as_mut().filter(|run| run.last.is_none()).expect("properties are named between a run and its first row");
        assert!(key.len() <= MAX_NAME_BYTES, "a key is no longer than a record");
        let output = &mut self.output;
        let key_start = output.len(Section::NAMES);
        output.append(Section::NAMES, key.as_bytes())?;
        let groups_start = output.len(Section::PROPERTY_GROUPS);
        let entries = dictionary::write(output, Section::PROPERTY_TEXTS, Section::PROPERTY_GROUPS, values)?;
        let dictionary = Dictionary {
            text: Section::PROPERTY_TEXTS,
            groups: Section::PROPERTY_GROUPS,
            groups_start,
            text_end: output.len(Section::PROPERTY_TEXTS),
            entries,
        };
        let codes = CodeWriter::new(Section::PROPERTY_CODES, Order::Any);
        run.properties.push(OpenProperty { key_start, key_len_bytes: key.len() as u32, dictionary, codes });
        Ok(())
    }

    /// The next row of the run: rows are sorted by time, then sequence.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Full`].
    ///
    /// # Panics
    ///
    /// If rows are out of order, a code has no entry, or there are 2^32 - 1 rows.
    pub fn push(&mut self, row: &Row<'_>) -> Result<(), Error> {
        let run = self.run.as_mut().expect("a row belongs to a run");
        let (output, packer) = (&mut self.output, &mut self.packer);
        assert!(run.last < Some((row.time, row.sequence)), "rows are sorted by time, then sequence");
        assert!(row.session == NO_SESSION || self.sessions.is_some_and(|sessions| row.session < sessions), "a session has an id");
        assert!(row.properties.len() == run.properties.len(), "a row has a code for each property column");
        for (code, entries) in row.codes.iter().zip(self.entries) {
            assert!(*code <= entries.unwrap_or(0), "a code has an entry");
        }
        run.last = Some((row.time, row.sequence));
        run.first_time.get_or_insert(row.time);
        for (code, property) in row.properties.iter().zip(&mut run.properties) {
            assert!(*code <= property.dictionary.entries, "a code has a value");
            property.codes.push(*code, output, packer)?;
        }
        for (field, codes) in &mut self.codes {
            codes.push(row.codes[*field as usize], output, packer)?;
        }
        for (field, codes) in &mut self.by_session {
            codes.push(row.codes[*field as usize], row.session, self.sessions.unwrap_or(0), output, packer)?;
        }
        self.times.push(row.time.micros(), output)?;
        self.sequences.push(row.sequence.value(), output)?;
        self.session_codes.push(row.session.wrapping_add(1), output, packer)?;
        if self.links.push(row.time.micros(), row.session, output)? {
            run.sessions.insert(row.session);
        }
        if run.kind == Kind::Pageview {
            self.postings.push(row.codes[Field::Path as usize], row.time.micros(), row.session, &mut self.spill)?;
        }
        if let Some(id) = row.event_id {
            self.ids.push((output, packer, &mut self.spill), run.site, self.rows, id)?;
        }
        self.rows = self.rows.checked_add(1).filter(|rows| *rows < u32::MAX).expect("a segment has fewer than 2^32 - 1 rows");
        Ok(())
    }

    fn end_run(&mut self) -> Result<(), Error> {
        let Some(mut run) = self.run.take() else { return Ok(()) };
        let (Some(first_time), Some((last_time, _))) = (run.first_time, run.last) else { return Ok(()) };
        let output = &mut self.output;
        let mut entry = Entry {
            site: run.site.bytes(),
            kind: run.kind as u8,
            name_start: output.len(Section::NAMES),
            name_len_bytes: run.name.len() as u32,
            times: (first_time.micros(), last_time.micros()),
            first_row: run.first_row,
            first_property: self.properties,
            ..Entry::starts(output)
        };
        output.append(Section::NAMES, run.name.as_bytes())?;
        let stride = run.properties.len() as u32;
        for (at, property) in run.properties.iter_mut().enumerate() {
            property.codes.flush(output, &mut self.packer)?;
            let property = Property {
                key_start: property.key_start,
                key_len_bytes: property.key_len_bytes,
                dictionary: property.dictionary,
                first_block: run.first_property_block + at as u32,
                stride,
            };
            output.append(Section::PROPERTIES, &property.encode())?;
        }
        self.properties += stride;
        entry.long_links = self.links.end_run(output)?;
        if run.kind == Kind::Pageview {
            entry.postings = self.postings.end_run(output, &mut self.spill)?;
        }
        if self.rows - run.first_row >= BITMAP_ROWS && !run.sessions.is_empty() {
            run.sessions.optimize();
            let mut bitmap = Vec::with_capacity(run.sessions.serialized_size());
            run.sessions.serialize_into(&mut bitmap).expect("memory takes all bytes");
            output.append(Section::RUN_SESSIONS, &bitmap)?;
        }
        output.append(Section::RUNS, &entry.encode())?;
        self.runs += 1;
        Ok(())
    }

    /// Writes what is left but the trailer, and syncs. The file is complete and not yet committed.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Full`]; [`Error::TooLarge`] if the footer does not fit its bound.
    pub fn finish(mut self, provenance: &Provenance) -> Result<Finished, Error> {
        self.end_run()?;
        let (output, packer) = (&mut self.output, &mut self.packer);
        for (_, codes) in &mut self.codes {
            codes.flush(output, packer)?;
        }
        for (_, codes) in &mut self.by_session {
            codes.finish(output, packer)?;
        }
        self.times.flush(output)?;
        self.sequences.flush(output)?;
        self.session_codes.flush(output, packer)?;
        self.links.finish(output)?;
        self.ids.finish(output, packer, &mut self.spill, self.rows)?;
        assert!(self.spill.len_bytes() <= u64::from(self.rows) * ASIDE_BYTES, "whoever asks for space asks for this as well");
        let end = Entry { first_row: self.rows, first_property: self.properties, ..Entry::starts(output) };
        output.append(Section::RUNS, &end.encode())?;
        let footer = Footer {
            provenance: provenance.clone(),
            rows: self.rows,
            sessions: self.sessions.unwrap_or(0),
            runs: self.runs,
            entries: self.entries.map(|entries| entries.unwrap_or(0)),
            sections: output.finish()?,
        };
        let path = output.path().to_owned();
        let max_bytes = MAX_FOOTER_BYTES as u64;
        let footer = footer.encode(packer).ok_or_else(|| Error::TooLarge { path: path.clone(), len_bytes: max_bytes, max_bytes })?;
        let footer_offset = output.end();
        let footer_crc = self.checksum.at(footer_offset, [&footer, &[]]);
        output.write(&footer)?;
        output.flush()?;
        let file = Arc::clone(output.file());
        file.sync_data().map_err(Error::io("sync", &path))?;
        let trailer = Trailer { id: self.header.id, footer_offset, footer_len_bytes: footer.len() as u64, footer_crc };
        Ok(Finished { path, file, checksum: self.checksum, trailer })
    }
}

impl Entry {
    /// An entry whose parts begin where the streams end now.
    fn starts(output: &Output) -> Entry {
        Entry {
            long_links_start: output.len(Section::LONG_LINKS),
            sessions_start: output.len(Section::RUN_SESSIONS),
            postings_start: output.len(Section::POSTINGS),
            posting_groups_start: output.len(Section::POSTING_GROUPS),
            ..Entry::default()
        }
    }
}

/// A segment without its trailer.
#[derive(Debug)]
pub struct Finished {
    path: PathBuf,
    file: Arc<dyn File>,
    checksum: FileChecksum,
    trailer: Trailer,
}

impl Finished {
    /// Opens it for reading back, before it is committed.
    ///
    /// # Errors
    ///
    /// As [`Segment::open`].
    pub fn open(&self, fs: &dyn FileSystem) -> Result<Arc<Segment>, Error> {
        Segment::open_with(fs, &self.path, Some(self.trailer))
    }

    /// Writes the trailer and syncs: from now on the file says that it is whole. The manifest has to name it next.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Full`].
    pub fn commit(&self) -> Result<(), Error> {
        write_all(&*self.file, &self.path, &self.trailer.encode(&self.checksum), self.trailer.offset())?;
        self.file.sync_data().map_err(Error::io("sync", &self.path))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
