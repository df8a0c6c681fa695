//! Requests of ASGI applications, as the `receive` and `send` that an application calls.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::PyTypeInfo;
use pyo3::ffi;
use pyo3::prelude::*;

use super::call::{ARGUMENTS_OFFSET, attached, call_with};
use super::class::{Definition, Special, allocate, free, slot, state_of};
use super::value::{Object, lend};
use crate::request::asgi::{AsgiCell, AsgiRequest};

static CLASS: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(null_mut());

pub(super) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let definition = Definition {
        name: c"sprockets_influxdb._native.AsgiRequest",
        flags: ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC,
        slots: vec![
            slot(ffi::Py_tp_call, call_of_pyo3(py)),
            slot(ffi::Py_tp_traverse, traverse as *mut _),
            slot(ffi::Py_tp_clear, clear as *mut _),
            slot(ffi::Py_tp_dealloc, dealloc as *mut _),
            slot(ffi::Py_tp_free, ffi::PyObject_GC_Del as *mut _),
        ],
    };
    let class = definition.class::<AsgiRequest>(py, Special::VectorCall)?;
    module.add("AsgiRequest", &class)?;
    CLASS.store(class.into_ptr().cast(), Ordering::Relaxed);
    Ok(())
}

/// Makes a request with this state.
pub(crate) fn create(py: Python<'_>, state: AsgiCell) -> PyResult<Bound<'_, AsgiRequest>> {
    let class = CLASS.load(Ordering::Relaxed);
    // SAFETY: the class is that of the state, and the new reference is owned.
    unsafe {
        let object = allocate(class, Some(call), state);
        Ok(Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked())
    }
}

fn call_of_pyo3(py: Python<'_>) -> *mut c_void {
    // SAFETY: the class has this slot.
    unsafe { ffi::PyType_GetSlot(AsgiRequest::type_object_raw(py), ffi::Py_tp_call) }
}

/// Visits what may refer to the request: what the handler puts into the measurement, and the
/// server's functions.
unsafe extern "C" fn traverse(this: Object, visit: ffi::visitproc, argument: *mut c_void) -> c_int {
    // SAFETY: CPython calls this with the lock, for an instance of the class. Nothing is changed.
    unsafe {
        let py = Python::assume_attached();
        // A request that is being changed is in use.
        if let Some(own) = (*state_of::<AsgiRequest>(this)).if_free(py) {
            for object in own.references().into_iter().flatten() {
                let visited = visit(object, argument);
                if visited != 0 {
                    return visited;
                }
            }
        }
        visit(ffi::Py_TYPE(this).cast(), argument)
    }
}

unsafe extern "C" fn clear(this: Object) -> c_int {
    // SAFETY: CPython calls this with the lock, for an instance of the class.
    unsafe {
        let py = Python::assume_attached();
        let server = (*state_of::<AsgiRequest>(this)).if_free(py).map(|mut own| own.clear());
        // Other code may run when it is dropped.
        drop(server);
    }
    0
}

unsafe extern "C" fn dealloc(object: Object) {
    // SAFETY: CPython calls this with the lock, for an instance without references. As a heap type
    // has a reference from each of its instances, one is released.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let class = ffi::Py_TYPE(object);
        // The state has references, which PyO3 releases at once only if it is attached. While the
        // interpreter ends it cannot be: then they stay.
        if Python::try_attach(|_| free::<AsgiCell>(object)).is_none() {
            free::<AsgiCell>(object);
        }
        ffi::Py_DECREF(class.cast());
    }
}

/// `request(message)`: notes the message, and returns what the server's `send` returns.
unsafe extern "C" fn call(
    this: Object,
    arguments: *const Object,
    count: usize,
    keywords: Object,
) -> Object {
    let count = count & !ARGUMENTS_OFFSET;
    // SAFETY: CPython calls this with the lock, an instance of the class, and these arguments.
    unsafe {
        let send = attached(|py| {
            if count != 1 || !keywords.is_null() {
                return None;
            }
            let mut own = (*state_of::<AsgiRequest>(this)).if_free(py)?;
            let send = own.unrefused_send(py)?.into_ptr();
            own.sends(&lend(py, *arguments));
            Some(send)
        });
        match send {
            Some(send) => {
                let end = null_mut::<ffi::PyObject>();
                let sent = ffi::PyObject_CallFunctionObjArgs(send, *arguments, end);
                ffi::Py_DECREF(send);
                sent
            }
            None => {
                let py = Python::assume_attached();
                let slot: ffi::ternaryfunc = std::mem::transmute(call_of_pyo3(py));
                call_with(null_mut(), arguments, count as _, keywords, |positional, named| {
                    slot(this, positional, named)
                })
            }
        }
    }
}
