//! The callback for lines that the server rejects.

use std::fmt;
use std::sync::Arc;

/// A line that the server rejected; see [`Config::on_rejected`](crate::Config::on_rejected).
#[derive(Clone, Debug)]
pub struct Rejected<'a> {
    database: &'a str,
    line: &'a str,
    reason: &'a str,
}

impl<'a> Rejected<'a> {
    pub(crate) fn new(database: &'a str, line: &'a str, reason: &'a str) -> Self {
        Self { database, line, reason }
    }

    /// The database, on v2 the bucket, that it was written to.
    pub fn database(&self) -> &str {
        self.database
    }

    /// The line, without the line break at its end.
    pub fn line(&self) -> &str {
        self.line
    }

    /// The reason, as the server gave it.
    pub fn reason(&self) -> &str {
        self.reason
    }
}

pub(crate) type OnRejected = Arc<dyn Fn(&Rejected<'_>) + Send + Sync>;

/// An [`OnRejected`] with a `Debug`.
#[derive(Clone)]
pub(super) struct Callback(pub(super) OnRejected);

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback")
    }
}
