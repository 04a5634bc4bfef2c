//! `hitkeepd inspect`: what is in one file of a data directory.
//!
//! The file is only read, and nothing is locked: the log that a running daemon appends to may seem to end in a torn tail.

mod log;
mod paired;
mod segment;

use std::io::Write;

use format::fs::ReadOnlyFs;
use format::inspect::{Inspected, inspect};
use serde_json::Value;

use super::args::InspectArguments;
use super::error::Error;
use super::table;

/// What is printed: as text or as JSON.
struct Shown {
    text: String,
    json: Value,
}

/// Prints what is in the file.
pub(crate) fn run(arguments: &InspectArguments, out: &mut impl Write) -> Result<(), Error> {
    let shown = match inspect(&ReadOnlyFs, &arguments.file)? {
        Inspected::Segment(segment) => segment::show(&segment)?,
        Inspected::Log(log) => log::show(&log),
        Inspected::Paired(paired) => paired::show(&paired),
    };
    if arguments.json {
        writeln!(out, "{}", shown.json)?;
    } else {
        write!(out, "{}", shown.text)?;
    }
    Ok(())
}

/// A table of names and values without a heading line that says nothing.
fn facts<const FACTS: usize>(facts: [(&str, String); FACTS]) -> String {
    table::of([facts[0].0, &facts[0].1.clone()], facts.into_iter().skip(1).map(|(name, value)| [name.to_owned(), value]))
}

/// 16 bytes as hexadecimal digits.
fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}
