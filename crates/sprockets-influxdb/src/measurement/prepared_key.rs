//! The name of a tag or a field, escaped once for many measurements.

use super::escape::{Key, Position};
use super::text_buf::TextBuf;

/// A name as it stands in a line, for callers who set the same names again and again.
#[derive(Clone, Debug)]
pub struct PreparedKey {
    name: Box<str>,
    /// A comma, the escaped name, and an equals sign.
    text: Box<[u8]>,
    fingerprint: u64,
    is_repaired: bool,
}

impl PreparedKey {
    /// The name of a tag.
    pub fn of_tag(name: &str) -> Self {
        Self::new(name, Position::TagKey)
    }

    /// The name of a field.
    pub fn of_field(name: &str) -> Self {
        Self::new(name, Position::FieldKey)
    }

    fn new(name: &str, position: Position) -> Self {
        let mut text = TextBuf::default();
        let fingerprint = text.push_key(b',', name, position).fingerprint;
        Self {
            name: name.into(),
            text: text.as_bytes().into(),
            fingerprint,
            is_repaired: text.is_repaired(),
        }
    }

    /// The name, unescaped.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// A tag as it stands in a line, for callers who set the same ones again and again.
#[derive(Clone, Debug)]
pub struct PreparedTag {
    /// A comma, the escaped name, an equals sign, and the escaped value.
    pub(super) text: Box<[u8]>,
    pub(super) fingerprint: u64,
    pub(super) is_repaired: bool,
}

impl PreparedTag {
    /// A tag of that name. `None` for an empty value, which is left out of a line.
    pub fn new(name: &str, value: &str) -> Option<Self> {
        let mut text = TextBuf::default();
        let fingerprint = text.push_key(b',', name, Position::TagKey).fingerprint;
        text.push_escaped(value, Position::TagValue);
        let is_repaired = text.is_repaired();
        (!value.is_empty()).then(|| Self { text: text.as_bytes().into(), fingerprint, is_repaired })
    }
}

impl TextBuf {
    /// Appends a key with a comma before it and an equals sign after it.
    #[inline]
    pub(super) fn push_prepared_key(&mut self, key: &PreparedKey) -> Key {
        let start = self.len();
        self.push_raw(&key.text);
        if key.is_repaired {
            self.mark_repaired();
        }
        Key { start, fingerprint: key.fingerprint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FieldValue, Measurement};

    #[test]
    fn a_prepared_key_writes_what_its_name_does() {
        const NAMES: [&str; 8] = ["a", "time", "", "a b", "a,b=c", "x\\", "a\n", "nan\"e"];
        const VALUES: [&str; 4] = ["1", "", "long enough for a word, and more", "2"];
        let new = || Measurement::new("db", "m").timestamp(7);
        let (mut plain, mut prepared) = (new(), new());
        for value in VALUES {
            for name in NAMES {
                plain.set_tag(name, value);
                prepared.set_prepared_tag(&PreparedKey::of_tag(name), value);
                let number = FieldValue::Float(if value.is_empty() { f64::NAN } else { 0.5 });
                let integer = FieldValue::Integer(value.len() as i64);
                let field = if name.len() == 1 { number } else { integer };
                prepared.set_prepared_field(&PreparedKey::of_field(name), &field);
                plain.set_field(name, field);
                assert_eq!(prepared.marshall(), plain.marshall());
                assert_eq!(prepared.is_repaired(), plain.is_repaired());
                assert_eq!(prepared.non_finite(), plain.non_finite());
            }
        }
    }

    #[test]
    fn a_prepared_tag_writes_what_its_name_and_value_do() {
        let (mut plain, mut prepared) =
            (Measurement::new("db", "m").timestamp(7), Measurement::new("db", "m").timestamp(7));
        for (name, value) in [("a", "1"), ("time", "x y"), ("b c", "a\\"), ("", "=")] {
            plain.set_tag(name, value);
            assert!(prepared.push_prepared_tag(&PreparedTag::new(name, value).expect("a value")));
            assert_eq!(prepared.marshall(), plain.marshall());
            assert_eq!(prepared.is_repaired(), plain.is_repaired());
        }
        assert!(!prepared.push_prepared_tag(&PreparedTag::new("a", "2").expect("a value")));
        assert_eq!(prepared.marshall(), plain.marshall());
        assert!(PreparedTag::new("a", "").is_none());
    }

    #[test]
    fn the_error_for_a_field_that_is_left_out_has_its_name() {
        let mut measurement = Measurement::new("db", "m");
        let key = PreparedKey::of_field("a b");
        measurement.set_prepared_field(&key, &FieldValue::from(u128::MAX));
        let error = measurement.check(true, true).unwrap_err().to_string();
        assert!(error.contains("\"a b\""), "{error}");
    }
}
