//! What the outcome of a request means for its batch. A transport makes it, the sender acts on it.

use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Disposition {
    /// Every line is stored.
    Delivered,
    /// The server rejected lines for good.
    Rejected(Rejection),
    /// The server would not give this reply a second time: send the batch again at once, but only
    /// once.
    ResendOnce { reason: String },
    /// The server takes no body of this size.
    TooLarge {
        /// Whether the server itself said so, and not a proxy before it.
        is_from_server: bool,
        reason: String,
    },
    /// The reply is not HTTP, although the whole body was sent. Probably a rejection: influxd 1.x
    /// copies the offending line into a header.
    MalformedReply { reason: String },
    /// The batch may be stored later as it is.
    Retry(Failure),
}

/// Lines that the server will never take.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rejection {
    pub(crate) lines: RejectedLines,
    /// Whether the lines that were not rejected are stored already.
    pub(crate) rest_stored: bool,
    pub(crate) reason: String,
}

/// The lines that a rejection is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RejectedLines {
    /// The whole batch, whatever its lines are.
    All,
    /// These, by index from 0 in the batch, ascending, each with the server's reason.
    Named(Vec<(usize, String)>),
    /// The reply does not say which; perhaps how many.
    Unnamed { count: Option<usize> },
}

/// Why a batch has to wait.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    pub(crate) scope: Scope,
    /// The server's `Retry-After`: the least wait.
    pub(crate) after: Option<Duration>,
    pub(crate) reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// An operator has to change something (401, 403, 404).
    Configuration,
    /// A rejection (4xx) by something that is not known to be an InfluxDB: probably an operator has
    /// to change something, but a proxy may reject what is in the batch.
    Unrecognized,
    /// The server says that it is overloaded, or has an error of its own.
    Busy,
    /// There was no connection.
    Unreachable,
    /// There was no reply in time.
    Timeout,
    /// The connection closed without a reply, or the reply does not say why it failed.
    Unknown,
}

/// What a failure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The server, or the connection to it: all batches wait.
    Server,
    /// The batch's database: only its batches wait.
    Database,
}

impl Disposition {
    /// What went wrong, for a person; empty if nothing did.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Delivered => "",
            Self::Rejected(Rejection { reason, .. })
            | Self::ResendOnce { reason }
            | Self::TooLarge { reason, .. }
            | Self::MalformedReply { reason }
            | Self::Retry(Failure { reason, .. }) => reason,
        }
    }
}

impl Failure {
    /// A failure of the server, or of the connection to it.
    pub(crate) fn of_server(cause: Cause, reason: String) -> Self {
        Self { cause, scope: Scope::Server, after: None, reason }
    }
}
