//! A line ready to be written: slices of the measurement and of the base tags, and the timestamp in digits. Its length
//! is known before a byte is copied, which is what the buffer needs to hold its bounds.

use super::keys::{Entry, Keys, entries, find};
use super::escape::{Position, Text, fingerprint};

/// Tags that every measurement of a client gets, escaped once.
#[derive(Clone, Debug, Default)]
pub(crate) struct BaseTags {
    text: Text,
    fingerprints: Vec<u64>,
}

impl BaseTags {
    /// Base tags in this order; empty values are left out.
    pub(crate) fn new<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = Text::default();
        let mut keys = Keys::default();
        for (name, value) in tags {
            if value.is_empty() {
                continue;
            }
            let key = text.push_key(b',', name, Position::TagKey);
            let old = keys.insert(&text, 0, &key);
            text.push_escaped(value, Position::TagValue);
            if let Some(old) = old {
                text.replace(old, key.start);
            }
        }
        let bytes = text.as_bytes();
        let fingerprints = entries(bytes).map(|entry| fingerprint(&bytes[entry.key])).collect();
        Self { text, fingerprints }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// One line of line protocol, with its line feed.
pub(crate) struct Line<'a> {
    name: &'a [u8],
    base_tags: &'a [u8],
    /// Set when the measurement has a tag of a base tag's name: then the base tags are written one by one.
    overridden: bool,
    tags: &'a [u8],
    fields: &'a [u8],
    timestamp: i64,
}

impl<'a> Line<'a> {
    #[inline]
    pub(super) fn new(name: &'a [u8], tags: &'a [u8], fields: &'a [u8], timestamp: i64) -> Self {
        Self { name, base_tags: &[], overridden: false, tags, fields, timestamp }
    }

    /// A line that is written already, but for its time.
    pub(crate) fn of_text(text: &'a [u8], timestamp: i64) -> Self {
        Self::new(text, &[], &[], timestamp)
    }

    #[inline]
    pub(super) fn with_base_tags(mut self, base_tags: &'a BaseTags, keys: &Keys) -> Self {
        self.base_tags = base_tags.text.as_bytes();
        self.overridden =
            base_tags.fingerprints.iter().any(|&fingerprint| keys.may_contain(fingerprint));
        self
    }

    /// How many bytes [`write_to`](Self::write_to) writes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        let base_tags = if self.overridden {
            self.base_entries().map(|entry| entry.whole.len()).sum()
        } else {
            self.base_tags.len()
        };
        self.name.len()
            + base_tags
            + self.tags.len()
            + self.fields.len()
            + digits(self.timestamp)
            + 2
    }

    /// Appends the line. Does not allocate where `out` has room for [`len`](Self::len) bytes more.
    #[inline]
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name);
        if self.overridden {
            self.write_base_tags(out);
        } else if !self.base_tags.is_empty() {
            out.extend_from_slice(self.base_tags);
        }
        if !self.tags.is_empty() {
            out.extend_from_slice(self.tags);
        }
        out.extend_from_slice(self.fields);
        out.push(b' ');
        out.extend_from_slice(itoa::Buffer::new().format(self.timestamp).as_bytes());
        out.push(b'\n');
    }

    #[cold]
    fn write_base_tags(&self, out: &mut Vec<u8>) {
        for entry in self.base_entries() {
            out.extend_from_slice(&self.base_tags[entry.whole]);
        }
    }

    /// The base tags that the measurement does not override.
    fn base_entries(&self) -> impl Iterator<Item = Entry> + '_ {
        entries(self.base_tags)
            .filter(|entry| find(self.tags, &self.base_tags[entry.key.clone()]).is_none())
    }
}

/// How many characters a number has, with its sign.
#[inline]
fn digits(number: i64) -> usize {
    // Nanoseconds since 2001.
    if number >= 1_000_000_000_000_000_000 {
        return 19;
    }
    let digits = number.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1);
    digits + usize::from(number < 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Measurement;

    fn line(measurement: &Measurement, base_tags: &BaseTags) -> String {
        let line = measurement.line(base_tags, 1);
        let mut bytes = Vec::new();
        line.write_to(&mut bytes);
        assert_eq!(bytes.len(), line.len());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn base_tags_come_first_and_a_measurements_own_tag_wins() {
        let base_tags =
            BaseTags::new([("host", "a b"), ("empty", ""), ("env", "x"), ("env", "test")]);
        let measurement = Measurement::new("db", "m").field("f", 1).timestamp(7);
        assert_eq!(line(&measurement, &base_tags), "m,host=a\\ b,env=test f=1i 7\n");
        let measurement = measurement.tag("z", "1").tag("env", "prod");
        assert_eq!(line(&measurement, &base_tags), "m,host=a\\ b,z=1,env=prod f=1i 7\n");
        let mut measurement = measurement.tag("host", "c");
        assert_eq!(line(&measurement, &base_tags), "m,z=1,env=prod,host=c f=1i 7\n");
        measurement.set_tag("host", "").omit_base_tags();
        assert_eq!(line(&measurement, &base_tags), "m,z=1,env=prod f=1i 7\n");
    }

    #[test]
    fn the_length_is_known_whatever_the_timestamp() {
        for timestamp in
            [0, 1, -1, 9, 10, -10, 99, 100, i64::MAX, i64::MIN, 1_000_000_000_000_000_000]
        {
            let measurement = Measurement::new("db", "m").field("f", 1).timestamp(timestamp);
            assert_eq!(line(&measurement, &BaseTags::default()), format!("m f=1i {timestamp}\n"));
        }
    }

    #[test]
    fn a_measurement_with_many_tags_still_overrides() {
        let base_tags = BaseTags::new([("t3", "base"), ("other", "base")]);
        let mut measurement = Measurement::new("db", "m").field("f", 1).timestamp(7);
        for tag in 0..40 {
            measurement.set_tag(format!("t{tag}"), "own");
        }
        let line = line(&measurement, &base_tags);
        assert!(line.starts_with("m,other=base,t0=own"), "{line}");
        assert_eq!(line.matches(",t3=").count(), 1);
    }
}
