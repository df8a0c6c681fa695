//! Measurements: how they are made and set.

use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::PyTypeInfo;
use pyo3::ffi::{self, Py_ssize_t};
use pyo3::prelude::*;

use super::call::{Call, attached, class_documentation, none, two};
use super::cell::{GilCell, Owned};
use super::class::{
    Definition, Special, allocate, clear_special, free, native, revive, slot, state_of,
};
use super::object::{Object, lend, release};
use super::value::{each_item, is_dict, is_plain, is_plain_field, is_text};
use crate::items::Items;
use crate::measurement::Measurement;
use crate::state::State;
use crate::timestamp::Stamp;

type Cell = GilCell<State>;

/// Released measurements that are kept to be used again. Their state is empty.
const MAX_SPARE: usize = 32;

static SPARE: GilCell<Vec<Object>> = GilCell::new(Vec::new());
static CLASS: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(null_mut());

static SET_TAG: Call = Call::new(c"set_tag", set_tag);
static SET_TAGS: Call = Call::new(c"set_tags", set_tags);
static SET_FIELD: Call = Call::new(c"set_field", set_field);

pub(super) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let doc = class_documentation::<Measurement>(py, "Measurement(database=..., name=...)")?;
    let definition = Definition {
        name: c"sprockets_influxdb.Measurement",
        flags: ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE,
        slots: vec![
            slot(ffi::Py_tp_new, new as *mut _),
            slot(ffi::Py_tp_init, init as *mut _),
            slot(ffi::Py_tp_dealloc, dealloc as *mut _),
            slot(ffi::Py_tp_doc, doc.into_raw().cast()),
        ],
    };
    let class = definition.class::<Measurement>(py, Special::Attributes)?;
    for method in [&SET_TAG, &SET_TAGS, &SET_FIELD] {
        method.replace_of(&class)?;
    }
    module.add("Measurement", &class)?;
    CLASS.store(class.into_ptr().cast(), Ordering::Relaxed);
    Ok(())
}

/// The state of a measurement. `None` for another object.
///
/// # Safety
///
/// The object lives as long as the state is used, and the thread has the lock.
#[inline]
pub(super) unsafe fn state_if<'a>(object: Object) -> Option<&'a GilCell<State>> {
    // SAFETY: as above. Only an instance of the class has the state.
    unsafe {
        let class = CLASS.load(Ordering::Relaxed);
        let own_class = ffi::Py_TYPE(object);
        let is_one = own_class == class || ffi::PyType_IsSubtype(own_class, class) != 0;
        is_one.then(|| &*state_of::<Measurement>(object))
    }
}

/// Makes a measurement. `fill` gets its empty state.
#[inline]
pub(crate) fn create<'py>(
    py: Python<'py>,
    fill: impl FnOnce(&mut State),
) -> PyResult<Bound<'py, Measurement>> {
    // SAFETY: the class is that of the state, and the new reference is owned.
    let made: Bound<'py, Measurement> = unsafe {
        let object = instance(py, CLASS.load(Ordering::Relaxed));
        Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked()
    };
    fill(&mut *native(&made).borrow_mut(py)?);
    Ok(made)
}

/// An instance with an empty state, used again if there is a spare one. Null, and an error is
/// raised, without memory.
///
/// # Safety
///
/// `class` is the class of measurements, or one that inherits from it.
#[inline(always)]
unsafe fn instance(py: Python<'_>, class: *mut ffi::PyTypeObject) -> Object {
    let spare = if class == CLASS.load(Ordering::Relaxed) {
        SPARE.if_free(py).and_then(|mut spare| spare.pop())
    } else {
        None
    };
    // SAFETY: what is spare is of this class, and its state is initialised.
    unsafe {
        match spare {
            Some(object) => {
                revive(object, class);
                object
            }
            None => allocate(class, None, GilCell::new(State::empty())),
        }
    }
}

/// `__new__`: any arguments, as a subclass may have an `__init__` with others.
unsafe extern "C" fn new(class: *mut ffi::PyTypeObject, _: Object, _: Object) -> Object {
    // SAFETY: CPython calls this with the lock, and with this class or one that inherits from it.
    unsafe {
        let object = instance(Python::assume_attached(), class);
        if !object.is_null() {
            (*state_of::<Measurement>(object)).get_mut().stamp = Stamp::now();
        }
        object
    }
}

/// `__init__(database, name)`.
unsafe extern "C" fn init(this: Object, positional: Object, named: Object) -> c_int {
    // SAFETY: CPython calls this with the lock, an instance of the class, a tuple, and a dict or
    // null. The slot of the class of PyO3 takes the same.
    unsafe {
        let done = attached(|py| {
            if !named.is_null() || ffi::PyTuple_Size(positional) != 2 {
                return None;
            }
            let database = ffi::PyTuple_GetItem(positional, 0);
            let name = ffi::PyTuple_GetItem(positional, 1);
            if !is_text(database) || !is_text(name) {
                return None;
            }
            let place = (Owned::new(&lend(py, database)), Owned::new(&lend(py, name)));
            let mut own = (*state_of::<Measurement>(this)).if_free(py)?;
            let before = own.set_place(place);
            drop(own);
            drop(before);
            Some(())
        });
        if done.is_some() {
            return 0;
        }
        let class = Measurement::type_object_raw(Python::assume_attached());
        let slot = ffi::PyType_GetSlot(class, ffi::Py_tp_init);
        let init: ffi::initproc = std::mem::transmute(slot);
        init(this, positional, named)
    }
}

unsafe extern "C" fn dealloc(object: Object) {
    // SAFETY: CPython calls this with the lock, for an instance without references. As a heap type
    // has a reference from each of its instances, one is released.
    unsafe {
        // Or gc.get_objects() would hand out one that is spare, and it would be released twice.
        ffi::PyObject_GC_UnTrack(object.cast());
        let py = Python::assume_attached();
        let class = ffi::Py_TYPE(object);
        clear_special::<Cell>(object);
        (*state_of::<Measurement>(object)).get_mut().clear(py);
        let spare = SPARE
            .if_free(py)
            .filter(|spare| class == CLASS.load(Ordering::Relaxed) && spare.len() < MAX_SPARE);
        match spare {
            Some(mut spare) => spare.push(object),
            None => free::<Cell>(object),
        }
        release(class.cast());
    }
}

/// Sets a tag or a field, if its value is plain.
///
/// # Safety
///
/// The object is an instance of the class, and the arguments are those of the call.
#[inline(always)]
unsafe fn set_item(
    (this, arguments, count, keywords): (Object, *const Object, Py_ssize_t, Object),
    is_plain: impl Fn(Object) -> bool,
    items: impl Fn(&mut State) -> &mut Items,
) -> Option<Object> {
    // SAFETY: as above.
    unsafe {
        attached(|py| {
            let (name, value) = two(arguments, count, keywords)?;
            if !is_text(name) || !is_plain(value) {
                return None;
            }
            let mut own = (*state_of::<Measurement>(this)).if_free(py)?;
            let list = items(&mut own).list_with_room()?;
            list.push((Owned::new(&lend(py, name)), Owned::new(&lend(py, value))));
            Some(none(py))
        })
    }
}

unsafe extern "C" fn set_tag(
    this: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: CPython calls this with the lock, an instance of the class, and these arguments.
    unsafe {
        let call = (this, arguments, count, keywords);
        set_item(call, |value| is_plain(value), |own| &mut own.tags)
            .unwrap_or_else(|| SET_TAG.replaced(this, arguments, count, keywords))
    }
}

unsafe extern "C" fn set_field(
    this: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: as for `set_tag`.
    unsafe {
        let call = (this, arguments, count, keywords);
        set_item(call, |value| is_plain_field(value), |own| &mut own.fields)
            .unwrap_or_else(|| SET_FIELD.replaced(this, arguments, count, keywords))
    }
}

/// Sets all items of a dict, or none of them.
unsafe extern "C" fn set_tags(
    this: Object,
    arguments: *const Object,
    count: Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: as for `set_tag`.
    unsafe {
        let done = attached(|py| {
            if count != 1 || !keywords.is_null() || !is_dict(*arguments) {
                return None;
            }
            let mut own = (*state_of::<Measurement>(this)).if_free(py)?;
            let before = own.tags.list_with_room()?.len();
            let all = each_item(*arguments, |name, value| {
                if !is_text(name) || !is_plain(value) {
                    return None;
                }
                let list = own.tags.list_with_room()?;
                list.push((Owned::new(&lend(py, name)), Owned::new(&lend(py, value))));
                Some(())
            });
            if all.is_none() {
                own.tags.truncate(before);
            }
            all.map(|()| none(py))
        });
        done.unwrap_or_else(|| SET_TAGS.replaced(this, arguments, count, keywords))
    }
}
