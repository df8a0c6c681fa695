//! A piece of memory with whole lines in it, and with a spool the mapped file that has the same lines.

use crate::config::Precision;
use crate::line_protocol::split::{line_end, lines_with_ends};
use crate::spool::Twin;

/// Whole lines, each with its line feed. Never grows beyond the capacity that it was made with: writing a
/// line never moves the others.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    /// Where the first line starts: those before it were dropped as the oldest.
    start: usize,
    lines: usize,
    twin: Option<Twin>,
}

impl Chunk {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), ..Self::default() }
    }

    /// The lines of a buffer.
    pub(crate) fn of(bytes: Vec<u8>, lines: usize) -> Self {
        Self { bytes, lines, ..Self::default() }
    }

    /// Whether so many more lines of so many bytes in all fit.
    #[inline]
    pub(crate) fn fits(&self, lines: usize, bytes: usize) -> bool {
        self.bytes.capacity() - self.bytes.len() >= bytes
            && self.twin.as_ref().is_none_or(|twin| twin.fits(lines, bytes))
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(crate) fn lines(&self) -> usize {
        self.lines
    }

    /// Its lines.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn has_twin(&self) -> bool {
        self.twin.is_some()
    }

    /// Has lines written to a file as well from now on.
    pub(crate) fn set_twin(&mut self, twin: Twin) {
        self.twin = Some(twin);
    }

    pub(crate) fn take_twin(&mut self) -> Option<Twin> {
        self.twin.take()
    }

    /// Makes an empty chunk ready for lines of that kind. Gives back a twin that cannot be.
    pub(crate) fn begin(&mut self, database: &str, precision: Precision) -> Option<Twin> {
        let is_ready = self.twin.as_mut().is_none_or(|twin| twin.begin(database, precision));
        if is_ready { None } else { self.twin.take() }
    }

    /// Appends one line that `write` appends to the bytes. The caller has seen to the room.
    #[inline]
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.lines += 1;
        if let Some(twin) = &mut self.twin {
            twin.append(&self.bytes[start..]);
        }
    }

    /// Whether it can take in all lines of another. One that is on disk is not copied to where they would not be.
    pub(crate) fn takes_in(&self, other: &Self) -> bool {
        self.fits(other.lines, other.bytes().len()) && (self.has_twin() || !other.has_twin())
    }

    /// Appends a copy of whole lines. The caller has seen to the room.
    pub(crate) fn append(&mut self, bytes: &[u8], lines: usize) {
        self.bytes.extend_from_slice(bytes);
        self.lines += lines;
        if let Some(twin) = &mut self.twin {
            lines_with_ends(bytes).for_each(|line| twin.append(line));
        }
    }

    /// Forgets the first line. Returns its length, or `None` if there is none.
    pub(crate) fn drop_first_line(&mut self) -> Option<usize> {
        let len = line_end(self.bytes());
        self.lines = self.lines.checked_sub(1)?;
        self.start += len;
        Some(len)
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
        self.lines = 0;
        if let Some(twin) = &mut self.twin {
            twin.clear();
        }
    }
}
