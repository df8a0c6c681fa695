//! The error of names for products and faults.

use std::fmt;

/// A name that none of the known ones is; the message lists those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    message: String,
}

impl UnknownName {
    /// The one of `all` that is shown by this name.
    pub(crate) fn find<T: Copy + fmt::Display>(name: &str, all: &[T]) -> Result<T, Self> {
        let found = all.iter().find(|known| known.to_string() == name);
        found.copied().ok_or_else(|| Self::new(name, all.iter().map(T::to_string)))
    }

    pub(crate) fn new(name: &str, known: impl Iterator<Item = String>) -> Self {
        let known: Vec<_> = known.collect();
        Self { message: format!("unknown name {name:?}: expected one of {}", known.join(", ")) }
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UnknownName {}
