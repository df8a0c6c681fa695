//! For the Python package only. Not part of the public interface.

pub use super::attributes::Attributes;
pub use super::outcome::Outcome;
pub use super::sink::AttributeSink;
