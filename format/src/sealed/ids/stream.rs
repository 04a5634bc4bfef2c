//! The streams of bytes that ids stand in: the seam between this component and the file around it, where tests put bytes in memory.

use std::ops::Range;

use crate::error::Error;
use crate::sealed::blocks::Input;
use crate::sealed::output::Output;
use crate::sealed::section::Section;

/// Takes bytes that are to be had back from a [`Source`].
pub(in crate::sealed) trait Sink {
    /// Appends to a stream.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`].
    fn append(&mut self, section: Section, bytes: &[u8]) -> Result<(), Error>;
}

/// Gives back what was appended to a [`Sink`].
pub(in crate::sealed) trait Source {
    /// The length of a stream in bytes; 0 if nothing was appended to it.
    fn len(&self, section: Section) -> u64;

    /// A range of a stream, verified.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Corrupt`] if the bytes do not verify, or the range passes the end of the stream.
    fn read<'b>(&'b self, section: Section, range: Range<u64>, scratch: &'b mut Vec<u8>) -> Result<&'b [u8], Error>;

    /// What to say of bytes at `at` that verify and make no sense.
    fn undecodable(&self, section: Section, at: u64) -> Error;

    /// The `N` bytes at `at` of a stream.
    ///
    /// # Errors
    ///
    /// As [`Source::read`].
    fn array<const N: usize>(&self, section: Section, at: u64, scratch: &mut Vec<u8>) -> Result<[u8; N], Error> {
        let end = at.checked_add(N as u64).ok_or_else(|| self.undecodable(section, at))?;
        let bytes = self.read(section, at..end, scratch)?;
        bytes.try_into().map_err(|_| self.undecodable(section, at))
    }
}

impl Sink for Output {
    fn append(&mut self, section: Section, bytes: &[u8]) -> Result<(), Error> {
        Output::append(self, section, bytes)
    }
}

impl Source for Input {
    fn len(&self, section: Section) -> u64 {
        Input::len(self, section)
    }

    fn read<'b>(&'b self, section: Section, range: Range<u64>, scratch: &'b mut Vec<u8>) -> Result<&'b [u8], Error> {
        Input::read(self, section, range, scratch)
    }

    fn undecodable(&self, section: Section, at: u64) -> Error {
        self.undecodable_at(section, at)
    }
}
