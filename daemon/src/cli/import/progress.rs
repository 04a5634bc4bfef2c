//! How far an import is, on a terminal.

use std::time::Instant;

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
                Some(total) => (ProgressBar::new(total), "{wide_bar} {percent:>3} %  {msg}  {eta} left"),
                None => (ProgressBar::new_spinner(), "{spinner} {bytes} read  {msg}"),
            };
            bar.with_style(ProgressStyle::with_template(template).expect("the template is well formed"))
        });
        Progress { bar, started }
    }

    /// Shows that `lines` are answered for and `read_bytes` of the files are done.
    pub(super) fn show(&self, read_bytes: u64, lines: u64) {
        if let Some(bar) = &self.bar {
            let rate = lines as f64 / self.started.elapsed().as_secs_f64().max(0.001);
            bar.set_message(format!("{lines} lines, {rate:.0}/s"));
            // Two bodies are under way at once: the later one may be answered first.
            bar.set_position(bar.position().max(read_bytes));
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

#[cfg(test)]
mod tests {
    use super::*;

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
