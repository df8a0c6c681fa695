//! What InfluxDB 3 says when it has trouble of its own.

use std::fmt;
use std::str::FromStr;

use crate::unknown_name::UnknownName;

/// Trouble of an InfluxDB 3 that has nothing to do with the data it was sent, for
/// [`Fault::trouble`](crate::Fault::trouble). Measured on 3.6.0.
///
/// `/api/v3/write_lp` and `/write` answer 500, `/api/v2/write` answers 400 with
/// `{"code":"invalid",…}`: a client has to go by the message.
///
/// [`Display`](fmt::Display) and [`FromStr`] use the [`name`](Self::name).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trouble {
    /// The disk of the write-ahead log is full. The real reply comes after 11 s:
    /// add [`after`](crate::Fault::after).
    FullDisk,
    /// The catalog cannot be written.
    Catalog,
    /// The server shuts down.
    Shutdown,
}

impl Trouble {
    /// Every trouble.
    pub const ALL: &[Trouble] = &[Trouble::FullDisk, Trouble::Catalog, Trouble::Shutdown];

    /// The name: `full-disk`, `catalog` or `shutdown`.
    pub fn name(self) -> &'static str {
        match self {
            Trouble::FullDisk => "full-disk",
            Trouble::Catalog => "catalog",
            Trouble::Shutdown => "shutdown",
        }
    }

    /// The start and the end were measured; what the object store says in between was not recorded.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Trouble::FullDisk => {
                "error from wal: error writing wal file: Generic LocalFileSystem error: Unable to \
                 copy data to file: No space left on device (os error 28)"
            }
            Trouble::Catalog => {
                "object store error: ObjectStore(Generic { store: \"LocalFileSystem\", source: \
                 UnableToCopyDataToFile { source: Os { code: 28, kind: StorageFull, message: \"No \
                 space left on device\" } } })"
            }
            Trouble::Shutdown => "error from wal: wal is shutdown and not accepting writes",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Trouble {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        UnknownName::find(name, Trouble::ALL)
    }
}
