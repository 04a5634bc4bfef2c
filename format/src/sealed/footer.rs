//! The footer: what a segment is made of, and where its blocks stand.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};

use crate::units::{LogId, SegmentId, Sequence, UnixMicros};

use super::Field;
use super::blocks::Block;
use super::compress::Packer;
use super::deltas;
use super::header::HEADER_LEN_BYTES;
use super::level::Level;
use super::section::{STREAM_BLOCK_BYTES, Section};

/// The longest footer, in bytes, and the most memory that decoding one takes. A block of 16,384 rows costs some ten bytes a column.
pub(super) const MAX_FOOTER_BYTES: usize = 64 * 1024 * 1024;

/// The most receive times of a footer: as many as fit into a quarter of the memory that decoding one may take.
const MAX_RECEIVED: usize = MAX_FOOTER_BYTES / 4 / size_of::<(Sequence, UnixMicros)>();

const MINUTE_US: i64 = 60_000_000;

const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_FOOTER_BYTES>> = bincode::config::standard().with_limit::<MAX_FOOTER_BYTES>();

/// What a segment says of itself in its footer: the manifest says the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The log it was sealed from, if it was.
    pub log: Option<LogId>,
    /// The segments it was merged from.
    pub segments: Vec<SegmentId>,
    /// The other segments that were made of the same, without which it has not all of their rows: they become live together.
    pub siblings: Vec<SegmentId>,
    /// What it is to compaction.
    pub level: Level,
    /// The lowest sequence in it, and one past the highest.
    pub sequences: (Sequence, Sequence),
    /// When rows were received: (first sequence, minute), of whole minutes; what is more precise is not kept. Sequences grow. A row was
    /// received in the minute of the last pair at or below its sequence.
    pub received: Vec<(Sequence, UnixMicros)>,
}

/// All that has to be known before a block is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) provenance: Provenance,
    pub(super) rows: u32,
    pub(super) sessions: u32,
    pub(super) runs: u32,
    /// The number of entries of each field's dictionary, by field.
    pub(super) entries: [u32; Field::ALL.len()],
    pub(super) sections: Vec<(Section, Vec<Block>)>,
}

/// The footer in raw numbers, as it stands in the file.
#[derive(bincode::Encode, bincode::Decode)]
struct RawFooter {
    log: Option<u64>,
    segments: Vec<u64>,
    siblings: Vec<u64>,
    level: u8,
    sequences: (u64, u64),
    received: RawReceived,
    rows: u32,
    sessions: u32,
    runs: u32,
    entries: Vec<u32>,
    sections: Vec<RawSection>,
}

/// How many pairs, their sequences and their minutes since 1970, as differences. A site of few events has a pair for each of them.
type RawReceived = (u32, Vec<u8>, Vec<u8>);

/// The number of a section, and its blocks: offset, length, checksum.
type RawSection = (u8, Vec<(u64, u32, u32)>);

impl Footer {
    /// The footer's bytes; nothing if they are more than [`MAX_FOOTER_BYTES`].
    pub(super) fn encode(&self, packer: &mut Packer) -> Option<Vec<u8>> {
        let raw_blocks = |blocks: &[Block]| blocks.iter().map(|block| (block.offset, block.len_bytes, block.crc)).collect();
        let raw = RawFooter {
            log: self.provenance.log.map(LogId::value),
            segments: self.provenance.segments.iter().map(|id| id.value()).collect(),
            siblings: self.provenance.siblings.iter().map(|id| id.value()).collect(),
            level: self.provenance.level.number(),
            sequences: (self.provenance.sequences.0.value(), self.provenance.sequences.1.value()),
            received: pack_received(&self.provenance.received, packer)?,
            rows: self.rows,
            sessions: self.sessions,
            runs: self.runs,
            entries: self.entries.to_vec(),
            sections: self.sections.iter().map(|(section, blocks)| (section.number(), raw_blocks(blocks))).collect(),
        };
        // Whatever takes more than the limit to decode must not be written.
        let bytes = bincode::encode_to_vec(&raw, CONFIG).ok()?;
        Footer::decode(&bytes, u64::MAX).map(|_| bytes)
    }

    /// The footer that `bytes` hold, which stand at `offset` of their file; nothing if they cannot be one.
    ///
    /// Checked here, and relied on everywhere: blocks lie between the header and the footer; all blocks of a stream but the last are of
    /// [`STREAM_BLOCK_BYTES`], and the last is neither empty nor longer; sections grow.
    pub(super) fn decode(bytes: &[u8], offset: u64) -> Option<Footer> {
        let (raw, read): (RawFooter, usize) = bincode::decode_from_slice(bytes, CONFIG).ok()?;
        if read != bytes.len() {
            return None;
        }
        let mut sections: Vec<(Section, Vec<Block>)> = Vec::with_capacity(raw.sections.len());
        for (number, raw_blocks) in raw.sections {
            let section = Section::with_number(number);
            let blocks: Vec<Block> = raw_blocks.into_iter().map(|(offset, len_bytes, crc)| Block { offset, len_bytes, crc }).collect();
            let grows = sections.last().is_none_or(|(before, _)| *before < section);
            if !grows || !blocks.iter().all(|block| lies_in(block, offset)) || section.is_stream() && !is_stream(&blocks) {
                return None;
            }
            sections.push((section, blocks));
        }
        Some(Footer {
            provenance: Provenance {
                log: raw.log.map(LogId::new),
                segments: raw.segments.into_iter().map(SegmentId::new).collect(),
                siblings: raw.siblings.into_iter().map(SegmentId::new).collect(),
                level: Level::with_number(raw.level)?,
                sequences: (Sequence::new(raw.sequences.0), Sequence::new(raw.sequences.1)),
                received: unpack_received(&raw.received)?,
            },
            rows: raw.rows,
            sessions: raw.sessions,
            runs: raw.runs,
            entries: raw.entries.try_into().ok()?,
            sections,
        })
    }
}

fn pack_received(received: &[(Sequence, UnixMicros)], packer: &mut Packer) -> Option<RawReceived> {
    let count = u32::try_from(received.len()).ok().filter(|_| received.len() <= MAX_RECEIVED)?;
    let (mut sequences, mut minutes) = (Vec::new(), Vec::new());
    deltas::encode(received.iter().map(|(sequence, _)| sequence.value()), packer, &mut sequences);
    deltas::encode(received.iter().map(|(_, time)| time.micros().div_euclid(MINUTE_US) as u64), packer, &mut minutes);
    Some((count, sequences, minutes))
}

fn unpack_received((count, sequences, minutes): &RawReceived) -> Option<Vec<(Sequence, UnixMicros)>> {
    let count = usize::try_from(*count).ok().filter(|count| *count <= MAX_RECEIVED)?;
    let (mut received, mut at, mut are_times) = (Vec::new(), 0, true);
    deltas::decode(sequences, count, |sequence| received.push((Sequence::new(sequence), UnixMicros::EPOCH)))?;
    deltas::decode(minutes, count, |minute| {
        let time = (minute as i64).checked_mul(MINUTE_US).and_then(UnixMicros::new);
        are_times &= time.is_some();
        received[at].1 = time.unwrap_or(UnixMicros::EPOCH);
        at += 1;
    })?;
    are_times.then_some(received)
}

/// Whether a block is between header and footer, or is nowhere.
fn lies_in(block: &Block, footer_offset: u64) -> bool {
    let end = block.offset.checked_add(u64::from(block.len_bytes));
    *block == Block::EMPTY || block.len_bytes > 0 && block.offset >= HEADER_LEN_BYTES as u64 && end.is_some_and(|end| end <= footer_offset)
}

fn is_stream(blocks: &[Block]) -> bool {
    let Some((last, full)) = blocks.split_last() else { return true };
    full.iter().all(|block| block.len_bytes as usize == STREAM_BLOCK_BYTES) && (1..=STREAM_BLOCK_BYTES).contains(&(last.len_bytes as usize))
}
