//! Begins the recording of requests of ASGI and WSGI applications. Its counterpart for Rust is
//! `middleware/recorder.rs` of the core.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyLookupError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::guard::RequestGuard;
use super::handled::Handled;
use super::headers::{self, number};
use super::options::{MEASUREMENT, Options};
use super::routes::FlaskRoutes;
use crate::capi::asgi::{self, AsgiRequest};
use crate::capi::cell::Owned;
use crate::capi::measurement::create;
use crate::capi::read::{as_dict, find, part};
use crate::capi::wsgi::WsgiRequest;
use crate::items::Items;
use crate::measurement::Measurement;
use crate::target::Target;
use crate::timestamp::Stamp;
use crate::warning::{only_exception, warn};

/// The key of a WSGI request in its environment, for hooks of frameworks.
pub(crate) const REQUEST: &str = "sprockets_influxdb.request";

/// Records the requests of one middleware, by options that do not change.
#[pyclass(frozen, module = "sprockets_influxdb._native")]
pub(crate) struct Recorder {
    /// `None` if they cannot be used.
    options: Option<Arc<Options>>,
    /// Called with the reason why requests are not recorded.
    warn: Py<PyAny>,
    /// Set when the first request finds that no request can be recorded.
    is_disabled: AtomicBool,
}

#[pymethods]
impl Recorder {
    /// A value that cannot be used is passed to `warn`. Then nothing is recorded.
    ///
    /// :raises TypeError: for an unknown option
    #[new]
    fn new(options: &Bound<'_, PyDict>, warn: Bound<'_, PyAny>) -> PyResult<Self> {
        let options = match Options::read(options) {
            Err(error) if error.is_instance_of::<PyValueError>(options.py()) => {
                warn.call1((error.value(options.py()),))?;
                None
            }
            options => Some(Arc::new(options?)),
        };
        Ok(Self { options, warn: warn.unbind(), is_disabled: AtomicBool::new(false) })
    }

    /// Whether requests are recorded at all.
    #[getter]
    fn is_recording(&self) -> bool {
        self.options.is_some() && !self.is_disabled.load(Ordering::Relaxed)
    }

    /// Begins to record a request described by an ASGI scope. `None` if it is not to be recorded.
    ///
    /// :param kind: the class of the request, which inherits from `AsgiRequest`
    #[inline]
    pub(crate) fn asgi<'py>(
        &self,
        kind: &Bound<'py, PyAny>,
        scope: &Bound<'py, PyAny>,
        receive: &Bound<'py, PyAny>,
        send: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, AsgiRequest>>> {
        let begun = self.begin(scope, scope, Self::of_scope)?;
        begun.map(|handled| asgi::create(kind, (receive, send), handled)).transpose()
    }

    /// Begins to record a request described by a WSGI environment. The application calls the
    /// request as `start_response`. `None` if it is not to be recorded.
    ///
    /// :param routes: those of an application, which are asked when the response begins
    #[pyo3(signature = (environ, start_response, routes))]
    #[inline]
    pub(crate) fn wsgi<'py>(
        &self,
        environ: &Bound<'py, PyDict>,
        start_response: &Bound<'py, PyAny>,
        routes: Option<&Bound<'py, FlaskRoutes>>,
    ) -> PyResult<Option<Bound<'py, WsgiRequest>>> {
        let py = environ.py();
        let begun = self.begin(environ, environ, Self::of_environment)?;
        let Some(handled) = begun else { return Ok(None) };
        let request = WsgiRequest::begin(handled, environ, start_response, routes)?;
        if routes.is_some() {
            environ.set_item(intern!(py, REQUEST), &request)?;
        }
        Ok(Some(request))
    }

    /// As [`wsgi`](Self::wsgi), for a framework that reports each step of the request.
    ///
    /// :param subject: the argument of `skip`
    fn guard(
        &self,
        environ: &Bound<'_, PyDict>,
        subject: &Bound<'_, PyAny>,
    ) -> PyResult<Option<RequestGuard>> {
        Ok(self.begin(environ, subject, Self::of_environment)?.map(RequestGuard))
    }
}

impl Recorder {
    /// Begins to record a request, unless it is not to be recorded. In any case the handler finds
    /// a measurement in `place`.
    #[inline(always)]
    fn begin<'py>(
        &self,
        place: &Bound<'py, PyAny>,
        subject: &Bound<'py, PyAny>,
        begin: impl FnOnce(&Arc<Options>, &Bound<'py, PyDict>) -> PyResult<Option<Handled>>,
    ) -> PyResult<Option<Handled>> {
        let options = self.options.as_ref().filter(|_| !self.is_disabled.load(Ordering::Relaxed));
        if let (Some(options), Some(dict)) = (options, as_dict(place)) {
            if !options.skip.as_ref().map_or(Ok(false), |skip| skips(skip, subject))? {
                match begin(options, dict) {
                    Ok(Some(handled)) => return Ok(Some(handled)),
                    Ok(None) => {}
                    // PyO3 releases what the error has at once only if it is attached.
                    Err(error) => Python::attach(|py| self.refuse(py, error))?,
                }
            }
        }
        measurement_in(place)?;
        Ok(None)
    }

    /// Warns of a request that cannot be recorded.
    #[cold]
    fn refuse(&self, py: Python<'_>, error: PyErr) -> PyResult<()> {
        let error = only_exception(py, error)?;
        // A wrong variable of the client is found when the first request comes.
        if !error.is_instance_of::<PyLookupError>(py) {
            self.is_disabled.store(true, Ordering::Relaxed);
        }
        self.warn.bind(py).call1((error.value(py),))?;
        Ok(())
    }

    #[inline]
    fn of_scope(options: &Arc<Options>, scope: &Bound<'_, PyDict>) -> PyResult<Option<Handled>> {
        let py = scope.py();
        let Some(measurement) = measurement(options, scope)? else { return Ok(None) };
        // The scope of a websocket has no method. Its handshake is a GET.
        let method = find(scope, intern!(py, "method"));
        let method = method.as_ref().map(|method| method.bind(py));
        let mut handled = Handled::new(options.clone(), measurement, method);
        let (mut remote_ip, mut declared) = (None, None);
        if let Some(headers) = find(scope, intern!(py, "headers")) {
            let names = [Some(&options.correlation_id), options.remote_ip.as_ref()];
            let [correlation_id, addresses, length] = headers::find(headers.bind(py), names);
            handled.set_correlation_id(correlation_id);
            declared = length.and_then(|value| number(value.bind(py)));
            remote_ip = addresses;
        }
        if remote_ip.is_none() {
            let client = find(scope, intern!(py, "client"));
            remote_ip = client.and_then(|client| part(client.bind(py), 0));
        }
        handled.set_remote_ip(remote_ip);
        handled.set_request_length(declared);
        Ok(Some(handled))
    }

    #[inline]
    fn of_environment(
        options: &Arc<Options>,
        environ: &Bound<'_, PyDict>,
    ) -> PyResult<Option<Handled>> {
        let py = environ.py();
        let Some(measurement) = measurement(options, environ)? else { return Ok(None) };
        let get = |name: &Bound<'_, PyString>| find(environ, name);
        let method = get(intern!(py, "REQUEST_METHOD"));
        let method = method.as_ref().map(|method| method.bind(py));
        let mut handled = Handled::new(options.clone(), measurement, method);
        handled.set_correlation_id(get(options.correlation_id.variable.bind(py)));
        let forwarded = options.remote_ip.as_ref();
        let forwarded = forwarded.and_then(|header| get(header.variable.bind(py)));
        handled.set_remote_ip(forwarded.or_else(|| get(intern!(py, "REMOTE_ADDR"))));
        let content_length = get(intern!(py, "CONTENT_LENGTH"));
        let declared = content_length.and_then(|value| number(value.bind(py)));
        // A body of unknown length is read from the server, unseen.
        if declared.is_some() || get(intern!(py, "HTTP_TRANSFER_ENCODING")).is_none() {
            handled.set_request_length(declared);
        }
        Ok(Some(handled))
    }
}

/// Whether the option `skip` leaves the request out. An exception of it is a warning; what is none,
/// such as Ctrl-C, is the caller's.
#[cold]
fn skips(skip: &Py<PyAny>, subject: &Bound<'_, PyAny>) -> PyResult<bool> {
    // PyO3 releases what an error has at once only if it is attached.
    Python::attach(|py| {
        let skipped = skip.bind(py).call1((subject,)).and_then(|skipped| skipped.is_truthy());
        skipped.or_else(|error| {
            let error = only_exception(py, error)?;
            warn(py, &error, Some(&py.None().into_bound(py)));
            Ok(false)
        })
    })
}

/// Puts a measurement where the handler finds it. `None` if the request is not to be recorded: the
/// client is disabled, or a middleware further outside records it.
#[inline(always)]
fn measurement(
    options: &Options,
    place: &Bound<'_, PyDict>,
) -> PyResult<Option<Owned<Measurement>>> {
    let py = place.py();
    let outer = find(place, intern!(py, MEASUREMENT));
    let Options { target, database, measurement, attributes, .. } = options;
    let defaults = target.with(py, |client| client.is_enabled(py).then(|| client.defaults(py)))?;
    let Some(defaults) = defaults else { return Ok(None) };
    if outer.is_some_and(|outer| is_recorded(outer.bind(py))) {
        return Ok(None);
    }
    let (base, default) = defaults.unzip();
    let default = default.flatten();
    let database = match (database, &default) {
        (Some(database), _) => Owned::new(database.object.bind(py).as_any()),
        (None, Some(default)) => Owned::new(default.bind(py).as_any()),
        (None, None) => return Err(no_database()),
    };
    let base = base.as_ref().map(|base| base.bind(py));
    let tags = match target {
        Target::Installed if !base.is_some_and(|base| options.has_name_of(base)) => None,
        _ => {
            let is_free = |name: &str| !attributes.has_name(name);
            Some(Items::of_base_tags_where(base, is_free))
        }
    };
    let name = Owned::new(measurement.object.bind(py).as_any());
    let measurement = create(py, |own| {
        own.begin_request(database, name, Stamp::now());
        if let Some(tags) = tags {
            own.tags = tags;
        }
    })?;
    place.set_item(intern!(py, MEASUREMENT), &measurement)?;
    Ok(Some(measurement.into()))
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
    let measurement = create(py, |own| own.begin_unrecorded(py))?.into_any();
    place.set_item(intern!(py, MEASUREMENT), &measurement)?;
    Ok(measurement)
}
