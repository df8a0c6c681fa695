//! Exit codes, and the error that ends a command before it has done anything.

/// Everything succeeded.
pub(crate) const OK: u8 = 0;
/// A check failed, a line was not delivered, or a file is damaged.
pub(crate) const FAILED: u8 = 1;
/// An argument, a setting or a file cannot be used.
pub(crate) const USAGE: u8 = 2;

/// Why a command cannot run. It ends with [`USAGE`].
pub(crate) type Problem = Box<dyn std::error::Error + Send + Sync>;
