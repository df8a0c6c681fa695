//! The options of the middlewares, as Python passes them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};
use sprockets_influxdb::internal::{self, Attributes};
use sprockets_influxdb::middleware::{Attribute, Names, RequestOptions};

use super::headers::Header;
use crate::capi::cell::{GilCell, Owned};
use crate::client::{BaseClient, target_of};
use crate::target::Target;
use crate::value::{repr, value_error};

/// The key of a request's measurement in an ASGI scope or a WSGI environment.
pub(crate) const MEASUREMENT: &str = "sprockets_influxdb.measurement";

/// What one middleware records, and where to.
pub(super) struct Options {
    pub(super) target: Target,
    /// `None`: the default database of the client.
    pub(super) database: Option<Text>,
    pub(super) measurement: Text,
    pub(super) attributes: Attributes,
    pub(super) correlation_id: Header,
    pub(super) remote_ip: Option<Header>,
    pub(super) skip: Option<Py<PyAny>>,
    /// The class of the last body in WSGI, and whether it has a length.
    pub(super) body_class: GilCell<Option<(Owned<PyType>, bool)>>,
    /// The last base tags, and whether one has the name of an attribute.
    base_tags: GilCell<Option<(Owned<PyDict>, bool)>>,
}

/// A text as Python has it, and as the core takes it.
pub(super) struct Text {
    pub(super) object: Py<PyString>,
    /// `None` if it has lone surrogates.
    pub(super) utf8: Option<Box<str>>,
}

impl Text {
    fn new(object: Bound<'_, PyString>) -> Self {
        let utf8 = object.to_str().ok().map(Box::from);
        Self { object: object.unbind(), utf8 }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Options {
    /// Reads the items of `RequestOptions` in `_requests.py`, and the environment.
    ///
    /// Fails with `TypeError` for an unknown option, and with `ValueError` for a value that cannot
    /// be used.
    pub(super) fn read(options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = options.py();
        let mut core = RequestOptions::from_env().map_err(value_error)?;
        let (mut database, mut measurement) = (None, PyString::intern(py, "request"));
        let (mut target, mut skip) = (Target::Installed, None);
        for (name, value) in options {
            let name = name.cast::<PyString>()?.to_cow()?;
            match &*name {
                "client" => target = read_target(&value)?,
                "database" if value.is_none() => {}
                "database" => database = Some(text(&name, &value)?),
                "measurement" => measurement = text(&name, &value)?,
                "names" => core = core.names(names(&text(&name, &value)?.to_cow()?)?),
                "leave_out" => core = core.leave_out(attributes(&name, &value)?),
                "correlation_id_header" => {
                    core = core.correlation_id_header(&text(&name, &value)?.to_cow()?);
                }
                "skip" if value.is_none() => {}
                "skip" if value.is_callable() => skip = Some(value.unbind()),
                "skip" => {
                    let message = format!("skip is {}: expected a function", repr(&value));
                    return Err(PyValueError::new_err(message));
                }
                "remote_ip_header" if value.is_none() => {}
                "remote_ip_header" => core = core.remote_ip_header(&text(&name, &value)?.to_cow()?),
                unknown => {
                    return Err(PyTypeError::new_err(format!("there is no option '{unknown}'")));
                }
            }
        }
        let (correlation_id, remote_ip) = internal::header_names(&core);
        Ok(Self {
            target,
            database: database.map(Text::new),
            measurement: Text::new(measurement),
            attributes: internal::attributes(&core),
            correlation_id: Header::new(py, correlation_id),
            remote_ip: remote_ip.map(|name| Header::new(py, name)),
            skip,
            body_class: GilCell::new(None),
            base_tags: GilCell::new(None),
        })
    }

    /// Whether a base tag has the name of an attribute, to which it gives way.
    pub(super) fn has_name_of(&self, base_tags: &Bound<'_, PyDict>) -> bool {
        let py = base_tags.py();
        let last = self.base_tags.borrow(py).ok();
        let known = last.as_ref().and_then(|last| last.as_ref());
        if let Some((_, has_name)) = known.filter(|(known, _)| known.bind(py).is(base_tags)) {
            return *has_name;
        }
        drop(last);
        let is_name = |name: &str| self.attributes.has_name(name);
        let has_name = base_tags
            .keys()
            .iter()
            .any(|name| name.cast::<PyString>().is_ok_and(|name| name.to_str().is_ok_and(is_name)));
        if let Some(mut last) = self.base_tags.if_free(py) {
            *last = Some((Owned::new(base_tags), has_name));
        }
        has_name
    }
}

/// Checks the variables that the middlewares and the Tornado mixin read when the first request
/// comes, which is too late for an error.
///
/// :raises ValueError: for a value that is not a boolean; the message names the variable
#[pyfunction]
pub(crate) fn check_request_variables() -> PyResult<()> {
    RequestOptions::from_env().map(drop).map_err(value_error)
}

/// Reads the option `client`. `None` is the installed client.
///
/// Fails with `ValueError` for anything else than a client.
pub(super) fn read_target(client: &Bound<'_, PyAny>) -> PyResult<Target> {
    if client.is_none() {
        return Ok(Target::Installed);
    }
    match client.cast::<BaseClient>() {
        Ok(client) => target_of(client),
        Err(_) => {
            let message = format!("client is {}: expected a Client", repr(client));
            Err(PyValueError::new_err(message))
        }
    }
}

fn text<'py>(option: &str, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    match value.cast::<PyString>() {
        Ok(text) if !text.is_empty()? => Ok(text.clone()),
        _ => Err(not_a_text(option, value)),
    }
}

fn not_a_text(option: &str, value: &Bound<'_, PyAny>) -> PyErr {
    let what = match value.is_none() {
        true => "is missing".to_owned(),
        false => format!("is {}", repr(value)),
    };
    PyValueError::new_err(format!("{option} {what}: expected a str that is not empty"))
}

fn names(text: &str) -> PyResult<Names> {
    match text {
        "sprockets" => Ok(Names::Sprockets),
        "opentelemetry" => Ok(Names::OpenTelemetry),
        _ => Err(PyValueError::new_err(format!(
            "names is {text:?}: expected \"sprockets\" or \"opentelemetry\""
        ))),
    }
}

fn attributes(option: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<Attribute>> {
    let items = match value.try_iter() {
        Ok(items) if !value.is_instance_of::<PyString>() => items,
        _ => {
            let message = format!("{option} is {}: expected a list of names", repr(value));
            return Err(PyValueError::new_err(message));
        }
    };
    let attribute = |name: &str| {
        Attributes::find(name).ok_or_else(|| {
            let names: Vec<_> = Attributes::all_names().collect();
            let names = names.join(", ");
            PyValueError::new_err(format!("{option} has {name:?}: expected some of {names}"))
        })
    };
    items.map(|name| attribute(&text(option, &name?)?.to_cow()?)).collect()
}
