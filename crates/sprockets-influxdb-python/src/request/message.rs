//! Messages between ASGI applications and servers.

use std::fs;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::capi::cell::Owned;
use crate::capi::read::{as_dict, as_string, find, ok};

/// An ASGI message.
pub(super) struct Message<'a, 'py> {
    pub(super) dict: &'a Bound<'py, PyDict>,
    kind: Owned,
}

impl<'a, 'py> Message<'a, 'py> {
    #[inline(always)]
    pub(super) fn of(message: &'a Bound<'py, PyAny>) -> Option<Self> {
        let dict = as_dict(message)?;
        let kind = find(dict, intern!(dict.py(), "type"))?;
        as_string(kind.bind(dict.py()))?;
        Some(Self { dict, kind })
    }

    /// Its type, such as `http.response.start`.
    #[inline(always)]
    pub(super) fn kind(&self) -> &str {
        let kind = as_string(self.kind.bind(self.dict.py()));
        kind.and_then(|kind| ok(kind.to_str())).unwrap_or_default()
    }

    #[inline]
    fn get(&self, name: &Bound<'py, PyString>) -> Option<Owned> {
        let py = self.dict.py();
        find(self.dict, name).filter(|value| !value.bind(py).is_none())
    }

    #[inline]
    pub(super) fn flag(&self, name: &Bound<'py, PyString>) -> bool {
        let py = self.dict.py();
        let value = self.get(name);
        value.is_some_and(|value| ok(value.bind(py).is_truthy()).unwrap_or_default())
    }

    #[inline]
    pub(super) fn number(&self, name: &Bound<'py, PyString>) -> Option<u16> {
        ok(self.get(name)?.bind(self.dict.py()).extract())
    }

    /// Bytes of the message's body, websocket message or file.
    pub(super) fn length(&self) -> u64 {
        let py = self.dict.py();
        if let Some(bytes) =
            self.get(intern!(py, "body")).or_else(|| self.get(intern!(py, "bytes")))
        {
            return ok(bytes.bind(py).len()).unwrap_or_default() as u64;
        }
        if let Some(text) = self.get(intern!(py, "text")) {
            let text = as_string(text.bind(py));
            return text.and_then(|text| Some(ok(text.to_str())?.len())).unwrap_or_default() as u64;
        }
        if let Some(count) = self.get(intern!(py, "count")) {
            return ok(count.bind(py).extract()).unwrap_or_default();
        }
        let path =
            self.get(intern!(py, "path")).and_then(|path| ok(path.bind(py).extract::<String>()));
        path.and_then(|path| fs::metadata(path).ok()).map_or(0, |file| file.len())
    }
}
