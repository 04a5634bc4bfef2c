//! Which batches of a log are whole, and whether what is broken is a torn tail or corruption.
//!
//! With `E` the end of the longest run of whole batches and `D` the largest `durable_end` of any valid commit frame anywhere in the
//! file, or the end that the manifest gives a closed log:
//!
//! * Every whole batch up to `E` is kept, proven or not. Proof only decides what damage means.
//! * `E` ≥ `D`: what follows was never acknowledged; it is a torn tail.
//! * `E` < `D`: the bytes from `E` to the next whole batch are corruption and are named; reading resumes behind them, by the same
//!   rule. Batches that nothing follows and that no later frame proves cannot be told from a torn tail, and only those.
//! * A file shorter than the length its last whole batch (or the header) names was cut by something else: corruption from `E` on. Where it
//!   ended, and what it had given out, only the manifest could say; without it sequences go on above all that a log can hold.
//!
//! Reading changes nothing. [`repair`] then makes what was read durable: after a failed sync the page cache can show frames that
//! are not on the disk, and the next sync says that all is well. It writes every whole batch again with the same bytes, zeroes the
//! tail of an undamaged log, and syncs; it may be killed anywhere and run again.

use std::io;

use crate::checksum::FileChecksum;
use crate::error::Damage;
use crate::frame::{self, FrameKind};
use crate::fs::{File, read_exact_at, write_all_at};
use crate::record::{MAX_RECORD_BYTES, Record};
use crate::units::{ByteOffset, Ordinal, Sequence, UnixMicros};

use super::{ALIGNMENT, COMMIT_FRAME_LEN_BYTES, CommitFrame, HEADER_LEN_BYTES, LogHeader, MAX_BATCH_BYTES};

/// Bytes read at once while scanning and rewriting.
const PIECE_BYTES: usize = 1024 * 1024;

/// What the manifest says of a log that was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedEnd {
    /// Everything below was synced.
    pub end: ByteOffset,
    /// One past the last sequence in it.
    pub sequence_end: Sequence,
}

/// One committed record, in the order of the log.
#[derive(Debug)]
pub struct Row<'a> {
    /// Its number among the log's rows.
    pub ordinal: Ordinal,
    /// Its sequence.
    pub sequence: Sequence,
    /// Where its frame starts.
    pub offset: ByteOffset,
    /// The record itself.
    pub record: Record<'a>,
}

/// What a log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// `E`, behind the last whole batch: an undamaged log is appended to here.
    pub end: ByteOffset,
    /// One past the last sequence that may ever have been given out in this log.
    pub next_sequence: Sequence,
    /// Records in whole batches.
    pub rows: u32,
    /// Whole batches, those without records too.
    pub batches: u32,
    /// What is lost, in file order; empty if nothing is.
    pub damage: Vec<Damage>,
    /// Bytes of a torn tail, up to the last that is not zero.
    pub torn_bytes: u64,
    /// Whether the log ends in a `clean` commit frame: the daemon had drained.
    pub drained: bool,
    /// Whether it did, and the file has the length that the frame names: nothing needs repair.
    pub clean: bool,
    /// The file's length.
    pub len_bytes: u64,
    /// The newest wall clock of a whole batch.
    pub last_written: Option<UnixMicros>,
    /// Runs of whole batches, as byte ranges.
    whole: Vec<(u64, u64)>,
}

/// Reads a log and calls `visit` for each record of each whole batch.
///
/// `header` is what the manifest says; where the file's own header differs, that is damage and costs nothing else.
///
/// # Errors
///
/// What the file system says; damage is not an error but part of the answer.
pub fn recover(file: &dyn File, header: &LogHeader, closed: Option<ClosedEnd>, visit: &mut dyn FnMut(Row<'_>)) -> io::Result<Recovered> {
    let len_bytes = file.len()?;
    let checksum = header.checksum();
    let found = scan(file, &checksum, len_bytes)?;
    let proven_end = found.iter().map(|(_, commit)| commit.durable_end).chain(closed.map(|closed| closed.end.value())).max();
    let proven_end = proven_end.unwrap_or(0);
    let mut walk = Walk {
        file,
        header,
        checksum,
        bytes: Vec::new(),
        records: Vec::new(),
        recovered: Recovered {
            end: ByteOffset::new(HEADER_LEN_BYTES as u64),
            next_sequence: header.base_sequence,
            rows: 0,
            batches: 0,
            damage: Vec::new(),
            torn_bytes: 0,
            drained: false,
            clean: false,
            len_bytes,
            last_written: None,
            whole: Vec::new(),
        },
        durable_len: header.durable_len,
    };
    walk.compare_header()?;
    walk.whole_batches(&found, proven_end, visit)?;
    walk.judge_the_end(proven_end, closed.is_some())?;
    let mut recovered = walk.recovered;
    if let Some(closed) = closed {
        recovered.next_sequence = recovered.next_sequence.max(closed.sequence_end);
    }
    Ok(recovered)
}

/// Every valid commit frame of the file with its offset, found at any 8-byte position.
fn scan(file: &dyn File, checksum: &FileChecksum, len_bytes: u64) -> io::Result<Vec<(u64, CommitFrame)>> {
    let mut found = Vec::new();
    let mut bytes = Vec::new();
    let mut start = HEADER_LEN_BYTES as u64;
    while start + COMMIT_FRAME_LEN_BYTES as u64 <= len_bytes {
        let len = (len_bytes - start).min((PIECE_BYTES + COMMIT_FRAME_LEN_BYTES) as u64);
        read_into(file, &mut bytes, start, start + len)?;
        for at in (0..PIECE_BYTES.min(bytes.len())).step_by(ALIGNMENT) {
            if CommitFrame::is_likely(&bytes[at..], checksum.salt()) {
                let offset = start + at as u64;
                found.extend(CommitFrame::decode(&bytes[at..], checksum, offset).map(|commit| (offset, commit)));
            }
        }
        start += PIECE_BYTES as u64;
    }
    Ok(found)
}

/// Reads `[from, end)` into `bytes`.
fn read_into(file: &dyn File, bytes: &mut Vec<u8>, from: u64, end: u64) -> io::Result<()> {
    bytes.clear();
    bytes.resize(usize::try_from(end - from).expect("callers bound what they read"), 0);
    read_exact_at(file, bytes, from)
}

/// One pass over a log.
struct Walk<'a> {
    file: &'a dyn File,
    header: &'a LogHeader,
    checksum: FileChecksum,
    /// The batch being looked at, and where the payloads of its records stand in it.
    bytes: Vec<u8>,
    records: Vec<std::ops::Range<usize>>,
    recovered: Recovered,
    /// What the last whole batch, or the header, says the file's length was.
    durable_len: u64,
}

impl Walk<'_> {
    fn compare_header(&mut self) -> io::Result<()> {
        let mut bytes = [0; HEADER_LEN_BYTES];
        let stands = self.recovered.len_bytes >= HEADER_LEN_BYTES as u64;
        if stands {
            read_exact_at(self.file, &mut bytes, 0)?;
        }
        if !stands || bytes != self.header.encode() {
            let first = self.recovered.next_sequence;
            self.lose(0, HEADER_LEN_BYTES as u64, first, Some(self.header.created));
        }
        Ok(())
    }

    /// Follows the batches from the header on; damage below `proven_end` is named and stepped over.
    fn whole_batches(&mut self, found: &[(u64, CommitFrame)], proven_end: u64, visit: &mut dyn FnMut(Row<'_>)) -> io::Result<()> {
        for (offset, commit) in found {
            let end = self.recovered.end.value();
            if commit.batch_start < end || (commit.batch_start > end && end >= proven_end) {
                // An overlap cannot be a batch; a gap above everything proven is a torn tail, whatever follows it.
                continue;
            }
            let is_next = commit.batch_start == end && commit.first_sequence == self.recovered.next_sequence;
            let is_behind_damage = commit.batch_start > end && self.may_follow_damage(commit);
            if !(is_next || is_behind_damage) || !self.read_whole(*offset, commit)? {
                continue;
            }
            if is_behind_damage {
                self.lose(end, commit.batch_start, commit.first_sequence, Some(commit.written));
                self.recovered.next_sequence = commit.first_sequence;
            }
            self.keep(*offset, commit, visit);
        }
        Ok(())
    }

    /// Whether the bytes before `commit`'s batch can have held the records between: no frame is shorter than its header.
    ///
    /// A checksum is no signature: a number that no daemon wrote must not become the next sequence.
    fn may_follow_damage(&self, commit: &CommitFrame) -> bool {
        let (next, first) = (self.recovered.next_sequence.value(), commit.first_sequence.value());
        let lost_bytes = commit.batch_start - self.recovered.end.value();
        first.checked_sub(next).is_some_and(|lost| lost <= lost_bytes / frame::HEADER_LEN_BYTES as u64)
    }

    /// Reads a batch and says whether it is whole.
    fn read_whole(&mut self, commit_at: u64, commit: &CommitFrame) -> io::Result<bool> {
        let aligned = commit.batch_start.is_multiple_of(ALIGNMENT as u64);
        if !aligned || commit.batch_start > commit_at || commit_at - commit.batch_start > MAX_BATCH_BYTES as u64 {
            return Ok(false);
        }
        read_into(self.file, &mut self.bytes, commit.batch_start, commit_at)?;
        self.records.clear();
        let mut at = 0;
        for _ in 0..commit.frames {
            let offset = commit.batch_start + at as u64;
            let Ok(frame) = frame::decode(&self.bytes[at..], &self.checksum, offset, MAX_RECORD_BYTES) else { return Ok(false) };
            let next = at + frame.len_bytes;
            if frame.kind == FrameKind::Record as u8 {
                if Record::decode(frame.payload).is_err() {
                    return Ok(false);
                }
                self.records.push(at + frame::HEADER_LEN_BYTES..next);
            }
            at = next;
        }
        let padding = &self.bytes[at..];
        Ok(self.records.len() == commit.records as usize && padding.len() < ALIGNMENT && padding.iter().all(|byte| *byte == 0))
    }

    /// Takes over the whole batch that [`Walk::read_whole`] has read.
    fn keep(&mut self, commit_at: u64, commit: &CommitFrame, visit: &mut dyn FnMut(Row<'_>)) {
        let recovered = &mut self.recovered;
        for payload in &self.records {
            let record = Record::decode(&self.bytes[payload.clone()]).expect("the batch is whole");
            let offset = ByteOffset::new(commit.batch_start + (payload.start - frame::HEADER_LEN_BYTES) as u64);
            let ordinal = Ordinal::new(recovered.rows);
            visit(Row { ordinal, sequence: recovered.next_sequence, offset, record });
            recovered.rows += 1;
            recovered.next_sequence = recovered.next_sequence.after(1);
        }
        recovered.batches += 1;
        let end = commit_at + COMMIT_FRAME_LEN_BYTES as u64;
        match recovered.whole.last_mut() {
            Some((_, last_end)) if *last_end == commit.batch_start => *last_end = end,
            _ => recovered.whole.push((commit.batch_start, end)),
        }
        recovered.end = ByteOffset::new(end);
        recovered.drained = commit.clean;
        recovered.last_written = recovered.last_written.max(Some(commit.written));
        self.durable_len = commit.durable_len;
    }

    /// Decides what stands behind the last whole batch.
    fn judge_the_end(&mut self, proven_end: u64, is_end_known: bool) -> io::Result<()> {
        let end = self.recovered.end.value();
        let is_cut = self.recovered.len_bytes < self.durable_len;
        let lost_end = if is_cut { proven_end.max(self.durable_len) } else { proven_end };
        self.recovered.torn_bytes = self.last_nonzero_end()?.saturating_sub(end.max(lost_end));
        self.recovered.drained &= self.recovered.torn_bytes == 0 && self.recovered.damage.is_empty() && end >= lost_end;
        // A length that no commit frame names may come from a step whose sync failed: the disk need not have it.
        self.recovered.clean = self.recovered.drained && self.recovered.len_bytes == self.durable_len;
        if end < lost_end {
            // How many records were lost is unknown; no frame is shorter than its header, and no sequence is given out twice.
            let at_most = (lost_end - end) / frame::HEADER_LEN_BYTES as u64;
            let sequence_end = self.recovered.next_sequence.after(at_most);
            // The file may have gone on far behind the length that its last whole batch knew.
            let is_open_ended = is_cut && !is_end_known;
            let sequence_end =
                if is_open_ended { sequence_end.max(self.header.base_sequence.after(u32::MAX.into())) } else { sequence_end };
            self.lose(end, lost_end, sequence_end, None);
            self.recovered.next_sequence = sequence_end;
        }
        Ok(())
    }

    /// The end of the last byte behind the whole batches that is not zero.
    fn last_nonzero_end(&mut self) -> io::Result<u64> {
        let mut from = self.recovered.end.value();
        let mut last = from;
        while from < self.recovered.len_bytes {
            let end = self.recovered.len_bytes.min(from + PIECE_BYTES as u64);
            read_into(self.file, &mut self.bytes, from, end)?;
            if let Some(at) = self.bytes.iter().rposition(|byte| *byte != 0) {
                last = from + at as u64 + 1;
            }
            from = end;
        }
        Ok(last)
    }

    /// Names a range that is lost; `until` is when what follows it was written, if anything does.
    fn lose(&mut self, from: u64, end: u64, sequence_end: Sequence, until: Option<UnixMicros>) {
        // Written after the last whole batch, or after the log was begun.
        let since = self.recovered.last_written.unwrap_or(self.header.created);
        self.recovered.damage.push(Damage {
            file: format!("logs/{}", self.header.id.file_name()),
            from: ByteOffset::new(from),
            end: ByteOffset::new(end),
            sequences: (self.recovered.next_sequence, sequence_end),
            times: (Some(since), until),
        });
    }
}

/// Makes what was recovered durable, whatever the page cache said: see the head of this module.
///
/// Touches no damaged range. Not needed after a clean end, nor for a log that was closed: its last sync returned.
///
/// # Errors
///
/// What the file system says; final.
pub fn repair(file: &dyn File, recovered: &Recovered) -> io::Result<()> {
    let mut bytes = Vec::new();
    for &(start, end) in &recovered.whole {
        let mut from = start;
        while from < end {
            let piece_end = end.min(from + PIECE_BYTES as u64);
            read_into(file, &mut bytes, from, piece_end)?;
            write_all_at(file, &bytes, from)?;
            from = piece_end;
        }
    }
    if recovered.damage.is_empty() {
        let mut from = recovered.end.value();
        while from < recovered.len_bytes {
            let piece_end = recovered.len_bytes.min(from + PIECE_BYTES as u64);
            bytes.clear();
            bytes.resize((piece_end - from) as usize, 0);
            write_all_at(file, &bytes, from)?;
            from = piece_end;
        }
    }
    file.sync_data()
}
