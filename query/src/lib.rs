//! How many, when, and of which kind?
#![forbid(unsafe_code)]

mod active;
mod bucket;
mod error;
mod ids;
mod posting;
mod property;
mod text;
mod zone;

pub use active::{ActiveIndex, ActiveWriter};
pub use bucket::{Buckets, MAX_BUCKETS, Span, Unit};
pub use error::Error;
pub use property::PropertyKey;
pub use zone::Zone;
