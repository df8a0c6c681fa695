//! Requests of ASGI applications.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{self, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::call::{Call, attached, two};
use super::cell::{GilCell, Owned};
use super::class::{
    Definition, Native, Special, allocate, drop_state, free_memory, freed_by, slot, state_of,
};
use super::object::{Object, lend, release, retain};
use super::value::is_dict;
use crate::request::{Handled, RouteTable};
use crate::value::repr;

static CLASS: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(null_mut());

/// The first class of requests that was checked. It lives as long as the process, and
/// `PyObject_GC_Del` frees its instances.
static KNOWN_CLASS: AtomicPtr<ffi::PyObject> = AtomicPtr::new(null_mut());

/// What frees the memory of an instance.
const FREE: *mut c_void = ffi::PyObject_GC_Del as *mut c_void;

static SEND: Call = Call::new(c"send_to_server", send);
static END: Call = Call::new(c"end", end);

/// A request that is being handled. It is recorded once: by `end()`, or else when it is
/// deallocated. A subclass passes the messages on.
#[pyclass(frozen, subclass, module = "sprockets_influxdb._native")]
pub(crate) struct AsgiRequest(());

impl Native for AsgiRequest {
    type State = State;
}

/// What a request consists of.
pub(crate) struct State {
    /// Those of the server.
    pub(crate) receive: Owned,
    pub(crate) send: Owned,
    pub(crate) handled: GilCell<Handled>,
}

pub(super) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let definition = Definition {
        name: c"sprockets_influxdb._native.AsgiRequest",
        flags: ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC | ffi::Py_TPFLAGS_BASETYPE,
        slots: vec![
            slot(ffi::Py_tp_traverse, traverse as *mut _),
            slot(ffi::Py_tp_dealloc, dealloc as *mut _),
            slot(ffi::Py_tp_free, FREE),
        ],
    };
    let class = definition.class::<AsgiRequest>(py, Special::None)?;
    SEND.replace_of(&class)?;
    END.replace_of(&class)?;
    module.add("AsgiRequest", &class)?;
    CLASS.store(class.into_ptr().cast(), Ordering::Relaxed);
    Ok(())
}

/// Makes a request of this class, which inherits from [`AsgiRequest`].
///
/// Fails with `TypeError` for anything else.
#[inline]
pub(crate) fn create<'py>(
    class: &Bound<'py, PyAny>,
    (receive, send): (&Bound<'py, PyAny>, &Bound<'py, PyAny>),
    handled: Handled,
) -> PyResult<Bound<'py, AsgiRequest>> {
    let py = class.py();
    let (receive, send) = (Owned::new(receive), Owned::new(send));
    let state = State { receive, send, handled: GilCell::new(handled) };
    if class.as_ptr() != KNOWN_CLASS.load(Ordering::Relaxed) {
        check_class(class)?;
    }
    // SAFETY: the class is that of the state or inherits from it, and the new reference is owned.
    unsafe {
        let object = allocate(class.as_ptr().cast(), None, state);
        Ok(Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked())
    }
}

#[cold]
fn check_class(class: &Bound<'_, PyAny>) -> PyResult<()> {
    let own = CLASS.load(Ordering::Relaxed);
    // SAFETY: both are objects that live, and the second is asked only about a class.
    let is_one = unsafe {
        ffi::PyType_Check(class.as_ptr()) != 0
            && ffi::PyType_IsSubtype(class.as_ptr().cast(), own) != 0
    };
    if !is_one {
        let message = format!("{} is no class of AsgiRequest", repr(class));
        return Err(PyTypeError::new_err(message));
    }
    // SAFETY: it is a class, and bound.
    let is_usual = unsafe { freed_by(class.as_ptr().cast()) == FREE };
    if is_usual && KNOWN_CLASS.load(Ordering::Relaxed).is_null() {
        KNOWN_CLASS.store(class.clone().into_ptr(), Ordering::Relaxed);
    }
    Ok(())
}

/// Visits what the request refers to. Nothing is cleared: every cycle of references also has an
/// object that the collector can clear.
unsafe extern "C" fn traverse(this: Object, visit: ffi::visitproc, argument: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for an instance of the class. Nothing is changed here.
    unsafe {
        let State { receive, send, .. } = &*state_of::<AsgiRequest>(this);
        let referred =
            [receive.visited().as_ptr(), send.visited().as_ptr(), ffi::Py_TYPE(this).cast()];
        referred
            .into_iter()
            .map(|object| visit(object, argument))
            .find(|code| *code != 0)
            .unwrap_or(0)
    }
}

unsafe extern "C" fn dealloc(object: Object) {
    // SAFETY: CPython calls this with the lock, for an instance without references. Instances of
    // the known class are freed as `check_class` saw. As a heap type has a reference from each of
    // its instances, one is released.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let class = ffi::Py_TYPE(object);
        let state = state_of::<AsgiRequest>(object);
        // The options have references that PyO3 releases at once only if it is attached.
        match (*state).handled.get_mut().has_last_options() {
            true => drop(Python::try_attach(|_| drop_state::<State>(object))),
            false => drop_state::<State>(object),
        }
        match class.cast() == KNOWN_CLASS.load(Ordering::Relaxed) {
            true => ffi::PyObject_GC_Del(object.cast()),
            false => free_memory(object),
        }
        release(class.cast());
    }
}

/// `request.send_to_server(message)`.
unsafe extern "C" fn send(
    this: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: CPython calls this with the lock, an instance of the class, and these arguments.
    // The end of the arguments is null.
    unsafe {
        if count != 1 || !keywords.is_null() {
            return SEND.replaced(this, arguments, count, keywords);
        }
        let message = *arguments;
        let _ = attached(|py| {
            AsgiRequest::note_sent(&lend(py, this).cast_unchecked(), &lend(py, message));
            Some(())
        });
        let send = (*state_of::<AsgiRequest>(this)).send.visited().as_ptr();
        ffi::PyObject_CallFunctionObjArgs(send, message, null_mut::<ffi::PyObject>())
    }
}

/// `request.end(scope, routes)`.
unsafe extern "C" fn end(
    this: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: as for `send`.
    unsafe {
        let ended = attached(|py| {
            let (scope, routes) = two(arguments, count, keywords)?;
            let (this, routes) = (lend(py, this), lend(py, routes));
            let routes = routes.cast_exact::<RouteTable>().ok()?;
            let scope = is_dict(scope).then(|| lend(py, scope).cast_unchecked::<PyDict>())?;
            let is_known = AsgiRequest::end(&this.cast_unchecked(), &scope, routes.get());
            let is_known = is_known.into_pyobject(py).ok()?.as_ptr();
            retain(is_known);
            Some(is_known)
        });
        ended.unwrap_or_else(|| END.replaced(this, arguments, count, keywords))
    }
}
