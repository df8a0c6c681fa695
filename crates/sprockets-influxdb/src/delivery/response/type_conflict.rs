//! Finds the lines of a batch that a field type conflict is about.

use crate::buffer::Batch;
use crate::line_protocol::lexer;

/// A field whose type differs from the one that the server has stored.
#[derive(Debug, PartialEq)]
pub(super) struct TypeConflict<'a> {
    field: &'a str,
    measurement: &'a str,
    /// The type in the batch, by the server's name for it.
    kind: &'a str,
}

impl<'a> TypeConflict<'a> {
    /// Reads `field type conflict: input field "f" on measurement "m" is type integer, already
    /// exists as type float`.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (_, rest) = text.split_once("field type conflict: input field \"")?;
        let (rest, _) = rest.rsplit_once(", already exists as type ")?;
        let (rest, kind) = rest.rsplit_once("\" is type ")?;
        let (field, measurement) = rest.split_once("\" on measurement \"")?;
        Some(Self { field, measurement, kind })
    }

    /// The lines of the batch, by index, with this measurement and a field of this name and type.
    pub(super) fn lines(&self, batch: &Batch) -> Vec<usize> {
        let lines = batch.iter_lines().enumerate().filter(|(_, line)| self.is_in(line));
        lines.map(|(index, _)| index).collect()
    }

    fn is_in(&self, line: &[u8]) -> bool {
        let (measurement, mut fields) = split(line);
        let is = |escaped, name: &str| lexer::unescape(escaped).eq(name.bytes());
        is(measurement, self.measurement)
            && fields.any(|(key, value)| kind_of(value) == self.kind && is(key, self.field))
    }
}

/// The measurement of a line, and its fields as key and value, all as they are written. The line
/// may be cut short or malformed: then there are fewer fields.
fn split(line: &[u8]) -> (&[u8], impl Iterator<Item = (&[u8], &[u8])>) {
    let (measurement, rest) = line.split_at(find(line, b", "));
    // The tags end at the first space that is not escaped.
    let mut rest = &rest[find(rest, b" ")..];
    let fields = std::iter::from_fn(move || {
        let (_separator, field) = rest.split_first()?;
        let (key, value) = field.split_at(find(field, b"="));
        let (_equals, value) = value.split_first()?;
        let (value, after) = value.split_at(value_length(value));
        rest = if after.first() == Some(&b',') { after } else { &[] };
        Some((key, value))
    });
    (measurement, fields)
}

fn value_length(value: &[u8]) -> usize {
    match value.split_first() {
        Some((b'"', _)) => lexer::string_end(value, 1).unwrap_or(value.len()),
        _ => value.iter().position(|byte| b", ".contains(byte)).unwrap_or(value.len()),
    }
}

/// The server's name for the type of a field's value.
fn kind_of(value: &[u8]) -> &'static str {
    match (value.first(), value.last()) {
        (Some(b'"'), _) => "string",
        (Some(b't' | b'T' | b'f' | b'F'), _) => "boolean",
        (_, Some(b'i')) => "integer",
        (_, Some(b'u')) => "unsigned",
        _ => "float",
    }
}

/// The first byte of `stops` that is not escaped, or the end of the text.
fn find(bytes: &[u8], stops: &[u8]) -> usize {
    lexer::find_unescaped(bytes, 0, |byte| stops.contains(&byte))
}

#[cfg(test)]
mod tests;
