//! Which keys a measurement has: a filter that mostly knows of a new key that it is new, without a look at the text; and
//! the entries of the text for when it does not.

use std::ops::Range;

use super::escape::{Key, Text};
use crate::line_protocol::lexer;

/// A Bloom filter of 256 bits, two for each key. Words, not wider: a wide read of what was just written in narrow
/// pieces stalls the processor for longer than all the rest takes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    bits: [u64; 4],
}

impl Keys {
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes note of a key that was just appended to `text`. Returns where, from `start` on, an older entry of the same
    /// key stands.
    #[inline]
    pub(super) fn insert(&mut self, text: &Text, start: usize, key: &Key) -> Option<Range<usize>> {
        if self.may_contain(key.fingerprint) {
            let old = find_older(text, start, key);
            if old.is_some() {
                return old;
            }
        }
        self.push(key.fingerprint);
        None
    }

    #[inline]
    pub(super) fn may_contain(&self, fingerprint: u64) -> bool {
        halves(fingerprint).iter().all(|&half| self.bits[word(half)] & bit(half) != 0)
    }

    #[inline]
    fn push(&mut self, fingerprint: u64) {
        for half in halves(fingerprint) {
            self.bits[word(half)] |= bit(half);
        }
    }
}

/// The two places of a fingerprint in the filter.
#[inline]
fn halves(fingerprint: u64) -> [u64; 2] {
    [fingerprint & 0xff, fingerprint >> 8 & 0xff]
}

#[inline]
fn word(place: u64) -> usize {
    (place >> 6) as usize
}

#[inline]
fn bit(place: u64) -> u64 {
    1 << (place & 63)
}

#[cold]
fn find_older(text: &Text, start: usize, key: &Key) -> Option<Range<usize>> {
    let old = find(&text.as_bytes()[start..key.start], text.key(key))?;
    Some(old.start + start..old.end + start)
}

/// One `key=value` of a line's tags or fields.
pub(super) struct Entry {
    /// With the separator before it.
    pub(super) whole: Range<usize>,
    pub(super) key: Range<usize>,
}

/// Where the entry of that key stands.
pub(super) fn find(text: &[u8], key: &[u8]) -> Option<Range<usize>> {
    entries(text).find(|entry| text[entry.key.clone()] == *key).map(|entry| entry.whole)
}

/// The entries of a text that we wrote: each begins with a separator, keys and tag values are escaped, strings quoted.
pub(super) fn entries(text: &[u8]) -> impl Iterator<Item = Entry> + '_ {
    // A quote at the start of a tag's value is part of it. Fields begin with a space, tags with a comma.
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
    fn a_quote_at_the_start_of_a_tags_value_hides_no_other_tag() {
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
