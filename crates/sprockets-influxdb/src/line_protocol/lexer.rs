//! Escapes and strings of lines. Every reader of lines in this crate uses these functions.
//!
//! All positions are byte offsets. Outside of a string a line feed always ends the line; no
//! backslash escapes it. Servers differ on what else a backslash escapes there, so there are two
//! readings: for [`find_unescaped`] a backslash escapes any byte, for [`find_delimiter`] only a
//! delimiter. They agree on lines from [`Measurement`](crate::Measurement), and
//! [`RawLine`](crate::RawLine) refuses lines on which they do not.

use memchr::{memchr2, memchr3};

/// The first byte from `start` on that matches and is not escaped, or the end of the text.
#[inline]
pub(crate) fn find_unescaped(bytes: &[u8], start: usize, is_match: impl Fn(u8) -> bool) -> usize {
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at = skip_escape(bytes, at),
            _ if is_match(byte) => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The first space or line feed that is not escaped: where name and tags end. As
/// [`find_unescaped`], but fast for long text.
pub(crate) fn find_head_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr3(b'\\', b' ', b'\n', &bytes[at..])?;
        if bytes[at] != b'\\' {
            return Some(at);
        }
        at = skip_escape(bytes, at);
    }
}

/// The first delimiter from `start` on that is not escaped, a line feed, or the end of the text.
/// A backslash before any other byte stands for itself.
pub(crate) fn find_delimiter(
    bytes: &[u8],
    start: usize,
    is_delimiter: impl Fn(u8) -> bool,
) -> usize {
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        if is_delimiter(byte) || byte == b'\n' {
            return at;
        }
        let escapes = byte == b'\\' && bytes.get(at + 1).is_some_and(|&next| is_delimiter(next));
        at += if escapes { 2 } else { 1 };
    }
    bytes.len()
}

/// The end of a string, after its closing quote, if it has one. `start` is the first byte after
/// the opening quote. Within a string a backslash escapes any byte, and a line feed is text.
pub(crate) fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// A name or a tag value without its escapes.
pub(crate) fn unescape(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut bytes = bytes.iter().copied().peekable();
    std::iter::from_fn(move || match bytes.next()? {
        b'\\' => Some(bytes.next_if(|next| b",= ".contains(next)).unwrap_or(b'\\')),
        byte => Some(byte),
    })
}

/// The first byte after the escape that begins at `at`.
#[inline]
fn skip_escape(bytes: &[u8], at: usize) -> usize {
    let is_escape = bytes.get(at + 1).is_some_and(|&next| next != b'\n');
    at + if is_escape { 2 } else { 1 }
}

#[cfg(test)]
mod tests;
