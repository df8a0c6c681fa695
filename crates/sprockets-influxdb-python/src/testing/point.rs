//! Points of the scripted server.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sprockets_influxdb::testing::{self, Value};

/// A row as the server stores it. Names and values have no escapes.
#[pyclass(module = "sprockets_influxdb.testing", frozen, get_all)]
pub(crate) struct Point {
    /// The measurement's name.
    measurement: String,
    /// Tags by name.
    tags: Py<PyDict>,
    /// Fields by name. The types are those that are stored: an ``int`` and a ``float`` differ,
    /// although ``1`` and ``1.0`` are equal in Python.
    fields: Py<PyDict>,
    /// Nanoseconds since the epoch.
    timestamp: i64,
}

#[pymethods]
impl Point {
    #[new]
    fn new(measurement: String, tags: Py<PyDict>, fields: Py<PyDict>, timestamp: i64) -> Self {
        Self { measurement, tags, fields, timestamp }
    }

    #[classattr]
    #[pyo3(name = "__match_args__")]
    const MATCH_ARGS: (&'static str, &'static str, &'static str, &'static str) =
        ("measurement", "tags", "fields", "timestamp");

    fn __eq__(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        Ok(self.measurement == other.measurement
            && self.timestamp == other.timestamp
            && self.tags.bind(py).eq(&other.tags)?
            && self.fields.bind(py).eq(&other.fields)?)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let Self { measurement, tags, fields, timestamp } = self;
        let (tags, fields) = (tags.bind(py), fields.bind(py));
        format!("Point({measurement:?}, tags={tags}, fields={fields}, timestamp={timestamp})")
    }
}

impl Point {
    pub(super) fn of(py: Python<'_>, point: testing::Point) -> PyResult<Self> {
        let (tags, fields) = (PyDict::new(py), PyDict::new(py));
        for (name, value) in point.tags {
            tags.set_item(name, value)?;
        }
        for (name, value) in point.fields {
            match value {
                Value::Float(value) => fields.set_item(name, value)?,
                Value::Integer(value) => fields.set_item(name, value)?,
                Value::Unsigned(value) => fields.set_item(name, value)?,
                Value::Boolean(value) => fields.set_item(name, value)?,
                Value::String(value) => fields.set_item(name, value)?,
            }
        }
        Ok(Self::new(point.measurement, tags.unbind(), fields.unbind(), point.timestamp))
    }
}

/// Returns the points in lines of line protocol: ``parse(measurement.marshall())``.
///
/// :param str lines: line protocol, one point in each line
/// :raises ValueError: for a line that InfluxDB 1.x, 2.x or 3.x would not store as it is
#[pyfunction]
pub(crate) fn parse(py: Python<'_>, lines: &str) -> PyResult<Vec<Point>> {
    let points = testing::parse(lines).map_err(|error| PyValueError::new_err(error.to_string()))?;
    points.into_iter().map(|point| Point::of(py, point)).collect()
}
