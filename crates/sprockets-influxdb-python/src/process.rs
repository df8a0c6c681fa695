//! What the first measurement of a process starts: a Python thread that writes the log, and the
//! delivery before SIGTERM. Also the interruption of an add that waits, by a signal.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use sprockets_influxdb::internal::{self, generation};

use crate::{flush, log};

/// How long to wait before a failed start is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How long a process that SIGTERM ends waits for the log to be written.
const LOG_TIMEOUT: Duration = Duration::from_secs(1);

/// The generation of the process in which everything is started.
static STARTED: AtomicU64 = AtomicU64::new(u64::MAX);
/// When to try again, and in the process of which generation.
static RETRY_AT: ArcSwapOption<(u64, Instant)> = ArcSwapOption::const_empty();

/// Starts what this process needs beside the client, once.
#[inline]
pub(crate) fn ensure_started(py: Python<'_>) {
    if !is_started() {
        start(py);
    }
}

#[inline]
pub(crate) fn is_started() -> bool {
    STARTED.load(Ordering::Relaxed) == generation()
}

#[cold]
fn start(py: Python<'_>) {
    let is_early =
        |retry_at: &(u64, Instant)| retry_at.0 == generation() && Instant::now() < retry_at.1;
    if RETRY_AT.load().as_deref().is_some_and(is_early) {
        return;
    }
    // Other threads, and measurements that are added meanwhile, do not wait for this.
    RETRY_AT.store(Some(Arc::new((generation(), Instant::now() + RETRY))));
    let lifecycle = py.import("sprockets_influxdb._lifecycle");
    let has_writer = lifecycle
        .and_then(|module| module.call_method0("start_writer"))
        .and_then(|started| started.extract::<bool>())
        .unwrap_or_else(|error| {
            // The measurement is added all the same. The log is then written at the end of the
            // process.
            error.write_unraisable(py, None);
            true
        });
    if internal::before_sigterm(deliver).is_ok() && has_writer {
        STARTED.store(generation(), Ordering::Relaxed);
    }
}

/// Delivers before SIGTERM ends the process. Runs on a thread of the core.
fn deliver() {
    if flush::end_before_signal() {
        log::log_end();
    }
    log::finish(Instant::now() + LOG_TIMEOUT);
}

thread_local! {
    /// The exception of a signal handler that ran while this thread waits in [`interruptible`].
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// Runs a function that may wait, without the interpreter's lock. An exception of a signal handler
/// ends the wait, and is the error.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    run: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| internal::interrupt_blocked_adds_if(is_interrupted));
    let done = py.detach(run);
    match RAISED.take() {
        Some(error) => Err(error),
        None => Ok(done),
    }
}

fn is_interrupted() -> bool {
    let checked = Python::attach(|py| py.check_signals());
    checked.map_err(|error| RAISED.set(Some(error))).is_err()
}
