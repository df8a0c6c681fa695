//! Classes of the C API that inherit from a class of PyO3, which has all that is rarely called.

use std::ffi::{CStr, c_int, c_uint, c_ulong, c_void};
use std::mem::{offset_of, size_of};
use std::ptr::{self, null_mut};

use pyo3::PyTypeInfo;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use super::object::Object;

/// Bit of a type with `__vectorcalloffset__`. The limited API names it since 3.12; it is the same
/// before.
const HAS_VECTORCALL: c_ulong = 1 << 11;

/// A class of PyO3 without fields of its own, from which one class of the C API inherits. Its
/// instances are made by this module only, so each has a state.
pub(crate) trait Native: PyTypeInfo {
    type State;
}

/// The state of an instance.
#[inline]
pub(crate) fn native<'a, C: Native>(this: &'a Bound<'_, C>) -> &'a C::State {
    // SAFETY: the instance is an `Instance`, whose state is initialised and lives as long.
    unsafe { &*state_of::<C>(this.as_ptr()) }
}

/// # Safety
///
/// The object is an instance of the class.
#[inline]
pub(super) unsafe fn state_of<C: Native>(object: Object) -> *mut C::State {
    // SAFETY: as above.
    unsafe { &raw mut (*object.cast::<Instance<C::State>>()).state }
}

pub(super) type VectorCall = unsafe extern "C" fn(Object, *const Object, usize, Object) -> Object;

/// An instance in memory.
#[repr(C)]
pub(super) struct Instance<S> {
    head: ffi::PyObject,
    vectorcall: Option<VectorCall>,
    attributes: Object,
    weak_references: Object,
    state: S,
}

/// What a class is made of.
pub(super) struct Definition {
    pub(super) name: &'static CStr,
    pub(super) flags: c_ulong,
    pub(super) slots: Vec<ffi::PyType_Slot>,
}

/// Which special attributes a class has.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Special {
    /// Attributes of the program's, and weak references.
    Attributes,
    /// An instance can be called.
    VectorCall,
    None,
}

impl Definition {
    /// Makes the class that inherits from `C`. Classes live as long as the process.
    pub(super) fn class<'py, C: Native>(
        mut self,
        py: Python<'py>,
        special: Special,
    ) -> PyResult<Bound<'py, PyType>> {
        let member = |name: &'static CStr, offset: usize| ffi::PyMemberDef {
            name: name.as_ptr(),
            type_code: ffi::Py_T_PYSSIZET,
            offset: offset as ffi::Py_ssize_t,
            flags: ffi::Py_READONLY,
            doc: ptr::null(),
        };
        let members = match special {
            Special::Attributes => vec![
                member(c"__dictoffset__", offset_of!(Instance<C::State>, attributes)),
                member(c"__weaklistoffset__", offset_of!(Instance<C::State>, weak_references)),
            ],
            Special::VectorCall => {
                self.flags |= HAS_VECTORCALL;
                let offset = offset_of!(Instance<C::State>, vectorcall);
                vec![member(c"__vectorcalloffset__", offset)]
            }
            Special::None => Vec::new(),
        };
        // SAFETY: all zeros is the end of the list.
        let end = unsafe { std::mem::zeroed() };
        let members: Vec<ffi::PyMemberDef> = members.into_iter().chain([end]).collect();
        self.slots.push(slot(ffi::Py_tp_members, members.leak().as_mut_ptr().cast()));
        if special == Special::Attributes {
            let dict = ffi::PyGetSetDef {
                name: c"__dict__".as_ptr(),
                get: Some(ffi::PyObject_GenericGetDict),
                set: Some(ffi::PyObject_GenericSetDict),
                ..Default::default()
            };
            let attributes = vec![dict, ffi::PyGetSetDef::default()].leak();
            self.slots.push(slot(ffi::Py_tp_getset, attributes.as_mut_ptr().cast()));
        }
        self.slots.push(slot(0, null_mut()));
        let bases = PyTuple::new(py, [C::type_object(py)])?;
        let mut spec = ffi::PyType_Spec {
            name: self.name.as_ptr(),
            basicsize: size_of::<Instance<C::State>>() as c_int,
            itemsize: 0,
            flags: self.flags as c_uint,
            slots: self.slots.as_mut_ptr(),
        };
        // SAFETY: what the specification points to lives as long as it has to: names, members and
        // getters forever, the rest until the call returns.
        let class = unsafe {
            let class = ffi::PyType_FromSpecWithBases(&mut spec, bases.as_ptr());
            Bound::from_owned_ptr_or_err(py, class)?
        };
        Ok(class.cast_into::<PyType>()?)
    }
}

pub(super) fn slot(slot: c_int, function: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot { slot, pfunc: function }
}

/// The function of PyO3's class that calls an instance, with a tuple and a dict.
pub(super) fn call_of_pyo3<C: Native>(py: Python<'_>) -> *mut c_void {
    // SAFETY: the type lives as long as the process.
    unsafe { ffi::PyType_GetSlot(C::type_object_raw(py), ffi::Py_tp_call) }
}

/// Makes an instance with this state. Null, and an error is raised, without memory.
///
/// # Safety
///
/// `class` is the class of the state, or one that inherits from it.
#[inline]
pub(super) unsafe fn allocate<S>(
    class: *mut ffi::PyTypeObject,
    vectorcall: Option<VectorCall>,
    state: S,
) -> Object {
    // SAFETY: the new object has room for an `Instance`, which is all zeros but for its head.
    unsafe {
        let object = ffi::PyType_GenericAlloc(class, 0);
        if !object.is_null() {
            let instance = object.cast::<Instance<S>>();
            (*instance).vectorcall = vectorcall;
            (&raw mut (*instance).state).write(state);
        }
        object
    }
}

/// Makes a released instance one with a reference again.
///
/// # Safety
///
/// The class is that of the instance, whose state is initialised. The collector does not track it.
#[inline]
pub(super) unsafe fn revive(object: Object, class: *mut ffi::PyTypeObject) {
    // SAFETY: as above.
    unsafe {
        ffi::PyObject_Init(object, class);
        ffi::PyObject_GC_Track(object.cast());
    }
}

/// Releases weak references and attributes of an instance without references.
///
/// # Safety
///
/// As said.
#[inline]
pub(super) unsafe fn clear_special<S>(object: Object) {
    let instance = object.cast::<Instance<S>>();
    // SAFETY: as above.
    unsafe {
        if !(*instance).weak_references.is_null() {
            ffi::PyObject_ClearWeakRefs(object);
        }
        if !(*instance).attributes.is_null() {
            let attributes = ptr::replace(&raw mut (*instance).attributes, null_mut());
            ffi::Py_DECREF(attributes);
        }
    }
}

/// Drops the state of an instance without references, and frees its memory.
///
/// # Safety
///
/// As said.
#[inline]
pub(super) unsafe fn free<S>(object: Object) {
    // SAFETY: as above.
    unsafe {
        drop_state::<S>(object);
        free_memory(object);
    }
}

/// Frees the memory of an instance whose state was dropped.
///
/// # Safety
///
/// As said.
#[inline]
pub(super) unsafe fn free_memory(object: Object) {
    // SAFETY: as above. The slot is that of the class, which may be a subclass.
    unsafe {
        let free: ffi::freefunc = std::mem::transmute(freed_by(ffi::Py_TYPE(object)));
        free(object.cast());
    }
}

/// Drops the state of an instance without references. Its memory is still to be freed.
///
/// # Safety
///
/// As said.
#[inline]
pub(super) unsafe fn drop_state<S>(object: Object) {
    // SAFETY: as above.
    unsafe { (&raw mut (*object.cast::<Instance<S>>()).state).drop_in_place() }
}

/// The function that frees the memory of a class's instances.
///
/// # Safety
///
/// It is a class, and the thread has the lock.
pub(super) unsafe fn freed_by(class: *mut ffi::PyTypeObject) -> *mut c_void {
    // SAFETY: as above.
    unsafe { ffi::PyType_GetSlot(class, ffi::Py_tp_free) }
}
