//! Reads what requests consist of: dicts, lists, pairs, and texts in one of two forms. Each
//! function does with one call of CPython what PyO3 does with several.

use std::ptr::null_mut;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyIterator, PyList, PyString, PyTuple};

use super::cell::Owned;
use super::object::{Object, lend};

/// A value, or `None` for an error. What the error refers to is released at once, which PyO3 does
/// only where it knows that the thread is attached.
#[inline]
pub(crate) fn ok<T>(result: PyResult<T>) -> Option<T> {
    result.map_err(forget).ok()
}

#[cold]
pub(crate) fn forget(error: PyErr) {
    Python::attach(|_| drop(error));
}

/// The value of a key. `None` if there is none, or if another key raises anything when it is
/// compared.
#[inline]
pub(crate) fn find(dict: &Bound<'_, PyDict>, name: &Bound<'_, PyString>) -> Option<Owned> {
    // SAFETY: both are bound, so they live and the thread has the lock. The dict lends its value.
    unsafe { kept(dict.py(), ffi::PyDict_GetItemWithError(dict.as_ptr(), name.as_ptr())) }
}

/// An item of a list. `None` if it has no such item.
#[inline]
pub(crate) fn item(list: &Bound<'_, PyList>, index: usize) -> Option<Owned> {
    // SAFETY: as for `find`.
    unsafe { kept(list.py(), ffi::PyList_GetItem(list.as_ptr(), index as ffi::Py_ssize_t)) }
}

/// An item of a sequence, which usually is a tuple. `None` if it has no such item.
#[inline(always)]
pub(crate) fn part(sequence: &Bound<'_, PyAny>, index: usize) -> Option<Owned> {
    match sequence.cast_exact::<PyTuple>() {
        // SAFETY: as for `find`.
        Ok(tuple) => unsafe {
            kept(tuple.py(), ffi::PyTuple_GetItem(tuple.as_ptr(), index as ffi::Py_ssize_t))
        },
        Err(_) => ok(sequence.get_item(index)).map(Owned::from),
    }
}

/// The next item of an iterator. Runs Python code.
#[inline]
pub(crate) fn next<'py>(iterator: &Bound<'py, PyIterator>) -> Option<PyResult<Bound<'py, PyAny>>> {
    let py = iterator.py();
    // SAFETY: the iterator is bound, and the new reference is owned.
    unsafe {
        match Bound::from_owned_ptr_or_opt(py, ffi::PyIter_Next(iterator.as_ptr())) {
            Some(item) => Some(Ok(item)),
            None => PyErr::take(py).map(Err),
        }
    }
}

/// Keeps what is lent. Null is none, and possibly an error, which is forgotten.
///
/// # Safety
///
/// The object is null or lives, and the thread has the lock.
#[inline]
unsafe fn kept(py: Python<'_>, object: Object) -> Option<Owned> {
    // SAFETY: as above.
    unsafe {
        if object.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        Some(Owned::new(&lend(py, object)))
    }
}

/// An object as a dict, if it is one.
#[inline]
pub(crate) fn as_dict<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, PyDict>> {
    object.cast_exact().ok().or_else(|| object.cast().ok())
}

/// An object as a string, if it is one.
#[inline]
pub(crate) fn as_string<'a, 'py>(
    object: &'a Bound<'py, PyAny>,
) -> Option<&'a Bound<'py, PyString>> {
    object.cast_exact().ok().or_else(|| object.cast().ok())
}

/// The bytes of a `bytes`. `None` for another object.
#[inline]
pub(crate) fn bytes<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
    let exact = object.cast_exact::<PyBytes>();
    let object = exact.ok().or_else(|| object.cast().ok())?;
    let (mut start, mut length) = (null_mut(), 0);
    // SAFETY: the object has these bytes, which do not change, for as long as it lives.
    unsafe {
        ffi::PyBytes_AsStringAndSize(object.as_ptr(), &mut start, &mut length);
        Some(std::slice::from_raw_parts(start.cast(), length as usize))
    }
}
