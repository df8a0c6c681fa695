//! Field values, and their form in line protocol.

use std::borrow::Cow;

use super::text_buf::TextBuf;

/// A field's value. Convert to it with `Into` from every integer type, `f32`, `f64`, `bool` and
/// strings.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FieldValue<'a> {
    /// A 64-bit float, written so that it reads back as the same number. No server stores NaN or
    /// infinities: such a field is left out of the line, and counted in
    /// [`Stats::non_finite`](crate::Stats::non_finite).
    Float(f64),
    /// A signed integer (`i`).
    Integer(i64),
    /// An unsigned integer. Up to `i64::MAX` it is written as a signed one (`i`), so that a field
    /// keeps one type on the server. Above that it is written as unsigned (`u`), which InfluxDB 1.x
    /// does not support: there [`add_measurement`](crate::Client::add_measurement) refuses it.
    Unsigned(u64),
    /// A boolean.
    Boolean(bool),
    /// A string. Any text is stored unchanged.
    String(Cow<'a, str>),
    /// An integer beyond 64 bits, in decimal. Adding a measurement with such a field is an error.
    OutOfRange(String),
}

impl FieldValue<'_> {
    /// Appends the value as line protocol writes it. The caller leaves out values that have no
    /// form: non-finite floats and integers out of range.
    #[inline]
    pub(super) fn write_to(&self, text: &mut TextBuf) {
        match self {
            Self::Float(float) => {
                text.push_raw(zmij::Buffer::new().format_finite(*float).as_bytes());
            }
            Self::Integer(integer) => {
                text.push_raw(itoa::Buffer::new().format(*integer).as_bytes());
                text.push(b'i');
            }
            Self::Unsigned(unsigned) => {
                text.push_raw(itoa::Buffer::new().format(*unsigned).as_bytes());
                text.push(if i64::try_from(*unsigned).is_ok() { b'i' } else { b'u' });
            }
            Self::Boolean(true) => text.push_raw(b"true"),
            Self::Boolean(false) => text.push_raw(b"false"),
            Self::String(string) => push_quoted(text, string.as_bytes()),
            Self::OutOfRange(_) => {}
        }
    }
}

/// Appends a string in quotes. Only `"` and `\` are special in it.
fn push_quoted(text: &mut TextBuf, mut bytes: &[u8]) {
    text.push(b'"');
    while let Some(at) = memchr::memchr2(b'"', b'\\', bytes) {
        text.push_raw(&bytes[..at]);
        text.push_raw(&[b'\\', bytes[at]]);
        bytes = &bytes[at + 1..];
    }
    text.push_raw(bytes);
    text.push(b'"');
}

macro_rules! from_small_integers {
    ($($signed:ty)*; $($unsigned:ty)*) => {
        $(impl From<$signed> for FieldValue<'_> {
            fn from(value: $signed) -> Self {
                Self::Integer(value as i64)
            }
        })*
        $(impl From<$unsigned> for FieldValue<'_> {
            fn from(value: $unsigned) -> Self {
                Self::Unsigned(value as u64)
            }
        })*
    };
}

from_small_integers!(i8 i16 i32 i64 isize; u8 u16 u32 u64 usize);

impl From<i128> for FieldValue<'_> {
    fn from(value: i128) -> Self {
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(integer), _) => Self::Integer(integer),
            (_, Ok(unsigned)) => Self::Unsigned(unsigned),
            _ => Self::OutOfRange(value.to_string()),
        }
    }
}

impl From<u128> for FieldValue<'_> {
    fn from(value: u128) -> Self {
        u64::try_from(value).map_or_else(|_| Self::OutOfRange(value.to_string()), Self::Unsigned)
    }
}

impl From<f64> for FieldValue<'_> {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<f32> for FieldValue<'_> {
    fn from(value: f32) -> Self {
        Self::Float(value.into())
    }
}

impl From<bool> for FieldValue<'_> {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl<'a> From<&'a str> for FieldValue<'a> {
    fn from(value: &'a str) -> Self {
        Self::String(Cow::Borrowed(value))
    }
}

impl<'a> From<&'a String> for FieldValue<'a> {
    fn from(value: &'a String) -> Self {
        Self::String(Cow::Borrowed(value))
    }
}

impl From<String> for FieldValue<'_> {
    fn from(value: String) -> Self {
        Self::String(Cow::Owned(value))
    }
}

impl<'a> From<Cow<'a, str>> for FieldValue<'a> {
    fn from(value: Cow<'a, str>) -> Self {
        Self::String(value)
    }
}

#[cfg(test)]
mod tests;
