//! The base tags.

use super::parse::{Checked, Parser};

/// The most base tags. InfluxDB 3 takes 500 columns, and each measurement has all base tags.
pub(super) const MAX_TAGS: usize = 500;

/// Names and values of tags, in order, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tags(Vec<(String, String)>);

impl Tags {
    /// Adds a tag. A name that is there already keeps its place and gets the new value.
    pub(super) fn put(&mut self, name: String, value: String) {
        let is_full = self.0.len() > 2 * MAX_TAGS;
        match self.0.iter_mut().find(|(present, _)| *present == name) {
            Some((_, present)) => *present = value,
            // There are too many already. Each one more would take longer to add.
            None if is_full => {}
            None => self.0.push((name, value)),
        }
    }

    /// Whether there are more than [`MAX_TAGS`].
    pub(super) fn are_too_many(&self) -> bool {
        self.0.len() > MAX_TAGS
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }
}

impl IntoIterator for Tags {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<(String, String)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Tags come as pairs only: no text form can hold every name and value.
pub(super) struct TagsParser;

impl Parser<Tags> for TagsParser {
    fn read(&self, _text: &str) -> Checked<Tags> {
        Err("a text cannot be read as tags: expected names with values".into())
    }

    fn check(&self, tags: Tags) -> Checked<Tags> {
        if tags.iter().any(|(name, _)| name.is_empty()) {
            return Err("\"\" is not the name of a tag: expected at least one character".into());
        }
        Ok(tags)
    }
}
