//! For the Python package and the command only: unstable, and not part of the public interface.

use std::time::Duration;

use crate::client::Client;
use crate::stats::Report;

pub use crate::interruption::interrupt_blocked_adds_if;
pub use crate::middleware::attributes::Attributes;
pub use crate::middleware::outcome::Outcome;
pub use crate::middleware::sink::AttributeSink;
pub use crate::sys::generation;
#[cfg(unix)]
pub use crate::sys::{await_sigterm, before_sigterm};

/// [`Client::flush`] for a caller who may be interrupted, as by a signal: it asks ten times a
/// second.
pub fn flush_unless(
    client: &Client,
    timeout: Duration,
    is_interrupted: impl FnMut() -> bool,
) -> Report {
    client.flush_unless(timeout, is_interrupted)
}

/// [`Client::shutdown`] for a caller who may be interrupted; see [`flush_unless`].
pub fn shutdown_unless(
    client: &Client,
    timeout: Duration,
    is_interrupted: impl FnMut() -> bool,
) -> Report {
    client.shutdown_unless(timeout, is_interrupted)
}
