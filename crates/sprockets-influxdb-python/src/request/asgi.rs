//! A request of an ASGI application, as its messages tell it.

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi::PyObject;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PySequenceMethods, PyString, PyTuple};

use super::handled::{Handled, Route};
use super::message::Message;
use crate::capi::cell::{GilCell, Owned};
use crate::capi::class::{Native, native};

/// Has the coroutines that wait for the server.
const MODULE: &str = "sprockets_influxdb.asgi";

/// A request that is being handled, and the `receive` and `send` of its application. It is recorded
/// once: by `end()`, or else when it is deallocated.
#[pyclass(frozen, subclass, module = "sprockets_influxdb._native")]
pub(crate) struct AsgiRequest(());

pub(crate) type AsgiCell = GilCell<AsgiState>;

impl Native for AsgiRequest {
    type State = AsgiCell;
}

pub(crate) struct AsgiState {
    handled: Handled,
    /// `None` after [`clear`](Self::clear).
    server: Option<AsgiServer>,
}

/// What the server calls `receive` and `send`.
pub(crate) struct AsgiServer {
    receive: Owned,
    send: Owned,
    /// Whether `send` raises `OSError` when the client is gone. It does from version 2.4 of the
    /// specification on. Before, it does nothing.
    may_refuse: bool,
}

#[pymethods]
impl AsgiRequest {
    /// `receive()` and `send(message)`. Notes the message that is sent.
    #[pyo3(signature = (*arguments, **named))]
    fn __call__<'py>(
        this: &Bound<'py, Self>,
        arguments: &Bound<'py, PyTuple>,
        named: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        static RECEIVING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        static SENDING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = this.py();
        let mut own = native(this).borrow_mut(py)?;
        let by_name = || named.and_then(|named| named.values().get_item(0).ok());
        let message = arguments.get_item(0).ok().or_else(by_name);
        if let Some(message) = &message {
            own.sends(message);
        }
        let Some(server) = &own.server else { return Err(PyRuntimeError::new_err("no server")) };
        let [receive, send] = [&server.receive, &server.send].map(|call| call.bind(py).clone());
        let may_refuse = server.may_refuse;
        drop(own);
        if message.is_none() {
            let receiving = RECEIVING.import(py, MODULE, "_receiving")?;
            return receiving.call1((this, receive));
        }
        if may_refuse {
            let sending = SENDING.import(py, MODULE, "_sending")?;
            let first = PyTuple::new(py, [this.as_any(), &send])?;
            return sending
                .call(first.as_sequence().concat(arguments.as_sequence())?.to_tuple()?, named);
        }
        send.call(arguments, named)
    }

    /// The server could not send a message: the client is gone.
    fn refused(this: &Bound<'_, Self>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut own = native(this).borrow_mut(this.py())?;
        if let Some(message) = Message::of(message) {
            own.note_refused(&message);
        }
        Ok(())
    }

    /// The application received a message.
    fn received(this: &Bound<'_, Self>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut own = native(this).borrow_mut(this.py())?;
        if let Some(message) = Message::of(message) {
            own.note_received(&message);
        }
        Ok(())
    }

    /// The handler failed. The first failure is recorded.
    fn fail(this: &Bound<'_, Self>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        native(this).borrow_mut(this.py())?.handled.fail(error);
        Ok(())
    }

    /// The client disconnected.
    fn give_up(this: &Bound<'_, Self>) -> PyResult<()> {
        native(this).borrow_mut(this.py())?.handled.outcome.client_gone();
        Ok(())
    }

    /// The request has ended. Never raises.
    #[pyo3(signature = (route))]
    fn end(this: &Bound<'_, Self>, route: Option<Route>) {
        let Ok(mut own) = native(this).borrow_mut(this.py()) else { return };
        if let Some(route) = route {
            own.handled.set_route(route);
        }
        own.handled.record(this.py());
    }
}

impl AsgiServer {
    pub(super) fn new(
        scope: &Bound<'_, PyAny>,
        receive: &Bound<'_, PyAny>,
        send: &Bound<'_, PyAny>,
    ) -> Self {
        let (receive, send) = (Owned::new(receive), Owned::new(send));
        Self { receive, send, may_refuse: may_refuse(scope).unwrap_or(false) }
    }
}

/// What follows from the version of the specification that the server keeps to.
fn may_refuse(scope: &Bound<'_, PyAny>) -> Option<bool> {
    let py = scope.py();
    let asgi = scope.cast::<PyDict>().ok()?.get_item(intern!(py, "asgi")).ok()??;
    let version = asgi.cast::<PyDict>().ok()?.get_item(intern!(py, "spec_version")).ok()??;
    let version = version.cast::<PyString>().ok()?.to_str().ok()?;
    Some(!matches!(version.as_bytes(), [b'0' | b'1', b'.', ..] | [b'2', b'.', b'0'..=b'3']))
}

impl AsgiState {
    pub(super) fn new(handled: Handled, server: AsgiServer) -> Self {
        Self { handled, server: Some(server) }
    }

    /// The server's `send`, if it refuses no message.
    #[inline]
    pub(crate) fn unrefused_send<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let server = self.server.as_ref().filter(|server| !server.may_refuse)?;
        Some(server.send.bind(py).clone())
    }

    /// What may refer to the request.
    pub(crate) fn references(&self) -> [Option<*mut PyObject>; 3] {
        let server =
            |of: fn(&AsgiServer) -> &Owned| self.server.as_ref().map(|server| of(server).as_ptr());
        let measurement = self.handled.measurement.as_ptr();
        [Some(measurement), server(|server| &server.receive), server(|server| &server.send)]
    }

    /// Ends a circle of references, for the garbage collector.
    pub(crate) fn clear(&mut self) -> Option<AsgiServer> {
        self.server.take()
    }

    /// A message that is none is passed on unseen.
    #[inline]
    pub(crate) fn sends(&mut self, message: &Bound<'_, PyAny>) {
        if let Some(message) = Message::of(message) {
            self.note_sent(&message);
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
