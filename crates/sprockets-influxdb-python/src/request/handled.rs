//! A request that is being handled, whatever the framework.

use std::sync::Arc;
use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use sprockets_influxdb as core;
use sprockets_influxdb::internal::{AttributeSink, Moment, Outcome, PlainRequest};
use sprockets_influxdb::middleware::Attribute;

use super::headers::with_header;
use super::options::Options;
use crate::capi::cell::Owned;
use crate::capi::read::{self, as_string, ok};
use crate::measurement::Measurement;
use crate::value::text;
use crate::warning::warn;

/// A request that is being handled. It is recorded once: by [`record`](Self::record), or else when
/// it is dropped.
pub(crate) struct Handled {
    options: Arc<Options>,
    measurement: Owned<Measurement>,
    head: Head,
    /// Bytes of the request's body that the application received so far. `None` if they are not
    /// seen.
    received: Option<u64>,
    pub(super) outcome: Outcome,
    started: Moment,
    is_recorded: bool,
}

/// What is known of a request beside its outcome.
struct Head {
    method: &'static str,
    correlation_id: Option<Owned>,
    remote_ip: Option<Owned>,
    route: Option<Route>,
}

/// The template of a route, and the name of its handler.
pub(super) type Route = (Owned<PyString>, Option<Owned<PyString>>);

impl Handled {
    #[inline(always)]
    pub(super) fn new(
        options: Arc<Options>,
        measurement: Owned<Measurement>,
        method: Option<&Bound<'_, PyAny>>,
    ) -> Self {
        let started = Moment::now();
        let method = method.and_then(|method| as_string(method));
        let method = method.map_or("GET", |method| ok(method.to_str()).unwrap_or_default());
        let outcome = Outcome::new(method);
        let method = options.attributes.method(method);
        let head = Head { method, correlation_id: None, remote_ip: None, route: None };
        Self { options, measurement, head, received: None, outcome, started, is_recorded: false }
    }

    pub(super) fn set_correlation_id(&mut self, header: Option<Owned>) {
        self.head.correlation_id = header;
    }

    /// Sets the client's address, or the value of the header that has it.
    pub(super) fn set_remote_ip(&mut self, addresses: Option<Owned>) {
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

    /// The application received a part of the request's body.
    pub(super) fn received(&mut self, bytes: u64) {
        *self.received.get_or_insert(0) += bytes;
    }

    /// Whether a body has a length.
    pub(super) fn is_sized(&self, body: &Bound<'_, PyAny>) -> bool {
        if let Some((known, is_sized)) =
            self.options.body_class.borrow(body.py()).ok().as_deref().and_then(Option::as_ref)
        {
            if known.bind(body.py()).as_type_ptr() == body.get_type_ptr() {
                return *is_sized;
            }
        }
        let class = body.get_type();
        // Looking for what is not there raises an exception, which takes long.
        let is_sized = ok(class.hasattr(intern!(body.py(), "__len__"))).unwrap_or_default();
        let last = self.options.body_class.if_free(body.py());
        let before = last.and_then(|mut last| last.replace((Owned::from(class), is_sized)));
        // Other code may run when it is dropped.
        drop(before);
        is_sized
    }

    pub(super) fn set_route(&mut self, route: Route) {
        self.head.route = Some(route);
    }

    /// Whether nothing else has the options, which have references of PyO3.
    pub(crate) fn has_last_options(&self) -> bool {
        Arc::strong_count(&self.options) == 1
    }

    /// For the garbage collector.
    pub(crate) fn visited(&self) -> &Py<Measurement> {
        self.measurement.visited()
    }

    /// The time since the request began.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The application passes this part of the response's body to the server. The server sends the
    /// head before it.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.outcome.sent(bytes);
        self.outcome.begin(|| self.started.elapsed());
    }

    /// The application has passed the whole response to the server.
    pub(super) fn complete(&mut self) {
        let now = self.elapsed();
        self.outcome.begin(|| now);
        self.outcome.end(now);
    }

    /// The handler failed. The first failure is recorded.
    pub(super) fn fail(&mut self, error: &Bound<'_, PyAny>) {
        // PyO3 then releases at once what is raised meanwhile.
        Python::attach(|_| self.outcome.fail(Exception(error)));
    }

    /// The request has ended.
    pub(super) fn record(&mut self, py: Python<'_>) {
        if std::mem::replace(&mut self.is_recorded, true) {
            return;
        }
        if let Some(received) = self.received.filter(|_| !self.outcome.has_request_length()) {
            self.outcome.set_request_length(received);
        }
        if !self.record_plain(py).unwrap_or(false) {
            // PyO3 then releases at once what is raised meanwhile.
            Python::attach(|py| self.record_measurement(py));
        }
    }

    /// Records the request with what its handler has set.
    #[cold]
    fn record_measurement(&self, py: Python<'_>) {
        let complete = |line: &mut core::Measurement| {
            let mut sink = AttributeSink::new(&self.options.attributes, line);
            self.head.write(py, &mut sink);
            self.outcome.write(self.elapsed(), &mut sink);
            Ok(sink.changed_kind())
        };
        let measurement = self.measurement.bind(py);
        let endpoint = || match &self.head.route {
            Some((endpoint, _)) => endpoint.bind(py).clone().into_any(),
            None => py.None().into_bound(py),
        };
        let target = &self.options.target;
        if let Err(error) = Measurement::finish(measurement, target, endpoint, complete) {
            warn(py, &error, Some(&endpoint()));
        }
    }

    /// Records the request, if its handler has not used the measurement. Returns whether it did.
    #[inline(always)]
    fn record_plain(&self, py: Python<'_>) -> Option<bool> {
        let Options { target, database, measurement, attributes, .. } = &*self.options;
        let default = match database {
            Some(_) => None,
            None => ok(target.database(py))?,
        };
        let (database, database_text) = match database {
            Some(database) => (database.object.bind(py), database.utf8.as_deref()?),
            None => (default.as_ref()?, ok(default.as_ref()?.to_str())?),
        };
        let own = self.measurement.bind(py);
        let nanoseconds = Measurement::untouched(own, database, measurement.object.bind(py))?;
        let (endpoint, handler) = match &self.head.route {
            Some((endpoint, handler)) => (Some(endpoint), handler.as_ref()),
            None => (None, None),
        };
        let request = PlainRequest {
            database: database_text,
            name: measurement.utf8.as_deref()?,
            handler: text_of(py, handler)?,
            endpoint: text_of(py, endpoint)?,
            method: self.head.method,
            remote_ip: header_text(py, self.head.remote_ip.as_ref())?,
            correlation_id: header_text(py, self.head.correlation_id.as_ref())?,
            nanoseconds,
        };
        let is_recorded = target.if_ready(py, |client| {
            Some(client.record_plain(py, attributes, &request, &self.outcome, || self.elapsed()))
        })?;
        if is_recorded {
            Measurement::end(own).ok()?;
        }
        Some(is_recorded)
    }
}

/// `None` for a text that is not UTF-8.
#[inline(always)]
fn text_of<'a>(py: Python<'a>, text: Option<&'a Owned<PyString>>) -> Option<&'a str> {
    text.map_or(Some(""), |text| ok(text.bind(py).to_str()))
}

/// As [`text_of`], for the value of a header: bytes in ASGI, a string in WSGI.
#[inline(always)]
fn header_text<'a>(py: Python<'a>, value: Option<&'a Owned>) -> Option<&'a str> {
    let Some(value) = value.map(|value| value.bind(py)) else { return Some("") };
    match value.cast_exact::<PyString>() {
        Ok(text) => ok(text.to_str()),
        Err(_) => match read::bytes(value) {
            Some(bytes) => std::str::from_utf8(bytes).ok(),
            None => ok(value.cast::<PyString>().ok()?.to_str()),
        },
    }
}

impl Head {
    fn write(&self, py: Python<'_>, sink: &mut AttributeSink<'_>) {
        if let Some((endpoint, handler)) = &self.route {
            let handler = (Attribute::Handler, handler.as_ref());
            for (attribute, value) in [handler, (Attribute::Endpoint, Some(endpoint))] {
                if let Some(value) = value.and_then(|value| text(value.bind(py)).ok()) {
                    sink.text(attribute, &value);
                }
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

impl Drop for Handled {
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
