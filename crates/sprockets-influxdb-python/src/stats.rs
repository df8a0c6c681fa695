//! The counters and the settings of the client, as Python values.

use std::time::{Duration, UNIX_EPOCH};

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sprockets_influxdb::{Setting, SettingValue, Stats};

use crate::handle::installed;
use crate::installed::configured;

/// The counters, taken at one moment. ``added`` is always the sum of ``delivered``, ``rejected``,
/// ``sampled_out``, all of ``dropped``, and ``pending``. ``dropped`` is a dict of counts by reason.
///
/// The others:
///
/// - ``recovered``: of those added, measurements found in the spool
/// - ``spooled``: of those pending, measurements in the spool, which survive the process
/// - ``batches``, ``retries``: requests, and of those, repeated ones
/// - ``bytes_sent``: bytes of request bodies, compressed
/// - ``non_finite``: fields left out because they are NaN or infinite
/// - ``repaired``: measurements with names or tags that no server stores as they were
/// - ``last_error``: the last failure, or ``None``
/// - ``last_error_at``: when that was, in seconds since the epoch, or ``None``
///
/// All are 0 before there is a client.
///
/// :rtype: dict
#[pyfunction]
pub(crate) fn stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let stats = installed().as_ref().map(|client| client.core().stats());
    counters(py, &stats.unwrap_or_default())
}

pub(crate) fn counters<'py>(py: Python<'py>, stats: &Stats) -> PyResult<Bound<'py, PyDict>> {
    let dropped = PyDict::new(py);
    for (reason, count) in stats.dropped.iter() {
        dropped.set_item(reason.as_str(), count)?;
    }
    let dict = PyDict::new(py);
    for (name, count) in stats.counters() {
        dict.set_item(name, count)?;
    }
    dict.set_item("dropped", dropped)?;
    dict.set_item("last_error", stats.last_error.as_deref())?;
    let at = stats.last_error_at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    dict.set_item("last_error_at", at.map(|at| at.as_secs_f64()))?;
    Ok(dict)
}

/// The value in force of each setting, by name. Secrets are masked, durations are in milliseconds.
#[pyfunction]
pub(crate) fn settings(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let settings = configured(py)?.as_ref().map(|client| client.core().settings());
    values(py, &settings.unwrap_or_default())
}

pub(crate) fn values<'py>(py: Python<'py>, settings: &[Setting]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for setting in settings {
        dict.set_item(setting.name(), to_python(py, setting.value())?)?;
    }
    Ok(dict)
}

fn to_python<'py>(py: Python<'py>, value: &SettingValue) -> PyResult<Bound<'py, PyAny>> {
    match value {
        SettingValue::Unset => Ok(py.None().into_bound(py)),
        SettingValue::Boolean(value) => value.into_bound_py_any(py),
        SettingValue::Integer(number) => number.into_bound_py_any(py),
        SettingValue::Float(number) => number.into_bound_py_any(py),
        SettingValue::Duration(duration) => milliseconds(*duration).into_bound_py_any(py),
        SettingValue::Tags(tags) => {
            let dict = PyDict::new(py);
            for (name, value) in tags {
                dict.set_item(name, value)?;
            }
            Ok(dict.into_any())
        }
        other => other.to_string().into_bound_py_any(py),
    }
}

/// An integer, as `install()` takes it, unless there is a fraction.
#[derive(IntoPyObject)]
enum Milliseconds {
    Whole(u128),
    Fraction(f64),
}

fn milliseconds(duration: Duration) -> Milliseconds {
    if duration.subsec_nanos() % 1_000_000 == 0 {
        Milliseconds::Whole(duration.as_millis())
    } else {
        Milliseconds::Fraction(duration.as_secs_f64() * 1e3)
    }
}
