//! Where the lines of a text end. A line feed within a string does not end a line.
//!
//! The reader, [`RawLine`](crate::RawLine) and the buffer all use this: a line must end at the
//! same byte in a file and in a batch.

use memchr::{memchr, memchr2};

use super::lexer;

/// The lines of `bytes`, without their line feeds. The last line may lack one.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines_with_ends(bytes).map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

/// The lines of `bytes`, with their line feeds.
pub(crate) fn lines_with_ends(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, after) = rest.split_at(line_end(rest));
        rest = after;
        Some(line)
    })
}

/// Where the first line ends, after its line feed.
pub(crate) fn line_end(bytes: &[u8]) -> usize {
    known_line_end(bytes).unwrap_or_else(|end| end)
}

/// As [`line_end`]. `Err` with the end as far as it is known, if more bytes could change it.
pub(crate) fn known_line_end(bytes: &[u8]) -> Result<usize, usize> {
    let Some(head_end) = lexer::find_head_end(bytes) else { return Err(bytes.len()) };
    let mut at = head_end + 1;
    if bytes[head_end] == b'\n' {
        return Ok(at);
    }
    // Field names contain no quotes, so every quote from here on opens a string.
    let mut is_known = true;
    while let Some(found) = memchr2(b'"', b'\n', &bytes[at..]) {
        at += found + 1;
        if bytes[at - 1] == b'\n' {
            return if is_known { Ok(at) } else { Err(at) };
        }
        at = lexer::string_end(bytes, at).unwrap_or_else(|| {
            is_known = false;
            // The string is never closed: lose this line only, not all after it.
            memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |found| at + found)
        });
    }
    Err(bytes.len())
}

#[cfg(test)]
mod tests;
