//! Escapes what controls a terminal.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::sync::OnceLock;

use sprockets_influxdb::internal::is_printable;

/// Escapes control characters other than line feeds and tabs, characters that reorder text, and
/// other line separators. Keeps styles.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(style_mark()) {
        escape(before, &mut out);
        match SEQUENCES.iter().find(|sequence| after.starts_with(**sequence)) {
            Some(sequence) => {
                out.push('\x1b');
                out.push_str(sequence);
                rest = &after[sequence.len()..];
            }
            None => rest = after,
        }
    }
    escape(rest, &mut out);
    out
}

/// A style that [`visible`] turns into the terminal's. `code` is one of [`SEQUENCES`].
pub(crate) fn style(code: &str, text: &str) -> String {
    let mark = style_mark();
    format!("{mark}[{code}m{text}{mark}[0m")
}

/// What follows the escape character in a style.
const SEQUENCES: [&str; 5] = ["[0m", "[2m", "[31m", "[32m", "[33m"];

/// Stands for the escape character of a style. No data can contain it by intent, as it is random.
fn style_mark() -> &'static str {
    static MARK: OnceLock<String> = OnceLock::new();
    MARK.get_or_init(|| {
        let random = || RandomState::new().build_hasher().finish();
        format!("\x1b{:016x}{:016x}", random(), random())
    })
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '\n' | '\t' => out.push(character),
            character if is_printable(character) => out.push(character),
            character => out.extend(character.escape_unicode()),
        }
    }
}

/// Writes each line with [`visible`] applied. Bytes that are not UTF-8 are replaced.
pub(super) struct Visible<W> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> Visible<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, line: Vec::new() }
    }

    fn write_line(&mut self, length: usize) -> io::Result<()> {
        let text = String::from_utf8_lossy(&self.line[..length]);
        self.out.write_all(visible(&text).as_bytes())?;
        self.line.drain(..length);
        Ok(())
    }
}

impl<W: Write> Write for Visible<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if let Some(last) = self.line.iter().rposition(|byte| *byte == b'\n') {
            self.write_line(last + 1)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_line(self.line.len())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_is_escaped() {
        for (text, shown) in [
            ("m,t=ä f=\"日本\"\t1\n", "m,t=ä f=\"日本\"\t1\n"),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("\x1b[31mred", "\\u{1b}[31mred"),
            ("a\rb\x7f", "a\\u{d}b\\u{7f}"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("\u{202e}evil\u{2066}", "\\u{202e}evil\\u{2066}"),
            ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn styles_become_those_of_the_terminal_and_cannot_be_forged() {
        let styled = format!("{}: {}", style("31", "bad\x1b[32m"), style("2", "faint"));
        let expected = "\x1b[31mbad\\u{1b}[32m\x1b[0m: \x1b[2mfaint\x1b[0m";
        assert_eq!(visible(&styled), expected);
        let forged = format!("{}[2J", style_mark());
        assert_eq!(visible(&forged), "[2J");
    }

    #[test]
    fn lines_are_filtered_however_they_are_written() {
        let text = "ä\u{9b} \u{202e}\nsecond\x1b".as_bytes();
        for size in [1, 2, 3, 100] {
            let mut out = Visible::new(Vec::new());
            text.chunks(size).for_each(|part| out.write_all(part).unwrap());
            out.flush().unwrap();
            let shown = "ä\\u{9b} \\u{202e}\nsecond\\u{1b}";
            assert_eq!(String::from_utf8(out.out).unwrap(), shown);
        }
        let mut out = Visible::new(Vec::new());
        out.write_all(b"\x9b2J\n").unwrap();
        assert_eq!(String::from_utf8(out.out).unwrap(), "\u{fffd}2J\n");
    }
}
