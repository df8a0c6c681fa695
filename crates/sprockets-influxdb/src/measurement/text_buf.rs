//! A buffer for line protocol as it grows.

use std::ops::Range;

use super::swar;

/// Escaped text. `bytes` is initialised beyond `len`, so that short strings are stored in place,
/// word by word, without a call.
#[derive(Clone, Debug, Default)]
pub(super) struct TextBuf {
    bytes: Vec<u8>,
    len: usize,
    is_repaired: bool,
}

impl TextBuf {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity], ..Self::default() }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a character of the text was replaced, as no server can store it.
    pub(super) fn is_repaired(&self) -> bool {
        self.is_repaired
    }

    pub(super) fn mark_repaired(&mut self) {
        self.is_repaired = true;
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.is_repaired = false;
    }

    /// Removes all but the first `len` bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Removes a range of bytes.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        let removed = range.len();
        self.bytes.copy_within(range.end..self.len, range.start);
        self.len -= removed;
    }

    /// Replaces a range by the bytes from `tail` to the end, which move there.
    pub(super) fn replace(&mut self, range: Range<usize>, tail: usize) {
        let new = self.len - tail;
        self.remove(range.clone());
        self.bytes[range.start..self.len].rotate_right(new);
    }

    /// Sets the first byte, if there is one.
    pub(super) fn set_first(&mut self, byte: u8) {
        if let Some(first) = self.bytes[..self.len].first_mut() {
            *first = byte;
        }
    }

    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        self.reserve(1);
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    /// Appends `text` unchanged.
    #[inline]
    pub(super) fn push_raw(&mut self, text: &[u8]) {
        let end = self.len + text.len();
        swar::copy(self.spare(text.len()), text, |_, _| ());
        self.set_len(end);
    }

    /// Makes this a copy of another one.
    #[inline]
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.clear();
        self.spare(other.len).copy_from_slice(other.as_bytes());
        self.len = other.len;
        self.is_repaired = other.is_repaired;
    }

    /// The `len` bytes after the end, to be written to. [`set_len`](Self::set_len) appends them.
    #[inline]
    pub(super) fn spare(&mut self, len: usize) -> &mut [u8] {
        self.reserve(len);
        &mut self.bytes[self.len..self.len + len]
    }

    /// Sets the length, after bytes of [`spare`](Self::spare) were written.
    #[inline]
    pub(super) fn set_len(&mut self, len: usize) {
        self.len = len;
    }

    #[inline]
    fn reserve(&mut self, additional: usize) {
        let needed = self.len + additional;
        if self.bytes.len() < needed {
            self.grow(needed);
        }
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        self.bytes.resize(needed.next_power_of_two(), 0);
    }
}
