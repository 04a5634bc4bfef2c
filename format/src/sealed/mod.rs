//! Segments: closed files of columns, built from a closed log, from a bulk load, or from other segments.
//!
//! Rows are sorted by (site, kind, name, time, sequence). The rows of one (site, kind, name) are a *run*: its posting list is a range,
//! a bucket edge is a search in its times, and a total is the difference of two row numbers. Everything that is text is a code of a
//! dictionary; code 0 says that there is none.
//!
//! Invariants:
//!
//! * A segment is written once, front to back, and never changed. Its trailer is written and synced last, when it is committed: a file
//!   without a valid trailer is unfinished and was never acknowledged.
//! * Every byte is under a checksum that is seeded with the file's salt and the byte's offset, so that no block passes at another place.
//!   A block is verified when it is first touched, through `read_at`: a bad sector is an error. Only then is it read through the mapping.
//! * Whatever the bytes, reading gives rows that were written, or an error that names file and offset; never a panic.
//! * Indexes (links, postings, session bitmaps, ids) say nothing that the columns do not say: each can be made anew from them.
//!
//! `docs/format.md` describes every byte.
//!
//! Parts, in reading order: `header` (first and last bytes), `footer` (what and where), `section` (the parts by number), `output` and
//! `blocks` (checksummed blocks, written and read); the columns `times`, `sequences`, `codes`, `by_session` and their helpers `bits`, `varint`,
//! `steps`, `deltas`, `elias_fano`, `compress`; `dictionary`, `sessions`, `runs`, `properties`; the indexes `links`, `postings` and `ids`; and
//! [`SegmentWriter`] and [`Segment`], which put them together; [`verify()`], which reads everything again.

mod bits;
mod block_writer;
mod blocks;
mod by_session;
mod codes;
pub(crate) mod compress;
mod deltas;
mod dictionary;
mod elias_fano;
mod event_ids;
mod field;
mod footer;
mod header;
mod ids;
mod level;
mod links;
mod output;
mod postings;
mod properties;
mod reader;
mod runs;
mod section;
mod sequences;
mod sessions;
mod sizes;
mod spill;
mod steps;
mod times;
mod varint;
mod verify;
mod writer;

pub use dictionary::Entries;
pub use field::{Codes, Field};
pub use footer::Provenance;
pub use header::{HEADER_LEN_BYTES, SegmentHeader, TRAILER_LEN_BYTES};
pub use ids::{FoundId, IdBatch, IdKey};
pub use level::Level;
pub use postings::Posting;
pub use reader::Segment;
pub use runs::Run;
pub use sizes::{PartSize, PropertySize};
pub use spill::aside_bytes;
pub use verify::verify;
pub use writer::{Finished, Row, SegmentWriter};

/// The session code of a row that is a session of its own.
pub const NO_SESSION: u32 = u32::MAX;

#[cfg(all(test, not(loom)))]
mod damage_tests;
#[cfg(all(test, not(loom)))]
mod event_id_tests;
#[cfg(all(test, not(loom)))]
mod golden_tests;
#[cfg(all(test, not(loom)))]
mod large_tests;
#[cfg(all(test, not(loom)))]
mod model;
#[cfg(all(test, not(loom)))]
mod model_tests;
