//! One line of line protocol: its parts, if every server can read it.

use std::time::Duration;

use super::split::line_end;
use super::validate::{Parts, validate};
use crate::config::Precision;
use crate::error::{Error, Result};
use crate::measurement::Timestamp;

/// A line of existing line protocol, such as from a file, for
/// [`Client::add_line`](crate::Client::add_line).
///
/// ```
/// use sprockets_influxdb::{Precision, RawLine};
///
/// let line = RawLine::parse(b"cpu,host=a load=0.5 1700000000", Precision::Seconds)?;
/// assert_eq!(line.text(), "cpu,host=a load=0.5");
/// assert_eq!(line.timestamp().map(|time| time.nanoseconds()), Some(1_700_000_000_000_000_000));
///
/// let error = RawLine::parse(b"cpu,host= load=0.5", Precision::Seconds).unwrap_err();
/// assert_eq!(error.to_string(), "the tag host has no value: give it one, or leave the tag out");
/// # Ok::<(), sprockets_influxdb::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawLine<'a> {
    text: &'a str,
    timestamp: Option<Timestamp>,
    has_unsigned: bool,
}

impl<'a> RawLine<'a> {
    /// Parses one line. `precision` is the unit of its timestamp; a line may lack one. Spaces
    /// around the line and a line break at its end are ignored. Line breaks within strings are
    /// part of it.
    ///
    /// # Errors
    ///
    /// Refuses lines that no InfluxDB accepts: with a missing or empty part, an invalid value, or
    /// a timestamp out of range. Refuses lines that make a table unreadable on InfluxDB 3: with a
    /// tag that is set twice, or a name that is a tag and a field. Also refuses lines that servers
    /// read differently: with a `"` in a field name, two backslashes before a delimiter, a
    /// backslash before a line break, an unescaped `=` in a tag value, or text that is not UTF-8.
    pub fn parse(line: &'a [u8], precision: Precision) -> Result<Self> {
        Self::parse_in(line, Duration::from_nanos(precision.divisor().unsigned_abs()))
    }

    /// As [`parse`](Self::parse), for timestamps in any unit, such as the hours of InfluxDB 1.x.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_in(line: &'a [u8], unit: Duration) -> Result<Self> {
        let line = trimmed(line);
        let Ok(text) = std::str::from_utf8(line) else {
            return Err(Error::measurement("it is not UTF-8: expected text in UTF-8"));
        };
        let Parts { fields_end, timestamp, has_unsigned } =
            validate(text).map_err(Error::measurement)?;
        if line_end(line) != line.len() {
            return Err(Error::measurement(
                "it has two backslashes before a comma, an equals sign or a space, which InfluxDB \
                 1.x and 3.x read differently: write one, or none",
            ));
        }
        let timestamp = timestamp.map(|digits| parse_timestamp(digits, unit)).transpose()?;
        Ok(Self { text: &text[..fields_end], timestamp, has_unsigned })
    }

    /// Measurement, tags and fields, without the timestamp.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The line's timestamp, if it has one.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// The line with this timestamp if it has none of its own.
    #[must_use]
    pub fn or_timestamp(mut self, timestamp: impl Into<Timestamp>) -> Self {
        self.timestamp = self.timestamp.or_else(|| Some(timestamp.into()));
        self
    }

    /// Whether the line has an unsigned integer (`1u`), which the v1 API does not support.
    pub fn has_unsigned(&self) -> bool {
        self.has_unsigned
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let blank = |byte: &u8| *byte == b' ';
    let start = line.iter().position(|byte| !blank(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &line[start..end]
}

fn parse_timestamp(digits: &str, unit: Duration) -> Result<Timestamp> {
    let is_number =
        digits.strip_prefix('-').unwrap_or(digits).bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || digits == "-" {
        return Err(Error::measurement(format!(
            "{digits:?} is not a timestamp: expected a whole number, or nothing"
        )));
    }
    let factor = i64::try_from(unit.as_nanos()).ok();
    let time = digits.parse::<i64>().ok().zip(factor);
    match time.and_then(|(time, factor)| time.checked_mul(factor)) {
        Some(time) if Timestamp::RANGE.contains(&time) => Ok(time.into()),
        _ => Err(Error::measurement(format!(
            "the timestamp {digits} is not between the years 1677 and 2262 in units of {unit:?}: \
             check the precision"
        ))),
    }
}

#[cfg(test)]
mod tests;
