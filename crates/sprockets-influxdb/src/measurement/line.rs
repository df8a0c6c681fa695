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
    /// Set if the measurement has a tag or a field of a base tag's name. Then the base tags are
    /// written one by one.
    overrides: Option<Overrides<'a>>,
    tags: &'a [u8],
    fields: &'a [u8],
    timestamp: i64,
}

/// Which base tags a measurement overrides.
#[derive(Clone, Copy)]
struct Overrides<'a> {
    base_tags: &'a [BaseEntry],
    /// The keys of the measurement's tags and of its fields.
    keys: [&'a Keys; 2],
    /// A bit for each of the first 64 base tags that is overridden. The others are looked up each
    /// time.
    first: u64,
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
            self.overrides = self.overrides(&base_tags.entries, keys);
        }
        self
    }

    /// The number of bytes that [`write_to`](Self::write_to) appends.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        let base_tags = match self.overrides {
            Some(overrides) => self.base_tags_len(&overrides),
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
        if let Some(overrides) = &self.overrides {
            self.write_base_tags(overrides, out);
        } else if !self.base_tags.is_empty() {
            out.extend_from_slice(self.base_tags);
        }
        if !self.tags.is_empty() {
            out.extend_from_slice(self.tags);
        }
    }

    #[cold]
    fn overrides(&self, base_tags: &'a [BaseEntry], keys: [&'a Keys; 2]) -> Option<Overrides<'a>> {
        let mut overrides = Overrides { base_tags, keys, first: 0 };
        for (index, entry) in base_tags.iter().take(64).enumerate() {
            overrides.first |= u64::from(self.has_key_of(entry, keys)) << index;
        }
        (overrides.first != 0 || base_tags.len() > 64).then_some(overrides)
    }

    /// Whether the measurement has a tag or a field of a base tag's name.
    fn has_key_of(&self, entry: &BaseEntry, keys: [&Keys; 2]) -> bool {
        let key = &self.base_tags[entry.place.key.clone()];
        let [tags, fields] = keys.map(|keys| keys.may_contain(entry.fingerprint));
        tags && find(self.tags, key).is_some() || fields && find(self.fields, key).is_some()
    }

    #[cold]
    fn base_tags_len(&self, overrides: &Overrides<'_>) -> usize {
        self.written(overrides).map(|entry| entry.whole.len()).sum()
    }

    #[cold]
    fn write_base_tags(&self, overrides: &Overrides<'_>, out: &mut Vec<u8>) {
        for entry in self.written(overrides) {
            out.extend_from_slice(&self.base_tags[entry.whole.clone()]);
        }
    }

    /// The base tags that the measurement does not override.
    fn written<'b>(&'b self, overrides: &'b Overrides<'_>) -> impl Iterator<Item = &'b Entry> {
        let Overrides { base_tags, keys, first } = *overrides;
        let is_written = move |(index, entry): &(usize, &BaseEntry)| match index {
            0..64 => first >> index & 1 == 0,
            _ => !self.has_key_of(entry, keys),
        };
        base_tags.iter().enumerate().filter(is_written).map(|(_, entry)| &entry.place)
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
