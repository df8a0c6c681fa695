//! Text for logs and terminals: counts, and text from outside, such as a file's name.

use std::path::Path;
use std::time::Duration;

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
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// A number with its digits in groups of three: "26,080".
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in seconds, or in milliseconds if it is not a whole number of them.
pub(crate) fn period(time: Duration) -> String {
    if time.subsec_nanos() == 0 {
        format!("{} s", grouped(time.as_secs()))
    } else {
        format!("{} ms", time.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_periods_are_readable() {
        let counts = [0, 1, 999, 1_000, 26_080, 1_234_567].map(|n| plural(n, "line", "lines"));
        let expected =
            ["0 lines", "1 line", "999 lines", "1,000 lines", "26,080 lines", "1,234,567 lines"];
        assert_eq!(counts, expected);
        let periods = [60_000, 1_500, 50].map(|ms| period(Duration::from_millis(ms)));
        assert_eq!(periods, ["60 s", "1500 ms", "50 ms"]);
    }

    #[test]
    fn a_path_is_one_line_without_control_characters() {
        let path = Path::new("/a\x1b[31m\nERROR\u{9b}\u{202e}\u{2028}\t/ü x");
        let expected = "/a\\u{1b}[31m\\u{a}ERROR\\u{9b}\\u{202e}\\u{2028}\\u{9}/ü x";
        assert_eq!(shown(path), expected);
    }
}
