//! Python's plain values, and the texts of values.

use std::borrow::Cow;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};
use sprockets_influxdb as core;

use crate::capi::read::ok;

/// The text of a string. A lone surrogate becomes a replacement character, as UTF-8 has none.
pub(crate) fn text<'a>(string: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, str>> {
    if let Some(text) = ok(string.to_str()) {
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
