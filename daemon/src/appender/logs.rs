//! What the committer needs of the files that it commits to.

use format::LogWriter;

use super::exchange::Exchange;

/// Where the next log comes from: the data directory, and in tests one in memory.
pub(crate) trait Logs: Send {
    /// Notes that the log ends here, synced, and creates the one after it.
    ///
    /// # Errors
    ///
    /// [`format::Error::Full`] if there is no space, and one that is out of descriptors: the log stays open and is asked about again. Anything
    /// else is final.
    fn next(&mut self, ended: &LogWriter) -> Result<LogWriter, format::Error>;

    /// Whether a log may grow by so many bytes for events, where no live log is longer than `longest_log`: a full disk keeps a reserve.
    fn has_room(&self, growth: u64, longest_log: u64) -> bool;

    /// Commits segments: they are live when this returns, and what they take the place of is not.
    ///
    /// # Errors
    ///
    /// [`format::Error::Full`] if there is no space: nothing has changed and this may be tried again. Anything else is final.
    fn exchange(&mut self, exchange: &Exchange) -> Result<(), format::Error>;

    /// Does what makes files shorter and that nobody waits for.
    ///
    /// # Errors
    ///
    /// Only what is final.
    fn tidy(&mut self) -> Result<(), format::Error>;
}
