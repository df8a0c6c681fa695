//! Begins with requests, as a middleware was told once.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use sprockets_influxdb::internal::Vocabulary;
use sprockets_influxdb::middleware::{Names, Property};

use super::headers::{Header, Headers, with_header};
use super::{MEASUREMENT, Request};
use crate::client::is_enabled;
use crate::measurement::Measurement;

/// Begins with requests: what a middleware is told once.
#[pyclass(frozen, module = "sprockets_influxdb._native")]
pub(crate) struct Recorder {
    database: Py<PyString>,
    name: Py<PyString>,
    pub(super) vocabulary: Vocabulary,
    correlation_id: Header,
    remote_ip: Option<Header>,
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
        Ok(Some(Request::new(this, measurement)))
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
