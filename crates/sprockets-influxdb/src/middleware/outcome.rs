//! What became of a request, and the attributes that follow from it: one rule for all frameworks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::attributes::{Attribute, CLIENT_CLOSED_REQUEST, UNMATCHED};
use super::sink::AttributeSink;

/// What became of a request so far. Times are measured from the beginning of the request.
#[derive(Debug, Default)]
pub struct Outcome {
    is_head: bool,
    status_code: Option<u16>,
    /// Whether the response has begun. From then on its status code is final.
    has_begun: bool,
    /// When it began. If `None` although it has begun, the end of the request counts.
    first_byte: Option<Duration>,
    last_byte: Option<Duration>,
    content_length: u64,
    request_length: Option<u64>,
    counted: Option<RequestBytes>,
    client_is_gone: bool,
    exception: Option<Box<str>>,
    /// Boxed, as few requests have it, and each move of a response moves this.
    grpc: Option<Box<Grpc>>,
}

/// Status code; lengths of response and request; time until the end and until the first byte.
pub(super) type Numbers = (u16, [Option<u64>; 2], [Option<Duration>; 2]);

#[derive(Debug)]
pub(super) struct Grpc {
    pub(super) path: Box<str>,
    pub(super) status: Option<u32>,
}

impl Outcome {
    /// The outcome of a request that has just begun.
    pub fn new(method: &str) -> Self {
        Self { is_head: method == "HEAD", ..Self::default() }
    }

    /// Notes the bytes of the request's body.
    pub fn set_request_length(&mut self, bytes: u64) {
        self.request_length = Some(bytes);
    }

    /// Whether the bytes of the request's body are known.
    pub fn has_request_length(&self) -> bool {
        self.request_length.is_some()
    }

    /// Returns the counter for the bytes of the request's body, for when no header has the length.
    pub(super) fn count_request(&mut self) -> RequestBytes {
        self.counted.get_or_insert_default().clone()
    }

    /// Notes that the request is a gRPC call of this path.
    pub(super) fn set_grpc(&mut self, path: &str) {
        self.grpc = Some(Box::new(Grpc { path: path.into(), status: None }));
    }

    pub(super) fn set_grpc_status(&mut self, status: u32) {
        if let Some(grpc) = &mut self.grpc {
            grpc.status = Some(status);
        }
    }

    pub(super) fn grpc(&self) -> Option<&Grpc> {
        self.grpc.as_deref()
    }

    /// Notes the status code that the response will have when it begins.
    pub fn set_status(&mut self, status_code: u16) {
        self.status_code = Some(status_code);
    }

    /// The response begins, unless it has begun before.
    pub fn begin(&mut self, now: impl FnOnce() -> Duration) {
        if !self.has_begun {
            (self.has_begun, self.first_byte) = (true, Some(now()));
        }
    }

    /// The response begins with this status code.
    pub fn respond(&mut self, status_code: u16, now: Duration) {
        self.respond_untimed(status_code);
        self.first_byte = Some(now);
    }

    /// The same, at the time of [`note_first_byte`](Self::note_first_byte), or else when the
    /// request ends. That saves a response in one piece a look at the clock.
    pub(super) fn respond_untimed(&mut self, status_code: u16) {
        (self.status_code, self.has_begun) = (Some(status_code), true);
    }

    /// The response has begun by now, and does not end yet.
    #[cfg(feature = "tower")]
    pub(super) fn note_first_byte(&mut self, now: impl FnOnce() -> Duration) {
        self.first_byte.get_or_insert_with(now);
    }

    /// Whether the response has begun.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The head of the response could not be sent: the client is gone.
    pub fn head_failed(&mut self) {
        (self.has_begun, self.first_byte) = (false, None);
        self.client_gone();
    }

    /// Counts bytes of the response's body as sent.
    pub fn sent(&mut self, bytes: u64) {
        self.content_length += bytes;
    }

    /// Takes back bytes that were counted and could not be sent.
    pub fn unsent(&mut self, bytes: u64) {
        self.content_length = self.content_length.saturating_sub(bytes);
    }

    /// The last byte of the response is sent. Without this call, that is when the request ends. Of
    /// several calls, the latest time counts.
    pub fn end(&mut self, now: Duration) {
        self.last_byte = self.last_byte.max(Some(now));
    }

    /// The handler failed. The first failure is recorded.
    pub fn fail(&mut self, exception: impl fmt::Display) {
        self.exception.get_or_insert_with(|| exception.to_string().into());
    }

    /// The client disconnected. After a failure this changes nothing.
    pub fn client_gone(&mut self) {
        self.client_is_gone |= self.exception.is_none();
    }

    /// Whether the client disconnected before the response began, so that nothing reaches it.
    pub fn is_abandoned(&self) -> bool {
        self.client_is_gone && !self.has_begun
    }

    /// The status code to record.
    fn status_code(&self) -> u16 {
        match self.status_code {
            Some(status_code) if self.has_begun() => status_code,
            _ if self.exception.is_some() && !self.client_is_gone => 500,
            // A response to HEAD can end before anything of it is sent.
            Some(status_code) if self.is_head => status_code,
            _ if self.client_is_gone => CLIENT_CLOSED_REQUEST,
            _ => 500,
        }
    }

    fn content_length(&self) -> u64 {
        // Servers do not send the body of a response to HEAD.
        if self.is_head { 0 } else { self.content_length }
    }

    #[inline]
    fn request_length(&self) -> Option<u64> {
        self.request_length.or_else(|| self.counted.as_ref().map(RequestBytes::total))
    }

    /// The times until the end, and until the first byte.
    fn durations(&self, now: impl FnOnce() -> Duration) -> (Duration, Option<Duration>) {
        let end = self.last_byte.unwrap_or_else(now);
        (end, self.first_byte.or(self.has_begun.then_some(end)))
    }

    /// The status code, lengths and times, if nothing else is to be recorded of it.
    pub(super) fn numbers(&self, now: impl FnOnce() -> Duration) -> Option<Numbers> {
        if self.exception.is_some() || self.grpc.is_some() {
            return None;
        }
        let lengths = [Some(self.content_length()), self.request_length()];
        let (duration, first_byte) = self.durations(now);
        Some((self.status_code(), lengths, [Some(duration), first_byte]))
    }

    /// Writes all attributes that are known at the end of the request, `now`.
    pub fn write(&self, now: Duration, sink: &mut AttributeSink<'_>) {
        if let Some(status) = self.grpc.as_deref().and_then(|grpc| grpc.status) {
            sink.text(Attribute::GrpcStatus, itoa::Buffer::new().format(status));
        }
        sink.text(Attribute::Endpoint, UNMATCHED);
        sink.text(Attribute::StatusCode, itoa::Buffer::new().format(self.status_code()));
        sink.field(Attribute::ContentLength, self.content_length());
        if let Some(request_length) = self.request_length() {
            sink.field(Attribute::RequestLength, request_length);
        }
        let (duration, first_byte) = self.durations(|| now);
        sink.field(Attribute::Duration, duration.as_secs_f64());
        if let Some(first_byte) = first_byte {
            sink.field(Attribute::TimeToFirstByte, first_byte.as_secs_f64());
        }
        if let Some(exception) = &self.exception {
            sink.text(Attribute::Exception, exception);
        }
    }
}

/// Counts the bytes of a request's body as they are read. Made by
/// [`RequestGuard::count_request`](super::RequestGuard::count_request). Clones share one count.
#[derive(Clone, Debug, Default)]
pub struct RequestBytes(Arc<AtomicU64>);

impl RequestBytes {
    /// Adds bytes that were read.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
