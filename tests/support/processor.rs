//! Who uses the processors, as `/proc` tells.

use std::time::Duration;

/// Returns when the process has used next to no processor time for a moment.
pub fn await_rest(pid: i32) {
    /// Its HTTP threads look at their clocks now and then.
    const REST_TICKS: u64 = 1;
    let mut before = ticks(pid);
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = ticks(pid);
        if now - before <= REST_TICKS {
            return;
        }
        before = now;
    }
}

/// The processor time that a process has used, in ticks (`/proc/PID/stat`, proc(5)).
fn ticks(pid: i32) -> u64 {
    /// User and system time, counted behind the name.
    const TIMES: std::ops::Range<usize> = 11..13;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    fields[TIMES].iter().map(|field| field.parse::<u64>().expect("a number of ticks")).sum()
}

/// The processor time that the hypervisor gave to others, and all of it, in ticks since the boot (`/proc/stat`, proc(5)).
pub fn processor_time() -> (f64, f64) {
    const STEAL: usize = 7;
    let stat = std::fs::read_to_string("/proc/stat").expect("/proc is mounted");
    let ticks = stat.lines().next().expect("a line of all processors").split_ascii_whitespace().skip(1);
    // What follows counts guests, whose time is in the user's already.
    let ticks: Vec<f64> = ticks.take(STEAL + 1).map(|ticks| ticks.parse().expect("a number of ticks")).collect();
    (ticks[STEAL], ticks.iter().sum())
}
