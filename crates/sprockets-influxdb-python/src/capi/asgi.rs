//! Requests of ASGI applications.

use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{self, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::call::{Call, attached, none, two};
use super::cell::{GilCell, Owned};
use super::class::{Definition, Native, Special, allocate, free, slot, state_of};
use super::value::{Object, is_dict, lend};
use crate::request::Handled;
use crate::value::repr;

static CLASS: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(null_mut());

static SENDS: Call = Call::new(c"sends", sends);
static END: Call = Call::new(c"end", end);

/// A request that is being handled. It is recorded once: by `end()`, or else when it is
/// deallocated. A subclass passes the messages on.
#[pyclass(frozen, subclass, module = "sprockets_influxdb._native")]
pub(crate) struct AsgiRequest(());

impl Native for AsgiRequest {
    type State = State;
}

/// The server's functions, for the subclass.
const MEMBERS: [(&CStr, usize); 2] =
    [(c"server_receive", offset_of!(State, receive)), (c"server_send", offset_of!(State, send))];

/// What a request consists of.
#[repr(C)]
pub(crate) struct State {
    receive: Owned,
    send: Owned,
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
            slot(ffi::Py_tp_free, ffi::PyObject_GC_Del as *mut _),
        ],
    };
    let class = definition.class::<AsgiRequest>(py, Special::Members(&MEMBERS))?;
    SENDS.replace_of(&class)?;
    END.replace_of(&class)?;
    module.add("AsgiRequest", &class)?;
    CLASS.store(class.into_ptr().cast(), Ordering::Relaxed);
    Ok(())
}

/// Makes a request of this class, which inherits from [`AsgiRequest`].
///
/// Fails with `TypeError` for anything else.
pub(crate) fn create<'py>(
    class: &Bound<'py, PyAny>,
    (receive, send): (&Bound<'py, PyAny>, &Bound<'py, PyAny>),
    handled: Handled,
) -> PyResult<Bound<'py, AsgiRequest>> {
    let py = class.py();
    let (receive, send) = (Owned::new(receive), Owned::new(send));
    let state = State { receive, send, handled: GilCell::new(handled) };
    let own = CLASS.load(Ordering::Relaxed);
    let kind = class.as_ptr();
    // SAFETY: the class is that of the state or inherits from it, and the new reference is owned.
    unsafe {
        if ffi::PyType_Check(kind) == 0 || ffi::PyType_IsSubtype(kind.cast(), own) == 0 {
            let message = format!("{} is no class of AsgiRequest", repr(class));
            return Err(PyTypeError::new_err(message));
        }
        let object = allocate(kind.cast(), None, state);
        Ok(Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked())
    }
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
    // SAFETY: CPython calls this with the lock, for an instance without references. As a heap type
    // has a reference from each of its instances, one is released.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let class = ffi::Py_TYPE(object);
        let state = state_of::<AsgiRequest>(object);
        // The options have references that PyO3 releases at once only if it is attached.
        match (*state).handled.get_mut().has_last_options() {
            true => drop(Python::try_attach(|_| free::<State>(object))),
            false => free::<State>(object),
        }
        ffi::Py_DECREF(class.cast());
    }
}

/// `request.sends(message)`.
unsafe extern "C" fn sends(
    this: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: CPython calls this with the lock, an instance of the class, and these arguments.
    unsafe {
        let noted = attached(|py| {
            if count != 1 || !keywords.is_null() {
                return None;
            }
            AsgiRequest::sends(&lend(py, this).cast_unchecked(), &lend(py, *arguments));
            Some(none(py))
        });
        noted.unwrap_or_else(|| SENDS.replaced(this, arguments, count, keywords))
    }
}

/// `request.end(scope, routes)`.
unsafe extern "C" fn end(
    this: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: as for `sends`.
    unsafe {
        let ended = attached(|py| {
            let (scope, routes) = two(arguments, count, keywords)?;
            if !is_dict(scope) || !is_dict(routes) {
                return None;
            }
            let (scope, routes) = (lend(py, scope), lend(py, routes));
            let (scope, routes) = (scope.cast_unchecked::<PyDict>(), routes.cast_unchecked());
            let is_known = AsgiRequest::end(&lend(py, this).cast_unchecked(), &scope, &routes);
            Some(is_known.into_pyobject(py).ok()?.to_owned().into_ptr())
        });
        ended.unwrap_or_else(|| END.replaced(this, arguments, count, keywords))
    }
}
