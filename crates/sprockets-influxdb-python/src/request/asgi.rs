//! A request of an ASGI application, as its messages tell it.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::handled::{Handled, Route};
use super::message::Message;
use super::routes::{NamedRoute, RouteTable, owned};
use crate::capi::asgi::AsgiRequest;
use crate::capi::class::native;
use crate::capi::read::find;

#[pymethods]
impl AsgiRequest {
    /// The application sends a message. Returns what the server's `send` returns.
    fn send_to_server<'py>(
        this: &Bound<'py, Self>,
        message: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::note_sent(this, message);
        native(this).send.bind(this.py()).call1((message,))
    }

    /// Returns what the server's `receive` returns.
    fn receive_from_server<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        native(this).receive.bind(this.py()).call0()
    }

    /// The server could not send a message: the client is gone.
    fn refused(this: &Bound<'_, Self>, message: &Bound<'_, PyAny>) {
        Self::note(this, message, note_refused);
    }

    /// The application received a message.
    fn received(this: &Bound<'_, Self>, message: &Bound<'_, PyAny>) {
        Self::note(this, message, note_received);
    }

    /// The handler failed. The first failure is recorded.
    fn fail(this: &Bound<'_, Self>, error: &Bound<'_, PyAny>) {
        if let Some(mut handled) = native(this).handled.if_free(this.py()) {
            handled.fail(error);
        }
    }

    /// The client disconnected.
    fn give_up(this: &Bound<'_, Self>) {
        if let Some(mut handled) = native(this).handled.if_free(this.py()) {
            handled.outcome.client_gone();
        }
    }

    /// The request has ended. Records it, if these routes have the one that the framework put into
    /// the scope. Returns whether they have.
    pub(crate) fn end(
        this: &Bound<'_, Self>,
        scope: &Bound<'_, PyDict>,
        routes: &RouteTable,
    ) -> bool {
        let route = find(scope, intern!(scope.py(), "route"));
        let known = route.and_then(|route| routes.find(route.bind(scope.py())));
        let is_known = known.is_some();
        if is_known {
            Self::record(this, known);
        }
        is_known
    }

    /// The request has ended, with this route. Never raises.
    #[pyo3(signature = (route))]
    fn end_with(this: &Bound<'_, Self>, route: Option<NamedRoute<'_>>) {
        Self::record(this, route.map(owned));
    }
}

impl AsgiRequest {
    #[inline]
    fn record(this: &Bound<'_, Self>, route: Option<Route>) {
        let Some(mut handled) = native(this).handled.if_free(this.py()) else { return };
        if let Some(route) = route {
            handled.set_route(route);
        }
        handled.record(this.py());
    }

    #[inline]
    pub(crate) fn note_sent(this: &Bound<'_, Self>, message: &Bound<'_, PyAny>) {
        Self::note(this, message, note_sent);
    }

    /// A message that is none, or that comes while another is noted, is passed on unseen.
    #[inline]
    fn note(
        this: &Bound<'_, Self>,
        message: &Bound<'_, PyAny>,
        note: impl FnOnce(&mut Handled, &Message<'_, '_>),
    ) {
        let handled = native(this).handled.if_free(this.py());
        if let (Some(mut handled), Some(message)) = (handled, Message::of(message)) {
            note(&mut handled, &message);
        }
    }
}

#[inline]
fn note_sent(handled: &mut Handled, message: &Message<'_, '_>) {
    if handled.outcome.is_abandoned() {
        return;
    }
    let now = handled.elapsed();
    let outcome = &mut handled.outcome;
    match message.kind() {
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

fn note_refused(handled: &mut Handled, message: &Message<'_, '_>) {
    match message.kind() {
        "http.response.start" | "websocket.http.response.start" | "websocket.accept" => {
            handled.outcome.head_failed();
        }
        _ => handled.outcome.unsent(message.length()),
    }
}

fn note_received(handled: &mut Handled, message: &Message<'_, '_>) {
    let outcome = &mut handled.outcome;
    match message.kind() {
        "http.disconnect" | "websocket.disconnect" if !outcome.has_begun() => {
            outcome.client_gone();
        }
        "http.request" | "websocket.receive" => handled.received(message.length()),
        _ => {}
    }
}
