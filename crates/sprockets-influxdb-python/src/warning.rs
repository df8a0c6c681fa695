//! Rate-limited warnings about requests.

use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;

/// Logs a warning, at most once a minute for each text. `endpoint` is that of the request. Without
/// one, the warning names the line of Python code that runs.
#[cold]
pub(crate) fn warn(py: Python<'_>, error: &PyErr, endpoint: Option<&Bound<'_, PyAny>>) {
    let module = py.import("sprockets_influxdb._warnings");
    let warned = module.and_then(|module| match endpoint {
        Some(endpoint) => module.call_method1("warn_of_request", (error.value(py), endpoint)),
        None => module.call_method1("warn_of_value", (error.value(py),)),
    });
    if let Err(error) = warned {
        error.write_unraisable(py, None);
    }
}

/// The error, if it is an `Exception`. Others, such as `KeyboardInterrupt`, are not about the
/// request, and have to be passed on.
pub(crate) fn only_exception(py: Python<'_>, error: PyErr) -> PyResult<PyErr> {
    if error.is_instance_of::<PyException>(py) { Ok(error) } else { Err(error) }
}

/// Warns that a name is a tag in this request and a field in others, or the other way round.
#[cold]
pub(crate) fn warn_of_kind(py: Python<'_>, name: &str, endpoint: &Bound<'_, PyAny>) {
    let error = PyValueError::new_err(format!(
        "{name:?} is a field of this request and a tag of others, or the other way round: \
         InfluxDB 3 rejects this; rename what the handler sets"
    ));
    warn(py, &error, Some(endpoint));
}

/// Errors of single values. By default the caller sees them.
#[derive(Default)]
pub(crate) struct ValueErrors {
    are_ignored: bool,
    first: Option<PyErr>,
}

impl ValueErrors {
    /// Errors that the caller sees, or that are a warning.
    pub(crate) fn new(are_ignored: bool) -> Self {
        Self { are_ignored, first: None }
    }

    /// Passes an error on, unless errors are ignored.
    #[inline]
    pub(crate) fn check(&mut self, py: Python<'_>, result: PyResult<()>) -> PyResult<()> {
        match result {
            Err(error) if self.are_ignored && error.is_instance_of::<PyException>(py) => {
                self.first.get_or_insert(error);
                Ok(())
            }
            result => result,
        }
    }

    /// Warns of the first error that was ignored. This may run any Python code.
    #[inline]
    pub(crate) fn warn<'py>(
        self,
        py: Python<'py>,
        endpoint: impl FnOnce() -> Option<Bound<'py, PyAny>>,
    ) {
        if let Some(error) = self.first {
            warn(py, &error, endpoint().as_ref());
        }
    }
}
