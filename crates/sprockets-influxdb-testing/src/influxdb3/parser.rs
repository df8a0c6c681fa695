//! Line protocol as InfluxDB 3 reads it, with its error messages. More lenient than the strict
//! parser of this crate: InfluxDB 3 takes duplicate tags, spaces and some control characters.

use std::fmt::{self, Write};

use super::scanner::Scanner;
use crate::point::Value;

/// One line that was read, before the catalog has seen it.
#[derive(Debug, PartialEq)]
pub(crate) struct ParsedLine {
    pub(crate) measurement: String,
    /// In the order of the line, duplicates included.
    pub(crate) tags: Vec<(String, String)>,
    /// In the order of the line, duplicates included.
    pub(crate) fields: Vec<(String, Value)>,
    /// In the unit of the request; `None` if the line has no timestamp.
    pub(crate) timestamp: Option<i64>,
}

/// One line of a body, as text and as what was read.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) text: &'a str,
    pub(crate) parsed: Result<ParsedLine, String>,
}

/// Reads every line that is neither blank nor a comment.
///
/// `longest` is the limit of names, tag values and strings in bytes.
pub(crate) fn parse_lines(body: &str, longest: usize) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut rest = Some(body);
    while let Some(text) = rest {
        let end = line_end(text);
        let (line, after) = text.split_at(end);
        rest = after.strip_prefix('\n');
        let start = skip_blanks_and_comments(line);
        if !start.is_empty() {
            lines.push(Line { text: start, parsed: parse_line(start, longest) });
        }
    }
    lines
}

/// Where the first line ends: at a line feed that is neither escaped nor in a quoted string.
fn line_end(text: &str) -> usize {
    let (mut quoted, mut in_fields) = (false, false);
    let (mut equals, mut commas) = (0_usize, 0_usize);
    let mut bytes = text.bytes().enumerate();
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b' ' => in_fields = true,
            b'=' if in_fields && !quoted => equals += 1,
            b',' if in_fields && !quoted => commas += 1,
            b'"' if in_fields && equals > commas => quoted = !quoted,
            b'\n' if !quoted => return index,
            _ => {}
        }
    }
    text.len()
}

fn skip_blanks_and_comments(mut line: &str) -> &str {
    loop {
        line = line.trim_start_matches([' ', '\t', '\n']);
        if !line.starts_with('#') {
            return line;
        }
        line = &line[line.find('\n').unwrap_or(line.len())..];
    }
}

fn parse_line(line: &str, longest: usize) -> Result<ParsedLine, String> {
    let mut scanner = Scanner::new(line, longest);
    let measurement = scanner.measurement()?;
    let tags = scanner.tags()?;
    scanner.spaces()?;
    let fields = scanner.fields()?;
    let timestamp = scanner.timestamp()?;
    match scanner.rest() {
        "" => Ok(ParsedLine { measurement, tags, fields, timestamp }),
        rest => Err(format!(
            "Could not parse entire line. Found trailing content: `{}`",
            super::scanner::shortened(rest)
        )),
    }
}

/// The line as InfluxDB 3 repeats it when the catalog refuses it: without escapes and quotes.
impl fmt::Display for ParsedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.measurement)?;
        for (key, value) in &self.tags {
            write!(f, ",{key}={value}")?;
        }
        for (index, (key, value)) in self.fields.iter().enumerate() {
            f.write_char(if index == 0 { ' ' } else { ',' })?;
            match value {
                Value::Float(value) => write!(f, "{key}={value}"),
                Value::Integer(value) => write!(f, "{key}={value}i"),
                Value::Unsigned(value) => write!(f, "{key}={value}u"),
                Value::Boolean(value) => write!(f, "{key}={value}"),
                Value::String(value) => write!(f, "{key}={value}"),
            }?;
        }
        self.timestamp.map_or(Ok(()), |timestamp| write!(f, " {timestamp}"))
    }
}

#[cfg(test)]
mod tests;
