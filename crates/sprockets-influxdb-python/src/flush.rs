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

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sprockets_influxdb::{self as core, internal};

use crate::handle::{self, Handle, INSTALLED};

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

pub(crate) fn begin(client: &Handle) -> PyResult<Flush> {
    Flush::new(client.core().flush_async())
}

pub(crate) fn begin_shutdown(client: &Handle) -> PyResult<Flush> {
    client.wait_for(client.core().shutdown_timeout());
    Flush::new(client.core().shutdown_async())
}

/// Begins a flush of each client of the process.
#[pyfunction]
pub(crate) fn begin_all() -> PyResult<Vec<Flush>> {
    handle::all().iter().map(|client| begin(client)).collect()
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
    match INSTALLED.load_full() {
        Some(client) => flush(py, &client, timeout),
        None => report(py, &core::Report::default()),
    }
}

pub(crate) fn flush<'py>(
    py: Python<'py>,
    client: &Handle,
    timeout: Option<f64>,
) -> PyResult<Bound<'py, PyDict>> {
    let timeout = timeout_of(client, timeout)?;
    let decided = interruptible(py, |is_interrupted| {
        internal::flush_unless(client.core(), timeout, is_interrupted)
    })?;
    report(py, &decided)
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
    match INSTALLED.load_full() {
        Some(client) => shutdown(py, &client, timeout),
        None => report(py, &core::Report::default()),
    }
}

pub(crate) fn shutdown<'py>(
    py: Python<'py>,
    client: &Handle,
    timeout: Option<f64>,
) -> PyResult<Bound<'py, PyDict>> {
    let timeout = timeout_of(client, timeout)?;
    client.wait_for(timeout);
    let decided = interruptible(py, |is_interrupted| {
        internal::shutdown_unless(client.core(), timeout, is_interrupted)
    });
    // The end of the process does not wait again.
    client.wait_for(Duration::ZERO);
    report(py, &decided?)
}

/// Shuts all clients down at the end of the process. After an earlier shutdown of a client, its
/// deadline holds.
#[pyfunction]
pub(crate) fn end(py: Python<'_>, waits: bool) -> PyResult<()> {
    let clients = handle::all();
    let timeouts = begin_end(&clients);
    for (client, timeout) in clients.iter().zip(timeouts) {
        let timeout = if waits { timeout() } else { Duration::ZERO };
        interruptible(py, |is_interrupted| {
            internal::shutdown_unless(client.core(), timeout, is_interrupted)
        })?;
    }
    py.detach(internal::await_sigterm);
    Ok(())
}

/// Shuts all clients down in a process that a signal ends, as [`end`] does, but without the
/// interpreter. Returns whether the process ends: the first one of a container goes on, and so do
/// its clients.
pub(crate) fn end_before_signal() -> bool {
    let clients = handle::all();
    let ends = std::process::id() != 1;
    if ends {
        let timeouts = begin_end(&clients);
        for (client, timeout) in clients.iter().zip(timeouts) {
            client.core().shutdown(timeout());
        }
    } else {
        for client in &clients {
            client.core().flush(client.core().shutdown_timeout());
        }
    }
    ends
}

/// Begins the shutdown of all clients, so that they deliver at the same time. Returns how long to
/// wait for each.
fn begin_end(clients: &[Arc<Handle>]) -> Vec<impl Fn() -> Duration> {
    clients
        .iter()
        .map(|client| {
            internal::begin_shutdown(client.core());
            let until = Instant::now() + client.time_left();
            move || until.saturating_duration_since(Instant::now())
        })
        .collect()
}

fn timeout_of(client: &Handle, timeout: Option<f64>) -> PyResult<Duration> {
    let Some(seconds) = timeout else { return Ok(client.core().shutdown_timeout()) };
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        PyValueError::new_err(format!("timeout is {seconds}: expected seconds, not negative"))
    })
}

/// Waits without the interpreter. An exception of a signal handler ends the wait, and is the error.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    wait: impl FnOnce(&mut (dyn FnMut() -> bool + Send)) -> T + Send,
) -> PyResult<T> {
    let mut signal = Ok(());
    let mut is_interrupted = || {
        signal = Python::attach(|py| py.check_signals());
        signal.is_err()
    };
    let decided = py.detach(|| wait(&mut is_interrupted));
    signal.map(|()| decided)
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
