//! Lines that a server rejected, for `on_rejected`.

use std::sync::Arc;

use pyo3::prelude::*;
use sprockets_influxdb as core;

use crate::value::repr;

/// A line that the server rejected. It is in no database, and is not sent again.
#[pyclass(module = "sprockets_influxdb", frozen, get_all)]
pub(crate) struct Rejected {
    /// The line, in line protocol.
    line: String,
    /// The database, on InfluxDB 2 the bucket, that it was written to.
    database: String,
    /// The reason, as the server gave it.
    reason: String,
}

#[pymethods]
impl Rejected {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let texts = [&self.line, &self.database, &self.reason];
        let [line, database, reason] = texts.map(|text| text.into_pyobject(py));
        Ok(format!(
            "<Rejected {} database={} reason={}>",
            repr(&line?.into_any()),
            repr(&database?.into_any()),
            repr(&reason?.into_any())
        ))
    }
}

impl Rejected {
    fn new(rejected: &core::Rejected<'_>) -> Self {
        let (line, database, reason) = (rejected.line(), rejected.database(), rejected.reason());
        Self { line: line.to_owned(), database: database.to_owned(), reason: reason.to_owned() }
    }
}

/// A function of the application's. Native threads hold it, and never call it.
pub(crate) struct Callback(pub(crate) Py<PyAny>);

/// A line that a Python thread passes to a callback.
pub(crate) struct Rejection {
    pub(crate) callback: Arc<Callback>,
    pub(crate) rejected: Rejected,
}

impl Rejection {
    pub(crate) fn new(callback: &Arc<Callback>, rejected: &core::Rejected<'_>) -> Self {
        Self { callback: callback.clone(), rejected: Rejected::new(rejected) }
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn memory(&self) -> usize {
        let Rejected { line, database, reason } = &self.rejected;
        size_of::<Self>() + line.len() + database.len() + reason.len()
    }
}
