//! Lines cut from a stream and gathered into bodies of bounded size.
//!
//! Invariants, whatever the pieces the stream arrives in:
//!
//! * Every line that is not blank is in exactly one body, in order, without its line end; or it is named as too long.
//! * A body keeps both limits of the endpoint; its memory is bounded however long the lines of the stream are.
//!
//! Lines are not parsed: the daemon does that, and says which are bad.

use std::io::{self, BufRead, Read};

/// The most lines of a body: the endpoint's limit.
pub(super) const MAX_LINES: usize = 8_192;

/// The longest body: the endpoint's limit.
pub(super) const MAX_BODY_BYTES: usize = 2 << 20;

/// The longest line: the endpoint's limit.
pub(super) const MAX_LINE_BYTES: usize = 64 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Lines that are sent together.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Body {
    /// The lines, each with a `\n`.
    pub(super) bytes: Vec<u8>,
    /// For each line of `bytes` its number in the stream, from 1.
    pub(super) numbers: Vec<u64>,
    /// The numbers of lines that are not sent, because they are longer than [`MAX_LINE_BYTES`].
    pub(super) too_long: Vec<u64>,
}

/// A stream of lines.
pub(super) struct Lines<R> {
    input: R,
    /// The line read last, as it stands in the stream.
    line: Vec<u8>,
    /// Its number.
    number: u64,
    /// Whether it is still to be put into a body.
    held: bool,
    /// Why reading stopped, still to be told.
    failure: Option<io::Error>,
    limits: Limits,
}

/// How much fits into a body and a line; smaller in tests.
#[derive(Clone, Copy, Debug)]
struct Limits {
    lines: usize,
    body_bytes: usize,
    line_bytes: usize,
}

enum Next {
    Line,
    TooLong,
    End,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Lines<R> {
        Lines::with_limits(input, Limits { lines: MAX_LINES, body_bytes: MAX_BODY_BYTES, line_bytes: MAX_LINE_BYTES })
    }

    fn with_limits(input: R, limits: Limits) -> Lines<R> {
        Lines { input, line: Vec::new(), number: 0, held: false, failure: None, limits }
    }

    /// The next body; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// Those of the stream, after the lines before the failure were given. A line cut short by it is not given.
    pub(super) fn next_body(&mut self) -> io::Result<Option<Body>> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let mut body = Body::default();
        while body.numbers.len() < self.limits.lines && body.too_long.len() < self.limits.lines {
            match self.next_line() {
                Ok(Next::Line) if body.bytes.len() + self.text().len() < self.limits.body_bytes => body.push(self.number, self.text()),
                Ok(Next::Line) => {
                    self.held = true;
                    break;
                }
                Ok(Next::TooLong) => body.too_long.push(self.number),
                Ok(Next::End) => break,
                Err(failure) if body.is_empty() => return Err(failure),
                Err(failure) => {
                    self.failure = Some(failure);
                    break;
                }
            }
        }
        Ok(if body.is_empty() { None } else { Some(body) })
    }

    /// Reads the next line that is not blank into `self.line`.
    fn next_line(&mut self) -> io::Result<Next> {
        if std::mem::take(&mut self.held) {
            return Ok(Next::Line);
        }
        loop {
            self.line.clear();
            let longest = BYTE_ORDER_MARK.len() + self.limits.line_bytes + b"\r\n".len();
            let read = self.input.by_ref().take(longest as u64).read_until(b'\n', &mut self.line)?;
            if read == 0 {
                return Ok(Next::End);
            }
            self.number += 1;
            if read == longest && !self.line.ends_with(b"\n") {
                self.input.skip_until(b'\n')?;
            }
            if self.text().len() > self.limits.line_bytes {
                return Ok(Next::TooLong);
            }
            if !self.text().trim_ascii().is_empty() {
                return Ok(Next::Line);
            }
        }
    }

    /// The line without what belongs to the file: line end and byte order mark.
    fn text(&self) -> &[u8] {
        let text = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if self.number == 1 { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text) } else { text }
    }
}

impl Body {
    fn push(&mut self, number: u64, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
        self.numbers.push(number);
    }

    /// Takes the second half of the lines away, or returns `None` if there is only one.
    pub(super) fn split_off(&mut self) -> Option<Body> {
        let kept = self.numbers.len() / 2;
        let last = kept.checked_sub(1)?;
        let (end, _) = self.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(last)?;
        Some(Body { bytes: self.bytes.split_off(end + 1), numbers: self.numbers.split_off(kept), too_long: Vec::new() })
    }

    fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.too_long.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    /// Gives its bytes in pieces of the lengths told, over and over.
    struct Pieces<'a> {
        bytes: &'a [u8],
        lengths: std::iter::Cycle<std::slice::Iter<'a, usize>>,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.lengths.next().copied().unwrap_or(1).min(into.len()).min(self.bytes.len());
            let (piece, rest) = self.bytes.split_at(length);
            into[..length].copy_from_slice(piece);
            self.bytes = rest;
            Ok(length)
        }
    }

    const SMALL: Limits = Limits { lines: 3, body_bytes: 24, line_bytes: 10 };

    fn bodies(input: impl BufRead, limits: Limits) -> Vec<Body> {
        let mut lines = Lines::with_limits(input, limits);
        std::iter::from_fn(|| lines.next_body().unwrap()).collect()
    }

    /// What was read: number and text of each line, `None` for one that is too long.
    fn read(bodies: &[Body]) -> Vec<(u64, Option<String>)> {
        let mut lines: Vec<(u64, Option<String>)> = Vec::new();
        for body in bodies {
            let texts =
                body.bytes.split_inclusive(|&byte| byte == b'\n').map(|line| String::from_utf8_lossy(&line[..line.len() - 1]).into_owned());
            lines.extend(body.numbers.iter().copied().zip(texts.map(Some)));
            lines.extend(body.too_long.iter().map(|&number| (number, None)));
        }
        lines.sort();
        lines
    }

    /// The reference: the whole text at once.
    fn plainly_split(text: &[u8], limits: Limits) -> Vec<(u64, Option<String>)> {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let lines = (1u64..).zip(text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)));
        let told = lines.filter(|(_, line)| line.len() > limits.line_bytes || !line.trim_ascii().is_empty());
        told.map(|(number, line)| (number, (line.len() <= limits.line_bytes).then(|| String::from_utf8_lossy(line).into_owned()))).collect()
    }

    #[test]
    fn line_ends_blank_lines_and_a_byte_order_mark_are_no_part_of_lines() {
        let text = b"\xef\xbb\xbfa\r\n\n  \r\n b \nc";
        let only = &bodies(&text[..], SMALL)[0];
        assert_eq!(only.bytes, b"a\n b \nc\n");
        assert_eq!(only.numbers, [1, 4, 5]);
        assert_eq!(bodies(&b""[..], SMALL), []);
        assert_eq!(bodies(&b"\n\r\n"[..], SMALL), []);
    }

    #[test]
    fn bodies_keep_the_limits_of_the_endpoint() {
        let by_lines: Vec<usize> = bodies(&b"a\nb\nc\nd\n"[..], SMALL).iter().map(|body| body.numbers.len()).collect();
        assert_eq!(by_lines, [3, 1]);
        let by_bytes: Vec<usize> =
            bodies(&b"0123456789\n0123456789\n0123456789\n"[..], SMALL).iter().map(|body| body.bytes.len()).collect();
        assert_eq!(by_bytes, [22, 11]);
        let whole = vec![b'x'; MAX_LINE_BYTES];
        assert_eq!(Lines::new(&whole[..]).next_body().unwrap().unwrap().numbers, [1]);
    }

    #[test]
    fn a_line_that_is_too_long_is_named_and_the_next_one_is_whole() {
        let bodies = bodies(&b"a\n0123456789a\n0123456789\r\n01234567890123456789\nb"[..], SMALL);
        assert_eq!(read(&bodies).iter().filter(|(_, line)| line.is_none()).map(|(number, _)| *number).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(read(&bodies).len(), 5);
    }

    #[test]
    fn a_body_splits_between_lines_until_one_is_left() {
        let mut first = bodies(&b"a\n\nbb\n0123456789a\nccc"[..], SMALL).remove(0);
        let mut second = first.split_off().unwrap();
        assert_eq!((&first.bytes[..], &first.numbers[..], &first.too_long[..]), (&b"a\n"[..], &[1][..], &[4][..]));
        assert_eq!((&second.bytes[..], &second.numbers[..], &second.too_long[..]), (&b"bb\nccc\n"[..], &[3, 5][..], &[][..]));
        assert_eq!(first.split_off(), None);
        assert_eq!(second.split_off().unwrap().bytes, b"ccc\n");
    }

    #[test]
    fn a_broken_stream_gives_its_whole_lines_first() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
        let mut lines = Lines::new(BufReader::new(b"a\nb\nhalf".chain(Broken)));
        assert_eq!(lines.next_body().unwrap().unwrap().bytes, b"a\nb\n");
        assert_eq!(lines.next_body().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    proptest! {
        #[test]
        fn any_pieces_give_the_lines_of_the_whole(
            lines in prop::collection::vec(("[ a-z]{0,14}", prop::sample::select(vec!["\n", "\r\n", "\n\n"])), 0..40),
            mark: bool,
            final_end: bool,
            lengths in prop::collection::vec(1usize..9, 1..8),
            capacity in 1usize..16,
        ) {
            let mut text: Vec<u8> = if mark { BYTE_ORDER_MARK.to_vec() } else { Vec::new() };
            lines.iter().for_each(|(line, end)| text.extend([line.as_bytes(), end.as_bytes()].concat()));
            if !final_end {
                text.truncate(text.trim_ascii_end().len());
            }
            let pieces = Pieces { bytes: &text, lengths: lengths.iter().cycle() };
            let bodies = bodies(BufReader::with_capacity(capacity, pieces), SMALL);
            for body in &bodies {
                prop_assert!(body.numbers.len() <= SMALL.lines && body.bytes.len() <= SMALL.body_bytes);
            }
            prop_assert_eq!(read(&bodies), plainly_split(&text, SMALL));
        }
    }
}
