//! A request of a WSGI application: one object that the application calls as `start_response` and
//! as the `write` that this returns, and that the server iterates over and closes as the response's
//! body.

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PyTuple, PyType};

use super::handled::Handled;
use super::routes::FlaskRoutes;
use crate::capi::cell::Owned;
use crate::capi::class::native;
use crate::capi::read::{self, as_string, find, ok};
use crate::capi::wsgi::{State, WsgiRequest, create};
use crate::warning::{only_exception, warn};

#[pymethods]
impl WsgiRequest {
    /// `start_response`, which has a status, and then `write`, which has bytes.
    #[pyo3(signature = (*arguments, **named))]
    fn __call__<'py>(
        this: &Bound<'py, Self>,
        arguments: &Bound<'py, PyTuple>,
        named: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = this.py();
        let first = arguments.get_item(0).ok();
        let status = match (&first, named) {
            (Some(first), _) => as_string(first).cloned().map(Bound::into_any),
            (None, Some(named)) => named.get_item(intern!(py, "status"))?,
            (None, None) => None,
        };
        let write = native(this).borrow(py)?.write.as_ref().map(|write| write.clone_ref(py));
        if let Some(write) = write.filter(|_| status.is_none()) {
            let written = write.bind(py).call(arguments, named)?;
            let data = first.or_else(|| named.and_then(|named| named.values().get_item(0).ok()));
            if let Some(data) = data {
                native(this).borrow_mut(py)?.sent(&data);
            }
            return Ok(written);
        }
        let Some(start) = Self::server_start(this) else {
            return Err(PyTypeError::new_err("the response has ended"));
        };
        let write = start.bind(py).call(arguments, named)?;
        Self::started(this, status.as_ref(), write.into())?;
        Ok(this.clone().into_any())
    }

    /// Returns the body for the server: this request, or what the server treats in its own way.
    /// `None` for the server's file wrapper, which the caller has to watch.
    pub(crate) fn follow<'py>(
        this: &Bound<'py, Self>,
        body: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = this.py();
        if is_list(body)? {
            // The server writes it at once, and does not report its end.
            for data in body.try_iter()? {
                native(this).borrow_mut(py)?.sent(&data?);
            }
            native(this).borrow_mut(py)?.handled.complete();
            Self::end(this);
            return Ok(Some(body.clone()));
        }
        let wrapper = native(this).borrow(py)?.file_wrapper.as_ref().map(|it| it.clone_ref(py));
        let wrapper = wrapper.as_ref().and_then(|wrapper| wrapper.bind(py).cast::<PyType>().ok());
        if wrapper.is_some_and(|wrapper| ok(body.is_instance(wrapper)).unwrap_or_default()) {
            return Ok(None);
        }
        let mut own = native(this).borrow_mut(py)?;
        let is_sized = own.handled.is_sized(body);
        let before = own.body.replace(Owned::new(body));
        drop(own);
        // Other code may run when it is dropped.
        drop(before);
        Ok(Some(match is_sized {
            true => Bound::new(py, WsgiSizedBody(this.clone().unbind()))?.into_any(),
            false => this.clone().into_any(),
        }))
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    #[pyo3(name = "__next__")]
    pub(crate) fn next<'py>(this: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = this.py();
        let Some(chunks) = Self::chunks(this)? else { return Ok(None) };
        // The application runs here, without a borrow.
        let chunk = read::next(chunks.bind(py));
        let mut own = native(this).borrow_mut(py)?;
        match chunk {
            Some(Ok(chunk)) => {
                own.sent(&chunk);
                Ok(Some(chunk))
            }
            Some(Err(error)) => {
                own.handled.fail(error.value(py));
                Err(error)
            }
            None => {
                own.is_complete = true;
                own.handled.complete();
                Ok(None)
            }
        }
    }

    /// Called by the server at the end, or if the client is gone.
    pub(crate) fn close(this: &Bound<'_, Self>) -> PyResult<()> {
        let py = this.py();
        let body = {
            let mut own = native(this).borrow_mut(py)?;
            if !own.is_complete {
                own.handled.outcome.client_gone();
            }
            own.body.take()
        };
        let closed = match body {
            Some(body) => match body.bind(py).getattr_opt(intern!(py, "close"))? {
                Some(close) => close.call0().map(drop),
                None => Ok(()),
            },
            None => Ok(()),
        };
        if let Err(error) = &closed {
            native(this).borrow_mut(py)?.handled.fail(error.value(py));
        }
        Self::end(this);
        closed
    }

    /// Counts a part of the body, by its length in bytes.
    fn sent_length(this: &Bound<'_, Self>, length: u64) -> PyResult<()> {
        native(this).borrow_mut(this.py())?.handled.sent(length);
        Ok(())
    }

    /// The application has passed the whole response to the server.
    fn complete(this: &Bound<'_, Self>) -> PyResult<()> {
        native(this).borrow_mut(this.py())?.handled.complete();
        Ok(())
    }

    /// The handler failed. The first failure is recorded.
    fn fail(this: &Bound<'_, Self>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        native(this).borrow_mut(this.py())?.handled.fail(error);
        Self::find_route(this)
    }

    /// The request has ended. Never raises.
    fn end(this: &Bound<'_, Self>) {
        let Some(mut own) = native(this).if_free(this.py()) else { return };
        own.handled.record(this.py());
        // Other code may run when they are dropped.
        let State { environ, start_response, write, chunks, .. } = &mut *own;
        let parts = (environ.take(), start_response.take(), write.take(), chunks.take());
        drop(own);
        drop(parts);
    }
}

impl WsgiRequest {
    #[inline]
    pub(super) fn begin<'py>(
        handled: Handled,
        environ: &Bound<'py, PyDict>,
        start_response: &Bound<'py, PyAny>,
        routes: Option<&Bound<'py, FlaskRoutes>>,
    ) -> PyResult<Bound<'py, Self>> {
        let py = environ.py();
        let state = State {
            handled,
            environ: routes.map(|_| Owned::new(environ)),
            file_wrapper: find(environ, intern!(py, "wsgi.file_wrapper")),
            start_response: Some(Owned::new(start_response)),
            write: None,
            routes: routes.map(Owned::new),
            body: None,
            chunks: None,
            is_complete: false,
        };
        create(py, state)
    }

    /// The server's `start_response`. `None` once the response has ended.
    #[inline]
    pub(crate) fn server_start(this: &Bound<'_, Self>) -> Option<Owned> {
        let py = this.py();
        native(this).if_free(py)?.start_response.as_ref().map(|start| start.clone_ref(py))
    }

    /// The server's `start_response` was called with this status, and returned this.
    #[inline]
    pub(crate) fn started(
        this: &Bound<'_, Self>,
        status: Option<&Bound<'_, PyAny>>,
        write: Owned,
    ) -> PyResult<()> {
        let mut own = native(this).borrow_mut(this.py())?;
        if let Some(status) = status.and_then(status_code) {
            own.handled.outcome.set_status(status);
        }
        let before = own.write.replace(write);
        drop(own);
        // Other code may run when it is dropped.
        drop(before);
        Self::find_route(this)
    }

    /// Finds the route, while the framework knows it.
    #[inline]
    fn find_route(this: &Bound<'_, Self>) -> PyResult<()> {
        let py = this.py();
        let Some(mut own) = native(this).if_free(py) else { return Ok(()) };
        let parts = (own.routes.take(), own.environ.take());
        drop(own);
        let (Some(routes), Some(environ)) = parts else { return Ok(()) };
        match FlaskRoutes::find(routes.bind(py), environ.bind(py)) {
            Ok(Some(route)) => {
                if let Some(mut own) = native(this).if_free(py) {
                    own.handled.set_route(route);
                }
                Ok(())
            }
            Ok(None) => Ok(()),
            // PyO3 releases what an error has at once only if it is attached.
            Err(error) => Python::attach(|py| {
                let error = only_exception(py, error)?;
                warn(py, &error, Some(&py.None().into_bound(py)));
                Ok(())
            }),
        }
    }

    /// The iterator over the application's body. `None` once the response has ended.
    fn chunks(this: &Bound<'_, Self>) -> PyResult<Option<Owned<PyIterator>>> {
        let py = this.py();
        let body = {
            let own = native(this).borrow(py)?;
            if let Some(chunks) = &own.chunks {
                return Ok(Some(chunks.clone_ref(py)));
            }
            own.body.as_ref().map(|body| body.clone_ref(py))
        };
        let Some(body) = body else { return Ok(None) };
        match body.bind(py).try_iter() {
            Ok(chunks) => {
                let chunks = Owned::from(chunks);
                native(this).borrow_mut(py)?.chunks = Some(chunks.clone_ref(py));
                Ok(Some(chunks))
            }
            Err(error) => {
                native(this).borrow_mut(py)?.handled.fail(error.value(py));
                Err(error)
            }
        }
    }
}

impl State {
    #[inline]
    fn sent(&mut self, data: &Bound<'_, PyAny>) {
        let length = ok(data.len()).unwrap_or_default();
        if length > 0 {
            self.handled.sent(length as u64);
        }
    }
}

/// Whether a body is a list or a tuple that has no `close()`.
fn is_list(body: &Bound<'_, PyAny>) -> PyResult<bool> {
    if body.is_exact_instance_of::<PyList>() || body.is_exact_instance_of::<PyTuple>() {
        return Ok(true);
    }
    let is_list = body.is_instance_of::<PyList>() || body.is_instance_of::<PyTuple>();
    Ok(is_list && body.getattr_opt(intern!(body.py(), "close"))?.is_none())
}

fn status_code(status: &Bound<'_, PyAny>) -> Option<u16> {
    ok(as_string(status)?.to_str())?.get(..3)?.parse().ok()
}

/// A body with a length: servers derive Content-Length from `len(body)`.
#[pyclass(module = "sprockets_influxdb._native")]
pub(crate) struct WsgiSizedBody(Py<WsgiRequest>);

#[pymethods]
impl WsgiSizedBody {
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let own = native(self.0.bind(py)).borrow(py)?;
        let body = own.body.as_ref().map(|body| body.clone_ref(py));
        drop(own);
        body.map_or(Ok(0), |body| body.bind(py).len())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> Bound<'py, WsgiRequest> {
        self.0.bind(py).clone()
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        WsgiRequest::close(self.0.bind(py))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }
}
