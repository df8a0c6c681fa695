//! What only code with the interpreter's lock uses.

use std::cell::{Ref, RefCell, RefMut};
use std::mem::ManuallyDrop;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::object::{release, retain};

/// A value that is borrowed with the interpreter's lock, without atomic operations.
pub(crate) struct GilCell<T>(RefCell<T>);

// SAFETY: a borrow needs a `Python`, and so the interpreter's lock: one thread uses the cell at a
// time. The module declares that it needs the lock, so a free-threaded interpreter enables it. A
// borrow that lasts while the lock is released makes the next one fail.
unsafe impl<T> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    #[inline]
    pub(super) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }

    /// The value for the garbage collector, which has the lock. `None` while it is changed.
    pub(crate) fn visited(&self) -> Option<Ref<'_, T>> {
        self.0.try_borrow().ok()
    }

    /// As [`visited`](Self::visited), to be changed.
    pub(crate) fn cleared(&self) -> Option<RefMut<'_, T>> {
        self.0.try_borrow_mut().ok()
    }

    #[inline]
    pub(crate) fn borrow<'a>(&'a self, _py: Python<'_>) -> PyResult<Ref<'a, T>> {
        self.0.try_borrow().map_err(|_| PyRuntimeError::new_err("Already mutably borrowed"))
    }

    #[inline]
    pub(crate) fn borrow_mut<'a>(&'a self, _py: Python<'_>) -> PyResult<RefMut<'a, T>> {
        self.0.try_borrow_mut().map_err(|_| PyRuntimeError::new_err("Already borrowed"))
    }

    /// As [`borrow_mut`](Self::borrow_mut), without an error to be made.
    #[inline]
    pub(crate) fn if_free<'a>(&'a self, _py: Python<'_>) -> Option<RefMut<'a, T>> {
        self.0.try_borrow_mut().ok()
    }
}

/// A reference that a Python object holds. To be dropped only with the interpreter's lock, so not
/// for thread locals and statics.
#[repr(transparent)]
pub(crate) struct Owned<T = PyAny>(ManuallyDrop<Py<T>>);

impl<T> Owned<T> {
    #[inline]
    pub(crate) fn new(object: &Bound<'_, T>) -> Self {
        // SAFETY: the object is bound, so it lives and the thread has the lock. The new reference
        // is owned.
        let object = unsafe {
            retain(object.as_ptr());
            Bound::from_owned_ptr(object.py(), object.as_ptr()).cast_into_unchecked()
        };
        Self(ManuallyDrop::new(object.unbind()))
    }

    /// Another reference.
    #[inline]
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        Self::new(self.bind(py))
    }

    #[inline]
    pub(crate) fn bind<'py>(&self, py: Python<'py>) -> &Bound<'py, T> {
        self.0.bind(py)
    }

    /// For the garbage collector.
    pub(crate) fn visited(&self) -> &Py<T> {
        &self.0
    }
}

impl<T> From<Bound<'_, T>> for Owned<T> {
    #[inline]
    fn from(object: Bound<'_, T>) -> Self {
        Self(ManuallyDrop::new(object.unbind()))
    }
}

impl<T> Drop for Owned<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this reference is owned, and not used again. The thread has the lock.
        unsafe { release(self.0.as_ptr()) }
    }
}
