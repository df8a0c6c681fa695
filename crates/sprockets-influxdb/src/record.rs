//! Records: lines of one form, kept as plain values until many are encoded at once.
//!
//! Between two requests of an application, other code takes the processor's caches. Encoding a line
//! there takes several times as long as in a loop. Copying a record does not.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Precision;

/// Maximum length of the texts of a record together, in bytes. A record then has 128 bytes, which a
/// compiler copies without a call.
const MAX_TEXT: usize = 78;

/// An upper bound for a number with what separates it from its name and the next field, or for what
/// follows a [`Key`] in its array.
const MAX_NUMBER: usize = 32;

/// Maximum length of a name with the characters before and after it.
const MAX_KEY: usize = 32;

/// A value that is not there.
const NONE: u64 = u64::MAX;

/// What the lines of many records share.
#[derive(Debug)]
pub(crate) struct RecordHead {
    pub(crate) database: Box<str>,
    pub(crate) precision: Precision,
    /// Name and tags as a line begins with them, base tags included.
    start: Box<[u8]>,
    integers: [Option<Key>; 2],
    durations: [Option<Key>; 2],
    texts: [(Option<Key>, bool); 2],
    /// An upper bound for a line without its texts.
    max_len: usize,
}

/// A name as a line has it: after a comma, and with an equals sign. At a fixed length, so that it
/// is copied without a call.
#[derive(Clone, Copy, Debug)]
struct Key {
    bytes: [u8; MAX_KEY],
    len: usize,
}

impl RecordHead {
    /// `None` if a name is too long.
    pub(crate) fn new(
        database: &str,
        precision: Precision,
        start: Vec<u8>,
        names: RecordNames,
    ) -> Option<Self> {
        if names.all().any(|name| name.len() + 2 > MAX_KEY) {
            return None;
        }
        let keys = |names: [Option<&str>; 2]| names.map(|name| name.map(Key::new));
        Some(Self {
            database: database.into(),
            precision,
            max_len: start.len() + names.max_len(),
            start: start.into(),
            integers: keys(names.integers),
            durations: keys(names.durations),
            texts: names.texts.map(|(name, is_tag)| (name.map(Key::new), is_tag)),
        })
    }
}

impl Key {
    /// Of a name of at most 30 bytes.
    fn new(name: &str) -> Self {
        let mut bytes = [0; MAX_KEY];
        let mut rest = &mut bytes[..];
        // Writing to a slice does not fail: it stops at the end.
        let _ = write!(rest, ",{name}=");
        let len = MAX_KEY - rest.len();
        Self { bytes, len }
    }
}

/// The names of a record's values, none of which has a character to escape. `None`: not written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordNames {
    pub(crate) integers: [Option<&'static str>; 2],
    pub(crate) durations: [Option<&'static str>; 2],
    /// With whether the text is a tag.
    pub(crate) texts: [(Option<&'static str>, bool); 2],
}

/// The values of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordValues<'a> {
    pub(crate) integers: [Option<u64>; 2],
    /// Written in seconds.
    pub(crate) durations: [Option<Duration>; 2],
    /// Empty ones are left out.
    pub(crate) texts: [&'a str; 2],
}

/// A line that is not encoded yet.
#[derive(Debug)]
pub(crate) struct Record {
    head: Arc<RecordHead>,
    /// In units of the precision.
    timestamp: i64,
    /// [`NONE`] if there is none.
    integers: [u64; 2],
    /// In nanoseconds. [`NONE`] if there is none.
    durations: [u64; 2],
    text_ends: [u8; 2],
    text: [u8; MAX_TEXT],
}

impl RecordValues<'_> {
    /// Whether they fit into a record, and need no escapes.
    #[inline]
    pub(crate) fn fit(&self) -> bool {
        let [first, second] = self.texts.map(str::as_bytes);
        first.len() + second.len() <= MAX_TEXT
            && self.integers.iter().flatten().all(|integer| i64::try_from(*integer).is_ok())
            && self.durations.iter().flatten().all(|duration| nanoseconds(*duration) < NONE)
            && is_plain(first)
            && is_plain(second)
    }

    /// An upper bound for the bytes of their line.
    #[inline]
    pub(crate) fn max_len(&self, head: &RecordHead) -> usize {
        head.max_len + self.texts[0].len() + self.texts[1].len()
    }
}

impl Record {
    /// Values that do not [`fit`](RecordValues::fit) are cut.
    ///
    /// # Arguments
    ///
    /// * `timestamp`: in nanoseconds
    pub(crate) fn new(head: &Arc<RecordHead>, timestamp: i64, values: &RecordValues<'_>) -> Self {
        let mut record = Self {
            head: head.clone(),
            timestamp: 0,
            integers: [NONE; 2],
            durations: [NONE; 2],
            text_ends: [0; 2],
            text: [0; MAX_TEXT],
        };
        record.set(head, timestamp, values);
        record
    }

    /// Overwrites this record in place. Takes what [`new`](Self::new) takes.
    #[inline]
    pub(crate) fn set(
        &mut self,
        head: &Arc<RecordHead>,
        timestamp: i64,
        values: &RecordValues<'_>,
    ) {
        if !Arc::ptr_eq(&self.head, head) {
            self.head = head.clone();
        }
        self.timestamp = timestamp.div_euclid(head.precision.divisor());
        self.integers = values.integers.map(|integer| integer.unwrap_or(NONE));
        self.durations = values.durations.map(|duration| duration.map_or(NONE, nanoseconds));
        let mut rest = &mut self.text[..];
        self.text_ends = values.texts.map(|text| {
            if !text.is_empty() {
                // Writing to a slice does not fail: it stops at the end.
                let _ = rest.write_all(text.as_bytes());
            }
            (MAX_TEXT - rest.len()) as u8
        });
    }

    /// In units of the precision.
    pub(crate) fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// Appends the line with a line feed.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        self.write_values(out);
        out.push(b' ');
        out.extend_from_slice(itoa::Buffer::new().format(self.timestamp).as_bytes());
        out.push(b'\n');
    }

    /// Appends the line without its timestamp.
    #[inline]
    pub(crate) fn write_values(&self, out: &mut Vec<u8>) {
        let RecordHead { start, integers, durations, texts, .. } = &*self.head;
        out.extend_from_slice(start);
        let [first, end] = self.text_ends.map(usize::from);
        let values = [&self.text[..first], &self.text[first..end]];
        let texts = || texts.iter().zip(values).filter(|(_, text)| !text.is_empty());
        for ((key, is_tag), text) in texts() {
            if let Some(key) = key.as_ref().filter(|_| *is_tag) {
                push_key(out, key);
                out.extend_from_slice(text);
            }
        }
        let fields = out.len();
        for (key, value) in integers.iter().zip(self.integers) {
            if let Some(key) = key.as_ref().filter(|_| value != NONE) {
                push_key(out, key);
                push_integer(out, value);
                out.push(b'i');
            }
        }
        for (key, value) in durations.iter().zip(self.durations) {
            if let Some(key) = key.as_ref().filter(|_| value != NONE) {
                push_key(out, key);
                push_seconds(out, value);
            }
        }
        for ((key, is_tag), text) in texts() {
            if let Some(key) = key.as_ref().filter(|_| !is_tag) {
                push_key(out, key);
                out.push(b'"');
                out.extend_from_slice(text);
                out.push(b'"');
            }
        }
        // A space is between tags and fields.
        if let Some(separator) = out.get_mut(fields) {
            *separator = b' ';
        }
    }
}

/// Appends the first `len` bytes. All are copied, as a copy of a fixed length takes no call: the
/// upper bound for a line has room for them.
#[inline]
fn push_first<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N], len: usize) {
    let end = out.len() + len;
    out.extend_from_slice(bytes);
    out.truncate(end);
}

#[inline]
fn push_key(out: &mut Vec<u8>, key: &Key) {
    push_first(out, &key.bytes, key.len);
}

#[inline]
fn push_integer(out: &mut Vec<u8>, value: u64) {
    match value {
        0..10 => out.push(b'0' + value as u8),
        10..100 => out.extend_from_slice(&two_digits(value as u32)),
        _ => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// Appends nanoseconds as seconds, with a digit after the point at least.
#[inline]
fn push_seconds(out: &mut Vec<u8>, nanoseconds: u64) {
    const SECOND: u64 = 1_000_000_000;
    push_integer(out, nanoseconds / SECOND);
    let fraction = (nanoseconds % SECOND) as u32;
    let mut digits = [b'.'; 10];
    for (digits, power) in digits[1..].chunks_exact_mut(2).zip([10_000_000, 100_000, 1_000, 10]) {
        digits.copy_from_slice(&two_digits(fraction / power));
    }
    digits[9] = b'0' + (fraction % 10) as u8;
    let mut len = digits.len();
    while len > 2 && digits[len - 1] == b'0' {
        len -= 1;
    }
    push_first(out, &digits, len);
}

/// The last two digits of a number.
#[inline]
fn two_digits(number: u32) -> [u8; 2] {
    const DIGITS: [[u8; 2]; 100] = {
        let mut digits = [[0; 2]; 100];
        let mut number = 0;
        while number < 100 {
            digits[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
            number += 1;
        }
        digits
    };
    DIGITS[(number % 100) as usize]
}

/// Saturates at 584 years.
#[inline]
fn nanoseconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into())
}

impl RecordNames {
    /// All names that are written.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static str> {
        let texts = self.texts.map(|(name, _)| name);
        self.integers.into_iter().chain(self.durations).chain(texts).flatten()
    }

    /// An upper bound for the bytes of names, numbers and the timestamp.
    fn max_len(&self) -> usize {
        self.all().map(|name| name.len() + MAX_NUMBER).sum::<usize>() + MAX_NUMBER
    }
}

/// Whether a text is the same in a line, as a tag and as a field.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    const PLAIN: [bool; 256] = {
        let mut plain = [false; 256];
        let mut byte = 0_u8;
        while byte < u8::MAX {
            plain[byte as usize] =
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-');
            byte += 1;
        }
        plain
    };
    text.iter().all(|byte| PLAIN[usize::from(*byte)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::Measurement;

    const NAMES: RecordNames = RecordNames {
        integers: [Some("content_length"), Some("request_length")],
        durations: [Some("duration"), Some("time_to_first_byte")],
        texts: [(Some("remote_ip"), true), (Some("request_id"), false)],
    };

    fn line(values: &RecordValues<'_>) -> String {
        let start = b"request,method=GET".to_vec();
        let head = RecordHead::new("db", Precision::Nanoseconds, start, NAMES).unwrap();
        let max_len = values.max_len(&head);
        let mut line = Vec::with_capacity(max_len);
        let memory = (line.as_ptr(), line.capacity());
        Record::new(&Arc::new(head), i64::MIN, values).write_to(&mut line);
        assert_eq!((line.as_ptr(), line.capacity()), memory, "{max_len} are too few");
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_record_is_the_line_that_a_measurement_would_be() {
        let values = RecordValues {
            integers: [Some(i64::MAX as u64), Some(0)],
            durations: [Some(Duration::new(12_345, 678)), Some(Duration::from_micros(1_500))],
            texts: ["2001:db8::ffff:192.0.2.128", "0b6d2d9c-9a44-4f7a-8a3e-6f6c2b1f7a55"],
        };
        assert!(values.fit());
        let expected = Measurement::new("db", "request")
            .tag("method", "GET")
            .tag("remote_ip", values.texts[0])
            .field("content_length", i64::MAX)
            .field("request_length", 0)
            .field("duration", 12_345.000_000_678)
            .field("time_to_first_byte", 0.001_5)
            .field("request_id", values.texts[1])
            .timestamp(i64::MIN);
        assert_eq!(line(&values), expected.marshall() + "\n");
    }

    #[test]
    fn a_record_has_nothing_of_the_one_in_its_place() {
        let head = |start: &[u8]| {
            Arc::new(RecordHead::new("db", Precision::Seconds, start.to_vec(), NAMES).unwrap())
        };
        let long = RecordValues {
            integers: [Some(1), Some(2)],
            durations: [Some(Duration::MAX / 4_000_000_000), Some(Duration::ZERO)],
            texts: ["2001:db8::1", "0b6d2d9c-9a44-4f7a-8a3e-6f6c2b1f7a55"],
        };
        let mut record = Record::new(&head(b"before"), i64::MAX, &long);
        let short =
            RecordValues { integers: [None, Some(7)], durations: [None, None], texts: ["", "a"] };
        record.set(&head(b"m"), -1, &short);
        let mut line = Vec::new();
        record.write_to(&mut line);
        assert_eq!(String::from_utf8_lossy(&line), "m request_length=7i,request_id=\"a\" -1\n");
    }

    #[test]
    fn a_record_takes_two_cache_lines() {
        assert_eq!(size_of::<Record>(), if cfg!(target_pointer_width = "64") { 128 } else { 120 });
    }

    #[test]
    fn the_longest_values_are_written_in_full_and_missing_ones_are_not() {
        let longest = Duration::from_nanos(u64::MAX - 1);
        let text = "x".repeat(MAX_TEXT);
        let values = RecordValues {
            integers: [Some(i64::MAX as u64); 2],
            durations: [Some(longest); 2],
            texts: ["", &text],
        };
        assert!(values.fit());
        let seconds = "18446744073.709551614";
        let expected = format!(
            "request,method=GET content_length={0}i,request_length={0}i,duration={seconds},\
             time_to_first_byte={seconds},request_id=\"{text}\" {1}\n",
            i64::MAX,
            i64::MIN
        );
        assert_eq!(line(&values), expected);
        let values = RecordValues {
            integers: [None, Some(99)],
            durations: [None, Some(Duration::ZERO)],
            texts: ["", ""],
        };
        let expected = "request,method=GET request_length=99i,time_to_first_byte=0.0";
        assert_eq!(line(&values), format!("{expected} {}\n", i64::MIN));
    }

    #[test]
    fn seconds_are_written_with_all_their_digits_and_no_zeros_after_them() {
        for (nanoseconds, text) in [
            (0, "0.0"),
            (1, "0.000000001"),
            (10, "0.00000001"),
            (100_000_000, "0.1"),
            (120_000_000, "0.12"),
            (999_999_999, "0.999999999"),
            (1_000_000_000, "1.0"),
            (61_000_000_001, "61.000000001"),
            (3_600_500_000_000, "3600.5"),
        ] {
            let mut written = Vec::new();
            push_seconds(&mut written, nanoseconds);
            assert_eq!(String::from_utf8_lossy(&written), text);
            let seconds: f64 = text.parse().unwrap();
            assert_eq!(Duration::from_nanos(nanoseconds).as_secs_f64(), seconds);
        }
    }

    #[test]
    fn what_would_have_to_be_escaped_is_no_record() {
        let is_record = |integer, duration, text: &str| {
            let (integers, durations) = ([Some(integer), None], [duration, None]);
            RecordValues { integers, durations, texts: [text, ""] }.fit()
        };
        assert!(is_record(1, Some(Duration::from_millis(500)), "192.0.2.1"));
        assert!(!is_record(u64::MAX, None, ""));
        assert!(!is_record(1, Some(Duration::MAX), ""));
        for text in ["a b", "a,b", "a=b", "\"", "\\", "é", "\n", &"x".repeat(MAX_TEXT + 1)] {
            assert!(!is_record(1, None, text), "{text:?}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_makes_no_record() {
        let integers = [Some("a.name.of.more.than.thirty.bytes"), None];
        let names = RecordNames { integers, ..NAMES };
        assert!(RecordHead::new("db", Precision::Nanoseconds, Vec::new(), names).is_none());
    }
}
