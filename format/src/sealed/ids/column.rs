//! The column of event ids: from a row to its id.
//!
//! Rows stand in groups of [`GROUP_ROWS`]. A group says which form each of its rows has, in two bits where there is more than one, and
//! then has the ids form by form: UUIDs and ids of the tracker at their full width, so that each can be had alone, and other texts
//! compressed together. A group without ids has no bytes.

use std::ops::Range;

use crate::error::Error;
use crate::record::MAX_RECORD_BYTES;
use crate::sealed::compress::{Packer, unpack};
use crate::sealed::section::Section;
use crate::sealed::varint;

use super::form::Form;
use super::stream::{Sink, Source};

/// Rows of a group; the last one of a segment may have fewer.
pub(super) const GROUP_ROWS: u32 = 256;

/// Bytes of an entry of [`Section::ID_OFFSETS`]: where a group starts in the column. One more entry says where the last one ends.
const OFFSET_BYTES: u64 = 8;

const UUID_BYTES: usize = 16;
const TRACKER_BYTES: usize = 10;

/// Forms by number: the two bits of a row.
const NONE: usize = 0;
const UUID: usize = 1;
const TRACKER: usize = 2;
const TEXT: usize = 3;
const FORMS: usize = 4;

/// Two bit planes, the lower bits first: 512 bits.
const PLANES_BYTES: usize = 2 * GROUP_ROWS as usize / 8;
const WORDS: usize = GROUP_ROWS as usize / 64;

/// How texts stand: as they are, or behind their length as one frame of zstd.
const STORED: u8 = 0;
const ZSTD: u8 = 1;

/// No group has more bytes of texts: no id is longer than the record it came in.
const MAX_TEXTS_BYTES: usize = GROUP_ROWS as usize * (MAX_RECORD_BYTES + size_of::<u32>());

/// Which form the rows of a group have.
#[derive(Clone, Copy, Debug, Default)]
struct Forms {
    low: [u64; WORDS],
    high: [u64; WORDS],
}

impl Forms {
    fn set(&mut self, place: usize, form: usize) {
        self.low[place / 64] |= (form as u64 & 1) << (place % 64);
        self.high[place / 64] |= (form as u64 >> 1) << (place % 64);
    }

    /// The first `rows` rows all have this form.
    fn uniform(form: usize, rows: u32) -> Forms {
        let plane = |bit: usize| if bit == 1 { std::array::from_fn(|word| first_bits(rows as usize, word)) } else { [0; WORDS] };
        Forms { low: plane(form & 1), high: plane(form >> 1) }
    }

    fn at(&self, place: usize) -> usize {
        let bit = |plane: &[u64; WORDS]| (plane[place / 64] >> (place % 64) & 1) as usize;
        bit(&self.low) | bit(&self.high) << 1
    }

    /// How many of the first `places` rows have this form, which is not [`NONE`].
    fn count(&self, form: usize, places: usize) -> usize {
        let mut count = 0;
        for word in 0..WORDS {
            let of_form = match form {
                UUID => self.low[word] & !self.high[word],
                TRACKER => self.high[word] & !self.low[word],
                _ => self.low[word] & self.high[word],
            };
            count += (of_form & first_bits(places, word)).count_ones() as usize;
        }
        count
    }

    /// The set of forms among the first `rows` rows: bit `n` for form `n`.
    fn occurring(&self, rows: u32) -> u8 {
        let mut ids = 0;
        let mut occurring = 0;
        for form in [UUID, TRACKER, TEXT] {
            let count = self.count(form, rows as usize);
            ids += count;
            occurring |= u8::from(count > 0) << form;
        }
        occurring | u8::from(ids < rows as usize) << NONE
    }
}

/// A word of a plane whose first `places` bits are set.
fn first_bits(places: usize, word: usize) -> u64 {
    match places.saturating_sub(word * 64) {
        0 => 0,
        in_word => u64::MAX >> (64 - in_word.min(64)),
    }
}

/// Writes the column, group by group.
#[derive(Debug, Default)]
pub(super) struct ColumnBuilder {
    /// The number of the open group.
    group: u32,
    /// One past the last row.
    rows_end: u32,
    /// Where the open group starts in the column.
    start: u64,
    forms: Forms,
    uuids: Vec<u8>,
    trackers: Vec<u8>,
    texts: Vec<u8>,
}

impl ColumnBuilder {
    pub(super) fn push(&mut self, sink: &mut impl Sink, packer: &mut Packer, row: u32, form: Form<'_>) -> Result<(), Error> {
        assert!(row >= self.rows_end, "rows grow");
        self.close_until(sink, packer, row / GROUP_ROWS)?;
        self.rows_end = row + 1;
        let place = (row % GROUP_ROWS) as usize;
        match form {
            Form::Uuid(bytes) => {
                self.forms.set(place, UUID);
                self.uuids.extend_from_slice(&bytes);
            }
            Form::Tracker(bytes) => {
                self.forms.set(place, TRACKER);
                self.trackers.extend_from_slice(&bytes);
            }
            Form::Text(text) => {
                self.forms.set(place, TEXT);
                push_text(text, &mut self.texts);
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self, sink: &mut impl Sink, packer: &mut Packer, rows: u32) -> Result<(), Error> {
        assert!(rows >= self.rows_end, "an id belongs to a row");
        self.close_until(sink, packer, rows / GROUP_ROWS)?;
        if !rows.is_multiple_of(GROUP_ROWS) {
            self.close(sink, packer, rows % GROUP_ROWS)?;
        }
        sink.append(Section::ID_OFFSETS, &self.start.to_le_bytes())
    }

    /// Closes full groups until `group` is the open one.
    fn close_until(&mut self, sink: &mut impl Sink, packer: &mut Packer, group: u32) -> Result<(), Error> {
        while self.group < group {
            self.close(sink, packer, GROUP_ROWS)?;
        }
        Ok(())
    }

    /// Writes the open group, which has `rows` rows, and opens the next.
    fn close(&mut self, sink: &mut impl Sink, packer: &mut Packer, rows: u32) -> Result<(), Error> {
        sink.append(Section::ID_OFFSETS, &self.start.to_le_bytes())?;
        self.group += 1;
        let occurring = self.forms.occurring(rows);
        if occurring == 1 << NONE {
            return Ok(());
        }
        let mut bytes = vec![occurring];
        if !occurring.is_power_of_two() {
            for word in self.forms.low.iter().chain(&self.forms.high) {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        bytes.append(&mut self.uuids);
        bytes.append(&mut self.trackers);
        if !self.texts.is_empty() {
            compress(packer, &self.texts, &mut bytes);
            self.texts.clear();
        }
        self.forms = Forms::default();
        self.start += bytes.len() as u64;
        sink.append(Section::IDS, &bytes)
    }
}

/// Appends a text behind its length.
fn push_text(text: &str, out: &mut Vec<u8>) {
    assert!(text.len() <= MAX_RECORD_BYTES, "an id fits into its record");
    varint::put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Appends texts compressed, unless that makes them longer.
fn compress(packer: &mut Packer, texts: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.push(ZSTD);
    varint::put(out, texts.len() as u64);
    packer.pack(texts, out);
    if out.len() - start > 1 + texts.len() {
        out.truncate(start);
        out.push(STORED);
        out.extend_from_slice(texts);
    }
}

/// What [`compress`] was given; none if these are no such bytes.
fn decompress(bytes: &[u8]) -> Option<Vec<u8>> {
    match bytes.split_first()? {
        (&STORED, texts) => Some(texts.to_vec()),
        (&ZSTD, mut frame) => {
            let len = varint::take_u32(&mut frame)? as usize;
            if len > MAX_TEXTS_BYTES {
                return None;
            }
            let mut texts = Vec::new();
            unpack(frame, len, &mut texts)?;
            (texts.len() == len).then_some(texts)
        }
        _ => None,
    }
}

/// Where the texts stand among their bytes; none if they do not fill them.
fn text_ranges(bytes: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut rest = bytes;
    let mut ranges = Vec::new();
    while !rest.is_empty() {
        let len = varint::take_bytes(&mut rest)?.len();
        let end = bytes.len() - rest.len();
        ranges.push(end - len..end);
    }
    Some(ranges)
}

/// Reads ids one by one. Rows of one group in a row are cheap: its head is read and its texts are decompressed once.
#[derive(Debug)]
pub(super) struct Cursor<'s, S> {
    source: &'s S,
    rows: u32,
    group: Option<Group>,
    texts: Option<Texts>,
    scratch: Vec<u8>,
}

/// The head of a group, and where its ids stand in the column.
#[derive(Clone, Copy, Debug)]
struct Group {
    number: u32,
    forms: Forms,
    uuids: u64,
    trackers: u64,
    texts: u64,
    end: u64,
}

#[derive(Debug)]
struct Texts {
    group: u32,
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl<'s, S: Source> Cursor<'s, S> {
    /// A cursor over the ids of a segment with `rows` rows.
    pub(super) fn new(source: &'s S, rows: u32) -> Cursor<'s, S> {
        Cursor { source, rows, group: None, texts: None, scratch: Vec::new() }
    }

    /// The id of a row, if it has one.
    pub(super) fn form(&mut self, row: u32) -> Result<Option<Form<'_>>, Error> {
        assert!(row < self.rows, "only rows of the segment are asked for");
        let place = (row % GROUP_ROWS) as usize;
        let Some(group) = self.group(row / GROUP_ROWS)? else { return Ok(None) };
        let form = group.forms.at(place);
        let before = group.forms.count(form, place);
        let source = self.source;
        match form {
            UUID => {
                source.array(Section::IDS, group.uuids + (before * UUID_BYTES) as u64, &mut self.scratch).map(|id| Some(Form::Uuid(id)))
            }
            TRACKER => source
                .array(Section::IDS, group.trackers + (before * TRACKER_BYTES) as u64, &mut self.scratch)
                .map(|id| Some(Form::Tracker(id))),
            TEXT => {
                let texts = self.texts(&group)?;
                let text = texts.ranges.get(before).and_then(|range| std::str::from_utf8(&texts.bytes[range.clone()]).ok());
                text.map(|text| Some(Form::Text(text))).ok_or_else(|| source.undecodable(Section::IDS, group.texts))
            }
            _ => Ok(None),
        }
    }

    /// A group; none if no row of it has an id.
    fn group(&mut self, number: u32) -> Result<Option<Group>, Error> {
        match self.group {
            Some(group) if group.number == number => Ok(Some(group)),
            _ => {
                self.group = self.read_group(number)?;
                Ok(self.group)
            }
        }
    }

    fn read_group(&mut self, number: u32) -> Result<Option<Group>, Error> {
        let source = self.source;
        match source.len(Section::ID_OFFSETS) {
            0 => return Ok(None),
            len if len != (u64::from(self.rows.div_ceil(GROUP_ROWS)) + 1) * OFFSET_BYTES => {
                return Err(source.undecodable(Section::ID_OFFSETS, 0));
            }
            _ => {}
        }
        let at = u64::from(number) * OFFSET_BYTES;
        let offsets: [u8; 2 * OFFSET_BYTES as usize] = source.array(Section::ID_OFFSETS, at, &mut self.scratch)?;
        let (offsets, _) = offsets.as_chunks();
        let [start, end] = [0, 1].map(|at| u64::from_le_bytes(offsets[at]));
        if start == end {
            return Ok(None);
        }
        if start > end || end > source.len(Section::IDS) {
            return Err(source.undecodable(Section::ID_OFFSETS, at));
        }
        let rows = GROUP_ROWS.min(self.rows - number * GROUP_ROWS);
        let undecodable = || source.undecodable(Section::IDS, start);
        let [occurring] = source.array(Section::IDS, start, &mut self.scratch)?;
        if occurring >= 1 << FORMS {
            return Err(undecodable());
        }
        let (forms, uuids) = if occurring.is_power_of_two() {
            (Forms::uniform(occurring.trailing_zeros() as usize, rows), start + 1)
        } else {
            let planes: [u8; PLANES_BYTES] = source.array(Section::IDS, start + 1, &mut self.scratch)?;
            let (words, _) = planes.as_chunks();
            let word = |at: usize| u64::from_le_bytes(words[at]);
            let forms = Forms { low: std::array::from_fn(word), high: std::array::from_fn(|at| word(WORDS + at)) };
            (forms, start + 1 + PLANES_BYTES as u64)
        };
        let width = |form: usize, bytes: usize| (forms.count(form, rows as usize) * bytes) as u64;
        let trackers = uuids + width(UUID, UUID_BYTES);
        let texts = trackers + width(TRACKER, TRACKER_BYTES);
        let has_texts = occurring & 1 << TEXT != 0;
        if forms.occurring(rows) != occurring || texts > end || (texts < end) != has_texts {
            return Err(undecodable());
        }
        Ok(Some(Group { number, forms, uuids, trackers, texts, end }))
    }

    fn texts(&mut self, group: &Group) -> Result<&Texts, Error> {
        let is_read = self.texts.as_ref().is_some_and(|texts| texts.group == group.number);
        if !is_read {
            let bytes = self.source.read(Section::IDS, group.texts..group.end, &mut self.scratch)?;
            let texts = decompress(bytes).and_then(|bytes| Some(Texts { group: group.number, ranges: text_ranges(&bytes)?, bytes }));
            self.texts = Some(texts.ok_or_else(|| self.source.undecodable(Section::IDS, group.texts))?);
        }
        Ok(self.texts.as_ref().expect("just read"))
    }
}
