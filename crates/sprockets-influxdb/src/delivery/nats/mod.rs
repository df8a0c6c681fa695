//! Publishes batches to NATS JetStream: a batch is a message, delivered when a stream has stored
//! it.
//!
//! `connection` holds the connection and its runtime, `message` makes messages, and `reply` decides
//! what an acknowledgement, or the lack of one, means.

pub(crate) mod api;
pub(super) mod check;
pub(crate) mod cluster;
mod connection;
mod errors;
mod limits;
pub(crate) mod message;
mod options;
mod reply;
mod settings;
#[cfg(all(test, not(loom)))]
mod tests;
mod unverified;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{Request, client::RequestErrorKind};

use super::disposition::{Disposition, RejectedLines, Rejection};
use super::transport::{Attempt, Transport};
use crate::buffer::Batch;
use crate::config::Server;
use crate::error::Result;
use crate::sys;
use connection::{Broken, Connection, Link};
use limits::Limits;
use message::Message;
use reply::Publication;
use settings::Settings;

/// Bytes of a message that are left to its headers.
const HEADER_BYTES: usize = 4 * 1024;

/// Sends batches to one cluster.
pub(crate) struct NatsTransport {
    settings: Arc<Settings>,
    /// Never `None`, except while this is dropped.
    connection: Option<Connection>,
    /// The process that the connection belongs to.
    generation: u64,
}

impl NatsTransport {
    /// A transport without a connection.
    pub(crate) fn new(server: &Server) -> Result<Self> {
        Settings::new(server).map(|settings| Self::with_settings(Arc::new(settings)))
    }

    fn with_settings(settings: Arc<Settings>) -> Self {
        let connection = Some(Connection::new(settings.clone()));
        Self { settings, connection, generation: sys::generation() }
    }

    fn publish(&self, link: &Link, batch: &Batch, timeout: Duration) -> Attempt {
        publish(&self.settings, link.limits(), batch, |publication, message| {
            let request = Request::new().payload(message.payload).headers(message.headers);
            let request = request.timeout(Some(timeout));
            let subject = message.subject;
            let reply = link.run(publication.subject, |client| async move {
                client.send_request(subject, request).await
            });
            match reply {
                Ok(Ok(reply)) => publication.acknowledged(&reply.payload),
                Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
                    publication.without_responders(link, timeout)
                }
                Ok(Err(error)) if error.kind() == RequestErrorKind::TimedOut => {
                    match link.inbox_problem() {
                        Some(text) => publication.forbidden(&text),
                        None => publication.unacknowledged(timeout),
                    }
                }
                Ok(Err(error)) => publication.failed(&error.to_string()),
                Err(Broken::Disconnected) => publication.disconnected(),
                Err(Broken::Forbidden(text)) => publication.forbidden(&text),
            }
        })
    }
}

/// Bytes of lines that fit into a message of so many bytes.
fn max_lines(limit: usize) -> usize {
    limit.saturating_sub(HEADER_BYTES).max(1)
}

/// Makes the message of a batch and sends it by `exchange`, which returns what the reply means.
fn publish(
    settings: &Settings,
    limits: Limits,
    batch: &Batch,
    exchange: impl FnOnce(&Publication<'_>, Message) -> Disposition,
) -> Attempt {
    let message = Message::of(batch, settings, limits.drops_repeats);
    let length = message.len();
    if length > limits.max_payload {
        return Attempt::unsent(too_large(batch, length, limits.max_payload));
    }
    let subject = message.subject.clone();
    let disposition = exchange(&Publication { settings, subject: &subject }, message);
    Attempt { disposition, bytes_sent: length as u64 }
}

fn too_large(batch: &Batch, length: usize, limit: usize) -> Disposition {
    let reason = format!(
        "the message has {length} bytes, and the server takes {limit}: \
         raise max_payload in its configuration"
    );
    if batch.lines() > 1 {
        return Disposition::TooLarge { is_from_server: true, reason };
    }
    Disposition::Rejected(Rejection { lines: RejectedLines::All, rest_stored: false, reason })
}

impl Transport for NatsTransport {
    fn send_within(&self, timeout: Duration, batch: &Batch) -> Attempt {
        let started = Instant::now();
        let link = match &self.connection {
            Some(connection) => connection.link(timeout),
            None => return Attempt::panicked(),
        };
        match link {
            Ok(link) => {
                let left = timeout.saturating_sub(started.elapsed()).max(Duration::from_millis(1));
                self.publish(&link, batch, left)
            }
            Err(error) => Attempt::unsent(Disposition::Retry(error.failure())),
        }
    }

    fn timeout(&self) -> Duration {
        self.settings.server.timeout
    }

    fn max_bytes(&self) -> usize {
        let limit = self.connection.as_ref().and_then(Connection::max_payload);
        max_lines(limit.unwrap_or(Limits::default().max_payload))
    }

    fn after_fork(&self) -> Arc<dyn Transport> {
        Arc::new(Self::with_settings(self.settings.clone()))
    }
}

impl Drop for NatsTransport {
    fn drop(&mut self) {
        // Dropping the connection takes locks of its runtime, which another thread of the parent
        // may have held at a fork.
        if self.generation != sys::generation() {
            std::mem::forget(self.connection.take());
        }
    }
}
