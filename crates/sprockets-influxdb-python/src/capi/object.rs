//! Python's objects: how they are lent, and how references to them are counted without a call.
//!
//! PyO3 calls CPython for each reference. C code of the limited API of Python 3.10 counts in place
//! instead, as this does, and each later version with the interpreter's lock runs such code.
//! Immortal objects, which exist since 3.12, are not counted. They would become mortal after some
//! billions of calls, as newer code does not count them back.

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

/// The count of an object, which is its first part. `None` where immortal objects cannot be told
/// from others, and on interpreters whose objects begin with something else, as those without the
/// lock do.
#[inline(always)]
fn count_of(object: Object) -> Option<*mut i64> {
    let is_known =
        cfg!(target_pointer_width = "64") && size_of::<ffi::PyObject>() == 2 * size_of::<usize>();
    is_known.then(|| object.cast())
}

/// Immortal objects have bit 31 set: see `Include/refcount.h` of CPython 3.14, and
/// `Include/object.h` of earlier versions. Another object has it with 2^31 references, which take
/// 16 GiB.
#[inline(always)]
fn is_immortal(count: i64) -> bool {
    (count as i32) < 0
}
