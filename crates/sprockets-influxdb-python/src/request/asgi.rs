//! A request of an ASGI application, as its messages tell it.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::handled::{Handled, Route};
use super::message::Message;
use crate::capi::asgi::AsgiRequest;
use crate::capi::class::native;

#[pymethods]
impl AsgiRequest {
    /// The application sends a message.
    pub(crate) fn sends(this: &Bound<'_, Self>, message: &Bound<'_, PyAny>) {
        Self::note(this, message, note_sent);
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
    /// the scope. Returns whether they have. Never raises.
    ///
    /// :param routes: template and handler, by the `id()` of a route
    pub(crate) fn end(
        this: &Bound<'_, Self>,
        scope: &Bound<'_, PyDict>,
        routes: &Bound<'_, PyDict>,
    ) -> bool {
        let known = known_route(scope, routes);
        let is_known = known.is_some();
        if is_known {
            Self::end_with(this, known);
        }
        is_known
    }

    /// The request has ended, with this route. Never raises.
    #[pyo3(signature = (route))]
    fn end_with(this: &Bound<'_, Self>, route: Option<Route<'_>>) {
        let Some(mut handled) = native(this).handled.if_free(this.py()) else { return };
        if let Some(route) = route {
            handled.set_route(route);
        }
        handled.record(this.py());
    }
}

impl AsgiRequest {
    /// A message that is none, or that comes while another is noted, is passed on unseen.
    fn note(
        this: &Bound<'_, Self>,
        message: &Bound<'_, PyAny>,
        note: fn(&mut Handled, &Message<'_, '_>),
    ) {
        let handled = native(this).handled.if_free(this.py());
        if let (Some(mut handled), Some(message)) = (handled, Message::of(message)) {
            note(&mut handled, &message);
        }
    }
}

/// The route that the framework put into the scope, if it is one of these.
fn known_route<'py>(scope: &Bound<'py, PyDict>, routes: &Bound<'py, PyDict>) -> Option<Route<'py>> {
    let route = scope.get_item(intern!(scope.py(), "route")).ok()??;
    let known = routes.get_item(route.as_ptr() as usize).ok()??;
    let known = known.cast::<PyTuple>().ok()?;
    let endpoint = known.get_item(0).ok()?.cast_into().ok()?;
    let handler = known.get_item(1).ok()?.cast_into::<PyString>().ok();
    Some((endpoint, handler))
}

fn note_sent(handled: &mut Handled, message: &Message<'_, '_>) {
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

fn note_refused(handled: &mut Handled, message: &Message<'_, '_>) {
    match message.kind.to_str().unwrap_or_default() {
        "http.response.start" | "websocket.http.response.start" | "websocket.accept" => {
            handled.outcome.head_failed();
        }
        _ => handled.outcome.unsent(message.length()),
    }
}

fn note_received(handled: &mut Handled, message: &Message<'_, '_>) {
    let outcome = &mut handled.outcome;
    match message.kind.to_str().unwrap_or_default() {
        "http.disconnect" | "websocket.disconnect" if !outcome.has_begun() => {
            outcome.client_gone();
        }
        "http.request" | "websocket.receive" => handled.received(message.length()),
        _ => {}
    }
}
