//! The installed client: how it is made, configured and replaced.

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::Guard;
use pyo3::prelude::*;
use sprockets_influxdb::{self as core, Client, Config, internal};

use crate::handle::{self, Handle, INSTALLED, installed};
use crate::log;
use crate::rejected::Callback;
use crate::value::value_error;

/// Locked only with the interpreter's lock and while no Python code runs. So no thread ever waits
/// for it, and no thread holds it when the process forks.
static CHANGES: Mutex<Changes> = Mutex::new(Changes {
    is_installed: false,
    before: Provided::EMPTY,
    password: None,
    without_server: WithoutServer { installed: Provided::EMPTY, clients: Vec::new() },
});

/// See [`need_server`].
static NEEDS_SERVER: AtomicBool = AtomicBool::new(false);

/// The state that only changes of the configuration need.
struct Changes {
    is_installed: bool,
    /// What was set before `install()`, which reads the environment again.
    before: Provided,
    /// The password of the environment, before it was masked there.
    password: Option<OsString>,
    without_server: WithoutServer,
}

/// What was made while a server was needed and none was configured: see [`need_server`].
struct WithoutServer {
    /// What `install()` was called with.
    installed: Provided,
    clients: Vec<Undirected>,
}

/// A client that is disabled because no server is configured.
struct Undirected {
    client: Weak<Handle>,
    provided: Provided,
    /// Its configuration, while another one directs it to a server.
    kept: Option<Config>,
}

/// Names of settings with their values, as text.
pub(crate) type Options = Vec<(String, String)>;
pub(crate) type Tags = Vec<(String, String)>;

/// What the program passes to `install()` or to a client.
#[derive(Clone)]
pub(crate) struct Provided {
    options: Options,
    base_tags: Tags,
    on_rejected: Option<Arc<Callback>>,
}

impl Provided {
    const EMPTY: Self = Self { options: Vec::new(), base_tags: Vec::new(), on_rejected: None };

    pub(crate) fn new(
        options: Options,
        base_tags: Option<Tags>,
        on_rejected: Option<Py<PyAny>>,
    ) -> Self {
        let on_rejected = on_rejected.map(|function| Arc::new(Callback(function)));
        Self { options, base_tags: base_tags.unwrap_or_default(), on_rejected }
    }

    fn apply(&self, config: Config) -> Config {
        let config =
            self.options.iter().fold(config, |config, (name, value)| config.set(name, value));
        let config = config.base_tags(self.base_tags.clone());
        match self.on_rejected.clone() {
            Some(callback) => {
                config.on_rejected(move |rejected| log::keep_rejected(&callback, rejected))
            }
            None => config,
        }
    }
}

impl Changes {
    /// The configuration of the environment. `options` have precedence over it.
    fn environment(&mut self, options: &Options) -> Config {
        const PASSWORD: &str = "INFLUXDB_PASSWORD";
        let is_mask = |value: &OsString| value.as_encoded_bytes().iter().all(|byte| *byte == b'X');
        if let Some(password) = std::env::var_os(PASSWORD).filter(|value| !is_mask(value)) {
            self.password = Some(password);
        }
        let lacks_server = lacks_server([&self.before.options, options]);
        internal::with_environment(Config::new(), |variable| {
            let value = std::env::var_os(variable);
            if value.is_none() && variable == "INFLUXDB_ENABLED" && lacks_server {
                return Some("false".into());
            }
            let value = value?;
            let masked = variable == PASSWORD && is_mask(&value);
            self.password.clone().filter(|_| masked).or(Some(value))
        })
    }

    /// The configuration of the environment, of the options set before, and of these.
    fn configure(&mut self, provided: &Provided) -> Config {
        let environment = self.environment(&provided.options);
        provided.apply(self.before.apply(environment))
    }

    /// Changes the client, or makes one that the environment and these options configure.
    fn change(&mut self, provided: &Provided) -> core::Result<Arc<Handle>> {
        match INSTALLED.load_full() {
            Some(client) if self.is_installed => {
                client.reconfigure(|config| provided.apply(config))?;
                Ok(client)
            }
            Some(client) => {
                let config = self.configure(provided);
                client.reconfigure(|_| config)?;
                Ok(client)
            }
            None => {
                let client = start(self.configure(provided))?;
                Python::attach(|py| handle::set_installed(py, Some(client.clone())));
                Ok(client)
            }
        }
    }
}

/// Whether a server is needed, and neither the environment nor an option names one.
fn lacks_server(options: [&Options; 2]) -> bool {
    const VARIABLES: [&str; 3] = ["INFLUXDB_URL", "INFLUXDB_HOST", "INFLUXDB_PORT"];
    NEEDS_SERVER.load(Ordering::Relaxed)
        && !options.into_iter().any(names_server)
        && !VARIABLES.iter().any(|variable| std::env::var_os(variable).is_some())
}

fn names_server(options: &Options) -> bool {
    options.iter().any(|(name, _)| matches!(&**name, "url" | "host" | "port"))
}

/// Whether a client is disabled unless a server is configured. By default it writes to localhost,
/// which is not what a test means.
#[pyfunction]
pub(crate) fn need_server(is_needed: bool) {
    NEEDS_SERVER.store(is_needed, Ordering::Relaxed);
}

fn start(config: Config) -> core::Result<Arc<Handle>> {
    log::watch();
    Client::new(config).map(Handle::new)
}

/// Does in Python what follows from a new configuration. That may run any Python code, and let
/// other threads add measurements, so it happens after the change.
fn announce(py: Python<'_>, client: &Handle) -> PyResult<()> {
    client.read_defaults(py)?;
    py.import("sprockets_influxdb._lifecycle")?.call_method0("begin")?;
    Ok(())
}

fn changes() -> impl std::ops::DerefMut<Target = Changes> {
    CHANGES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The installed client. The first call makes one that the environment configures.
#[inline]
pub(crate) fn current(py: Python<'_>) -> PyResult<Guard<Option<Arc<Handle>>>> {
    let client = INSTALLED.load();
    if client.is_some() {
        return Ok(client);
    }
    first_use(py)
}

/// A configuration that cannot be used must not fail the code that records: it is logged, and the
/// client is disabled until `install()` succeeds.
#[cold]
fn first_use(py: Python<'_>) -> PyResult<Guard<Option<Arc<Handle>>>> {
    let made = changes().change(&Provided::EMPTY);
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            let disabled = start(Config::new().set("enabled", "false")).map_err(value_error)?;
            handle::set_installed(py, Some(disabled.clone()));
            log::keep_error(format!(
                "nothing is recorded: {error}. Call install() when the program starts, so that it \
                 fails there"
            ));
            disabled
        }
    };
    announce(py, &made)?;
    Ok(INSTALLED.load())
}

/// As [`current`], but fails for a configuration that cannot be used: for calls whose caller can
/// deal with that.
pub(crate) fn configured(py: Python<'_>) -> PyResult<Guard<Option<Arc<Handle>>>> {
    if INSTALLED.load().is_none() {
        let made = changes().change(&Provided::EMPTY).map_err(value_error)?;
        announce(py, &made)?;
    }
    Ok(INSTALLED.load())
}

/// Makes a client beside the installed one, of the environment and of these options.
pub(crate) fn open(py: Python<'_>, provided: &Provided) -> PyResult<Arc<Handle>> {
    py.detach(handle::forget_unused);
    let config = provided.apply(changes().environment(&provided.options));
    let client = start(config).map_err(value_error)?;
    let is_undirected = lacks_server([&provided.options; 2]) && !client.core().is_enabled();
    // The module is imported once, by the first test that needs it.
    let is_imported = !is_undirected && is_made_by_import_of_test(py, &provided.options)?;
    if is_undirected || is_imported {
        let without = || provided.apply(Config::new().set("enabled", "false"));
        let kept = is_imported.then(without);
        let undirected =
            Undirected { client: Arc::downgrade(&client), provided: provided.clone(), kept };
        let clients = &mut changes().without_server.clients;
        clients.retain(|other| other.client.strong_count() > 0);
        clients.push(undirected);
    }
    announce(py, &client)?;
    Ok(client)
}

/// Makes the installed client, or changes the one that the first measurement made. Replaces one
/// that is shut down. Returns whether this call installed it; `None` if it is disabled.
#[pyfunction]
#[pyo3(signature = (options, base_tags, on_rejected))]
pub(crate) fn install(
    py: Python<'_>,
    options: Options,
    base_tags: Option<Tags>,
    on_rejected: Option<Py<PyAny>>,
) -> PyResult<Option<bool>> {
    let provided = Provided::new(options, base_tags, on_rejected);
    let is_imported = is_made_by_import_of_test(py, &provided.options)?;
    let is_over = installed().as_ref().is_some_and(|client| client.is_shut_down());
    if is_over {
        let config = changes().configure(&provided);
        config.settings().map_err(value_error)?;
        // The old client goes on until all that it has is delivered.
        uninstall();
        py.detach(handle::forget_unused);
    }
    let (client, is_enabled) = {
        let mut changes = changes();
        if changes.is_installed {
            return Ok(Some(false));
        }
        let client = changes.change(&provided).map_err(value_error)?;
        changes.is_installed = client.core().is_enabled();
        let lacks_server = lacks_server([&changes.before.options, &provided.options]);
        if is_imported || (lacks_server && !changes.is_installed && !is_in_test()) {
            changes.without_server.installed = provided;
        }
        (client, changes.is_installed)
    };
    announce(py, &client)?;
    Ok(is_enabled.then_some(true))
}

fn uninstall() -> Option<Arc<Handle>> {
    changes().is_installed = false;
    Python::attach(|py| handle::set_installed(py, None))
}

/// Changes settings of the installed client, effective at once.
#[pyfunction]
pub(crate) fn configure(py: Python<'_>, options: Options) -> PyResult<()> {
    let provided = Provided::new(options, None, None);
    let client = {
        let mut changes = changes();
        let client = changes.change(&provided).map_err(value_error)?;
        if !changes.is_installed {
            let new = provided.options;
            let options = &mut changes.before.options;
            options.retain(|(kept, _)| new.iter().all(|(name, _)| kept != name));
            options.extend(new);
        }
        client
    };
    announce(py, &client)
}

/// Ends the installed client without a wait. Afterwards everything is as before there was one.
#[pyfunction]
pub(crate) fn reset(py: Python<'_>) {
    changes().before = Provided::EMPTY;
    let client = uninstall();
    if let Some(client) = client {
        handle::forget(&client);
        py.detach(|| {
            client.core().shutdown(Duration::ZERO);
            drop(client);
        });
    }
    py.detach(handle::forget_unused);
}

/// Directs what was made without a server to the one that the environment names: the clients, and
/// the arguments of `install()`, which apply to the next installed client.
#[pyfunction]
pub(crate) fn direct_clients(py: Python<'_>) -> PyResult<()> {
    let mut directed = Vec::new();
    let outcome = {
        let mut changes = changes();
        changes.before = changes.without_server.installed.clone();
        let mut clients = std::mem::take(&mut changes.without_server.clients);
        let outcome = clients.iter_mut().try_for_each(|undirected| {
            let Some(client) = undirected.client.upgrade() else { return Ok(()) };
            let environment = changes.environment(&undirected.provided.options);
            let config = undirected.provided.apply(environment);
            let kept = &mut undirected.kept;
            client.reconfigure(|before| {
                kept.get_or_insert(before);
                config
            })?;
            directed.push(client);
            Ok(())
        });
        changes.without_server.clients = clients;
        outcome
    };
    directed.iter().try_for_each(|client| announce(py, client))?;
    outcome.map_err(value_error)
}

/// Undoes [`direct_clients`]. What the clients have not delivered is dropped.
#[pyfunction]
pub(crate) fn undirect_clients(py: Python<'_>) -> PyResult<()> {
    let mut directed = Vec::new();
    handle::await_requests(py);
    let outcome = {
        let mut changes = changes();
        changes.before = changes.without_server.installed.clone();
        changes.without_server.clients.iter_mut().try_for_each(|undirected| {
            let Some(kept) = undirected.kept.take() else { return Ok(()) };
            let Some(client) = undirected.client.upgrade() else { return Ok(()) };
            internal::drop_pending(client.core());
            client.reconfigure(|_| kept)?;
            directed.push(client);
            Ok(())
        })
    };
    directed.iter().try_for_each(|client| announce(py, client))?;
    outcome.map_err(value_error)
}

/// Whether a module that is imported within a test makes a client, without a server of its own. It
/// is not imported again by the next test.
fn is_made_by_import_of_test(py: Python<'_>, options: &Options) -> PyResult<bool> {
    let is_test = NEEDS_SERVER.load(Ordering::Relaxed) && current_test().is_some();
    if !is_test || names_server(options) {
        return Ok(false);
    }
    py.import("sprockets_influxdb._import_path")?.call_method0("is_importing")?.extract()
}

/// Whether a test is running, and not its module being imported or its fixtures being made.
fn is_in_test() -> bool {
    current_test().is_some_and(|test| test.ends_with("(call)"))
}

/// The test that runs, or whose fixtures are made or ended.
fn current_test() -> Option<String> {
    std::env::var("PYTEST_CURRENT_TEST").ok()
}
