//! One line of line protocol, read from left to right. Works on a line that is cut out already, and never panics,
//! whatever the bytes are.

use std::fmt;

use crate::point::{Point, Value};
use crate::rules::{LAST_TIME, Rules};
use crate::scalar::scalar;

const LONGEST_KEY: usize = 65_535;
const LONGEST_STRING: usize = 1 << 20;

type Reason = String;

/// Reads one line. The error is the reason alone.
pub(crate) fn parse_line(line: &[u8], rules: &Rules) -> Result<Point, Reason> {
    let text = std::str::from_utf8(line).map_err(|_| "invalid UTF-8")?;
    let mut scanner = Scanner { text, at: 0 };

    let measurement = scanner.measurement()?;
    let tags = scanner.tags()?;
    let series_key = scanner.at;
    if !scanner.skip(b' ') || scanner.at_end() {
        return Err("missing fields".into());
    }
    if scanner.peek() == Some(b' ') {
        return Err("more than one space before the fields".into());
    }
    let fields = scanner.fields(rules.unsigned)?;
    let timestamp = scanner.timestamp(rules)?;

    for (key, _) in &fields {
        if key == "time" {
            return Err(format!(
                "invalid field name: input field \"time\" on measurement \"{measurement}\" is invalid"
            ));
        }
        if tags.binary_search_by(|(tag, _)| tag.cmp(key)).is_ok() {
            return Err(format!("\"{key}\" is both a tag and a field"));
        }
        let length = series_key + 4 + key.len();
        if length > LONGEST_KEY {
            return Err(format!("max key length exceeded: {length} > {LONGEST_KEY}"));
        }
    }
    Ok(Point { measurement, tags, fields, timestamp })
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn measurement(&mut self) -> Result<String, Reason> {
        if self.peek() == Some(b' ') {
            return Err("space before the measurement".into());
        }
        let measurement = self.name(Part::Measurement)?;
        if measurement.is_empty() {
            return Err("missing measurement".into());
        }
        Ok(measurement)
    }

    fn tags(&mut self) -> Result<Vec<(String, String)>, Reason> {
        let mut tags = Vec::new();
        while self.skip(b',') {
            let key = self.name(Part::TagKey)?;
            if key.is_empty() {
                return Err("missing tag key".into());
            }
            if !self.skip(b'=') {
                return Err("missing tag value".into());
            }
            let value = self.name(Part::TagValue)?;
            if value.is_empty() {
                return Err("missing tag value".into());
            }
            if self.peek() == Some(b'=') {
                return Err("invalid tag format".into());
            }
            if ["time", "_field", "_measurement"].contains(&key.as_str()) {
                return Err(format!("cannot use reserved tag key \"{key}\""));
            }
            tags.push((key, value));
        }
        tags.sort();
        if tags.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("duplicate tags".into());
        }
        Ok(tags)
    }

    fn fields(&mut self, unsigned: bool) -> Result<Vec<(String, Value)>, Reason> {
        let mut fields = Vec::new();
        loop {
            let key = self.name(Part::FieldKey)?;
            if key.is_empty() {
                return Err("missing field key".into());
            }
            if !self.skip(b'=') {
                return Err("invalid field format".into());
            }
            let value = match self.peek() {
                None | Some(b',' | b' ') => return Err("missing field value".into()),
                Some(b'"') => Value::String(self.string()?),
                Some(_) => scalar(self.token(), unsigned)?,
            };
            fields.push((key, value));
            match self.peek() {
                Some(b',') => self.at += 1,
                None | Some(b' ') => break,
                Some(_) => return Err("invalid field format".into()),
            }
        }
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        if let Some(pair) = fields.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(format!("duplicate field \"{}\"", pair[0].0));
        }
        Ok(fields)
    }

    fn timestamp(&mut self, rules: &Rules) -> Result<i64, Reason> {
        if !self.skip(b' ') {
            return Ok(rules.now - rules.now % rules.precision.nanoseconds(rules.now));
        }
        let rest = &self.text[self.at..];
        if rest.is_empty() || rest.starts_with(' ') || rest.ends_with(' ') {
            return Err("more than one space after the fields, or a space at the end".into());
        }
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("bad timestamp".into());
        }
        let given = rest.parse::<i64>().ok();
        let scaled = given.and_then(|given| given.checked_mul(rules.precision.nanoseconds(given)));
        match scaled {
            Some(time) if (-LAST_TIME..=LAST_TIME).contains(&time) => Ok(time),
            _ => Err(format!("time outside range -{LAST_TIME} - {LAST_TIME}")),
        }
    }

    /// A measurement, a key or a tag value, unescaped.
    fn name(&mut self, part: Part) -> Result<String, Reason> {
        let mut name = String::new();
        let mut copied = self.at;
        while let Some(byte) = self.peek() {
            if byte.is_ascii_control() {
                return Err(format!("{part} has the control character {byte:#04x}"));
            }
            if part.delimited_by(byte) {
                break;
            }
            if byte == b'\\' {
                match self.text.as_bytes().get(self.at + 1).copied() {
                    None => return Err(format!("{part} ends with a backslash")),
                    Some(next) if part.delimited_by(next) => {
                        name.push_str(&self.text[copied..self.at]);
                        self.at += 1;
                        copied = self.at;
                    }
                    Some(next) if part.differs_on_backslash_before(next) => {
                        let next = char::from(next);
                        return Err(format!("{part} has \\{next}, which servers read differently"));
                    }
                    Some(_) => {}
                }
            }
            self.at += 1;
        }
        name.push_str(&self.text[copied..self.at]);
        Ok(name)
    }

    /// A quoted string, unescaped; the scanner is at its first quotation mark.
    fn string(&mut self) -> Result<String, Reason> {
        self.at += 1;
        let mut string = String::new();
        let mut copied = self.at;
        loop {
            match self.peek() {
                None => return Err("unbalanced quotes".into()),
                Some(b'"') => break,
                Some(b'\\') => {
                    let next = self.text.as_bytes().get(self.at + 1);
                    if let Some(b'"' | b'\\') = next {
                        string.push_str(&self.text[copied..self.at]);
                        copied = self.at + 1;
                        self.at += 1;
                    }
                }
                Some(_) => {}
            }
            self.at += 1;
        }
        string.push_str(&self.text[copied..self.at]);
        self.at += 1;
        if string.len() > LONGEST_STRING {
            return Err(format!("string longer than {LONGEST_STRING} bytes"));
        }
        Ok(string)
    }

    fn token(&mut self) -> &str {
        let rest = &self.text[self.at..];
        let token = rest.split([',', ' ']).next().unwrap_or_default();
        self.at += token.len();
        token
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn at_end(&self) -> bool {
        self.at == self.text.len()
    }
}

/// A place where a name stands, each with its own delimiters.
#[derive(Clone, Copy)]
enum Part {
    Measurement,
    TagKey,
    TagValue,
    FieldKey,
}

impl Part {
    /// Whether a byte ends the name as it stands, and belongs to the name after a backslash.
    fn delimited_by(self, byte: u8) -> bool {
        matches!(byte, b',' | b' ') || byte == b'=' && !matches!(self, Part::Measurement)
    }

    /// Whether servers disagree on a backslash that stands before this byte. Of two backslashes 3.x stores one, 1.x and
    /// 2.x both; before the others 1.x and 2.x drop it, and 3.x does not.
    fn differs_on_backslash_before(self, byte: u8) -> bool {
        match byte {
            b'\\' => true,
            b'"' => matches!(self, Part::Measurement | Part::FieldKey),
            b'=' => matches!(self, Part::Measurement),
            _ => false,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Measurement => "the measurement",
            Part::TagKey => "a tag key",
            Part::TagValue => "a tag value",
            Part::FieldKey => "a field key",
        })
    }
}

#[cfg(test)]
mod tests;
