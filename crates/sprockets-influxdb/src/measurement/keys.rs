//! Which keys a measurement has: a fingerprint of each, so that a new key is mostly known to be new without a look at
//! the text, and the entries of the text for when it is not.

use std::ops::Range;

use super::text::{Text, fingerprint};

const KEPT: usize = 16;

/// Fingerprints of up to 16 keys; with more, every key may be present.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    fingerprints: [u16; KEPT],
    len: u8,
    overflown: bool,
}

impl Keys {
    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.overflown = false;
    }

    /// Takes note of the key of the entry that begins at `entry` (with its separator; only the key is there yet).
    /// Returns where in `text`, from `start` on, an older entry of the same key stands.
    #[inline]
    pub(super) fn insert(
        &mut self,
        text: &Text,
        start: usize,
        entry: usize,
    ) -> Option<Range<usize>> {
        let key = &text.as_bytes()[entry + 1..];
        let fingerprint = fingerprint(key);
        if self.may_contain(fingerprint) {
            let old = find(&text.as_bytes()[start..entry], key);
            if let Some(old) = old {
                return Some(old.start + start..old.end + start);
            }
        }
        self.push(fingerprint);
        None
    }

    #[inline]
    pub(super) fn may_contain(&self, fingerprint: u16) -> bool {
        self.overflown || self.fingerprints[..usize::from(self.len)].contains(&fingerprint)
    }

    #[inline]
    pub(super) fn push(&mut self, fingerprint: u16) {
        match self.fingerprints.get_mut(usize::from(self.len)) {
            Some(place) => {
                *place = fingerprint;
                self.len += 1;
            }
            None => self.overflown = true,
        }
    }
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
    let mut start = 0;
    std::iter::from_fn(move || {
        if start >= text.len() {
            return None;
        }
        let key_end = after_unescaped(text, start + 1, b'=');
        let value = (key_end + 1).min(text.len());
        let end = if text.get(value) == Some(&b'"') {
            after_unescaped(text, value + 1, b'"') + 1
        } else {
            after_unescaped(text, value, b',')
        };
        let whole = start..end.min(text.len());
        start = whole.end;
        Some(Entry { key: whole.start + 1..key_end, whole })
    })
}

/// Where `byte` stands first without a backslash before it; the end if nowhere. A backslash that is not an escape
/// never stands before a byte that is looked for, thanks to the rule of repair.
fn after_unescaped(text: &[u8], mut at: usize, byte: u8) -> usize {
    while let Some(&here) = text.get(at) {
        match here {
            b'\\' => at += 2,
            _ if here == byte => return at,
            _ => at += 1,
        }
    }
    text.len()
}
