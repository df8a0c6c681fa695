//! Python's objects: how they are lent, and how references to them are counted without a call.
//!
//! PyO3 calls CPython for each, as code of the limited API may not know the layout of an object. It
//! does: C code of the limited API of Python 3.10 counts in place, and each later version runs it.
//! Only immortal objects, which are there since 3.12, are left alone besides: counted, they would
//! become mortal after some billions of calls.

use pyo3::ffi;
use pyo3::prelude::*;

/// An object that lives while it is used.
pub(super) type Object = *mut ffi::PyObject;

/// Lends an object to code of PyO3.
///
/// # Safety
///
/// The object lives for as long as this is used, and the thread has the lock.
#[inline]
pub(super) unsafe fn lend<'a, 'py>(py: Python<'py>, object: Object) -> Borrowed<'a, 'py, PyAny> {
    // SAFETY: as above.
    unsafe { Borrowed::from_ptr(py, object) }
}

/// Takes a reference.
///
/// # Safety
///
/// The object lives, and the thread has the lock.
#[inline(always)]
pub(super) unsafe fn retain(object: Object) {
    // SAFETY: as above.
    unsafe {
        match count_of(object) {
            Some(count) if is_immortal(*count) => {}
            Some(count) => *count += 1,
            None => ffi::Py_INCREF(object),
        }
    }
}

/// Gives a reference back.
///
/// # Safety
///
/// The reference is the caller's, and not used again. The thread has the lock.
#[inline(always)]
pub(super) unsafe fn release(object: Object) {
    // SAFETY: as above.
    unsafe {
        match count_of(object) {
            Some(count) if is_immortal(*count) => {}
            Some(count) if *count as i32 > 1 => *count -= 1,
            _ => ffi::Py_DECREF(object),
        }
    }
}

/// The first part of an object. `None` where immortal objects cannot be told from others.
#[inline(always)]
fn count_of(object: Object) -> Option<*mut i64> {
    cfg!(target_pointer_width = "64").then(|| object.cast())
}

/// Immortal objects have bit 31 set, which no count of references reaches: see
/// `Include/refcount.h` of CPython 3.14, and `Include/object.h` of earlier versions.
#[inline(always)]
fn is_immortal(count: i64) -> bool {
    (count as i32) < 0
}
