//! How far an import is, on a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on stderr: part of the files, lines, rate, time left. Nothing at all where stderr is no terminal.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
}

impl Progress {
    /// `total_bytes` as far as it is known; `terminal` is whether stderr is one.
    pub(super) fn new(total_bytes: Option<u64>, terminal: bool, started: Instant) -> Progress {
        let bar = terminal.then(|| {
            let (bar, template) = match total_bytes {
                Some(total) => (ProgressBar::new(total), "{wide_bar} {percent:>3} %  {msg}"),
                None => (ProgressBar::new_spinner(), "{spinner} {bytes} read  {msg}"),
            };
            bar.with_style(ProgressStyle::with_template(template).expect("the template is well formed"))
        });
        Progress { bar, started }
    }

    /// Shows that `lines` are answered for and `read_bytes` of the files are done.
    pub(super) fn show(&self, read_bytes: u64, lines: u64) {
        if let Some(bar) = &self.bar {
            let elapsed = self.started.elapsed();
            let rate = lines as f64 / elapsed.as_secs_f64().max(0.001);
            // Two bodies are under way at once: the later one may be answered first.
            let done = bar.position().max(read_bytes);
            let left = bar.length().and_then(|total| left(elapsed, done, total)).map(|left| format!(", {left} left")).unwrap_or_default();
            bar.set_message(format!("{lines} lines, {rate:.0}/s{left}"));
            bar.set_position(done);
        }
    }

    /// Shows why nothing moves.
    pub(super) fn waiting(&self, why: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(why.to_owned());
        }
    }

    /// Leaves the terminal as it was.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The time that the rest takes at the rate so far; nothing before there is a rate.
fn left(elapsed: Duration, done: u64, total: u64) -> Option<String> {
    let left = elapsed.as_secs_f64() / done as f64 * total.saturating_sub(done) as f64;
    let seconds = left.is_finite().then_some(left.ceil() as u64)?;
    Some(match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_rate_so_far() {
        let after = |seconds, done, total| left(Duration::from_secs(seconds), done, total);
        assert_eq!(after(5, 0, 100), None);
        assert_eq!(after(5, 50, 100).as_deref(), Some("5 s"));
        assert_eq!(after(10, 10, 100).as_deref(), Some("1 min 30 s"));
        assert_eq!(after(100, 1, 100).as_deref(), Some("2 h 45 min"));
        assert_eq!(after(5, 100, 100).as_deref(), Some("0 s"));
    }

    #[test]
    fn there_is_no_bar_where_there_is_no_terminal() {
        let progress = Progress::new(Some(10), false, Instant::now());
        progress.show(5, 1);
        progress.clear();
        assert!(progress.bar.is_none());
        assert!(Progress::new(Some(10), true, Instant::now()).bar.is_some());
        assert!(Progress::new(None, true, Instant::now()).bar.is_some());
    }
}
