//! An awaitable for what is asynchronous in name only.

use pyo3::prelude::*;

/// An awaitable that is done, with the result `None`.
#[pyclass(frozen, module = "sprockets_influxdb._native")]
pub(crate) struct Done;

#[pymethods]
impl Done {
    fn __await__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self) -> Option<Py<PyAny>> {
        None
    }
}
