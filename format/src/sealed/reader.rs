//! A segment that is read.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::error::{Corruption, Error};
use crate::fs::{FileSystem, read_exact_at};
use crate::record::Kind;
use crate::units::{ByteOffset, Sequence, SessionId, SiteId};

use super::blocks::Input;
use super::by_session;
use super::codes::{self, Column};
use super::dictionary::{Dictionary, Entries};
use super::footer::{Footer, MAX_FOOTER_BYTES, Provenance};
use super::header::{HEADER_LEN_BYTES, SegmentHeader, TRAILER_LEN_BYTES, Trailer};
use super::links::{self, LONG_US, Ranks, Straddling};
use super::postings::{self, Posting};
use super::properties::Property;
use super::runs::{Entry, Run, Runs};
use super::section::Section;
use super::sequences;
use super::sessions;
use super::times::Times;
use super::{Field, NO_SESSION};

/// A segment that is read, shared by all who query it.
pub struct Segment {
    header: SegmentHeader,
    /// Without its sections, which are in `input`.
    footer: Footer,
    /// Where the footer starts, and the length of the file with its trailer.
    footer_offset: u64,
    len_bytes: u64,
    input: Input,
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("id", &self.header.id).field("rows", &self.footer.rows).finish_non_exhaustive()
    }
}

impl Segment {
    /// Opens the segment at `path`: checks header, trailer and footer, and nothing else.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] with the offset; [`Error::Io`].
    pub fn open(fs: &dyn FileSystem, path: &Path) -> Result<Arc<Segment>, Error> {
        Segment::open_with(fs, path, None)
    }

    /// Opens a segment, whose trailer may be known and not yet written.
    pub(super) fn open_with(fs: &dyn FileSystem, path: &Path, trailer: Option<Trailer>) -> Result<Arc<Segment>, Error> {
        let corrupt = |offset: u64, source| Error::Corrupt { path: path.to_owned(), offset: ByteOffset::new(offset), source };
        let file = fs.open(path).map_err(Error::io("open", path))?;
        let len = file.len().map_err(Error::io("read the length of", path))?;
        let read = |offset: u64, bytes: &mut [u8]| read_exact_at(&*file, bytes, offset).map_err(Error::io("read", path));

        let trailer_offset = len.checked_sub(TRAILER_LEN_BYTES as u64).filter(|offset| *offset >= HEADER_LEN_BYTES as u64);
        let known_end = trailer.map(|trailer| trailer.offset()).filter(|end| *end <= len);
        let Some(trailer_offset) = known_end.or(trailer_offset) else {
            let durable_len = (HEADER_LEN_BYTES + TRAILER_LEN_BYTES) as u64;
            return Err(corrupt(len, Corruption::CutShort { len_bytes: len, durable_len }));
        };
        let mut bytes = [0; HEADER_LEN_BYTES];
        read(0, &mut bytes)?;
        let header = SegmentHeader::decode(&bytes).map_err(|source| corrupt(0, source))?;
        let checksum = header.checksum();
        let trailer = match trailer {
            Some(trailer) => trailer,
            None => {
                let mut bytes = [0; TRAILER_LEN_BYTES];
                read(trailer_offset, &mut bytes)?;
                Trailer::decode(&bytes, &checksum, header.id, trailer_offset).map_err(|source| corrupt(trailer_offset, source))?
            }
        };
        let at = trailer.footer_offset;
        let footer_len = usize::try_from(trailer.footer_len_bytes).ok().filter(|len| *len <= MAX_FOOTER_BYTES);
        let mut bytes = vec![0; footer_len.ok_or_else(|| corrupt(at, Corruption::Footer))?];
        read(at, &mut bytes)?;
        if checksum.at(at, [&bytes, &[]]) != trailer.footer_crc {
            return Err(corrupt(at, Corruption::Footer));
        }
        let mut footer = Footer::decode(&bytes, at).ok_or_else(|| corrupt(at, Corruption::Footer))?;
        let map = Arc::clone(&file).map(len).map_err(Error::io("map", path))?;
        let input = Input::new(path.to_owned(), file, map, checksum, std::mem::take(&mut footer.sections));
        let len_bytes = trailer.offset() + TRAILER_LEN_BYTES as u64;
        Ok(Arc::new(Segment { header, footer, footer_offset: at, len_bytes, input }))
    }

    /// Who it is.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// What it was made of.
    pub fn provenance(&self) -> &Provenance {
        &self.footer.provenance
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.input.path()
    }

    /// The length of the file, with its trailer.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Where the footer starts, behind all blocks.
    pub fn footer_offset(&self) -> u64 {
        self.footer_offset
    }

    /// Whether a page of its mapping could not be read: whatever was read since is worth nothing.
    pub fn is_poisoned(&self) -> bool {
        self.input.is_poisoned()
    }

    /// The number of rows.
    pub fn rows(&self) -> u32 {
        self.footer.rows
    }

    /// The file, by sections.
    pub(super) fn input(&self) -> &Input {
        &self.input
    }

    pub(super) fn directory(&self) -> Runs<'_> {
        Runs { input: &self.input, runs: self.footer.runs, rows: self.footer.rows }
    }

    /// The run of a name; found by bisection in the mapping.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`], [`Error::Io`]; so for all methods below.
    pub fn find_run(&self, site: SiteId, kind: Kind, name: &str) -> Result<Option<Run>, Error> {
        let directory = self.directory();
        let number = directory.lower_bound(site, kind as u8, name.as_bytes())?;
        if number == self.footer.runs {
            return Ok(None);
        }
        let run = directory.run(number)?;
        Ok((run.site == site && run.kind == kind && run.name == name).then_some(run))
    }

    /// The runs of a site and kind, by name.
    pub fn runs_of(&self, site: SiteId, kind: Kind) -> Result<Vec<Run>, Error> {
        let directory = self.directory();
        let first = directory.lower_bound(site, kind as u8, b"")?;
        let end = directory.lower_bound(site, kind as u8 + 1, b"")?;
        (first..end).map(|number| directory.run(number)).collect()
    }

    /// All runs, in order.
    pub fn runs(&self) -> Result<Vec<Run>, Error> {
        (0..self.footer.runs).map(|number| self.directory().run(number)).collect()
    }

    /// The run at `number` in the order of runs; none behind the last.
    pub fn run(&self, number: u32) -> Result<Option<Run>, Error> {
        (number < self.footer.runs).then(|| self.directory().run(number)).transpose()
    }

    /// The entries of a run and of the one behind it in the directory.
    fn entries_of(&self, run: &Run) -> Result<(Entry, Entry), Error> {
        assert!(run.number < self.footer.runs, "a run is one of its segment");
        Ok((self.directory().entry(run.number)?, self.directory().entry(run.number + 1)?))
    }

    fn time_column(&self) -> Times<'_> {
        Times { input: &self.input, rows: self.footer.rows }
    }

    fn check(&self, rows: &Range<u32>) {
        assert!(rows.end <= self.footer.rows, "rows are those of the segment");
    }

    /// The first of `rows`, which lie in one run, whose time is at or after `time`; `rows.end` if none is.
    pub fn lower_bound(&self, rows: Range<u32>, time: i64) -> Result<u32, Error> {
        self.check(&rows);
        self.time_column().lower_bound(rows, time, &mut Vec::new())
    }

    /// [`Segment::lower_bound`] for growing `times`, appended to `bounds`: one forward search, in steps that double, or along the
    /// times themselves where bounds stand close.
    pub fn lower_bounds(&self, rows: Range<u32>, times: impl Iterator<Item = i64>, bounds: &mut Vec<u32>) -> Result<(), Error> {
        self.check(&rows);
        self.time_column().lower_bounds(rows, times, bounds)
    }

    /// The times of rows, in microseconds, appended to `out`.
    pub fn times(&self, rows: Range<u32>, out: &mut Vec<i64>) -> Result<(), Error> {
        self.check(&rows);
        self.time_column().read(rows, out)
    }

    /// The sequences of rows, appended to `out`.
    pub fn sequences(&self, rows: Range<u32>, out: &mut Vec<Sequence>) -> Result<(), Error> {
        self.check(&rows);
        sequences::read(&self.input, self.footer.rows, rows, out)
    }

    /// The session codes of rows, appended to `out`.
    pub fn session_codes(&self, rows: Range<u32>, out: &mut Vec<u32>) -> Result<(), Error> {
        self.check(&rows);
        let at = out.len();
        codes::read(&self.input, self.session_column(), rows, out)?;
        // On the disk a code is one higher, and 0 is none.
        for code in &mut out[at..] {
            *code = code.wrapping_sub(1);
        }
        Ok(())
    }

    fn session_column(&self) -> Column {
        Column { section: Section::SESSION_CODES, first_block: 0, stride: 1, rows: self.footer.rows, max: self.footer.sessions }
    }

    /// The number of sessions.
    pub fn sessions(&self) -> u32 {
        self.footer.sessions
    }

    /// The id of a session.
    ///
    /// # Panics
    ///
    /// If there is no such session.
    pub fn session_id(&self, code: u32) -> Result<SessionId, Error> {
        assert!(code < self.footer.sessions, "a session is one of the segment");
        sessions::id(&self.input, code, &mut Vec::new())
    }

    /// The ids of sessions, appended to `out`; a block of ids is looked up once for codes that follow each other in it.
    ///
    /// # Panics
    ///
    /// If there is no such session.
    pub fn session_ids(&self, codes: &[u32], out: &mut Vec<SessionId>) -> Result<(), Error> {
        assert!(codes.iter().all(|code| *code < self.footer.sessions), "a session is one of the segment");
        sessions::ids(&self.input, codes, out)
    }

    /// The code of a session id; found by bisection of the sorted permutation.
    pub fn find_session(&self, id: SessionId) -> Result<Option<u32>, Error> {
        sessions::find(&self.input, self.footer.sessions, id)
    }

    /// The codes of the sessions that are at `places` in the order of their ids, appended to `out`.
    ///
    /// # Panics
    ///
    /// If there are no such places.
    pub fn sessions_by_id(&self, places: Range<u32>, out: &mut Vec<u32>) -> Result<(), Error> {
        assert!(places.end <= self.footer.sessions, "places are those of sessions");
        sessions::codes_at(&self.input, self.footer.sessions, places, out)
    }

    /// How many distinct sessions the rows `[a, b)` of each bucket have: `edges` are growing rows of one run, bucket `n` is
    /// `edges[n]..edges[n + 1]`, and its count is added to `out[n]`. Rows without a session count as one each.
    ///
    /// `times[n]` is an instant that `edges[n]` is the lower bound of.
    ///
    /// Costs two ranks a bucket, and one pass over the run's long links. Buckets of less than an hour look at the times of their
    /// neighbouring rows and, if those are less than an hour apart, decode session codes.
    ///
    /// # Panics
    ///
    /// If there are not as many times as edges.
    pub fn distinct_sessions(&self, run: &Run, edges: &[u32], times: &[i64], out: &mut [u64]) -> Result<(), Error> {
        assert_eq!(edges.len(), times.len(), "every edge has a time");
        let (entry, next) = self.entries_of(run)?;
        let mut straddling = Straddling::new(edges);
        let links = entry.long_links_start..next.long_links_start;
        links::each_long(&self.input, links, entry.long_links, |(prev, row)| {
            straddling.add((prev.saturating_add(run.rows.start), row.saturating_add(run.rows.start)));
        })?;
        let column = self.time_column();
        let (mut scratch, mut codes) = (Vec::new(), Vec::new());
        let mut has_prev = Ranks::new(&self.input, Section::HAS_PREV);
        let mut has_next = Ranks::new(&self.input, Section::HAS_NEXT);
        for (((bucket, times), straddling), out) in edges.windows(2).zip(times.windows(2)).zip(straddling.counts()).zip(out) {
            let (start, end) = (bucket[0], bucket[1].max(bucket[0]));
            self.check(&(start..end));
            if end - start <= 1 {
                *out += u64::from(end - start);
                continue;
            }
            // No link straddles a bucket at an end of its run; another one is as long as what is between the bucket's neighbours,
            // which is longer than the bucket.
            let is_long = links::is_hour(times)
                || start <= run.rows.start
                || end >= run.rows.end
                || column.time(end, &mut scratch)? - column.time(start - 1, &mut scratch)? >= LONG_US;
            *out += if is_long {
                let (prev, next) = (has_prev.rank(end)?, has_next.rank(start)?);
                let distinct = links::distinct_by_ranks(end - start, prev, next, straddling);
                distinct.ok_or_else(|| self.input.undecodable(Section::HAS_PREV, 0))?
            } else {
                codes.clear();
                self.session_codes(start..end, &mut codes)?;
                links::distinct(&mut codes)
            };
        }
        Ok(())
    }

    /// The session codes of a run's rows; rows without a session are not in it.
    pub fn run_sessions(&self, run: &Run) -> Result<RoaringBitmap, Error> {
        let (entry, next) = self.entries_of(run)?;
        if entry.sessions_start == next.sessions_start {
            let mut codes = Vec::new();
            self.session_codes(run.rows.clone(), &mut codes)?;
            codes.sort_unstable();
            codes.dedup();
            return Ok(codes.into_iter().filter(|code| *code != NO_SESSION).collect());
        }
        let mut scratch = Vec::new();
        let mut bytes = self.input.read(Section::RUN_SESSIONS, entry.sessions_start..next.sessions_start, &mut scratch)?;
        let bitmap = RoaringBitmap::deserialize_from(&mut bytes).ok();
        let bitmap = bitmap.filter(|bitmap| bytes.is_empty() && bitmap.max().is_none_or(|last| last < self.footer.sessions));
        bitmap.ok_or_else(|| self.input.undecodable_at(Section::RUN_SESSIONS, entry.sessions_start))
    }

    /// The codes of a field, appended to `out`.
    pub fn codes(&self, field: Field, rows: Range<u32>, out: &mut Vec<u32>) -> Result<(), Error> {
        let mut sessions = Vec::new();
        if field.is_of_session() && self.entries(field) > 0 {
            self.session_codes(rows.clone(), &mut sessions)?;
        }
        self.codes_in(field, rows, &sessions, out)
    }

    /// [`Segment::codes`] of rows whose session codes are known.
    ///
    /// # Panics
    ///
    /// If `sessions` are not as many as rows, for a field that is kept by session.
    pub fn codes_in(&self, field: Field, rows: Range<u32>, sessions: &[u32], out: &mut Vec<u32>) -> Result<(), Error> {
        self.check(&rows);
        let (all_rows, entries) = (self.footer.rows, self.entries(field));
        if field.is_of_session() && entries > 0 {
            assert!(sessions.len() == rows.len(), "each row has a session");
            return by_session::read(&self.input, field, (all_rows, self.footer.sessions, entries), rows, sessions, out);
        }
        let column = Column { section: Section::codes(field), first_block: 0, stride: 1, rows: all_rows, max: entries };
        codes::read(&self.input, column, rows, out)
    }

    /// Of a field that is kept by session, what rows have of their own, appended to `out`: 0 for the code of their session, else their
    /// code, one higher. Rows without a session have their own if the field has entries.
    ///
    /// # Panics
    ///
    /// If the field is not kept by session; so for [`Segment::codes_of_sessions`].
    pub fn own_codes(&self, field: Field, rows: Range<u32>, out: &mut Vec<u32>) -> Result<(), Error> {
        assert!(field.is_of_session(), "sessions have a code");
        self.check(&rows);
        codes::read(&self.input, by_session::own_codes(field, self.footer.rows, self.entries(field)), rows, out)
    }

    /// Of a field that is kept by session, the codes of sessions, appended to `out`.
    pub fn codes_of_sessions(&self, field: Field, sessions: Range<u32>, out: &mut Vec<u32>) -> Result<(), Error> {
        assert!(field.is_of_session(), "sessions have a code");
        assert!(sessions.end <= self.footer.sessions, "sessions are those of the segment");
        codes::read(&self.input, by_session::codes_of_sessions(field, self.footer.sessions, self.entries(field)), sessions, out)
    }

    /// The number of entries of a field's dictionary.
    pub fn entries(&self, field: Field) -> u32 {
        self.footer.entries[field as usize]
    }

    fn dictionary(&self, field: Field) -> Dictionary {
        let (text, groups) = (Section::text(field), Section::groups(field));
        Dictionary { text, groups, groups_start: 0, text_end: self.input.len(text), entries: self.entries(field) }
    }

    /// The entry of code `n`, at least 1, copied to `out`. A code that has none is an error.
    pub fn entry(&self, field: Field, code: u32, out: &mut Vec<u8>) -> Result<(), Error> {
        self.dictionary(field).entry(&self.input, code, out)
    }

    /// All entries of a field, in the order of their codes.
    pub fn read_entries(&self, field: Field) -> Entries<'_> {
        Entries::new(&self.input, self.dictionary(field))
    }

    /// The code of an entry.
    pub fn find_entry(&self, field: Field, entry: &[u8]) -> Result<Option<u32>, Error> {
        self.dictionary(field).find(&self.input, entry)
    }

    fn property(&self, run: &Run, column: usize) -> Result<Property, Error> {
        let (entry, next) = self.entries_of(run)?;
        let number = u32::try_from(column).ok().and_then(|column| entry.first_property.checked_add(column));
        let number = number.filter(|number| *number < next.first_property).expect("a column is one of its run");
        Property::read(&self.input, number)
    }

    /// The keys of a run's property columns, in the order they were named.
    pub fn property_keys(&self, run: &Run) -> Result<Vec<String>, Error> {
        let (entry, next) = self.entries_of(run)?;
        (entry.first_property..next.first_property).map(|number| Property::read(&self.input, number)?.key(&self.input)).collect()
    }

    /// The codes of property column `column` of a run, for `rows` of that run, appended to `out`.
    ///
    /// # Panics
    ///
    /// If the run has no such column or no such rows.
    pub fn property_codes(&self, run: &Run, column: usize, rows: Range<u32>, out: &mut Vec<u32>) -> Result<(), Error> {
        assert!(run.rows.start <= rows.start && rows.end <= run.rows.end, "rows are those of the run");
        let column = self.property(run, column)?.column(run.rows.end - run.rows.start);
        codes::read(&self.input, column, rows.start - run.rows.start..rows.end - run.rows.start, out)
    }

    /// The distinct values of a property column, in the order of their codes.
    ///
    /// # Panics
    ///
    /// If the run has no such column.
    pub fn property_values(&self, run: &Run, column: usize) -> Result<Vec<Vec<u8>>, Error> {
        self.property(run, column)?.dictionary.all(&self.input)
    }

    /// The number of distinct values of a property column.
    ///
    /// # Panics
    ///
    /// If the run has no such column.
    pub fn property_entries(&self, run: &Run, column: usize) -> Result<u32, Error> {
        Ok(self.property(run, column)?.dictionary.entries)
    }

    /// The distinct values of a property column, one after the other in the order of their codes.
    ///
    /// # Panics
    ///
    /// If the run has no such column.
    pub fn read_property_values(&self, run: &Run, column: usize) -> Result<Entries<'_>, Error> {
        Ok(Entries::new(&self.input, self.property(run, column)?.dictionary))
    }

    /// The value with code `n`, at least 1, of a property column, copied to `out`. A code that has none is an error.
    ///
    /// # Panics
    ///
    /// If the run has no such column.
    pub fn property_value(&self, run: &Run, column: usize, code: u32, out: &mut Vec<u8>) -> Result<(), Error> {
        self.property(run, column)?.dictionary.entry(&self.input, code, out)
    }

    /// The rows with a path in a run of pageviews.
    pub fn path_posting(&self, run: &Run, path: &str) -> Result<Option<Posting>, Error> {
        let (entry, next) = self.entries_of(run)?;
        match self.find_entry(Field::Path, path.as_bytes())? {
            Some(code) => postings::find(&self.input, run, &entry, &next, code),
            None => Ok(None),
        }
    }
}

impl Posting {
    /// As [`Segment::distinct_sessions`], for the rows of this posting; `edges` are rows of the run.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`], [`Error::Io`].
    pub fn distinct_sessions(&self, segment: &Segment, edges: &[u32], times: &[i64], out: &mut [u64]) -> Result<(), Error> {
        assert_eq!(edges.len(), times.len(), "every edge has a time");
        self.count_distinct(&segment.time_column(), segment.session_column(), (edges, times), out)
    }
}
