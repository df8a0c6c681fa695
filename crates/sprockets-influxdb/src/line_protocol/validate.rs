//! Validates one line of line protocol in one pass, without a copy.
//!
//! It refuses what no server accepts. Where servers differ it is lenient: a line that passes may
//! still be rejected by one of them.

use std::collections::HashSet;
use std::ops::Range;

use super::lexer;

/// The parts of a valid line.
pub(super) struct Parts<'a> {
    /// Where the fields end.
    pub(super) fields_end: usize,
    /// The text in the timestamp's place, not yet validated.
    pub(super) timestamp: Option<&'a str>,
    pub(super) has_unsigned: bool,
}

/// What is wrong with a line, and what to do.
type Reason = String;

/// Validates a line without surrounding spaces and line breaks.
pub(super) fn validate(line: &str) -> Result<Parts<'_>, Reason> {
    let mut scanner = Scanner::new(line);
    scanner.head()?;
    scanner.fields()?;
    let fields_end = scanner.at;
    scanner.skip_spaces();
    let timestamp = Some(&line[scanner.at..]).filter(|rest| !rest.is_empty());
    if timestamp.is_some_and(|rest| rest.contains('\n')) {
        return Err(line_break());
    }
    Ok(Parts { fields_end, timestamp, has_unsigned: scanner.has_unsigned })
}

/// Tags from which their names are kept in a set.
const MANY_TAGS: usize = 32;

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    has_unsigned: bool,
    /// Where the tags begin and end, each with the comma before it.
    tags: Range<usize>,
    /// A Bloom filter of the tags' names.
    tag_names: u64,
    /// The number of tags so far.
    tag_count: usize,
    /// The names of many tags, for which reading them again takes too long.
    many: Option<HashSet<&'a str>>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            has_unsigned: false,
            tags: 0..0,
            tag_names: 0,
            tag_count: 0,
            many: None,
        }
    }

    /// The measurement's name, the tags, and the spaces after them.
    fn head(&mut self) -> Result<(), Reason> {
        if self.peek() == Some(b'#') {
            return Err("it is a comment: expected a measurement".to_owned());
        }
        if self.name(|byte| matches!(byte, b',' | b' '))?.is_empty() {
            return Err("it has no name: expected measurement[,tag=value] field=value".to_owned());
        }
        self.tags = self.at..self.at;
        while self.skip(b',') {
            self.tag()?;
            self.tags.end = self.at;
        }
        if !self.skip_spaces() {
            return Err("it has no field: expected measurement[,tag=value] field=value".to_owned());
        }
        Ok(())
    }

    fn tag(&mut self) -> Result<(), Reason> {
        let is_delimiter = |byte| matches!(byte, b',' | b' ' | b'=');
        let key = self.name(is_delimiter)?;
        if key.is_empty() {
            return Err("a tag has no name: expected ,tag=value, and a backslash before a comma \
                        that belongs to a name"
                .to_owned());
        }
        let has_value = self.skip(b'=') && !self.name(is_delimiter)?.is_empty();
        if self.peek() == Some(b'=') {
            return Err(format!("the tag {key} has an unescaped = in its value: expected \\="));
        }
        if !has_value {
            return Err(format!("the tag {key} has no value: give it one, or leave the tag out"));
        }
        if self.has_tag(key) {
            return Err(format!(
                "the tag {key} is set twice, which makes its table unreadable on InfluxDB 3: \
                 leave one out"
            ));
        }
        self.tag_names |= bit(key);
        self.tag_count += 1;
        if let Some(many) = &mut self.many {
            many.insert(key);
        } else if self.tag_count == MANY_TAGS {
            let tags = self.tags.start..self.at;
            self.many = Some(names(&self.text[tags]).collect());
        }
        Ok(())
    }

    fn fields(&mut self) -> Result<(), Reason> {
        loop {
            let key = self.name(|byte| matches!(byte, b',' | b' ' | b'='))?;
            if key.is_empty() {
                return Err("a field has no name: expected field=value".to_owned());
            }
            if key.contains('"') {
                return Err(format!(
                    "the field name {key} has a \" in it, which servers read differently: \
                     leave it out"
                ));
            }
            if self.has_tag(key) {
                return Err(format!(
                    "{key} is a tag and a field, which makes its table unreadable on InfluxDB 3: \
                     rename one"
                ));
            }
            if !self.skip(b'=') || matches!(self.peek(), None | Some(b',' | b' ' | b'\n')) {
                return Err(format!(
                    "the field {key} has no value: expected {key}=1, =1i, =true or =\"text\""
                ));
            }
            if self.skip(b'"') {
                self.string(key)?
            } else {
                self.scalar(key)?
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'\n') => return Err(line_break()),
                None | Some(b' ') => return Ok(()),
                Some(_) => {
                    return Err(format!(
                        "the field {key} goes on after its string: expected a comma, a space or \
                         the end, and a backslash before each \" within it"
                    ));
                }
            }
        }
    }

    /// Whether there is a tag of that name before this place.
    fn has_tag(&self, name: &str) -> bool {
        self.tag_names & bit(name) != 0 && self.find_tag(name)
    }

    #[cold]
    fn find_tag(&self, name: &str) -> bool {
        match &self.many {
            Some(many) => many.contains(name),
            None => names(&self.text[self.tags.clone()]).any(|present| present == name),
        }
    }

    /// The text up to the next delimiter that is not escaped.
    fn name(&mut self, is_delimiter: impl Fn(u8) -> bool) -> Result<&'a str, Reason> {
        let start = self.at;
        self.at = lexer::find_delimiter(self.text.as_bytes(), start, is_delimiter);
        if self.peek() == Some(b'\n') {
            return Err(line_break());
        }
        Ok(&self.text[start..self.at])
    }

    /// The rest of a string, after its opening quote.
    fn string(&mut self, key: &str) -> Result<(), Reason> {
        self.at = lexer::string_end(self.text.as_bytes(), self.at).ok_or_else(|| {
            format!("the string in field {key} is never closed: expected a \" at its end")
        })?;
        Ok(())
    }

    /// A number or a boolean.
    fn scalar(&mut self, key: &str) -> Result<(), Reason> {
        let rest = &self.text[self.at..];
        let token = &rest[..rest.find([',', ' ', '\n']).unwrap_or(rest.len())];
        self.at += token.len();
        let refuse = |problem: &str| Err(format!("the field {key}: {token:?} {problem}"));
        match scalar_kind(token) {
            Scalar::Valid => Ok(()),
            Scalar::Unsigned => {
                self.has_unsigned = true;
                Ok(())
            }
            Scalar::OutOfRange => refuse("is out of range: expected 64 bits"),
            Scalar::NotFinite => Err(format!(
                "the field {key} is NaN or infinite, which no server stores: leave it out"
            )),
            Scalar::Invalid => refuse("is not a value: expected 1, 1i, true or \"text\""),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Whether there were spaces, and something after them.
    fn skip_spaces(&mut self) -> bool {
        let start = self.at;
        while self.skip(b' ') {}
        self.at > start && self.at < self.text.len()
    }
}

/// The names of tags, each of which begins with its comma.
fn names(tags: &str) -> impl Iterator<Item = &str> {
    let bytes = tags.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= tags.len() {
            return None;
        }
        let key = at + 1..lexer::find_delimiter(bytes, at + 1, |byte| byte == b'=');
        at = lexer::find_delimiter(bytes, key.end + 1, |byte| byte == b',');
        Some(&tags[key])
    })
}

/// A name's bit in a filter of 64.
fn bit(name: &str) -> u64 {
    let (bytes, last) = (name.as_bytes(), name.len().saturating_sub(1));
    let byte = |at: usize| u64::from(bytes.get(at).copied().unwrap_or_default());
    1 << ((name.len() as u64 * 7 + byte(0) * 31 + byte(last / 2) * 5 + byte(last)) & 63)
}

fn line_break() -> Reason {
    "it has a line break outside of a string: expected one measurement".to_owned()
}

/// What a value without quotes is.
enum Scalar {
    Valid,
    Unsigned,
    OutOfRange,
    NotFinite,
    Invalid,
}

fn scalar_kind(token: &str) -> Scalar {
    const BOOLEANS: [&str; 10] =
        ["t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"];
    let magnitude = token.strip_prefix('-').unwrap_or(token);
    if !magnitude.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        let word = token.trim_start_matches(['+', '-']).to_ascii_lowercase();
        return match word.as_str() {
            "nan" | "inf" | "infinity" => Scalar::NotFinite,
            _ if BOOLEANS.contains(&token) => Scalar::Valid,
            _ => Scalar::Invalid,
        };
    }
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(digits) = magnitude.strip_suffix('i').filter(|digits| is_digits(digits)) {
        // Shorter numbers are always in range.
        let is_in_range = digits.len() < 19 || token[..token.len() - 1].parse::<i64>().is_ok();
        return if is_in_range { Scalar::Valid } else { Scalar::OutOfRange };
    }
    if let Some(digits) = token.strip_suffix('u').filter(|digits| is_digits(digits)) {
        return if digits.parse::<u64>().is_ok() { Scalar::Unsigned } else { Scalar::OutOfRange };
    }
    float(magnitude)
}

fn float(magnitude: &str) -> Scalar {
    let split = |text| {
        let is_digit = |byte: u8| byte.is_ascii_digit();
        let end = str::bytes(text).position(|byte| !is_digit(byte)).unwrap_or(text.len());
        text.split_at(end)
    };
    let (whole, rest) = split(magnitude);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), split);
    if whole.is_empty() && fraction.is_empty() {
        return Scalar::Invalid;
    }
    let Some(exponent) = rest.strip_prefix(['e', 'E']) else {
        return if rest.is_empty() && whole.len() < 300 { Scalar::Valid } else { Scalar::Invalid };
    };
    let (digits, rest) = split(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    if digits.is_empty() || !rest.is_empty() {
        return Scalar::Invalid;
    }
    match magnitude.parse::<f64>() {
        Ok(value) if value.is_finite() => Scalar::Valid,
        _ => Scalar::OutOfRange,
    }
}
