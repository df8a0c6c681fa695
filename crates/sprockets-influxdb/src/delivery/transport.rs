//! What the sender needs of a connection to a server.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::disposition::{Cause, Disposition, Failure};
use super::own_counters::OwnCounters;
use crate::buffer::Batch;
use crate::config::OnRejected;

/// Where batches go, and who receives rejected lines.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) transport: Arc<dyn Transport>,
    /// The server's URL, for the log.
    pub(crate) address: String,
    pub(crate) on_rejected: Option<OnRejected>,
    /// Where the client's own counters go, if they are recorded.
    pub(crate) own_counters: Option<OwnCounters>,
    /// What is recorded where and how often, for the log.
    pub(crate) summary: String,
}

impl Route {
    /// Sends one batch within this time. A panic is a bug of ours or of a dependency's: it does not
    /// cost the batch.
    pub(super) fn send(&self, timeout: Duration, batch: &Batch) -> Attempt {
        catch_unwind(AssertUnwindSafe(|| self.transport.send_within(timeout, batch)))
            .unwrap_or_else(|_| Attempt::panicked())
    }
}

/// Carries a batch to a server and reports its disposition.
pub(crate) trait Transport: Send + Sync {
    /// Sends one batch within this time. Blocks. Sender threads call it, and for the
    /// last point of the own counters the thread that ends a client.
    fn send_within(&self, timeout: Duration, batch: &Batch) -> Attempt;

    /// The configured timeout of a request.
    fn timeout(&self) -> Duration;

    /// The largest batch to send, in bytes before compression. A line may be longer.
    fn max_bytes(&self) -> usize {
        usize::MAX
    }

    /// The same transport for a forked process. Shares no lock and no connection with this one, and
    /// takes no lock.
    fn after_fork(&self) -> Arc<dyn Transport>;
}

/// The outcome of sending one batch once.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) disposition: Disposition,
    /// Body bytes handed to the connection, after compression.
    pub(crate) bytes_sent: u64,
}

impl Attempt {
    /// Nothing was sent.
    pub(crate) fn unsent(disposition: Disposition) -> Self {
        Self { disposition, bytes_sent: 0 }
    }

    /// The transport panicked.
    pub(crate) fn panicked() -> Self {
        let reason = "the attempt to send panicked, which is a bug: please report it".to_owned();
        Self::unsent(Disposition::Retry(Failure::of_server(Cause::Unknown, reason)))
    }
}
