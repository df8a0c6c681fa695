//! The clients of the process: the installed one, which the module's functions use, and those that
//! the program makes. Each is a client of the core and what Python needs beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use sprockets_influxdb::internal::{
    self, Attributes, InForce, Outcome, PlainRequest, generation, is_sending, record_plain,
};
use sprockets_influxdb::{self as core, Client, Overflow, SettingValue};

use crate::capi::cell::{GilCell, Owned};

/// The installed client, or the one that the first measurement made.
pub(crate) static INSTALLED: ArcSwapOption<Handle> = ArcSwapOption::const_empty();

/// The same, for those who have the interpreter's lock: found without atomic operations.
static LENT: GilCell<Option<Arc<Handle>>> = GilCell::new(None);

/// All clients that may have something to deliver. Read without the interpreter's lock, also before
/// a signal ends the process.
static ALL: ArcSwapOption<Vec<Arc<Handle>>> = ArcSwapOption::const_empty();

pub(crate) struct Handle {
    core: Client,
    /// The configuration, for adds that have the interpreter's lock.
    in_force: GilCell<InForce>,
    /// Whether adding may wait for room. The wait happens without the interpreter's lock.
    may_block: AtomicBool,
    defaults: GilCell<Option<Defaults>>,
    /// The deadline of a shutdown that began, and the generation of its process.
    deadline: ArcSwapOption<(u64, Instant)>,
}

/// What the client gives to measurements, as Python's objects.
struct Defaults {
    /// Not to be changed.
    base_tags: Py<PyDict>,
    database: Option<Py<PyString>>,
}

/// The installed client, if there is one.
pub(crate) fn installed() -> Guard<Option<Arc<Handle>>> {
    INSTALLED.load()
}

/// Changes the installed client. Returns the one before.
pub(crate) fn set_installed(py: Python<'_>, client: Option<Arc<Handle>>) -> Option<Arc<Handle>> {
    // It is lent only while no other code runs.
    if let Ok(mut lent) = LENT.borrow_mut(py) {
        lent.clone_from(&client);
    }
    INSTALLED.swap(client)
}

/// Calls `use_it` with the installed client. It must run no Python code.
#[inline]
pub(crate) fn with_installed<T>(
    py: Python<'_>,
    use_it: impl FnOnce(&Handle) -> Option<T>,
) -> Option<T> {
    LENT.borrow(py).ok()?.as_deref().and_then(use_it)
}

/// Whether there is an installed client.
#[inline]
pub(crate) fn has_installed(py: Python<'_>) -> bool {
    LENT.borrow(py).is_ok_and(|client| client.is_some())
}

/// The base tags of the installed client, which measurements show. Not to be changed. `None` before
/// there is a client.
#[inline]
pub(crate) fn base_tags(py: Python<'_>) -> Option<Bound<'_, PyDict>> {
    with_installed(py, |client| client.base_tags(py))
}

/// All clients of the process, those too that the program has dropped before they had delivered.
pub(crate) fn all() -> Vec<Arc<Handle>> {
    ALL.load().as_deref().cloned().unwrap_or_default()
}

/// Forgets the clients that nobody else has and that have nothing to deliver. Ends them, so call it
/// without the interpreter's lock.
pub(crate) fn forget_unused() {
    let is_unused = |handle: &Arc<Handle>| {
        // The list has one, and this copy of it the other.
        Arc::strong_count(handle) == 2 && handle.core.stats().pending == 0
    };
    for handle in all().into_iter().filter(is_unused) {
        forget(&handle);
    }
}

/// Forgets a client: the end of the process does not wait for it.
pub(crate) fn forget(handle: &Arc<Handle>) {
    ALL.rcu(|all| {
        let others = all.iter().flat_map(|all| all.iter().cloned());
        Some(Arc::new(others.filter(|other| !Arc::ptr_eq(other, handle)).collect::<Vec<_>>()))
    });
}

/// Waits until all clients have counted the outcome of the requests that are under way: they do so
/// after the server has responded. Another request may hang, so this waits for a second at most.
pub(crate) fn await_requests(py: Python<'_>) {
    let until = Instant::now() + Duration::from_secs(1);
    let is_any_sending = || all().iter().any(|client| is_sending(client.core()));
    py.detach(|| {
        while is_any_sending() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

impl Handle {
    pub(crate) fn new(core: Client) -> Arc<Self> {
        let handle = Arc::new(Self {
            in_force: GilCell::new(internal::in_force(&core)),
            core,
            may_block: AtomicBool::new(false),
            defaults: GilCell::new(None),
            deadline: ArcSwapOption::empty(),
        });
        handle.read_overflow();
        ALL.rcu(|all| {
            let others = all.iter().flat_map(|all| all.iter().cloned());
            Some(Arc::new(others.chain([handle.clone()]).collect::<Vec<_>>()))
        });
        handle
    }

    #[inline]
    pub(crate) fn core(&self) -> &Client {
        &self.core
    }

    /// Changes the configuration, effective at once.
    pub(crate) fn reconfigure(
        &self,
        change: impl FnOnce(core::Config) -> core::Config,
    ) -> core::Result<()> {
        self.core.reconfigure(change)?;
        self.read_overflow();
        Python::attach(|py| {
            // It is borrowed only while no other code runs.
            if let Ok(mut in_force) = self.in_force.borrow_mut(py) {
                *in_force = internal::in_force(&self.core);
            }
        });
        Ok(())
    }

    /// Adds a measurement, without a wait.
    #[inline]
    pub(crate) fn add(&self, py: Python<'_>, line: &core::Measurement) -> core::Result<()> {
        match self.in_force.borrow(py) {
            Ok(in_force) => internal::add_as(&self.core, &in_force, line),
            Err(_) => self.core.add_measurement(line),
        }
    }

    /// Whether measurements are recorded.
    #[inline(always)]
    pub(crate) fn is_enabled(&self, py: Python<'_>) -> bool {
        match self.in_force.borrow(py) {
            Ok(in_force) => in_force.is_enabled(),
            Err(_) => self.core.is_enabled(),
        }
    }

    /// Records a plain request. Returns false if it has to be recorded as a measurement.
    #[inline]
    pub(crate) fn record_plain(
        &self,
        py: Python<'_>,
        attributes: &Attributes,
        request: &PlainRequest<'_>,
        outcome: &Outcome,
        now: impl FnOnce() -> Duration,
    ) -> bool {
        let in_force = self.in_force.borrow(py).ok();
        record_plain(&self.core, in_force.as_deref(), attributes, request, outcome, now)
    }

    fn read_overflow(&self) {
        let blocks = SettingValue::Overflow(Overflow::Block);
        let may_block = self.core.settings().iter().any(|setting| *setting.value() == blocks);
        self.may_block.store(may_block, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn may_block(&self) -> bool {
        self.may_block.load(Ordering::Relaxed)
    }

    /// Reads base tags and default database. This may run any Python code.
    pub(crate) fn read_defaults(&self, py: Python<'_>) -> PyResult<()> {
        let dict = PyDict::new(py);
        for (name, value) in self.core.base_tags() {
            dict.set_item(name, value)?;
        }
        let database = self.core.default_database();
        let database = database.map(|name| PyString::intern(py, &name).unbind());
        let defaults = Defaults { base_tags: dict.unbind(), database };
        // Other code may run when those before are dropped.
        let before = self.defaults.borrow_mut(py)?.replace(defaults);
        drop(before);
        Ok(())
    }

    /// The base tags, not to be changed.
    #[inline]
    pub(crate) fn base_tags<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyDict>> {
        Some(self.defaults.borrow(py).ok()?.as_ref()?.base_tags.bind(py).clone())
    }

    /// The base tags, not to be changed, and the database of measurements that name none.
    #[inline]
    pub(crate) fn defaults(
        &self,
        py: Python<'_>,
    ) -> Option<(Owned<PyDict>, Option<Owned<PyString>>)> {
        let defaults = self.defaults.borrow(py).ok()?;
        let Defaults { base_tags, database } = defaults.as_ref()?;
        let database = database.as_ref().map(|database| Owned::new(database.bind(py)));
        Some((Owned::new(base_tags.bind(py)), database))
    }

    /// Whether these are the base tags.
    #[inline]
    pub(crate) fn has_base_tags(&self, py: Python<'_>, tags: &Py<PyDict>) -> bool {
        let defaults = self.defaults.borrow(py);
        defaults.is_ok_and(|defaults| defaults.as_ref().is_some_and(|own| own.base_tags.is(tags)))
    }

    /// The database of measurements that name none.
    #[inline]
    pub(crate) fn database<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        let defaults = self.defaults.borrow(py).ok()?;
        defaults.as_ref()?.database.as_ref().map(|database| database.bind(py).clone())
    }

    /// Notes that a shutdown waits at most this long. The first deadline counts.
    pub(crate) fn wait_for(&self, timeout: Duration) {
        let Some(new) = Instant::now().checked_add(timeout) else { return };
        if self.deadline().is_none_or(|earlier| new < earlier) {
            self.deadline.store(Some(Arc::new((generation(), new))));
        }
    }

    /// How long the end of the process may still wait for this client.
    pub(crate) fn time_left(&self) -> Duration {
        self.wait_for(self.core.shutdown_timeout());
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        self.deadline().map_or(Duration::ZERO, left)
    }

    /// Whether a shutdown began in this process.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.deadline().is_some()
    }

    /// The deadline of a shutdown that began in this process.
    fn deadline(&self) -> Option<Instant> {
        let deadline = self.deadline.load();
        let (process, deadline) = **deadline.as_ref()?;
        (process == generation()).then_some(deadline)
    }
}
