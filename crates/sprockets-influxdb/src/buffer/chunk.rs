//! A piece of storage for whole lines: one thread writes it, then one sender reads it.

use super::lines::line_end;

/// Bytes of whole lines, each with its line feed. Never grows beyond the capacity that it was made with: writing a
/// line never moves the others.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    /// Where the first line starts: those before it were dropped as the oldest.
    start: usize,
    lines: usize,
}

impl Chunk {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), start: 0, lines: 0 }
    }

    /// How many more bytes fit.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
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

    /// Appends one line that `write` appends to the bytes. The caller has seen to the room.
    #[inline]
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.lines += 1;
    }

    /// Appends a copy of whole lines. The caller has seen to the room.
    pub(crate) fn append(&mut self, bytes: &[u8], lines: usize) {
        self.bytes.extend_from_slice(bytes);
        self.lines += lines;
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
    }
}
