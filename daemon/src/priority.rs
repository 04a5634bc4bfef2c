//! Who runs first where processors are short: the appender, then the HTTP threads, then queries, then the sealer, then the compactor.
//!
//! Every answer waits for the appender, which needs little of a processor but needs it at once when a sync returns; a question may wait for
//! events. Threads can only be put back, never forward, without privileges, so the appender is where the process is and the others
//! stand behind it. Under systemd that orders the threads of this service and takes nothing from others.

use rustix::process::nice;

/// Steps behind the appender: a third of its weight. Measured on two cores beside one busy thread of another process, three steps gain a
/// few per cent of requests and five a sixth; ten gain no more, and beside two such threads they lose a seventh against five.
const HTTP: i32 = 5;

/// About a third of an HTTP thread's weight.
const QUERY: i32 = 10;

/// Nobody waits for a segment, as long as the sealer keeps up.
const SEALING: i32 = 15;

/// As far as it goes: a merge may take as long as it likes.
const COMPACTING: i32 = 19;

/// Puts the calling thread behind the appender.
pub(crate) fn as_http_thread() {
    put_back(HTTP);
}

/// Puts the calling thread behind those that take events.
pub(crate) fn as_query_thread() {
    put_back(QUERY);
}

/// Puts the calling thread behind all others; or, when events may soon be refused because it `is_behind`, where HTTP threads are.
pub(crate) fn as_sealing_thread(is_behind: bool) {
    put_back(if is_behind { HTTP } else { SEALING });
}

/// Puts the calling thread behind all others.
pub(crate) fn as_compacting_thread() {
    put_back(COMPACTING);
}

fn put_back(steps: i32) {
    // A system that refuses leaves all threads equal: slower under load, and still right.
    let _ = nice(steps);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_thread_puts_back_itself_alone() {
        let before = nice(0).unwrap();
        let http = std::thread::spawn(|| (as_http_thread(), nice(0).unwrap()).1).join().unwrap();
        let query = std::thread::spawn(|| (as_query_thread(), nice(0).unwrap()).1).join().unwrap();
        let sealing = [false, true].map(|is_behind| std::thread::spawn(move || (as_sealing_thread(is_behind), nice(0).unwrap()).1));
        let sealing = sealing.map(|thread| thread.join().unwrap());
        let compacting = std::thread::spawn(|| (as_compacting_thread(), nice(0).unwrap()).1).join().unwrap();
        assert_eq!(nice(0).unwrap(), before);
        assert_eq!(compacting, 19);
        assert_eq!(sealing, [(before + SEALING).min(19), (before + HTTP).min(19)]);
        assert_eq!(http, (before + HTTP).min(19));
        assert_eq!(query, (before + QUERY).min(19));
    }
}
