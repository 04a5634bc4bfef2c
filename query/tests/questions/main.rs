//! Questions asked of the public face: random ones against a scan of all events, and chosen ones.
#![allow(clippy::unwrap_used)]

mod events;
mod examples;
mod full_scan;
mod histories;
mod large;
mod merging;
mod model;
mod sealing;
mod segments;
