//! What a user provided for one setting, before it is in force.

use std::fmt;

use super::parse::{Checked, Parser};
use super::types::{InForce, Source};
use crate::error::Result;

/// A value that may have been provided, or the reason why it cannot be used. The reason is
/// reported when the configuration is resolved, so that no setter fails.
#[derive(Clone)]
pub(super) struct Provided<T>(Option<(Checked<T>, Source)>);

impl<T> Provided<T> {
    /// Takes a value, unless there is one whose source takes precedence.
    pub(super) fn set(&mut self, source: Source, value: Checked<T>) {
        if self.0.as_ref().is_none_or(|(_, present)| present.origin <= source.origin) {
            self.0 = Some((value, source));
        }
    }

    /// The value, if one was provided that can be used.
    pub(super) fn value(&self) -> Option<&T> {
        self.0.as_ref().and_then(|(value, _)| value.as_ref().ok())
    }

    /// Where the value came from, if one was provided.
    pub(super) fn source(&self) -> Option<Source> {
        self.0.as_ref().map(|(_, source)| *source)
    }

    /// Forgets the value if its source is one of these.
    pub(super) fn forget_if(&mut self, is_one: impl FnOnce(Source) -> bool) {
        self.0.take_if(|(_, source)| is_one(*source));
    }

    /// Changes the value that was provided, or an empty one. What cannot be used stays.
    pub(super) fn edit(&mut self, source: Source, edit: impl FnOnce(&mut T))
    where
        T: Default,
    {
        let (value, _) = self.0.get_or_insert_with(|| (Ok(T::default()), source));
        if let Ok(value) = value {
            edit(value);
        }
    }
}

impl<T: Clone> Provided<T> {
    /// The value, if one was provided.
    ///
    /// # Errors
    ///
    /// A value that cannot be used. The error names the variable or the argument.
    pub(super) fn checked(&self, parser: &impl Parser<T>) -> Result<InForce<Option<T>>> {
        let Some((value, source)) = &self.0 else {
            return Ok(InForce { value: None, source: Source::DEFAULT });
        };
        let value = value.clone().and_then(|value| parser.check(value));
        let value = Some(value.map_err(|problem| source.error(problem))?);
        Ok(InForce { value, source: *source })
    }
}

impl<T> Default for Provided<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: fmt::Debug> fmt::Debug for Provided<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("None"),
            Some((Ok(value), _)) => value.fmt(f),
            Some((Err(problem), _)) => f.write_str(problem),
        }
    }
}
