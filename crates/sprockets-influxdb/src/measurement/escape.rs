//! Escaping of names and tag values by their position in the line, and repair of what no server
//! can store.
//!
//! Most strings need neither. A scan of a few instructions finds those that do, while the string
//! is copied.

use super::swar::{Fingerprint, PlainCheck, copy, fingerprint};
use super::text_buf::TextBuf;

/// Where a string stands in a line. Each position has its own rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    Measurement,
    TagKey,
    TagValue,
    FieldKey,
}

/// A key that was appended to a text.
pub(super) struct Key {
    /// Where the separator before it stands.
    pub(super) start: usize,
    pub(super) fingerprint: u64,
}

impl TextBuf {
    /// Appends a name or a tag value.
    #[inline]
    pub(super) fn push_escaped(&mut self, text: &str, position: Position) {
        let (bytes, end) = (text.as_bytes(), self.len() + text.len());
        let mut check = PlainCheck::default();
        copy(self.spare(bytes.len()), bytes, |first, last| check.add(first, last));
        if check.is_plain() && !(position == Position::Measurement && bytes.first() == Some(&b'#'))
        {
            self.set_len(end);
        } else {
            self.push_bytewise(bytes, position);
        }
    }

    /// Appends a separator, a key, and an equals sign. An empty or reserved key is repaired.
    #[inline]
    pub(super) fn push_key(&mut self, separator: u8, key: &str, position: Position) -> Key {
        let (bytes, start) = (key.as_bytes(), self.len());
        let end = start + bytes.len() + 2;
        let (mut check, mut fingerprint) =
            (PlainCheck::default(), Fingerprint::of_length(bytes.len()));
        if let [before, place @ .., after] = self.spare(bytes.len() + 2) {
            *before = separator;
            copy(place, bytes, |first, last| {
                check.add(first, last);
                fingerprint.add(first, last);
            });
            *after = b'=';
        }
        if check.is_plain() && !is_reserved(key, position) {
            self.set_len(end);
            return Key { start, fingerprint: fingerprint.finish() };
        }
        self.push_key_bytewise(separator, key, position)
    }

    /// The text of the key that was appended last.
    pub(super) fn key(&self, key: &Key) -> &[u8] {
        let bytes = self.as_bytes();
        &bytes[key.start + 1..bytes.len() - 1]
    }

    #[cold]
    fn push_key_bytewise(&mut self, separator: u8, key: &str, position: Position) -> Key {
        let start = self.len();
        self.push(separator);
        self.push_bytewise(key.as_bytes(), position);
        if is_reserved(key, position) {
            self.push(b'_');
            self.mark_repaired();
        }
        let fingerprint = fingerprint(&self.as_bytes()[start + 1..]);
        self.push(b'=');
        Key { start, fingerprint }
    }

    /// Appends a string that is not plain. This is the only place with the rules of escaping and
    /// repair; the documentation of [`Measurement`](crate::Measurement) states them.
    #[cold]
    fn push_bytewise(&mut self, bytes: &[u8], position: Position) {
        let replace = |text: &mut Self, by: &[u8]| {
            text.mark_repaired();
            text.push_raw(by);
        };
        for (index, &byte) in bytes.iter().enumerate() {
            match byte {
                0..=0x1f | 0x7f => replace(self, b"\\ "),
                b' ' | b',' => self.push_raw(&[b'\\', byte]),
                b'=' if position != Position::Measurement => self.push_raw(b"\\="),
                b'"' if position == Position::FieldKey => replace(self, b"'"),
                b'#' if position == Position::Measurement && index == 0 => replace(self, b"-"),
                b'\\' => match bytes.get(index + 1) {
                    None | Some(b'\\' | b',' | b'=' | 0..=b' ' | 0x7f) => replace(self, b"/"),
                    Some(b'"') if position == Position::Measurement => replace(self, b"/"),
                    Some(_) => self.push(b'\\'),
                },
                _ => self.push(byte),
            }
        }
    }
}

/// Whether servers reject or strip such a key.
fn is_reserved(key: &str, position: Position) -> bool {
    match key.len() {
        0 => true,
        4 => key == "time",
        6 => key == "_field" && position == Position::TagKey,
        12 => key == "_measurement" && position == Position::TagKey,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
