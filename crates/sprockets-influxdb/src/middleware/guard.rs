//! The guard that records a request, whatever becomes of it.

use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use super::attributes::Attribute;
use super::destination::Destination;
use super::handle::RequestMeasurement;
use super::outcome::{Outcome, RequestBytes};
use crate::clock::Moment;

/// Maximum number of requests whose memory a thread keeps for the next ones.
const MAX_SPARE: usize = 16;

thread_local! {
    #[expect(clippy::vec_box, reason = "the boxes are what is used again")]
    static SPARE: RefCell<Vec<Box<Handled>>> = const { RefCell::new(Vec::new()) };
}

/// A request that is being handled. It is recorded once: by [`end`](Self::end), or else when this
/// is dropped.
///
/// Without a response, the status code is 500 if the handler [failed](Self::fail). Otherwise it is
/// 499, as the client has disconnected.
///
/// What the handler sets in the [measurement](Self::measurement) takes precedence.
///
/// [`RequestGuard::default`] records nothing.
#[derive(Debug, Default)]
pub struct RequestGuard {
    /// Boxed, as frameworks move futures and responses, with the guard in them, many times. `None`:
    /// nothing is recorded.
    handled: Option<Box<Handled>>,
}

#[derive(Debug)]
struct Handled {
    measurement: RequestMeasurement,
    outcome: Outcome,
    started: Moment,
    is_recorded: bool,
}

impl RequestGuard {
    /// # Arguments
    ///
    /// * `method`: that of the request
    /// * `recorded`: the method as it is recorded
    pub(super) fn new(destination: Arc<Destination>, method: &str, recorded: &'static str) -> Self {
        let (started, outcome) = (Moment::now(), Outcome::new(method));
        let spare = SPARE.try_with(|spare| spare.try_borrow_mut().ok()?.pop()).ok().flatten();
        let mut handled = match spare {
            Some(mut spare) => {
                (spare.outcome, spare.started, spare.is_recorded) = (outcome, started, false);
                spare
            }
            None => {
                let measurement = RequestMeasurement::default();
                Box::new(Handled { measurement, outcome, started, is_recorded: false })
            }
        };
        handled.measurement.restart(destination, recorded);
        Self { handled: Some(handled) }
    }

    /// The measurement, for the handler.
    pub fn measurement(&self) -> RequestMeasurement {
        let handled = self.handled.as_ref();
        handled.map(|handled| handled.measurement.clone()).unwrap_or_default()
    }

    pub(super) fn text(&self, attribute: Attribute, text: &str) {
        if let Some(handled) = &self.handled {
            handled.measurement.text(attribute, text);
        }
    }

    /// Records the template of the route that matched.
    pub fn endpoint(&self, template: &str) {
        self.text(Attribute::Endpoint, template);
    }

    /// Records the handler's name.
    pub fn handler(&self, name: &str) {
        self.text(Attribute::Handler, name);
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
            self.text(Attribute::RemoteIp, text);
        }
    }

    /// Records the length of the request's body in bytes.
    pub fn request_length(&mut self, bytes: u64) {
        self.note(|outcome| outcome.set_request_length(bytes));
    }

    /// Returns a counter for the bytes of the request's body, for requests without a length header.
    pub fn count_request(&mut self) -> RequestBytes {
        let handled = self.handled.as_mut();
        handled.map(|handled| handled.outcome.count_request()).unwrap_or_default()
    }

    /// Marks the request as a gRPC call. Once a call with this path has succeeded, the path is its
    /// endpoint.
    pub fn grpc(&mut self, path: &str) {
        self.note(|outcome| outcome.set_grpc(path));
    }

    /// Records the gRPC status, from the trailers or the headers.
    pub fn grpc_status(&mut self, status: u32) {
        self.note(|outcome| outcome.set_grpc_status(status));
    }

    /// Whether [`grpc`](Self::grpc) was called.
    pub fn is_grpc(&self) -> bool {
        self.handled.as_ref().is_some_and(|handled| handled.outcome.grpc().is_some())
    }

    /// The response begins.
    pub fn respond(&mut self, status_code: u16) {
        if let Some(handled) = &mut self.handled {
            handled.outcome.respond(status_code, handled.started.elapsed());
        }
    }

    /// The response begins, at the time of [`note_first_byte`](Self::note_first_byte), or else when
    /// the request ends.
    #[cfg(feature = "tower")]
    pub(super) fn respond_untimed(&mut self, status_code: u16) {
        self.note(|outcome| outcome.respond_untimed(status_code));
    }

    /// The response has begun, and does not end yet.
    #[cfg(feature = "tower")]
    pub(super) fn note_first_byte(&mut self) {
        if let Some(handled) = &mut self.handled {
            handled.outcome.note_first_byte(|| handled.started.elapsed());
        }
    }

    /// Counts bytes of the response's body as sent. Those of a response to HEAD are not recorded.
    pub fn sent(&mut self, bytes: usize) {
        self.note(|outcome| outcome.sent(bytes as u64));
    }

    /// The handler failed. The first failure is recorded as the exception.
    pub fn fail(&mut self, exception: impl fmt::Display) {
        self.note(|outcome| outcome.fail(exception));
    }

    #[inline]
    fn note(&mut self, note: impl FnOnce(&mut Outcome)) {
        if let Some(handled) = &mut self.handled {
            note(&mut handled.outcome);
        }
    }

    /// Runs a part of the handler. If it panics, the panic is recorded as a failure, and continues.
    pub fn catch<T>(guard: &mut Option<Self>, run: impl FnOnce() -> T) -> T {
        match guard {
            Some(guard) => guard.watch(run),
            None => run(),
        }
    }

    /// As [`catch`](Self::catch).
    pub(super) fn watch<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let watched = self.watched();
        let result = run();
        watched.end();
        result
    }

    /// A panic until [`Watched::end`] is recorded as a failure.
    pub(super) fn watched(&mut self) -> Watched<'_> {
        Watched(self)
    }

    /// Whether the request is recorded.
    #[cfg(any(feature = "actix", feature = "tower"))]
    pub(super) fn is_recording(&self) -> bool {
        self.handled.is_some()
    }

    /// The request has ended. Without a response and without a failure, the client disconnected.
    pub fn end(&mut self) {
        if let Some(handled) = &mut self.handled {
            handled.end();
        }
    }

    /// The connection changes its protocol, for example to a websocket. The request is recorded
    /// when the last clone of its [measurement](Self::measurement) is dropped.
    pub fn upgrade(mut self) {
        if let Some(handled) = &mut self.handled {
            if !std::mem::replace(&mut handled.is_recorded, true) {
                let outcome = std::mem::take(&mut handled.outcome);
                handled.measurement.record_when_dropped(outcome, handled.started);
            }
        }
    }
}

pub(super) struct Watched<'g>(&'g mut RequestGuard);

impl Watched<'_> {
    pub(super) fn end(self) {
        std::mem::forget(self);
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.fail("panic");
    }
}

impl Handled {
    fn end(&mut self) {
        self.outcome.client_gone();
        if !std::mem::replace(&mut self.is_recorded, true) {
            self.measurement.record(&self.outcome, self.started);
        }
    }

    /// As [`end`](Self::end). Returns whether the memory can be used again.
    fn finish(&mut self) -> bool {
        self.outcome.client_gone();
        let is_recorded = std::mem::replace(&mut self.is_recorded, true);
        self.measurement.end((!is_recorded).then_some((&self.outcome, self.started)))
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let Some(mut handled) = self.handled.take() else { return };
        if handled.finish() {
            // It may have a long text.
            handled.outcome = Outcome::default();
            // This fails when the thread is at its end.
            let _ = SPARE.try_with(|spare| {
                let spare = spare.try_borrow_mut().ok();
                if let Some(mut spare) = spare.filter(|spare| spare.len() < MAX_SPARE) {
                    spare.push(handled);
                }
            });
        }
    }
}
