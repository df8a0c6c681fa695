//! The parts of one line, read from left to right. Never panics, whatever the text is.

use crate::point::Value;

/// As many characters of a line as an error message repeats.
const SHOWN: usize = 10;

type Reason = String;

/// Where a name stands; each part has its own delimiters.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Measurement,
    Key,
    TagValue,
}

impl Part {
    fn ends_at(self, byte: u8) -> bool {
        match byte {
            b' ' | b'\t' | b'\n' => true,
            b'\0' => self == Part::Measurement,
            b',' => self != Part::Key,
            b'=' => self == Part::Key,
            _ => false,
        }
    }

    /// Whether a backslash before this byte is dropped.
    fn unescapes(self, byte: u8) -> bool {
        matches!(byte, b',' | b' ' | b'\\') || byte == b'=' && self != Part::Measurement
    }
}

pub(super) struct Scanner<'a> {
    rest: &'a str,
    longest: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(line: &'a str, longest: usize) -> Self {
        Self { rest: line, longest }
    }

    /// What is not read yet.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) fn measurement(&mut self) -> Result<String, Reason> {
        let name = self.name(Part::Measurement)?;
        name.ok_or_else(|| "Invalid measurement was provided".into())
    }

    pub(super) fn tags(&mut self) -> Result<Vec<(String, String)>, Reason> {
        let mut tags = Vec::new();
        let first = self.rest.get(1..).unwrap_or_default();
        while self.skip(',') {
            let start = self.rest;
            let key = self.name(Part::Key)?.ok_or_else(|| expected("tag key", start))?;
            if !self.skip('=') {
                let shown = shortened(first);
                return Err(format!("Tag set malformed: could not find equals sign in `{shown}`"));
            }
            let start = self.rest;
            let value = self.name(Part::TagValue)?.ok_or_else(|| expected("tag value", start))?;
            tags.push((key, value));
        }
        Ok(tags)
    }

    /// At least one space.
    pub(super) fn spaces(&mut self) -> Result<(), Reason> {
        let after = self.rest.trim_start_matches(' ');
        if after.len() == self.rest.len() {
            let got = match self.rest {
                "" => "end of input".to_owned(),
                rest => format!("`{rest}`"),
            };
            return Err(format!("Expected at least one space character, got {got}"));
        }
        self.rest = after;
        Ok(())
    }

    /// Fields up to the first that cannot be read; that and what follows are trailing content.
    pub(super) fn fields(&mut self) -> Result<Vec<(String, Value)>, Reason> {
        let mut fields = Vec::new();
        loop {
            let start = self.rest;
            match self.field()? {
                Some(field) => fields.push(field),
                None if fields.is_empty() => return Err("No fields were provided".into()),
                None => {
                    self.rest = start;
                    return Ok(fields);
                }
            }
            if !self.skip(',') {
                return Ok(fields);
            }
        }
    }

    /// The timestamp with the spaces around it; reads nothing if there is none.
    pub(super) fn timestamp(&mut self) -> Result<Option<i64>, Reason> {
        let after = self.rest.trim_start_matches(' ');
        let digits = integer(after);
        if after.len() == self.rest.len() || digits.is_empty() {
            return Ok(None);
        }
        let time = digits.parse();
        let time = time.map_err(|_| format!("Unable to parse timestamp value `{digits}`"))?;
        self.rest = after[digits.len()..].trim_start_matches(' ');
        Ok(Some(time))
    }

    fn field(&mut self) -> Result<Option<(String, Value)>, Reason> {
        let Some(key) = self.name(Part::Key)? else { return Ok(None) };
        if !self.skip('=') {
            return Ok(None);
        }
        Ok(self.value()?.map(|value| (key, value)))
    }

    fn value(&mut self) -> Result<Option<Value>, Reason> {
        if self.rest.starts_with('"') {
            return self.string();
        }
        let (text, value) = match number(self.rest)? {
            Some(number) => number,
            None => match boolean(self.rest) {
                Some((word, value)) => (word, Value::Boolean(value)),
                None => return Ok(None),
            },
        };
        self.rest = &self.rest[text.len()..];
        Ok(Some(value))
    }

    /// A quoted string, or nothing if it does not end.
    fn string(&mut self) -> Result<Option<Value>, Reason> {
        let mut string = String::new();
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((index, char)) = chars.next() {
            match char {
                '"' => {
                    self.rest = &self.rest[index + 1..];
                    self.check_length(&string)?;
                    return Ok(Some(Value::String(string)));
                }
                '\\' => {
                    let escaped = chars.next_if(|(_, next)| matches!(next, '"' | '\\'));
                    string.push(escaped.map_or('\\', |(_, next)| next));
                }
                other => string.push(other),
            }
        }
        Ok(None)
    }

    /// A name without its escapes, or nothing if it is empty.
    fn name(&mut self, part: Part) -> Result<Option<String>, Reason> {
        let mut name = String::new();
        let mut chars = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((index, char)) = chars.next() {
            let byte = u8::try_from(char).unwrap_or(u8::MAX);
            if char == '\\' {
                match chars.next().map(|(_, next)| next) {
                    Some(next) if next.is_ascii() && part.unescapes(next as u8) => name.push(next),
                    Some(next) => name.extend(['\\', next]),
                    None => name.push('\\'),
                }
            } else if part.ends_at(byte) {
                end = index;
                break;
            } else {
                name.push(char);
            }
        }
        self.rest = &self.rest[end..];
        if name.ends_with('\\') {
            let message =
                "Measurements, tag keys and values, and field keys may not end with a backslash";
            return Err(message.into());
        }
        self.check_length(&name)?;
        Ok(Some(name).filter(|name| !name.is_empty()))
    }

    fn check_length(&self, text: &str) -> Result<(), Reason> {
        if text.len() <= self.longest {
            return Ok(());
        }
        let limit = if self.longest >= 1 << 20 { "1MB" } else { "64KB" };
        Err(format!("String is greater than {limit}"))
    }

    fn skip(&mut self, char: char) -> bool {
        let after = self.rest.strip_prefix(char);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }
}

/// A number at the start of the text, and the text of it. A float that overflows is infinite.
fn number(text: &str) -> Result<Option<(&str, Value)>, Reason> {
    let whole = integer(text);
    if whole.is_empty() {
        return Ok(None);
    }
    let end = whole.len();
    match text.as_bytes().get(end) {
        Some(b'i') => {
            let value = whole.parse();
            let value = value.map_err(|_| format!("Unable to parse integer value `{whole}`"))?;
            return Ok(Some((&text[..=end], Value::Integer(value))));
        }
        Some(b'u') if !whole.starts_with('-') => {
            let value = whole.parse();
            let value =
                value.map_err(|_| format!("Unable to parse unsigned integer value `{whole}`"))?;
            return Ok(Some((&text[..=end], Value::Unsigned(value))));
        }
        _ => {}
    }
    let mut end = whole.len();
    if let Some(fraction) = text[end..].strip_prefix('.') {
        let digits = digits(fraction);
        end += if digits.is_empty() { 0 } else { 1 + digits.len() };
    }
    if let Some(exponent) = text[end..].strip_prefix(['e', 'E']) {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let digits = digits(unsigned);
        if !digits.is_empty() {
            end += 1 + (exponent.len() - unsigned.len()) + digits.len();
        }
    }
    let value = text[..end].parse().unwrap_or(f64::INFINITY);
    Ok(Some((&text[..end], Value::Float(value))))
}

fn boolean(text: &str) -> Option<(&str, bool)> {
    let words = ["true", "True", "TRUE", "t", "T", "false", "False", "FALSE", "f", "F"];
    let word = words.into_iter().find(|word| text.starts_with(word))?;
    Some((&text[..word.len()], word.starts_with(['t', 'T'])))
}

/// Digits at the start of the text, with a minus sign if there is one.
fn integer(text: &str) -> &str {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    match digits(unsigned).len() {
        0 => "",
        length => &text[..text.len() - unsigned.len() + length],
    }
}

fn digits(text: &str) -> &str {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

fn expected(what: &str, rest: &str) -> Reason {
    match rest {
        "" => format!("Expected {what}, got end of input"),
        rest => format!("Expected {what}, got `{}`", shortened(rest)),
    }
}

/// As much of a text as an error message repeats.
pub(super) fn shortened(text: &str) -> String {
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start}...")
}
