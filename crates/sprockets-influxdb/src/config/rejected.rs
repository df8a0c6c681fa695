//! What the hook for refused lines is told.

use std::fmt;
use std::sync::Arc;

/// A line that a server refused for good; see [`Config::on_rejected`](super::Config::on_rejected).
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

    /// The database (v2: the bucket) that it was for.
    pub fn database(&self) -> &str {
        self.database
    }

    /// The measurement in line protocol, without the line break at its end.
    pub fn line(&self) -> &str {
        self.line
    }

    /// The server's words for it.
    pub fn reason(&self) -> &str {
        self.reason
    }
}

pub(crate) type OnRejected = Arc<dyn Fn(&Rejected<'_>) + Send + Sync>;

/// An [`OnRejected`] with a `Debug`.
#[derive(Clone)]
pub(super) struct Hook(pub(super) OnRejected);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}
