//! How many, when, and of which kind?
//!
//! This crate answers questions about events: it keeps the index of the logs that still grow ([`ActiveWriter`], [`ActiveIndex`]),
//! turns closed ones into segments ([`seal()`]) and several of those into one ([`merge()`]), takes a [`Snapshot`] of both, and counts
//! in [`Buckets`] of a time zone. It opens no file but through `format`, spawns no thread, reads no clock, and knows neither HTTP nor
//! how an event comes in: instants, zones and questions are passed in as values.
//!
//! Parts, in reading order: `zone` and `bucket` (instants cut into hours, days, weeks, months); of logs `posting` (one term's rows),
//! `active` (all terms), `sessions` (their dictionary), `ids` (which row had an event id first); of segments `fields` and `shape` (a
//! record in parts), `seal`, `merge`, `compaction` (what to merge next), `block` and `rows` (records out of a segment), `verify`,
//! `term_rows` (one term's rows), `by_value` (a property of many rows); `snapshot`, `answer` (and what it lacks), `shared` (sessions of
//! several segments), `tally` (distinct sessions, within and across files), and the questions: `age`, `series`, `names`, `breakdown`. Which rows count: `property`, `dimension`,
//! `condition`, and `selection` (sessions) and `filter` (rows), which ask them.
#![forbid(unsafe_code)]

mod active;
mod age;
mod answer;
mod bits;
mod block;
mod breakdown;
mod bucket;
mod by_value;
mod compaction;
mod condition;
mod dimension;
mod error;
mod few;
mod fields;
mod filter;
mod hash;
mod ids;
mod kway;
mod merge;
mod names;
mod posting;
mod property;
mod rows;
mod seal;
mod selection;
mod series;
mod sessions;
mod shape;
mod shared;
mod snapshot;
mod tally;
mod term_rows;
mod text;
mod verify;
mod zone;

pub use active::{ActiveIndex, ActiveWriter, Sequences};
pub use age::{Aged, left_out};
pub use answer::{Answer, Missing, Unread};
pub use breakdown::BreakdownRow;
pub use bucket::{Buckets, MAX_BUCKETS, Span, Unit};
pub use compaction::{Compaction, LiveSegment, Merge};
pub use condition::Condition;
pub use dimension::Dimension;
pub use error::Error;
pub use merge::{Division, Keep, merge};
pub use names::NameCount;
pub use property::PropertyKey;
pub use rows::SegmentRows;
pub use seal::{ClosedLog, ColumnRule, Input, Sealed, Target, seal};
pub use series::Counted;
pub use shared::SharedSessions;
pub use snapshot::{Snapshot, Term};
pub use tally::Point;
pub use verify::verify;
pub use zone::Zone;
