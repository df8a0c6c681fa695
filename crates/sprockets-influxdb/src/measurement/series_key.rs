//! Where a measurement belongs: its database, its name and its tags.

use super::escape::{Key, Position};
use super::keys::{Entry, Inserted, Keys, find};
use super::prepared_key::{PreparedKey, PreparedTag};
use super::text_buf::TextBuf;

/// Database, name and tags, ready to be written.
#[derive(Clone, Default)]
pub(super) struct SeriesKey {
    /// The database unescaped, then the name escaped, then `,key=value` for each tag.
    text: TextBuf,
    database_end: usize,
    name_end: usize,
    tag_keys: Keys,
}

impl SeriesKey {
    /// An empty one with room for that many bytes.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { text: TextBuf::with_capacity(capacity), ..Self::default() }
    }

    /// Replaces everything by this database and name, without tags.
    #[inline]
    pub(super) fn restart(&mut self, database: &str, name: &str) {
        self.text.clear();
        self.tag_keys.clear();
        self.text.push_raw(database.as_bytes());
        self.database_end = self.text.len();
        self.text.push_escaped(name, Position::Measurement);
        self.name_end = self.text.len();
    }

    /// Makes this a copy of another one, in the memory that this has.
    #[inline]
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.text.copy_from(&other.text);
        self.database_end = other.database_end;
        self.name_end = other.name_end;
        self.tag_keys = other.tag_keys.clone();
    }

    /// Sets a tag, or replaces it in place. An empty value removes it.
    // Inlined into its caller, as that is into the application: constants are folded there.
    #[inline(always)]
    pub(super) fn set_tag(&mut self, name: &str, value: &str) {
        let key = self.text.push_key(b',', name, Position::TagKey);
        self.set_value(&key, value);
    }

    /// As [`set_tag`](Self::set_tag).
    #[inline]
    pub(super) fn set_prepared_tag(&mut self, key: &PreparedKey, value: &str) {
        let key = self.text.push_prepared_key(key);
        self.set_value(&key, value);
    }

    /// Appends a tag, unless there may be one of that name. Returns whether it did.
    #[inline]
    pub(super) fn push_prepared_tag(&mut self, tag: &PreparedTag) -> bool {
        let is_new = self.tag_keys.insert_new(tag.fingerprint);
        if is_new {
            self.text.push_raw(&tag.text);
            if tag.is_repaired {
                self.text.mark_repaired();
            }
        }
        is_new
    }

    /// Sets the tag whose key was just appended.
    #[inline(always)]
    fn set_value(&mut self, key: &Key, value: &str) {
        let old = match self.tag_keys.insert(&self.text, self.name_end, key) {
            Inserted::New => None,
            Inserted::Older(old) => Some(old),
            Inserted::Refused => return self.text.truncate(key.start),
        };
        if value.is_empty() {
            self.text.truncate(key.start);
            if let Some(old) = old {
                self.text.remove(old);
            }
            return;
        }
        self.text.push_escaped(value, Position::TagValue);
        if let Some(old) = old {
            self.text.replace(old, key.start);
        }
    }

    /// Sets a tag, unless there is one of that name, or `is_field` is true for its fingerprint and
    /// escaped key. Returns whether it is.
    pub(super) fn set_default_tag(
        &mut self,
        name: &str,
        value: &str,
        is_field: impl Fn(u64, &[u8]) -> bool,
    ) -> bool {
        if value.is_empty() {
            return false;
        }
        let key = self.text.push_key(b',', name, Position::TagKey);
        if is_field(key.fingerprint, self.text.key(&key)) {
            self.text.truncate(key.start);
            return true;
        }
        match self.tag_keys.insert(&self.text, self.name_end, &key) {
            Inserted::New => self.text.push_escaped(value, Position::TagValue),
            _ => self.text.truncate(key.start),
        }
        false
    }

    /// The escaped key of a tag, for a message.
    pub(super) fn tag_key(&self, tag: &Entry) -> String {
        String::from_utf8_lossy(&self.name_then_tags().1[tag.key.clone()]).into_owned()
    }

    pub(super) fn remove_tag(&mut self, tag: Entry) {
        let Entry { whole, .. } = tag;
        self.text.remove(whole.start + self.name_end..whole.end + self.name_end);
    }

    #[inline]
    pub(super) fn database(&self) -> &[u8] {
        &self.text.as_bytes()[..self.database_end]
    }

    /// Name and tags, escaped.
    #[inline]
    pub(super) fn name_and_tags(&self) -> &[u8] {
        &self.text.as_bytes()[self.database_end..]
    }

    /// The name and the tags, escaped. Each tag begins with a comma.
    #[inline]
    pub(super) fn name_then_tags(&self) -> (&[u8], &[u8]) {
        self.name_and_tags().split_at(self.name_end - self.database_end)
    }

    /// Whether there is a tag of that escaped key.
    pub(super) fn has_tag(&self, fingerprint: u64, key: &[u8]) -> bool {
        self.tag_keys.may_contain(fingerprint) && find(self.name_then_tags().1, key).is_some()
    }

    #[inline]
    pub(super) fn tag_keys(&self) -> &Keys {
        &self.tag_keys
    }

    /// Whether the name is not empty.
    #[inline]
    pub(super) fn is_named(&self) -> bool {
        self.name_end > self.database_end
    }

    /// Whether a name or a tag was changed, as no server can store it.
    pub(super) fn is_repaired(&self) -> bool {
        self.text.is_repaired()
    }

    /// Bytes of memory that the text takes.
    pub(super) fn memory(&self) -> usize {
        self.text.capacity()
    }
}
