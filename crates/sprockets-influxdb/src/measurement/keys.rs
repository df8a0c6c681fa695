//! The keys of tags and fields: a filter that tells most new keys without reading the text, and
//! the entries of the text for when it cannot.

use std::ops::Range;

use super::escape::Key;
use super::swar::fingerprint;
use super::text_buf::TextBuf;
use crate::line_protocol::lexer;

/// The most tags and fields of a measurement together. InfluxDB 3 takes 500 columns, InfluxDB Cloud
/// 4,000. A key that is found by reading the text takes time for each key before it.
pub(super) const MAX_KEYS: usize = 4_096;

/// With more keys than this, the filter says too often that it may contain a key.
const MAX_FILTERED: usize = 64;

/// A Bloom filter of two halves of 128 bits, with one bit in each half for each key. It is read in
/// words, as it is written: a wider read of what was just written stalls the processor for longer
/// than all the rest takes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    /// All set once there are `many`.
    bits: [u64; 4],
    many: Option<Box<ManyKeys>>,
}

/// The fingerprints of more keys than the filter is made for.
#[derive(Clone, Debug)]
struct ManyKeys {
    /// A bit for each fingerprint.
    bits: [u64; 1024],
    count: usize,
}

/// What became of a key that was inserted.
pub(super) enum Inserted {
    New,
    /// There is an older entry of the same key.
    Older(Range<usize>),
    /// There are too many keys: the entry has to be removed. The measurement is refused.
    Refused,
}

impl Keys {
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.bits = [0; 4];
        if self.many.is_some() {
            self.many = None;
        }
    }

    /// Inserts a key that was just appended to `text`, whose entries begin at `start`.
    #[inline]
    pub(super) fn insert(&mut self, text: &TextBuf, start: usize, key: &Key) -> Inserted {
        if self.filter_may_contain(key.fingerprint) {
            return self.insert_slowly(text, start, key);
        }
        self.push(key.fingerprint);
        Inserted::New
    }

    /// Inserts a key, unless it may be there. Returns whether it did.
    #[inline]
    pub(super) fn insert_new(&mut self, fingerprint: u64) -> bool {
        let is_new = !self.filter_may_contain(fingerprint);
        if is_new {
            self.push(fingerprint);
        }
        is_new
    }

    #[cold]
    fn insert_slowly(&mut self, text: &TextBuf, start: usize, key: &Key) -> Inserted {
        let older = &text.as_bytes()[start..key.start];
        if let Some(many) = &mut self.many {
            // What follows does not matter any more, and takes no more time.
            if many.count > MAX_KEYS {
                return Inserted::Refused;
            }
            if !many.contains(key.fingerprint) {
                return many.insert(key.fingerprint, older);
            }
        }
        if let Some(old) = find(older, text.key(key)) {
            return Inserted::Older(old.start + start..old.end + start);
        }
        if let Some(many) = &mut self.many {
            return many.insert(key.fingerprint, older);
        }
        self.push(key.fingerprint);
        if entries(older).nth(MAX_FILTERED).is_some() {
            let mut many = Box::new(ManyKeys { bits: [0; 1024], count: 0 });
            for entry in entries(older) {
                many.push(fingerprint(&older[entry.key]));
            }
            many.push(key.fingerprint);
            self.bits = [u64::MAX; 4];
            self.many = Some(many);
        }
        Inserted::New
    }

    /// The number of keys, of which `text` has the entries. More than [`MAX_KEYS`] if some were
    /// refused.
    pub(super) fn count(&self, text: &[u8]) -> usize {
        self.many.as_ref().map_or_else(|| entries(text).count(), |many| many.count)
    }

    /// Whether a key with this fingerprint may have been inserted. `false` is certain.
    #[inline]
    pub(super) fn may_contain(&self, fingerprint: u64) -> bool {
        self.filter_may_contain(fingerprint)
            && self.many.as_ref().is_none_or(|many| many.contains(fingerprint))
    }

    #[inline]
    fn filter_may_contain(&self, fingerprint: u64) -> bool {
        bits(fingerprint).iter().all(|&bit| self.bits[word(bit)] & mask(bit) != 0)
    }

    /// Whether a key may have been inserted in both. `false` is certain. Two sets of five keys
    /// each intersect by chance once in 28 times.
    #[inline]
    pub(super) fn may_intersect(&self, other: &Self) -> bool {
        let common = |word: usize| self.bits[word] & other.bits[word];
        common(0) | common(1) != 0 && common(2) | common(3) != 0
    }

    #[inline]
    fn push(&mut self, fingerprint: u64) {
        for bit in bits(fingerprint) {
            self.bits[word(bit)] |= mask(bit);
        }
    }
}

/// The bits of a fingerprint: one in each half of the filter.
#[inline]
fn bits(fingerprint: u64) -> [u64; 2] {
    [fingerprint & 0x7f, 0x80 | fingerprint >> 8 & 0x7f]
}

#[inline]
fn word(bit: u64) -> usize {
    (bit >> 6) as usize
}

#[inline]
fn mask(bit: u64) -> u64 {
    1 << (bit & 63)
}

impl ManyKeys {
    fn contains(&self, fingerprint: u64) -> bool {
        self.bits[usize::from(fingerprint as u16 >> 6)] & mask(fingerprint) != 0
    }

    /// Inserts a new key. `older` has the entries before it.
    fn insert(&mut self, fingerprint: u64, older: &[u8]) -> Inserted {
        self.push(fingerprint);
        if self.count > MAX_KEYS {
            // Entries may have been removed.
            self.count = entries(older).count() + 1;
        }
        if self.count > MAX_KEYS { Inserted::Refused } else { Inserted::New }
    }

    fn push(&mut self, fingerprint: u64) {
        self.bits[usize::from(fingerprint as u16 >> 6)] |= mask(fingerprint);
        self.count += 1;
    }
}

/// One `key=value` of a line's tags or fields.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The entry with the separator before it.
    pub(super) whole: Range<usize>,
    pub(super) key: Range<usize>,
}

/// The entry of that key, with the separator before it.
pub(super) fn find(text: &[u8], key: &[u8]) -> Option<Range<usize>> {
    if text.first() == Some(&b',') {
        return find_tag(text, key);
    }
    entries(text).find(|entry| text[entry.key.clone()] == *key).map(|entry| entry.whole)
}

/// The same in tags: they have no strings, so only their commas are looked at.
fn find_tag(tags: &[u8], key: &[u8]) -> Option<Range<usize>> {
    let mut start = 0;
    loop {
        let entry = &tags[start + 1..];
        let is_it = entry.starts_with(key) && entry.get(key.len()) == Some(&b'=');
        let end = next_tag(tags, start + 1);
        if is_it {
            return Some(start..end.unwrap_or(tags.len()));
        }
        start = end?;
    }
}

/// Where the next tag begins. A backslash before a comma escapes it: no name or value ends with a
/// backslash, and none has a backslash before another.
fn next_tag(tags: &[u8], from: usize) -> Option<usize> {
    let commas = memchr::memchr_iter(b',', &tags[from..]).map(|comma| comma + from);
    commas.into_iter().find(|&comma| tags[comma - 1] != b'\\')
}

/// The entries of a text. Each begins with a separator; keys and tag values are escaped, strings
/// are quoted.
pub(super) fn entries(text: &[u8]) -> impl Iterator<Item = Entry> + '_ {
    // Fields begin with a space, tags with a comma. A quote opens no string in a tag's value.
    let has_strings = text.first() == Some(&b' ');
    let mut start = 0;
    std::iter::from_fn(move || {
        if start >= text.len() {
            return None;
        }
        let key_end = lexer::find_unescaped(text, start + 1, |byte| byte == b'=');
        let value = (key_end + 1).min(text.len());
        let end = if has_strings && text.get(value) == Some(&b'"') {
            lexer::string_end(text, value + 1).unwrap_or(text.len())
        } else {
            lexer::find_unescaped(text, value, |byte| byte == b',')
        };
        let whole = start..end.min(text.len());
        start = whole.end;
        Some(Entry { key: whole.start + 1..key_end, whole })
    })
}

#[cfg(test)]
mod tests {
    use super::super::BaseTags;
    use crate::Measurement;

    #[test]
    fn a_quote_at_the_start_of_a_tag_value_opens_no_string() {
        let mut measurement = Measurement::new("db", "m").field("f", "\"").timestamp(7);
        measurement.set_tags([("a", "\""), ("b", "1"), ("c", "\"x"), ("b", "2")]);
        assert_eq!(measurement.marshall(), r#"m,a=",b=2,c="x f="\"" 7"#);
        measurement.set_tag("a", "");
        assert_eq!(measurement.marshall(), r#"m,b=2,c="x f="\"" 7"#);

        let base_tags = BaseTags::new([("a", "\""), ("b", "base"), ("d", "\"")]);
        let mut line = Vec::new();
        measurement.line(&base_tags, 1).write_to(&mut line);
        assert_eq!(line, b"m,a=\",d=\",b=2,c=\"x f=\"\\\"\" 7\n");
    }
}
