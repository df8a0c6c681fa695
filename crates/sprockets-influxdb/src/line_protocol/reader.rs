//! Cuts a stream of line protocol into lines. The longest line bounds the memory it takes.

use std::io::{self, ErrorKind, Read};

use memchr::memchr;

use super::split::known_line_end;

const INITIAL_BUFFER_BYTES: usize = 256 * 1024;

/// More than servers accept in one request by default. Input without a line end in so many bytes
/// is not line protocol.
const MAX_LINE_BYTES: usize = 16 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads line protocol from a file or a stream, line by line, with line numbers. A line break
/// within a string does not end a line.
///
/// ```
/// use sprockets_influxdb::LineReader;
///
/// let mut reader = LineReader::new(&b"# two\nm f=\"a\nb\" 1\n\nm f=\"c\" 2\n"[..]);
/// let mut lines = Vec::new();
/// while let Some(line) = reader.next_line()? {
///     lines.push((line.first, line.last, line.is_comment()));
/// }
/// assert_eq!(lines, [(1, 1, true), (2, 3, false), (5, 5, false)]);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct LineReader<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    is_at_end: bool,
    /// Line breaks in the lines returned so far.
    line_breaks: u64,
}

/// A line of a [`LineReader`]'s input. The reader skips blank lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceLine<'a> {
    /// The line without its line break.
    pub bytes: &'a [u8],
    /// The number of the input line on which it begins, from 1.
    pub first: u64,
    /// The number of the input line on which it ends: more than `first` if strings in the line
    /// contain line breaks.
    pub last: u64,
}

impl SourceLine<'_> {
    /// Whether the line is a comment: its first character after spaces is `#`.
    pub fn is_comment(&self) -> bool {
        is_comment(self.bytes)
    }
}

impl<R: Read> LineReader<R> {
    /// A reader of lines from `reader`, which need not be buffered.
    pub fn new(reader: R) -> Self {
        let buffer = vec![0; INITIAL_BUFFER_BYTES];
        Self { reader, buffer, start: 0, end: 0, is_at_end: false, line_breaks: 0 }
    }

    /// The next line that is not blank, or `None` at the end.
    ///
    /// # Errors
    ///
    /// Errors of the underlying reader, and [`ErrorKind::InvalidData`] for a line of more than
    /// 16 MiB.
    pub fn next_line(&mut self) -> io::Result<Option<SourceLine<'_>>> {
        loop {
            let Some(length) = self.find_line()? else { return Ok(None) };
            let (start, first) = (self.start, self.line_breaks + 1);
            self.start += length;
            let line = &self.buffer[start..start + length];
            self.line_breaks += line.iter().filter(|&&byte| byte == b'\n').count() as u64;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let is_ended = line.last() == Some(&b'\n');
            let last = self.line_breaks + u64::from(!is_ended);
            let bytes = &self.buffer[start..start + length - usize::from(is_ended)];
            return Ok(Some(SourceLine { bytes, first, last }));
        }
    }

    /// Reads until the length of the next line, with its line break, is known.
    fn find_line(&mut self) -> io::Result<Option<usize>> {
        loop {
            if self.line_breaks == 0
                && self.buffer[self.start..self.end].starts_with(BYTE_ORDER_MARK)
            {
                self.start += BYTE_ORDER_MARK.len();
            }
            let bytes = &self.buffer[self.start..self.end];
            let end = match source_line_end(bytes) {
                Ok(end) => return Ok(Some(end)),
                Err(end) => end,
            };
            if self.is_at_end {
                return Ok(Some(end).filter(|end| *end > 0));
            }
            if bytes.len() >= MAX_LINE_BYTES {
                // A string that is never closed may still be followed by a line break.
                return if end < bytes.len() { Ok(Some(end)) } else { Err(self.too_long()) };
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(2 * self.end, 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.is_at_end = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }

    fn too_long(&self) -> io::Error {
        let (line, limit) = (self.line_breaks + 1, MAX_LINE_BYTES >> 20);
        let message = format!("line {line} has no end in {limit} MiB: expected line protocol");
        io::Error::new(ErrorKind::InvalidData, message)
    }
}

/// Where the first line of an input ends. `Err` if more bytes could change it.
fn source_line_end(bytes: &[u8]) -> Result<usize, usize> {
    let Some(indent) = bytes.iter().position(|byte| *byte != b' ') else {
        return Err(bytes.len());
    };
    // Quotes in a comment open no string.
    if is_comment(bytes) {
        return memchr(b'\n', bytes).map(|found| found + 1).ok_or(bytes.len());
    }
    // Spaces before the name do not end the head.
    match known_line_end(&bytes[indent..]) {
        Ok(end) => Ok(indent + end),
        Err(end) => Err(indent + end),
    }
}

fn is_comment(bytes: &[u8]) -> bool {
    bytes.iter().find(|byte| **byte != b' ') == Some(&b'#')
}

#[cfg(test)]
mod tests;
