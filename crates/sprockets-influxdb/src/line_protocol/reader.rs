//! Cuts a stream of line protocol into lines, in memory that is bounded by the longest line.

use std::io::{self, ErrorKind, Read};

use memchr::memchr;

use crate::line_protocol::split::known_line_end;

const BUFFER: usize = 256 * 1024;

/// Beyond what servers take in one request by default, so what has no end in it is not line protocol.
const LONGEST_LINE: usize = 16 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The lines of line protocol in a file or a stream, with their numbers. A line break within a string does not end a line.
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
    is_drained: bool,
    /// Line breaks so far.
    breaks: u64,
}

/// A line as it stands in its file; blank ones are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceLine<'a> {
    /// Without its line break.
    pub bytes: &'a [u8],
    /// The number of the line, from 1.
    pub first: u64,
    /// The number of its last part: more than the first, where line breaks stand in its strings.
    pub last: u64,
}

impl SourceLine<'_> {
    /// Whether it is a comment: its first character is a `#`.
    pub fn is_comment(&self) -> bool {
        is_comment(self.bytes)
    }
}

impl<R: Read> LineReader<R> {
    /// Reads whole pieces of its own: there is no need for a buffered reader.
    pub fn new(reader: R) -> Self {
        let buffer = vec![0; BUFFER];
        Self { reader, buffer, start: 0, end: 0, is_drained: false, breaks: 0 }
    }

    /// The next line that is not blank, if there is one.
    ///
    /// # Errors
    ///
    /// Those of the reader, and a line without an end in 16 MiB.
    pub fn next_line(&mut self) -> io::Result<Option<SourceLine<'_>>> {
        loop {
            let Some(length) = self.find_line()? else { return Ok(None) };
            let (start, first) = (self.start, self.breaks + 1);
            self.start += length;
            let line = &self.buffer[start..start + length];
            self.breaks += line.iter().filter(|&&byte| byte == b'\n').count() as u64;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let is_ended = line.last() == Some(&b'\n');
            let last = self.breaks + u64::from(!is_ended);
            let bytes = &self.buffer[start..start + length - usize::from(is_ended)];
            return Ok(Some(SourceLine { bytes, first, last }));
        }
    }

    /// The length of the line at the start, with its line break, reading until it is known.
    fn find_line(&mut self) -> io::Result<Option<usize>> {
        loop {
            if self.breaks == 0 && self.buffer[self.start..self.end].starts_with(BYTE_ORDER_MARK) {
                self.start += BYTE_ORDER_MARK.len();
            }
            let bytes = &self.buffer[self.start..self.end];
            let (found, otherwise) = match ends(bytes) {
                Ok(end) => (Some(end), end),
                Err(end) => (None, end),
            };
            if found.is_some() {
                return Ok(found);
            }
            if self.is_drained {
                return Ok(Some(otherwise).filter(|end| *end > 0));
            }
            if bytes.len() >= LONGEST_LINE {
                // A string that is never closed has line breaks all the same.
                return if otherwise < bytes.len() {
                    Ok(Some(otherwise))
                } else {
                    Err(self.endless())
                };
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
                Ok(0) => self.is_drained = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }

    fn endless(&self) -> io::Error {
        let line = self.breaks + 1;
        let told =
            format!("line {line} has no end in {} MiB: expected line protocol", LONGEST_LINE >> 20);
        io::Error::new(ErrorKind::InvalidData, told)
    }
}

/// Where the first line ends; an `Err` if more bytes could change it. In a comment a quote is just that.
fn ends(bytes: &[u8]) -> Result<usize, usize> {
    match bytes.iter().position(|byte| *byte != b' ') {
        None => Err(bytes.len()),
        Some(_) if is_comment(bytes) => {
            memchr(b'\n', bytes).map(|found| found + 1).ok_or(bytes.len())
        }
        // The end of spaces before a name is none of the name's.
        Some(indent) => match known_line_end(&bytes[indent..]) {
            Ok(end) => Ok(indent + end),
            Err(end) => Err(indent + end),
        },
    }
}

fn is_comment(bytes: &[u8]) -> bool {
    bytes.iter().find(|byte| **byte != b' ') == Some(&b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(1);
            self.0.read(&mut buffer[..length])
        }
    }

    fn lines(reader: impl Read) -> Vec<(u64, u64, String)> {
        let (mut reader, mut lines) = (LineReader::new(reader), Vec::new());
        while let Some(line) = reader.next_line().unwrap() {
            lines.push((line.first, line.last, String::from_utf8(line.bytes.to_vec()).unwrap()));
        }
        lines
    }

    #[test]
    fn lines_are_cut_alike_however_they_arrive() {
        let text =
            "\u{feff}# it's \"quoted\n\n  m,t=\"a\" f=\"x\n# y\" 1\r\n \r\n  n f=1 2\n# end\nm f=3";
        let expected = [
            (1, 1, "# it's \"quoted"),
            (3, 4, "  m,t=\"a\" f=\"x\n# y\" 1\r"),
            (6, 6, "  n f=1 2"),
            (7, 7, "# end"),
            (8, 8, "m f=3"),
        ];
        let expected = expected.map(|(first, last, line)| (first, last, line.to_owned()));
        assert_eq!(lines(text.as_bytes()), expected);
        assert_eq!(lines(Slow(text.as_bytes())), expected);
        assert_eq!(lines(&b""[..]), []);
        assert_eq!(lines(&b"\n \n"[..]), []);
    }

    #[test]
    fn a_string_that_is_never_closed_takes_one_line_with_it() {
        let text = "m f=\"a 1\nm f=2 2\n";
        assert_eq!(lines(text.as_bytes()), [(1, 1, "m f=\"a 1".into()), (2, 2, "m f=2 2".into())]);
        let mut long = b"m f=\"a 1\n".to_vec();
        long.resize(LONGEST_LINE + (1 << 20), b'x');
        long.extend_from_slice(b"\nm f=2 2\n");
        let mut reader = LineReader::new(&*long);
        assert_eq!(reader.next_line().unwrap().unwrap().bytes, b"m f=\"a 1");
        let error = reader.next_line().unwrap_err().to_string();
        assert!(error.starts_with("line 2 has no end in 16 MiB"), "{error}");
    }

    #[test]
    fn a_line_may_be_longer_than_the_buffer() {
        let string = "y".repeat(3 * BUFFER);
        let text = format!("m f=\"{string}\" 1\nm f=2 2\n");
        let found = lines(text.as_bytes());
        assert_eq!((found.len(), found[0].2.len()), (2, string.len() + 8));
    }
}
