//! The base tags as a Python dict, for measurements that show them.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use pyo3::types::PyDict;

static BASE_TAGS: ArcSwapOption<Py<PyDict>> = ArcSwapOption::const_empty();

/// The base tags, or `None` if there is no client yet. The dict must not be changed.
pub(crate) fn base_tags(py: Python<'_>) -> Option<Bound<'_, PyDict>> {
    BASE_TAGS.load().as_ref().map(|tags| tags.bind(py).clone())
}

/// Replaces the base tags.
pub(crate) fn set_base_tags(tags: Option<Bound<'_, PyDict>>) {
    BASE_TAGS.store(tags.map(|tags| Arc::new(tags.unbind())));
}

/// A copy of the base tags in force.
#[pyfunction]
#[pyo3(name = "base_tags")]
pub(crate) fn copy_base_tags(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    base_tags(py).map_or_else(|| Ok(PyDict::new(py)), |tags| tags.copy())
}
