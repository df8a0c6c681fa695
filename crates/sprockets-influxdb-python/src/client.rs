//! The client of the process, and the functions that configure it and add to it.

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::Guard;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use sprockets_influxdb::{self as core, Client, Config, Overflow, SettingValue};

use crate::base_tags;
use crate::conversion;
use crate::current::CLIENT;
use crate::flush;
use crate::items::dict_of;
use crate::line::{Head, with_recorded};
use crate::log;
use crate::measurement::Measurement;
use crate::process;
use crate::timestamp;

/// Whether adding may wait for room. The wait happens without the interpreter's lock.
static MAY_BLOCK: AtomicBool = AtomicBool::new(false);
/// See [`need_server`].
static NEEDS_SERVER: AtomicBool = AtomicBool::new(false);
const ENABLED: &str = "INFLUXDB_ENABLED";
/// Locked only with the interpreter's lock and while no Python code runs. So no thread ever waits
/// for it, and no thread holds it when the process forks.
static CHANGES: Mutex<Changes> =
    Mutex::new(Changes { is_installed: false, options: Vec::new(), password: None });

/// The state that only changes of the configuration need.
struct Changes {
    is_installed: bool,
    /// What was set before `install()`, which reads the environment again.
    options: Options,
    /// The password of the environment, before it was masked there.
    password: Option<OsString>,
}

/// Names of settings with their values, as text.
type Options = Vec<(String, String)>;
type Tags = Vec<(String, String)>;

impl Changes {
    /// The configuration of the environment, of the options set before, and of these.
    fn configure(&mut self, options: &Options, base_tags: Option<Tags>) -> Config {
        const PASSWORD: &str = "INFLUXDB_PASSWORD";
        let is_mask = |value: &OsString| value.as_encoded_bytes().iter().all(|byte| *byte == b'X');
        if let Some(password) = std::env::var_os(PASSWORD).filter(|value| !is_mask(value)) {
            self.password = Some(password);
        }
        let lacks_server = lacks_server([&self.options, options]);
        let lookup = |variable: &str| {
            let value = std::env::var_os(variable);
            if value.is_none() && variable == ENABLED && lacks_server {
                return Some("false".into());
            }
            let value = value?;
            let masked = variable == PASSWORD && is_mask(&value);
            self.password.clone().filter(|_| masked).or(Some(value))
        };
        let config = changed(Config::new().with_lookup(lookup), &self.options, None);
        changed(config, options, base_tags)
    }

    /// Makes a client that the environment configures, unless there is one.
    fn first_use(&mut self) -> core::Result<Option<Arc<Client>>> {
        if CLIENT.load().is_some() {
            return Ok(None);
        }
        self.change(&Vec::new(), None).map(Some)
    }

    /// Changes the client, or makes one that the environment and these options configure.
    fn change(&mut self, options: &Options, base_tags: Option<Tags>) -> core::Result<Arc<Client>> {
        let client = match CLIENT.load_full() {
            Some(client) if self.is_installed => {
                client.reconfigure(|config| changed(config, options, base_tags))?;
                client
            }
            Some(client) => {
                let config = self.configure(options, base_tags);
                client.reconfigure(|_| config)?;
                client
            }
            None => {
                log::watch();
                Arc::new(Client::new(self.configure(options, base_tags))?)
            }
        };
        let blocks = SettingValue::Overflow(Overflow::Block);
        let may_block = client.settings().iter().any(|setting| *setting.value() == blocks);
        MAY_BLOCK.store(may_block, Ordering::Relaxed);
        CLIENT.store(Some(client.clone()));
        Ok(client)
    }
}

/// Does in Python what follows from a new configuration. That may run any Python code, and let
/// other threads add measurements, so it happens after the change.
fn announce(py: Python<'_>, client: &Client) -> PyResult<()> {
    base_tags::set(py, client.base_tags())?;
    py.import("sprockets_influxdb._lifecycle")?.call_method0("begin")?;
    Ok(())
}

/// Whether a server is needed, and neither the environment nor an option names one.
fn lacks_server(options: [&Options; 2]) -> bool {
    const SETTINGS: [&str; 3] = ["url", "host", "port"];
    const VARIABLES: [&str; 3] = ["INFLUXDB_URL", "INFLUXDB_HOST", "INFLUXDB_PORT"];
    NEEDS_SERVER.load(Ordering::Relaxed)
        && !options.into_iter().flatten().any(|(name, _)| SETTINGS.contains(&&**name))
        && !VARIABLES.iter().any(|variable| std::env::var_os(variable).is_some())
}

/// Whether a client is disabled unless a server is configured. By default it writes to localhost,
/// which is not what a test means.
#[pyfunction]
pub(crate) fn need_server(is_needed: bool) {
    NEEDS_SERVER.store(is_needed, Ordering::Relaxed);
}

fn changed(config: Config, options: &Options, base_tags: Option<Tags>) -> Config {
    let config = options.iter().fold(config, |config, (name, value)| config.set(name, value));
    config.base_tags(base_tags.unwrap_or_default())
}

pub(crate) fn value_error(error: core::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn changes() -> impl std::ops::DerefMut<Target = Changes> {
    CHANGES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The client. The first call makes one that the environment configures.
pub(crate) fn client(py: Python<'_>) -> PyResult<Guard<Option<Arc<Client>>>> {
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

/// Makes the client, or changes the one that the first measurement made. Returns whether this call
/// installed it; `None` if it is disabled.
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
        changes.is_installed = client.is_enabled();
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

/// Ends the client without a wait. Afterwards everything is as before there was one.
#[pyfunction]
pub(crate) fn reset(py: Python<'_>) {
    let client = {
        let mut changes = changes();
        changes.is_installed = false;
        changes.options.clear();
        MAY_BLOCK.store(false, Ordering::Relaxed);
        CLIENT.swap(None)
    };
    flush::forget_deadline();
    base_tags::clear();
    if let Some(client) = client {
        py.detach(|| {
            client.shutdown(Duration::ZERO);
            drop(client);
        });
    }
}

/// Whether measurements are recorded.
pub(crate) fn is_enabled(py: Python<'_>) -> PyResult<bool> {
    Ok(client(py)?.as_ref().is_some_and(|client| client.is_enabled()))
}

/// The last error of the client, if there is a client.
pub(crate) fn last_error() -> Option<String> {
    CLIENT.load().as_ref().and_then(|client| client.stats().last_error)
}

pub(crate) fn add(py: Python<'_>, line: &core::Measurement) -> PyResult<()> {
    let client = client(py)?;
    let Some(client) = client.as_deref() else { return Ok(()) };
    process::ensure_started(py);
    if MAY_BLOCK.load(Ordering::Relaxed) {
        return process::interruptible(py, || client.add_measurement(line))?.map_err(value_error);
    }
    client.add_measurement(line).map_err(value_error)
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
    let py = measurement.py();
    if !measurement.try_borrow()?.is_recording(py)? {
        return Ok(());
    }
    Measurement::with_line(measurement, |line| add(py, line))
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
    py: Python<'_>,
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
    with_recorded(&head, tags.as_ref(), fields.as_ref(), |line| add(py, line))
}

/// The text of a base tag. `None` if it is left out.
#[pyfunction]
pub(crate) fn base_tag_text(
    name: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> PyResult<Option<String>> {
    conversion::tag_text(name, value)
}

/// The time for a measurement that is made later, in nanoseconds since the epoch. `None` if the
/// client is disabled. Without a client, only the first measurement finds that out.
#[pyfunction]
pub(crate) fn stamp() -> Option<i64> {
    let is_enabled = CLIENT.load().as_ref().is_none_or(|client| client.is_enabled());
    is_enabled.then(timestamp::now)
}
