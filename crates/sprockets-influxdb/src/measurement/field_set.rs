//! A measurement's fields.

use std::ops::Range;

use super::escape::{Key, Position};
use super::keys::{Inserted, Keys, MAX_KEYS, entries, find};
use super::prepared_key::PreparedKey;
use super::text_buf::TextBuf;
use super::value::FieldValue;

/// The fields, ready to be written, and those that no server can store.
#[derive(Clone, Default)]
pub(super) struct FieldSet {
    /// ` key=value,key=value`, with the space that separates it from the tags.
    text: TextBuf,
    keys: Keys,
    /// Set once a field was written as an unsigned integer. It may have been replaced since.
    may_have_unsigned: bool,
    left_out: Vec<LeftOut>,
}

/// A field that is not in the text, as no server can store its value.
#[derive(Clone)]
struct LeftOut {
    name: String,
    /// The key as it would be written. Names that are repaired to the same key are one field.
    key: Vec<u8>,
    /// The integer, if it is one out of range; otherwise the value is a float that is not finite.
    integer: Option<String>,
}

impl FieldSet {
    /// An empty one with room for that many bytes.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { text: TextBuf::with_capacity(capacity), ..Self::default() }
    }

    #[inline]
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.keys.clear();
        self.may_have_unsigned = false;
        self.left_out.clear();
    }

    /// Sets a field, or replaces it in place.
    // Inlined into its caller, as that is into the application: a value of a known type needs no
    // match there.
    #[inline(always)]
    pub(super) fn set(&mut self, name: &str, value: &FieldValue<'_>) {
        let key = self.push_key(name);
        self.set_value(name, &key, value);
    }

    /// As [`set`](Self::set).
    #[inline]
    pub(super) fn set_prepared(&mut self, name: &PreparedKey, value: &FieldValue<'_>) {
        let key = self.text.push_prepared_key(name);
        if key.start == 0 {
            self.text.set_first(b' ');
        }
        self.set_value(name.name(), &key, value);
    }

    /// Sets the field whose key was just appended.
    #[inline(always)]
    fn set_value(&mut self, name: &str, key: &Key, value: &FieldValue<'_>) {
        if !self.left_out.is_empty() {
            if self.left_out.len() > MAX_KEYS {
                return self.text.truncate(key.start);
            }
            let written = self.text.key(key);
            self.left_out.retain(|left_out| left_out.key != written);
        }
        let old = match self.keys.insert(&self.text, 0, key) {
            Inserted::New => None,
            Inserted::Older(old) => Some(old),
            Inserted::Refused => return self.text.truncate(key.start),
        };
        match value {
            FieldValue::Float(float) if !float.is_finite() => self.leave_out(name, None, key, old),
            FieldValue::OutOfRange(text) => self.leave_out(name, Some(text.clone()), key, old),
            value => {
                if let FieldValue::Unsigned(unsigned) = value {
                    self.may_have_unsigned |= *unsigned > i64::MAX as u64;
                }
                value.write_to(&mut self.text);
                if let Some(old) = old {
                    self.text.replace(old, key.start);
                    self.text.set_first(b' ');
                }
            }
        }
    }

    /// Sets a field to a value that every server stores, unless there is one of that name, or
    /// `is_tag` is true for its fingerprint and escaped key. Returns whether it is.
    pub(super) fn set_default(
        &mut self,
        name: &str,
        value: &FieldValue<'_>,
        is_tag: impl Fn(u64, &[u8]) -> bool,
    ) -> bool {
        let key = self.push_key(name);
        if is_tag(key.fingerprint, self.text.key(&key)) {
            self.text.truncate(key.start);
            return true;
        }
        match self.keys.insert(&self.text, 0, &key) {
            Inserted::New => value.write_to(&mut self.text),
            _ => self.text.truncate(key.start),
        }
        false
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    #[inline]
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether there is a field of that escaped key.
    pub(super) fn contains(&self, fingerprint: u64, key: &[u8]) -> bool {
        self.keys.may_contain(fingerprint) && find(self.text.as_bytes(), key).is_some()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether there are fields and servers certainly store them. `has_unsigned`: the server has
    /// unsigned integers.
    #[inline]
    pub(super) fn is_storable(&self, has_unsigned: bool) -> bool {
        self.left_out.is_empty()
            && !self.text.is_empty()
            && (has_unsigned || !self.may_have_unsigned)
    }

    /// The number of fields, with those that were left out.
    pub(super) fn count(&self) -> usize {
        self.keys.count(self.text.as_bytes()) + self.left_out.len()
    }

    /// Whether there are no fields, not even ones that were left out.
    pub(super) fn is_unset(&self) -> bool {
        self.text.is_empty() && self.left_out.is_empty()
    }

    /// The number of fields that were left out, as they are not finite.
    pub(super) fn non_finite(&self) -> usize {
        self.left_out.iter().filter(|left_out| left_out.integer.is_none()).count()
    }

    /// Name and value of the first integer beyond 64 bits.
    pub(super) fn out_of_range(&self) -> Option<(&str, &str)> {
        self.left_out
            .iter()
            .find_map(|left_out| Some((&*left_out.name, &**left_out.integer.as_ref()?)))
    }

    /// Key and value of the first field that is written as an unsigned integer.
    pub(super) fn unsigned(&self) -> Option<(String, String)> {
        if !self.may_have_unsigned {
            return None;
        }
        let text = self.text.as_bytes();
        entries(text).find_map(|entry| {
            let value = &text[entry.key.end + 1..entry.whole.end];
            let digits = value.strip_suffix(b"u")?;
            digits.first()?.is_ascii_digit().then(|| {
                let key = String::from_utf8_lossy(&text[entry.key]).into_owned();
                (key, String::from_utf8_lossy(digits).into_owned())
            })
        })
    }

    /// Whether a field's name was changed, as no server can store it.
    pub(super) fn is_repaired(&self) -> bool {
        self.text.is_repaired()
    }

    /// Bytes of memory that the text takes.
    pub(super) fn memory(&self) -> usize {
        self.text.capacity()
    }

    #[inline]
    fn push_key(&mut self, name: &str) -> Key {
        let separator = if self.text.is_empty() { b' ' } else { b',' };
        self.text.push_key(separator, name, Position::FieldKey)
    }

    /// Removes the key that was just appended, and the field's old value.
    #[cold]
    fn leave_out(
        &mut self,
        name: &str,
        integer: Option<String>,
        key: &Key,
        old: Option<Range<usize>>,
    ) {
        let written = self.text.key(key).to_vec();
        self.text.truncate(key.start);
        if let Some(old) = old {
            self.text.remove(old);
            self.text.set_first(b' ');
        }
        self.left_out.push(LeftOut { name: name.to_owned(), key: written, integer });
    }
}
