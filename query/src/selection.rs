//! The sessions that conditions select, found before the rows of a question are counted.
//!
//! Each file is read once: which of its sessions have a row that carries a value that is wanted, as bits by session code. Within one
//! file these bits are the answer. A session may stand in several files and carry a value in one of them alone, so with several files
//! the ids of the sessions found are united, value by value, and a session that its own file does not select is looked up there by its
//! id. That is done when a row of it is counted, once: what a session filter costs beyond its one pass follows the rows of the goal.
//!
//! Invariant: a row without a session is one of its own, so it has to carry all values itself.

use std::hash::RandomState;
use std::ops::Range;

use format::sealed::Field;
use format::{Kind, Segment, SessionId, SiteId};
use hashbrown::HashSet;
use roaring::RoaringBitmap;

use crate::bits::Bits;
use crate::bucket::Span;
use crate::dimension::{Says, Wanted};
use crate::error::Error;
use crate::posting::NO_SESSION;
use crate::rows::{BLOCK_ROWS, blocks};
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
    ids: Option<HashSet<SessionId, RandomState>>,
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
    /// [`Error::Stopped`], [`Error::Record`], and [`Error::Segment`].
    pub(crate) fn find(
        snapshot: &'i Snapshot,
        segments: &[&'i Segment],
        site: SiteId,
        span: Span,
        wanted: &[Wanted<'_>],
    ) -> Result<Selection<'i>, Error> {
        let mut found: Vec<(File<'i>, Vec<Carriers>)> = Vec::new();
        for log in snapshot.logs() {
            snapshot.go_on()?;
            found.push((File::Log(&log.index), in_log(snapshot, log, site, span, wanted)?));
        }
        snapshot.for_each(segments, |segment| {
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
fn unite(found: &[(File<'_>, Vec<Carriers>)], values: usize) -> Result<HashSet<SessionId, RandomState>, Error> {
    let mut all: Option<HashSet<SessionId, RandomState>> = None;
    for value in 0..values {
        let mut ids = HashSet::default();
        for (file, carriers) in found {
            for code in carriers[value].sessions.iter() {
                let id = file.session_id(code)?;
                if all.as_ref().is_none_or(|all| all.contains(&id)) {
                    ids.insert(id);
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
    ids: Option<&'q HashSet<SessionId, RandomState>>,
    /// Sessions that were looked up by their id, and those that were found so.
    asked: Bits,
    elsewhere: Bits,
}

impl Selected<'_> {
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
    let mut carriers = Carriers::default();
    let mut codes_of = CodesOf::new(segment, *wanted)?;
    let mut pieces: Vec<(Kind, Range<u32>)> = Vec::new();
    for kind in KINDS.into_iter().filter(|kind| codes_of.may_be_of(*kind)) {
        for run in segment.runs_of(site, kind)? {
            pieces.extend(blocks(within(segment, &run, span)?).map(|rows| (kind, rows)));
        }
    }
    let (mut codes, mut sessions, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    // Small runs share blocks of the columns: each is decoded once for all of them.
    for pieces in pieces.chunk_by(|(_, one), (_, other)| one.start / BLOCK_ROWS == other.start / BLOCK_ROWS) {
        snapshot.go_on()?;
        let (Some((_, first)), Some((_, last))) = (pieces.first(), pieces.last()) else { continue };
        let block = first.start..last.end;
        codes.clear();
        segment.codes(codes_of.field, block.clone(), &mut codes)?;
        rows.clear();
        for (kind, piece) in pieces {
            if let Some(only) = codes_of.only(*kind) {
                rows.extend(piece.clone().filter(|row| codes[(row - block.start) as usize] == only));
                continue;
            }
            for row in piece.clone() {
                if codes_of.is_one(codes[(row - block.start) as usize], *kind)? {
                    rows.push(row);
                }
            }
        }
        if !rows.is_empty() {
            sessions.clear();
            segment.session_codes(block.clone(), &mut sessions)?;
            rows.iter().for_each(|row| carriers.add(*row, sessions[(row - block.start) as usize]));
        }
    }
    Ok(carriers)
}

/// Which codes of a field say what is wanted.
struct CodesOf<'s> {
    segment: &'s Segment,
    field: Field,
    wanted: Wanted<'s>,
    is_absence: bool,
    known: Known,
}

enum Known {
    /// The one code that is wanted, and that of the empty entry, if the segment has them.
    One { wanted: Option<u32>, empty: Option<u32> },
    /// By code, as far as entries have been read.
    ByCode(Vec<Option<Says>>),
}

impl<'s> CodesOf<'s> {
    fn new(segment: &'s Segment, wanted: Wanted<'s>) -> Result<CodesOf<'s>, format::Error> {
        let field = wanted.dimension.field();
        let known = if wanted.dimension.is_verbatim() {
            // What the entries would say of themselves, without reading them.
            let code_if = |entry: &[u8], says| if wanted.read(entry) == says { segment.find_entry(field, entry) } else { Ok(None) };
            Known::One { wanted: code_if(wanted.value.as_bytes(), Says::Yes)?, empty: code_if(b"", Says::Nothing)? }
        } else {
            Known::ByCode(vec![None; segment.entries(field) as usize + 1])
        };
        Ok(CodesOf { segment, field, wanted, is_absence: wanted.is_absence(), known })
    }

    /// False if no row of this kind can carry the value: nothing has to be read.
    fn may_be_of(&self, kind: Kind) -> bool {
        let is_known = match &self.known {
            Known::One { wanted, .. } => wanted.is_some(),
            Known::ByCode(known) => known.len() > 1,
        };
        is_known || (self.is_absence && kind == Kind::Pageview)
    }

    /// The code that rows of this kind need, if it is a single one.
    fn only(&self, kind: Kind) -> Option<u32> {
        match self.known {
            Known::One { wanted, .. } if !(self.is_absence && kind == Kind::Pageview) => wanted,
            _ => None,
        }
    }

    /// Whether a row of this kind, whose field has this code, carries the value.
    #[inline]
    fn is_one(&mut self, code: u32, kind: Kind) -> Result<bool, format::Error> {
        let says = match &self.known {
            _ if code == 0 => Says::Nothing,
            Known::One { wanted, .. } if *wanted == Some(code) => Says::Yes,
            Known::One { empty, .. } if *empty == Some(code) => Says::Nothing,
            Known::One { .. } => Says::No,
            Known::ByCode(known) => match known.get(code as usize) {
                Some(Some(says)) => *says,
                _ => self.read(code)?,
            },
        };
        Ok(match says {
            Says::Yes => true,
            Says::No => false,
            Says::Nothing => self.is_absence && kind == Kind::Pageview,
        })
    }

    #[cold]
    fn read(&mut self, code: u32) -> Result<Says, format::Error> {
        let mut entry = Vec::new();
        self.segment.entry(self.field, code, &mut entry)?;
        let says = self.wanted.read(&entry);
        if let Known::ByCode(known) = &mut self.known
            && let Some(place) = known.get_mut(code as usize)
        {
            *place = Some(says);
        }
        Ok(says)
    }
}
