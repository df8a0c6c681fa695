//! One line of line protocol: its parts, if every server can read it.

use crate::config::Precision;
use crate::error::{Error, Result};
use crate::line_protocol::split::line_end;
use crate::measurement::Timestamp;
use super::validate::{self, Scanned};

/// A line of line protocol that is there already, as in a file: for [`Client::add_line`](crate::Client::add_line).
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
    /// Looks at one line, with its timestamp, if it has one, in that precision. Spaces around it and a line break at its
    /// end do not count; line breaks within strings are part of it.
    ///
    /// # Errors
    ///
    /// What no InfluxDB takes: a part that is missing or empty, a value that is none, a timestamp out of range. Beyond
    /// that what they read differently: a name of a field with a `"` in it, backslashes before a delimiter or a line
    /// break, an unescaped `=` in a tag, and what is not UTF-8.
    pub fn parse(line: &'a [u8], precision: Precision) -> Result<Self> {
        let line = trimmed(line);
        let Ok(text) = std::str::from_utf8(line) else {
            return Err(Error::measurement("it is not UTF-8: expected text in UTF-8"));
        };
        let Scanned { end, timestamp, has_unsigned } =
            validate::scan(text).map_err(Error::measurement)?;
        if line_end(line) != line.len() {
            return Err(Error::measurement(
                "it has two backslashes before a comma, an equals sign or a space, which InfluxDB 1.x and 3.x read \
                 differently: write one, or none",
            ));
        }
        let timestamp = timestamp.map(|digits| read_time(digits, precision)).transpose()?;
        Ok(Self { text: &text[..end], timestamp, has_unsigned })
    }

    /// Measurement, tags and fields, without the timestamp.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// When it was, if the line says so.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// Whether it has an unsigned integer (`1u`), which the v1 API does not know.
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

fn read_time(digits: &str, precision: Precision) -> Result<Timestamp> {
    let is_number =
        digits.strip_prefix('-').unwrap_or(digits).bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || digits == "-" {
        return Err(Error::measurement(format!(
            "{digits:?} is not a timestamp: expected a whole number, or nothing"
        )));
    }
    let scaled = digits.parse::<i64>().ok().and_then(|time| time.checked_mul(precision.divisor()));
    match scaled {
        Some(time) if Timestamp::RANGE.contains(&time) => Ok(time.into()),
        _ => Err(Error::measurement(format!(
            "the timestamp {digits} is not between the years 1677 and 2262 in {precision}: check the precision"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> String {
        match RawLine::parse(line.as_bytes(), Precision::Nanoseconds) {
            Ok(line) => panic!("{line:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_line_is_its_text_and_its_time() {
        for (line, text, time) in [
            ("m f=1", "m f=1", None),
            ("m f=1 7", "m f=1", Some(7_000)),
            ("  m,a=b,c=d f=1i,g=\"x y\"  -7 \r\n", "m,a=b,c=d f=1i,g=\"x y\"", Some(-7_000)),
            (
                "m f=\"two\nlines, and \\\" \\\\\" 7\n",
                "m f=\"two\nlines, and \\\" \\\\\"",
                Some(7_000),
            ),
            (r"a\ b\,c,t\ \=k=v\ w f\ \=1=t", r"a\ b\,c,t\ \=k=v\ w f\ \=1=t", None),
            (r#"m,q="x f=1u"#, r#"m,q="x f=1u"#, None),
            (
                r"m,w=C:\Users\me f=.5,g=1.,h=-1e-3,i=1E+3",
                r"m,w=C:\Users\me f=.5,g=1.,h=-1e-3,i=1E+3",
                None,
            ),
        ] {
            let parsed = RawLine::parse(line.as_bytes(), Precision::Microseconds).unwrap();
            let parsed_time = parsed.timestamp().map(Timestamp::nanoseconds);
            assert_eq!((parsed.text(), parsed_time), (text, time), "{line:?}");
            assert_eq!(parsed.has_unsigned(), line.contains("1u"));
        }
    }

    #[test]
    fn what_no_server_takes_is_refused_with_its_reason() {
        for (line, reason) in [
            ("", "it has no name"),
            ("# m f=1", "it is a comment"),
            (",a=b f=1", "it has no name"),
            ("m", "it has no field"),
            ("m,a=b", "it has no field"),
            ("m,a f=1", "the tag a has no value"),
            ("m,a= f=1", "the tag a has no value"),
            ("m,=b f=1", "a tag has no name"),
            ("m,a=b=c f=1", "the tag a has an unescaped ="),
            ("m,a==b f=1", "the tag a has an unescaped ="),
            ("m,a=b, f=1", "a tag has no name"),
            ("m =1", "a field has no name"),
            ("m f", "the field f has no value"),
            ("m f=", "the field f has no value"),
            ("m f=1,", "a field has no name"),
            ("m f=,g=1", "the field f has no value"),
            ("m f=\"a", "the string in field f is never closed"),
            ("m f=\"a\"b", "the field f goes on after its string"),
            ("m f\"g=1", "the field name f\"g has a \""),
            ("m f=nan", "the field f is NaN or infinite"),
            ("m f=-Inf", "the field f is NaN or infinite"),
            ("m f=yes", "the field f: \"yes\" is not a value"),
            ("m f=+1", "the field f: \"+1\" is not a value"),
            ("m f=1e", "the field f: \"1e\" is not a value"),
            ("m f=.", "the field f: \".\" is not a value"),
            ("m f=-1u", "the field f: \"-1u\" is not a value"),
            ("m f=1.5i", "the field f: \"1.5i\" is not a value"),
            ("m f=9223372036854775808i", "the field f: \"9223372036854775808i\" is out of range"),
            ("m f=1e999", "the field f: \"1e999\" is out of range"),
            ("m f=1 soon", "\"soon\" is not a timestamp"),
            ("m f=1 +7", "\"+7\" is not a timestamp"),
            ("m f=1 1 2", "\"1 2\" is not a timestamp"),
            ("m f=1 9223372036854775807", "the timestamp 9223372036854775807 is not between"),
            ("m\nx f=1", "it has a line break outside of a string"),
            ("m f=1\nn g=1", "it has a line break outside of a string"),
            ("m,a=b\\\\ c,d=\" f=\"x\ny\"", "it has two backslashes before"),
        ] {
            let told = refusal(line);
            assert!(told.starts_with(reason), "{line:?}: {told}");
        }
        let error = RawLine::parse(b"m f=\"\xff\"", Precision::Nanoseconds).unwrap_err();
        assert!(error.is_measurement() && error.to_string().contains("UTF-8"), "{error}");
    }
}
