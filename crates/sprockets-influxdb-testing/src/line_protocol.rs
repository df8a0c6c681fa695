//! A strict parser of line protocol: what one of InfluxDB 1.x, 2.x and 3.x refuses, or stores
//! differently from the others, is an error. It shares no code with the encoder that it checks.

use std::error::Error;
use std::fmt;

use crate::lines::lines;
use crate::point::Point;
use crate::rules::{Precision, Rules, now};
use crate::scanner::parse_line;

/// Parses line protocol with timestamps in nanoseconds, and stops at the first bad line.
///
/// Blank lines and comments are skipped. A line without a timestamp gets the time of the call.
/// Unsigned integers (`1u`) are accepted, as by InfluxDB 2.x and 3.x.
///
/// Beyond what all servers reject, these are errors, because servers differ on them: control
/// characters outside strings, `\\` in a name or tag value, `\"` in a measurement or field key,
/// `\=` in a measurement, an unescaped `=` in a tag value, more than one space, carriage returns,
/// `.5` and `1.`, duplicate tag or field keys, a tag and a field of one name, the keys `time`,
/// `_field` and `_measurement`, strings above 1 MiB, series keys above 64 KiB.
///
/// ```
/// use sprockets_influxdb_testing::parse;
///
/// let points = parse("cpu,host=a\\ b load=0.5 1700000000000000000\n")?;
/// assert_eq!(points[0].tag("host"), Some("a b"));
///
/// let error = parse("cpu,host= load=0.5").unwrap_err();
/// assert_eq!(error.reason(), "missing tag value");
/// # Ok::<(), sprockets_influxdb_testing::LineError>(())
/// ```
///
/// # Errors
///
/// The first bad line, with the reason. [`parse_lines`] continues with the other lines.
pub fn parse(text: &str) -> Result<Vec<Point>, LineError> {
    parse_lines(text).collect()
}

/// Like [`parse`], with one result for each line.
///
/// A line feed within a quoted string, or after a backslash, does not end a line, as on the
/// servers.
///
/// ```
/// use sprockets_influxdb_testing::parse_lines;
///
/// let results: Vec<_> = parse_lines("good f=1\nbad\ngood f=2\n").collect();
/// assert!(results[0].is_ok() && results[2].is_ok());
/// let error = results[1].as_ref().unwrap_err().to_string();
/// assert_eq!(error, "unable to parse 'bad': missing fields");
/// ```
pub fn parse_lines(text: &str) -> impl Iterator<Item = Result<Point, LineError>> {
    let rules = Rules { precision: Precision::Nanosecond, now: now(), unsigned: true };
    lines(text.as_bytes()).map(move |(number, line)| {
        parse_line(line, &rules).map_err(|reason| LineError {
            line_number: number,
            line: String::from_utf8_lossy(line).into_owned(),
            reason,
        })
    })
}

/// A line that cannot be stored, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    line_number: usize,
    line: String,
    reason: String,
}

impl LineError {
    /// The line's number from 1; blank lines and comments do not count.
    pub fn line_number(&self) -> usize {
        self.line_number
    }

    /// The line as it was given, without its final line feed.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// What is wrong with it: the message of InfluxDB 1.x, if there is one.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unable to parse '{}': {}", self.line, self.reason)
    }
}

impl Error for LineError {}

#[cfg(test)]
mod tests;
