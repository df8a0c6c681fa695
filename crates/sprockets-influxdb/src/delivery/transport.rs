//! What the sender asks of a connection to a server, and what it learns from it.

use std::sync::Arc;
use std::time::Duration;

use crate::buffer::Batch;

/// Something that carries a batch to a server and says what became of it. Blocks; called on sender threads only.
pub(crate) trait Transport: Send + Sync {
    fn send(&self, batch: &Batch) -> Attempt;

    /// The same way to the server for a forked process: without a lock or a connection of this one.
    fn afresh(&self) -> Arc<dyn Transport>;
}

/// One try at a batch.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) verdict: Verdict,
    /// Body bytes handed to the connection, after compression.
    pub(crate) bytes_sent: u64,
}

impl Attempt {
    /// What is left of an attempt that panicked.
    pub(crate) fn failed_by_bug() -> Self {
        let verdict = Verdict::Retry {
            cause: Cause::Unknown,
            scope: Scope::Server,
            after: None,
            reason: "the attempt to send panicked, which is a bug: please report it".to_owned(),
        };
        Self { verdict, bytes_sent: 0 }
    }
}

/// What a reply, or the lack of one, means for the batch. Made in one place (`verdict.rs`), matched in one place
/// (the sender).
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Every line is stored.
    Delivered,
    /// The server refused lines for good.
    Rejected {
        which: Which,
        /// Whether the lines that it did not refuse are stored already.
        rest_stored: bool,
        reason: String,
    },
    /// A reply that the server would not give a second time: send the batch again at once, but only once.
    ResendOnce { reason: String },
    /// The body is larger than the server takes.
    TooLarge { reason: String },
    /// Something answered, after the whole body was sent, that is not HTTP. Probably a rejection whose text broke the
    /// reply's header (influxd 1.x copies the offending line there).
    Unparsable { reason: String },
    /// The batch may be stored later as it is.
    Retry {
        cause: Cause,
        scope: Scope,
        /// The server's `Retry-After`: a floor for the wait.
        after: Option<Duration>,
        reason: String,
    },
}

impl Verdict {
    /// What was wrong, in words; empty if nothing was.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Delivered => "",
            Self::Rejected { reason, .. }
            | Self::ResendOnce { reason }
            | Self::TooLarge { reason }
            | Self::Unparsable { reason }
            | Self::Retry { reason, .. } => reason,
        }
    }
}

/// The lines that a rejection is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Which {
    /// The whole batch, whatever its lines.
    All,
    /// These, by index from 0 in the batch, ascending, each with the server's reason.
    Lines(Vec<(usize, String)>),
    /// The reply does not say which; perhaps how many.
    Unknown { count: Option<usize> },
}

/// Why a batch has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// An operator has to change something (401, 403, 404).
    Configuration,
    /// The server is overloaded and says so.
    Busy,
    /// No connection, no reply, or one that does not tell.
    Unknown,
}

/// What has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything: the server, or the way to it.
    Server,
    /// Batches for this batch's database only.
    Database,
}
