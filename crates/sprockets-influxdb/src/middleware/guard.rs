//! The guard that records a request, whatever becomes of it.

use std::fmt;
use std::io::Write;
use std::time::Instant;

use super::attributes::Attribute;
use super::handle::RequestMeasurement;
use super::outcome::{Outcome, RequestBytes};

/// A request that is being handled. It is recorded once: by [`end`](Self::end), or else when this
/// is dropped.
///
/// Without a response, the status code is 500 if the handler [failed](Self::fail). Otherwise it is
/// 499, as the client has disconnected.
///
/// What the handler sets in the [measurement](Self::measurement) takes precedence.
#[derive(Debug)]
pub struct RequestGuard {
    measurement: RequestMeasurement,
    outcome: Outcome,
    started: Instant,
    is_recorded: bool,
}

impl RequestGuard {
    pub(super) fn new(measurement: RequestMeasurement, method: &str, started: Instant) -> Self {
        Self { measurement, outcome: Outcome::new(method), started, is_recorded: false }
    }

    /// The measurement, for the handler.
    pub fn measurement(&self) -> RequestMeasurement {
        self.measurement.clone()
    }

    /// Records the template of the route that matched.
    pub fn endpoint(&self, template: &str) {
        self.measurement.text(Attribute::Endpoint, template);
    }

    /// Records the handler's name.
    pub fn handler(&self, name: &str) {
        self.measurement.text(Attribute::Handler, name);
    }

    /// Records the client's address, unless the header in
    /// [`RequestOptions::remote_ip_header`](super::RequestOptions::remote_ip_header) had it.
    pub fn remote_ip(&self, address: impl fmt::Display) {
        let mut text = [0; 64];
        let mut rest = &mut text[..];
        // A longer text is no address.
        if write!(rest, "{address}").is_ok() {
            let length = 64 - rest.len();
            let text = std::str::from_utf8(&text[..length]).unwrap_or_default();
            self.measurement.text(Attribute::RemoteIp, text);
        }
    }

    /// Records the length of the request's body in bytes.
    pub fn request_length(&mut self, bytes: u64) {
        self.outcome.set_request_length(bytes);
    }

    /// Returns a counter for the bytes of the request's body, for requests without a length header.
    pub fn count_request(&mut self) -> RequestBytes {
        self.outcome.count_request()
    }

    /// Marks the request as a gRPC call. Once a call with this path has succeeded, the path is its
    /// endpoint.
    pub fn grpc(&mut self, path: &str) {
        self.outcome.set_grpc(path);
    }

    /// Records the gRPC status, from the trailers or the headers.
    pub fn grpc_status(&mut self, status: u32) {
        self.outcome.set_grpc_status(status);
    }

    /// Whether [`grpc`](Self::grpc) was called.
    pub fn is_grpc(&self) -> bool {
        self.outcome.grpc().is_some()
    }

    /// The response begins.
    pub fn respond(&mut self, status_code: u16) {
        self.outcome.respond(status_code, self.started.elapsed());
    }

    /// Counts bytes of the response's body as sent. Those of a response to HEAD are not recorded.
    pub fn sent(&mut self, bytes: usize) {
        self.outcome.sent(bytes as u64);
    }

    /// The handler failed. The first failure is recorded as the exception.
    pub fn fail(&mut self, exception: impl fmt::Display) {
        self.outcome.fail(exception);
    }

    /// Runs a part of the handler. If it panics, the panic is recorded as a failure, and continues.
    pub fn catch<T>(guard: &mut Option<Self>, run: impl FnOnce() -> T) -> T {
        struct OnPanic<'g>(&'g mut Option<RequestGuard>);

        impl Drop for OnPanic<'_> {
            fn drop(&mut self) {
                if let Some(guard) = self.0 {
                    guard.fail("panic");
                }
            }
        }

        let on_panic = OnPanic(guard);
        let result = run();
        std::mem::forget(on_panic);
        result
    }

    /// The request has ended. Without a response and without a failure, the client disconnected.
    pub fn end(&mut self) {
        self.outcome.client_gone();
        if !std::mem::replace(&mut self.is_recorded, true) {
            self.measurement.record(&self.outcome, self.started);
        }
    }

    /// The connection changes its protocol, for example to a websocket. The request is recorded
    /// when the last clone of its [measurement](Self::measurement) is dropped.
    pub fn upgrade(mut self) {
        if !std::mem::replace(&mut self.is_recorded, true) {
            let outcome = std::mem::take(&mut self.outcome);
            self.measurement.record_when_dropped(outcome, self.started);
        }
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.end();
        std::mem::take(&mut self.measurement).keep();
    }
}
