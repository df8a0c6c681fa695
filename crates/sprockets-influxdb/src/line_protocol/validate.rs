//! One line of line protocol, looked at from left to right without a copy. Lenient where servers differ: what it lets
//! pass may still be refused by one.

/// Where the parts of a line are.
pub(super) struct Scanned<'a> {
    /// Where the fields end.
    pub(super) end: usize,
    /// What stands in the timestamp's place.
    pub(super) timestamp: Option<&'a str>,
    pub(super) has_unsigned: bool,
}

type Reason = String;

/// The line is trimmed. The error says what is wrong with it, and what to do.
pub(super) fn scan(line: &str) -> Result<Scanned<'_>, Reason> {
    let mut scanner = Scanner { text: line, at: 0, has_unsigned: false };
    scanner.head()?;
    scanner.fields()?;
    let end = scanner.at;
    scanner.skip_spaces();
    let timestamp = Some(&line[scanner.at..]).filter(|rest| !rest.is_empty());
    if timestamp.is_some_and(|rest| rest.contains('\n')) {
        return Err(line_break());
    }
    Ok(Scanned { end, timestamp, has_unsigned: scanner.has_unsigned })
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    has_unsigned: bool,
}

impl<'a> Scanner<'a> {
    /// The measurement's name and the tags, with the spaces after them.
    fn head(&mut self) -> Result<(), Reason> {
        if self.peek() == Some(b'#') {
            return Err("it is a comment: expected a measurement".to_owned());
        }
        if self.name(|byte| matches!(byte, b',' | b' '))?.is_empty() {
            return Err("it has no name: expected measurement[,tag=value] field=value".to_owned());
        }
        while self.skip(b',') {
            self.tag()?;
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
            return Err("a tag has no name: expected ,tag=value, and a backslash before a comma that belongs to a \
                        name"
                .to_owned());
        }
        let is_valued = self.skip(b'=') && !self.name(is_delimiter)?.is_empty();
        if self.peek() == Some(b'=') {
            return Err(format!("the tag {key} has an unescaped = in its value: expected \\="));
        }
        if !is_valued {
            return Err(format!("the tag {key} has no value: give it one, or leave the tag out"));
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
                    "the field name {key} has a \" in it, which servers read differently: leave it out"
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
                        "the field {key} goes on after its string: expected a comma, a space or the end, and a \
                         backslash before each \" within it"
                    ));
                }
            }
        }
    }

    /// What stands before the next delimiter that has no backslash before it.
    fn name(&mut self, is_delimiter: impl Fn(u8) -> bool) -> Result<&'a str, Reason> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if is_delimiter(byte) {
                break;
            }
            if byte == b'\n' {
                return Err(line_break());
            }
            let escapes =
                byte == b'\\' && bytes.get(self.at + 1).is_some_and(|&next| is_delimiter(next));
            self.at += 1 + usize::from(escapes);
        }
        Ok(&self.text[start..self.at])
    }

    /// The rest of a string whose first quotation mark is behind.
    fn string(&mut self, key: &str) -> Result<(), Reason> {
        let bytes = self.text.as_bytes();
        while let Some(found) = memchr::memchr2(b'"', b'\\', &bytes[self.at..]) {
            self.at += found + 1;
            if bytes[self.at - 1] == b'"' {
                return Ok(());
            }
            self.at = (self.at + 1).min(bytes.len());
        }
        Err(format!("the string in field {key} is never closed: expected a \" at its end"))
    }

    /// A number or a boolean.
    fn scalar(&mut self, key: &str) -> Result<(), Reason> {
        let rest = &self.text[self.at..];
        let token = &rest[..rest.find([',', ' ', '\n']).unwrap_or(rest.len())];
        self.at += token.len();
        let refusal = |problem: &str| Err(format!("the field {key}: {token:?} {problem}"));
        match value(token) {
            Value::Fine => Ok(()),
            Value::Unsigned => {
                self.has_unsigned = true;
                Ok(())
            }
            Value::OutOfRange => refusal("is out of range: expected 64 bits"),
            Value::NotFinite => Err(format!(
                "the field {key} is NaN or infinite, which no server stores: leave it out"
            )),
            Value::None => refusal("is not a value: expected 1, 1i, true or \"text\""),
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

    /// Whether there was one, and something after it.
    fn skip_spaces(&mut self) -> bool {
        let start = self.at;
        while self.skip(b' ') {}
        self.at > start && self.at < self.text.len()
    }
}

fn line_break() -> Reason {
    "it has a line break outside of a string: expected one measurement".to_owned()
}

enum Value {
    Fine,
    Unsigned,
    OutOfRange,
    NotFinite,
    None,
}

fn value(token: &str) -> Value {
    const WORDS: [&str; 10] =
        ["t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"];
    let magnitude = token.strip_prefix('-').unwrap_or(token);
    if !magnitude.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        let word = token.trim_start_matches(['+', '-']).to_ascii_lowercase();
        return match word.as_str() {
            "nan" | "inf" | "infinity" => Value::NotFinite,
            _ if WORDS.contains(&token) => Value::Fine,
            _ => Value::None,
        };
    }
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(digits) = magnitude.strip_suffix('i').filter(|digits| is_digits(digits)) {
        // More digits than this are needed to be out of range.
        let is_fine = digits.len() < 19 || token[..token.len() - 1].parse::<i64>().is_ok();
        return if is_fine { Value::Fine } else { Value::OutOfRange };
    }
    if let Some(digits) = token.strip_suffix('u').filter(|digits| is_digits(digits)) {
        return if digits.parse::<u64>().is_ok() { Value::Unsigned } else { Value::OutOfRange };
    }
    float(magnitude)
}

fn float(magnitude: &str) -> Value {
    let split = |text| {
        let is_digit = |byte: u8| byte.is_ascii_digit();
        let end = str::bytes(text).position(|byte| !is_digit(byte)).unwrap_or(text.len());
        text.split_at(end)
    };
    let (whole, rest) = split(magnitude);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), split);
    if whole.is_empty() && fraction.is_empty() {
        return Value::None;
    }
    let Some(exponent) = rest.strip_prefix(['e', 'E']) else {
        return if rest.is_empty() && whole.len() < 300 { Value::Fine } else { Value::None };
    };
    let (digits, rest) = split(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    if digits.is_empty() || !rest.is_empty() {
        return Value::None;
    }
    match magnitude.parse::<f64>() {
        Ok(value) if value.is_finite() => Value::Fine,
        _ => Value::OutOfRange,
    }
}
