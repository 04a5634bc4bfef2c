//! The binary: all of it is in the library beside it, so that the fuzz targets reach the parsers.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    hitkeepd::run()
}
