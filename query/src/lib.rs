//! How many, when, and of which kind?
#![forbid(unsafe_code)]

mod bucket;
mod error;
mod property;
mod text;
mod zone;

pub use bucket::{Buckets, MAX_BUCKETS, Span, Unit};
pub use error::Error;
pub use property::PropertyKey;
pub use zone::Zone;
