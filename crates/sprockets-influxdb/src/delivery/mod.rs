//! Delivers batches to the server. Batches are sent by threads of its own, never by the
//! application's, and may block.
//!
//! `workers` runs the threads. Each calls `sender`, which takes a batch from the buffer, sends it
//! through a `transport` and acts on the `disposition` of the reply. When it may send,
//! `circuit_breaker` says.

mod backoff;
mod bisect;
mod body_limit;
mod check;
mod circuit_breaker;
mod compression;
mod congestion;
mod disposition;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod holds;
mod http;
#[cfg(feature = "nats")]
pub(crate) mod nats;
mod own_counters;
mod poison;
mod probe;
mod rate_limited_log;
mod rejections;
mod response;
mod sanitize;
mod sender;
#[cfg(all(test, not(loom)))]
mod tests;
mod tls;
mod transport;
mod workers;

pub use check::{Check, Finding};
pub(crate) use own_counters::OwnCounters;
pub(crate) use sender::Sender;
pub(crate) use transport::{Route, Transport};
pub(crate) use workers::Workers;

use std::sync::Arc;

use crate::config::Server;
use crate::error::Result;

/// The transport to a server, without connections.
///
/// # Errors
///
/// Settings of the server that cannot be used.
pub(crate) fn transport(server: &Server) -> Result<Arc<dyn Transport>> {
    #[cfg(feature = "nats")]
    if server.nats.is_some() {
        return Ok(Arc::new(nats::NatsTransport::new(server)?));
    }
    Ok(Arc::new(http::HttpTransport::new(server)?))
}
