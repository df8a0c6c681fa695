//! Requests under way, as the middlewares for ASGI, WSGI and Django tell of them. What is recorded, and by which names, is
//! the core's `middleware::Vocabulary`; what the handler sets itself in the measurement wins.

use std::fs;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use sprockets_influxdb as core;
use sprockets_influxdb::middleware::{
    CLIENT_CLOSED_REQUEST, Names, Property, UNMATCHED, Vocabulary, cut,
};

use crate::client::{add, is_enabled};
use crate::measurement::Measurement;
use crate::value::text;

/// Where a request's handler finds its measurement: in an ASGI scope, or a WSGI environment.
pub(crate) const MEASUREMENT: &str = "sprockets_influxdb.measurement";

/// Begins with requests: what a middleware is told once.
#[pyclass(frozen, module = "sprockets_influxdb._native")]
pub(crate) struct Recorder {
    database: Py<PyString>,
    name: Py<PyString>,
    vocabulary: Vocabulary,
    correlation_id: Header,
    remote_ip: Option<Header>,
}

/// The name of a header, as ASGI and WSGI have it.
struct Header {
    name: String,
    variable: Py<PyString>,
}

impl Header {
    fn new(py: Python<'_>, name: &str) -> Self {
        let variable = format!("HTTP_{}", name.to_ascii_uppercase().replace('-', "_"));
        Self { name: name.to_ascii_lowercase(), variable: PyString::new(py, &variable).unbind() }
    }
}

#[pymethods]
impl Recorder {
    #[new]
    #[pyo3(signature = (database, measurement, names, leave_out, tags, correlation_id_header, remote_ip_header))]
    fn new(
        database: &Bound<'_, PyString>,
        measurement: &Bound<'_, PyString>,
        names: &str,
        leave_out: Vec<String>,
        tags: Vec<String>,
        correlation_id_header: &str,
        remote_ip_header: Option<&str>,
    ) -> PyResult<Self> {
        let py = database.py();
        let names = match names {
            "sprockets" => Names::Sprockets,
            "opentelemetry" => Names::OpenTelemetry,
            _ => {
                let message =
                    format!("names is {names:?}: expected \"sprockets\" or \"opentelemetry\"");
                return Err(PyValueError::new_err(message));
            }
        };
        let mut vocabulary = Vocabulary::new(names);
        for name in leave_out {
            vocabulary.leave_out(property("leave_out", &name)?);
        }
        for name in tags {
            vocabulary.make_tag(property("tags", &name)?);
        }
        Ok(Self {
            database: database.clone().unbind(),
            name: measurement.clone().unbind(),
            vocabulary,
            correlation_id: Header::new(py, correlation_id_header),
            remote_ip: remote_ip_header.map(|name| Header::new(py, name)),
        })
    }

    /// Begins with a request that ASGI describes; `None` if it is not to be recorded.
    fn asgi(this: &Bound<'_, Self>, scope: &Bound<'_, PyDict>) -> PyResult<Option<Request>> {
        let py = this.py();
        let Some(mut request) = Self::begin(this, scope)? else { return Ok(None) };
        let own = this.get();
        let method = scope.get_item(intern!(py, "method"))?;
        request.method(&own.vocabulary, method.as_ref());
        if let Some(headers) = scope.get_item(intern!(py, "headers"))? {
            let headers = Headers::of(&headers);
            request.correlation_id = headers.value(&own.correlation_id);
            request.remote_ip = own.remote_ip.as_ref().and_then(|name| headers.value(name));
            request.progress.request_length = headers.length();
        }
        if request.remote_ip.is_none() {
            let client = scope.get_item(intern!(py, "client"))?;
            let host = client.and_then(|client| client.get_item(0).ok());
            request.remote_ip = host.map(Bound::unbind);
        }
        Ok(Some(request))
    }

    /// Begins with a request that WSGI describes; `None` if it is not to be recorded.
    fn wsgi(this: &Bound<'_, Self>, environ: &Bound<'_, PyDict>) -> PyResult<Option<Request>> {
        let py = this.py();
        let Some(mut request) = Self::begin(this, environ)? else { return Ok(None) };
        let own = this.get();
        let method = environ.get_item(intern!(py, "REQUEST_METHOD"))?;
        request.method(&own.vocabulary, method.as_ref());
        request.correlation_id = environ.get_item(&own.correlation_id.variable)?.map(Bound::unbind);
        let remote_ip = match &own.remote_ip {
            Some(header) => environ.get_item(&header.variable)?,
            None => None,
        };
        let remote_ip = match remote_ip {
            Some(addresses) => Some(addresses),
            None => environ.get_item(intern!(py, "REMOTE_ADDR"))?,
        };
        request.remote_ip = remote_ip.map(Bound::unbind);
        if let Some(length) = environ.get_item(intern!(py, "CONTENT_LENGTH"))? {
            request.progress.request_length =
                with_header(&length, |text| text.trim().parse().ok()).flatten();
        }
        Ok(Some(request))
    }
}

impl Recorder {
    fn begin(this: &Bound<'_, Self>, place: &Bound<'_, PyDict>) -> PyResult<Option<Request>> {
        let (py, own) = (this.py(), this.get());
        // Who comes first records it, where there are two of these middlewares.
        if !is_enabled(py)? || place.contains(intern!(py, MEASUREMENT))? {
            return Ok(None);
        }
        let is_free = |name: &str| {
            Property::named(name).and_then(|property| own.vocabulary.name(property)) != Some(name)
        };
        let measurement = Measurement::of_request(py, &own.database, &own.name, is_free);
        let measurement = Bound::new(py, measurement)?;
        place.set_item(intern!(py, MEASUREMENT), &measurement)?;
        Ok(Some(Request {
            recorder: this.clone().unbind(),
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
        }))
    }
}

fn property(option: &str, name: &str) -> PyResult<Property> {
    Property::named(name).ok_or_else(|| {
        let names: Vec<_> = Property::names().collect();
        PyValueError::new_err(format!(
            "{option} has {name:?}: expected some of {}",
            names.join(", ")
        ))
    })
}

/// The headers of an ASGI scope: pairs of bytes, the names in lower case.
struct Headers<'a, 'py>(Option<&'a Bound<'py, PyList>>);

impl<'a, 'py> Headers<'a, 'py> {
    fn of(headers: &'a Bound<'py, PyAny>) -> Self {
        Self(headers.cast::<PyList>().ok())
    }

    fn find(&self, wanted: &[u8]) -> Option<Bound<'py, PyAny>> {
        self.0?.iter().find_map(|header| {
            let (name, value) = match header.cast::<PyTuple>() {
                Ok(pair) => (pair.get_item(0).ok()?, pair.get_item(1).ok()?),
                Err(_) => (header.get_item(0).ok()?, header.get_item(1).ok()?),
            };
            (name.cast::<PyBytes>().ok()?.as_bytes() == wanted).then_some(value)
        })
    }

    fn value(&self, header: &Header) -> Option<Py<PyAny>> {
        self.find(header.name.as_bytes()).map(Bound::unbind)
    }

    fn length(&self) -> Option<u64> {
        with_header(&self.find(b"content-length")?, |text| text.trim().parse().ok()).flatten()
    }
}

/// Calls `take` with a header's text. ASGI has bytes, WSGI the same bytes as characters.
fn with_header<T>(value: &Bound<'_, PyAny>, take: impl FnOnce(&str) -> T) -> Option<T> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Some(take(&String::from_utf8_lossy(bytes.as_bytes())));
    }
    let text = text(value.cast::<PyString>().ok()?).ok()?;
    if text.is_ascii() {
        return Some(take(&text));
    }
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    match bytes.as_deref().map(String::from_utf8_lossy) {
        Some(text) => Some(take(&text)),
        None => Some(take(&text)),
    }
}

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
    /// since the request did, and the bytes of its body.
    #[pyo3(signature = (status, began, ended, content_length))]
    fn responded(
        &mut self,
        status: &Bound<'_, PyAny>,
        began: f64,
        ended: Option<f64>,
        content_length: u64,
    ) {
        let seconds = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let progress = &mut self.progress;
        progress.status_code = Some(status.extract().unwrap_or(500));
        progress.began = Some(seconds(began));
        progress.ended = progress.ended.or(ended.map(seconds));
        progress.content_length += content_length;
    }

    /// The request has ended. Never raises.
    fn end(this: &Bound<'_, Self>) {
        let Ok(mut request) = this.try_borrow_mut() else { return };
        request.record(this.py());
    }
}

impl Request {
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

/// A message of ASGI.
struct Message<'a, 'py> {
    dict: &'a Bound<'py, PyDict>,
    kind: Bound<'py, PyString>,
}

impl<'a, 'py> Message<'a, 'py> {
    fn of(message: &'a Bound<'py, PyAny>) -> Option<Self> {
        let dict = message.cast::<PyDict>().ok()?;
        let kind = dict.get_item(intern!(dict.py(), "type")).ok()??;
        Some(Self { dict, kind: kind.cast_into().ok()? })
    }

    fn get(&self, name: &Bound<'py, PyString>) -> Option<Bound<'py, PyAny>> {
        self.dict.get_item(name).ok()?.filter(|value| !value.is_none())
    }

    fn flag(&self, name: &Bound<'py, PyString>) -> bool {
        let value = self.get(name);
        value.is_some_and(|value| value.is_truthy().unwrap_or_default())
    }

    fn number(&self, name: &Bound<'py, PyString>) -> Option<u16> {
        self.get(name)?.extract().ok()
    }

    /// Bytes of the body, the websocket's message or the file that it carries.
    fn length(&self) -> u64 {
        let py = self.dict.py();
        if let Some(bytes) =
            self.get(intern!(py, "body")).or_else(|| self.get(intern!(py, "bytes")))
        {
            return bytes.len().unwrap_or_default() as u64;
        }
        if let Some(text) = self.get(intern!(py, "text")) {
            let text = text.cast::<PyString>().ok();
            return text.and_then(|text| Some(text.to_str().ok()?.len())).unwrap_or_default()
                as u64;
        }
        if let Some(count) = self.get(intern!(py, "count")) {
            return count.extract().unwrap_or_default();
        }
        let path = self.get(intern!(py, "path")).and_then(|path| path.extract::<String>().ok());
        path.and_then(|path| fs::metadata(path).ok()).map_or(0, |file| file.len())
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
