//! A setting as it is shown: what it is, its value in force, and where that value came from.

use std::borrow::Cow;
use std::fmt;

use super::value::SettingValue;
use crate::error::Error;

/// One setting: what it is, its value in force, and where that value came from.
#[derive(Clone)]
pub struct Setting {
    description: &'static Description,
    value: SettingValue,
    source: Source,
}

/// Where a value came from. A later one takes precedence over an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Origin {
    /// Nothing was provided.
    Default,
    /// An environment variable.
    Environment,
    /// A setter.
    Argument,
}

/// What does not change about a setting.
pub(super) struct Description {
    pub(super) name: &'static str,
    pub(super) variable: Option<&'static str>,
    pub(super) alias: Option<&'static str>,
    pub(super) about: &'static str,
    pub(super) topic: &'static str,
    pub(super) unit: Option<&'static str>,
    pub(super) since: &'static str,
    pub(super) default: DefaultValue,
}

/// The default, for people.
pub(super) enum DefaultValue {
    Value(fn() -> SettingValue),
    /// It depends on other settings; empty for none.
    Text(&'static str),
}

/// Where a value came from: the kind of place, and the name of the variable or argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) origin: Origin,
    /// Empty for a default.
    pub(super) name: &'static str,
}

/// A value that the client runs on, and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct InForce<T> {
    pub(crate) value: T,
    pub(super) source: Source,
}

impl Setting {
    pub(super) fn new(
        description: &'static Description,
        value: SettingValue,
        source: Source,
    ) -> Self {
        Self { description, value, source }
    }

    /// The name of the setter's argument, such as `max_batch_size`.
    pub fn name(&self) -> &'static str {
        self.description.name
    }

    /// The environment variable, if the setting has one.
    pub fn variable(&self) -> Option<&'static str> {
        self.description.variable
    }

    /// Another environment variable that means the same, if there is one.
    pub fn alias(&self) -> Option<&'static str> {
        self.description.alias
    }

    /// What it is for, in one line of Markdown.
    pub fn about(&self) -> &'static str {
        self.description.about
    }

    /// The group that it belongs to, such as `Buffer`. Settings of one topic follow each other.
    pub fn topic(&self) -> &'static str {
        self.description.topic
    }

    /// The unit of its text form, such as `ms`. `None` for a value without a unit.
    pub fn unit(&self) -> Option<&'static str> {
        self.description.unit
    }

    /// The first release that has it.
    pub fn since(&self) -> &'static str {
        self.description.since
    }

    /// The default: a value as text, or a sentence in Markdown if it follows from other settings.
    /// Empty for none.
    pub fn default(&self) -> Cow<'static, str> {
        match self.description.default {
            DefaultValue::Value(value) => value().to_string().into(),
            DefaultValue::Text(text) => text.into(),
        }
    }

    /// The value in force. Secrets are masked.
    pub fn value(&self) -> &SettingValue {
        &self.value
    }

    /// Where the value came from.
    pub fn origin(&self) -> Origin {
        self.source.origin
    }

    /// The variable, or the setter's argument, that the value came from. It is another setting's
    /// where a URL stands for its parts, or a part for the URL's. `None` for a default.
    pub fn source(&self) -> Option<&'static str> {
        Some(self.source.name).filter(|name| !name.is_empty())
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value, origin) = (self.name(), self.value.to_string(), self.origin());
        write!(f, "{name}: {value:?} ({origin:?})")
    }
}

impl Source {
    pub(super) const DEFAULT: Self = Self { origin: Origin::Default, name: "" };

    pub(super) fn argument(name: &'static str) -> Self {
        Self { origin: Origin::Argument, name }
    }

    pub(super) fn environment(name: &'static str) -> Self {
        Self { origin: Origin::Environment, name }
    }

    /// The source that takes precedence; the first of equals.
    pub(super) fn nearest<const N: usize>(sources: [Self; N]) -> Self {
        let nearer = |one: Self, other: Self| if other.origin > one.origin { other } else { one };
        sources.into_iter().reduce(nearer).unwrap_or(Self::DEFAULT)
    }

    pub(super) fn error(&self, problem: impl fmt::Display) -> Error {
        Error::configuration(format!("{}: {problem}", self.name))
    }
}

impl<T> InForce<Option<T>> {
    pub(super) fn or(self, default: T) -> InForce<T> {
        InForce { value: self.value.unwrap_or(default), source: self.source }
    }
}

impl<T> InForce<T> {
    /// Takes over the value of another setting, with its source.
    pub(super) fn replace(&mut self, value: T, source: Source) {
        *self = Self { value, source };
    }
}
