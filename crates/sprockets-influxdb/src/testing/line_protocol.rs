//! Line protocol as the strictest of InfluxDB 1.x, 2.x and 3.x reads it. What one of them refuses, or stores
//! differently from the others, is an error here. Shares nothing with the crate's encoder: each checks the other.

use std::error::Error;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::point::Point;
use super::scanner::{LAST_TIME, parse_line};

/// Reads line protocol with timestamps in nanoseconds, and stops at the first bad line.
///
/// Blank lines and comments are skipped. A line without a timestamp gets the time of the call. Unsigned integers
/// (`1u`) are accepted, as by InfluxDB 2.x and 3.x.
///
/// Beyond what all servers refuse, these are errors, because servers differ on them: control characters outside
/// strings, `\\` in a name or tag value, `\"` in a measurement or field key, `\=` in a measurement, an unescaped `=` in a
/// tag value, more than one space, carriage returns, `.5` and `1.`, duplicate tag or field keys, a tag and a
/// field of one name, the keys `time`, `_field` and `_measurement`, strings above 1 MiB, series keys above 64 KiB.
///
/// ```
/// use sprockets_influxdb::testing::parse;
///
/// let points = parse("cpu,host=a\\ b load=0.5 1700000000000000000\n")?;
/// assert_eq!(points[0].tag("host"), Some("a b"));
///
/// let error = parse("cpu,host= load=0.5").unwrap_err();
/// assert_eq!(error.reason(), "missing tag value");
/// # Ok::<(), sprockets_influxdb::testing::LineError>(())
/// ```
///
/// # Errors
///
/// The first line that cannot be read, with the reason. [`parse_lines`] goes on to the others.
pub fn parse(text: &str) -> Result<Vec<Point>, LineError> {
    parse_lines(text).collect()
}

/// Like [`parse`], with one result for each line.
///
/// A line feed within a quoted string, or after a backslash, does not end a line, as on the servers.
///
/// ```
/// use sprockets_influxdb::testing::parse_lines;
///
/// let results: Vec<_> = parse_lines("good f=1\nbad\ngood f=2\n").collect();
/// assert!(results[0].is_ok() && results[2].is_ok());
/// assert_eq!(results[1].as_ref().unwrap_err().to_string(), "unable to parse 'bad': missing fields");
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

    /// What is wrong with it: InfluxDB 1.x's own words where it has some.
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

/// The server's clock in nanoseconds.
pub(super) fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_nanos()).unwrap_or(LAST_TIME)
}

/// The unit of timestamps on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    Nanosecond,
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    /// By magnitude: what 3.x does when the request does not say.
    Auto,
}

impl Precision {
    /// The length of one unit; the timestamp matters only where it tells the unit.
    pub(super) fn nanoseconds(self, timestamp: i64) -> i64 {
        match self {
            Precision::Nanosecond => 1,
            Precision::Microsecond => 1_000,
            Precision::Millisecond => 1_000_000,
            Precision::Second => 1_000_000_000,
            Precision::Minute => 60_000_000_000,
            Precision::Hour => 3_600_000_000_000,
            Precision::Auto => match timestamp.unsigned_abs() {
                ..5_000_000_000 => 1_000_000_000,
                5_000_000_000..5_000_000_000_000 => 1_000_000,
                5_000_000_000_000..5_000_000_000_000_000 => 1_000,
                _ => 1,
            },
        }
    }
}

/// What a request says about all of its lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) precision: Precision,
    /// Given to lines without a timestamp, cut to the precision.
    pub(super) now: i64,
    /// Whether `1u` is a value.
    pub(super) unsigned: bool,
}

/// The lines of a body that are neither blank nor comments, numbered from 1.
pub(super) fn lines(body: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = body;
    let mut number = 0;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (line, remainder) = rest.split_at(line_end(rest));
            rest = remainder.get(1..).unwrap_or_default();
            if !line.iter().all(|&byte| byte == b' ') && !is_comment(line) {
                number += 1;
                return Some((number, line));
            }
        }
        None
    })
}

fn is_comment(line: &[u8]) -> bool {
    line.iter().find(|&&byte| byte != b' ') == Some(&b'#')
}

/// Where the first line ends: at a line feed that is neither escaped nor in a quoted string.
fn line_end(text: &[u8]) -> usize {
    enum In {
        Key,
        FieldKey,
        FieldValue,
        String,
    }
    let comment = is_comment(text);
    let mut place = In::Key;
    let mut bytes = text.iter().enumerate();
    while let Some((index, byte)) = bytes.next() {
        place = match (byte, place) {
            (b'\n', In::String) => In::String,
            (b'\n', _) => return index,
            (_, place) if comment => place,
            (b'\\', place) => {
                bytes.next();
                place
            }
            (b'"', In::FieldValue) => In::String,
            (b'"', In::String) => In::FieldValue,
            (_, In::String) => In::String,
            (b' ', _) => In::FieldKey,
            (b'=', In::FieldKey) => In::FieldValue,
            (b',', In::FieldValue) => In::FieldKey,
            (_, place) => place,
        };
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(body: &str) -> Vec<&str> {
        lines(body.as_bytes()).map(|(_, line)| std::str::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn blank_lines_and_comments_are_not_lines() {
        let none: [&str; 0] = [];
        for body in ["", "\n", "\n\n", "   ", "# comment", "  # comment\n\n", "# f=\"a\n"] {
            assert_eq!(split(body), none, "{body:?}");
        }
        assert_eq!(split("a f=1\n\n#b\nc f=2"), ["a f=1", "c f=2"]);
        let numbers: Vec<_> = lines(b"\na\n#\nb\n").map(|(number, _)| number).collect();
        assert_eq!(numbers, [1, 2]);
    }

    #[test]
    fn a_line_feed_in_a_string_or_after_a_backslash_ends_no_line() {
        assert_eq!(split("m f=\"a\nb\" 1\nm f=2"), ["m f=\"a\nb\" 1", "m f=2"]);
        assert_eq!(split("m f=\"a\\\"\nb\" 1\nm f=2"), ["m f=\"a\\\"\nb\" 1", "m f=2"]);
        assert_eq!(split("m f=\"a\\\\\"\nm f=2"), ["m f=\"a\\\\\"", "m f=2"]);
        assert_eq!(split("m f=1,g=\"# no\n#comment\",h=2\nm f=2").len(), 2);
        assert_eq!(split("m f=1 1\\\nm f=2 2\nm f=3"), ["m f=1 1\\\nm f=2 2", "m f=3"]);
        assert_eq!(split("m f=\"a 1\nm f=2 2\n"), ["m f=\"a 1\nm f=2 2\n"]);
    }

    #[test]
    fn a_quotation_mark_in_a_name_opens_no_string() {
        assert_eq!(split("m,k=\"v f=1\nm f=2"), ["m,k=\"v f=1", "m f=2"]);
        assert_eq!(split("\"m f=1\nm f=2"), ["\"m f=1", "m f=2"]);
        assert_eq!(split("m f\"g=1\nm f=2"), ["m f\"g=1", "m f=2"]);
    }

    #[test]
    fn parse_lines_goes_on_after_a_bad_line_and_parse_does_not() {
        let text = "m f=1 1\nm f=\n\nm f=2 2\n";
        let results: Vec<_> = parse_lines(text).collect();
        assert_eq!(results.len(), 3);
        let error = results[1].clone().unwrap_err();
        assert_eq!((error.line_number(), error.line()), (2, "m f="));
        assert_eq!(error.to_string(), "unable to parse 'm f=': missing field value");
        assert_eq!(results[2].as_ref().map(|point| point.timestamp), Ok(2));
        assert_eq!(parse(text), Err(error));
    }

    #[test]
    fn a_line_without_a_timestamp_is_of_now() {
        let before = now();
        let time = parse("m f=1").unwrap()[0].timestamp;
        assert!((before..=now()).contains(&time));
    }
}
