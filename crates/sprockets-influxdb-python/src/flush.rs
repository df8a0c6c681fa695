//! Flush and shutdown: blocking, or for an event loop. There, a file descriptor becomes readable
//! when a flush is done, so no native thread ever needs the interpreter.

use std::future::Future;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sprockets_influxdb::{self as core, Client, internal};

use crate::current::current;

/// The deadline of a shutdown that began, and the generation of its process.
static WAITED_UNTIL: ArcSwapOption<(u64, Instant)> = ArcSwapOption::const_empty();

#[pyclass(module = "sprockets_influxdb._native")]
pub(crate) struct Flush {
    done: Mutex<core::Flush>,
    bell: Arc<Bell>,
}

/// Tells an event loop that a flush is done. Both ends stay open until then, even if the loop is
/// closed before: writing to a closed end raises a signal that may kill the process.
struct Bell {
    reader: UnixStream,
    writer: UnixStream,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // It fails only if it was written to already.
        let _ = (&self.writer).write(&[1]);
    }
}

impl Flush {
    pub(crate) fn new(flush: core::Flush) -> PyResult<Self> {
        let (reader, writer) = UnixStream::pair()?;
        writer.set_nonblocking(true)?;
        let flush = Self { done: Mutex::new(flush), bell: Arc::new(Bell { reader, writer }) };
        if flush.poll().is_some() {
            flush.bell.clone().wake();
        }
        Ok(flush)
    }

    fn poll(&self) -> Option<core::Report> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let waker = Waker::from(self.bell.clone());
        match Pin::new(&mut *done).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(report) => Some(report),
            Poll::Pending => None,
        }
    }
}

#[pymethods]
impl Flush {
    /// Becomes readable when the flush is done.
    fn fileno(&self) -> i32 {
        self.bell.reader.as_raw_fd()
    }

    /// What became of the measurements. `None` until it is done.
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.poll().map(|done| report(py, &done)).transpose()
    }
}

/// Begins a flush. `None` without a client.
#[pyfunction]
pub(crate) fn flush_begin() -> PyResult<Option<Flush>> {
    current().map(|client| Flush::new(client.flush_async())).transpose()
}

#[pyfunction]
pub(crate) fn shutdown_begin() -> PyResult<Option<Flush>> {
    let Some(client) = current() else { return Ok(None) };
    wait_until(Instant::now() + client.shutdown_timeout());
    Flush::new(client.shutdown_async()).map(Some)
}

/// Sends what is buffered, and blocks until everything that was added before the call is decided
/// (delivered, rejected or dropped). In an event loop, use :func:`flush`. With gevent, all
/// greenlets wait.
///
/// :param float timeout: seconds to wait at most; default: the shutdown timeout
///     (``INFLUXDB_SHUTDOWN_TIMEOUT``; 5 s)
/// :returns: how many of those measurements were ``delivered``, ``rejected``, ``sampled_out`` and
///     ``dropped``, how many are still ``pending``, and how many were dropped because they were
///     added after the shutdown (``closed``)
/// :rtype: dict
/// :raises ValueError: for a timeout that is negative or not a number
///
/// Ctrl-C, and whatever else a signal handler raises, ends the wait.
#[pyfunction]
#[pyo3(signature = (timeout=None))]
pub(crate) fn flush_sync<'py>(
    py: Python<'py>,
    timeout: Option<f64>,
) -> PyResult<Bound<'py, PyDict>> {
    wait(py, timeout, |client, timeout, is_interrupted| {
        internal::flush_unless(client, timeout, is_interrupted)
    })
}

/// Accepts no more measurements, and flushes as :func:`flush_sync` does. Later additions are
/// dropped.
///
/// :param float timeout: seconds to wait at most; default: the shutdown timeout
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
    let report = wait(py, timeout, |client, timeout, is_interrupted| {
        internal::shutdown_unless(client, timeout, is_interrupted)
    });
    wait_until(Instant::now());
    report
}

/// Shuts down at the end of the process. After an earlier shutdown, its deadline holds.
#[pyfunction]
pub(crate) fn end(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let left = current().map(|client| time_left(&client).as_secs_f64());
    let report = wait(py, left, |client, timeout, is_interrupted| {
        internal::shutdown_unless(client, timeout, is_interrupted)
    })?;
    py.detach(internal::await_sigterm);
    Ok(report)
}

/// Shuts down in a process that a signal ends, as [`end`] does, but without the interpreter.
/// Returns whether the process ends. The first process of a container does not: its client goes on.
pub(crate) fn end_before_signal() -> bool {
    let ends = std::process::id() != 1;
    if let Some(client) = current() {
        if ends {
            client.shutdown(time_left(&client));
        } else {
            client.flush(client.shutdown_timeout());
        }
    }
    ends
}

/// Notes the deadline of a shutdown. The first one counts.
fn wait_until(new: Instant) {
    if deadline().is_none() {
        WAITED_UNTIL.store(Some(Arc::new((internal::generation(), new))));
    }
}

/// How long the end of the process may still wait.
fn time_left(client: &Client) -> Duration {
    let now = Instant::now();
    wait_until(now + client.shutdown_timeout());
    deadline().map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(now))
}

/// The deadline of a shutdown that began in this process.
fn deadline() -> Option<Instant> {
    let waited_until = WAITED_UNTIL.load_full()?;
    let (generation, deadline) = *waited_until;
    (generation == internal::generation()).then_some(deadline)
}

/// A new client has no deadline.
pub(crate) fn forget_deadline() {
    WAITED_UNTIL.store(None);
}

fn wait(
    py: Python<'_>,
    timeout: Option<f64>,
    flush: impl FnOnce(&Client, Duration, &mut (dyn FnMut() -> bool + Send)) -> core::Report + Send,
) -> PyResult<Bound<'_, PyDict>> {
    let Some(client) = current() else { return report(py, &core::Report::default()) };
    let timeout = match timeout {
        Some(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| {
            PyValueError::new_err(format!("timeout is {seconds}: expected seconds, not negative"))
        })?,
        None => client.shutdown_timeout(),
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

fn report<'py>(py: Python<'py>, report: &core::Report) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("delivered", report.delivered)?;
    dict.set_item("rejected", report.rejected)?;
    dict.set_item("sampled_out", report.sampled_out)?;
    dict.set_item("dropped", report.dropped)?;
    dict.set_item("pending", report.pending)?;
    dict.set_item("closed", report.closed)?;
    Ok(dict)
}
