//! What the outcome of a request means for its batch.

use std::time::Duration;

/// What a reply, or the lack of one, means for the batch. Made in one place (`verdict.rs`), matched in one place
/// (the sender).
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Disposition {
    /// Every line is stored.
    Delivered,
    /// The server refused lines for good.
    Rejected {
        which: RejectedLines,
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
    MalformedReply { reason: String },
    /// The batch may be stored later as it is.
    Retry {
        cause: Cause,
        scope: Scope,
        /// The server's `Retry-After`: a floor for the wait.
        after: Option<Duration>,
        reason: String,
    },
}

impl Disposition {
    /// What was wrong, in words; empty if nothing was.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Delivered => "",
            Self::Rejected { reason, .. }
            | Self::ResendOnce { reason }
            | Self::TooLarge { reason }
            | Self::MalformedReply { reason }
            | Self::Retry { reason, .. } => reason,
        }
    }
}

/// The lines that a rejection is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RejectedLines {
    /// The whole batch, whatever its lines.
    All,
    /// These, by index from 0 in the batch, ascending, each with the server's reason.
    Named(Vec<(usize, String)>),
    /// The reply does not say which; perhaps how many.
    Unnamed { count: Option<usize> },
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
