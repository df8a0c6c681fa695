//! Requests of WSGI applications.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi::{self, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator};

use super::call::{ARGUMENTS_OFFSET, Call, attached, call_with, found, none, panicked, raised};
use super::cell::{GilCell, Owned};
use super::class::{
    Definition, Native, Special, allocate, call_of_pyo3, drop_state, slot, state_of,
};
use super::object::{Object, lend, release, retain};
use super::value::is_text;
use crate::request::{FlaskRoutes, Handled};

static CLASS: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(null_mut());

static FOLLOW: Call = Call::new(c"follow", follow);
static CLOSE: Call = Call::new(c"close", close);

/// A request that is being handled. It is recorded once: when the server closes the response, or
/// else when this is deallocated.
#[pyclass(frozen, subclass, module = "sprockets_influxdb._native")]
pub(crate) struct WsgiRequest(());

impl Native for WsgiRequest {
    type State = GilCell<State>;
}

/// What a request consists of.
pub(crate) struct State {
    pub(crate) handled: Handled,
    /// Until the route is found: the environment of an application with hooks has this request.
    pub(crate) environ: Option<Owned<PyDict>>,
    /// The server's class for files.
    pub(crate) file_wrapper: Option<Owned>,
    pub(crate) start_response: Option<Owned>,
    /// What the server's `start_response` returned.
    pub(crate) write: Option<Owned>,
    /// The routes of an application with hooks. Asked once.
    pub(crate) routes: Option<Owned<FlaskRoutes>>,
    pub(crate) body: Option<Owned>,
    /// The iterator over the body.
    pub(crate) chunks: Option<Owned<PyIterator>>,
    pub(crate) is_complete: bool,
}

/// What a request refers to, but for its measurement.
type Parts = (
    [Option<Owned>; 4],
    Option<Owned<PyDict>>,
    Option<Owned<FlaskRoutes>>,
    Option<Owned<PyIterator>>,
);

impl State {
    /// Takes all that it refers to, to be dropped without a borrow: other code may run then.
    fn take(&mut self) -> Parts {
        let Self { file_wrapper, start_response, write, body, .. } = self;
        let objects = [file_wrapper, start_response, write, body].map(Option::take);
        (objects, self.environ.take(), self.routes.take(), self.chunks.take())
    }
}

pub(super) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let definition = Definition {
        name: c"sprockets_influxdb._native.WsgiRequest",
        flags: ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC,
        slots: vec![
            slot(ffi::Py_tp_call, call_of_pyo3::<WsgiRequest>(py)),
            slot(ffi::Py_tp_iternext, next as *mut _),
            slot(ffi::Py_tp_traverse, traverse as *mut _),
            slot(ffi::Py_tp_clear, clear as *mut _),
            slot(ffi::Py_tp_dealloc, dealloc as *mut _),
            slot(ffi::Py_tp_free, ffi::PyObject_GC_Del as *mut _),
        ],
    };
    let class = definition.class::<WsgiRequest>(py, Special::VectorCall)?;
    FOLLOW.replace_of(&class)?;
    CLOSE.replace_of(&class)?;
    module.add("WsgiRequest", &class)?;
    CLASS.store(class.into_ptr().cast(), Ordering::Relaxed);
    Ok(())
}

/// Makes a request with this state.
#[inline]
pub(crate) fn create(py: Python<'_>, state: State) -> PyResult<Bound<'_, WsgiRequest>> {
    let class = CLASS.load(Ordering::Relaxed);
    // SAFETY: the class is that of the state, and the new reference is owned.
    unsafe {
        let object = allocate(class, Some(call), GilCell::new(state));
        Ok(Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked())
    }
}

unsafe extern "C" fn traverse(this: Object, visit: ffi::visitproc, argument: *mut c_void) -> c_int {
    // SAFETY: CPython calls this with the lock, for an instance of the class. Nothing is changed
    // here.
    unsafe {
        let Some(state) = (*state_of::<WsgiRequest>(this)).visited() else { return 0 };
        let State { file_wrapper, start_response, write, body, .. } = &*state;
        let objects = [file_wrapper, start_response, write, body].into_iter().flatten();
        let objects = objects.map(|object| object.visited().as_ptr());
        let chunks = state.chunks.as_ref().map(|chunks| chunks.visited().as_ptr());
        let environ = state.environ.as_ref().map(|environ| environ.visited().as_ptr());
        let routes = state.routes.as_ref().map(|routes| routes.visited().as_ptr());
        objects
            .chain(environ)
            .chain(routes)
            .chain(chunks)
            .chain([state.handled.visited().as_ptr(), ffi::Py_TYPE(this).cast()])
            .map(|object| visit(object, argument))
            .find(|code| *code != 0)
            .unwrap_or(0)
    }
}

unsafe extern "C" fn clear(this: Object) -> c_int {
    // SAFETY: as for `traverse`.
    let parts = unsafe { (*state_of::<WsgiRequest>(this)).cleared().map(|mut state| state.take()) };
    drop(parts);
    0
}

unsafe extern "C" fn dealloc(object: Object) {
    // SAFETY: CPython calls this with the lock, for an instance without references. The class is
    // its own, as nothing can inherit from it, and has this function to free memory. As a heap type
    // has a reference from each of its instances, one is released.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let class = ffi::Py_TYPE(object);
        let state = state_of::<WsgiRequest>(object);
        // The options have references that PyO3 releases at once only if it is attached.
        match (*state).get_mut().handled.has_last_options() {
            true => drop(Python::try_attach(|_| drop_state::<GilCell<State>>(object))),
            false => drop_state::<GilCell<State>>(object),
        }
        ffi::PyObject_GC_Del(object.cast());
        release(class.cast());
    }
}

/// `start_response(status, headers)`, with or without `exc_info`.
unsafe extern "C" fn call(
    this: Object,
    arguments: *const Object,
    count: usize,
    keywords: Object,
) -> Object {
    let count = count & !ARGUMENTS_OFFSET;
    // SAFETY: CPython calls this with the lock, an instance of the class, and these arguments. The
    // end of the arguments is null.
    unsafe {
        let called = attached(|py| {
            if !keywords.is_null() || !(2..=3).contains(&count) || !is_text(*arguments) {
                return None;
            }
            let request = lend(py, this).cast_unchecked::<WsgiRequest>();
            let start = WsgiRequest::server_start(&request)?;
            let (start, end) = (start.bind(py).as_ptr(), null_mut::<ffi::PyObject>());
            let (status, headers) = (*arguments, *arguments.add(1));
            let error = if count == 3 { *arguments.add(2) } else { end };
            // CPython checks the depth of calls only for functions that take a tuple.
            if ffi::Py_EnterRecursiveCall(c" while calling start_response".as_ptr()) != 0 {
                return Some(null_mut());
            }
            let write = ffi::PyObject_CallFunctionObjArgs(start, status, headers, error, end);
            ffi::Py_LeaveRecursiveCall();
            if write.is_null() {
                return Some(write);
            }
            let write = Owned::from(Bound::from_owned_ptr(py, write));
            Some(match WsgiRequest::started(&request, Some(&lend(py, status)), write) {
                Ok(()) => {
                    retain(this);
                    this
                }
                Err(error) => raised(py, error),
            })
        });
        called.unwrap_or_else(|| {
            let py = Python::assume_attached();
            let slot: ffi::ternaryfunc = std::mem::transmute(call_of_pyo3::<WsgiRequest>(py));
            call_with(null_mut(), arguments, count as _, keywords, |positional, named| {
                slot(this, positional, named)
            })
        })
    }
}

/// `__next__`.
unsafe extern "C" fn next(this: Object) -> Object {
    // SAFETY: CPython calls this with the lock, and an instance of the class.
    unsafe {
        let chunk = attached(|py| {
            Some(match WsgiRequest::next(&lend(py, this).cast_unchecked()) {
                Ok(chunk) => chunk.map_or(null_mut(), Bound::into_ptr),
                Err(error) => raised(py, error),
            })
        });
        chunk.unwrap_or_else(panicked)
    }
}

/// `request.follow(body)`.
unsafe extern "C" fn follow(
    this: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: CPython calls this with the lock, an instance of the class, and these arguments.
    unsafe {
        if count != 1 || !keywords.is_null() {
            return FOLLOW.replaced(this, arguments, count, keywords);
        }
        let followed = attached(|py| {
            let body = lend(py, *arguments);
            Some(found(py, WsgiRequest::follow(&lend(py, this).cast_unchecked(), &body)))
        });
        followed.unwrap_or_else(panicked)
    }
}

/// `request.close()`.
unsafe extern "C" fn close(
    this: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: as for `follow`.
    unsafe {
        if count != 0 || !keywords.is_null() {
            return CLOSE.replaced(this, arguments, count, keywords);
        }
        let closed = attached(|py| {
            Some(match WsgiRequest::close(&lend(py, this).cast_unchecked()) {
                Ok(()) => none(py),
                Err(error) => raised(py, error),
            })
        });
        closed.unwrap_or_else(panicked)
    }
}
