//! Text for logs and terminals: counts, and text from outside, such as a file's name.

use std::path::Path;

/// Whether a character neither controls a terminal, nor ends a line, nor reorders text.
pub fn is_printable(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

/// The text with every other character escaped: one line.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if is_printable(character) {
            line.push(character);
        } else {
            line.extend(character.escape_unicode());
        }
    }
    line
}

/// A path as one line.
pub fn shown(path: &Path) -> String {
    one_line(&path.to_string_lossy())
}

/// A count with its noun, and perhaps a verb: "1 measurement is", "2 measurements are".
pub(crate) fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_line_without_control_characters() {
        let path = Path::new("/a\x1b[31m\nERROR\u{9b}\u{202e}\u{2028}\t/ü x");
        let expected = "/a\\u{1b}[31m\\u{a}ERROR\\u{9b}\\u{202e}\\u{2028}\\u{9}/ü x";
        assert_eq!(shown(path), expected);
    }
}
