//! Errors of InfluxDB 3 itself.

use std::fmt;
use std::str::FromStr;

use crate::unknown_name::UnknownName;

/// An error of InfluxDB 3 itself, not of the data that it was sent, for
/// [`Fault::server_error`](crate::Fault::server_error). Measured on 3.6.0.
///
/// `/api/v3/write_lp` and `/write` answer 500, `/api/v2/write` answers 400 with
/// `{"code":"invalid",…}`: a client has to go by the message.
///
/// [`Display`](fmt::Display) and [`FromStr`] use the [`name`](Self::name).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerError {
    /// The disk of the write-ahead log is full. The real reply comes after 11 s:
    /// add [`after`](crate::Fault::after).
    FullDisk,
    /// The catalog cannot be written.
    Catalog,
    /// The server shuts down.
    Shutdown,
}

impl ServerError {
    /// Every error.
    pub const ALL: &[ServerError] =
        &[ServerError::FullDisk, ServerError::Catalog, ServerError::Shutdown];

    /// The name: `full-disk`, `catalog` or `shutdown`.
    pub fn name(self) -> &'static str {
        match self {
            ServerError::FullDisk => "full-disk",
            ServerError::Catalog => "catalog",
            ServerError::Shutdown => "shutdown",
        }
    }

    /// The start and the end were measured; what the object store says in between was not recorded.
    pub(crate) fn message(self) -> &'static str {
        match self {
            ServerError::FullDisk => {
                "error from wal: error writing wal file: Generic LocalFileSystem error: Unable to \
                 copy data to file: No space left on device (os error 28)"
            }
            ServerError::Catalog => {
                "object store error: ObjectStore(Generic { store: \"LocalFileSystem\", source: \
                 UnableToCopyDataToFile { source: Os { code: 28, kind: StorageFull, message: \"No \
                 space left on device\" } } })"
            }
            ServerError::Shutdown => "error from wal: wal is shutdown and not accepting writes",
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ServerError {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        UnknownName::find(name, ServerError::ALL)
    }
}
