//! What the first measurement of a process begins: a Python thread that writes the log, and the
//! delivery before SIGTERM. And signals that come while an add waits.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use sprockets_influxdb as core;

use crate::{client, log};

/// How long to wait before what could not be begun is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How long a process that SIGTERM ends waits for the log to be written.
const LOG_TIMEOUT: Duration = Duration::from_secs(1);

/// The process, by its generation, in which all is begun.
static BEGUN: AtomicU64 = AtomicU64::new(u64::MAX);
/// When to try again.
static RETRY_AT: ArcSwapOption<(u64, Instant)> = ArcSwapOption::const_empty();

/// Begins what this process needs beside the client, unless it has.
#[inline]
pub(crate) fn ensure_begun(py: Python<'_>) {
    if BEGUN.load(Ordering::Relaxed) != core::generation() {
        begin(py);
    }
}

#[cold]
fn begin(py: Python<'_>) {
    let is_early =
        |retry_at: &(u64, Instant)| retry_at.0 == core::generation() && Instant::now() < retry_at.1;
    if RETRY_AT.load().as_deref().is_some_and(is_early) {
        return;
    }
    // Other threads, and measurements that are added meanwhile, do not wait for it.
    RETRY_AT.store(Some(Arc::new((core::generation(), Instant::now() + RETRY))));
    let lifecycle = py.import("sprockets_influxdb._lifecycle");
    let has_writer = lifecycle
        .and_then(|module| module.call_method0("start_writer"))
        .and_then(|started| started.extract::<bool>())
        .unwrap_or_else(|error| {
            // No reason not to add the measurement. What is logged is then written at the end.
            error.write_unraisable(py, None);
            true
        });
    if core::before_sigterm(deliver).is_ok() && has_writer {
        BEGUN.store(core::generation(), Ordering::Relaxed);
    }
}

/// What a process does before SIGTERM ends it, on a thread of the core's.
fn deliver() {
    let (lost, spooled) = client::end_before_signal();
    log::log_losses(lost, spooled);
    log::finish(Instant::now() + LOG_TIMEOUT);
}

thread_local! {
    /// What a signal's handler has raised while this thread waits in [`interruptible`].
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// Runs what may wait without the interpreter's lock. What a signal's handler raises meanwhile ends
/// the wait, and is the error.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    run: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| core::interrupt_blocked_adds_if(is_interrupted));
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
