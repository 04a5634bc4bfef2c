//! The sessions that conditions select, found before the rows of a question are counted.
//!
//! Each file is read once: which of its sessions have a row that carries a value that is wanted, as bits by session code. Within one
//! file these bits are the answer. A session may stand in several files and carry a value in one of them alone, so with several files
//! the ids of the sessions found are united, value by value, and a session that its own file does not select is looked up there by its
//! id. That is done when a row of it is counted, once: what a session filter costs beyond its one pass follows the rows of the goal.
//!
//! Invariant: a row without a session is one of its own, so it has to carry all values itself.

use std::ops::Range;

use format::sealed::Field;
use format::{Kind, Segment, SessionId, SiteId};
use hashbrown::{DefaultHashBuilder, HashSet};
use roaring::RoaringBitmap;

use crate::answer::Files;
use crate::bits::Bits;
use crate::bucket::Span;
use crate::dimension::{Says, Wanted};
use crate::error::Error;
use crate::posting::NO_SESSION;
use crate::rows::{BLOCK_ROWS, blocks, nonsense};
use crate::snapshot::{LogView, RecordReader, Snapshot};
use crate::tally::File;
use crate::term_rows::within;

/// Kinds whose rows say something of their session: vitals do not.
const KINDS: [Kind; 2] = [Kind::Event, Kind::Pageview];

/// Sessions that carry all values.
#[derive(Debug)]
pub(crate) struct Selection<'i> {
    files: Vec<OfFile<'i>>,
    /// Ids of all selected sessions; none if there is one file, whose bits say it all.
    ids: Option<HashSet<SessionId, DefaultHashBuilder>>,
}

/// What one file says by itself.
#[derive(Debug)]
struct OfFile<'i> {
    file: File<'i>,
    /// Session codes that carry all values in this file.
    sessions: Bits,
    /// Rows without a session that do.
    alone: RoaringBitmap,
}

/// What carries one value in one file.
#[derive(Debug, Default)]
struct Carriers {
    sessions: Bits,
    alone: RoaringBitmap,
}

impl Carriers {
    fn add(&mut self, row: u32, session: u32) {
        if session == NO_SESSION {
            self.alone.insert(row);
        } else {
            self.sessions.insert(session);
        }
    }
}

impl<'i> Selection<'i> {
    /// The sessions on `site` that have all that is `wanted`, at least one value, in rows whose time is in `span`.
    ///
    /// Costs in segments a look at a column per row of the site in `span`, for each value that the segment knows, and in logs reading
    /// the records of these rows.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`], [`Error::Log`], and [`Error::Segment`].
    pub(crate) fn find(
        snapshot: &'i Snapshot,
        files: Files<'i, '_>,
        site: SiteId,
        span: Span,
        wanted: &[Wanted<'_>],
    ) -> Result<Selection<'i>, Error> {
        let mut found: Vec<(File<'i>, Vec<Carriers>)> = Vec::new();
        for log in files.logs() {
            snapshot.go_on()?;
            found.push((File::Log(&log.index), in_log(snapshot, log, site, span, wanted)?));
        }
        snapshot.for_each(files.segments, |segment| {
            let of_each = |wanted| in_segment(snapshot, segment, site, span, wanted);
            found.push((File::Segment(segment), wanted.iter().map(of_each).collect::<Result<_, _>>()?));
            Ok(())
        })?;
        let ids = if found.len() > 1 { Some(unite(&found, wanted.len())?) } else { None };
        let of_file = |(file, carriers): (File<'i>, Vec<Carriers>)| {
            let all = carriers.into_iter().reduce(|mut all, more| {
                all.sessions.intersect(&more.sessions);
                all.alone &= more.alone;
                all
            });
            let Carriers { sessions, alone } = all.unwrap_or_default();
            OfFile { file, sessions, alone }
        };
        Ok(Selection { files: found.into_iter().map(of_file).collect(), ids })
    }

    /// Which rows of `file` are of selected sessions.
    ///
    /// # Panics
    ///
    /// If `file` is none of those that were looked through.
    pub(crate) fn of(&self, file: File<'i>) -> Selected<'_> {
        let of_file = self.files.iter().find(|of_file| of_file.file.is(file)).expect("a question asks the files it selects from");
        Selected { of_file, ids: self.ids.as_ref(), asked: Bits::default(), elsewhere: Bits::default() }
    }
}

/// The ids of the sessions that carry all values, whichever files they carry them in.
fn unite(found: &[(File<'_>, Vec<Carriers>)], values: usize) -> Result<HashSet<SessionId, DefaultHashBuilder>, Error> {
    /// Ids that are read before they are looked up.
    const MOST_READ: usize = 4096;
    let mut all: Option<HashSet<SessionId, DefaultHashBuilder>> = None;
    let (mut codes, mut read) = (Vec::new(), Vec::new());
    for value in 0..values {
        let mut ids = HashSet::default();
        for (file, carriers) in found {
            codes.clear();
            codes.extend(carriers[value].sessions.iter());
            for codes in codes.chunks(MOST_READ) {
                read.clear();
                file.session_ids(codes, &mut read)?;
                match &all {
                    None => ids.extend(read.iter().copied()),
                    Some(all) => ids.extend(read.iter().copied().filter(|id| all.contains(id))),
                }
            }
        }
        all = Some(ids);
    }
    Ok(all.unwrap_or_default())
}

/// Tells which rows of one file are of selected sessions.
#[derive(Debug)]
pub(crate) struct Selected<'q> {
    of_file: &'q OfFile<'q>,
    ids: Option<&'q HashSet<SessionId, DefaultHashBuilder>>,
    /// Sessions that were looked up by their id, and those that were found so.
    asked: Bits,
    elsewhere: Bits,
}

impl Selected<'_> {
    /// Leaves those of `rows` that `count` and whose sessions, which are `sessions`, are selected.
    ///
    /// # Errors
    ///
    /// As [`Selected::has`].
    pub(crate) fn leave(&mut self, rows: Range<u32>, sessions: &[u32], count: &mut [bool]) -> Result<(), Error> {
        if self.ids.is_none() && !sessions.contains(&NO_SESSION) {
            // Without a branch, which no processor could foretell.
            for (counts, session) in count.iter_mut().zip(sessions) {
                *counts &= self.of_file.sessions.contains(*session);
            }
            return Ok(());
        }
        for ((row, counts), session) in rows.zip(count).zip(sessions).filter(|((_, counts), _)| **counts) {
            *counts = self.has(row, *session)?;
        }
        Ok(())
    }

    /// Whether the session of row `row`, whose code in this file is `session`, is selected.
    ///
    /// # Errors
    ///
    /// [`Error::Segment`] if a session's id cannot be read.
    #[inline]
    pub(crate) fn has(&mut self, row: u32, session: u32) -> Result<bool, Error> {
        if session == NO_SESSION {
            Ok(self.of_file.alone.contains(row))
        } else if self.of_file.sessions.contains(session) {
            Ok(true)
        } else if self.ids.is_none() {
            Ok(false)
        } else {
            self.is_elsewhere(session)
        }
    }

    fn is_elsewhere(&mut self, session: u32) -> Result<bool, Error> {
        let Some(ids) = self.ids.filter(|_| !self.asked.contains(session)) else { return Ok(self.elsewhere.contains(session)) };
        let is_selected = ids.contains(&self.of_file.file.session_id(session)?);
        self.asked.insert(session);
        if is_selected {
            self.elsewhere.insert(session);
        }
        Ok(is_selected)
    }
}

/// What carries each value in a log. Every record is read once.
fn in_log(snapshot: &Snapshot, log: &LogView, site: SiteId, span: Span, wanted: &[Wanted<'_>]) -> Result<Vec<Carriers>, Error> {
    let mut carriers: Vec<Carriers> = wanted.iter().map(|_| Carriers::default()).collect();
    let mut records = RecordReader::new(snapshot, log);
    for (_, posting) in KINDS.into_iter().flat_map(|kind| log.names(site, kind)) {
        for row in posting.rows(span) {
            records.read(row.ordinal, |record| {
                for (carriers, _) in carriers.iter_mut().zip(wanted).filter(|(_, wanted)| wanted.is_of(record)) {
                    carriers.add(row.ordinal, row.session);
                }
                Ok(())
            })?;
        }
    }
    Ok(carriers)
}

/// What carries one value in a segment.
fn in_segment(snapshot: &Snapshot, segment: &Segment, site: SiteId, span: Span, wanted: &Wanted<'_>) -> Result<Carriers, Error> {
    let mut carriers = Carriers { sessions: Bits::below(segment.sessions()), alone: RoaringBitmap::new() };
    let mut says = SaysOf::new(segment, *wanted)?;
    let mut pieces: Vec<(Kind, Range<u32>)> = Vec::new();
    for kind in KINDS.into_iter().filter(|kind| says.may_be_of(*kind)) {
        for run in segment.runs_of(site, kind)? {
            pieces.extend(blocks(within(segment, &run, span)?).map(|rows| (kind, rows)));
        }
    }
    let (mut sessions, mut carrying) = (Vec::new(), Vec::new());
    // Small runs share blocks of the columns: each is decoded once for all of them.
    for pieces in pieces.chunk_by(|(_, one), (_, other)| one.start / BLOCK_ROWS == other.start / BLOCK_ROWS) {
        snapshot.go_on()?;
        let (Some((_, first)), Some((_, last))) = (pieces.first(), pieces.last()) else { continue };
        let block = first.start..last.end;
        let says_anything = says.read(block.clone(), &mut sessions)?;
        for (kind, piece) in pieces {
            says.note_sessions(*kind, (piece.start - block.start) as usize..(piece.end - block.start) as usize);
        }
        if !says_anything {
            continue;
        }
        for (kind, piece) in pieces {
            let places = (piece.start - block.start) as usize..(piece.end - block.start) as usize;
            let (said, sessions) = (&says.said[places.clone()], &sessions[places]);
            keep(said, *kind, sessions, &mut carrying);
            carriers.sessions.insert_within(&carrying);
            if carrying.contains(&NO_SESSION) {
                let rows = piece.clone().zip(said).zip(sessions);
                let alone = rows.filter(|((_, kinds), session)| **kinds & bit_of(*kind) != 0 && **session == NO_SESSION);
                carriers.alone.extend(alone.map(|((row, _), _)| row));
            }
        }
    }
    says.add_sessions(&mut carriers.sessions)?;
    Ok(carriers)
}

/// The bit of a kind.
fn bit_of(kind: Kind) -> u8 {
    1 << kind as u8
}

/// Puts the sessions of those rows of a kind that carry a value in place of what is in `carrying`. `said` are bits of kinds.
fn keep(said: &[u8], kind: Kind, sessions: &[u32], carrying: &mut Vec<u32>) {
    /// Rows that are looked at together: most values are rare.
    const TOGETHER: usize = 64;
    carrying.clear();
    carrying.resize(sessions.len(), 0);
    let mut next = 0;
    for (said, sessions) in said.chunks(TOGETHER).zip(sessions.chunks(TOGETHER)) {
        if said.iter().fold(0, |all, kinds| all | kinds) & bit_of(kind) == 0 {
            continue;
        }
        // Without a branch, which no processor could foretell.
        for (kinds, session) in said.iter().zip(sessions) {
            carrying[next] = *session;
            next += usize::from(kinds & bit_of(kind) != 0);
        }
    }
    carrying.truncate(next);
}

/// What rows of a segment say of a value: which kinds of rows carry it with their code, as bits of kinds.
struct SaysOf<'s> {
    segment: &'s Segment,
    field: Field,
    wanted: Wanted<'s>,
    /// By code; or [`UNKNOWN`].
    by_code: Vec<u8>,
    /// The one code that says it, if entries need not be read to know that there is no other.
    only: Option<u32>,
    /// If the field is kept by session.
    by_session: Option<BySession>,
    codes: Vec<u32>,
    /// What the rows say that were read last, by their own codes.
    said: Vec<u8>,
}

/// Rows that have the code of their session. What that says is asked once a session, when all rows are read.
struct BySession {
    /// Sessions that have such rows of each kind.
    seen: [Bits; KINDS.len()],
    /// Of the rows that were read last, the sessions of those; [`NO_SESSION`] for others.
    sessions: Vec<u32>,
}

/// An entry that was not read yet.
const UNKNOWN: u8 = 1 << 7;

impl<'s> SaysOf<'s> {
    fn new(segment: &'s Segment, wanted: Wanted<'s>) -> Result<SaysOf<'s>, format::Error> {
        let field = wanted.dimension.field();
        let is_verbatim = wanted.dimension.is_verbatim();
        let entries = segment.entries(field);
        let by_code = vec![if is_verbatim { 0 } else { UNKNOWN }; entries as usize + 1];
        let is_of_session = field.is_of_session() && entries > 0;
        let by_session = is_of_session.then(|| BySession { seen: KINDS.map(|_| Bits::below(segment.sessions())), sessions: Vec::new() });
        let mut says = SaysOf { segment, field, wanted, by_code, only: None, by_session, codes: Vec::new(), said: Vec::new() };
        says.by_code[0] = kinds_of(wanted, Says::Nothing);
        if is_verbatim {
            // No other entry can say it, so none is read.
            for entry in [wanted.value.as_bytes(), b""] {
                if let Some(code) = segment.find_entry(field, entry)? {
                    says.by_code[code as usize] = kinds_of(wanted, wanted.read(entry));
                }
            }
            let mut saying = (0..).zip(&says.by_code).filter(|(_, kinds)| **kinds != 0).map(|(code, _)| code);
            says.only = saying.next().filter(|_| saying.next().is_none());
        }
        Ok(says)
    }

    /// False if no row of this kind can carry the value: nothing has to be read.
    fn may_be_of(&self, kind: Kind) -> bool {
        self.by_code.iter().any(|kinds| kinds & (bit_of(kind) | UNKNOWN) != 0)
    }

    /// Reads what each of `rows` says by its own code, and their session codes. False if none says the value: then sessions may be
    /// missing.
    fn read(&mut self, rows: Range<u32>, sessions: &mut Vec<u32>) -> Result<bool, Error> {
        sessions.clear();
        self.codes.clear();
        self.said.clear();
        let segment = self.segment;
        if let Some(by_session) = &mut self.by_session {
            segment.session_codes(rows.clone(), sessions)?;
            segment.own_codes(self.field, rows, &mut self.codes)?;
            let codes = &self.codes;
            let of_session = |(code, session): (&u32, &u32)| if *code == 0 { *session } else { NO_SESSION };
            by_session.sessions.clear();
            by_session.sessions.extend(codes.iter().zip(&*sessions).map(of_session));
            let has_none = |(code, session): (&u32, &u32)| (*code == 0) & (*session == NO_SESSION);
            if codes.iter().zip(&*sessions).fold(false, |any, row| any | has_none(row)) {
                return Err(nonsense(segment, "session").into());
            }
            if codes.iter().fold(0, |all, code| all | code) == 0 {
                return Ok(false);
            }
            let own = codes.iter().map(|code| code.checked_sub(1));
            work_out(segment, self.wanted, &mut self.by_code, own.clone().flatten())?;
            self.said.extend(own.map(|code| code.map_or(0, |code| self.by_code[code as usize])));
            return Ok(self.says_anything());
        }
        segment.codes_in(self.field, rows.clone(), &[], &mut self.codes)?;
        match self.only {
            Some(only) => {
                let kinds = self.by_code[only as usize];
                self.said.extend(self.codes.iter().map(|code| if *code == only { kinds } else { 0 }));
            }
            None => {
                work_out(segment, self.wanted, &mut self.by_code, self.codes.iter().copied())?;
                self.said.extend(self.codes.iter().map(|code| self.by_code[*code as usize]));
            }
        }
        if !self.says_anything() {
            return Ok(false);
        }
        segment.session_codes(rows, sessions)?;
        Ok(true)
    }

    fn says_anything(&self) -> bool {
        self.said.iter().fold(0, |all, kinds| all | kinds) != 0
    }

    /// Notes, of the rows at `places` among those that were read last, which are of this kind, the sessions of which they have the code.
    fn note_sessions(&mut self, kind: Kind, places: Range<usize>) {
        if let Some(by_session) = &mut self.by_session {
            by_session.seen[kind as usize].insert_within(&by_session.sessions[places]);
        }
    }

    /// Adds the sessions that carry the value in rows that have the code of their session.
    fn add_sessions(mut self, carrying: &mut Bits) -> Result<(), Error> {
        let Some(by_session) = self.by_session else { return Ok(()) };
        let mut codes = Vec::new();
        for block in blocks(0..self.segment.sessions()) {
            let seen = by_session.seen.each_ref().map(|seen| seen.words(block.clone()));
            if seen.iter().all(|words| words.iter().all(|word| *word == 0)) {
                continue;
            }
            codes.clear();
            self.segment.codes_of_sessions(self.field, block.clone(), &mut codes)?;
            work_out(self.segment, self.wanted, &mut self.by_code, codes.iter().copied())?;
            for ((session, code), place) in block.zip(&codes).zip(0..) {
                let is_seen = |kind: Kind| seen[kind as usize][place / 64] >> (place % 64) & 1 == 1;
                let kinds = self.by_code[*code as usize];
                if KINDS.into_iter().any(|kind| kinds & bit_of(kind) != 0 && is_seen(kind)) {
                    carrying.insert(session);
                }
            }
        }
        Ok(())
    }
}

/// Reads those entries of `codes` that are not known yet.
fn work_out(
    segment: &Segment,
    wanted: Wanted<'_>,
    by_code: &mut [u8],
    codes: impl Iterator<Item = u32> + Clone,
) -> Result<(), format::Error> {
    if codes.clone().fold(0, |said, code| said | by_code[code as usize]) & UNKNOWN == 0 {
        return Ok(());
    }
    let mut entry = Vec::new();
    for code in codes {
        if by_code[code as usize] == UNKNOWN {
            segment.entry(wanted.dimension.field(), code, &mut entry)?;
            by_code[code as usize] = kinds_of(wanted, wanted.read(&entry));
        }
    }
    Ok(())
}

/// The kinds of rows that carry a value if their field says this.
fn kinds_of(wanted: Wanted<'_>, says: Says) -> u8 {
    match says {
        Says::Yes => KINDS.into_iter().map(bit_of).sum(),
        Says::Nothing if wanted.is_absence() => bit_of(Kind::Pageview),
        Says::No | Says::Nothing => 0,
    }
}
