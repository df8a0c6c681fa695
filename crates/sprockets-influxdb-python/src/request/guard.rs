//! A request that is being handled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use sprockets_influxdb as core;
use sprockets_influxdb::internal::{AttributeSink, Outcome};
use sprockets_influxdb::middleware::Attribute;

use super::asgi::Message;
use super::headers::with_header;
use super::options::Options;
use crate::measurement::Measurement;
use crate::value::text;
use crate::warning::warn;

/// A request that is being handled. It is recorded once: by `end()`, or else when it is
/// deallocated.
#[pyclass(module = "sprockets_influxdb._native")]
pub(crate) struct RequestGuard {
    options: Arc<Options>,
    /// For the handler.
    #[pyo3(get)]
    measurement: Py<Measurement>,
    head: Head,
    /// Bytes of the request's body that the application received so far. `None` if they are not
    /// seen.
    received: Option<u64>,
    outcome: Outcome,
    started: Instant,
    is_recorded: bool,
}

/// What is known of a request beside its outcome.
struct Head {
    method: &'static str,
    correlation_id: Option<Py<PyAny>>,
    remote_ip: Option<Py<PyAny>>,
    endpoint: Option<Py<PyString>>,
    handler: Option<Py<PyString>>,
}

#[pymethods]
impl RequestGuard {
    /// Sets the template of the matched route, and the name of its handler.
    #[pyo3(signature = (endpoint, handler))]
    fn route(&mut self, endpoint: Py<PyString>, handler: Option<Py<PyString>>) {
        (self.head.endpoint, self.head.handler) = (Some(endpoint), handler);
    }

    /// The application sends this ASGI message.
    fn sends(&mut self, message: &Bound<'_, PyAny>) {
        let Some(message) = Message::of(message) else { return };
        if self.outcome.is_abandoned() {
            return;
        }
        let now = self.started.elapsed();
        match message.kind.to_str().unwrap_or_default() {
            "http.response.body" | "http.response.zerocopysend" | "http.response.pathsend" => {
                self.outcome.sent(message.length());
                if !message.flag(intern!(message.dict.py(), "more_body")) {
                    self.outcome.end(now);
                }
            }
            "http.response.start" | "websocket.http.response.start" => {
                let status = message.number(intern!(message.dict.py(), "status"));
                self.outcome.respond(status.unwrap_or(500), now);
            }
            "http.response.trailers" => self.outcome.end(now),
            "websocket.accept" => self.outcome.respond(101, now),
            "websocket.close" if !self.outcome.has_begun() => self.outcome.respond(403, now),
            "websocket.send" | "websocket.http.response.body" => {
                self.outcome.sent(message.length());
            }
            _ => {}
        }
    }

    /// The server could not send this ASGI message: the client is gone.
    fn refused(&mut self, message: &Bound<'_, PyAny>) {
        let Some(message) = Message::of(message) else { return };
        match message.kind.to_str().unwrap_or_default() {
            "http.response.start" | "websocket.http.response.start" | "websocket.accept" => {
                self.outcome.head_failed();
            }
            _ => self.outcome.unsent(message.length()),
        }
    }

    /// The application received this ASGI message.
    fn received(&mut self, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(message) = Message::of(message) else { return Ok(()) };
        match message.kind.to_str()? {
            "http.disconnect" | "websocket.disconnect" if !self.outcome.has_begun() => {
                self.outcome.client_gone();
            }
            "http.request" | "websocket.receive" => {
                *self.received.get_or_insert(0) += message.length();
            }
            _ => {}
        }
        Ok(())
    }

    /// Sets the status of the response that will begin: a number, or WSGI's text that starts with
    /// it.
    fn respond(&mut self, status: &Bound<'_, PyAny>) {
        let number = || {
            let text = status.cast::<PyString>().ok()?.to_str().ok()?;
            text.get(..3)?.parse().ok()
        };
        if let Some(status) = number().or_else(|| status.extract().ok()) {
            self.outcome.set_status(status);
        }
    }

    /// The application passes this part of the response's body to the server. The server sends the
    /// head before it.
    fn sent(&mut self, data: &Bound<'_, PyAny>) {
        let length = data.len().unwrap_or_default();
        if length > 0 {
            self.sent_length(length as u64);
        }
    }

    /// As [`sent`](Self::sent), with the length of the part in bytes.
    fn sent_length(&mut self, length: u64) {
        self.outcome.sent(length);
        self.outcome.begin(|| self.started.elapsed());
    }

    /// The application has passed the whole response to the server.
    fn complete(&mut self) {
        let now = self.started.elapsed();
        self.outcome.begin(|| now);
        self.outcome.end(now);
    }

    /// The handler failed. The first failure is recorded.
    fn fail(&mut self, error: &Bound<'_, PyAny>) {
        self.outcome.fail(Exception(error));
    }

    /// The client disconnected.
    fn give_up(&mut self) {
        self.outcome.client_gone();
    }

    /// Ends a request whose messages were counted in Python: `status` is `None` without a response.
    /// `began` and `ended` are in seconds since the request began. Never raises.
    #[pyo3(signature = (status, began, ended, content_length, route))]
    fn end_with(
        this: &Bound<'_, Self>,
        status: &Bound<'_, PyAny>,
        began: f64,
        ended: Option<f64>,
        content_length: u64,
        route: Option<(Py<PyString>, Option<Py<PyString>>)>,
    ) {
        let Ok(mut request) = this.try_borrow_mut() else { return };
        let seconds = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        if !status.is_none() {
            let outcome = &mut request.outcome;
            outcome.respond(status.extract().unwrap_or(500), seconds(began));
            outcome.sent(content_length);
            if let Some(ended) = ended {
                outcome.end(seconds(ended));
            }
        }
        if let Some((endpoint, handler)) = route {
            request.route(endpoint, handler);
        }
        request.record(this.py());
    }

    /// The request has ended. Never raises.
    fn end(this: &Bound<'_, Self>) {
        let Ok(mut request) = this.try_borrow_mut() else { return };
        request.record(this.py());
    }
}

impl RequestGuard {
    pub(super) fn new(
        options: Arc<Options>,
        measurement: Py<Measurement>,
        method: Option<&Bound<'_, PyAny>>,
    ) -> Self {
        let started = Instant::now();
        let method = method.and_then(|method| method.cast::<PyString>().ok());
        let method = method.map_or("GET", |method| method.to_str().unwrap_or_default());
        let head = Head {
            method: options.attributes.method(method),
            correlation_id: None,
            remote_ip: None,
            endpoint: None,
            handler: None,
        };
        let outcome = Outcome::new(method);
        let received = None;
        Self { options, measurement, head, received, outcome, started, is_recorded: false }
    }

    pub(super) fn set_correlation_id(&mut self, header: Option<Py<PyAny>>) {
        self.head.correlation_id = header;
    }

    /// Sets the client's address, or the value of the header that has it.
    pub(super) fn set_remote_ip(&mut self, addresses: Option<Py<PyAny>>) {
        self.head.remote_ip = addresses;
    }

    /// Sets the length of the request's body that its header has. Without one, the bytes count that
    /// the application receives.
    pub(super) fn set_request_length(&mut self, declared: Option<u64>) {
        match declared {
            Some(bytes) => self.outcome.set_request_length(bytes),
            None => self.received = Some(0),
        }
    }

    fn record(&mut self, py: Python<'_>) {
        if std::mem::replace(&mut self.is_recorded, true) {
            return;
        }
        if let Some(received) = self.received.filter(|_| !self.outcome.has_request_length()) {
            self.outcome.set_request_length(received);
        }
        let complete = |line: &mut core::Measurement| {
            let mut sink = AttributeSink::new(&self.options.attributes, line);
            self.head.write(py, &mut sink);
            self.outcome.write(self.started.elapsed(), &mut sink);
            Ok(sink.changed_kind())
        };
        let measurement = self.measurement.bind(py);
        let endpoint = || match &self.head.endpoint {
            Some(endpoint) => endpoint.bind(py).clone().into_any(),
            None => py.None().into_bound(py),
        };
        let target = &self.options.target;
        if let Err(error) = Measurement::finish(measurement, target, endpoint, complete) {
            warn(py, &error, Some(&endpoint()));
        }
    }
}

impl Head {
    fn write(&self, py: Python<'_>, sink: &mut AttributeSink<'_>) {
        let of_route = [(Attribute::Handler, &self.handler), (Attribute::Endpoint, &self.endpoint)];
        for (attribute, value) in of_route {
            if let Some(value) = value.as_ref().and_then(|value| text(value.bind(py)).ok()) {
                sink.text(attribute, &value);
            }
        }
        sink.text(Attribute::Method, self.method);
        if let Some(id) = &self.correlation_id {
            with_header(id.bind(py), |id| sink.correlation_id(id));
        }
        if let Some(addresses) = &self.remote_ip {
            with_header(addresses.bind(py), |addresses| sink.forwarded_for(addresses));
        }
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if !self.is_recorded {
            Python::try_attach(|py| {
                let pending = PyErr::take(py);
                self.outcome.client_gone();
                self.record(py);
                if let Some(error) = pending {
                    error.restore(py);
                }
            });
        }
    }
}

/// Displays the class of an exception, and its message.
struct Exception<'a, 'py>(&'a Bound<'py, PyAny>);

impl std::fmt::Display for Exception<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.get_type().qualname() {
            Ok(class) => f.write_str(&class.to_string_lossy())?,
            Err(_) => f.write_str("an exception")?,
        }
        let message = self.0.str().ok();
        match message.as_ref().and_then(|message| text(message).ok()) {
            Some(message) if !message.is_empty() => write!(f, ": {message}"),
            _ => Ok(()),
        }
    }
}
