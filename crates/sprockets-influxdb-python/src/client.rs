//! Clients as Python holds them, and the functions that add to the installed one.

use std::sync::{Arc, OnceLock};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use sprockets_influxdb::internal;

use crate::conversion;
use crate::flush::{self, Flush};
use crate::handle::{Handle, INSTALLED, installed};
use crate::installed::{Options, Tags, open};
use crate::items::dict_of;
use crate::line::{self, Head};
use crate::measurement::Measurement;
use crate::series::Series;
use crate::target::Target;
use crate::{stats, timestamp};

/// A client. Not for direct use: see ``sprockets_influxdb.Client``.
#[pyclass(module = "sprockets_influxdb._native", frozen, subclass)]
pub(crate) struct BaseClient(OnceLock<Target>);

#[pymethods]
impl BaseClient {
    // A subclass may have an `__init__` with other arguments.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self(OnceLock::new())
    }

    /// Makes the client, of the environment and these options.
    fn _open(&self, py: Python<'_>, options: Options, base_tags: Option<Tags>) -> PyResult<()> {
        if self.0.get().is_some() {
            return Err(PyRuntimeError::new_err("this client is open already"));
        }
        let target = Target::Own(open(py, &options, base_tags)?, None);
        // Another thread may have opened it meanwhile. Then that one counts.
        let _ = self.0.set(target);
        Ok(())
    }

    /// Makes this the installed client. Returns whether there is one.
    fn _attach(&self) -> bool {
        let client = INSTALLED.load_full();
        client.is_some_and(|client| self.0.set(Target::Own(client, None)).is_ok())
    }

    /// Whether this is the installed client.
    fn _is_installed(&self) -> PyResult<bool> {
        let client = self.handle()?;
        Ok(installed().as_ref().is_some_and(|installed| Arc::ptr_eq(installed, client)))
    }

    /// Begins a flush.
    fn _flush(&self) -> PyResult<Flush> {
        flush::begin(self.handle()?)
    }

    /// Begins a shutdown.
    fn _shutdown(&self) -> PyResult<Flush> {
        flush::begin_shutdown(self.handle()?)
    }

    /// Adds a measurement: see :func:`add_measurement`.
    fn add_measurement(&self, measurement: &Bound<'_, Measurement>) -> PyResult<()> {
        Measurement::add(measurement, self.target()?)
    }

    /// Records a measurement in one call: see :func:`record`.
    #[pyo3(signature = (
        database, name, tags=None, fields=None, timestamp=None, *, timestamp_ns=None
    ))]
    fn record(
        &self,
        database: &Bound<'_, PyAny>,
        name: &Bound<'_, PyAny>,
        tags: Option<&Bound<'_, PyAny>>,
        fields: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
        timestamp_ns: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        record_with(self.target()?, database, name, tags, fields, timestamp, timestamp_ns)
    }

    /// Prepares a series of measurements: see :func:`series`. It keeps the client open.
    #[pyo3(signature = (database, name, *, tags=None))]
    fn series(
        this: &Bound<'_, Self>,
        database: &Bound<'_, PyAny>,
        name: &Bound<'_, PyAny>,
        tags: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Series> {
        Series::new(target_of(this)?, database, name, tags)
    }

    /// Sends what is buffered, and blocks: see :func:`flush_sync`.
    #[pyo3(signature = (timeout=None))]
    fn flush_sync<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyDict>> {
        flush::flush(py, self.handle()?, timeout)
    }

    /// Accepts no more measurements, sends what is buffered, and blocks: see :func:`shutdown_sync`.
    #[pyo3(signature = (timeout=None))]
    fn shutdown_sync<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyDict>> {
        flush::shutdown(py, self.handle()?, timeout)
    }

    /// The counters of this client: see :func:`stats`.
    ///
    /// :rtype: dict
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats::counters(py, &self.handle()?.core().stats())
    }

    /// The value in force of each setting, by the names of the core.
    fn _settings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats::values(py, &self.handle()?.core().settings())
    }
}

impl BaseClient {
    #[inline]
    fn target(&self) -> PyResult<&Target> {
        self.0.get().ok_or_else(|| {
            PyRuntimeError::new_err("this client is not open: call Client.__init__() first")
        })
    }

    fn handle(&self) -> PyResult<&Arc<Handle>> {
        match self.target()? {
            Target::Own(client, _) => Ok(client),
            Target::Installed => Err(PyRuntimeError::new_err("this client is not open")),
        }
    }
}

impl Drop for BaseClient {
    fn drop(&mut self) {
        // What it has is delivered in the background, or at the end of the process.
        if let Some(Target::Own(client, _)) = self.0.get() {
            let is_installed =
                installed().as_ref().is_some_and(|installed| Arc::ptr_eq(installed, client));
            if !is_installed {
                internal::begin_shutdown(client.core());
            }
        }
    }
}

/// A client as a target that keeps it open.
pub(crate) fn target_of(client: &Bound<'_, BaseClient>) -> PyResult<Target> {
    let owner = client.clone().into_any().unbind();
    Ok(Target::Own(client.get().handle()?.clone(), Some(owner)))
}

/// Adds a measurement to the buffer. It is copied into memory; only ``overflow="block"`` waits, for
/// room in a full buffer. The measurement can be changed and added again.
///
/// Before :func:`install`, the configuration of the environment is in force. While the client is
/// disabled or shut down, and while the buffer is full, the measurement is dropped;
/// :func:`stats` and the log say so. Nothing is added for a measurement whose ``is_recording`` is
/// false.
///
/// :param Measurement measurement: what to record
/// :raises ValueError: for a measurement that can never be stored: without a field, with a value
///     that :meth:`Measurement.set_field` or :meth:`Measurement.set_tag` refuses, with an ``int``
///     beyond 64 bits, or without a name or a database
#[pyfunction]
pub(crate) fn add_measurement(measurement: &Bound<'_, Measurement>) -> PyResult<()> {
    Measurement::add(measurement, &Target::Installed)
}

/// Records a measurement in one call, as :func:`add_measurement` does, but faster: without an
/// object for it.
///
/// :param str database: the database (bucket) to write to
/// :param str name: the name of the measurement
/// :param dict tags: tags beside the base tags, as :meth:`Measurement.set_tag` takes them
/// :param dict fields: the fields, as :meth:`Measurement.set_field` takes them, at least one
/// :param timestamp: the time, as :meth:`Measurement.set_timestamp` takes it; default: now
/// :param int timestamp_ns: the time in nanoseconds since the epoch, instead of ``timestamp``
/// :raises ValueError: as :func:`add_measurement` does, and for a timestamp that is no time or out
///     of range
#[pyfunction]
#[pyo3(signature = (database, name, tags=None, fields=None, timestamp=None, *, timestamp_ns=None))]
pub(crate) fn record(
    database: &Bound<'_, PyAny>,
    name: &Bound<'_, PyAny>,
    tags: Option<&Bound<'_, PyAny>>,
    fields: Option<&Bound<'_, PyAny>>,
    timestamp: Option<&Bound<'_, PyAny>>,
    timestamp_ns: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    record_with(&Target::Installed, database, name, tags, fields, timestamp, timestamp_ns)
}

#[inline]
fn record_with(
    target: &Target,
    database: &Bound<'_, PyAny>,
    name: &Bound<'_, PyAny>,
    tags: Option<&Bound<'_, PyAny>>,
    fields: Option<&Bound<'_, PyAny>>,
    timestamp: Option<&Bound<'_, PyAny>>,
    timestamp_ns: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let nanoseconds = timestamp::given(timestamp, timestamp_ns)?;
    let tags = tags.map(|tags| dict_of("tags", tags)).transpose()?;
    let fields = fields.map(|fields| dict_of("fields", fields)).transpose()?;
    let head = Head { database, name, nanoseconds };
    line::record(&head, tags.as_ref(), fields.as_ref(), target)
}

/// The text of a base tag. `None` if it is left out.
#[pyfunction]
pub(crate) fn base_tag_text(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> PyResult<Option<String>> {
    conversion::tag_text(name, value)
}
