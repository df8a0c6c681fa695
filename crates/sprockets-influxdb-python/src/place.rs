//! Where a measurement belongs, as Python's functions take it: `(database, name)`, or a name alone
//! for the default database.

use std::convert::Infallible;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping};

use crate::value::repr;

/// An argument that may be left out, which is not the same as `None`.
#[derive(Clone, Copy)]
pub(crate) enum Argument<'a, 'py> {
    Omitted,
    Given(Borrowed<'a, 'py, PyAny>),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Argument<'a, 'py> {
    type Error = Infallible;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(Self::Given(object))
    }
}

/// Database and name. The database is `None` for the default one.
pub(crate) struct Place<'py> {
    pub(crate) database: Bound<'py, PyAny>,
    pub(crate) name: Bound<'py, PyAny>,
}

impl<'py> Place<'py> {
    /// Fails for a database that is `None`, which is a mistake of the caller's.
    pub(crate) fn new(
        py: Python<'py>,
        database: Argument<'_, 'py>,
        name: Argument<'_, 'py>,
    ) -> PyResult<Self> {
        let (database, name) = match (database, name) {
            (Argument::Given(database), Argument::Given(name)) => {
                if database.is_none() {
                    return Err(PyValueError::new_err(
                        "database is None: name one, or leave it out for the default database, \
                         which INFLUXDB_DATABASE (database) names",
                    ));
                }
                (database.to_owned(), name.to_owned())
            }
            (Argument::Given(name), Argument::Omitted)
            | (Argument::Omitted, Argument::Given(name)) => {
                (py.None().into_bound(py), name.to_owned())
            }
            (Argument::Omitted, Argument::Omitted) => {
                return Err(PyTypeError::new_err("the name of the measurement is missing"));
            }
        };
        if name.is_instance_of::<PyDict>() {
            let message = format!("name is {}: expected a str", repr(&name));
            return Err(PyTypeError::new_err(message));
        }
        Ok(Self { database, name })
    }
}

/// The arguments of `record()`.
pub(crate) struct Recorded<'py> {
    pub(crate) place: Place<'py>,
    pub(crate) tags: Option<Bound<'py, PyDict>>,
    pub(crate) fields: Option<Bound<'py, PyDict>>,
    pub(crate) timestamp: Option<Bound<'py, PyAny>>,
}

impl<'py> Recorded<'py> {
    /// Reads the arguments of any form of the call. With one name, the others may follow it.
    #[cold]
    pub(crate) fn read(
        py: Python<'py>,
        database: Argument<'_, 'py>,
        name: Argument<'_, 'py>,
        tags: Option<&Bound<'py, PyAny>>,
        fields: Option<&Bound<'py, PyAny>>,
        timestamp: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        let is_dict = |value: &Bound<'py, PyAny>| value.cast::<PyMapping>().is_ok();
        let shifted = match name {
            Argument::Given(name) if name.cast::<PyMapping>().is_ok() => Some(Some(name)),
            // No measurement is without a field.
            Argument::Given(name) if name.is_none() => {
                (tags.is_some() && !fields.is_some_and(is_dict)).then_some(None)
            }
            _ => None,
        };
        let Some(own_tags) = shifted else {
            let place = Place::new(py, database, name)?;
            return Self::new(place, tags, fields, timestamp);
        };
        let own_tags = own_tags.map(|tags| tags.to_owned());
        let place = Place::new(py, database, Argument::Omitted)?;
        match (tags, fields) {
            (None, fields) => Self::new(place, own_tags.as_ref(), fields, timestamp),
            (tags, None) => Self::new(place, own_tags.as_ref(), tags, timestamp),
            (tags, seconds) if timestamp.is_none() && !seconds.is_some_and(is_dict) => {
                Self::new(place, own_tags.as_ref(), tags, seconds)
            }
            _ => Err(PyTypeError::new_err("tags are given twice")),
        }
    }

    fn new(
        place: Place<'py>,
        tags: Option<&Bound<'py, PyAny>>,
        fields: Option<&Bound<'py, PyAny>>,
        timestamp: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        let (tags, fields) = (dict("tags", tags)?, dict("fields", fields)?);
        Ok(Self { place, tags, fields, timestamp: timestamp.cloned() })
    }
}

/// The argument of this name, which is a mapping or `None`, as a dict.
fn dict<'py>(
    argument: &str,
    value: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some(value) = value else { return Ok(None) };
    if let Ok(dict) = value.cast::<PyDict>() {
        return Ok(Some(dict.clone()));
    }
    let mapping = value.cast::<PyMapping>().map_err(|_| {
        PyTypeError::new_err(format!("{argument} is {}: expected a dict", repr(value)))
    })?;
    let dict = PyDict::new(value.py());
    dict.update(mapping)?;
    Ok(Some(dict))
}
