//! A request of a WSGI application: one object that the application calls as `start_response` and
//! as the `write` that this returns, and that the server iterates over and closes as the response's
//! body.

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PyString, PyTuple, PyType};

use super::handled::Handled;
use super::routes::FlaskRoutes;
use crate::warning::{only_exception, warn};

/// A request that is being handled. It is recorded once: when the server closes the response, or
/// else when this is deallocated.
#[pyclass(module = "sprockets_influxdb._native")]
pub(crate) struct WsgiRequest {
    handled: Handled,
    /// Until the route is found: the environment of an application with hooks has this request.
    environ: Option<Py<PyDict>>,
    /// The server's class for files.
    file_wrapper: Option<Py<PyAny>>,
    start_response: Option<Py<PyAny>>,
    /// What the server's `start_response` returned.
    write: Option<Py<PyAny>>,
    /// The routes of an application with hooks. Asked once.
    routes: Option<Py<FlaskRoutes>>,
    body: Option<Py<PyAny>>,
    chunks: Option<Py<PyIterator>>,
    is_complete: bool,
}

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
            (Some(first), _) => Some(first.clone()).filter(|it| it.is_instance_of::<PyString>()),
            (None, Some(named)) => named.get_item(intern!(py, "status"))?,
            (None, None) => None,
        };
        let write = this.try_borrow()?.write.as_ref().map(|write| write.clone_ref(py));
        if let Some(write) = write.filter(|_| status.is_none()) {
            let written = write.bind(py).call(arguments, named)?;
            let data = first.or_else(|| named.and_then(|named| named.values().get_item(0).ok()));
            if let Some(data) = data {
                this.try_borrow_mut()?.sent(&data);
            }
            return Ok(written);
        }
        let start = this.try_borrow()?.start_response.as_ref().map(|start| start.clone_ref(py));
        let Some(start) = start else {
            return Err(PyTypeError::new_err("the response has ended"));
        };
        let write = start.call(py, arguments, named)?;
        let mut own = this.try_borrow_mut()?;
        if let Some(status) = status.and_then(|status| status_code(&status)) {
            own.handled.outcome.set_status(status);
        }
        let before = own.write.replace(write);
        drop(own);
        // Other code may run when it is dropped.
        drop(before);
        Self::find_route(this)?;
        Ok(this.clone().into_any())
    }

    /// Returns the body for the server: this request, or what the server treats in its own way.
    /// `None` for the server's file wrapper, which the caller has to watch.
    fn follow<'py>(
        this: &Bound<'py, Self>,
        body: Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = this.py();
        if Self::is_list(&body)? {
            // The server writes it at once, and does not report its end.
            for data in body.try_iter()? {
                this.try_borrow_mut()?.sent(&data?);
            }
            this.try_borrow_mut()?.handled.complete();
            Self::end(this);
            return Ok(Some(body));
        }
        let wrapper = this.try_borrow()?.file_wrapper.as_ref().map(|wrapper| wrapper.clone_ref(py));
        let wrapper = wrapper.map(|wrapper| wrapper.into_bound(py));
        let wrapper = wrapper.and_then(|wrapper| wrapper.cast_into::<PyType>().ok());
        if wrapper.is_some_and(|wrapper| body.is_instance(&wrapper).unwrap_or_default()) {
            return Ok(None);
        }
        let mut own = this.try_borrow_mut()?;
        let is_sized = own.handled.is_sized(&body);
        own.body = Some(body.unbind());
        drop(own);
        Ok(Some(match is_sized {
            true => Bound::new(py, WsgiSizedBody(this.clone().unbind()))?.into_any(),
            false => this.clone().into_any(),
        }))
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__<'py>(this: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(mut chunks) = Self::chunks(this)? else { return Ok(None) };
        // The application runs here, without a borrow.
        let chunk = chunks.next();
        let mut own = this.try_borrow_mut()?;
        match chunk {
            Some(Ok(chunk)) => {
                own.sent(&chunk);
                Ok(Some(chunk))
            }
            Some(Err(error)) => {
                own.handled.fail(error.value(this.py()));
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
    fn close(this: &Bound<'_, Self>) -> PyResult<()> {
        let py = this.py();
        let body = {
            let mut own = this.try_borrow_mut()?;
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
            this.try_borrow_mut()?.handled.fail(error.value(py));
        }
        Self::end(this);
        closed
    }

    /// Counts a part of the body, by its length in bytes.
    fn sent_length(&mut self, length: u64) {
        self.handled.sent(length);
    }

    /// The application has passed the whole response to the server.
    fn complete(&mut self) {
        self.handled.complete();
    }

    /// The handler failed. The first failure is recorded.
    fn fail(this: &Bound<'_, Self>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        this.try_borrow_mut()?.handled.fail(error);
        Self::find_route(this)
    }

    /// The request has ended. Never raises.
    fn end(this: &Bound<'_, Self>) {
        let Ok(mut own) = this.try_borrow_mut() else { return };
        own.handled.record(this.py());
        // Other code may run when they are dropped.
        let parts =
            (own.environ.take(), own.start_response.take(), own.write.take(), own.chunks.take());
        drop(own);
        drop(parts);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.handled.visited())?;
        visit.call(&self.environ)?;
        visit.call(&self.file_wrapper)?;
        visit.call(&self.start_response)?;
        visit.call(&self.write)?;
        visit.call(&self.routes)?;
        visit.call(&self.body)?;
        visit.call(&self.chunks)
    }

    fn __clear__(&mut self) {
        self.environ = None;
        self.file_wrapper = None;
        self.start_response = None;
        self.write = None;
        self.routes = None;
        self.body = None;
        self.chunks = None;
    }
}

impl WsgiRequest {
    pub(super) fn new(
        handled: Handled,
        environ: &Bound<'_, PyDict>,
        start_response: Bound<'_, PyAny>,
        routes: Option<Py<FlaskRoutes>>,
    ) -> PyResult<Self> {
        let file_wrapper = environ.get_item(intern!(environ.py(), "wsgi.file_wrapper"))?;
        Ok(Self {
            handled,
            environ: routes.is_some().then(|| environ.clone().unbind()),
            file_wrapper: file_wrapper.map(Bound::unbind),
            start_response: Some(start_response.unbind()),
            write: None,
            routes,
            body: None,
            chunks: None,
            is_complete: false,
        })
    }

    /// Whether a body is a list or a tuple that has no `close()`.
    fn is_list(body: &Bound<'_, PyAny>) -> PyResult<bool> {
        if body.is_exact_instance_of::<PyList>() || body.is_exact_instance_of::<PyTuple>() {
            return Ok(true);
        }
        let is_list = body.is_instance_of::<PyList>() || body.is_instance_of::<PyTuple>();
        Ok(is_list && body.getattr_opt(intern!(body.py(), "close"))?.is_none())
    }

    /// Finds the route, while the framework knows it.
    fn find_route(this: &Bound<'_, Self>) -> PyResult<()> {
        let py = this.py();
        let Ok(mut own) = this.try_borrow_mut() else { return Ok(()) };
        let Some((routes, environ)) = own.routes.take().zip(own.environ.take()) else {
            return Ok(());
        };
        drop(own);
        match FlaskRoutes::find(routes.bind(py), environ.bind(py)) {
            Ok(Some(route)) => {
                if let Ok(mut own) = this.try_borrow_mut() {
                    own.handled.set_route(route);
                }
            }
            Ok(None) => {}
            Err(error) => {
                let error = only_exception(py, error)?;
                warn(py, &error, Some(&py.None().into_bound(py)));
            }
        }
        Ok(())
    }

    /// The iterator over the application's body. `None` once the response has ended.
    fn chunks<'py>(this: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyIterator>>> {
        let py = this.py();
        let body = {
            let own = this.try_borrow()?;
            if let Some(chunks) = &own.chunks {
                return Ok(Some(chunks.bind(py).clone()));
            }
            own.body.as_ref().map(|body| body.bind(py).clone())
        };
        let Some(body) = body else { return Ok(None) };
        match body.try_iter() {
            Ok(chunks) => {
                this.try_borrow_mut()?.chunks = Some(chunks.clone().unbind());
                Ok(Some(chunks))
            }
            Err(error) => {
                this.try_borrow_mut()?.handled.fail(error.value(py));
                Err(error)
            }
        }
    }

    fn sent(&mut self, data: &Bound<'_, PyAny>) {
        let length = data.len().unwrap_or_default();
        if length > 0 {
            self.handled.sent(length as u64);
        }
    }
}

fn status_code(status: &Bound<'_, PyAny>) -> Option<u16> {
    status.cast::<PyString>().ok()?.to_str().ok()?.get(..3)?.parse().ok()
}

/// A body with a length: servers derive Content-Length from `len(body)`.
#[pyclass(module = "sprockets_influxdb._native")]
pub(crate) struct WsgiSizedBody(Py<WsgiRequest>);

#[pymethods]
impl WsgiSizedBody {
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let body = self.0.try_borrow(py)?.body.as_ref().map(|body| body.clone_ref(py));
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
