//! Values of exactly Python's own types. Reading them runs no Python code.

use std::borrow::Cow;
use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;
use sprockets_influxdb::FieldValue;
use sprockets_influxdb::internal::{
    PreparedKey, push_prepared_tag, set_prepared_field, set_prepared_tag,
};
use sprockets_influxdb::{self as core};

use super::object::{Object, lend};
use crate::line::Line;

/// # Safety
///
/// As for [`lend`].
#[inline]
pub(super) unsafe fn is_text(object: Object) -> bool {
    // SAFETY: as above.
    unsafe { ffi::Py_TYPE(object) == &raw mut ffi::PyUnicode_Type }
}

/// # Safety
///
/// As for [`lend`].
#[inline]
pub(super) unsafe fn is_dict(object: Object) -> bool {
    // SAFETY: as above.
    unsafe { ffi::Py_TYPE(object) == &raw mut ffi::PyDict_Type }
}

/// Whether a list of items takes this value.
///
/// # Safety
///
/// As for [`lend`].
#[inline]
pub(super) unsafe fn is_plain(object: Object) -> bool {
    // SAFETY: as above.
    unsafe {
        let class = ffi::Py_TYPE(object);
        class == &raw mut ffi::PyUnicode_Type
            || class == &raw mut ffi::PyFloat_Type
            || class == &raw mut ffi::PyLong_Type
            || class == &raw mut ffi::PyBool_Type
            || object == ffi::Py_None()
    }
}

/// Whether a list of fields takes this value: a plain one, but `None` and large integers.
///
/// # Safety
///
/// As for [`lend`].
#[inline]
pub(super) unsafe fn is_plain_field(object: Object) -> bool {
    // SAFETY: as above.
    unsafe {
        let class = ffi::Py_TYPE(object);
        class == &raw mut ffi::PyFloat_Type
            || class == &raw mut ffi::PyUnicode_Type
            || class == &raw mut ffi::PyBool_Type
            || class == &raw mut ffi::PyLong_Type && integer(object).is_some()
    }
}

/// The text of a `str`. `None` if it has lone surrogates.
///
/// # Safety
///
/// As for [`lend`]; the object is exactly a `str`.
#[inline]
pub(super) unsafe fn text<'a>(object: Object) -> Option<&'a str> {
    let mut length = 0;
    // SAFETY: CPython keeps the text with the object, and it is valid UTF-8.
    unsafe {
        let start = ffi::PyUnicode_AsUTF8AndSize(object, &mut length);
        if start.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        let bytes = std::slice::from_raw_parts(start.cast::<u8>(), length as usize);
        Some(std::str::from_utf8_unchecked(bytes))
    }
}

/// The value of an `int`. `None` if it has more than 64 bits.
///
/// # Safety
///
/// As for [`lend`]; the object is exactly an `int`.
#[inline]
unsafe fn integer(object: Object) -> Option<i64> {
    let mut overflow: c_int = 0;
    // SAFETY: as above. It sets no error for an `int`.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(object, &mut overflow) };
    (overflow == 0).then_some(value)
}

/// Calls `take` with each item, until it returns `None`.
///
/// # Safety
///
/// As for [`lend`]; the object is a dict, and `take` runs no Python code.
#[inline]
pub(super) unsafe fn each_item(
    dict: Object,
    mut take: impl FnMut(Object, Object) -> Option<()>,
) -> Option<()> {
    let (mut position, mut name, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: as above, the dict does not change meanwhile.
    while unsafe { ffi::PyDict_Next(dict, &mut position, &mut name, &mut value) } != 0 {
        take(name, value)?;
    }
    Some(())
}

/// Writes a tag. `None` for a value that is not plain or that removes the tag, and for a name that
/// cannot be prepared.
///
/// # Safety
///
/// As for [`lend`].
#[inline]
pub(super) unsafe fn write_tag(
    py: Python<'_>,
    line: &mut Line,
    name: Object,
    value: Object,
) -> Option<()> {
    let (core, keys, known) = line.tags();
    // SAFETY: as above. The texts of what is plain never change.
    unsafe {
        let (of, with) = (lend(py, name), lend(py, value));
        if known.find(&of, &with).is_some_and(|tag| push_prepared_tag(core, tag)) {
            return Some(());
        }
        let key = keys.find(&of).ok()??;
        with_tag(py, value, |text_of_value| {
            set_prepared_tag(core, key, text_of_value);
            known.miss(&of, &with, || Some((text(name)?, text_of_value)));
        })
    }
}

/// As [`write_tag`].
///
/// # Safety
///
/// As for [`lend`].
pub(super) unsafe fn write_prepared_tag(
    py: Python<'_>,
    line: &mut core::Measurement,
    key: &PreparedKey,
    value: Object,
) -> Option<()> {
    // SAFETY: as above.
    unsafe { with_tag(py, value, |text| set_prepared_tag(line, key, text)) }
}

/// Calls `take` with the text of a plain value. `None` for one that removes the tag.
///
/// # Safety
///
/// As for [`lend`].
#[inline]
unsafe fn with_tag(py: Python<'_>, value: Object, take: impl FnOnce(&str)) -> Option<()> {
    // SAFETY: as above. The `str()` of a plain value runs no Python code.
    unsafe {
        if is_text(value) {
            take(text(value).filter(|text| !text.is_empty())?);
            return Some(());
        }
        if !is_plain(value) || value == ffi::Py_None() {
            return None;
        }
        let string = Bound::from_owned_ptr_or_opt(py, ffi::PyObject_Str(value))?;
        take(text(string.as_ptr())?);
        Some(())
    }
}

/// Writes a field. `None` for a value that is not plain, and for a name that cannot be prepared.
///
/// # Safety
///
/// As for [`lend`].
#[inline]
pub(super) unsafe fn write_field(
    py: Python<'_>,
    line: &mut Line,
    name: Object,
    value: Object,
) -> Option<()> {
    let (core, keys) = line.fields();
    // SAFETY: as above.
    unsafe {
        let key = keys.find(&lend(py, name)).ok()??;
        write_prepared_field(core, key, value)
    }
}

/// As [`write_field`].
///
/// # Safety
///
/// As for [`lend`].
#[inline]
pub(super) unsafe fn write_prepared_field(
    line: &mut core::Measurement,
    key: &PreparedKey,
    value: Object,
) -> Option<()> {
    // SAFETY: as above; each type is that of the object.
    let field = unsafe {
        let class = ffi::Py_TYPE(value);
        if class == &raw mut ffi::PyFloat_Type {
            FieldValue::Float(ffi::PyFloat_AsDouble(value))
        } else if class == &raw mut ffi::PyLong_Type {
            FieldValue::Integer(integer(value)?)
        } else if class == &raw mut ffi::PyUnicode_Type {
            FieldValue::String(Cow::Borrowed(text(value)?))
        } else if class == &raw mut ffi::PyBool_Type {
            FieldValue::Boolean(value == ffi::Py_True())
        } else {
            return None;
        }
    };
    set_prepared_field(line, key, &field);
    Some(())
}
