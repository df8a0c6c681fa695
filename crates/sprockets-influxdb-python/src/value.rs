//! Converts Python's values to the core's.

use std::borrow::Cow;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};
use sprockets_influxdb::{self as core, FieldValue};

/// The text of a string. A lone surrogate becomes a replacement character, as UTF-8 has none.
pub(crate) fn text<'a>(string: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, str>> {
    if let Ok(text) = string.to_str() {
        return Ok(Cow::Borrowed(text));
    }
    let bytes: Vec<u8> =
        string.call_method1("encode", ("utf-16-le", "surrogatepass"))?.extract()?;
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let text = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    Ok(Cow::Owned(text.collect()))
}

/// A value of exactly one of these types. Reading it runs no Python code.
///
/// Types are compared by address. An instance check takes ten times as long.
pub(crate) enum Plain<'a, 'py> {
    Text(&'a Bound<'py, PyString>),
    Float(&'a Bound<'py, PyFloat>),
    Integer(&'a Bound<'py, PyInt>),
    Boolean(&'a Bound<'py, PyBool>),
    None,
}

impl<'a, 'py> Plain<'a, 'py> {
    #[inline]
    pub(crate) fn of(value: &'a Bound<'py, PyAny>) -> Option<Self> {
        if let Ok(string) = value.cast_exact::<PyString>() {
            Some(Self::Text(string))
        } else if let Ok(float) = value.cast_exact::<PyFloat>() {
            Some(Self::Float(float))
        } else if let Ok(integer) = value.cast_exact::<PyInt>() {
            Some(Self::Integer(integer))
        } else if let Ok(boolean) = value.cast_exact::<PyBool>() {
            Some(Self::Boolean(boolean))
        } else {
            value.is_none().then_some(Self::None)
        }
    }
}

/// Calls `take` with the text of any value: its `str()`. For a subclass of `str`, for example an
/// enumeration, that may differ from the string.
#[inline]
pub(crate) fn with_text<T>(value: &Bound<'_, PyAny>, take: impl FnOnce(&str) -> T) -> PyResult<T> {
    match value.cast_exact::<PyString>() {
        Ok(string) => Ok(take(&text(string)?)),
        Err(_) => Ok(take(&text(&value.str()?)?)),
    }
}

/// Calls `take` with the value of a field. `name` is for the error if it cannot be stored.
#[inline]
pub(crate) fn with_field<T>(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    take: impl FnOnce(FieldValue<'_>) -> T,
) -> PyResult<T> {
    match Plain::of(value) {
        Some(Plain::Text(string)) => Ok(take(FieldValue::String(text(string)?))),
        Some(Plain::Float(float)) => Ok(take(FieldValue::Float(float.value()))),
        Some(Plain::Integer(integer)) => Ok(take(integer_field(name, integer)?)),
        Some(Plain::Boolean(boolean)) => Ok(take(FieldValue::Boolean(boolean.is_true()))),
        Some(Plain::None) | None => with_other_field(name, value, take),
    }
}

#[cold]
fn with_other_field<T>(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    take: impl FnOnce(FieldValue<'_>) -> T,
) -> PyResult<T> {
    if value.is_instance_of::<PyString>() {
        return with_text(value, |text| take(FieldValue::String(text.into())));
    }
    if let Ok(integer) = value.cast::<PyInt>() {
        return Ok(take(integer_field(name, integer)?));
    }
    match number(value)? {
        Some(number) => with_field(name, &number, take),
        None => Err(not_a_field(name, value)),
    }
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

/// Converts a number of another type, such as a NumPy scalar, to a float, an int or a bool.
fn number<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = value.py();
    if let Ok(float) = value.cast::<PyFloat>() {
        return Ok(Some(PyFloat::new(py, float.value()).into_any()));
    }
    let class = value.get_type();
    if class.module().is_ok_and(|module| module.to_string_lossy() == "numpy") {
        // No protocol makes a bool of NumPy's bool. An array of one item is no scalar.
        if !value.is_instance(&py.import("numpy")?.getattr("generic")?)? {
            return Ok(None);
        }
        let item = value.call_method0("item")?;
        if is_number(&item) {
            return Ok(Some(item));
        }
    }
    if class.hasattr("__index__")? {
        return Ok(Some(value.call_method0("__index__")?).filter(is_number));
    }
    let real = py.import("numbers")?.getattr("Real")?;
    if value.is_instance(&real)? {
        return Ok(Some(value.call_method0("__float__")?).filter(is_number));
    }
    Ok(None)
}

fn is_number(value: &Bound<'_, PyAny>) -> bool {
    !matches!(Plain::of(value), Some(Plain::None) | None)
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

pub(crate) fn value_error(error: core::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The `repr()` of a value for an error message, truncated.
pub(crate) fn repr(value: &Bound<'_, PyAny>) -> String {
    const MAX_LENGTH: usize = 200;
    let text = value.repr().map_or_else(|_| "a value".to_owned(), |text| text.to_string());
    if text.chars().count() <= MAX_LENGTH {
        return text;
    }
    text.chars().take(MAX_LENGTH).chain("…".chars()).collect()
}
