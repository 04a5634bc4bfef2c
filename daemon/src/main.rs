//! The binary: all of it is in the library beside it, so that the fuzz targets reach the parsers.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// A record is allocated by an HTTP thread and freed by the appender. glibc's allocator locks an arena for that; this one does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hitkeepd::run()
}
