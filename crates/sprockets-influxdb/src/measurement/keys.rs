//! The keys of tags and fields: a filter that tells most new keys without reading the text, and
//! the entries of the text for when it cannot.

use std::ops::Range;

use super::escape::Key;
use super::text_buf::TextBuf;
use crate::line_protocol::lexer;

/// A Bloom filter of two halves of 128 bits, with one bit in each half for each key. It is read in
/// words, as it is written: a wider read of what was just written stalls the processor for longer
/// than all the rest takes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    bits: [u64; 4],
}

impl Keys {
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Inserts a key that was just appended to `text`. Returns the older entry of the same key,
    /// from `start` on, if there is one.
    #[inline]
    pub(super) fn insert(
        &mut self,
        text: &TextBuf,
        start: usize,
        key: &Key,
    ) -> Option<Range<usize>> {
        if self.may_contain(key.fingerprint) {
            let old = find_older(text, start, key);
            if old.is_some() {
                return old;
            }
        }
        self.push(key.fingerprint);
        None
    }

    /// Whether a key with this fingerprint may have been inserted. `false` is certain.
    #[inline]
    pub(super) fn may_contain(&self, fingerprint: u64) -> bool {
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

#[cold]
fn find_older(text: &TextBuf, start: usize, key: &Key) -> Option<Range<usize>> {
    let old = find(&text.as_bytes()[start..key.start], text.key(key))?;
    Some(old.start + start..old.end + start)
}

/// One `key=value` of a line's tags or fields.
pub(super) struct Entry {
    /// The entry with the separator before it.
    pub(super) whole: Range<usize>,
    pub(super) key: Range<usize>,
}

/// The entry of that key, with the separator before it.
pub(super) fn find(text: &[u8], key: &[u8]) -> Option<Range<usize>> {
    entries(text).find(|entry| text[entry.key.clone()] == *key).map(|entry| entry.whole)
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
