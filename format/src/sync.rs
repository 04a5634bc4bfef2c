//! The primitives of every hand-over between threads: std's, or loom's when a model runs. Chosen here and nowhere else.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
