//! What the blocks of a segment belong to.
//!
//! A *stream* is a run of bytes cut into blocks of [`STREAM_BLOCK_BYTES`], so that any range of it can be read. The other sections are
//! lists of blocks that are decoded one by one. Numbers are part of the format and are never given a second meaning; one that a program
//! does not know is left alone.

use super::Field;

/// Bytes of every block of a stream but the last, which is shorter or as long.
pub(super) const STREAM_BLOCK_BYTES: usize = 64 * 1024;

/// A column, a dictionary or an index of a segment, by its number in the footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Section(u8);

/// Numbers from here on are those of the codes of sessions, of fields that are kept by session.
const OF_SESSIONS: u8 = 32;
/// Numbers from here on are those of the texts of dictionaries.
const TEXTS: u8 = 64;
/// Numbers from here on are those of where the groups of a dictionary stand in its text.
const GROUPS: u8 = 128;

impl Section {
    /// Times, in blocks of rows.
    pub(super) const TIMES: Section = Section(192);
    /// Sequences, in blocks of rows.
    pub(super) const SEQUENCES: Section = Section(193);
    /// Session codes, in blocks of rows.
    pub(super) const SESSION_CODES: Section = Section(194);
    /// The ids of sessions, by code.
    pub(super) const SESSION_IDS: Section = Section(195);
    /// The codes of sessions, by id.
    pub(super) const SESSION_ORDER: Section = Section(196);
    /// The session codes of large runs, as bitmaps.
    pub(super) const RUN_SESSIONS: Section = Section(197);
    /// The directory of runs.
    pub(super) const RUNS: Section = Section(198);
    /// The names of runs and the keys of property columns.
    pub(super) const NAMES: Section = Section(199);
    /// The directory of property columns.
    pub(super) const PROPERTIES: Section = Section(200);
    /// The codes of property columns, in blocks of rows.
    pub(super) const PROPERTY_CODES: Section = Section(201);
    /// The values of property columns.
    pub(super) const PROPERTY_TEXTS: Section = Section(202);
    /// Where the groups of the values stand in their text.
    pub(super) const PROPERTY_GROUPS: Section = Section(203);
    /// Which rows have an earlier row of the same session in their run.
    pub(super) const HAS_PREV: Section = Section(204);
    /// Which rows have a later row of the same session in their run.
    pub(super) const HAS_NEXT: Section = Section(205);
    /// The long links of runs.
    pub(super) const LONG_LINKS: Section = Section(206);
    /// The rows of paths.
    pub(super) const POSTINGS: Section = Section(207);
    /// Where the groups of postings stand.
    pub(super) const POSTING_GROUPS: Section = Section(208);
    /// The codes of a field.
    pub(super) const fn codes(field: Field) -> Section {
        Section(field as u8)
    }

    /// The codes that sessions have in a field.
    pub(super) const fn codes_of_sessions(field: Field) -> Section {
        Section(OF_SESSIONS + field as u8)
    }

    /// The text of a field's dictionary.
    pub(super) const fn text(field: Field) -> Section {
        Section(TEXTS + field as u8)
    }

    /// Where the groups of a field's dictionary stand in its text.
    pub(super) const fn groups(field: Field) -> Section {
        Section(GROUPS + field as u8)
    }

    /// The section with this number in a footer.
    pub(super) const fn with_number(number: u8) -> Section {
        Section(number)
    }

    /// The number.
    pub(super) const fn number(self) -> u8 {
        self.0
    }

    /// Whether any range of it can be read.
    pub(super) fn is_stream(self) -> bool {
        let is_list =
            self.0 < TEXTS || matches!(self, Section::TIMES | Section::SEQUENCES | Section::SESSION_CODES | Section::PROPERTY_CODES);
        !is_list
    }

    /// What it is, apart from all others.
    pub(super) fn title(self) -> String {
        let of_field = |number: u8, what: &str| match Field::ALL.get(usize::from(number)) {
            Some(field) => format!("{}: {what}", field.name()),
            None => format!("section {}", self.0),
        };
        let title = match self {
            Section(number @ 0..OF_SESSIONS) => return of_field(number, "codes"),
            Section(number @ OF_SESSIONS..TEXTS) => return of_field(number - OF_SESSIONS, "codes of sessions"),
            Section(number @ TEXTS..GROUPS) => return of_field(number - TEXTS, "dictionary"),
            Section(number @ GROUPS..192) => return of_field(number - GROUPS, "places in the dictionary"),
            Section::TIMES => "times",
            Section::SEQUENCES => "sequences",
            Section::SESSION_CODES => "session codes",
            Section::SESSION_IDS => "session ids",
            Section::SESSION_ORDER => "session order",
            Section::RUN_SESSIONS => "session bitmaps",
            Section::RUNS => "run directory",
            Section::NAMES => "names of runs and properties",
            Section::PROPERTIES => "directory of property columns",
            Section::PROPERTY_CODES => "property columns: codes",
            Section::PROPERTY_TEXTS => "property columns: values",
            Section::PROPERTY_GROUPS => "property columns: places of values",
            Section::HAS_PREV => "has_prev",
            Section::HAS_NEXT => "has_next",
            Section::LONG_LINKS => "long links",
            Section::POSTINGS => "path postings",
            Section::POSTING_GROUPS => "places of path postings",
            Section::IDS => "event ids",
            Section::ID_OFFSETS => "places of event ids",
            Section::ID_INDEX => "event id index",
            Section::ID_DIRECTORY => "event id index: directory",
            Section::ID_FILTER => "event id filter",
            Section(_) => return format!("section {}", self.0),
        };
        title.to_owned()
    }

    /// What it is, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Section(0..TEXTS) => "codes",
            Section(TEXTS..192) => "a dictionary",
            Section::TIMES => "times",
            Section::SEQUENCES => "sequences",
            Section::SESSION_CODES => "session codes",
            Section::SESSION_IDS | Section::SESSION_ORDER | Section::RUN_SESSIONS => "sessions",
            Section::RUNS | Section::NAMES => "the directory of runs",
            Section::PROPERTIES | Section::PROPERTY_CODES | Section::PROPERTY_TEXTS | Section::PROPERTY_GROUPS => "properties",
            Section::HAS_PREV | Section::HAS_NEXT | Section::LONG_LINKS => "links",
            Section::POSTINGS | Section::POSTING_GROUPS => "postings",
            _ => "event ids",
        }
    }
}

/// Of event ids; streams all of them.
#[allow(dead_code, reason = "the index of event ids is not written yet")]
impl Section {
    /// Event ids by row.
    pub(super) const IDS: Section = Section(216);
    /// Where the event ids of rows stand.
    pub(super) const ID_OFFSETS: Section = Section(217);
    /// Hashes of event ids, sorted, and their rows.
    pub(super) const ID_INDEX: Section = Section(218);
    /// Where the hashes stand in the index.
    pub(super) const ID_DIRECTORY: Section = Section(219);
    /// The filter before the index of event ids.
    pub(super) const ID_FILTER: Section = Section(220);
}

const _: () = assert!(Field::ALL.len() <= OF_SESSIONS as usize && OF_SESSIONS <= TEXTS / 2);
