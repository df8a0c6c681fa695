//! Begins the recording of requests of ASGI and WSGI applications. Its counterpart for Rust is
//! `middleware/recorder.rs` of the core.

use std::sync::Arc;

use pyo3::exceptions::PyLookupError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::guard::RequestGuard;
use super::headers::{Headers, length};
use super::options::{MEASUREMENT, Options};
use crate::capi::measurement::create;
use crate::items::Items;
use crate::measurement::Measurement;
use crate::timestamp::Stamp;

/// Records the requests of one middleware, by options that do not change.
#[pyclass(frozen, module = "sprockets_influxdb._native")]
pub(crate) struct Recorder(Arc<Options>);

#[pymethods]
impl Recorder {
    #[new]
    fn new(options: &Bound<'_, PyDict>) -> PyResult<Self> {
        Options::read(options).map(|options| Self(Arc::new(options)))
    }

    /// Begins to record a request described by an ASGI scope. `None` if it is not to be recorded;
    /// then [`measurement_in`] puts a measurement there.
    ///
    /// :raises LookupError: without a database
    fn asgi(&self, scope: &Bound<'_, PyDict>) -> PyResult<Option<RequestGuard>> {
        let py = scope.py();
        let Some(measurement) = self.measurement(scope)? else { return Ok(None) };
        // The scope of a websocket has no method. Its handshake is a GET.
        let method = scope.get_item(intern!(py, "method"))?;
        let mut guard = RequestGuard::new(self.0.clone(), measurement, method.as_ref());
        let (mut remote_ip, mut declared) = (None, None);
        if let Some(headers) = scope.get_item(intern!(py, "headers"))? {
            let headers = Headers::of(&headers);
            guard.set_correlation_id(headers.value(&self.0.correlation_id));
            declared = headers.length();
            remote_ip = self.0.remote_ip.as_ref().and_then(|name| headers.value(name));
        }
        if remote_ip.is_none() {
            let client = scope.get_item(intern!(py, "client"))?;
            remote_ip = client.and_then(|client| client.get_item(0).ok()).map(Bound::unbind);
        }
        guard.set_remote_ip(remote_ip);
        guard.set_request_length(declared);
        Ok(Some(guard))
    }

    /// As [`asgi`](Self::asgi), for a WSGI environment.
    fn wsgi<'py>(&self, environ: &Bound<'py, PyDict>) -> PyResult<Option<RequestGuard>> {
        let py = environ.py();
        let Some(measurement) = self.measurement(environ)? else { return Ok(None) };
        let get = |name: &Bound<'py, PyString>| environ.get_item(name);
        let method = get(intern!(py, "REQUEST_METHOD"))?;
        let mut guard = RequestGuard::new(self.0.clone(), measurement, method.as_ref());
        let correlation_id = get(self.0.correlation_id.variable.bind(py))?;
        guard.set_correlation_id(correlation_id.map(Bound::unbind));
        let forwarded = match &self.0.remote_ip {
            Some(header) => get(header.variable.bind(py))?,
            None => None,
        };
        let remote_ip = match forwarded {
            Some(addresses) => Some(addresses),
            None => get(intern!(py, "REMOTE_ADDR"))?,
        };
        guard.set_remote_ip(remote_ip.map(Bound::unbind));
        let content_length = get(intern!(py, "CONTENT_LENGTH"))?;
        let declared = content_length.and_then(|value| length(&value));
        // A body of unknown length is read from the server, unseen.
        if declared.is_some() || get(intern!(py, "HTTP_TRANSFER_ENCODING"))?.is_none() {
            guard.set_request_length(declared);
        }
        Ok(Some(guard))
    }
}

impl Recorder {
    /// Puts a measurement where the handler finds it. `None` if the request is not to be recorded:
    /// the client is disabled, or a middleware further outside records it.
    fn measurement(&self, place: &Bound<'_, PyDict>) -> PyResult<Option<Py<Measurement>>> {
        let py = place.py();
        let outer = place.get_item(intern!(py, MEASUREMENT))?;
        if !self.0.target.is_enabled(py)? || outer.is_some_and(|outer| is_recorded(&outer)) {
            return Ok(None);
        }
        let Options { target, database, measurement, attributes, .. } = &*self.0;
        let database = match database {
            Some(database) => database.clone_ref(py),
            None => target.database(py)?.ok_or_else(no_database)?,
        };
        let (database, name) = (database.into_any(), measurement.clone_ref(py).into_any());
        // A base tag gives way to an attribute of its name.
        let is_free = |name: &str| !attributes.has_name(name);
        let tags = Items::of_base_tags_where(py, target.base_tags(py)?.as_ref(), is_free);
        let measurement = Measurement::of_request(py, database, name, Stamp::now(), tags);
        let measurement = create(py, measurement)?;
        place.set_item(intern!(py, MEASUREMENT), &measurement)?;
        Ok(Some(measurement.unbind()))
    }
}

fn no_database() -> PyErr {
    PyLookupError::new_err(
        "they have no database: name one with the option database, or with INFLUXDB_DATABASE",
    )
}

fn is_recorded(measurement: &Bound<'_, PyAny>) -> bool {
    measurement.cast::<Measurement>().is_ok_and(Measurement::is_open)
}

/// Returns the measurement in an ASGI scope or a WSGI environment. If there is none, puts one there
/// that takes any value and is dropped: a handler can always use its measurement.
#[pyfunction]
pub(crate) fn measurement_in<'py>(place: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = place.py();
    if place.contains(intern!(py, MEASUREMENT))? {
        return place.get_item(intern!(py, MEASUREMENT));
    }
    let measurement = create(py, Measurement::inert(py))?.into_any();
    place.set_item(intern!(py, MEASUREMENT), &measurement)?;
    Ok(measurement)
}
