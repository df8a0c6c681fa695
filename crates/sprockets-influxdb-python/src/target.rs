//! The client that something is added to.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use sprockets_influxdb as core;

use crate::handle::{Handle, has_installed, with_installed};
use crate::installed::{configured, current};
use crate::process;
use crate::value::value_error;

pub(crate) enum Target {
    /// The installed client, whichever that is when something is added.
    Installed,
    /// A client of the program's, and the Python object that keeps it open.
    Own(Arc<Handle>, Option<Py<PyAny>>),
}

impl Target {
    #[inline]
    pub(crate) fn add(&self, py: Python<'_>, line: &core::Measurement) -> PyResult<()> {
        match self {
            Self::Installed => match current(py)?.as_deref() {
                Some(client) => add(py, client, line),
                None => Ok(()),
            },
            Self::Own(client, _) => add(py, client, line),
        }
    }

    /// Calls `use_it` with the client. `None` if adding a measurement might run Python code or
    /// wait, or if there is no client yet.
    #[inline]
    pub(crate) fn if_ready<T>(
        &self,
        py: Python<'_>,
        use_it: impl FnOnce(&Handle) -> Option<T>,
    ) -> Option<T> {
        let if_ready = |client: &Handle| {
            let is_ready = process::is_started() && !client.may_block();
            is_ready.then(|| use_it(client)).flatten()
        };
        self.if_made(py, if_ready)
    }

    /// Calls `use_it` with the client, if there is one yet. It must run no Python code.
    #[inline]
    fn if_made<T>(&self, py: Python<'_>, use_it: impl FnOnce(&Handle) -> Option<T>) -> Option<T> {
        match self {
            Self::Installed => with_installed(py, use_it),
            Self::Own(client, _) => use_it(client),
        }
    }

    /// Whether these are the base tags. `false` if that is not certain.
    #[inline]
    pub(crate) fn has_base_tags(&self, py: Python<'_>, tags: &Py<PyDict>) -> bool {
        self.if_made(py, |client| Some(client.has_base_tags(py, tags))).unwrap_or(false)
    }

    /// The client. `None` if there is none, which happens only while one is replaced. Fails for a
    /// configuration that cannot be used.
    pub(crate) fn client(&self, py: Python<'_>) -> PyResult<Option<Arc<Handle>>> {
        match self {
            Self::Installed => Ok(configured(py)?.clone()),
            Self::Own(client, _) => Ok(Some(client.clone())),
        }
    }

    /// Calls `use_it` with the client. It must run no Python code. The first call makes the
    /// installed client. `None` if there is none, which happens only while one is replaced.
    #[inline]
    pub(crate) fn with<T>(
        &self,
        py: Python<'_>,
        use_it: impl FnOnce(&Handle) -> Option<T>,
    ) -> PyResult<Option<T>> {
        if matches!(self, Self::Installed) && !has_installed(py) {
            current(py)?;
        }
        Ok(self.if_made(py, use_it))
    }

    /// The base tags, not to be changed.
    pub(crate) fn base_tags<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.with(py, |client| client.base_tags(py))
    }

    /// The database of measurements that name none.
    pub(crate) fn database<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.with(py, |client| client.database(py))
    }

    /// Whether measurements are recorded.
    pub(crate) fn is_enabled(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.with(py, |client| Some(client.is_enabled(py)))?.unwrap_or(false))
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Installed => Self::Installed,
            Self::Own(client, owner) => {
                let owner = owner.as_ref().map(|owner| owner.clone_ref(py));
                Self::Own(client.clone(), owner)
            }
        }
    }
}

#[inline]
fn add(py: Python<'_>, client: &Handle, line: &core::Measurement) -> PyResult<()> {
    process::ensure_started(py);
    if client.may_block() {
        let added = process::interruptible(py, || client.core().add_measurement(line))?;
        return added.map_err(value_error);
    }
    client.add(py, line).map_err(value_error)
}
