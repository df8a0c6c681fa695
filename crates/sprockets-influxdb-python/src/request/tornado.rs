//! Requests of Tornado applications: the mixin calls this once, at the end of a request.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyType};
use sprockets_influxdb as core;
use sprockets_influxdb::internal::{
    self, AttributeSink, Attributes, Outcome, PlainRequest, unique_stamp_before,
};
use sprockets_influxdb::middleware::{Attribute, RequestOptions};

use super::options::{lock, read_target};
use crate::capi::cell::Owned;
use crate::capi::class::native;
use crate::capi::measurement::create;
use crate::items::Items;
use crate::measurement::Measurement;
use crate::target::Target;
use crate::timestamp::Stamp;
use crate::value::{text, value_error, with_text};
use crate::warning::warn;

/// Records the requests of a Tornado application, with the attributes that release 2.2.1 records.
#[pyclass(frozen, module = "sprockets_influxdb._native")]
pub(crate) struct TornadoRecorder {
    target: Target,
    attributes: Attributes,
    /// Without those that the handler's measurement has from the beginning. A handler may remove
    /// them, or replace the measurement.
    final_attributes: Attributes,
    routes: Mutex<Arc<Routes>>,
}

/// What a request's route is found by.
#[derive(Default)]
struct Routes {
    rules: Vec<(Py<PyList>, Py<PyList>)>,
    /// Name and endpoint by class.
    handlers: Option<Py<PyDict>>,
}

/// The setting of an application that names the database of its requests.
const REQUEST_DATABASE: &str = "sprockets_influxdb.database";

/// The database, and the measurement's name.
type Place<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Handler, endpoint, and method. The method is `None` if the handler does not support it.
type Route<'py> = (Bound<'py, PyString>, Bound<'py, PyString>, Option<Bound<'py, PyString>>);

/// What became of a request: method, status code, whether it failed, bytes and seconds of the
/// response, address and correlation id. The status code is `None` if there was no response.
type End<'py> = (
    Bound<'py, PyString>,
    Option<u16>,
    Option<Bound<'py, PyAny>>,
    u64,
    f64,
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
);

#[pymethods]
impl TornadoRecorder {
    /// By default, address and correlation id are tags, as in release 2.2.1. The environment can
    /// make fields of them.
    ///
    /// :raises ValueError: for a variable that is not a boolean, and for another client than a
    ///     ``Client``
    #[new]
    fn new(reads_environment: bool, client: &Bound<'_, PyAny>) -> PyResult<Self> {
        let target = read_target(client)?;
        let options = match reads_environment {
            true => internal::options_from_env(true).map_err(value_error)?,
            false => RequestOptions::new().tag(Attribute::RemoteIp).tag(Attribute::CorrelationId),
        };
        let unknown_to_2_2_1 =
            [Attribute::RequestLength, Attribute::TimeToFirstByte, Attribute::Exception];
        let options = options.leave_out(unknown_to_2_2_1);
        let attributes = internal::attributes(&options);
        let initial = [Attribute::Handler, Attribute::Endpoint, Attribute::Method];
        let final_attributes = internal::attributes(&options.leave_out(initial));
        let routes = Mutex::default();
        Ok(Self { target, attributes, final_attributes, routes })
    }

    /// Sets the handlers to which a single route leads, by their class: name and endpoint.
    ///
    /// :param rules: the lists of rules that this follows from, each with a copy of it
    fn set_routes(&self, rules: Vec<(Py<PyList>, Py<PyList>)>, handlers: Py<PyDict>) {
        *lock(&self.routes) = Arc::new(Routes { rules, handlers: Some(handlers) });
    }

    /// Whether measurements are recorded.
    fn is_enabled(&self, py: Python<'_>) -> PyResult<bool> {
        self.target.is_enabled(py)
    }

    /// The database of measurements that name none. `None` if there is no default one.
    fn database<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.target.database(py)
    }

    /// The measurement for the handler of a request that began that many seconds ago. If the client
    /// is disabled, it is not recorded.
    fn measurement<'py>(
        &self,
        py: Python<'py>,
        seconds: f64,
        place: Place<'_>,
        route: Route<'_>,
    ) -> PyResult<Bound<'py, Measurement>> {
        if !self.target.is_enabled(py)? {
            return create(py, |own| own.begin_unrecorded(py));
        }
        let (database, name) = place;
        let (handler, endpoint, method) = route;
        let is_free = |name: &str| !self.attributes.has_name(name);
        let base = self.target.base_tags(py)?;
        let stamp = Stamp::at(unique_stamp_before(duration(seconds)));
        let tags = Items::of_base_tags_where(base.as_ref(), is_free);
        let measurement = create(py, |own| {
            own.begin_request(Owned::new(&database), Owned::new(&name), stamp);
            own.tags = tags;
        })?;
        let unknown = || PyString::intern(py, self.attributes.unknown_method());
        for (attribute, value) in [
            (Attribute::Handler, handler),
            (Attribute::Endpoint, endpoint),
            (Attribute::Method, method.unwrap_or_else(unknown)),
        ] {
            if let Some(name) = self.attributes.name(attribute) {
                let name = PyString::intern(py, name);
                native(&measurement).borrow_mut(py)?.set_tag(name.as_any(), value.as_any())?;
            }
        }
        Ok(measurement)
    }

    /// Records a request with its measurement.
    fn complete(&self, measurement: &Bound<'_, Measurement>, end: End<'_>) -> PyResult<()> {
        let complete = |line: &mut core::Measurement| {
            let mut sink = AttributeSink::new(&self.final_attributes, line);
            write_end(&mut sink, end)?;
            Ok(sink.changed_kind())
        };
        let endpoint = || {
            let name = self.attributes.name(Attribute::Endpoint);
            let tags = measurement.getattr("tags").ok();
            let endpoint = tags.zip(name).and_then(|(tags, name)| tags.get_item(name).ok());
            endpoint.unwrap_or_else(|| measurement.py().None().into_bound(measurement.py()))
        };
        Measurement::finish(measurement, &self.target, endpoint, complete)
    }
}

impl TornadoRecorder {
    /// Name and endpoint of a handler's class, if a single route leads to it. `None` too if the
    /// rules have changed.
    fn route<'py>(&self, class: &Bound<'py, PyType>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = class.py();
        // Not under the lock: comparing may run other code.
        let routes = lock(&self.routes).clone();
        for (rules, known) in &routes.rules {
            // Rules compare by identity, in nanoseconds.
            if !rules.bind(py).eq(known)? {
                return Ok(None);
            }
        }
        routes.handlers.as_ref().map_or(Ok(None), |handlers| handlers.bind(py).get_item(class))
    }

    /// Records a finished request. Returns false if it is for the caller to record.
    fn record_plain(
        &self,
        handler: &Bound<'_, PyAny>,
        application: &Bound<'_, PyAny>,
        correlation_id: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let py = handler.py();
        let status_code: u16 = handler.getattr(intern!(py, "_status_code"))?.extract()?;
        // The handshake of a websocket is only the beginning.
        let settings = application.getattr(intern!(py, "settings"))?;
        let settings = settings.cast::<PyDict>()?;
        let class = handler.get_type();
        let default_class = settings.get_item(intern!(py, "default_handler_class"))?;
        let is_routed = status_code >= 200 && default_class.is_none_or(|it| !it.is(&class));
        let route = if is_routed { self.route(&class)? } else { None };
        let Some(route) = route else { return Ok(false) };
        let (name, endpoint): (Bound<'_, PyString>, Bound<'_, PyString>) = route.extract()?;
        let request = handler.getattr(intern!(py, "request"))?;
        let method = request.getattr(intern!(py, "method"))?;
        let is_supported = handler.getattr(intern!(py, "SUPPORTED_METHODS"))?.contains(&method)?;
        let method = method.cast::<PyString>()?;
        let remote_ip = request.getattr(intern!(py, "remote_ip"))?;
        let started: f64 = request.getattr(intern!(py, "_start_time"))?.extract()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let elapsed = duration(now.as_secs_f64() - started);
        let database = match settings.get_item(intern!(py, REQUEST_DATABASE))? {
            Some(database) => Some(database.cast_into::<PyString>()?),
            None => self.target.database(py)?,
        };
        let service = settings.get_item(intern!(py, "service"))?;
        let service = service.as_ref().map_or(Ok("request"), |name| text_of(name))?;
        let Some(database) = database else { return Ok(false) };
        let mut outcome = Outcome::new(method.to_str()?);
        outcome.respond(status_code, elapsed);
        if !matches!(status_code, 204 | 304) {
            let Some(length) = content_length(handler)? else { return Ok(false) };
            outcome.sent(length);
        }
        let plain = PlainRequest {
            database: database.to_str()?,
            name: service,
            handler: name.to_str()?,
            endpoint: endpoint.to_str()?,
            method: match is_supported {
                true => method.to_str()?,
                false => self.attributes.unknown_method(),
            },
            remote_ip: text_of(&remote_ip)?,
            correlation_id: text_of(correlation_id)?,
            nanoseconds: unique_stamp_before(elapsed),
        };
        if plain.database.is_empty() {
            return Ok(false);
        }
        if !self.target.is_enabled(py)? {
            return Ok(true);
        }
        let recorded = self.target.if_ready(py, |client| {
            Some(client.record_plain(py, &self.attributes, &plain, &outcome, || elapsed))
        });
        Ok(recorded.unwrap_or(false))
    }
}

/// Records a request that is finished, if its handler has not used its measurement, and wrote the
/// response in one piece. Returns false if it is for the caller to record.
#[pyfunction]
pub(crate) fn finish_request(
    handler: &Bound<'_, PyAny>,
    correlation_id: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let py = handler.py();
    if !handler.getattr(intern!(py, "_influxdb_state"))?.is_none() {
        return Ok(false);
    }
    let application = handler.getattr(intern!(py, "application"))?;
    let recorder = application.getattr(intern!(py, "_sprockets_influxdb_recorder"))?;
    recorder.cast::<TornadoRecorder>()?.get().record_plain(handler, &application, correlation_id)
}

/// The response's header `Content-Length`.
fn content_length(handler: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
    let py = handler.py();
    let headers = handler.getattr(intern!(py, "_headers"))?.getattr(intern!(py, "_as_list"))?;
    let values = headers.cast::<PyDict>()?.get_item(intern!(py, "Content-Length"))?;
    let Some(values) = values else { return Ok(None) };
    let value = values.cast::<PyList>()?.get_item(0)?;
    Ok(value.cast::<PyString>()?.to_str()?.parse().ok())
}

/// `None` has no text.
fn text_of<'a>(text: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    if text.is_none() { Ok("") } else { text.cast::<PyString>()?.to_str() }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn write_end(sink: &mut AttributeSink<'_>, end: End<'_>) -> PyResult<()> {
    let (method, status_code, error, content_length, seconds, remote_ip, correlation_id) = end;
    let duration = duration(seconds);
    let mut outcome = Outcome::new(&text(&method)?);
    match (status_code, error) {
        (Some(status_code), _) => outcome.respond(status_code, duration),
        (None, Some(error)) => outcome.fail(error),
        (None, None) => outcome.client_gone(),
    }
    outcome.sent(content_length);
    outcome.write(duration, sink);
    for (attribute, value) in
        [(Attribute::RemoteIp, remote_ip), (Attribute::CorrelationId, correlation_id)]
    {
        if !value.is_none() {
            if let Err(error) = with_text(&value, |text| sink.text(attribute, text)) {
                warn(value.py(), &error, None);
            }
        }
    }
    Ok(())
}
