//! What the sender asks of a connection to a server, and what it learns from it.

use std::sync::Arc;

use super::disposition::{Cause, Disposition, Scope};
use crate::buffer::Batch;

/// Something that carries a batch to a server and says what became of it. Blocks; called on sender threads only.
pub(crate) trait Transport: Send + Sync {
    fn send(&self, batch: &Batch) -> Attempt;

    /// The same way to the server for a forked process: without a lock or a connection of this one.
    fn after_fork(&self) -> Arc<dyn Transport>;
}

/// One try at a batch.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) disposition: Disposition,
    /// Body bytes handed to the connection, after compression.
    pub(crate) bytes_sent: u64,
}

impl Attempt {
    /// What is left of an attempt that panicked.
    pub(crate) fn failed_by_bug() -> Self {
        let disposition = Disposition::Retry {
            cause: Cause::Unknown,
            scope: Scope::Server,
            after: None,
            reason: "the attempt to send panicked, which is a bug: please report it".to_owned(),
        };
        Self { disposition, bytes_sent: 0 }
    }
}
