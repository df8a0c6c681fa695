//! The error of names for products, strangers and troubles.

use std::fmt;

/// A name that none of the known ones is; the message lists those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    message: String,
}

impl UnknownName {
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
