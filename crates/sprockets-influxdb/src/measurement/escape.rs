//! Line protocol as it grows: escaping by position, repair of what no server can store, and the scan that decides
//! in a few instructions that a string needs neither.
//!
//! Facts about the servers' parsers: `DESIGN.md`, "Line protocol".

use super::FieldValue;

/// Where in a line a string stands; each place has its own rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    Measurement,
    TagKey,
    TagValue,
    FieldKey,
}

/// A buffer for line protocol. `bytes` is initialised beyond `len`, so that short strings are stored in place, word by
/// word, without a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    bytes: Vec<u8>,
    len: usize,
    repaired: bool,
}

impl Text {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity], ..Self::default() }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether something could not be written as it stood.
    pub(crate) fn is_repaired(&self) -> bool {
        self.repaired
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.repaired = false;
    }

    /// Forgets what was written after the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Removes a range of bytes.
    pub(crate) fn remove(&mut self, range: std::ops::Range<usize>) {
        let removed = range.len();
        self.bytes.copy_within(range.end..self.len, range.start);
        self.len -= removed;
    }

    /// Puts what stands from `tail` to the end in the place of a range before it.
    pub(crate) fn replace(&mut self, old: std::ops::Range<usize>, tail: usize) {
        let new = self.len - tail;
        self.remove(old.clone());
        self.bytes[old.start..self.len].rotate_right(new);
    }

    /// Sets the first byte, if there is one.
    pub(crate) fn set_first(&mut self, byte: u8) {
        if let Some(first) = self.bytes[..self.len].first_mut() {
            *first = byte;
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.reserve(1);
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    /// Appends `text` as it stands.
    #[inline]
    pub(crate) fn push_raw(&mut self, text: &[u8]) {
        self.reserve(text.len());
        let end = self.len + text.len();
        copy(&mut self.bytes[self.len..end], text, |_, _| ());
        self.len = end;
    }

    /// Appends a name or a tag's value.
    #[inline]
    pub(crate) fn push_escaped(&mut self, text: &str, position: Position) {
        let (bytes, start) = (text.as_bytes(), self.len);
        let end = start + bytes.len();
        self.reserve(bytes.len());
        let mut plain = Plain::default();
        copy(&mut self.bytes[start..end], bytes, |first, last| plain.look_at(first, last));
        if plain.is_it() && !(position == Position::Measurement && bytes.first() == Some(&b'#')) {
            self.len = end;
        } else {
            self.push_bytewise(bytes, position);
        }
    }

    /// Appends a separator, a key, and an equals sign. A key is neither empty nor reserved: it is repaired if it is.
    #[inline]
    pub(crate) fn push_key(&mut self, separator: u8, key: &str, position: Position) -> Key {
        let (bytes, start) = (key.as_bytes(), self.len);
        let end = start + bytes.len() + 2;
        self.reserve(bytes.len() + 2);
        let (mut plain, mut fingerprint) = (Plain::default(), Fingerprint::of_length(bytes.len()));
        if let [before, place @ .., after] = &mut self.bytes[start..end] {
            *before = separator;
            copy(place, bytes, |first, last| {
                plain.look_at(first, last);
                fingerprint.add(first, last);
            });
            *after = b'=';
        }
        if plain.is_it() && !is_reserved(key, position) {
            self.len = end;
            return Key { start, fingerprint: fingerprint.finish() };
        }
        self.push_key_bytewise(separator, key, position)
    }

    /// A key that was just appended, as it stands there.
    pub(crate) fn key(&self, key: &Key) -> &[u8] {
        &self.bytes[key.start + 1..self.len - 1]
    }

    #[cold]
    fn push_key_bytewise(&mut self, separator: u8, key: &str, position: Position) -> Key {
        let start = self.len;
        self.push(separator);
        self.push_bytewise(key.as_bytes(), position);
        if is_reserved(key, position) {
            self.push(b'_');
            self.repaired = true;
        }
        let fingerprint = fingerprint(&self.as_bytes()[start + 1..]);
        self.push(b'=');
        Key { start, fingerprint }
    }

    /// The rule for every string that is not plain, and the only place that knows it.
    #[cold]
    fn push_bytewise(&mut self, bytes: &[u8], position: Position) {
        let replace = |text: &mut Self, by: &[u8]| {
            text.repaired = true;
            text.push_raw(by);
        };
        for (index, &byte) in bytes.iter().enumerate() {
            match byte {
                0..=0x1f | 0x7f => replace(self, b"\\ "),
                b' ' | b',' => self.push_raw(&[b'\\', byte]),
                b'=' if position != Position::Measurement => self.push_raw(b"\\="),
                b'"' if position == Position::FieldKey => replace(self, b"'"),
                b'#' if position == Position::Measurement && index == 0 => replace(self, b"-"),
                b'\\' => match bytes.get(index + 1) {
                    None | Some(b'\\' | b',' | b'=' | 0..=b' ' | 0x7f) => replace(self, b"/"),
                    Some(b'"') if position == Position::Measurement => replace(self, b"/"),
                    Some(_) => self.push(b'\\'),
                },
                _ => self.push(byte),
            }
        }
    }

    /// Appends a field's value as line protocol writes it. Non-finite floats have no form; the caller leaves them out.
    #[inline]
    pub(crate) fn push_value(&mut self, value: &FieldValue<'_>) {
        match value {
            FieldValue::Float(float) => {
                self.push_raw(zmij::Buffer::new().format_finite(*float).as_bytes());
            }
            FieldValue::Integer(integer) => {
                self.push_raw(itoa::Buffer::new().format(*integer).as_bytes());
                self.push(b'i');
            }
            FieldValue::Unsigned(unsigned) => {
                self.push_raw(itoa::Buffer::new().format(*unsigned).as_bytes());
                self.push(if i64::try_from(*unsigned).is_ok() { b'i' } else { b'u' });
            }
            FieldValue::Boolean(true) => self.push_raw(b"true"),
            FieldValue::Boolean(false) => self.push_raw(b"false"),
            FieldValue::String(string) => self.push_quoted(string.as_bytes()),
            FieldValue::OutOfRange(_) => {}
        }
    }

    /// Appends a string field's value: only `"` and `\` are special in it.
    fn push_quoted(&mut self, mut bytes: &[u8]) {
        self.push(b'"');
        while let Some(at) = memchr::memchr2(b'"', b'\\', bytes) {
            self.push_raw(&bytes[..at]);
            self.push_raw(&[b'\\', bytes[at]]);
            bytes = &bytes[at + 1..];
        }
        self.push_raw(bytes);
        self.push(b'"');
    }

    #[inline]
    fn reserve(&mut self, additional: usize) {
        let needed = self.len + additional;
        if self.bytes.len() < needed {
            self.grow(needed);
        }
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        self.bytes.resize(needed.next_power_of_two(), 0);
    }
}

/// A key as it was appended.
pub(crate) struct Key {
    /// Where its separator stands.
    pub(crate) start: usize,
    pub(crate) fingerprint: u64,
}

fn is_reserved(key: &str, position: Position) -> bool {
    match key.len() {
        0 => true,
        4 => key == "time",
        6 => key == "_field" && position == Position::TagKey,
        12 => key == "_measurement" && position == Position::TagKey,
        _ => false,
    }
}

/// Copies `text` to a place of the same length, and has each of its bytes looked at, in pairs of words. Strings of up
/// to 16 bytes take a few instructions and no call; that is why it is not `copy_from_slice`.
#[inline]
fn copy(place: &mut [u8], text: &[u8], mut look_at: impl FnMut(u64, u64)) {
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        if text.len() > 16 {
            for (place, piece) in place.chunks_exact_mut(16).zip(text.chunks_exact(16)) {
                place.copy_from_slice(piece);
            }
            if let (Some(place), Some(tail)) = (place.last_chunk_mut::<16>(), text.last_chunk()) {
                *place = *tail;
            }
        } else if let Some(place) = place.first_chunk_mut() {
            *place = *first;
        }
        if let Some(place) = place.last_chunk_mut() {
            *place = *last;
        }
    } else if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        if let Some(place) = place.first_chunk_mut() {
            *place = *first;
        }
        if let Some(place) = place.last_chunk_mut() {
            *place = *last;
        }
    } else {
        for (place, byte) in place.iter_mut().zip(text) {
            *place = *byte;
        }
    }
    each_pair_of_words(text, &mut look_at);
}

/// The bytes of a string, 16 at a time, the last 16 overlapping with those before.
#[inline]
fn each_pair_of_words(text: &[u8], mut look_at: impl FnMut(u64, u64)) {
    if text.len() <= 16 {
        let (first, last) = words(text);
        return look_at(first, last);
    }
    for piece in text.chunks_exact(16) {
        let (first, last) = words(piece);
        look_at(first, last);
    }
    let (first, last) = words(&text[text.len() - 16..]);
    look_at(first, last);
}

/// The first and the last bytes of a string of up to 16, as words without gaps between them: in the middle they may
/// say the same bytes twice. Strings of up to three bytes are filled up with letters, which are special nowhere.
#[inline]
fn words(bytes: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        let word = u64::from(first) | u64::from(last) << 32;
        (word, word)
    } else if let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) {
        let word =
            u64::from_le_bytes([first, bytes[bytes.len() / 2], last, b'a', b'a', b'a', b'a', b'a']);
        (word, word)
    } else {
        (EVERY * b'a' as u64, EVERY * b'a' as u64)
    }
}

/// A byte in every byte of a word, by multiplication.
const EVERY: u64 = 0x0101_0101_0101_0101;

/// Whether no byte is special anywhere in a line: none of the control characters, space, `"`, `,`, `=`, `\`.
struct Plain(u64);

impl Default for Plain {
    fn default() -> Self {
        Self(HIGH_BITS)
    }
}

impl Plain {
    #[inline]
    fn look_at(&mut self, first: u64, last: u64) {
        self.0 &= plain_bytes(first) & plain_bytes(last);
    }

    #[inline]
    fn is_it(&self) -> bool {
        self.0 == HIGH_BITS
    }
}

const HIGH_BITS: u64 = EVERY * 0x80;

/// Sets the high bit of each byte that is not special (and leaves the other bits undefined). With the high bits cleared
/// first, no sum of two bytes carries into the next. `!` counts as special, which costs time, not correctness.
#[inline]
fn plain_bytes(word: u64) -> u64 {
    const LOW_BITS: u64 = EVERY * 0x7f;
    let differs = |low: u64, byte: u8| (low ^ (EVERY * u64::from(byte))) + LOW_BITS;
    let low = word & LOW_BITS;
    let above_quote = low + EVERY * (0x80 - (b'"' as u64 + 1));
    let ascii = above_quote & differs(low, b',') & differs(low, b'=') & differs(low, b'\\');
    word | (ascii & differs(low, 0x7f))
}

/// A number of 16 bits that is the same for equal keys, and mostly differs for others.
#[inline]
pub(crate) fn fingerprint(key: &[u8]) -> u64 {
    let mut fingerprint = Fingerprint::of_length(key.len());
    each_pair_of_words(key, |first, last| fingerprint.add(first, last));
    fingerprint.finish()
}

struct Fingerprint(u64);

impl Fingerprint {
    #[inline]
    fn of_length(len: usize) -> Self {
        Self(len as u64)
    }

    #[inline]
    fn add(&mut self, first: u64, last: u64) {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0 ^ first ^ last.rotate_left(29)).wrapping_mul(ODD);
    }

    #[inline]
    fn finish(self) -> u64 {
        self.0 >> 48
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str, position: Position) -> (String, bool) {
        let mut out = Text::default();
        out.push_escaped(text, position);
        (String::from_utf8(out.as_bytes().to_vec()).unwrap(), out.is_repaired())
    }

    fn is_plain(bytes: &[u8]) -> bool {
        let (mut plain, mut copied) = (Plain::default(), vec![0; bytes.len()]);
        copy(&mut copied, bytes, |first, last| plain.look_at(first, last));
        assert_eq!(copied, bytes);
        plain.is_it()
    }

    #[test]
    fn a_byte_is_plain_exactly_if_it_may_stand_anywhere() {
        for byte in (0..=u8::MAX).step_by(if cfg!(miri) { 31 } else { 1 }) {
            let special = matches!(byte, 0..=b' ' | b'!' | b'"' | b',' | b'=' | b'\\' | 0x7f);
            for len in (1..40).step_by(if cfg!(miri) { 13 } else { 1 }) {
                for at in 0..len {
                    let mut bytes = vec![b'x'; len];
                    bytes[at] = byte;
                    assert_eq!(is_plain(&bytes), !special, "{byte} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn plain_strings_of_every_length_stay_as_they_are() {
        let text = "the.quick-brown_fox/jumps:over;the|lazy*dog'0123456789\u{e9}\u{1f600}";
        for (end, _) in text.char_indices() {
            for position in [Position::Measurement, Position::TagKey, Position::FieldKey] {
                assert_eq!(escaped(&text[..end], position), (text[..end].to_owned(), false));
            }
        }
    }

    #[test]
    fn a_special_byte_is_found_wherever_it_stands() {
        for len in (1..50).step_by(if cfg!(miri) { 13 } else { 1 }) {
            for at in 0..len {
                for (special, expected) in [(" ", "\\ "), (",", "\\,"), ("=", "\\="), ("\0", "\\ ")]
                {
                    let text = format!("{}{special}{}", "x".repeat(at), "y".repeat(len - 1 - at));
                    let (out, _) = escaped(&text, Position::TagValue);
                    assert_eq!(out, text.replace(special, expected), "{len} bytes, at {at}");
                }
            }
        }
    }

    #[test]
    fn escapes_and_repairs_follow_the_position() {
        use Position::*;
        let rows = [
            (Measurement, "a b,c=d\"e", "a\\ b\\,c=d\"e", false),
            (TagKey, "a b,c=d\"e", "a\\ b\\,c\\=d\"e", false),
            (TagValue, "C:\\Users\\me", "C:\\Users\\me", false),
            (FieldKey, "a b,c=d", "a\\ b\\,c\\=d", false),
            (Measurement, "#comment", "-comment", true),
            (Measurement, "say \\\"x\\\"", "say\\ /\"x/\"", true),
            (TagValue, "#no comment", "#no\\ comment", false),
            (TagValue, "trailing\\", "trailing/", true),
            (TagValue, "a\\\\b", "a/\\b", true),
            (TagValue, "a\\ b", "a/\\ b", true),
            (TagValue, "a\\\tb", "a/\\ b", true),
            (TagValue, "a\r\nb\0\u{7f}", "a\\ \\ b\\ \\ ", true),
            (FieldKey, "f\"x", "f'x", true),
            (TagKey, "\u{85}\u{2028}", "\u{85}\u{2028}", false),
        ];
        for (position, text, expected, repaired) in rows {
            let got = escaped(text, position);
            assert_eq!(got, (expected.to_owned(), repaired), "{position:?} {text:?}");
        }
    }

    #[test]
    fn values_have_the_form_that_every_server_reads() {
        let rows: [(FieldValue<'_>, &str); 22] = [
            (0.1.into(), "0.1"),
            (1.0.into(), "1.0"),
            ((-0.0).into(), "-0.0"),
            (1e21.into(), "1e+21"),
            (1.5e-7.into(), "1.5e-7"),
            (f64::MAX.into(), "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE.into(), "2.2250738585072014e-308"),
            (5e-324.into(), "5e-324"),
            (0.1_f32.into(), "0.10000000149011612"),
            (0.into(), "0i"),
            (i64::MIN.into(), "-9223372036854775808i"),
            (i64::MAX.into(), "9223372036854775807i"),
            (7_u8.into(), "7i"),
            (u64::MAX.into(), "18446744073709551615u"),
            ((1_u64 << 63).into(), "9223372036854775808u"),
            ((u64::MAX >> 1).into(), "9223372036854775807i"),
            (true.into(), "true"),
            (false.into(), "false"),
            ("".into(), "\"\""),
            ("a b,c=d".into(), "\"a b,c=d\""),
            ("\"\\\n\\\"".into(), "\"\\\"\\\\\n\\\\\\\"\""),
            ("\u{1f600}".into(), "\"\u{1f600}\""),
        ];
        for (value, expected) in rows {
            let mut out = Text::default();
            out.push_value(&value);
            assert_eq!(std::str::from_utf8(out.as_bytes()).unwrap(), expected);
        }
    }
}
