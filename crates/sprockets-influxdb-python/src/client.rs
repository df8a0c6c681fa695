//! The one client of the process, as the package's functions use it.

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sprockets_influxdb::{self as core, Client, Config, Origin};

use crate::flush::{Flush, report};
use crate::log;
use crate::measurement::{self, Measurement, with_recorded};
use crate::process;

static CLIENT: ArcSwapOption<Client> = ArcSwapOption::const_empty();
static BASE_TAGS: ArcSwapOption<Py<PyDict>> = ArcSwapOption::const_empty();
/// Whether an add may wait for room, which is then done without the interpreter's lock.
static MAY_BLOCK: AtomicBool = AtomicBool::new(false);
/// Held only with the interpreter's lock, and while no Python code runs: so nobody ever waits for it, and nobody holds it
/// when a process forks.
static CHANGES: Mutex<Changes> =
    Mutex::new(Changes { is_installed: false, options: Vec::new(), password: None });
/// Until when somebody waits for the client's shutdown, in the process of that generation.
static WAITED_UNTIL: ArcSwapOption<(u64, Instant)> = ArcSwapOption::const_empty();

/// What only changes of the configuration need; one at a time.
struct Changes {
    is_installed: bool,
    /// What was set before the installation, which reads the environment anew.
    options: Options,
    /// The environment's password, as it was before it was masked there.
    password: Option<OsString>,
}

/// A setting's name and its value, as text.
type Options = Vec<(String, String)>;
type Tags = Vec<(String, String)>;

impl Changes {
    /// The environment's configuration, changed by what was set so far, and by this.
    fn configure(&mut self, options: &Options, base_tags: Option<Tags>) -> core::Result<Config> {
        const PASSWORD: &str = "INFLUXDB_PASSWORD";
        let is_mask = |value: &OsString| value.as_encoded_bytes().iter().all(|byte| *byte == b'X');
        if let Some(password) = std::env::var_os(PASSWORD).filter(|value| !is_mask(value)) {
            self.password = Some(password);
        }
        let lookup = |variable: &str| {
            let value = std::env::var_os(variable)?;
            let masked = variable == PASSWORD && is_mask(&value);
            self.password.clone().filter(|_| masked).or(Some(value))
        };
        let config = changed(Config::new().with_lookup(lookup)?, &self.options, None)?;
        changed(config, options, base_tags)
    }

    /// A client by the environment, unless there is one.
    fn first_use(&mut self) -> core::Result<Option<Arc<Client>>> {
        if CLIENT.load().is_some() {
            return Ok(None);
        }
        self.change(&Vec::new(), None).map(Some)
    }

    /// The client there is, changed, or a new one by the environment, changed.
    fn change(&mut self, options: &Options, base_tags: Option<Tags>) -> core::Result<Arc<Client>> {
        let client = match CLIENT.load_full() {
            Some(client) if self.is_installed => {
                client.reconfigure(|config| changed(config, options, base_tags))?;
                client
            }
            Some(client) => {
                let config = self.configure(options, base_tags)?;
                client.reconfigure(|_| Ok(config))?;
                client
            }
            None => {
                log::watch();
                Arc::new(Client::new(self.configure(options, base_tags)?)?)
            }
        };
        MAY_BLOCK.store(setting(&client, "overflow") == "block", Ordering::Relaxed);
        CLIENT.store(Some(client.clone()));
        Ok(client)
    }
}

/// Does in Python what a new configuration asks for. That may run any Python code, and adds of other threads: so it is
/// done after the change.
fn announce(py: Python<'_>, client: &Client) -> PyResult<()> {
    let tags = PyDict::new(py);
    for (name, value) in client.base_tags() {
        tags.set_item(name, value)?;
    }
    BASE_TAGS.store(Some(Arc::new(tags.unbind())));
    py.import("sprockets_influxdb._lifecycle")?.call_method0("begin")?;
    Ok(())
}

fn changed(mut config: Config, options: &Options, base_tags: Option<Tags>) -> core::Result<Config> {
    for (name, value) in options {
        config = config.set(name, value)?;
    }
    Ok(match base_tags {
        Some(tags) => config.base_tags(tags),
        None => config,
    })
}

fn value_error(error: core::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn changes() -> impl std::ops::DerefMut<Target = Changes> {
    CHANGES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn setting(client: &Client, name: &str) -> String {
    let settings = client.settings();
    let setting = settings.iter().find(|setting| setting.name() == name);
    setting.map(|setting| setting.value().to_owned()).unwrap_or_default()
}

/// The client; without one, one that the environment describes.
fn client(py: Python<'_>) -> PyResult<Guard<Option<Arc<Client>>>> {
    let client = CLIENT.load();
    if client.is_some() {
        return Ok(client);
    }
    let made = changes().first_use();
    if let Some(made) = made.map_err(value_error)? {
        announce(py, &made)?;
    }
    Ok(CLIENT.load())
}

/// The base tags, once there is a client.
pub(crate) fn base_tags(py: Python<'_>) -> Option<Bound<'_, PyDict>> {
    BASE_TAGS.load().as_ref().map(|tags| tags.bind(py).clone())
}

/// Makes the client, or changes the one that the first measurement made. Returns whether this call installed it;
/// `None` where it is not enabled.
#[pyfunction]
pub(crate) fn install(
    py: Python<'_>,
    options: Options,
    base_tags: Option<Tags>,
) -> PyResult<Option<bool>> {
    let (client, is_enabled) = {
        let mut changes = changes();
        if changes.is_installed {
            return Ok(Some(false));
        }
        let client = changes.change(&options, base_tags).map_err(value_error)?;
        changes.is_installed = setting(&client, "enabled") != "false";
        (client, changes.is_installed)
    };
    announce(py, &client)?;
    Ok(is_enabled.then_some(true))
}

/// Changes settings of the client, effective at once.
#[pyfunction]
pub(crate) fn configure(py: Python<'_>, options: Options) -> PyResult<()> {
    let client = {
        let mut changes = changes();
        let client = changes.change(&options, None).map_err(value_error)?;
        if !changes.is_installed {
            changes.options.retain(|(kept, _)| options.iter().all(|(name, _)| kept != name));
            changes.options.extend(options);
        }
        client
    };
    announce(py, &client)
}

/// Ends the client without a wait, back to the state before there was one.
#[pyfunction]
pub(crate) fn reset(py: Python<'_>) {
    let client = {
        let mut changes = changes();
        changes.is_installed = false;
        changes.options.clear();
        MAY_BLOCK.store(false, Ordering::Relaxed);
        CLIENT.swap(None)
    };
    WAITED_UNTIL.store(None);
    BASE_TAGS.store(None);
    if let Some(client) = client {
        py.detach(|| {
            client.shutdown(Duration::ZERO);
            drop(client);
        });
    }
}

/// Whether measurements are recorded; without a client by one that the environment describes.
pub(crate) fn is_enabled(py: Python<'_>) -> PyResult<bool> {
    Ok(client(py)?.as_ref().is_some_and(|client| client.is_enabled()))
}

pub(crate) fn add(py: Python<'_>, line: &core::Measurement) -> PyResult<()> {
    let client = client(py)?;
    let Some(client) = client.as_deref() else { return Ok(()) };
    process::ensure_begun(py);
    if MAY_BLOCK.load(Ordering::Relaxed) {
        return process::interruptible(py, || client.add_measurement(line))?.map_err(value_error);
    }
    client.add_measurement(line).map_err(value_error)
}

/// Adds a measurement to the buffer: a copy into memory, without a wait for anything (other than with
/// ``overflow="block"`` on a full buffer). It can be changed and added again afterwards.
///
/// Before :func:`install`, the environment's configuration is in force. While the client is disabled or shut down, and
/// while the buffer is full, the measurement is dropped, which :func:`stats` and the log tell.
///
/// :param Measurement measurement: what to record
/// :raises ValueError: for a measurement that can never be stored: without a field, with a field of another type than
///     ``int``, ``float``, ``bool`` or ``str``, with an ``int`` beyond 64 bits, or without a name or a database
#[pyfunction]
pub(crate) fn add_measurement(measurement: &Bound<'_, Measurement>) -> PyResult<()> {
    let py = measurement.py();
    Measurement::with_line(measurement, |line| add(py, line))
}

/// Records a measurement in one call: as :func:`add_measurement`, without an object for it, and so faster.
///
/// :param str database: the database (bucket) to write to
/// :param str name: the measurement's name
/// :param dict tags: further tags, beside the base tags; a value is written as its ``str()``, ``None`` is left out
/// :param dict fields: the fields, at least one: ``int``, ``float``, ``bool`` or ``str``
/// :param float timestamp: seconds since the epoch; now, by default
/// :raises ValueError: as :func:`add_measurement` does, and for a timestamp that is not a number, or out of range
#[pyfunction]
#[pyo3(signature = (database, name, tags=None, fields=None, timestamp=None))]
pub(crate) fn record(
    py: Python<'_>,
    database: &Bound<'_, PyAny>,
    name: &Bound<'_, PyAny>,
    tags: Option<&Bound<'_, PyDict>>,
    fields: Option<&Bound<'_, PyDict>>,
    timestamp: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let nanoseconds =
        timestamp.map_or_else(|| Ok(measurement::stamp()), measurement::nanoseconds)?;
    with_recorded(database, name, tags, fields, nanoseconds, |line| add(py, line))
}

/// Records a measurement as [`record`] does, of a time that [`stamp`] gave.
#[pyfunction]
pub(crate) fn record_at(
    py: Python<'_>,
    nanoseconds: i64,
    database: &Bound<'_, PyAny>,
    name: &Bound<'_, PyAny>,
    tags: &Bound<'_, PyDict>,
    fields: &Bound<'_, PyDict>,
) -> PyResult<()> {
    let (tags, fields) = (Some(tags), Some(fields));
    with_recorded(database, name, tags, fields, nanoseconds, |line| add(py, line))
}

/// The time for a measurement that is made later; `None` while nothing is recorded. Before there is a client, only the
/// first measurement finds that out.
#[pyfunction]
pub(crate) fn stamp() -> Option<i64> {
    let is_enabled = CLIENT.load().as_ref().is_none_or(|client| client.is_enabled());
    is_enabled.then(measurement::stamp)
}

/// The tags that new measurements begin with.
#[pyfunction]
#[pyo3(name = "base_tags")]
pub(crate) fn base_tags_in_force(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    match base_tags(py) {
        Some(tags) => tags.copy(),
        None => Ok(PyDict::new(py)),
    }
}

/// Begins a flush, to be waited for by its file descriptor; `None` without a client.
#[pyfunction]
pub(crate) fn flush_begin() -> PyResult<Option<Flush>> {
    CLIENT.load_full().map(|client| Flush::new(client.flush_async())).transpose()
}

#[pyfunction]
pub(crate) fn shutdown_begin() -> PyResult<Option<Flush>> {
    let Some(client) = CLIENT.load_full() else { return Ok(None) };
    wait_until(Instant::now() + shutdown_timeout(&client));
    Flush::new(client.shutdown_async()).map(Some)
}

/// Submits what is buffered, and blocks until everything that was added before the call has been decided (delivered,
/// rejected or dropped). In an event loop, :func:`flush` is the one to use; with gevent, all greenlets wait.
///
/// :param float timeout: the most to wait, in seconds; by default the shutdown timeout
///     (``INFLUXDB_SHUTDOWN_TIMEOUT``; 5 s)
/// :returns: how many of those measurements were ``delivered``, ``rejected``, ``sampled_out`` and ``dropped``, and how
///     many are still ``pending``
/// :rtype: dict
/// :raises ValueError: for a timeout that is negative or not a number
///
/// Ctrl-C, and whatever else a signal's handler raises, ends the wait.
#[pyfunction]
#[pyo3(signature = (timeout=None))]
pub(crate) fn flush_sync<'py>(
    py: Python<'py>,
    timeout: Option<f64>,
) -> PyResult<Bound<'py, PyDict>> {
    wait(py, timeout, |client, timeout, asked| client.flush_unless(timeout, asked))
}

/// Takes no more measurements, and does as :func:`flush_sync`. What is added later is dropped.
///
/// :param float timeout: the most to wait, in seconds; by default the shutdown timeout
///     (``INFLUXDB_SHUTDOWN_TIMEOUT``; 5 s)
/// :returns: as :func:`flush_sync`
/// :rtype: dict
/// :raises ValueError: for a timeout that is negative or not a number
#[pyfunction]
#[pyo3(signature = (timeout=None))]
pub(crate) fn shutdown_sync<'py>(
    py: Python<'py>,
    timeout: Option<f64>,
) -> PyResult<Bound<'py, PyDict>> {
    let report = wait(py, timeout, |client, timeout, asked| client.shutdown_unless(timeout, asked));
    wait_until(Instant::now());
    report
}

/// Shuts down for the end of the process. Whoever did that before is not made to wait longer than they would.
#[pyfunction]
pub(crate) fn end(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let left = CLIENT.load_full().map(|client| time_left(&client).as_secs_f64());
    let report = wait(py, left, |client, timeout, asked| client.shutdown_unless(timeout, asked))?;
    py.detach(core::await_sigterm);
    Ok(report)
}

/// Ends the client of a process that dies of a signal, as [`end`] does: without the interpreter.
/// Returns how many measurements are lost, and how many wait in the spool.
pub(crate) fn end_before_signal() -> (u64, u64) {
    let Some(client) = CLIENT.load_full() else { return (0, 0) };
    // The signal does not end the first process of a container: its client goes on.
    let report = if std::process::id() == 1 {
        client.flush(shutdown_timeout(&client))
    } else {
        client.shutdown(time_left(&client))
    };
    let spooled = report.pending.min(client.stats().spooled);
    (report.pending - spooled, spooled)
}

/// Notes that whoever shuts the client down waits until then, unless they did before.
fn wait_until(new: Instant) {
    if deadline().is_none() {
        WAITED_UNTIL.store(Some(Arc::new((core::generation(), new))));
    }
}

/// How long the end of the process may wait from now on.
fn time_left(client: &Client) -> Duration {
    let now = Instant::now();
    wait_until(now + shutdown_timeout(client));
    deadline().map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(now))
}

fn deadline() -> Option<Instant> {
    let waited_until = WAITED_UNTIL.load_full()?;
    let (generation, deadline) = *waited_until;
    (generation == core::generation()).then_some(deadline)
}

fn shutdown_timeout(client: &Client) -> Duration {
    let milliseconds = setting(client, "shutdown_timeout").parse::<f64>();
    Duration::from_secs_f64(milliseconds.unwrap_or_default() / 1e3)
}

fn wait(
    py: Python<'_>,
    timeout: Option<f64>,
    flush: impl FnOnce(&Client, Duration, &mut (dyn FnMut() -> bool + Send)) -> core::Report + Send,
) -> PyResult<Bound<'_, PyDict>> {
    let Some(client) = CLIENT.load_full() else { return report(py, &core::Report::default()) };
    let timeout = match timeout {
        Some(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| {
            PyValueError::new_err(format!("timeout is {seconds}: expected seconds, not negative"))
        })?,
        None => shutdown_timeout(&client),
    };
    let mut signal = Ok(());
    let mut is_interrupted = || {
        signal = Python::attach(|py| py.check_signals());
        signal.is_err()
    };
    let decided = py.detach(|| flush(&client, timeout, &mut is_interrupted));
    signal?;
    report(py, &decided)
}

/// The books, in one piece: ``added`` is at every moment the sum of ``delivered``, ``rejected``, ``sampled_out``, all of
/// ``dropped``, and ``pending``.
///
/// Beside these, counted in measurements: ``recovered`` (of those added, the ones that were found in the spool),
/// ``spooled`` (of those pending, the ones that are in the spool, so that they outlive the process), ``batches`` (requests, of
/// which ``retries`` were repeated), ``bytes_sent`` (of bodies, compressed), ``non_finite`` (fields left out as NaN or
/// infinite), ``repaired`` (measurements whose names or tags no server stores as they were), and ``last_error``, the
/// newest failure in words, or ``None``. ``dropped`` is a dict of its own: counts by reason. All are 0 before there is
/// a client.
///
/// :rtype: dict
#[pyfunction]
pub(crate) fn stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let stats = CLIENT.load().as_ref().map(|client| client.stats()).unwrap_or_default();
    let dropped = PyDict::new(py);
    for (reason, count) in stats.dropped.iter() {
        dropped.set_item(reason.as_str(), count)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("added", stats.added)?;
    dict.set_item("recovered", stats.recovered)?;
    dict.set_item("delivered", stats.delivered)?;
    dict.set_item("rejected", stats.rejected)?;
    dict.set_item("sampled_out", stats.sampled_out)?;
    dict.set_item("dropped", dropped)?;
    dict.set_item("pending", stats.pending)?;
    dict.set_item("spooled", stats.spooled)?;
    dict.set_item("batches", stats.batches)?;
    dict.set_item("retries", stats.retries)?;
    dict.set_item("bytes_sent", stats.bytes_sent)?;
    dict.set_item("non_finite", stats.non_finite)?;
    dict.set_item("repaired", stats.repaired)?;
    dict.set_item("last_error", stats.last_error)?;
    Ok(dict)
}

/// Name, value in force, default and origin of each setting, as text.
#[pyfunction]
pub(crate) fn settings(
    py: Python<'_>,
) -> PyResult<Vec<(&'static str, String, &'static str, &'static str)>> {
    let settings = client(py)?.as_ref().map(|client| client.settings()).unwrap_or_default();
    let rows = settings.iter().map(|setting| {
        let origin = match setting.origin() {
            Origin::Environment => "environment",
            Origin::Argument => "argument",
            _ => "default",
        };
        (setting.name(), setting.value().to_owned(), setting.default(), origin)
    });
    Ok(rows.collect())
}
