//! Requests under way, as the middlewares for ASGI, WSGI and Django tell of them. What is recorded, and by which names, is
//! the core's `middleware::Vocabulary`; what the handler sets itself in the measurement wins.

mod asgi;
mod headers;
mod recorder;

use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use sprockets_influxdb as core;
use sprockets_influxdb::middleware::{CLIENT_CLOSED_REQUEST, Property, UNMATCHED, Vocabulary, cut};

use crate::client::add;
use crate::measurement::Measurement;
use crate::value::text;
use asgi::Message;
use headers::with_header;
pub(crate) use recorder::Recorder;

/// Where a request's handler finds its measurement: in an ASGI scope, or a WSGI environment.
pub(crate) const MEASUREMENT: &str = "sprockets_influxdb.measurement";

/// A request under way. It is recorded once, when it is ended, or else when nobody has it any more.
#[pyclass(module = "sprockets_influxdb._native")]
pub(crate) struct Request {
    recorder: Py<Recorder>,
    /// For the handler.
    #[pyo3(get)]
    measurement: Py<Measurement>,
    method: Option<&'static str>,
    is_head: bool,
    correlation_id: Option<Py<PyAny>>,
    remote_ip: Option<Py<PyAny>>,
    endpoint: Option<Py<PyString>>,
    handler: Option<Py<PyString>>,
    progress: Progress,
    started: Instant,
    is_recorded: bool,
}

/// What became of a request so far.
#[derive(Default)]
struct Progress {
    status_code: Option<u16>,
    /// When the response began, from where on nothing else can become of it.
    began: Option<Duration>,
    /// When its last byte was sent.
    ended: Option<Duration>,
    content_length: u64,
    request_length: Option<u64>,
    received: u64,
    is_given_up: bool,
    exception: Option<String>,
}

impl Progress {
    fn status_code(&self, is_head: bool) -> u16 {
        match self.status_code {
            Some(status_code) if self.began.is_some() => status_code,
            _ if self.exception.is_some() && !self.is_given_up => 500,
            // Of its response, there may be nothing to be sent.
            Some(status_code) if is_head => status_code,
            _ if self.is_given_up => CLIENT_CLOSED_REQUEST,
            _ => 500,
        }
    }
}

#[pymethods]
impl Request {
    /// The template of the route that matched, and who handles it.
    #[pyo3(signature = (endpoint, handler))]
    fn route(&mut self, endpoint: Py<PyString>, handler: Option<Py<PyString>>) {
        (self.endpoint, self.handler) = (Some(endpoint), handler);
    }

    /// The application sends this message of ASGI.
    fn sends(&mut self, message: &Bound<'_, PyAny>) {
        let Some(message) = Message::of(message) else { return };
        // What is sent to a client that was gone before is not sent.
        if self.progress.is_given_up && self.progress.began.is_none() {
            return;
        }
        match message.kind.to_str().unwrap_or_default() {
            "http.response.body" | "http.response.zerocopysend" | "http.response.pathsend" => {
                self.progress.content_length += message.length();
                if !message.flag(intern!(message.dict.py(), "more_body")) {
                    self.end_body();
                }
            }
            "http.response.start" | "websocket.http.response.start" => {
                self.begin(message.number(intern!(message.dict.py(), "status")).unwrap_or(500));
            }
            "http.response.trailers" => self.end_body(),
            "websocket.accept" => self.begin(101),
            "websocket.close" if self.progress.began.is_none() => self.begin(403),
            "websocket.send" | "websocket.http.response.body" => {
                self.progress.content_length += message.length();
            }
            _ => {}
        }
    }

    /// The server could not send that message, as the client is gone.
    fn refused(&mut self, message: &Bound<'_, PyAny>) {
        let Some(message) = Message::of(message) else { return };
        let kind = message.kind.to_str().unwrap_or_default();
        if matches!(
            kind,
            "http.response.start" | "websocket.http.response.start" | "websocket.accept"
        ) {
            self.progress.began = None;
            self.give_up();
        } else {
            self.progress.content_length =
                self.progress.content_length.saturating_sub(message.length());
        }
    }

    /// The application has got this message of ASGI.
    fn received(&mut self, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(message) = Message::of(message) else { return Ok(()) };
        match message.kind.to_str()? {
            "http.disconnect" | "websocket.disconnect" if self.progress.began.is_none() => {
                self.give_up()
            }
            "http.request" => {
                self.progress.received += message.length();
                if !message.flag(intern!(message.dict.py(), "more_body")) {
                    self.progress.request_length.get_or_insert(self.progress.received);
                }
            }
            "websocket.receive" => {
                self.progress.received += message.length();
                self.progress.request_length = Some(self.progress.received);
            }
            _ => {}
        }
        Ok(())
    }

    /// The status that the response is to begin with: a number, or WSGI's text that begins with it.
    fn respond(&mut self, status: &Bound<'_, PyAny>) {
        let number = || {
            let text = status.cast::<PyString>().ok()?.to_str().ok()?;
            text.get(..3)?.parse().ok()
        };
        self.progress.status_code = status.extract().ok().or_else(number);
    }

    /// This part of the response's body is handed to the server, which sends the head before it.
    fn sent(&mut self, data: &Bound<'_, PyAny>) {
        let length = data.len().unwrap_or_default();
        if length > 0 {
            self.sent_length(length as u64);
        }
    }

    /// As [`sent`](Self::sent), of so many bytes.
    fn sent_length(&mut self, length: u64) {
        self.progress.content_length += length;
        self.progress.began.get_or_insert_with(|| self.started.elapsed());
    }

    /// All of the response is handed to the server.
    fn complete(&mut self) {
        self.progress.began.get_or_insert_with(|| self.started.elapsed());
        self.end_body();
    }

    /// Something went wrong, of which the first counts.
    fn fail(&mut self, error: &Bound<'_, PyAny>) {
        if self.progress.exception.is_none() {
            self.progress.exception = Some(described(error));
        }
    }

    /// The client is gone.
    fn give_up(&mut self) {
        if self.progress.exception.is_none() {
            self.progress.is_given_up = true;
        }
    }

    /// As [`sends`](Self::sends), of a response whose messages were looked at already: when it began and ended, in seconds
    /// since the request did, and the bytes of its body; and the [`end`](Self::end).
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
            let progress = &mut request.progress;
            progress.status_code = Some(status.extract().unwrap_or(500));
            progress.began = Some(seconds(began));
            progress.ended = progress.ended.or(ended.map(seconds));
            progress.content_length += content_length;
        }
        if let Some((endpoint, handler)) = route {
            (request.endpoint, request.handler) = (Some(endpoint), handler);
        }
        request.record(this.py());
    }

    /// The request has ended. Never raises.
    fn end(this: &Bound<'_, Self>) {
        let Ok(mut request) = this.try_borrow_mut() else { return };
        request.record(this.py());
    }
}

impl Request {
    fn new(recorder: &Bound<'_, Recorder>, measurement: Bound<'_, Measurement>) -> Self {
        Self {
            recorder: recorder.clone().unbind(),
            measurement: measurement.unbind(),
            method: None,
            is_head: false,
            correlation_id: None,
            remote_ip: None,
            endpoint: None,
            handler: None,
            progress: Progress::default(),
            started: Instant::now(),
            is_recorded: false,
        }
    }

    fn method(&mut self, vocabulary: &Vocabulary, method: Option<&Bound<'_, PyAny>>) {
        let method = method.and_then(|method| method.cast::<PyString>().ok());
        // A websocket's scope has none: it begins with this one.
        let method = method.map_or("GET", |method| method.to_str().unwrap_or_default());
        self.is_head = method == "HEAD";
        self.method = Some(vocabulary.method(method));
    }

    fn begin(&mut self, status_code: u16) {
        self.progress.status_code = Some(status_code);
        self.progress.began = Some(self.started.elapsed());
    }

    fn end_body(&mut self) {
        self.progress.ended = Some(self.started.elapsed());
    }

    fn record(&mut self, py: Python<'_>) {
        if std::mem::replace(&mut self.is_recorded, true) {
            return;
        }
        let measurement = self.measurement.bind(py);
        let own = |line: &mut core::Measurement| self.describe(py, line);
        if let Err(error) = Measurement::with_line_on(measurement, own, |line| add(py, line)) {
            warn(py, error);
        }
    }

    /// Writes what is known of the request.
    fn describe(&self, py: Python<'_>, line: &mut core::Measurement) {
        let Self { progress, recorder, .. } = self;
        let vocabulary = &recorder.get().vocabulary;
        let duration = progress.ended.unwrap_or_else(|| self.started.elapsed());
        let mut set = |property, text: &str| {
            let Some(name) = vocabulary.name(property).filter(|_| !text.is_empty()) else { return };
            if vocabulary.is_tag(property) {
                line.set_tag(name, cut(text));
            } else {
                line.set_field(name, cut(text));
            }
        };
        let handler = self.handler.as_ref().and_then(|handler| text(handler.bind(py)).ok());
        set(Property::Handler, handler.as_deref().unwrap_or_default());
        let endpoint = self.endpoint.as_ref().and_then(|endpoint| text(endpoint.bind(py)).ok());
        set(Property::Endpoint, endpoint.as_deref().unwrap_or(UNMATCHED));
        set(Property::Method, self.method.unwrap_or_default());
        set(Property::StatusCode, &progress.status_code(self.is_head).to_string());
        if let Some(id) = &self.correlation_id {
            with_header(id.bind(py), |id| set(Property::CorrelationId, id));
        }
        if let Some(addresses) = &self.remote_ip {
            let first = |text: &str| text.split(',').next().unwrap_or_default().trim().to_owned();
            set(Property::RemoteIp, &with_header(addresses.bind(py), first).unwrap_or_default());
        }
        set(Property::Exception, progress.exception.as_deref().unwrap_or_default());
        let mut field = |property, value: core::FieldValue<'_>| {
            if let Some(name) = vocabulary.name(property) {
                line.set_field(name, value);
            }
        };
        field(
            Property::ContentLength,
            if self.is_head { 0 } else { progress.content_length }.into(),
        );
        if let Some(length) = progress.request_length {
            field(Property::RequestLength, length.into());
        }
        field(Property::Duration, duration.as_secs_f64().into());
        if let Some(began) = progress.began {
            field(Property::TimeToFirstByte, began.as_secs_f64().into());
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.is_recorded {
            Python::try_attach(|py| {
                let pending = PyErr::take(py);
                self.give_up();
                self.record(py);
                if let Some(error) = pending {
                    error.restore(py);
                }
            });
        }
    }
}

/// The class of an exception, and what it says.
fn described(error: &Bound<'_, PyAny>) -> String {
    let class = error.get_type().qualname();
    let class = class
        .map_or_else(|_| "an exception".to_owned(), |name| name.to_string_lossy().into_owned());
    let words = error.str().ok().and_then(|words| Some(text(&words).ok()?.into_owned()));
    match words.filter(|words| !words.is_empty()) {
        Some(words) => format!("{class}: {words}"),
        None => class,
    }
}

/// Has the log say so, in its measure.
#[cold]
fn warn(py: Python<'_>, error: PyErr) {
    let warned = py
        .import("sprockets_influxdb._requests")
        .and_then(|module| module.call_method1("warn", (error.value(py),)));
    if let Err(error) = warned {
        error.write_unraisable(py, None);
    }
}
