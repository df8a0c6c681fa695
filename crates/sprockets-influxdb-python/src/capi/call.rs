//! Functions that stand before those of PyO3.

use std::ffi::{CStr, CString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::PyTypeInfo;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi::{self, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use sprockets_influxdb as core;

use super::object::{Object, retain};

/// The type of a function with the flags `METH_FASTCALL` and `METH_KEYWORDS`. The values of
/// keywords follow the `usize` positional arguments.
pub(super) type Fast = ffi::PyCFunctionFastWithKeywords;

/// Bit of the number of arguments of a vectorcall, see PEP 590.
pub(super) const ARGUMENTS_OFFSET: usize = 1 << (usize::BITS - 1);

/// A function, and that of PyO3 which it replaces.
pub(super) struct Call {
    name: &'static CStr,
    function: Fast,
    /// Lives as long as the process.
    replaced: AtomicPtr<ffi::PyObject>,
}

impl Call {
    pub(super) const fn new(name: &'static CStr, function: Fast) -> Self {
        Self { name, function, replaced: AtomicPtr::new(null_mut()) }
    }

    /// Replaces a function of a module.
    pub(super) fn replace_in(&'static self, module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        let definition = self.definition(module.as_any())?;
        let name = module.name()?;
        // SAFETY: the definition lives as long as the process. The new reference is owned.
        let function = unsafe {
            let function =
                ffi::PyCFunction_NewEx(definition, module.as_ptr(), name.as_any().as_ptr());
            Bound::from_owned_ptr_or_err(py, function)?
        };
        module.setattr(self.name(py)?, function)
    }

    /// Replaces a method that a class has or inherits.
    pub(super) fn replace_of(&'static self, class: &Bound<'_, PyType>) -> PyResult<()> {
        let py = class.py();
        let definition = self.definition(class.as_any())?;
        // SAFETY: as above.
        let method = unsafe {
            let method = ffi::PyDescr_NewMethod(class.as_type_ptr(), definition);
            Bound::from_owned_ptr_or_err(py, method)?
        };
        class.setattr(self.name(py)?, method)
    }

    fn name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        PyString::from_bytes(py, self.name.to_bytes())
    }

    /// The definition, with the documentation of what is replaced.
    fn definition(&self, owner: &Bound<'_, PyAny>) -> PyResult<*mut ffi::PyMethodDef> {
        let name = self.name(owner.py())?;
        let replaced = owner.getattr(&name)?;
        let doc = documentation(&name, &replaced)?;
        self.replaced.store(replaced.into_ptr(), Ordering::Relaxed);
        Ok(Box::into_raw(Box::new(ffi::PyMethodDef {
            ml_name: self.name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: self.function },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ml_doc: doc.into_raw(),
        })))
    }

    /// Calls the function of PyO3. `this` is null for a function of a module.
    ///
    /// # Safety
    ///
    /// The arguments are those of the call.
    #[cold]
    pub(super) unsafe fn replaced(
        &self,
        this: Object,
        arguments: *const Object,
        count: Py_ssize_t,
        keywords: Object,
    ) -> Object {
        let function = self.replaced.load(Ordering::Relaxed);
        // SAFETY: as above.
        unsafe {
            call_with(this, arguments, count, keywords, |positional, named| {
                ffi::PyObject_Call(function, positional, named)
            })
        }
    }
}

/// The documentation of a class, with this signature.
pub(super) fn class_documentation<C: PyTypeInfo>(
    py: Python<'_>,
    signature: &str,
) -> PyResult<CString> {
    let text = py.get_type::<C>().getattr("__doc__")?;
    Ok(CString::new(format!("{signature}\n--\n\n{text}"))?)
}

/// As CPython reads it: the signature, and the text.
fn documentation(name: &Bound<'_, PyString>, documented: &Bound<'_, PyAny>) -> PyResult<CString> {
    let signature = documented.getattr("__text_signature__")?;
    let text = documented.getattr("__doc__")?;
    Ok(CString::new(format!("{name}{signature}\n--\n\n{text}"))?)
}

/// Calls `call` with a tuple and a dict, which may be null, as slots take them.
///
/// # Safety
///
/// The arguments are those of a call; `this` comes before them, or is null.
#[cold]
pub(super) unsafe fn call_with(
    this: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
    call: impl FnOnce(Object, Object) -> Object,
) -> Object {
    // SAFETY: `arguments` has `count` objects, and those of the keywords. The tuple takes the
    // reference that is made for it. What fails has set an error.
    unsafe {
        let first = Py_ssize_t::from(!this.is_null());
        let positional = ffi::PyTuple_New(first + count);
        if positional.is_null() {
            return null_mut();
        }
        for index in 0..first + count {
            let object = if index < first { this } else { *arguments.offset(index - first) };
            ffi::Py_INCREF(object);
            ffi::PyTuple_SetItem(positional, index, object);
        }
        let mut named = null_mut();
        let mut result = null_mut();
        if keywords.is_null() || {
            named = ffi::PyDict_New();
            !named.is_null()
                && (0..ffi::PyTuple_Size(keywords)).all(|index| {
                    let value = *arguments.offset(count + index);
                    ffi::PyDict_SetItem(named, ffi::PyTuple_GetItem(keywords, index), value) == 0
                })
        } {
            result = call(positional, named);
        }
        ffi::Py_XDECREF(named);
        ffi::Py_DECREF(positional);
        result
    }
}

/// `None`, as the result of a function.
#[inline]
pub(super) fn none(_py: Python<'_>) -> Object {
    // SAFETY: `None` lives forever, and the thread has the lock.
    unsafe {
        let none = ffi::Py_None();
        retain(none);
        none
    }
}

/// What a function returns after it added a measurement: `None`, or the error is raised.
#[inline]
pub(super) fn returned(py: Python<'_>, added: core::Result<()>) -> Object {
    match added {
        Ok(()) => none(py),
        Err(error) => raise(&error.to_string()),
    }
}

/// What a function returns that has a result or `None`, or raises.
#[inline]
pub(super) fn found<T>(py: Python<'_>, result: PyResult<Option<Bound<'_, T>>>) -> Object {
    match result {
        Ok(Some(result)) => result.into_ptr(),
        Ok(None) => none(py),
        Err(error) => raised(py, error),
    }
}

/// What a function returns that raises this.
#[cold]
pub(super) fn raised(py: Python<'_>, error: PyErr) -> Object {
    error.restore(py);
    null_mut()
}

/// What a function returns that cannot be called again in another way: see [`attached`].
#[cold]
pub(super) fn panicked() -> Object {
    // SAFETY: called by functions that CPython calls with the lock.
    let py = unsafe { Python::assume_attached() };
    raised(py, PyRuntimeError::new_err("sprockets_influxdb has a defect: please report it"))
}

/// Raises a `ValueError`.
#[cold]
fn raise(message: &str) -> Object {
    // SAFETY: the message is UTF-8, and its object is released.
    unsafe {
        let length = message.len() as Py_ssize_t;
        let text = ffi::PyUnicode_FromStringAndSize(message.as_ptr().cast(), length);
        if !text.is_null() {
            ffi::PyErr_SetObject(ffi::PyExc_ValueError, text);
            ffi::Py_DECREF(text);
        }
    }
    null_mut()
}

/// The two arguments of a call by position.
///
/// # Safety
///
/// The arguments are those of the call.
#[inline(always)]
pub(super) unsafe fn two(
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Option<(Object, Object)> {
    // SAFETY: as above.
    (count == 2 && keywords.is_null()).then(|| unsafe { (*arguments, *arguments.add(1)) })
}

/// Runs a function with the lock that its caller has. No panic is known; one would not get to
/// CPython: it is `None`, and the call is made by PyO3 where that is possible.
///
/// # Safety
///
/// The thread has the interpreter's lock.
#[inline]
pub(super) unsafe fn attached<T>(run: impl FnOnce(Python<'_>) -> Option<T>) -> Option<T> {
    // SAFETY: as above.
    let py = unsafe { Python::assume_attached() };
    catch_unwind(AssertUnwindSafe(|| run(py))).unwrap_or_default()
}
