//! How far reading is, on a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Whoever waits no longer than this needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar on stderr, from [`PATIENCE`] on; nothing at all where stderr is no terminal.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
    done: u64,
    is_terminal: bool,
    started: Instant,
}

impl Progress {
    pub(super) fn new(total: u64, is_terminal: bool, started: Instant) -> Progress {
        Progress { bar: None, total, done: 0, is_terminal, started }
    }

    /// Shows that so many more bytes are done.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        if self.bar.is_none() && self.is_terminal && self.started.elapsed() >= PATIENCE {
            let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {eta} left").expect("the template is well formed");
            self.bar = Some(ProgressBar::new(self.total).with_style(style));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.done.min(self.total));
        }
    }

    /// Leaves the terminal as it was.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_bar_after_a_second_and_only_on_a_terminal() {
        let long_ago = Instant::now().checked_sub(Duration::from_secs(2)).unwrap_or_else(Instant::now);
        for (is_terminal, started, is_shown) in [(true, long_ago, true), (false, long_ago, false), (true, Instant::now(), false)] {
            let mut progress = Progress::new(100, is_terminal, started);
            progress.advance(10);
            assert_eq!(progress.bar.is_some(), is_shown);
            progress.clear();
        }
    }
}
