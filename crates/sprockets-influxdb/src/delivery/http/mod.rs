//! Sends batches to an InfluxDB over HTTP/1.1: one pool of connections, blocking, each request
//! within its timeout whatever the server does.
//!
//! `response` says what a reply means, `no_reply` what the lack of one means.

mod agent;
mod body;
mod coarse_timeouts;
mod dns_cache;
mod early_reply;
mod endpoint;
mod expect;
mod no_reply;
mod partial;
mod proxy;
mod query;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use ureq::http::Response;
use ureq::http::header::EXPECT;
use ureq::{Agent, SendBody};

use super::disposition::{Cause, Disposition, Failure, RejectedLines, Rejection};
use super::response::{Answer, Reply, ServerIdentity, classify};
use super::sanitize::sanitize;
use super::transport::{Attempt, Transport};
use crate::buffer::Batch;
use crate::config::{Api, Server};
use crate::error::Result;
use body::Body;
use endpoint::Endpoint;
use expect::ExpectContinue;
use partial::PartialWrites;

/// Bytes of a reply's body that are read. influxd 1.x repeats every bad line in it.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Sends batches to one server.
pub(crate) struct HttpTransport {
    endpoint: Arc<Endpoint>,
    /// Made for the first batch, on a sender thread: making it may take milliseconds.
    agent: OnceLock<Agent>,
    /// Whether the pool may hold a connection that the server has closed meanwhile.
    has_idle_connection: AtomicBool,
    expect: ExpectContinue,
    partial: PartialWrites,
}

/// One request, which may have to be made twice.
struct Outgoing<'a> {
    agent: &'a Agent,
    api: Api,
    url: &'a str,
    batch: &'a Batch,
    body: &'a Body,
}

struct Exchange {
    attempt: Attempt,
    /// Whether the same request may succeed at once.
    is_repeatable: bool,
}

impl HttpTransport {
    /// A transport without connections.
    ///
    /// # Errors
    ///
    /// A URL, a secret, a CA file or a proxy that cannot be used.
    pub(crate) fn new(server: &Server) -> Result<Self> {
        Endpoint::new(server).map(|endpoint| Self::with_endpoint(Arc::new(endpoint)))
    }

    /// What connections are made to, for a person.
    pub(super) fn description(&self) -> String {
        self.endpoint.description()
    }

    /// As [`Transport::send_within`]. `observe` sees the status of each reply, and who gave it.
    pub(super) fn send_observed(
        &self,
        batch: &Batch,
        timeout: Duration,
        observe: &mut dyn FnMut(u16, ServerIdentity),
    ) -> Attempt {
        let Some(url) = self.endpoint.url(batch) else {
            return Attempt::unsent(self.name_too_long(batch.database()));
        };
        let agent = match self.agent() {
            Ok(agent) => agent,
            Err(reason) => return Attempt::unsent(retry(Cause::Configuration, reason)),
        };
        let body = &Body::of(batch, self.endpoint.server.gzip);
        let api = self.endpoint.server.api;
        let request = Outgoing { agent, api, url: &url, batch, body };
        let attempt = self.exchange_twice(&request, timeout, observe);
        let partial_url = self.endpoint.partial_url(batch);
        match partial_url.filter(|_| self.partial.apply_to(&attempt.disposition)) {
            Some(url) => {
                self.exchange_partial(attempt, &Outgoing { url: &url, ..request }, timeout)
            }
            None => attempt,
        }
    }

    /// Sends a batch with bad lines to the endpoint that names all of them.
    fn exchange_partial(
        &self,
        attempt: Attempt,
        request: &Outgoing<'_>,
        timeout: Duration,
    ) -> Attempt {
        let request = Outgoing { api: Api::V3, ..*request };
        let partial = self.exchange(&request, timeout, &mut |_, _| {}).attempt;
        let bytes_sent = attempt.bytes_sent + partial.bytes_sent;
        if self.partial.accept(&partial.disposition) {
            Attempt { bytes_sent, ..partial }
        } else {
            Attempt { bytes_sent, ..attempt }
        }
    }

    /// Makes the request, and once more if that may succeed at once.
    fn exchange_twice(
        &self,
        request: &Outgoing<'_>,
        timeout: Duration,
        observe: &mut dyn FnMut(u16, ServerIdentity),
    ) -> Attempt {
        let started = Instant::now();
        let first = self.exchange(request, timeout, observe);
        let left = timeout.saturating_sub(started.elapsed());
        if !first.is_repeatable || left.is_zero() {
            return first.attempt;
        }
        let second = self.exchange(request, left, observe).attempt;
        Attempt { bytes_sent: first.attempt.bytes_sent + second.bytes_sent, ..second }
    }

    fn with_endpoint(endpoint: Arc<Endpoint>) -> Self {
        agent::init_ureq_statics();
        Self {
            endpoint,
            agent: OnceLock::new(),
            has_idle_connection: AtomicBool::new(false),
            expect: ExpectContinue::default(),
            partial: PartialWrites::default(),
        }
    }

    /// `Err` is a reason.
    fn agent(&self) -> Result<&Agent, String> {
        if let Some(agent) = self.agent.get() {
            return Ok(agent);
        }
        let agent = agent::new(&self.endpoint)?;
        Ok(self.agent.get_or_init(|| agent))
    }

    /// Makes the request once.
    fn exchange(
        &self,
        outgoing: &Outgoing<'_>,
        timeout: Duration,
        observe: &mut dyn FnMut(u16, ServerIdentity),
    ) -> Exchange {
        let Outgoing { agent, api, url, batch, body } = *outgoing;
        let mut request = self.endpoint.request(url, body);
        if self.expect.applies_to(body.length()) {
            request = request.header(EXPECT, "100-continue");
        }
        let mut reader = body.reader(batch);
        let result = match request.body(SendBody::from_reader(&mut reader)) {
            Ok(request) if timeout == self.endpoint.server.timeout => agent.run(request),
            Ok(request) => {
                agent.run(agent.configure_request(request).timeout_global(Some(timeout)).build())
            }
            Err(error) => Err(error.into()),
        };
        let bytes_sent = reader.taken();
        let is_body_sent = bytes_sent == body.length();
        let (is_repeatable, disposition) = match result {
            Ok(reply) => {
                let status = reply.status().as_u16();
                let is_repeatable = status == 417 && self.expect.disable();
                let Answer { server, disposition } = self.read(reply, api, batch, is_body_sent);
                observe(status, server);
                (is_repeatable, disposition)
            }
            Err(error) => (
                self.is_repeatable_after(&error),
                no_reply::classify(&error, &self.endpoint, timeout, is_body_sent),
            ),
        };
        Exchange { is_repeatable, attempt: Attempt { disposition, bytes_sent } }
    }

    /// Reads the rest of a reply, of which the head is there, and classifies it.
    fn read(
        &self,
        reply: Response<ureq::Body>,
        api: Api,
        batch: &Batch,
        is_body_sent: bool,
    ) -> Answer {
        let (head, body) = reply.into_parts();
        let (body, truncated) = read_body(body.into_reader());
        // A connection whose reply was read to its end goes back to the pool.
        self.has_idle_connection.fetch_or(!truncated, Ordering::Relaxed);

        let status = head.status.as_u16();
        let reply = Reply {
            api,
            status,
            headers: &head.headers,
            body: &body,
            truncated,
            now: SystemTime::now(),
            secrets: &self.endpoint.secrets,
            names: &self.endpoint.server.names,
        };
        let mut answer = classify(&reply, batch);
        if answer.disposition == Disposition::Delivered && !is_body_sent {
            let peer = &self.endpoint.peer;
            let reason = format!("{peer} said {status} before it had the batch");
            answer.disposition = retry(Cause::Unknown, reason);
        }
        answer
    }

    fn name_too_long(&self, database: &str) -> Disposition {
        let reason = format!("no URL can hold the name of database {database:?}");
        let reason = sanitize(&reason, &self.endpoint.secrets);
        Disposition::Rejected(Rejection { lines: RejectedLines::All, rest_stored: false, reason })
    }

    /// Whether the same request may succeed at once: it went out on an idle connection that the
    /// server had closed, or the server consented to the body in a form that ureq does not
    /// understand.
    fn is_repeatable_after(&self, error: &ureq::Error) -> bool {
        match error {
            ureq::Error::Io(error) if no_reply::is_disconnect(error.kind()) => {
                self.has_idle_connection.swap(false, Ordering::Relaxed)
            }
            ureq::Error::Protocol(error) => {
                error.to_string().starts_with("received headers with 100-continue")
                    && self.expect.disable()
            }
            _ => false,
        }
    }
}

impl Transport for HttpTransport {
    fn send_within(&self, timeout: Duration, batch: &Batch) -> Attempt {
        self.send_observed(batch, timeout, &mut |_, _| {})
    }

    fn timeout(&self) -> Duration {
        self.endpoint.server.timeout
    }

    fn after_fork(&self) -> Arc<dyn Transport> {
        Arc::new(Self::with_endpoint(self.endpoint.clone()))
    }
}

fn retry(cause: Cause, reason: String) -> Disposition {
    Disposition::Retry(Failure::of_server(cause, reason))
}

/// The first [`MAX_BODY_BYTES`], and whether the body goes on after that. A connection with more on
/// it is closed when the reader is dropped: to drain it would take as long as the server likes.
fn read_body(reader: impl Read) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    let is_cut = reader.take(MAX_BODY_BYTES as u64 + 1).read_to_end(&mut body).is_err();
    let truncated = is_cut || body.len() > MAX_BODY_BYTES;
    body.truncate(MAX_BODY_BYTES);
    (body, truncated)
}
