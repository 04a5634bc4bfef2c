//! Files of events, one after the other, plain or gzip.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec;

use flate2::bufread::MultiGzDecoder;

use super::lines::{Body, Lines};
use crate::cli::error::Error;

/// What is read at once.
const BUFFER_BYTES: usize = 256 << 10;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The files of one import.
pub(super) struct Source {
    waiting: vec::IntoIter<Input>,
    open: Option<(Input, Lines<Box<dyn BufRead + Send>>)>,
    read_bytes: Arc<AtomicU64>,
    /// The bytes of all files; unknown when one of them is no plain file.
    pub(super) total_bytes: Option<u64>,
}

/// A file that is read once.
#[derive(Clone, Debug)]
struct Input {
    /// Its place on the command line.
    place: usize,
    path: PathBuf,
}

/// A body, and where it came from.
pub(super) struct Piece {
    pub(super) body: Body,
    /// The file's place on the command line and its name.
    pub(super) file: (usize, String),
    /// How many bytes of all files had been read when this was cut.
    pub(super) read_bytes: u64,
}

impl Piece {
    /// Takes the second half of the lines away, or returns `None` if there is only one.
    pub(super) fn split_off(&mut self) -> Option<Piece> {
        let body = self.body.split_off()?;
        Some(Piece { body, file: self.file.clone(), read_bytes: self.read_bytes })
    }
}

impl Source {
    /// Looks at every file before any is read.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] for one that is missing or a directory; [`Error::StdinTwice`].
    pub(super) fn new(paths: &[PathBuf]) -> Result<Source, Error> {
        if paths.iter().filter(|path| is_stdin(path)).count() > 1 {
            return Err(Error::StdinTwice);
        }
        let sizes: Vec<Option<u64>> = paths.iter().map(|path| size(path)).collect::<Result<_, _>>()?;
        let inputs: Vec<Input> = paths.iter().enumerate().map(|(place, path)| Input { place, path: path.clone() }).collect();
        Ok(Source { waiting: inputs.into_iter(), open: None, read_bytes: Arc::default(), total_bytes: sizes.into_iter().sum() })
    }

    /// The next body of any file; `None` after the last one.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] for a file that cannot be opened or read to its end.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, Error> {
        loop {
            let (input, lines) = match &mut self.open {
                Some(open) => open,
                None => {
                    let Some(input) = self.waiting.next() else { return Ok(None) };
                    let lines = Lines::new(open(&input.path, &self.read_bytes).map_err(|source| input.error(source))?);
                    self.open.insert((input, lines))
                }
            };
            if let Some(body) = lines.next_body().map_err(|source| input.error(source))? {
                let file = (input.place, input.name());
                return Ok(Some(Piece { body, file, read_bytes: self.read_bytes.load(Ordering::Relaxed) }));
            }
            self.open = None;
        }
    }
}

impl Input {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn error(&self, source: io::Error) -> Error {
        Error::Input { name: if is_stdin(&self.path) { "the standard input".to_owned() } else { self.name() }, source }
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn size(path: &Path) -> Result<Option<u64>, Error> {
    if is_stdin(path) {
        return Ok(None);
    }
    let error = |source| Error::Input { name: path.display().to_string(), source };
    let metadata = fs::metadata(path).map_err(error)?;
    if metadata.is_dir() {
        return Err(error(io::ErrorKind::IsADirectory.into()));
    }
    Ok(metadata.is_file().then_some(metadata.len()))
}

fn open(path: &Path, read_bytes: &Arc<AtomicU64>) -> io::Result<Box<dyn BufRead + Send>> {
    let input: Box<dyn Read + Send> = if is_stdin(path) { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    decoded(Counting { input, read_bytes: Arc::clone(read_bytes) })
}

/// The text behind `input`, unpacked when it begins as gzip does, whatever the name of the file.
fn decoded(mut input: impl Read + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let mut magic = Vec::with_capacity(GZIP_MAGIC.len());
    input.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut magic)?;
    let is_gzip = magic == GZIP_MAGIC;
    let whole = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(magic).chain(input));
    if is_gzip {
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(whole))));
    }
    Ok(Box::new(whole))
}

/// Counts what is read, before it is unpacked: that is what a file's size can be compared with.
struct Counting<R> {
    input: R,
    read_bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        self.read_bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn all(source: &mut Source) -> Vec<(usize, Vec<u8>, Vec<u64>)> {
        std::iter::from_fn(|| source.next().unwrap()).map(|piece| (piece.file.0, piece.body.bytes, piece.body.numbers)).collect()
    }

    #[test]
    fn gzip_is_known_by_its_first_bytes_and_may_have_several_members() {
        let directory = tempfile::tempdir().unwrap();
        let (plain, packed, empty) = (directory.path().join("a"), directory.path().join("b"), directory.path().join("c.gz"));
        fs::write(&plain, "one\ntwo\n").unwrap();
        let members = [gzip(b"three\nfo"), gzip(b"ur\n")].concat();
        fs::write(&packed, &members).unwrap();
        fs::write(&empty, "").unwrap();
        let mut source = Source::new(&[plain, packed, empty]).unwrap();
        assert_eq!(source.total_bytes, Some(8 + members.len() as u64));
        let expected = [(0, b"one\ntwo\n".to_vec(), vec![1, 2]), (1, b"three\nfour\n".to_vec(), vec![1, 2])];
        assert_eq!(all(&mut source), expected);
        assert_eq!(source.read_bytes.load(Ordering::Relaxed), 8 + members.len() as u64);
    }

    #[test]
    fn a_truncated_gzip_file_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cut.gz");
        let packed = gzip(&(0u32..9999).map(|i| format!("{}\n", i.wrapping_mul(2_654_435_761))).collect::<String>().into_bytes());
        fs::write(&path, &packed[..packed.len() - 9]).unwrap();
        let mut source = Source::new(&[path]).unwrap();
        let failure = loop {
            match source.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the end of a cut file was taken for its end"),
                Err(failure) => break failure,
            }
        };
        assert!(failure.to_string().ends_with("cut.gz"), "{failure}");
    }

    #[test]
    fn files_are_looked_at_before_any_is_sent() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a");
        fs::write(&file, "x\n").unwrap();
        let missing = Source::new(&[file.clone(), directory.path().join("b")]).err().unwrap();
        assert!(missing.to_string().ends_with("/b"), "{missing}");
        assert!(Source::new(&[directory.path().to_owned()]).is_err());
        assert!(matches!(Source::new(&["-".into(), "-".into()]), Err(Error::StdinTwice)));
        assert_eq!(Source::new(&[file, "-".into()]).unwrap().total_bytes, None);
    }
}
