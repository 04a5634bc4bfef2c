//! How many, when, and of which kind?
#![forbid(unsafe_code)]

mod bucket;
mod error;
mod zone;

pub use bucket::{Buckets, MAX_BUCKETS, Span, Unit};
pub use error::Error;
pub use zone::Zone;
