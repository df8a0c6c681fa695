//! Records: lines of one form, kept as plain values until many are encoded at once.
//!
//! Between two requests of an application, other code takes the processor's caches. Encoding a line
//! there takes several times as long as in a loop. Copying a record does not.

use std::io::Write;
use std::sync::Arc;

use crate::config::Precision;

/// Maximum length of the texts of a record together, in bytes.
const MAX_TEXT: usize = 86;

/// An upper bound for a number with what separates it from its name and the next field.
const MAX_NUMBER: usize = 28;

/// What the lines of many records share.
#[derive(Debug)]
pub(crate) struct RecordHead {
    pub(crate) database: Box<str>,
    pub(crate) precision: Precision,
    /// Name and tags as a line begins with them, base tags included.
    start: Box<[u8]>,
    names: RecordNames,
    /// An upper bound for a line without its texts.
    max_len: usize,
}

impl RecordHead {
    pub(crate) fn new(
        database: &str,
        precision: Precision,
        start: Vec<u8>,
        names: RecordNames,
    ) -> Self {
        let max_len = start.len() + names.max_len();
        Self { database: database.into(), precision, start: start.into(), names, max_len }
    }
}

/// The names of a record's values, none of which has a character to escape. `None`: not written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordNames {
    pub(crate) integers: [Option<&'static str>; 2],
    pub(crate) floats: [Option<&'static str>; 2],
    /// With whether the text is a tag.
    pub(crate) texts: [(Option<&'static str>, bool); 2],
}

/// The values of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordValues<'a> {
    pub(crate) integers: [Option<u64>; 2],
    pub(crate) floats: [Option<f64>; 2],
    /// Empty ones are left out.
    pub(crate) texts: [&'a str; 2],
}

/// A line that is not encoded yet.
#[derive(Debug)]
pub(crate) struct Record {
    head: Arc<RecordHead>,
    /// In units of the precision.
    timestamp: i64,
    integers: [Option<u64>; 2],
    floats: [Option<f64>; 2],
    text_ends: [u8; 2],
    text: [u8; MAX_TEXT],
}

impl RecordValues<'_> {
    /// Whether they fit into a record, and need no escapes.
    #[inline]
    pub(crate) fn fit(&self) -> bool {
        let [first, second] = self.texts.map(str::as_bytes);
        first.len() + second.len() <= MAX_TEXT
            && self.floats.iter().flatten().all(|float| float.is_finite())
            && self.integers.iter().flatten().all(|integer| i64::try_from(*integer).is_ok())
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
    #[inline]
    pub(crate) fn new(head: &Arc<RecordHead>, timestamp: i64, values: &RecordValues<'_>) -> Self {
        let mut text = [0; MAX_TEXT];
        let mut rest = &mut text[..];
        let text_ends = values.texts.map(|text| {
            // Writing to a slice does not fail: it stops at the end.
            let _ = rest.write_all(text.as_bytes());
            (MAX_TEXT - rest.len()) as u8
        });
        Self {
            head: head.clone(),
            timestamp: timestamp.div_euclid(head.precision.divisor()),
            integers: values.integers,
            floats: values.floats,
            text_ends,
            text,
        }
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
    pub(crate) fn write_values(&self, out: &mut Vec<u8>) {
        let RecordHead { start, names, .. } = &*self.head;
        out.extend_from_slice(start);
        let [first, end] = self.text_ends.map(usize::from);
        let texts = [&self.text[..first], &self.text[first..end]];
        let texts = || names.texts.iter().zip(texts).filter(|(_, text)| !text.is_empty());
        for (name, text) in texts().filter(|((_, is_tag), _)| *is_tag) {
            if let Some(name) = name.0 {
                push_key(out, b',', name);
                out.extend_from_slice(text);
            }
        }
        let mut separator = b' ';
        let mut key = |out: &mut Vec<u8>, name: &str| {
            push_key(out, std::mem::replace(&mut separator, b','), name);
        };
        for (name, value) in names.integers.iter().zip(self.integers) {
            if let (Some(name), Some(value)) = (name, value) {
                key(out, name);
                out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
                out.push(b'i');
            }
        }
        for (name, value) in names.floats.iter().zip(self.floats) {
            if let (Some(name), Some(value)) = (name, value) {
                key(out, name);
                out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
            }
        }
        for (name, text) in texts().filter(|((_, is_tag), _)| !*is_tag) {
            if let Some(name) = name.0 {
                key(out, name);
                out.push(b'"');
                out.extend_from_slice(text);
                out.push(b'"');
            }
        }
    }
}

impl RecordNames {
    /// All names that are written.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static str> {
        let texts = self.texts.map(|(name, _)| name);
        self.integers.into_iter().chain(self.floats).chain(texts).flatten()
    }

    /// An upper bound for the bytes of names, numbers and the timestamp.
    fn max_len(&self) -> usize {
        self.all().map(|name| name.len() + MAX_NUMBER).sum::<usize>() + MAX_NUMBER
    }
}

fn push_key(out: &mut Vec<u8>, separator: u8, name: &str) {
    out.push(separator);
    out.extend_from_slice(name.as_bytes());
    out.push(b'=');
}

/// Whether a text is the same in a line, as a tag and as a field.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::Measurement;

    #[test]
    fn a_record_is_the_line_that_a_measurement_would_be() {
        let names = RecordNames {
            integers: [Some("content_length"), Some("request_length")],
            floats: [Some("duration"), Some("time_to_first_byte")],
            texts: [(Some("remote_ip"), true), (Some("request_id"), false)],
        };
        let start = b"request,method=GET".to_vec();
        let head = RecordHead::new("db", Precision::Nanoseconds, start, names);
        let values = RecordValues {
            integers: [Some(i64::MAX as u64), Some(0)],
            floats: [Some(f64::MIN_POSITIVE / 3.0), Some(-1.0 / 3.0)],
            texts: ["2001:db8::ffff:192.0.2.128", "0b6d2d9c-9a44-4f7a-8a3e-6f6c2b1f7a55"],
        };
        assert!(values.fit());
        let max_len = values.max_len(&head);
        let record = Record::new(&Arc::new(head), i64::MIN, &values);
        let mut line = Vec::new();
        record.write_to(&mut line);
        let expected = Measurement::new("db", "request")
            .tag("method", "GET")
            .tag("remote_ip", values.texts[0])
            .field("content_length", i64::MAX)
            .field("request_length", 0)
            .field("duration", f64::MIN_POSITIVE / 3.0)
            .field("time_to_first_byte", -1.0 / 3.0)
            .field("request_id", values.texts[1])
            .timestamp(i64::MIN);
        assert_eq!(String::from_utf8_lossy(&line), expected.marshall() + "\n");
        assert!(line.len() <= max_len, "{} > {max_len}", line.len());
    }

    #[test]
    fn what_would_have_to_be_escaped_is_no_record() {
        let is_record = |integer, float, text: &str| {
            let (integers, floats, texts) = ([Some(integer), None], [float, None], [text, ""]);
            RecordValues { integers, floats, texts }.fit()
        };
        assert!(is_record(1, Some(0.5), "192.0.2.1"));
        assert!(!is_record(u64::MAX, None, ""));
        assert!(!is_record(1, Some(f64::NAN), ""));
        for text in ["a b", "a,b", "a=b", "\"", "\\", "é", "\n", &"x".repeat(MAX_TEXT + 1)] {
            assert!(!is_record(1, None, text), "{text:?}");
        }
    }
}
