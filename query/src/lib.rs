//! How many, when, and of which kind?
//!
//! This crate answers questions about events: it keeps the index of the logs that still grow ([`ActiveWriter`], [`ActiveIndex`]),
//! takes a [`Snapshot`] of it, and counts in [`Buckets`] of a time zone. It opens no file but through `format`, spawns no thread,
//! reads no clock, and knows neither HTTP nor how an event comes in: instants, zones and questions are passed in as values.
//!
//! Parts, in reading order: `zone` and `bucket` (instants cut into hours, days, weeks, months), `posting` (one term's rows in one
//! log), `active` (all terms of a log), `sessions` (its dictionary), `ids` (which row had an event id first), `snapshot`, `tally` (distinct sessions, within
//! and across logs), and the questions: `series`, `names`, `breakdown`, with `property` and `condition`.
#![forbid(unsafe_code)]

mod active;
mod breakdown;
mod bucket;
mod condition;
mod error;
mod hash;
mod ids;
mod names;
mod posting;
mod property;
mod series;
mod sessions;
mod snapshot;
mod tally;
mod text;
mod zone;

pub use active::{ActiveIndex, ActiveWriter};
pub use breakdown::BreakdownRow;
pub use bucket::{Buckets, MAX_BUCKETS, Span, Unit};
pub use condition::Condition;
pub use error::Error;
pub use names::NameCount;
pub use property::PropertyKey;
pub use snapshot::{Snapshot, Term};
pub use tally::Point;
pub use zone::Zone;
