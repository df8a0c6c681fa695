//! Writes the attributes of a request into its measurement.

use std::borrow::Cow;

use super::attributes::{Attribute, Attributes, truncate};
use crate::measurement::{FieldValue, Measurement};

/// Writes attributes into a measurement.
///
/// A tag or field that the measurement already has stays: what the handler sets takes precedence.
/// Attributes that are left out and empty texts are not written.
#[derive(Debug)]
pub struct AttributeSink<'a> {
    attributes: &'a Attributes,
    measurement: &'a mut Measurement,
    changed_kind: Option<&'static str>,
}

impl<'a> AttributeSink<'a> {
    /// Writes into `measurement` by the names in `attributes`.
    pub fn new(attributes: &'a Attributes, measurement: &'a mut Measurement) -> Self {
        Self { attributes, measurement, changed_kind: None }
    }

    /// The name of an attribute that is not written, as the handler set a field of the name of a
    /// tag, or a tag of the name of a field. Servers reject a name that is now one, now the other.
    pub fn changed_kind(&self) -> Option<&'static str> {
        self.changed_kind
    }

    /// Writes a text, truncated, as a tag or a field.
    pub fn text(&mut self, attribute: Attribute, text: &str) {
        let Some(name) = self.attributes.name(attribute).filter(|_| !text.is_empty()) else {
            return;
        };
        let text = truncate(text);
        let is_changed = if self.attributes.is_tag(attribute) {
            self.measurement.default_tag(name, text)
        } else {
            self.measurement.default_field(name, &FieldValue::from(text))
        };
        if is_changed {
            self.changed_kind = Some(name);
        }
    }

    /// Writes a field.
    pub fn field<'v>(&mut self, attribute: Attribute, value: impl Into<FieldValue<'v>>) {
        if let Some(name) = self.attributes.name(attribute) {
            if self.measurement.default_field(name, &value.into()) {
                self.changed_kind = Some(name);
            }
        }
    }

    /// Writes the value of the header with the correlation id.
    pub fn correlation_id(&mut self, header: &[u8]) {
        self.text(Attribute::CorrelationId, &String::from_utf8_lossy(header));
    }

    /// Writes the client's address from a proxy's header: the first one of a list.
    pub fn forwarded_for(&mut self, header: &[u8]) {
        self.text(Attribute::RemoteIp, &first_address(header));
    }
}

/// The client's address in a proxy's header: the first one of a list.
pub(super) fn first_address(header: &[u8]) -> Cow<'_, str> {
    let first = header.split(|byte| *byte == b',').next().unwrap_or_default();
    String::from_utf8_lossy(first.trim_ascii())
}
