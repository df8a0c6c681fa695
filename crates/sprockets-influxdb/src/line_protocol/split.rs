//! Where the lines of a piece of line protocol end. A line feed within a quoted string does not end one.

use memchr::{memchr, memchr2, memchr3};

/// The lines of `bytes`, each without its line feed. A last line without one counts.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines_with_ends(bytes).map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

/// The lines of `bytes`, each with its line feed.
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

/// As [`line_end`]; an `Err` if more bytes could change it.
pub(crate) fn known_line_end(bytes: &[u8]) -> Result<usize, usize> {
    let mut at = match head_end(bytes) {
        Ok(fields) => fields,
        Err(end) if bytes.get(end.wrapping_sub(1)) == Some(&b'\n') => return Ok(end),
        Err(end) => return Err(end),
    };
    // Among the fields a quote opens a string, since a field's name has none.
    let mut is_known = true;
    while let Some(found) = memchr2(b'"', b'\n', &bytes[at..]) {
        at += found + 1;
        if bytes[at - 1] == b'\n' {
            return if is_known { Ok(at) } else { Err(at) };
        }
        at = string_end(bytes, at).unwrap_or_else(|end| {
            is_known = false;
            end
        });
    }
    Err(bytes.len())
}

/// Where the name and tags end, or the line, if it ends before.
fn head_end(bytes: &[u8]) -> Result<usize, usize> {
    let mut at = 0;
    while let Some(found) = memchr3(b'\\', b' ', b'\n', &bytes[at..]) {
        at += found + 1;
        match bytes[at - 1] {
            b' ' => return Ok(at),
            b'\n' => return Err(at),
            // An escape, unless a line feed follows, which none can hide.
            _ => at += usize::from(bytes.get(at).is_some_and(|&next| next != b'\n')),
        }
    }
    Err(bytes.len())
}

/// Where a string ends whose contents begin at `start`; if it is never closed, where it had better end.
fn string_end(bytes: &[u8], start: usize) -> Result<usize, usize> {
    let mut at = start;
    while let Some(found) = memchr2(b'"', b'\\', &bytes[at..]) {
        at += found + 1;
        if bytes[at - 1] == b'"' {
            return Ok(at);
        }
        at = (at + 1).min(bytes.len());
    }
    // Better one bad line than all that follow it.
    Err(memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |found| start + found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_at_a_line_feed_outside_of_strings() {
        let all: Vec<&[u8]> = vec![
            b"m f=1i 7",
            b"m,t=a\\ b\"c,u=d f=\"x\ny\\\"\nz\\\\\",g=\"\" 8",
            b"m\\ n,t=\\,\" a=\"\",b=\" \\\\\\\"\n\" 9",
            b"m",
            b"",
            b"m f=2i 10",
        ];
        let mut bytes = all.join(&b'\n');
        assert_eq!(lines(&bytes).collect::<Vec<_>>(), all);
        bytes.push(b'\n');
        assert_eq!(lines(&bytes).collect::<Vec<_>>(), all);
    }

    #[test]
    fn an_end_is_known_once_nothing_can_change_it() {
        for text in ["m f=1 7\n", "m f=\"a\nb\" 7\n", "m\n"] {
            let bytes = text.as_bytes();
            assert_eq!(known_line_end(bytes), Ok(bytes.len()), "{text:?}");
            for cut in 0..bytes.len() {
                assert!(known_line_end(&bytes[..cut]).is_err(), "{text:?} {cut}");
            }
        }
        assert_eq!(known_line_end(b"m f=\"a\nm f=1\n"), Err(7));
    }

    #[test]
    fn damaged_text_ends_too() {
        for text in ["m f=\"never closed", "m f=\"\\", "m\\", "\\", "\"", "m,\\\n\n", "m \"\n\"\n"]
        {
            let bytes = text.as_bytes();
            let total: usize = lines(bytes).map(|line| line.len() + 1).sum();
            assert!(total >= bytes.len(), "{text:?}");
        }
    }
}
