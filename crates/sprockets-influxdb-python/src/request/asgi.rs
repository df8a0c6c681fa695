//! A request of an ASGI application. Its `send` and `receive` run without a frame of Python's: they
//! pass on the server's awaitables, and see how these end.

use pyo3::exceptions::{PyAttributeError, PyOSError, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::iterator::PySendResult;
use pyo3::types::{PyIterator, PyTuple};

use super::handled::{Handled, Route};
use super::message::Message;

/// A request that is being handled, and the `send` of its application. It is recorded once: by
/// `end()`, or else when it is deallocated.
#[pyclass(module = "sprockets_influxdb._native")]
pub(crate) struct AsgiRequest {
    handled: Handled,
    send: Py<PyAny>,
    receive: Py<PyAny>,
}

#[pymethods]
impl AsgiRequest {
    /// The `receive` of the application.
    fn receive(this: &Bound<'_, Self>) -> PyResult<AsgiAwaitable> {
        let receive = this.try_borrow()?.receive.clone_ref(this.py());
        AsgiAwaitable::new(this.clone(), receive.bind(this.py()).call0()?, None)
    }

    /// `send`.
    fn __call__(this: &Bound<'_, Self>, message: Bound<'_, PyAny>) -> PyResult<AsgiAwaitable> {
        let send = {
            let mut own = this.try_borrow_mut()?;
            own.sends(&message);
            own.send.clone_ref(this.py())
        };
        let awaitable = send.bind(this.py()).call1((&message,))?;
        AsgiAwaitable::new(this.clone(), awaitable, Some(message))
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
        visit.call(&self.handled.measurement)?;
        visit.call(&self.send)?;
        visit.call(&self.receive)
    }
}

impl AsgiRequest {
    pub(super) fn new(handled: Handled, receive: Bound<'_, PyAny>, send: Bound<'_, PyAny>) -> Self {
        Self { handled, send: send.unbind(), receive: receive.unbind() }
    }

    /// The application sends a message.
    fn sends(&mut self, message: &Bound<'_, PyAny>) {
        let Some(message) = Message::of(message) else { return };
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

    /// The server could not send a message: the client is gone.
    fn refused(&mut self, message: &Bound<'_, PyAny>) {
        let Some(message) = Message::of(message) else { return };
        match message.kind.to_str().unwrap_or_default() {
            "http.response.start" | "websocket.http.response.start" | "websocket.accept" => {
                self.handled.outcome.head_failed();
            }
            _ => self.handled.outcome.unsent(message.length()),
        }
    }

    /// The application received a message.
    fn received(&mut self, message: &Bound<'_, PyAny>) {
        let Some(message) = Message::of(message) else { return };
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

/// An awaitable of the server's, as a coroutine of its own. `asyncio.create_task()` takes it too.
#[pyclass(frozen, module = "sprockets_influxdb._native")]
pub(crate) struct AsgiAwaitable {
    request: Py<AsgiRequest>,
    inner: Py<PyIterator>,
    /// The message that is sent. `None` if one is received.
    message: Option<Py<PyAny>>,
}

#[pymethods]
impl AsgiAwaitable {
    fn __await__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let none = py.None();
        match self.step(py, none.bind(py))? {
            PySendResult::Next(value) => Ok(Some(value)),
            PySendResult::Return(value) if value.is_none() => Ok(None),
            PySendResult::Return(value) => Err(stop(value)),
        }
    }

    fn send<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match self.step(value.py(), value)? {
            PySendResult::Next(value) => Ok(value),
            PySendResult::Return(value) => Err(stop(value)),
        }
    }

    #[pyo3(signature = (*exception))]
    fn throw<'py>(
        &self,
        py: Python<'py>,
        exception: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let thrown = self.inner.bind(py).getattr(intern!(py, "throw"))?.call1(exception);
        if let Err(error) = &thrown {
            match error.is_instance_of::<PyStopIteration>(py) {
                true => self.ended(&error.value(py).getattr(intern!(py, "value"))?)?,
                false => self.failed(py, error)?,
            }
        }
        thrown
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.inner.bind(py).getattr_opt(intern!(py, "close"))? {
            Some(close) => close.call0().map(drop),
            None => Ok(()),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.request)?;
        visit.call(&self.inner)?;
        visit.call(&self.message)
    }
}

impl AsgiAwaitable {
    fn new<'py>(
        request: Bound<'py, AsgiRequest>,
        awaitable: Bound<'py, PyAny>,
        message: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        let py = request.py();
        let inner = match awaitable.call_method0(intern!(py, "__await__")) {
            Ok(inner) => inner.try_iter()?,
            // A coroutine made of a generator.
            Err(error) if error.is_instance_of::<PyAttributeError>(py) => awaitable.try_iter()?,
            Err(error) => return Err(error),
        };
        let message = message.map(Bound::unbind);
        Ok(Self { request: request.unbind(), inner: inner.unbind(), message })
    }

    fn step<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<PySendResult<'py>> {
        let result = self.inner.bind(py).send(value);
        match &result {
            Ok(PySendResult::Next(_)) => {}
            Ok(PySendResult::Return(value)) => self.ended(value)?,
            Err(error) => self.failed(py, error)?,
        }
        result
    }

    fn ended(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.message.is_none() {
            self.request.try_borrow_mut(value.py())?.received(value);
        }
        Ok(())
    }

    /// An `OSError` of the server's says that the client is gone.
    fn failed(&self, py: Python<'_>, error: &PyErr) -> PyResult<()> {
        if let Some(message) = &self.message {
            if error.is_instance_of::<PyOSError>(py) {
                self.request.try_borrow_mut(py)?.refused(message.bind(py));
            }
        }
        Ok(())
    }
}

fn stop(value: Bound<'_, PyAny>) -> PyErr {
    PyStopIteration::new_err((value.unbind(),))
}
