//! Headers in ASGI and WSGI.

use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use crate::capi::cell::Owned;
use crate::capi::read::{self, part};
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

/// The values of these headers of an ASGI scope, and of `content-length`. A scope has pairs of
/// bytes, with names in lower case. Of several headers of one name the first counts.
pub(super) fn find(headers: &Bound<'_, PyAny>, names: [Option<&Header>; 2]) -> [Option<Owned>; 3] {
    let py = headers.py();
    let mut values = [const { None }; 3];
    let wanted = names.map(|name| name.map_or(b"".as_slice(), |name| name.name.as_bytes()));
    let wanted = [wanted[0], wanted[1], b"content-length"];
    let exact = headers.cast_exact::<PyList>().ok();
    let Some(headers) = exact.or_else(|| headers.cast().ok()) else { return values };
    for header in (0..headers.len()).map_while(|index| read::item(headers, index)) {
        let header = header.bind(py);
        let Some(name) = part(header, 0) else { continue };
        let Some(name) = read::bytes(name.bind(py)) else { continue };
        let Some(index) = wanted.iter().position(|wanted| *wanted == name) else { continue };
        if values[index].is_none() {
            values[index] = part(header, 1);
        }
    }
    values
}

/// The number in the value of a header, if it is one.
pub(super) fn number(value: &Bound<'_, PyAny>) -> Option<u64> {
    let parse = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.trim().parse().ok();
    with_header(value, parse).flatten()
}

/// Calls `take` with the value of a header. ASGI has bytes, WSGI has the same bytes as characters.
pub(super) fn with_header<T>(value: &Bound<'_, PyAny>, take: impl FnOnce(&[u8]) -> T) -> Option<T> {
    if let Some(bytes) = read::bytes(value) {
        return Some(take(bytes));
    }
    let text = text(value.cast::<PyString>().ok()?).ok()?;
    if text.is_ascii() {
        return Some(take(text.as_bytes()));
    }
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    Some(take(bytes.as_deref().unwrap_or(text.as_bytes())))
}
