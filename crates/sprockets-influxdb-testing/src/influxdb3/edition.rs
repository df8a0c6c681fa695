//! The releases of InfluxDB 3, and what they do differently.

/// A release of InfluxDB 3 Core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Edition {
    /// Measured on 3.6.0.
    V3_6,
    /// Read in the sources of 3.10.1.
    V3_10,
}

/// How much a server keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) databases: usize,
    /// Per database.
    pub(crate) tables: usize,
    /// Per table, the time included.
    pub(crate) columns: usize,
}

impl Edition {
    pub(crate) fn version(self) -> &'static str {
        match self {
            Edition::V3_6 => "3.6.0",
            Edition::V3_10 => "3.10.1",
        }
    }

    pub(crate) fn limits(self) -> Limits {
        match self {
            Edition::V3_6 => Limits { databases: 5, tables: 2_000, columns: 500 },
            Edition::V3_10 => Limits { databases: 100, tables: 4_000, columns: 500 },
        }
    }

    /// The longest name, tag value or string field, in bytes.
    pub(crate) fn longest_string(self) -> usize {
        match self {
            Edition::V3_6 => 64 * 1024,
            Edition::V3_10 => 1024 * 1024,
        }
    }

    /// The longest name of a database in bytes, on `/api/v3/write_lp`.
    pub(crate) fn longest_name(self) -> usize {
        match self {
            Edition::V3_6 => 64,
            Edition::V3_10 => 511,
        }
    }

    pub(crate) fn too_many_tables(self, tables: usize) -> String {
        let limit = self.limits().tables;
        let start = "Update to schema would exceed number of tables limit";
        match self {
            Edition::V3_6 => format!("{start} of {limit} tables"),
            Edition::V3_10 => format!(
                "{start}: attempted to create table but already have {tables} table(s) (limit: \
                 {limit})"
            ),
        }
    }

    /// Whether the client's errors that 3.6 answers with 500 have a status of their own.
    pub(crate) fn has_statuses(self) -> bool {
        self >= Edition::V3_10
    }

    /// Whether a gzip stream is read beyond its first member (from 3.8 on).
    pub(crate) fn reads_all_gzip_members(self) -> bool {
        self >= Edition::V3_10
    }
}

/// The size of a request's body, before and after decompression, unless set otherwise.
pub(crate) const MAX_REQUEST: usize = 10 * 1024 * 1024;
