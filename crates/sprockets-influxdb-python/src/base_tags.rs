//! The base tags as a Python dict, for measurements that show them.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use pyo3::types::PyDict;

static BASE_TAGS: ArcSwapOption<Py<PyDict>> = ArcSwapOption::const_empty();

pub(crate) fn set(py: Python<'_>, tags: Vec<(String, String)>) -> PyResult<()> {
    let dict = PyDict::new(py);
    for (name, value) in tags {
        dict.set_item(name, value)?;
    }
    BASE_TAGS.store(Some(Arc::new(dict.unbind())));
    Ok(())
}

pub(crate) fn clear() {
    BASE_TAGS.store(None);
}

/// The base tags. `None` before there is a client.
pub(crate) fn base_tags(py: Python<'_>) -> Option<Bound<'_, PyDict>> {
    BASE_TAGS.load().as_ref().map(|tags| tags.bind(py).clone())
}
