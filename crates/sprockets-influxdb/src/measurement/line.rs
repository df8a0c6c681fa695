//! A line ready to be written: slices of the measurement and of the base tags, and the timestamp.
//! Its length is known before a byte is copied, which the buffer needs to keep its bounds.

use super::escape::Position;
use super::keys::{Entry, Inserted, Keys, entries, find};
use super::swar::fingerprint;
use super::text_buf::TextBuf;

/// The tags that a client gives to every measurement, escaped once.
#[derive(Clone, Debug, Default)]
pub(crate) struct BaseTags {
    text: TextBuf,
    entries: Vec<BaseEntry>,
}

#[derive(Clone, Debug)]
struct BaseEntry {
    fingerprint: u64,
    place: Entry,
}

impl BaseTags {
    /// Base tags in this order. Tags with empty values are left out.
    pub(crate) fn new<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = TextBuf::default();
        let mut keys = Keys::default();
        for (name, value) in tags {
            if value.is_empty() {
                continue;
            }
            let key = text.push_key(b',', name, Position::TagKey);
            let inserted = keys.insert(&text, 0, &key);
            text.push_escaped(value, Position::TagValue);
            match inserted {
                Inserted::New => {}
                Inserted::Older(old) => text.replace(old, key.start),
                Inserted::Refused => text.truncate(key.start),
            }
        }
        let bytes = text.as_bytes();
        let entry = |place: Entry| {
            let fingerprint = fingerprint(&bytes[place.key.clone()]);
            BaseEntry { fingerprint, place }
        };
        let entries = entries(bytes).map(entry).collect();
        Self { text, entries }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether one of them has this name, which needs no escapes.
    pub(crate) fn has(&self, name: &str) -> bool {
        find(self.text.as_bytes(), name.as_bytes()).is_some()
    }
}

/// One line of line protocol.
pub(crate) struct Line<'a> {
    name: &'a [u8],
    base_tags: &'a [u8],
    /// The base tags and the keys of tags and fields, if the measurement may have a tag or a field
    /// of a base tag's name. Then the base tags are written one by one.
    overrides: Option<(&'a [BaseEntry], [&'a Keys; 2])>,
    tags: &'a [u8],
    fields: &'a [u8],
    timestamp: i64,
}

impl<'a> Line<'a> {
    #[inline]
    pub(super) fn new(name: &'a [u8], tags: &'a [u8], fields: &'a [u8], timestamp: i64) -> Self {
        Self { name, base_tags: &[], overrides: None, tags, fields, timestamp }
    }

    /// A line from existing line protocol without its timestamp.
    pub(crate) fn of_text(text: &'a [u8], timestamp: i64) -> Self {
        Self::new(text, &[], &[], timestamp)
    }

    /// `keys` are those of the measurement's tags and of its fields.
    #[inline]
    pub(super) fn with_base_tags(mut self, base_tags: &'a BaseTags, keys: [&'a Keys; 2]) -> Self {
        self.base_tags = base_tags.text.as_bytes();
        let may_override =
            |entry: &BaseEntry| keys.iter().any(|keys| keys.may_contain(entry.fingerprint));
        if base_tags.entries.iter().any(may_override) {
            self.overrides = Some((&base_tags.entries, keys));
        }
        self
    }

    /// The number of bytes that [`write_to`](Self::write_to) appends.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        let base_tags = match self.overrides {
            Some((base_tags, keys)) => self.base_tags_len(base_tags, keys),
            None => self.base_tags.len(),
        };
        self.name.len()
            + base_tags
            + self.tags.len()
            + self.fields.len()
            + digits(self.timestamp)
            + 2
    }

    /// Appends the line with a line feed. Does not allocate if `out` has room for
    /// [`len`](Self::len) more bytes.
    #[inline]
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        self.write_start(out);
        out.extend_from_slice(self.fields);
        out.push(b' ');
        out.extend_from_slice(itoa::Buffer::new().format(self.timestamp).as_bytes());
        out.push(b'\n');
    }

    /// Appends name and tags.
    #[inline]
    pub(crate) fn write_start(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name);
        if let Some((base_tags, keys)) = self.overrides {
            self.write_base_tags(base_tags, keys, out);
        } else if !self.base_tags.is_empty() {
            out.extend_from_slice(self.base_tags);
        }
        if !self.tags.is_empty() {
            out.extend_from_slice(self.tags);
        }
    }

    #[cold]
    fn base_tags_len(&self, base_tags: &[BaseEntry], keys: [&Keys; 2]) -> usize {
        self.written(base_tags, keys).map(|entry| entry.whole.len()).sum()
    }

    #[cold]
    fn write_base_tags(&self, base_tags: &[BaseEntry], keys: [&Keys; 2], out: &mut Vec<u8>) {
        for entry in self.written(base_tags, keys) {
            out.extend_from_slice(&self.base_tags[entry.whole.clone()]);
        }
    }

    /// The base tags that the measurement does not override.
    fn written<'b>(
        &'b self,
        base_tags: &'b [BaseEntry],
        keys: [&'b Keys; 2],
    ) -> impl Iterator<Item = &'b Entry> {
        let is_written = move |entry: &&BaseEntry| {
            let key = &self.base_tags[entry.place.key.clone()];
            let [tags, fields] = keys.map(|keys| keys.may_contain(entry.fingerprint));
            !(tags && find(self.tags, key).is_some() || fields && find(self.fields, key).is_some())
        };
        base_tags.iter().filter(is_written).map(|entry| &entry.place)
    }
}

/// The length of a number in decimal, with its sign.
#[inline]
fn digits(number: i64) -> usize {
    // Nanoseconds after 2001: the common case.
    if number >= 1_000_000_000_000_000_000 {
        return 19;
    }
    let digits = number.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1);
    digits + usize::from(number < 0)
}

#[cfg(test)]
mod tests;
