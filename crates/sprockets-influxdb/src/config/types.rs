//! A setting as it is shown to people: what it is, its value in force, and where that came from.

use std::fmt;

use super::schema::Row;
use super::parse::Source;

/// One setting: what it is, its value in force, and where that came from.
#[derive(Clone)]
pub struct Setting {
    pub(super) row: &'static Row,
    pub(super) value: String,
    pub(super) source: Source,
}

/// Where a value in force came from; a later one wins over an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody asked for another.
    Default,
    /// An environment variable.
    Environment,
    /// A setter.
    Argument,
}

impl Setting {
    /// The name of the setter's argument, such as `max_batch_size`.
    pub fn name(&self) -> &'static str {
        self.row.name
    }

    /// The environment variable, where the setting has one.
    pub fn variable(&self) -> Option<&'static str> {
        self.row.variable
    }

    /// One line that says what it is, with its unit.
    pub fn about(&self) -> &'static str {
        self.row.about
    }

    /// The default in words; empty for none.
    pub fn default(&self) -> &'static str {
        self.row.default
    }

    /// The value in force as the variable would have it: `***` for a secret, empty for none.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Where the value came from.
    pub fn origin(&self) -> Origin {
        self.source.origin
    }

    /// The variable, or the setter's argument, that the value came from: another's than its own where a URL stands for
    /// its parts, or the other way round. `None` for a default.
    pub fn source(&self) -> Option<&'static str> {
        Some(self.source.name).filter(|name| !name.is_empty())
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?} ({:?})", self.name(), self.value, self.origin())
    }
}
