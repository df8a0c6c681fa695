//! Finds the lines of a batch that a field type conflict is about.

use crate::buffer::Batch;

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
        is_escaped(measurement, self.measurement)
            && fields.any(|(key, value)| kind_of(value) == self.kind && is_escaped(key, self.field))
    }
}

/// The measurement of a line, and its fields as key and value, all as they are written. The line
/// may be cut short or malformed: then there are fewer fields.
fn split(line: &[u8]) -> (&[u8], impl Iterator<Item = (&[u8], &[u8])>) {
    let (measurement, rest) = line.split_at(until(line, b", "));
    // The tags end at the first space that is not escaped.
    let mut rest = &rest[until(rest, b" ")..];
    let fields = std::iter::from_fn(move || {
        let (_separator, field) = rest.split_first()?;
        let (key, value) = field.split_at(until(field, b"="));
        let (_equals, value) = value.split_first()?;
        let (value, after) = value.split_at(value_length(value));
        rest = if after.first() == Some(&b',') { after } else { &[] };
        Some((key, value))
    });
    (measurement, fields)
}

/// The length of what comes before the first of `stops` that has no backslash before it.
fn until(bytes: &[u8], stops: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            byte if stops.contains(byte) => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn value_length(value: &[u8]) -> usize {
    match value.split_first() {
        Some((b'"', string)) => (until(string, b"\"") + 2).min(value.len()),
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

/// Whether `escaped` is the line-protocol form of `name`.
fn is_escaped(escaped: &[u8], name: &str) -> bool {
    let mut name = name.bytes();
    let mut bytes = escaped.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'\\' {
            bytes.next_if(|next| b",= ".contains(next)).unwrap_or(byte)
        } else {
            byte
        };
        if name.next() != Some(byte) {
            return false;
        }
    }
    name.next().is_none()
}

#[cfg(test)]
mod tests;
