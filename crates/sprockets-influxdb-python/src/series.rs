//! Prepared series: what many measurements share is checked once.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::conversion::tag_text;
use crate::items::each_of;
use crate::line::{Head, Line};
use crate::place::{Argument, Place};
use crate::target::Target;
use crate::timestamp;
use crate::value::repr;

/// A name that is neither a tag nor a field.
const TIMESTAMP: &str = "timestamp_ns";

/// Records measurements of one name, by keywords. Made by :func:`series`.
#[pyclass(frozen, module = "sprockets_influxdb")]
pub(crate) struct Series {
    target: Target,
    database: Py<PyAny>,
    name: Py<PyAny>,
    /// The names of the tags. The values are not used.
    tags: Py<PyDict>,
    /// Tags by name that every measurement has.
    bound: Vec<(Py<PyAny>, Py<PyAny>)>,
}

#[pymethods]
impl Series {
    /// Records a measurement. A keyword that is no tag is a field. A tag that is not given is left
    /// out.
    ///
    /// :param timestamp_ns: an ``int`` of nanoseconds since the epoch; default: now
    /// :raises ValueError: as :func:`add_measurement` does
    #[pyo3(signature = (**items))]
    fn __call__(&self, py: Python<'_>, items: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let (database, name, tags) =
            (self.database.bind(py), self.name.bind(py), self.tags.bind(py));
        let timestamp = match items {
            Some(items) => items.get_item(intern!(py, TIMESTAMP))?,
            None => None,
        };
        let has_timestamp = timestamp.is_some();
        let timestamp = timestamp.filter(|timestamp| !timestamp.is_none());
        let nanoseconds = timestamp::given(None, timestamp.as_ref())?;
        let head = Head { database, name, nanoseconds };
        Line::with(|line| {
            line.restart(&head)?;
            line.beside_base_tags(&head, &self.target, |line| {
                let mut removes = false;
                for (name, value) in &self.bound {
                    removes |= line.tag(name.bind(py), value.bind(py))?;
                }
                let Some(items) = items else { return Ok(removes) };
                each_of(items, |name, value| {
                    if tags.contains(name)? {
                        removes |= line.tag(name, value)?;
                    } else if !(has_timestamp && is_timestamp(name)) {
                        line.field(name, value)?;
                    }
                    Ok(())
                })?;
                Ok(removes)
            })?;
            self.target.add(py, &line.core)
        })
    }

    /// Returns the same series with values for some of its tags. A call can still replace them.
    ///
    /// :raises ValueError: for a name that is no tag of the series
    #[pyo3(signature = (**tags))]
    fn bind(&self, py: Python<'_>, tags: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut bound: Vec<_> = self
            .bound
            .iter()
            .map(|(name, value)| (name.clone_ref(py), value.clone_ref(py)))
            .collect();
        for (name, value) in tags.into_iter().flatten() {
            if !self.tags.bind(py).contains(&name)? {
                return Err(PyValueError::new_err(format!(
                    "{} is no tag of the series: name it in tags=",
                    repr(&name)
                )));
            }
            bound.retain(|(other, _)| !other.bind(py).eq(&name).unwrap_or(false));
            // What is left out is as if it were not bound, and must not hide a base tag.
            if let Some(text) = tag_text(&name, &value)? {
                bound.push((name.unbind(), PyString::new(py, &text).into_any().unbind()));
            }
        }
        let (database, name) = (self.database.clone_ref(py), self.name.clone_ref(py));
        let (target, tags) = (self.target.clone_ref(py), self.tags.clone_ref(py));
        Ok(Self { target, database, name, tags, bound })
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let [database, name] = [&self.database, &self.name].map(|text| repr(text.bind(py)));
        format!("<Series {database} {name} tags={}>", repr(self.tags.bind(py).keys().as_any()))
    }
}

impl Series {
    pub(crate) fn new(
        target: Target,
        place: &Place<'_>,
        tags: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = place.name.py();
        let names = PyDict::new(py);
        if let Some(tags) = tags {
            if tags.is_instance_of::<PyString>() {
                return Err(PyTypeError::new_err(format!(
                    "tags is {}: expected several names, as in tags=(\"handler\",)",
                    repr(tags)
                )));
            }
            for name in tags.try_iter()? {
                let name = name?.cast_into::<PyString>()?;
                if name == TIMESTAMP {
                    return Err(PyValueError::new_err("timestamp_ns is reserved: rename the tag"));
                }
                names.set_item(name, py.None())?;
            }
        }
        // `None` is the default database.
        let database = match &place.database {
            database if database.is_none() => database.clone(),
            database => database.str()?.into_any(),
        };
        let name = place.name.str()?.into_any();
        let (database, name, tags) = (database.unbind(), name.unbind(), names.unbind());
        Ok(Self { target, database, name, tags, bound: Vec::new() })
    }
}

fn is_timestamp(name: &Bound<'_, PyAny>) -> bool {
    name.cast::<PyString>().is_ok_and(|name| name == TIMESTAMP)
}

/// Prepares a series of measurements, which you then record by keywords.
///
/// :param str database: the database (bucket) to write to; leave it out for the default one
/// :param str name: the name of the measurements
/// :param tags: the names of the tags; all other keywords of a call are fields
/// :raises ValueError: for a tag named ``timestamp_ns``, which is reserved
#[pyfunction]
#[pyo3(
    signature = (database=Argument::Omitted, name=Argument::Omitted, *, tags=None),
    text_signature = "(database=..., name=..., *, tags=None)"
)]
pub(crate) fn series<'py>(
    py: Python<'py>,
    database: Argument<'_, 'py>,
    name: Argument<'_, 'py>,
    tags: Option<&Bound<'_, PyAny>>,
) -> PyResult<Series> {
    Series::new(Target::Installed, &Place::new(py, database, name)?, tags)
}
