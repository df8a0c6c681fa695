//! Clients as Python holds them, and the functions that add to the installed one.

use std::sync::{Arc, OnceLock};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use sprockets_influxdb::internal;

use crate::capi::series::Series;
use crate::conversion;
use crate::flush::{self, Flush};
use crate::handle::{Handle, INSTALLED, installed};
use crate::installed::{Options, Provided, Tags, open};
use crate::line::{self, Head};
use crate::measurement::Measurement;
use crate::place::{Argument, Place, Recorded};
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

    fn __repr__(this: &Bound<'_, Self>) -> PyResult<String> {
        let class = this.get_type().name()?;
        let Some(Target::Own(client, _)) = this.get().0.get() else {
            return Ok(format!("<{class}: not open>"));
        };
        let address = internal::address(client.core());
        let state = match client.is_shut_down() {
            true => ": shut down",
            false if client.core().is_enabled() => "",
            false => ": disabled",
        };
        Ok(format!("<{class} {address}{state}>"))
    }

    /// Makes the client, of the environment and these options.
    #[pyo3(signature = (options, base_tags, on_rejected))]
    fn _open(
        &self,
        py: Python<'_>,
        options: Options,
        base_tags: Option<Tags>,
        on_rejected: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        if self.0.get().is_some() {
            return Err(PyRuntimeError::new_err("this client is open already"));
        }
        let provided = Provided::new(options, base_tags, on_rejected);
        let target = Target::Own(open(py, &provided)?, None);
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
    #[pyo3(
        signature = (
            database=Argument::Omitted, name=Argument::Omitted, tags=None, fields=None,
            timestamp=None, *, timestamp_ns=None
        ),
        text_signature = "($self, database=..., name=..., tags=None, fields=None, timestamp=None, \
                          *, timestamp_ns=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "they are those of Python")]
    fn record<'py>(
        &self,
        py: Python<'py>,
        database: Argument<'_, 'py>,
        name: Argument<'_, 'py>,
        tags: Option<&Bound<'py, PyAny>>,
        fields: Option<&Bound<'py, PyAny>>,
        timestamp: Option<&Bound<'py, PyAny>>,
        timestamp_ns: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let times = (timestamp, timestamp_ns);
        record_with(py, self.target()?, database, name, tags, fields, times)
    }

    /// Prepares a series of measurements: see :func:`series`. It keeps the client open.
    #[pyo3(
        signature = (database=Argument::Omitted, name=Argument::Omitted, *, tags=None),
        text_signature = "($self, database=..., name=..., *, tags=None)"
    )]
    fn series<'py>(
        this: &Bound<'py, Self>,
        database: Argument<'_, 'py>,
        name: Argument<'_, 'py>,
        tags: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, Series>> {
        Series::new(target_of(this)?, &Place::new(this.py(), database, name)?, tags)
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

    /// The client as a target. `None` before it is open.
    #[inline]
    pub(crate) fn if_open(&self) -> Option<&Target> {
        self.0.get()
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
/// Leave the database out where there is a default one (``INFLUXDB_DATABASE``, ``database=``):
/// ``record("job", {"queue": "mail"}, {"rows": 3})``.
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
#[pyo3(
    signature = (
        database=Argument::Omitted, name=Argument::Omitted, tags=None, fields=None, timestamp=None,
        *, timestamp_ns=None
    ),
    text_signature = "(database=..., name=..., tags=None, fields=None, timestamp=None, *, \
                      timestamp_ns=None)"
)]
pub(crate) fn record<'py>(
    py: Python<'py>,
    database: Argument<'_, 'py>,
    name: Argument<'_, 'py>,
    tags: Option<&Bound<'py, PyAny>>,
    fields: Option<&Bound<'py, PyAny>>,
    timestamp: Option<&Bound<'py, PyAny>>,
    timestamp_ns: Option<&Bound<'py, PyAny>>,
) -> PyResult<()> {
    let times = (timestamp, timestamp_ns);
    record_with(py, &Target::Installed, database, name, tags, fields, times)
}

#[inline]
fn record_with<'py>(
    py: Python<'py>,
    target: &Target,
    database: Argument<'_, 'py>,
    name: Argument<'_, 'py>,
    tags: Option<&Bound<'py, PyAny>>,
    fields: Option<&Bound<'py, PyAny>>,
    (timestamp, timestamp_ns): (Option<&Bound<'py, PyAny>>, Option<&Bound<'py, PyAny>>),
) -> PyResult<()> {
    if let (Argument::Given(database), Argument::Given(name)) = (database, name) {
        let (tags, fields) = (plain_dict(tags), plain_dict(fields));
        if let (true, Ok(tags), Ok(fields)) = (are_texts(&database, &name), tags, fields) {
            let nanoseconds = timestamp::given(timestamp, timestamp_ns)?;
            let head = Head { database: &database, name: &name, nanoseconds };
            return line::record(&head, tags, fields, target);
        }
    }
    let Recorded { place, tags, fields, timestamp } =
        Recorded::read(py, database, name, tags, fields, timestamp)?;
    let nanoseconds = timestamp::given(timestamp.as_ref(), timestamp_ns)?;
    let head = Head { database: &place.database, name: &place.name, nanoseconds };
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

#[inline]
fn are_texts(database: &Bound<'_, PyAny>, name: &Bound<'_, PyAny>) -> bool {
    [database, name].iter().all(|text| text.is_exact_instance_of::<PyString>())
}

/// A dict, or nothing.
#[inline]
fn plain_dict<'a, 'py>(
    value: Option<&'a Bound<'py, PyAny>>,
) -> Result<Option<&'a Bound<'py, PyDict>>, ()> {
    value.map(|value| value.cast::<PyDict>().map_err(drop)).transpose()
}
