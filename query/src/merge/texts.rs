//! Dictionaries of inputs as one.

use format::Segment;
use format::sealed::Entries;

use super::{Inputs, LOOK_EVERY, of};
use crate::error::Error;
use crate::kway::{KWay, Sorted, feed};
use crate::rows::nonsense;

/// The mark of an entry that rows of the output have, in a table that will have its new code; 0 marks others.
pub(super) const WANTED: u32 = 1;

/// A table of new codes by code, for entries that are all wanted, or none.
pub(super) fn table(entries: u32, are_wanted: bool) -> Vec<u32> {
    vec![if are_wanted { WANTED } else { 0 }; entries as usize + 1]
}

/// A dictionary to be merged with others, and the new codes of its entries by their codes: first marks, then codes.
pub(super) struct Texts<'a> {
    from: From<'a>,
    code: u32,
    codes: &'a mut [u32],
}

enum From<'a> {
    Stored(&'a Segment, Entries<'a>),
    Made(std::vec::IntoIter<&'a [u8]>),
}

impl<'a> Texts<'a> {
    /// A dictionary of a segment.
    pub(super) fn stored(segment: &'a Segment, entries: Entries<'a>, codes: &'a mut [u32]) -> Texts<'a> {
        Texts::new(From::Stored(segment, entries), codes)
    }

    /// Sorted entries, all of them wanted.
    pub(super) fn made(entries: Vec<&'a [u8]>, codes: &'a mut [u32]) -> Texts<'a> {
        Texts::new(From::Made(entries.into_iter()), codes)
    }

    fn new(from: From<'a>, codes: &'a mut [u32]) -> Texts<'a> {
        // What is absent stays so, marked or not.
        codes[0] = 0;
        Texts { from, code: 0, codes }
    }
}

impl Sorted for Texts<'_> {
    type Key = Vec<u8>;
    type Item = u32;

    fn next(&mut self) -> Result<Option<(Vec<u8>, u32)>, Error> {
        loop {
            self.code += 1;
            let is_wanted = self.codes.get(self.code as usize).is_some_and(|mark| *mark != 0);
            let entry = match &mut self.from {
                From::Stored(segment, entries) => of(segment, entries.next())?,
                From::Made(entries) => entries.next(),
            };
            match entry {
                Some(entry) if is_wanted => return Ok(Some((entry.to_vec(), self.code))),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    fn out_of_order(&self) -> Error {
        match &self.from {
            From::Stored(segment, _) => Error::from(nonsense(segment, "dictionary")).in_segment(segment),
            From::Made(_) => unreachable!("entries that were made here were sorted"),
        }
    }
}

/// Gives `write` the wanted entries of all `texts`, in order and each once, and leaves their new codes in the tables.
///
/// # Errors
///
/// Those of reading and of `write`; [`Error::Stopped`].
pub(super) fn merge(
    inputs: &Inputs<'_>,
    texts: Vec<Texts<'_>>,
    write: impl FnOnce(&mut dyn Iterator<Item = Vec<u8>>) -> Result<(), format::Error>,
) -> Result<(), Error> {
    let mut texts = KWay::new(texts)?;
    let (mut count, mut same) = (0u32, Vec::new());
    let next = || {
        if count.is_multiple_of(LOOK_EVERY) {
            inputs.go_on()?;
        }
        let entry = texts.next(&mut same)?;
        count += 1;
        for (source, code) in &same {
            texts.sources()[*source].codes[*code as usize] = count;
        }
        Ok(entry)
    };
    feed(next, write)
}
