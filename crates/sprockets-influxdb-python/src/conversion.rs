//! Converts Python's values to tags and fields.
//!
//! Types of NumPy and pandas are recognized by their names, so that neither is imported.

use std::borrow::Cow;

use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyFloat, PyInt, PyString, PyType};
use sprockets_influxdb::FieldValue;

use crate::value::{Plain, repr, text, with_text};

/// Calls `take` with the value of a tag: its text, which is empty for one that is left out. `name`
/// is for the error if it cannot be stored.
#[inline]
pub(crate) fn with_tag<T>(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    take: impl FnOnce(&str) -> T,
) -> PyResult<T> {
    match Plain::of(value) {
        Some(Plain::Text(string)) => Ok(take(&text(string)?)),
        Some(Plain::None) => Ok(take("")),
        Some(_) => with_text(value, take),
        None => with_other_tag(name, value, take),
    }
}

/// Calls `take` with the value of a field, unless it is left out: `None` and what stands for it.
/// `name` is for the error if it cannot be stored.
#[inline]
pub(crate) fn with_field<T>(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    take: impl FnOnce(FieldValue<'_>) -> T,
) -> PyResult<Option<T>> {
    match Plain::of(value) {
        Some(plain) => Ok(plain_field(name, plain)?.map(take)),
        None => with_other_field(name, value, take),
    }
}

#[inline]
fn plain_field<'a>(
    name: &Bound<'_, PyAny>,
    value: Plain<'a, '_>,
) -> PyResult<Option<FieldValue<'a>>> {
    Ok(Some(match value {
        Plain::Text(string) => FieldValue::String(text(string)?),
        Plain::Float(float) => FieldValue::Float(float.value()),
        Plain::Integer(integer) => integer_field(name, integer)?,
        Plain::Boolean(boolean) => FieldValue::Boolean(boolean.is_true()),
        Plain::None => return Ok(None),
    }))
}

fn integer_field<'a>(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyInt>,
) -> PyResult<FieldValue<'a>> {
    if let Ok(integer) = value.extract::<i64>() {
        return Ok(FieldValue::Integer(integer));
    }
    match value.extract::<u64>() {
        Ok(unsigned) => Ok(FieldValue::Unsigned(unsigned)),
        Err(_) => Err(PyValueError::new_err(format!(
            "field {} is {}: no InfluxDB stores integers beyond 64 bits; use a float or a str",
            repr(name),
            repr(value.as_any())
        ))),
    }
}

#[cold]
fn with_other_tag<T>(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    take: impl FnOnce(&str) -> T,
) -> PyResult<T> {
    let value = without_enum(value)?;
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(take(utf_8(name, bytes)?));
    }
    if is_left_out(&value)? {
        return Ok(take(""));
    }
    with_text(&value, take)
}

/// The text of a tag. `None` if it is left out.
pub(crate) fn tag_text(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> PyResult<Option<String>> {
    let value = without_enum(value)?;
    if is_left_out(&value)? {
        return Ok(None);
    }
    with_tag(name, &value, str::to_owned).map(Some)
}

/// Refuses bytes that are no text. The `str()` of other values is only asked for when the
/// measurement is added.
#[inline]
pub(crate) fn check_tag(name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    if value.cast_exact::<PyString>().is_ok() {
        return Ok(());
    }
    value.cast::<PyBytes>().map_or(Ok(()), |bytes| utf_8(name, bytes).map(drop))
}

fn utf_8<'a>(name: &Bound<'_, PyAny>, bytes: &'a Bound<'_, PyBytes>) -> PyResult<&'a str> {
    std::str::from_utf8(bytes.as_bytes()).map_err(|_| {
        PyValueError::new_err(format!(
            "tag {} is {}: bytes in a tag are UTF-8; decode them",
            repr(name),
            repr(bytes.as_any())
        ))
    })
}

#[cold]
fn with_other_field<T>(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    take: impl FnOnce(FieldValue<'_>) -> T,
) -> PyResult<Option<T>> {
    let value = without_enum(value)?;
    if let Some(plain) = Plain::of(&value) {
        return Ok(plain_field(name, plain)?.map(take));
    }
    if value.is_instance_of::<PyString>() {
        return with_text(&value, |text| Some(take(FieldValue::String(Cow::Borrowed(text)))));
    }
    if let Ok(integer) = value.cast::<PyInt>() {
        return Ok(Some(take(integer_field(name, integer)?)));
    }
    if let Ok(float) = value.cast::<PyFloat>() {
        return Ok(Some(take(FieldValue::Float(float.value()))));
    }
    if is_left_out(&value)? {
        return Ok(None);
    }
    let number = number(&value)?;
    match number.as_ref().and_then(Plain::of) {
        Some(plain) if !matches!(plain, Plain::None) => Ok(plain_field(name, plain)?.map(take)),
        _ => Err(not_a_field(name, &value)),
    }
}

/// The value of a member of an enumeration. Any other value is returned as it is.
fn without_enum<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static ENUM: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    if value.is_instance(ENUM.import(value.py(), "enum", "Enum")?)? {
        return value.getattr("value");
    }
    Ok(value.clone())
}

/// Whether this is `None`, `pandas.NA`, or `NaT` of pandas or NumPy.
fn is_left_out(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    if value.is_none() {
        return Ok(true);
    }
    let class = value.get_type();
    Ok(match &*class.name()?.to_string_lossy() {
        "NAType" | "NaTType" => class.module()?.to_string_lossy().starts_with("pandas."),
        "datetime64" | "timedelta64" => is_numpy(&class) && value.ne(value)?,
        _ => false,
    })
}

fn is_numpy(class: &Bound<'_, PyType>) -> bool {
    class.module().is_ok_and(|module| module.to_string_lossy() == "numpy")
}

/// Whether this is a scalar of NumPy. An array of one item is none.
pub(crate) fn is_numpy_scalar(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(is_numpy(&value.get_type())
        && value.is_instance(&value.py().import("numpy")?.getattr("generic")?)?)
}

/// Converts a number of another type, such as a NumPy scalar, to a float, an int or a bool. `None`
/// for what is no number, or has no such form.
fn number<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    static REAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static DECIMAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = value.py();
    let class = value.get_type();
    if is_numpy(&class) {
        let name = class.name()?;
        let is_time = matches!(&*name.to_string_lossy(), "datetime64" | "timedelta64");
        if is_time || !is_numpy_scalar(value)? {
            return Ok(None);
        }
        // No protocol makes a bool of NumPy's bool.
        let item = value.call_method0("item")?;
        if Plain::of(&item).is_some() {
            return Ok(Some(item));
        }
    }
    let method = if class.hasattr("__index__")? {
        "__index__"
    } else if value.is_instance(REAL.import(py, "numbers", "Real")?)?
        || value.is_instance(DECIMAL.import(py, "decimal", "Decimal")?)?
    {
        "__float__"
    } else {
        return Ok(None);
    };
    match value.call_method0(method) {
        // A fraction beyond the floats, or a signaling NaN.
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(None),
        number => number.map(Some),
    }
}

fn not_a_field(name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyErr {
    let class = value.get_type().fully_qualified_name();
    let class = class.map_or_else(|_| "an unknown type".to_owned(), |name| name.to_string());
    PyValueError::new_err(format!(
        "field {} is {} of type {class}: a field is an int, a float, a bool or a str",
        repr(name),
        repr(value)
    ))
}
