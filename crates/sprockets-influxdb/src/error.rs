//! The error type of the crate.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error that led to an [`Error`].
pub(crate) type Cause = Arc<dyn StdError + Send + Sync>;

/// What went wrong. The message says what, with which value, and what is expected; it never has a
/// secret in it. [`Error::kind`] is for programs.
///
/// Two errors are equal if kind and message are.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    cause: Option<Cause>,
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting, from a setter or from the environment, that cannot be used.
    Configuration,
    /// A measurement that no server, or not the configured one, can store.
    Measurement,
}

impl Error {
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Configuration, message: message.into(), cause: None }
    }

    pub(crate) fn measurement(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Measurement, message: message.into(), cause: None }
    }

    pub(crate) fn caused_by(self, cause: Option<Cause>) -> Self {
        Self { cause, ..self }
    }

    /// The kind of this error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether a setting cannot be used.
    pub fn is_configuration(&self) -> bool {
        self.kind == ErrorKind::Configuration
    }

    /// Whether a measurement can never be stored.
    pub fn is_measurement(&self) -> bool {
        self.kind == ErrorKind::Measurement
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.message) == (other.kind, &other.message)
    }
}

impl Eq for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)
    }
}

impl StdError for Error {
    /// The error of the operating system or of TLS, where one led to this error.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}
