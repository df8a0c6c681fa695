//! What a middleware knows of a request before it ends.

use super::attributes::{Attribute, truncate};

/// The attributes of a request whose handler has set nothing. Its memory is used again.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// As it is recorded.
    pub(super) method: &'static str,
    /// The timestamp.
    pub(super) nanoseconds: i64,
    /// The texts of [`TEXTS`], in the order in which they were set.
    text: String,
    places: [(u16, u16); TEXTS.len()],
}

/// The attributes that have a text of their own.
pub(super) const TEXTS: [Attribute; 4] =
    [Attribute::Handler, Attribute::Endpoint, Attribute::RemoteIp, Attribute::CorrelationId];

impl Facts {
    /// Begins with those of another request.
    pub(super) fn restart(&mut self, method: &'static str, nanoseconds: i64) {
        self.text.clear();
        (self.method, self.nanoseconds, self.places) = (method, nanoseconds, Default::default());
    }

    /// Sets the text of an attribute, truncated, unless it has one. Other attributes than those of
    /// [`TEXTS`] have none here.
    pub(super) fn set(&mut self, attribute: Attribute, text: &str) {
        let Some(index) = TEXTS.iter().position(|of| *of == attribute) else { return };
        if self.at(index).is_empty() {
            let start = self.text.len();
            self.text.push_str(truncate(text));
            // Four texts of 256 characters are shorter than this.
            self.places[index] = (start as u16, self.text.len() as u16);
        }
    }

    /// The text of an attribute. Empty if there is none.
    pub(super) fn text(&self, attribute: Attribute) -> &str {
        TEXTS.iter().position(|of| *of == attribute).map_or("", |index| self.at(index))
    }

    fn at(&self, index: usize) -> &str {
        let (start, end) = self.places[index];
        &self.text[start.into()..end.into()]
    }
}
