//! What the status page needs of the core.

use pyo3::prelude::*;
use sprockets_influxdb::internal;

/// Looks into the directory of a spool, without the interpreter's lock. Returns JSON.
#[pyfunction]
pub(crate) fn summarize_spool(py: Python<'_>, directory: &str) -> String {
    py.detach(|| internal::spool_summary(directory))
}

/// The header `Content-Security-Policy` of the page.
#[pyfunction]
pub(crate) fn status_policy() -> String {
    internal::status_policy()
}
