//! Messages between ASGI applications and servers.

use std::fs;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// An ASGI message.
pub(super) struct Message<'a, 'py> {
    pub(super) dict: &'a Bound<'py, PyDict>,
    pub(super) kind: Bound<'py, PyString>,
}

impl<'a, 'py> Message<'a, 'py> {
    pub(super) fn of(message: &'a Bound<'py, PyAny>) -> Option<Self> {
        let dict = message.cast::<PyDict>().ok()?;
        let kind = dict.get_item(intern!(dict.py(), "type")).ok()??;
        Some(Self { dict, kind: kind.cast_into().ok()? })
    }

    fn get(&self, name: &Bound<'py, PyString>) -> Option<Bound<'py, PyAny>> {
        self.dict.get_item(name).ok()?.filter(|value| !value.is_none())
    }

    pub(super) fn flag(&self, name: &Bound<'py, PyString>) -> bool {
        let value = self.get(name);
        value.is_some_and(|value| value.is_truthy().unwrap_or_default())
    }

    pub(super) fn number(&self, name: &Bound<'py, PyString>) -> Option<u16> {
        self.get(name)?.extract().ok()
    }

    /// Bytes of the message's body, websocket message or file.
    pub(super) fn length(&self) -> u64 {
        let py = self.dict.py();
        if let Some(bytes) =
            self.get(intern!(py, "body")).or_else(|| self.get(intern!(py, "bytes")))
        {
            return bytes.len().unwrap_or_default() as u64;
        }
        if let Some(text) = self.get(intern!(py, "text")) {
            let text = text.cast::<PyString>().ok();
            return text.and_then(|text| Some(text.to_str().ok()?.len())).unwrap_or_default()
                as u64;
        }
        if let Some(count) = self.get(intern!(py, "count")) {
            return count.extract().unwrap_or_default();
        }
        let path = self.get(intern!(py, "path")).and_then(|path| path.extract::<String>().ok());
        path.and_then(|path| fs::metadata(path).ok()).map_or(0, |file| file.len())
    }
}
