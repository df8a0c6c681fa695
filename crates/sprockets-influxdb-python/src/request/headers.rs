//! Headers in ASGI and WSGI.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::value::text;

/// The name of a header in ASGI and in WSGI.
pub(super) struct Header {
    name: String,
    /// The key in a WSGI environment.
    pub(super) variable: Py<PyString>,
}

impl Header {
    pub(super) fn new(py: Python<'_>, name: &str) -> Self {
        let variable = format!("HTTP_{}", name.to_ascii_uppercase().replace('-', "_"));
        Self { name: name.to_ascii_lowercase(), variable: PyString::new(py, &variable).unbind() }
    }
}

/// The headers of an ASGI scope: pairs of bytes, with names in lower case.
pub(super) struct Headers<'a, 'py>(Option<&'a Bound<'py, PyList>>);

impl<'a, 'py> Headers<'a, 'py> {
    pub(super) fn of(headers: &'a Bound<'py, PyAny>) -> Self {
        Self(headers.cast::<PyList>().ok())
    }

    fn find(&self, wanted: &[u8]) -> Option<Bound<'py, PyAny>> {
        self.0?.iter().find_map(|header| {
            let (name, value) = match header.cast::<PyTuple>() {
                Ok(pair) => (pair.get_item(0).ok()?, pair.get_item(1).ok()?),
                Err(_) => (header.get_item(0).ok()?, header.get_item(1).ok()?),
            };
            (name.cast::<PyBytes>().ok()?.as_bytes() == wanted).then_some(value)
        })
    }

    pub(super) fn value(&self, header: &Header) -> Option<Py<PyAny>> {
        self.find(header.name.as_bytes()).map(Bound::unbind)
    }

    pub(super) fn length(&self) -> Option<u64> {
        length(&self.find(b"content-length")?)
    }
}

/// The number in the value of a header, if it is one.
pub(super) fn length(value: &Bound<'_, PyAny>) -> Option<u64> {
    let parse = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.trim().parse().ok();
    with_header(value, parse).flatten()
}

/// Calls `take` with the value of a header. ASGI has bytes, WSGI has the same bytes as characters.
pub(super) fn with_header<T>(value: &Bound<'_, PyAny>, take: impl FnOnce(&[u8]) -> T) -> Option<T> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Some(take(bytes.as_bytes()));
    }
    let text = text(value.cast::<PyString>().ok()?).ok()?;
    if text.is_ascii() {
        return Some(take(text.as_bytes()));
    }
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    Some(take(bytes.as_deref().unwrap_or(text.as_bytes())))
}
