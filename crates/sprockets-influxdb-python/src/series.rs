//! Prepared series: what many measurements share is checked once.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::capi::cell::GilCell;
use crate::capi::class::native;
use crate::capi::series::{Calls, Series, State, TIMESTAMP, create};
use crate::conversion::tag_text;
use crate::items::each_of;
use crate::line::{Head, Line};
use crate::place::{Argument, Place};
use crate::target::Target;
use crate::timestamp;
use crate::value::repr;

#[pymethods]
impl Series {
    /// Records a measurement. A keyword that is no tag is a field. A tag that is not given is left
    /// out.
    ///
    /// :param timestamp_ns: an ``int`` of nanoseconds since the epoch; default: now
    /// :raises ValueError: as :func:`add_measurement` does
    #[pyo3(signature = (**items))]
    fn __call__(this: &Bound<'_, Self>, items: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let (py, own) = (this.py(), native(this));
        let (database, name, tags) = (own.database.bind(py), own.name.bind(py), own.tags.bind(py));
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
            line.beside_base_tags(&head, &own.target, |line| {
                let mut removes = false;
                for (name, value) in &own.bound {
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
            own.target.add(py, &line.core)
        })
    }

    /// Returns the same series with values for some of its tags. A call can still replace them.
    ///
    /// :raises ValueError: for a name that is no tag of the series
    #[pyo3(signature = (**tags))]
    fn bind<'py>(
        this: &Bound<'py, Self>,
        tags: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, Self>> {
        let (py, own) = (this.py(), native(this));
        let mut bound: Vec<_> = own
            .bound
            .iter()
            .map(|(name, value)| (name.clone_ref(py), value.clone_ref(py)))
            .collect();
        for (name, value) in tags.into_iter().flatten() {
            if !own.tags.bind(py).contains(&name)? {
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
        let (database, name) = (own.database.clone_ref(py), own.name.clone_ref(py));
        let (target, tags) = (own.target.clone_ref(py), own.tags.clone_ref(py));
        create(py, State { target, database, name, tags, bound, calls: Self::no_calls() })
    }

    fn __repr__(this: &Bound<'_, Self>) -> String {
        let (py, own) = (this.py(), native(this));
        let [database, name] = [&own.database, &own.name].map(|text| repr(text.bind(py)));
        format!("<Series {database} {name} tags={}>", repr(own.tags.bind(py).keys().as_any()))
    }
}

impl Series {
    pub(crate) fn new<'py>(
        target: Target,
        place: &Place<'py>,
        tags: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
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
        let (bound, calls) = (Vec::new(), Self::no_calls());
        create(py, State { target, database, name, tags, bound, calls })
    }

    fn no_calls() -> GilCell<Calls> {
        GilCell::new(Calls::default())
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
) -> PyResult<Bound<'py, Series>> {
    Series::new(Target::Installed, &Place::new(py, database, name)?, tags)
}
