//! Where batches go, and what is called for rejected lines.

use std::sync::Arc;

use super::transport::Transport;
use crate::config::Rejected;

/// Called with each rejected line.
pub(crate) type RejectedHook = Arc<dyn Fn(&Rejected<'_>) + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) transport: Arc<dyn Transport>,
    /// The server's URL, for the log.
    pub(crate) address: String,
    pub(crate) on_rejected: Option<RejectedHook>,
}
