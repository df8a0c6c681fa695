//! A request of an ASGI application, as its messages tell it.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use super::handled::{Handled, Route};
use super::message::Message;

/// A request that is being handled. It is recorded once: by `end()`, or else when it is
/// deallocated.
#[pyclass(module = "sprockets_influxdb._native")]
pub(crate) struct AsgiRequest {
    handled: Handled,
}

#[pymethods]
impl AsgiRequest {
    /// The application sends a message.
    fn sends(this: &Bound<'_, Self>, message: &Bound<'_, PyAny>) {
        Self::note(this, message, Self::note_sent);
    }

    /// The server could not send a message: the client is gone.
    fn refused(this: &Bound<'_, Self>, message: &Bound<'_, PyAny>) {
        Self::note(this, message, Self::note_refused);
    }

    /// The application received a message.
    fn received(this: &Bound<'_, Self>, message: &Bound<'_, PyAny>) {
        Self::note(this, message, Self::note_received);
    }

    /// The handler failed. The first failure is recorded.
    fn fail(&mut self, error: &Bound<'_, PyAny>) {
        self.handled.fail(error);
    }

    /// The client disconnected.
    fn give_up(&mut self) {
        self.handled.outcome.client_gone();
    }

    /// The request has ended. Never raises.
    #[pyo3(signature = (route))]
    fn end(this: &Bound<'_, Self>, route: Option<Route>) {
        let Ok(mut own) = this.try_borrow_mut() else { return };
        if let Some(route) = route {
            own.handled.set_route(route);
        }
        own.handled.record(this.py());
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.handled.measurement)
    }
}

impl AsgiRequest {
    pub(super) fn new(handled: Handled) -> Self {
        Self { handled }
    }

    /// A message that is none, or that comes while another is noted, is passed on unseen.
    fn note(
        this: &Bound<'_, Self>,
        message: &Bound<'_, PyAny>,
        note: fn(&mut Self, &Message<'_, '_>),
    ) {
        if let (Ok(mut own), Some(message)) = (this.try_borrow_mut(), Message::of(message)) {
            note(&mut own, &message);
        }
    }

    fn note_sent(&mut self, message: &Message<'_, '_>) {
        let Self { handled, .. } = self;
        if handled.outcome.is_abandoned() {
            return;
        }
        let now = handled.elapsed();
        let outcome = &mut handled.outcome;
        match message.kind.to_str().unwrap_or_default() {
            "http.response.body" | "http.response.zerocopysend" | "http.response.pathsend" => {
                outcome.sent(message.length());
                if !message.flag(intern!(message.dict.py(), "more_body")) {
                    outcome.end(now);
                }
            }
            "http.response.start" | "websocket.http.response.start" => {
                let status = message.number(intern!(message.dict.py(), "status"));
                outcome.respond(status.unwrap_or(500), now);
            }
            "http.response.trailers" => outcome.end(now),
            "websocket.accept" => outcome.respond(101, now),
            "websocket.close" if !outcome.has_begun() => outcome.respond(403, now),
            "websocket.send" | "websocket.http.response.body" => outcome.sent(message.length()),
            _ => {}
        }
    }

    fn note_refused(&mut self, message: &Message<'_, '_>) {
        match message.kind.to_str().unwrap_or_default() {
            "http.response.start" | "websocket.http.response.start" | "websocket.accept" => {
                self.handled.outcome.head_failed();
            }
            _ => self.handled.outcome.unsent(message.length()),
        }
    }

    fn note_received(&mut self, message: &Message<'_, '_>) {
        let outcome = &mut self.handled.outcome;
        match message.kind.to_str().unwrap_or_default() {
            "http.disconnect" | "websocket.disconnect" if !outcome.has_begun() => {
                outcome.client_gone();
            }
            "http.request" | "websocket.receive" => self.handled.received(message.length()),
            _ => {}
        }
    }
}
