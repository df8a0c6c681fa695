//! A flush under way, for an event loop: its file descriptor becomes readable when it is done. So no native thread ever
//! needs the interpreter.

use std::future::Future;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sprockets_influxdb as core;

#[pyclass(module = "sprockets_influxdb._native")]
pub(crate) struct Flush {
    done: Mutex<core::Flush>,
    bell: Arc<Bell>,
}

/// Both ends are kept until the flush is done, however long before that its loop is closed: writing to an end that nobody
/// has any more is a signal, of which the process may die.
struct Bell {
    heard: UnixStream,
    rung: UnixStream,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // It fails only if it was rung already.
        let _ = (&self.rung).write(&[1]);
    }
}

impl Flush {
    pub(crate) fn new(flush: core::Flush) -> PyResult<Self> {
        let (heard, rung) = UnixStream::pair()?;
        rung.set_nonblocking(true)?;
        let flush = Self { done: Mutex::new(flush), bell: Arc::new(Bell { heard, rung }) };
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
        self.bell.heard.as_raw_fd()
    }

    /// What became of the measurements, once it is done.
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.poll().map(|done| report(py, &done)).transpose()
    }
}

pub(crate) fn report<'py>(py: Python<'py>, report: &core::Report) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("delivered", report.delivered)?;
    dict.set_item("rejected", report.rejected)?;
    dict.set_item("sampled_out", report.sampled_out)?;
    dict.set_item("dropped", report.dropped)?;
    dict.set_item("pending", report.pending)?;
    Ok(dict)
}
