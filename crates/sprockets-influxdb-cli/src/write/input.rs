//! The inputs: files one after the other, or standard input, decompressed if they are gzip.

use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sprockets_influxdb::internal::shown;

use super::gzip::Members;
use crate::exit::Problem;

const GZIP: [u8; 2] = [0x1f, 0x8b];

#[derive(Debug)]
pub(crate) struct Inputs {
    /// `None` is standard input.
    files: Vec<Option<PathBuf>>,
    /// Their bytes, if all are plain files.
    size: Option<u64>,
    /// Bytes read, before decompression.
    read: Arc<AtomicU64>,
}

type Reader = Box<dyn Read + Send>;

impl Inputs {
    /// Opens each file once, to fail before anything is written if one cannot be read.
    pub(crate) fn new(files: &[PathBuf]) -> Result<Self, Problem> {
        let stdin = [PathBuf::from("-")];
        let files = if files.is_empty() { &stdin } else { files };
        let files: Vec<_> = files
            .iter()
            .map(|file| Some(file.clone()).filter(|file| file != Path::new("-")))
            .collect();
        let mut size = Some(0);
        for file in &files {
            let length = match file {
                Some(file) => length(file)
                    .map_err(|error| format!("{} cannot be read: {error}", shown(file)))?,
                None => None,
            };
            size = size.zip(length).map(|(sum, length)| sum + length);
        }
        Ok(Self { files, size, read: Arc::default() })
    }

    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// The number of bytes read so far, before decompression.
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        self.read.clone()
    }

    /// Opens one input after the other. Each comes with its name.
    pub(crate) fn open(self) -> impl Iterator<Item = (String, io::Result<Reader>)> {
        let read = self.read;
        self.files.into_iter().map(move |file| {
            let name = file.as_deref().map_or("-".to_owned(), shown);
            (name, open(file.as_deref(), read.clone()))
        })
    }
}

/// `None` if it is not a plain file.
fn length(file: &Path) -> io::Result<Option<u64>> {
    let metadata = std::fs::metadata(file)?;
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    if !metadata.is_file() {
        return Ok(None);
    }
    File::open(file)?;
    Ok(Some(metadata.len()))
}

fn open(file: Option<&Path>, count: Arc<AtomicU64>) -> io::Result<Reader> {
    let mut reader: Reader = match file {
        Some(file) => Box::new(Counted { reader: File::open(file)?, count }),
        None => Box::new(Counted { reader: io::stdin(), count }),
    };
    let start = peek(&mut reader)?;
    let is_gzip = start == GZIP;
    reader = Box::new(Cursor::new(start).chain(reader));
    if is_gzip {
        reader = Box::new(Members::new(BufReader::new(reader)));
    }
    let start = peek(&mut reader)?;
    if is_utf16(&start) {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "it is UTF-16: expected UTF-8; convert it, such as by `iconv -f UTF-16 -t UTF-8`",
        ));
    }
    Ok(Box::new(Cursor::new(start).chain(reader)))
}

/// The first two bytes.
fn peek(reader: &mut Reader) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    reader.by_ref().take(2).read_to_end(&mut start)?;
    Ok(start)
}

/// Whether a text begins with UTF-16's mark, or an ASCII character in UTF-16.
fn is_utf16(start: &[u8]) -> bool {
    matches!(start, [0xff, 0xfe] | [0xfe, 0xff] | [0, 1..=0x7f] | [1..=0x7f, 0])
}

struct Counted<R> {
    reader: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
