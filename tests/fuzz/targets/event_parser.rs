//! What browsers and backends send, through every parser of an event: it is refused or it keeps the limits, and nothing panics.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| hitkeepd::parse_event(body));
